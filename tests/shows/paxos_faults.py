"""Three real register nodes under load, each in its own network namespace: kill -9, SIGSTOP, cut links, lost hosts, hand-overs,
rolling restarts. The clients' history must be linearizable, and service must come back after each fault in its time."""
import contextlib
import os
import random
import statistics
import tempfile
import threading
import time

from . import register
from .hosts import GRANT_S, STRIKES
from .register import OK, PUT, Cluster, Gone, History, Writer, build, sized


def first_write(cluster, value, gone=(), patience=15):
    """Seconds until a node acknowledges a write. All are asked again and again, at the same time, but for those that are gone."""
    began = time.monotonic()
    done = threading.Event()
    took = []

    def ask(i):
        connection = None
        while not done.is_set() and time.monotonic() - began < patience:
            try:
                connection = connection or register.Connection(cluster.client_address(i), 5)
                kind, _ = connection.call(PUT, sized(b"probe") + sized(value))
                if kind == OK:
                    took.append(time.monotonic() - began)
                    done.set()
            except Gone:
                connection = None
            time.sleep(0.002)

    askers = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(cluster.count) if i not in gone]
    for asker in askers:
        asker.start()
    assert done.wait(patience), f"no write for {patience} s after {value.decode()}"
    return min(took)


def settle(cluster):
    """Everybody is up, and a restarted one has waited out the leases that its former life may have granted."""
    for i in range(cluster.count):
        if cluster.supervisors[i] is None:
            cluster.start(i)
    cluster.wait_for_leader()
    for i in range(cluster.count):
        cluster.wait_until_up(i)
    time.sleep(GRANT_S * 1.3)


def under_load(cluster, seconds, seed):
    rng = random.Random(seed)
    done, slowest = {}, 0.0
    more = {"kill-two": 5, "power-cut": 3}  # seconds: a supervisor whose node keeps dying waits that long before it starts it again
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        kind = rng.choice(STRIKES)
        victim = cluster.strike(rng, kind, stop_long=(1.5, 4))
        if kind == "power-cut":
            cluster.heal()
        took = first_write(cluster, b"%s-%d" % (kind.encode(), sum(done.values())), gone=[victim] if kind.startswith("cut") else [])
        slowest = max(slowest, took)
        assert took < 2 * GRANT_S + 2 + more.get(kind, 0), f"{kind}: no write for {took:.1f} s"
        time.sleep(rng.uniform(0, 1.0))
        cluster.heal()
        done[kind] = done.get(kind, 0) + 1
        time.sleep(rng.uniform(0, 0.5))
    return done, slowest


def gaps(acknowledged, begin, end):
    """The longest time without an acknowledged write within the interval, and the sum of those that are no mere jitter."""
    times = [begin, *[t for t in acknowledged if begin <= t <= end], end]
    steps = [b - a for a, b in zip(times, times[1:])]
    return max(steps), sum(step for step in steps if step > 0.015)


def elections(cluster, quick, base, want):
    """Without a fault: none while idle, none under load."""
    before = cluster.elections()
    time.sleep(10 if quick else 600)
    idle = cluster.elections() - before
    with History(cluster, clients=16, seed=5) as load:
        time.sleep(10 if quick else 600)
    loaded = cluster.elections() - before - idle
    want(idle + loaded == 0, f"{'10 s' if quick else '10 min'} each, idle and loaded with {len(load.lines)} operations: {idle} and {loaded} elections")


def killed(cluster, quick, base, want):
    took = []
    for number in range(5 if quick else 50):
        settle(cluster)
        leader = cluster.wait_for_leader()
        with contextlib.suppress(Gone):
            Writer(cluster, first=leader).call(PUT, sized(b"probe") + sized(b"before"))
        cluster.kill(leader)
        took.append(first_write(cluster, b"kill-%d" % number, gone=[leader]))
    want(statistics.median(took) <= 0.150 and max(took) <= 0.400,
         f"fail-over after kill -9: median {statistics.median(took) * 1000:.0f} ms, max {max(took) * 1000:.0f} ms of {len(took)}")


