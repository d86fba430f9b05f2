"""Stamped trees read through haproxy while releases flip several times a second on all nodes: after any response that shows a flip, no
request of anybody that begins later shows an older one; pinned reads never change, nothing is ever missing, and only a node that is cut
off says 503. Quiet, then under kill -9, SIGSTOP, one-way partitions, a full disk and clock steps. The control, two nodes that are
published one after the other, must be found out."""
import contextlib
import os
import random
import threading
import time

from . import stamped
from .cluster import Balancer, NodeCluster
from .node import cpu_seconds, workspace
from .stamped import Flip, Publisher

SMALL_MIB = 1500


def control(base, seconds):
    """Two nodes that know nothing of each other, the second published right after the first, and one release ahead in number."""
    with NodeCluster(base / "control", count=2, independent=True, space="c") as nodes, Balancer(nodes) as balancer:
        for i in range(2):
            nodes.done(i, "POST", "/volumes", {"name": "solo"})
        nodes.done(1, "POST", "/targets/solo/batch", stamped.edits(0))
        nodes.done(1, "POST", "/publish", {"items": [{"volume": "solo"}]})
        pair = [Publisher(nodes.api, [i], ["solo"]) for i in range(2)]
        pair[0].flip()
        pair[1].flip()
        out = base / "control.reads"
        with stamped.readers(balancer.url, ["solo"], out, rate=600):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                pair[0].flip()
                pair[1].flip()
                time.sleep(0.1)
        flips = [Flip(first.called, second.returned, first.stamp, {}) for first, second in zip(pair[0].flips, pair[1].flips)]
        reads = stamped.load(out, ["solo"])
        found = stamped.judge(reads, flips)
    met = {kind: len(what) for kind, what in found.items()}
    print(f"  control, two nodes on their own: {len(reads)} reads, {len(flips)} flips, found: {met}", flush=True)
    assert all(met.get(kind) for kind in ("stale", "mixed", "missing")), f"the harness does not see what two independent nodes do: {met}"
    return sum(met.values())


def harm(cluster, rng, kind, victim):
    """One fault, until its end. Nobody else may be cut off by it."""
    if kind == "clock":  # no reason to refuse anything
        cluster.step_clock(victim, rng.choice([-3600, 3600, 0]))
        time.sleep(2)
        return
    with cluster.cut_off_while(victim):
        if kind == "kill":
            cluster.kill(victim)
            time.sleep(0.2)
        elif kind.startswith("stop"):
            cluster.pause(victim, int(kind.split("-")[1]))
        elif kind.startswith("cut"):
            cluster.strike(rng, kind, victim)
            time.sleep(rng.uniform(1, 6))
        elif kind == "full":
            cluster.fill_disk(victim)
            time.sleep(8)
            cluster.free_disk(victim)
        cluster.heal()


def trouble(cluster, seed, quick, ended, done, problems):
    """Faults one after the other until `ended`; each kind at least once."""
    rng = random.Random(seed)
    kinds = ["kill", "stop-5", "clock", "full"] + (["cut-in", "cut-out", "cut-both"] if cluster.count > 1 else [])
    kinds += ["kill"] if quick else ["kill", "kill", "stop-30"]
    try:
        while not ended.is_set() or (missing := set(kinds) - set(done)):
            left = [kind for kind in kinds if kind not in done] if ended.is_set() else kinds
            kind = rng.choice(left)
            victim = next(iter(cluster.small)) if kind == "full" else rng.randrange(cluster.count)
            harm(cluster, rng, kind, victim)
            done[kind] = done.get(kind, 0) + 1
            ended.wait(rng.uniform(0.2, 2))
    except Exception as error:  # noqa: BLE001: told by the main thread
        problems.append(error)


