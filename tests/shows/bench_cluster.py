"""A cluster on loopback, measured in one run: how soon a flip is visible at every node and how long it holds reads; depot GET through
any node against a single node; durable S3 PUT in three copies against radosgw's one; metadata writes over eight groups against one."""
import collections
import contextlib
import os
import statistics
import subprocess
import threading
import time

from . import radosgw, stamped
from .bench_depot import load_all
from .bench_s3 import KIB, call, put_load, wrk_puts
from .cluster import NodeCluster, S3Server
from .cluster_start import fill
from .node import workspace
from .stamped import Publisher

FLIP_P50_MS, FLIP_P99_MS, HELD_P99_MS, SIZE_RATIO = 30, 100, 20, 1.5
GET_SHARE, PUT_TIMES, GROUPS_SHARE = 0.9, 5, 0.95


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def watch(cluster, publisher, place, flips, pause_s=0.0):
    """([ms from asking for a publish until every node shows it], [ms that reads took which a flip overlapped], what the judge found).
    Each node is read on its own, about a thousand times a second. With `pause_s` one node stands still at each flip: a control."""
    publisher.flip()  # the file is there when it is first read
    with contextlib.ExitStack() as stack:
        outs = [place / f"node-{i}.reads" for i in range(cluster.count)]
        for i, out in enumerate(outs):
            stack.enter_context(stamped.readers(cluster.url(i), publisher.volumes, out, count=1, rate=1000, pinned=0))
        time.sleep(0.2)
        first = len(publisher.flips)
        for number in range(flips):
            pauser = threading.Thread(target=cluster.pause, args=(number % cluster.count, pause_s))

            def stand_still():
                pauser.start()
                time.sleep(0.03)  # until it does

            publisher.flip(written=stand_still if pause_s else None)
            if pause_s:
                pauser.join()
            time.sleep(0.05)
    visible, held, reads = collections.defaultdict(list), [], []
    made = publisher.flips[first:]
    for out in outs:
        mine, at = stamped.load(out, publisher.volumes), 0
        reads += mine
        for flip in made:
            while at < len(mine) and mine[at].stamp < flip.stamp:
                at += 1
            assert at < len(mine), f"{out.stem} never showed stamp {flip.stamp}"
            visible[flip.stamp].append(mine[at].end)
    latencies = []
    for flip in made:
        last = max(visible[flip.stamp])
        latencies.append((last - flip.called) / 1e6)
        held += [(read.end - read.start) / 1e6 for read in reads if read.start <= last and read.end >= flip.called]
    return latencies, held, stamped.judge(reads, publisher.flips)


def flips(base, count, quick, want):
    """Repositories of both sizes at the same time, in turns: what else the machine does meets both."""
    sizes = (10_000, 100_000) if quick else (10_000, 1_000_000)
    latencies, held, ratios, fine = collections.defaultdict(list), [], [], True
    with contextlib.ExitStack() as stack:
        clusters = {}
        for number, keys in enumerate(sizes):
            cluster = stack.enter_context(NodeCluster(base / f"flips-{keys}", count=count, isolated=False, port=19000 + 50 * number))
            fill(cluster, keys)
            clusters[keys] = cluster, Publisher(cluster.api, range(count), ["large"])
        time.sleep(2)
        for turn in range(4 if quick else 20):
            p50 = {}
            for keys, (cluster, publisher) in clusters.items() if turn % 2 else reversed(clusters.items()):
                some, overlapped, found = watch(cluster, publisher, base, 12 if quick else 25)
                fine = stamped.verdict(found)[1] and fine
                p50[keys] = percentile(some, 0.5)
                latencies[keys] += some
                held += overlapped
            ratios.append(p50[sizes[1]] / p50[sizes[0]])
        cluster, publisher = clusters[sizes[0]]
        control, _, _ = watch(cluster, publisher, base, 5, pause_s=0.25)
    syncs = []
    with open(base / "sync", "wb", buffering=0) as file:  # a flip waits for some of these, one after the other
        for _ in range(50):
            began = time.monotonic()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            syncs.append((time.monotonic() - began) * 1e3)
    print(f"    fdatasync of 4 KiB here and now, ms: p50 {percentile(syncs, 0.5):.2f}, p99 {percentile(syncs, 0.99):.2f}", flush=True)
    for keys in sizes:
        want(f"flip at {keys:,} keys, ms until visible at {count} nodes, p50", percentile(latencies[keys], 0.5), FLIP_P50_MS, at_least=False)
        want(f"flip at {keys:,} keys, p99 of {len(latencies[keys])}", percentile(latencies[keys], 0.99), FLIP_P99_MS, at_least=False)
    want("flip with more keys over that with few, median of the turns", statistics.median(ratios), SIZE_RATIO, at_least=False)
    want(f"reads that a flip overlapped, ms, p99 of {len(held)}", percentile(held, 0.99), HELD_P99_MS, at_least=False)
    want("violations by what was read", 0 if fine else 1, 0, at_least=False)
    want("control: flips while a node stands still for 250 ms, ms, p50", percentile(control, 0.5), 200)


