"""A real three-node cell, each node in a network namespace of its own and with a wall clock of its own, under kill -9, SIGSTOP, cut
links, lost hosts, hand-overs and clock steps. Its clients' histories must be linearizable, locks exclusive, stale holders fenced, events
told once, and no call may outlast its deadline."""
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

from .cell import CellCluster, build
from .hosts import GRANT_S, STRIKES
from .register import CHECK

LEASE_S = 12


def writes_again(cluster, patience):
    began = time.monotonic()
    while time.monotonic() - began < patience:
        done = cluster.cli("--timeout", "2", "put", "/probe", "x", check=False)
        if done.returncode == 0:
            return time.monotonic() - began
    raise AssertionError(f"no write for {patience} s")


def fault(cluster, rng, stale):
    kind = rng.choice([*STRIKES, "clock", "clock", "stale-client"])
    if kind == "clock":
        cluster.step_clock(rng.randrange(cluster.count), rng.choice([-3600, 3600, -7200, 0]))
    elif kind == "stale-client":
        stale.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_S * 1.2)
        stale.send_signal(signal.SIGCONT)
    else:
        cluster.strike(rng, kind)
    time.sleep(rng.uniform(0, 2 if kind.startswith("cut") else 0.5))
    cluster.heal()
    return kind, writes_again(cluster, 30)


def check_acts(paths):
    """What was done under a lock: by grants that never get older."""
    acts = {}
    for path in paths:
        for line in path.read_text().splitlines():
            words = line.split()
            if words[0] == "act":
                acts.setdefault(words[1], []).append((int(words[2]), int(words[3])))
    count = 0
    for lock, done in acts.items():
        newest = 0
        for revision, generation in sorted(done):
            assert generation >= newest, f"{lock}: at revision {revision} grant {generation} acted, after {newest}"
            newest, count = generation, count + 1
    return count


def finish(worker, name):
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, f"{name}: {err[-3000:]} {out}"
    return json.loads(out)


def restart_all(cluster, binary):
    for i in range(cluster.count):
        cluster.end(i)
        cluster.binaries[i] = binary
        cluster.start(i)
        cluster.wait_until_up(i)
        time.sleep(GRANT_S * 1.3)


def run(quick=False):
    build()
    count, seed = 25 if quick else 500, int(os.environ.get("HAILSTONE_SEED", 3))
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as base, CellCluster(base + "/cluster", clocks=True) as cluster:
        out, other = cluster.directory / "workers", cluster.directory / "stale"
        load = cluster.workers("faults", "--out", out, "--seconds", 86400, "--seed", seed, "--timeout-ms", 20000)
        stale = cluster.workers("faults", "--out", other, "--seconds", 86400, "--seed", seed + 1, "--clients", 0, "--watchers", 0, "--lockers", 2,
                                "--stopped", "--timeout-ms", 20000)
        try:
            time.sleep(2)
            done, slowest = {}, 0.0
            for number in range(count):
                kind, took = fault(cluster, rng, stale)
                done[kind] = done.get(kind, 0) + 1
                slowest = max(slowest, took)
                assert load.poll() is None, f"the clients have ended after {kind}: {load.communicate()}"
            cluster.heal()
            time.sleep(3)
            figures, fenced = finish(load, "clients"), finish(stale, "stopped clients")
        finally:
            for each in (load, stale):
                each.kill()
        print(f"  {sum(done.values())} faults {done}; slowest return {slowest:.1f} s", flush=True)
        print(f"  clients: {figures}\n  clients that are stopped: {fenced}", flush=True)
        judged = subprocess.run([CHECK, f"{out}.history"], capture_output=True, text=True)
        assert judged.returncode == 0, f"not linearizable:\n{judged.stdout[-3000:]}{judged.stderr[-500:]}"
        acts = check_acts([cluster.directory / "workers.held", cluster.directory / "stale.held"])

        # Rolling restart and upgrade, under load: calls wait, none fails.
        copy = cluster.directory / "hailstone"
        shutil.copy(cluster.binaries[0], copy)
        load = cluster.workers("faults", "--out", out, "--seconds", 86400, "--seed", seed + 2, "--timeout-ms", 20000)
        try:
            time.sleep(1)
            restart_all(cluster, cluster.binaries[0])
            restart_all(cluster, copy)
            rolled = finish(load, "clients")
        finally:
            load.kill()
        failed = sum(line.endswith("failed") or line.endswith("unknown") for line in (cluster.directory / "workers.history").read_text().splitlines())
        judged = subprocess.run([CHECK, f"{out}.history"], capture_output=True, text=True)
        assert judged.returncode == 0, f"not linearizable:\n{judged.stdout[-3000:]}"
        print(f"  rolling restart and rolling upgrade: {rolled}; {failed} calls failed", flush=True)
        assert failed == 0 and rolled["expired"] == 0, f"{failed} calls failed, {rolled['expired']} sessions expired"
    assert figures["late_calls"] == 0
    return (f"{count} faults, {figures['operations']} operations linearizable, {acts} acts under locks by never older grants, "
            f"{figures['grants'] + fenced['grants']} grants, {fenced['fenced'] + figures['fenced']} stale acts refused, {figures['events']} events; slowest "
            f"return {slowest:.1f} s; rolling restart and upgrade with {rolled['operations']} operations, none failed")