def measure(base, name, mode, flips, wanted, count, faults, quick):
    """(words, reads, violations)"""
    small = {count - 1: SMALL_MIB} if faults else {}
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(NodeCluster(base / name, count=count, clocks=faults, small=small))
        balancer = stack.enter_context(Balancer(cluster, mode=mode))
        # Two volumes that are always flipped in one step are one register; another one flips beside them.
        registers = [Publisher(cluster.api, range(count), volumes, rate=4, seed=number, patience=60 if faults else 20)
                     for number, volumes in enumerate((["pair-a", "pair-b"], ["solo"]))]
        for publisher in registers:
            publisher.make()
            publisher.flip()
        volumes = [volume for publisher in registers for volume in publisher.volumes]
        out = base / f"{name}.reads"
        out.touch()
        done, problems, ended = {}, [], threading.Event()
        began, cpu = time.monotonic(), cluster.cpu_seconds()
        rate = max(200, wanted / (flips / 7))  # so many reads in the time that the flips take
        with stamped.readers(balancer.url, volumes, out, rate=int(rate)) as process:
            for publisher in registers:
                publisher.start()
            troublemaker = threading.Thread(target=trouble, args=(cluster, 11, quick, ended, done, problems), daemon=True)
            if faults:
                troublemaker.start()
            deadline = time.monotonic() + (120 if quick else 1200)
            try:
                while time.monotonic() < deadline and not problems and not any(p.error for p in registers):
                    lines = out.stat().st_size // 56  # a line is not much shorter: more than were wanted are no harm, less are
                    if sum(len(p.flips) for p in registers) >= flips and lines >= wanted:
                        break
                    assert process.poll() is None, "the readers have ended"
                    time.sleep(0.2)
            finally:
                ended.set()
                if faults:
                    troublemaker.join(300)
                for publisher in registers:
                    publisher.stopping.set()
            for publisher in registers:
                publisher.stop()
            took = time.monotonic() - began
            used = (f"{cluster.cpu_seconds() - cpu:.0f} CPU-seconds of the nodes, {cpu_seconds(balancer.process.pid):.0f} of haproxy, "
                    f"{cpu_seconds(process.pid):.0f} of the readers in {took:.0f} s") if not faults else None
        assert not problems, f"the fault itself failed: {problems[0]!r}"
        reads = stamped.load(out, volumes)
        good, said, excused, made = True, [], 0, 0
        for publisher in registers:
            found = stamped.judge([read for read in reads if read.volume in publisher.volumes], publisher.flips, cluster.cut_off)
            words, fine = stamped.verdict(found)
            good, excused, made = good and fine, excused + len(found.get("excused", [])), made + len(publisher.flips)
            if not fine:
                said.append(words)
    words = (f"{name}: {len(reads)} reads of {count} nodes over {made} flips ({made / took:.1f}/s)"
             + (f", {used}" if used is not None else f", faults {done}, {excused} refusals by whom they cut off")
             + f": {'; '.join(said) or 'no violation'}")
    print("  " + words, flush=True)
    if not good or len(reads) < wanted or made < flips:
        return words, False
    return words, True


def run(quick=False):
    """HAILSTONE_NODES: how many nodes (3). HAILSTONE_PARTS: control, close, reuse, faults-close, faults-reuse; all by default,
    three of them if quick."""
    stamped.build()
    stamped.check_judge()
    count = int(os.environ.get("HAILSTONE_NODES", 3))
    flips, wanted = (100, 8_000) if quick else (2_000, 300_000)
    usual = "control,close,faults-reuse" if quick else "control,close,reuse,faults-close,faults-reuse"
    parts = os.environ.get("HAILSTONE_PARTS", usual).split(",")
    figures, short = [], []
    with workspace() as base:
        if "control" in parts:
            figures.append(f"control: {control(base, 5 if quick else 20)} violations found")
        for name in parts:
            if name == "control":
                continue
            words, good = measure(base, name, name.split("-")[-1], flips, wanted, count, name.startswith("faults"), quick)
            (figures if good else short).append(words)
    assert not short, "; ".join(short)
    return "; ".join(figures)
