"""The cell on its whole stack (client core, sockets, service, log, disk) beside etcd and ZooKeeper: writes, linearizable reads, locks;
cached reads in memory; a new member that takes over a gigabyte of state while writes go on."""
import contextlib
import json
import statistics
import subprocess
import time

from .bench_paxos import Etcd, ZooKeeper, load, ready
from .cell import LOAD, CellCluster, build
from .node import ROOT, workspace

GIB = 1 << 30


class Cell:
    name = "cell"

    def __init__(self, base):
        self.cluster = CellCluster(base / "cell", isolated=False)

    def __enter__(self):
        self.cluster.__enter__()
        self.members = [f"--member={i + 1}={self.cluster.client_address(i)[1]}" for i in range(3)]
        return self

    def pids(self):
        return [self.cluster.process(i) for i in range(3)]

    def __exit__(self, *error):
        self.cluster.__exit__(*error)


def cached_reads():
    """A second on one core: what Google Benchmark says of the client's cache."""
    subprocess.run(["./dev", "build", "release", "cell_client_bench"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([ROOT / "build/release/bench/cell_client_bench", "--benchmark_filter=cached", "--benchmark_format=json"],
                          capture_output=True, text=True, check=True)
    return min(1e9 / each["cpu_time"] for each in json.loads(done.stdout)["benchmarks"])


def growth(base, size):
    """(seconds until a new member has caught up and votes, MiB/s, writes a second during that time over those before, p99 in ms)"""
    with CellCluster(base / "growth", isolated=False, count=4, founders=3, port=18800) as cluster:
        fill = subprocess.run([LOAD, "cell", "--member=1=18900", "--clients=16", "--value-bytes=262144", f"--keys={size // 262144}", "--seconds=600",
                               f"--calls={size // 262144}", "--warm-up=0"], capture_output=True, text=True, check=True)
        filled = json.loads(fill.stdout)
        state = json.loads(cluster.cli("status").stdout)
        assert state["files"] >= size // 262144, f"{state['files']} files of 256 KiB are no {size} bytes"
        members = [f"--member={i + 1}={18900 + i}" for i in range(3)]
        before = json.loads(subprocess.run([LOAD, "cell", *members, "--clients=16", "--seconds=3", "--warm-up=1"], capture_output=True, text=True,
                                           check=True).stdout)
        during = subprocess.Popen([LOAD, "cell", *members, "--clients=16", "--seconds=600", "--warm-up=0.1"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        began = time.monotonic()
        cluster.cli("members", "add", "4", f"127.0.0.1:{cluster.port + 3}")
        cluster.cli("members", "promote", "4", timeout=600)
        took = time.monotonic() - began
        during.terminate()
        writes = json.loads(during.communicate()[0])
        during_rate = writes["done"] / (took + 0.1)
        final = json.loads(cluster.cli("status", at=3).stdout)
        assert final["files"] >= state["files"], "the new member lacks files"
    return took, size / took / 2**20, during_rate / before["per_second"], writes["p99_us"] / 1e3, filled


def run(quick=False):
    build()
    seconds, rounds = (2, 2) if quick else (5, 5)
    cases = [("put", 64), ("put", 256), ("get", 64), ("lock", 64)]
    table = {}
    with workspace() as base, contextlib.ExitStack() as stack:
        services = [stack.enter_context(kind(base)) for kind in (Cell, Etcd, ZooKeeper)]
        for service in services:
            ready(service)
        for _ in range(rounds):
            for case in cases:
                for service in services:
                    if case[0] == "lock" and service.name == "zookeeper":
                        continue
                    table.setdefault((*case, service.name), []).append(load(service, *case, seconds))
    for (operation, clients, name), runs in sorted(table.items()):
        print(f"  {operation} {clients:4} clients {name:10} {statistics.median(each['per_second'] for each in runs):9.0f}/s  p50 "
              f"{statistics.median(each['p50_us'] for each in runs):8.0f} us  p99 {statistics.median(each['p99_us'] for each in runs):8.0f} us  CPU "
              f"{statistics.median(each['cpu_us'] for each in runs):6.1f} us", flush=True)

    def ratio(case, other):
        return statistics.median(ours["per_second"] / theirs["per_second"] for ours, theirs in zip(table[(*case, "cell")], table[(*case, other)]))

    short = []

    def want(text, value, limit, at_least=True):
        good = value >= limit if at_least else value <= limit
        print(f"  {'ok   ' if good else 'SHORT'} {text}: {value:,.2f} ({'at least' if at_least else 'at most'} {limit:,})", flush=True)
        if not good:
            short.append(f"{text} {value:,.2f}")

    for clients in (64, 256):
        want(f"writes, {clients} clients, of etcd's", ratio(("put", clients), "etcd"), 3)
        print(f"        writes, {clients} clients, of ZooKeeper's: {ratio(('put', clients), 'zookeeper'):.2f}", flush=True)
    want("linearizable reads, 64 clients, of etcd's", ratio(("get", 64), "etcd"), 5)
    want("lock and unlock, 64 clients, of etcd's", ratio(("lock", 64), "etcd"), 3)
    cached = cached_reads()
    want("cached reads a second and core", cached, 1_000_000)
    with workspace() as base:
        took, rate, share, p99, _ = growth(base, GIB // 16 if quick else GIB)
    want(f"seconds until a new member with {64 if quick else 1024} MiB of state votes, {rate:.0f} MiB/s; meanwhile {share:.2f} of the writes, p99 {p99:.0f} ms", took, 60,
         at_least=False)
    assert not short, "; ".join(short)
    return (f"of etcd's: writes {ratio(('put', 64), 'etcd'):.2f} and {ratio(('put', 256), 'etcd'):.2f}, reads {ratio(('get', 64), 'etcd'):.1f}, locks "
            f"{ratio(('lock', 64), 'etcd'):.2f}; {cached / 1e6:.1f} million cached reads a second; a member with 1 GiB in {took:.0f} s")
