"""The cell's service and client cores in virtual time (src/cell/bench.h): members, leaders and links come and go, clocks drift up to the
bound; a judge knows what was promised. Then the mistakes planted in them, each of which must be found, and CLD's defects, each a test."""
import os
import re
import subprocess

from .node import ROOT

TEST = ROOT / "build/debug/src/cell/cell_test"
CLD = ["Locks.UnlockWakesTheWaiter", "History.EventCountEqualsChangeCount", "Files.CreateWithContentIsAtomic",
       "Sessions.OneLeaseLengthWithinTheSettingsIsTold"]


def test(filter_, **environment):
    done = subprocess.run([TEST, f"--gtest_filter={filter_}"], capture_output=True, text=True, env=dict(os.environ, **environment))
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"\[  PASSED  \] (\d+) test", done.stdout)
    return int(passed.group(1)), done.stdout


def run(quick=False):
    subprocess.run(["./dev", "build", "debug", "cell_test"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seeds, workers = (8 if quick else 600), os.cpu_count() or 1
    share = seeds // workers
    running = [subprocess.Popen([TEST, "--gtest_filter=Bench.KeepsEveryPromiseOverMoreSeeds"], stdout=subprocess.PIPE, text=True,
                                env=dict(os.environ, HAILSTONE_BENCH_SEEDS=str(share), HAILSTONE_BENCH_FROM=str(1000 + i * share)))
               for i in range(workers)]
    counts = {}
    for each in running:
        out = each.communicate()[0]
        assert each.returncode == 0, out[-4000:]
        for number, what in re.findall(r"(\d+) ([a-z][a-z -]*), ", re.search(r"in all: (.*)", out).group(1) + " "):
            counts[what] = counts.get(what, 0) + int(number)
    print("  " + ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items())), flush=True)
    found, out = test("Mistakes/Planted.*")
    for line in re.findall(r"^(\w+: seed \d+): .*$", out, re.M):
        print(f"  planted {line}", flush=True)
    listed = subprocess.run([TEST, "--gtest_list_tests"], capture_output=True, text=True, check=True).stdout
    missing = [name for name in CLD if f"  {name.split('.')[1]}\n" not in listed]
    assert not missing, f"no such tests: {missing}"
    defects, _ = test(":".join("*." + name.split(".")[1] for name in CLD))
    return f"{share * workers} seeds without a violation, {found} planted mistakes found, {defects} defects of CLD tested"
