"""How long a node takes from exec to /readyz with 10,000, 1,000,000 and 10,000,000 keys in the repository: started again in good order,
after kill -9, and wiped, which then fills by itself. The control, a node told to read all it has when it opens, must take longer with more."""
import os
import statistics
import threading
import time

from . import stamped
from .cluster import NodeCluster
from .cluster_faults import missing_copies
from .node import workspace

RATIO, LIMIT_S, FILL_MIB_S = 1.5, 3.0, 20
BATCH = 1_000


def fill(cluster, keys, threads=4):
    """So many keys with contents of their own in one volume, published."""
    cluster.done(0, "POST", "/volumes", {"name": "large"})
    starts, lock, problems = list(range(0, keys, BATCH)), threading.Lock(), []

    def run():
        try:
            while True:
                with lock:
                    if not starts or problems:
                        return
                    start = starts.pop()
                edits = [{"key": f"pool/{i // 4000:05}/package-{i:08}.deb", "text": f"{i * 0x9e3779b97f4a7c15 & (1 << 64) - 1:x}"}
                         for i in range(start, min(keys, start + BATCH))]
                cluster.done(0, "POST", "/targets/large/batch", {"edits": edits}, timeout=300)
        except Exception as error:  # noqa: BLE001: told below
            problems.append(error)

    workers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not problems, f"filling: {problems[0]!r}"
    cluster.done(0, "POST", "/publish", {"items": [{"volume": "large"}]}, timeout=1800)


def started(cluster, i, verify=False):
    """Seconds from exec to readiness; it is down before."""
    before = list(cluster.settings)
    if verify:
        cluster.settings.append("store.verify_on_open=true")
    began = time.monotonic()
    cluster.start(i)
    cluster.wait_ready(i, patience=600)
    took = time.monotonic() - began
    cluster.settings = before
    status, _, _ = cluster.get(i, "/large/pool/00000/package-00000000.deb")
    assert status == 200, f"a node that says it is ready answers {status}"
    return took


def measure(base, count, keys, rounds):
    """{how: seconds}, median of the rounds; "fill" is MiB/s and not of a single node."""
    with NodeCluster(base / f"keys-{keys}", count=count) as cluster:
        began = time.monotonic()
        fill(cluster, keys)
        filled = time.monotonic() - began
        victim = count - 1
        took = {"clean": [], "killed": [], "control": []}
        for _ in range(rounds):
            for how in took:
                if how == "killed":
                    cluster.vanish(victim)
                else:
                    cluster.end(victim)
                took[how].append(started(cluster, victim, verify=how == "control"))
        result = {how: statistics.median(values) for how, values in took.items()}
        if count > 1:
            began = time.monotonic()
            cluster.wipe(victim)
            cluster.wait_ready(victim)
            result["wiped"] = time.monotonic() - began
            while missing_copies(cluster):
                assert time.monotonic() - began < 3600, "a wiped node does not fill"
                time.sleep(0.2)
            stored = sum(path.stat().st_size for path in (cluster.data(victim) / "chunks").iterdir())
            result["fill"] = stored / (time.monotonic() - began) / 2**20
        print(f"  {keys:,} keys (written in {filled:.0f} s): " + ", ".join(f"{how} {value:.2f}{' MiB/s' if how == 'fill' else ' s'}"
                                                                           for how, value in result.items()), flush=True)
    return result


def short_of(results):
    """What is not as promised, in words, of {keys: measure()}."""
    smallest, largest, out = results[min(results)], results[max(results)], []
    for how in ("clean", "killed", "wiped"):
        if how in smallest:
            ratio = largest[how] / smallest[how]
            if ratio > RATIO or largest[how] >= LIMIT_S:
                out.append(f"{how}: {largest[how]:.2f} s, {ratio:.2f} times the smallest (limits {LIMIT_S} s, {RATIO})")
    if largest.get("fill", FILL_MIB_S) < FILL_MIB_S:
        out.append(f"a wiped node fills at {largest['fill']:.0f} MiB/s (limit {FILL_MIB_S})")
    return out


def run(quick=False):
    """HAILSTONE_NODES: how many nodes (3)."""
    stamped.build()
    count = int(os.environ.get("HAILSTONE_NODES", 3))
    sizes = [10_000, 300_000] if quick else [10_000, 1_000_000, 10_000_000]
    with workspace() as base:
        results = {keys: measure(base, count, keys, 3 if quick else 7) for keys in sizes}
    figure = "; ".join(f"{keys:,} keys: " + ", ".join(f"{how} {value:.2f}" for how, value in result.items()) for keys, result in results.items())
    control = results[max(sizes)]["control"] / results[min(sizes)]["control"]
    figure = f"seconds from exec to ready at {count} nodes (limits {LIMIT_S} s and {RATIO} times the smallest): {figure}"
    assert control > RATIO or quick, f"the control, reading everything, takes only {control:.2f} times the smallest: nothing can be seen. {figure}"
    short = short_of(results)
    assert not short, f"{'; '.join(short)}. {figure}"
    return figure
