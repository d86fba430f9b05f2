"""The golden traces of the consensus core: every situation under src/paxos/testdata is played by hand in one thread and must read
exactly as the file says; and a trace whose expectation is altered must fail, or the comparison would see nothing."""
import os
import re
import shutil
import subprocess

from .node import ROOT

TRACES = ROOT / "src/paxos/testdata"


def play(filter_="Traces/*"):
    done = subprocess.run([ROOT / "build/debug/src/paxos/paxos_test", f"--gtest_filter={filter_}"], capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if k != "PAXOS_REWRITE"})
    return done.returncode, done.stdout


def run(quick=False):
    subprocess.run(["./dev", "build", "debug", "paxos_test"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    files = sorted(TRACES.glob("*.trace"))
    code, said = play()
    held = re.findall(r"OK \] Traces/Golden\.Trace/(\w+)", said)
    for file in files:
        title = file.read_text().removeprefix("# ").split(".")[0]
        print(f"  {file.stem:32} {'holds' if file.stem in held else 'FAILS'}  {title}", flush=True)
    assert code == 0 and len(held) == len(files), said[-3000:]
    # The control: one expected line altered.
    victim = TRACES / "commit_and_heartbeat.trace"
    kept = victim.read_text()
    spare = victim.with_suffix(".kept")
    shutil.copy(victim, spare)
    try:
        victim.write_text(kept.replace("1 commits 2 a", "1 commits 2 b", 1))
        code, _ = play("Traces/*commit_and_heartbeat")
        assert code != 0, "a trace whose expectation was altered still passes"
    finally:
        spare.replace(victim)
    commands = sum(len(re.findall(r"^> ", file.read_text(), re.M)) for file in files)
    return f"{len(held)} of {len(files)} situations hold, {commands} commands"