def cut_off(cluster, quick, base, want):
    """The leader's host, from all others."""
    took = []
    for number in range(2 if quick else 10):
        settle(cluster)
        leader = cluster.wait_for_leader()
        for other in range(cluster.count):
            if other != leader:
                cluster.cut(leader, other)
                cluster.cut(other, leader)
        took.append(first_write(cluster, b"cut-%d" % number, gone=[leader]))
        cluster.mend()
    want(max(took) <= GRANT_S + 0.100,
         f"host cut off: median {statistics.median(took) * 1000:.0f} ms, max {max(took) * 1000:.0f} ms of {len(took)}")


def planned(cluster, quick, base, want):
    """Hand-overs, and a restart of all three, one after the other."""
    settle(cluster)
    with History(cluster, clients=8, seed=6) as load:
        time.sleep(1)
        longest = []
        for _ in range(3 if quick else 20):
            begin = time.monotonic()
            cluster.resign(cluster.wait_for_leader())
            time.sleep(0.5)
            longest.append(gaps(load.acknowledged, begin, time.monotonic())[0])
        # What the clients and this machine stall for by themselves: as long an interval in which nothing is done.
        begin = time.monotonic()
        time.sleep(cluster.count * GRANT_S * 1.5)
        control = gaps(load.acknowledged, begin, time.monotonic())
        begin = time.monotonic()
        for i in range(cluster.count):
            cluster.end(i)
            cluster.start(i)
            while True:  # it has caught up when it answers like the others
                with contextlib.suppress(Gone, IndexError):
                    if "leader" in cluster.status(i):
                        break
                time.sleep(0.02)
            time.sleep(GRANT_S * 1.3)
        without = gaps(load.acknowledged, begin, time.monotonic())
    load.check(base + "/handover.history")
    want(statistics.median(longest) <= 0.020 and without[1] < 0.100,
         f"hand-over: write gap median {statistics.median(longest) * 1000:.0f} ms, max {max(longest) * 1000:.0f} ms; "
         f"rolling restart of three: {without[1] * 1000:.0f} ms without writes in all, {without[0] * 1000:.0f} ms at once "
         f"(undisturbed, as long: {control[1] * 1000:.0f} ms, {control[0] * 1000:.0f} ms at once)")


def mixed(cluster, quick, base, want):
    """Everything, under load."""
    settle(cluster)
    with History(cluster, clients=8, seed=7) as load:
        faults, slowest = under_load(cluster, 40 if quick else 1800, seed=7)
    verdict = load.check(base + "/faults.history")
    want(True, f"{sum(faults.values())} faults {faults}; slowest return {slowest:.2f} s; {len(load.lines)} operations: {verdict}")


def control(cluster, quick, base, want):
    """Nodes that answer reads from whatever they have: the clients must see it, or they would not see it in ours either."""
    with Cluster(base + "/stale", options=["--stale-reads"], port=17500, space="c") as stale, History(stale, clients=8, seed=8) as load:
        time.sleep(5)
    try:
        load.check(base + "/stale.history")
    except AssertionError:
        want(True, f"control: nodes that read without asking are found out in {len(load.lines)} operations")
    else:
        want(False, f"control: {len(load.lines)} operations on nodes that read without asking, and nothing is seen")


PARTS = {"control": control, "elections": elections, "killed": killed, "cut-off": cut_off, "planned": planned, "mixed": mixed}


def run(quick=False):
    """HAILSTONE_PARTS: some of them only, by name."""
    build()
    short, figures = [], []

    def want(good, what):
        print(f"  {'' if good else 'SHORT: '}{what}", flush=True)
        figures.append(what)
        if not good:
            short.append(what)

    with tempfile.TemporaryDirectory() as base, Cluster(base + "/cluster") as cluster:
        for name in os.environ.get("HAILSTONE_PARTS", ",".join(PARTS)).split(","):
            PARTS[name](cluster, quick, base, want)
    assert not short, "; ".join(short)
    return "; ".join(figures)
