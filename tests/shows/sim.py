"""The consensus core in virtual time, a quarter of it on real logs over simulated disks: clusters of 3 and 5, several groups each,
under every fault at once, judged by an oracle and by the clients' histories; clocks beyond the stated bound must show; every planted bug must be caught."""
import re
import subprocess
import sys

from .node import ROOT

SIM = ROOT / "build/release/sim/hailstone-sim"
# One of each kind: what is durable, phase 1, phase 2, leases, reads, damage, members.
SOME_MUTANTS = ["promise-before-persist", "ack-before-persist", "no-parent-cut", "commits-below-quorum", "lease-without-margin",
                "read-index-zero", "damage-as-torn-tail", "config-counts-early", "log-forgets-sync", "cuts-before-later-batch",
                "promises-copy-ignored", "fence-ignored"]


def seeds(*arguments):
    done = subprocess.run([SIM, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout.strip().splitlines()


def run(quick=False):
    count = 2000 if quick else 20000
    code, said = seeds("--count", count)
    assert code == 0, said[-1]
    figure = said[-1]
    print("  " + figure, flush=True)
    operations = int(re.search(r"(\d+) operations", figure).group(1))
    real = int(re.search(r"(\d+) on real logs", figure).group(1))
    assert real >= count // 5, f"only {real} of {count} seeds on real logs"
    assert quick or operations >= 1_000_000, f"only {operations} operations"
    code, said = seeds("--count", 1000, "--stale", "--keep-going")
    assert code == 1, "clocks beyond the bound showed no stale read: the checker does not see"
    print(f"  clocks beyond the bound: {said[-1]}", flush=True)
    jobs = [["--only", name] for name in SOME_MUTANTS] if quick else [[]]
    caught = []
    for job in jobs:
        done = subprocess.run([sys.executable, ROOT / "sim/mutants.py", "--build", "build/release", *job], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        caught += done.stdout.splitlines()[:-1]
    print("\n".join("  " + line[:150] for line in caught), flush=True)
    return f"{figure}; {len(caught)} of {len(caught)} planted bugs caught"
