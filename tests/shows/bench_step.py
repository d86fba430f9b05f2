"""What a step of the consensus core costs: CPU time of an accept round (a leader and two followers), memory of a member with nothing
to do, events of the simulator, lines of the core. Times are CPU times: the machine may be busy."""
import json
import re
import subprocess

from .node import ROOT

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


# TODO(soon): of the host, restart to serving with 1,000,000 records of 256 B (limit 1 s) and catch-up of a 1 GiB state while serving
# (limit 300 MB/s): functions like those above, added here.
PARTS = [accept_round, idle_member, simulator, core_lines]


def run(quick=False):
    subprocess.run(["./dev", "build", "release", "paxos_bench", "hailstone-sim"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    figures, short = [], False
    for part in PARTS:
        holds, figure = part(quick)
        print(f"  {'' if holds else 'SHORT: '}{figure}", flush=True)
        figures.append(figure)
        short |= not holds
    assert not short, "; ".join(figures)
    return "; ".join(figures)
