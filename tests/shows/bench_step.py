"""What a step of the consensus core costs: CPU time of an accept round (a leader and two followers), memory of a member with nothing
to do, events of the simulator, lines of the core: CPU times, as the machine may be busy. And what the host adds: restart, catch-up."""
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import time

from .node import ROOT, workspace
from .register import BENCH, OK, PUT, Cluster, Connection, Gone, sized

BUILD = ROOT / "build/release"


def benchmark(pattern, *arguments):
    done = subprocess.run([BUILD / "bench/paxos_bench", f"--benchmark_filter={pattern}", "--benchmark_format=json", *arguments],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["benchmarks"]


def accept_round(quick):
    rounds = benchmark("accept_round/members:3/batch:1$", f"--benchmark_repetitions={5 if quick else 15}")
    micros = next(line["cpu_time"] for line in rounds if line["name"].endswith("_median")) / 1000
    return micros <= 2, f"accept round of three members {micros:.2f} us (limit 2)"


def idle_member(quick):
    most = max(line["bytes_allocated_a_member"] for line in benchmark("idle_group"))
    return most <= 4096, f"idle member {most:.0f} B (limit 4,096)"


def simulator(quick):
    done = subprocess.run([BUILD / "sim/hailstone-sim", "--count", "500" if quick else "5000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    rate = int(re.search(r"(\d+) events/s", done.stdout).group(1))
    return rate >= 300_000, f"simulator {rate:,} events/s a core (limit 300,000)"


def core_lines(quick):
    # What the library is built of: neither tests nor the players of scenarios.
    text = (ROOT / "src/paxos/CMakeLists.txt").read_text()
    sources = re.search(r"SRCS (.*)", text).group(1).split()
    files = [ROOT / "src/paxos" / name for name in sources]
    files += [file for file in (ROOT / "src/paxos").glob("*.h") if not file.name.startswith("scenario")]
    lines = sum(len(file.read_text().splitlines()) for file in files)
    return lines <= 4000, f"core {lines:,} lines (limit 4,000)"


def restart(quick):
    """A node of its own whose log holds so many records of 256 bytes, killed, until it has acknowledged the next write."""
    records = 100_000 if quick else 1_000_000
    options = ["--supervised=0", "--flush-bytes=4000000000"]  # nothing lets the log go
    with workspace() as base, Cluster(base / "restart", isolated=False, options=options, count=1, port=18100) as cluster:
        written = 0
        while written < records:
            written += put(cluster, "--clients=256", "--seconds=3", "--warm-up=0", "--keys=1000000")["done"]
        took = []
        for _ in range(3):
            cluster.supervisors[0].kill()
            cluster.supervisors[0].wait()
            began = time.monotonic()
            cluster.start(0)
            while True:
                with contextlib.suppress(Gone):
                    if Connection(cluster.client_address(0), 5).call(PUT, sized(b"probe") + sized(b"again"))[0] == OK:
                        break
                time.sleep(0.002)
            took.append(time.monotonic() - began)
    per_million = statistics.median(took) * 1_000_000 / written
    holds = per_million <= 1 or quick  # a small log is mostly the start of a process
    return holds, f"restart with {written:,} records in the log {statistics.median(took):.2f} s, {per_million:.2f} s a million (limit 1)"


def catch_up(quick):
    """A member without its database, whom no log can help, while the others are written to."""
    keys, size = (4096 if quick else 65536), 16384
    with workspace() as base, Cluster(base / "catch-up", isolated=False, port=18200) as cluster:
        behind = (cluster.wait_for_leader() + 1) % cluster.count
        cluster.end(behind)
        written = 0
        while written < keys * 1.3:
            written += put(cluster, "--clients=64", "--seconds=4", f"--value-bytes={size}", f"--keys={keys}")["done"]
        shutil.rmtree(cluster.directory / str(behind) / "group-0")
        serving = subprocess.Popen([BENCH / "register_load", "register", *members(cluster), "--clients=4", "--seconds=30", "--keys=1000"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        began = time.monotonic()
        cluster.start(behind)
        leader = cluster.wait_for_leader()
        while True:
            with contextlib.suppress(Gone, ValueError, IndexError):
                if chosen(cluster, behind) + 5000 > chosen(cluster, leader):
                    break
            assert time.monotonic() - began < 120, "it does not catch up"
            time.sleep(0.01)
        took = time.monotonic() - began
        serving.kill()
        serving.wait()
    rate = keys * size / took / 1e6
    return rate >= 300 or quick, f"catch-up of {keys * size >> 20} MiB in {took:.2f} s, {rate:.0f} MB/s while serving (limit 300)"


def members(cluster):
    return [f"--member={i + 1}={cluster.client_address(i)[1]}" for i in range(cluster.count)]


def put(cluster, *arguments):
    done = subprocess.run([BENCH / "register_load", "register", *members(cluster), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def chosen(cluster, i):
    words = cluster.status(i).split()
    return int(words[words.index("chosen") + 1])


PARTS = [accept_round, idle_member, simulator, core_lines, restart, catch_up]


def run(quick=False):
    subprocess.run(["./dev", "build", "release", "paxos_bench", "hailstone-sim", "register_node", "register_load"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    figures, short = [], False
    for part in PARTS:
        holds, figure = part(quick)
        print(f"  {'' if holds else 'SHORT: '}{figure}", flush=True)
        figures.append(figure)
        short |= not holds
    assert not short, "; ".join(figures)
    return "; ".join(figures)
