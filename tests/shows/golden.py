"""The golden traces of the consensus core: every situation under src/paxos/testdata is played by hand in one thread and must read
exactly as the file says; and a trace whose expectation is altered must fail, or the comparison would see nothing."""
import os
import pathlib
import re
import subprocess
import tempfile

from .node import ROOT

TRACES = ROOT / "src/paxos/testdata"


def play(traces):
    environment = {k: v for k, v in os.environ.items() if k != "PAXOS_REWRITE"} | {"PAXOS_TRACES": str(traces)}
    done = subprocess.run([ROOT / "build/debug/src/paxos/paxos_test", "--gtest_filter=Traces/*"], capture_output=True, text=True,
                          env=environment)
    return done.returncode, done.stdout


def run(quick=False):
    subprocess.run(["./dev", "build", "debug", "paxos_test"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    files = sorted(TRACES.glob("*.trace"))
    code, said = play(TRACES)
    held = re.findall(r"OK \] Traces/Golden\.Trace/(\w+)", said)
    for file in files:
        title = file.read_text().removeprefix("# ").split(".")[0]
        print(f"  {file.stem:32} {'holds' if file.stem in held else 'FAILS'}  {title}", flush=True)
    assert code == 0 and len(held) == len(files), said[-3000:]
    # The control: one expected line altered.
    with tempfile.TemporaryDirectory() as altered:
        name = "commit_and_heartbeat.trace"
        pathlib.Path(altered, name).write_text((TRACES / name).read_text().replace("1 commits 2 a", "1 commits 2 b", 1))
        code, said = play(altered)
        assert code != 0 and "commits 2 b" in said, "a trace whose expectation was altered still passes"
    commands = sum(len(re.findall(r"^> ", file.read_text(), re.M)) for file in files)
    return f"{len(held)} of {len(files)} situations hold, {commands} commands"