def gets(base, count, quick, want):
    """Through each node of the cluster in turn, all nodes' time counted, against one node alone."""
    seconds, turns = (1, 3) if quick else (3, 9)
    settings = ["http.threads=1"]
    with NodeCluster(base / "gets", count=count, isolated=False, settings=settings) as cluster, \
            NodeCluster(base / "single", count=1, isolated=False, settings=settings, port=19100) as single:
        for each in (cluster, single):
            each.done(0, "POST", "/volumes", {"name": "bench"})
            for i in range(8):
                each.done(0, "PUT", f"/targets/bench/content?key=file-{i}", os.urandom(64 * KIB))
            each.done(0, "POST", "/publish", {"items": [{"volume": "bench"}]})
        time.sleep(1)
        paths, ratios = [f"/bench/file-{i}" for i in range(8)], []
        for turn in range(turns):
            node = turn % count
            ours = load_all(cluster.processes(), cluster.url(node), paths, seconds, base)
            alone = load_all(single.processes(), single.url(0), paths, seconds, base)
            ratios.append(ours / alone)
            print(f"    node {node + 1}: {ours:,.0f} GET of 64 KiB per CPU-second of all nodes, a single node {alone:,.0f}", flush=True)
        want("depot GET through any node over a single node, per CPU-second", statistics.median(ratios), GET_SHARE)


def spread_puts(cluster, place, seconds, clients, **options):
    """(PUTs a second, PUTs per CPU-second of all nodes), the clients spread over all nodes."""
    results, before = [], cluster.cpu_seconds()

    def run(i):
        own = place / f"wrk-{i}"
        own.mkdir(exist_ok=True)
        results.append(put_load(S3Server(cluster.key(i), cluster.url(i, "s3")), own, seconds, clients // cluster.count, **options))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(cluster.count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == cluster.count, "a node refused PUTs"
    return sum(rate for _, rate in results), sum(count for count, _ in results) / (cluster.cpu_seconds() - before)


def puts(base, count, quick, want):
    if absent := radosgw.missing():
        return print(f"  radosgw not run: no {', '.join(absent)}", flush=True)
    seconds = 3 if quick else 10
    try:
        with radosgw.Radosgw(base / "ceph") as peer, NodeCluster(base / "puts", count=count, isolated=False) as cluster:
            call(peer, "PUT", "/small")
            assert cluster.s3(0, "PUT", "/small")[0] == 200
            ratios = []
            for _ in range(3):
                theirs, theirs_cpu = wrk_puts(peer, base, seconds, 64)
                ours, ours_cpu = spread_puts(cluster, base, seconds, 63)
                ratios.append(ours_cpu / theirs_cpu)
                print(f"    PUT 4 KiB: {count} nodes {ours:,.0f}/s, {ours_cpu:,.0f} a CPU-second of all; radosgw {theirs:,.0f}/s, {theirs_cpu:,.0f}", flush=True)
    except (OSError, subprocess.SubprocessError) as problem:
        return print(f"  radosgw not run: {problem}"[:300], flush=True)
    want(f"S3 PUT of 4 KiB in {min(count, 3)} copies over radosgw's in one, per CPU-second", statistics.median(ratios), PUT_TIMES)


def groups(base, count, quick, want):
    """Small objects, whose content is in the metadata, in sixteen volumes: the same clients, one group or eight."""
    if count == 1:
        return print("  groups are not measured with one node", flush=True)
    seconds, buckets = 3 if quick else 10, [f"meta-{i}" for i in range(16)]
    with contextlib.ExitStack() as stack:
        clusters = [stack.enter_context(NodeCluster(base / f"groups-{number}", count=count, isolated=False, groups=number, port=19200 + 50 * number))
                    for number in (1, 8)]
        for cluster in clusters:
            for bucket in buckets:
                assert cluster.s3(0, "PUT", f"/{bucket}")[0] == 200
        ratios = []
        for _ in range(3 if quick else 5):
            one, eight = (spread_puts(cluster, base, seconds, 63, size=100, buckets=buckets)[0] for cluster in clusters)
            ratios.append(eight / one)
            print(f"    PUT 100 bytes: one group {one:,.0f}/s, eight {eight:,.0f}/s", flush=True)
    want("metadata writes with 8 groups over 1", statistics.median(ratios), GROUPS_SHARE)


PARTS = {"flips": flips, "gets": gets, "puts": puts, "groups": groups}


def run(quick=False):
    """HAILSTONE_NODES: how many nodes (3). HAILSTONE_PARTS: some of PARTS only."""
    stamped.build()
    count = int(os.environ.get("HAILSTONE_NODES", 3))
    figures, short = [], []

    def want(what, value, limit, at_least=True):
        good = value >= limit if at_least else value <= limit
        words = f"{what}: {value:,.2f} ({'at least' if at_least else 'at most'} {limit:,})"
        print(f"  {'ok   ' if good else 'SHORT'} {words}", flush=True)
        (figures if good else short).append(words)

    with workspace() as base:
        for name in os.environ.get("HAILSTONE_PARTS", ",".join(PARTS)).split(","):
            PARTS[name](base, count, quick, want)
    assert not short, "; ".join(short)
    return "; ".join(figures)
