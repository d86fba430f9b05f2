"""The RapidCheck properties of tree and volume with thousands of cases each: any order and batching of edits gives the same
root; merge and diff agree with naive models; heads agree with a map."""
import os
import re
import subprocess

from .node import ROOT


def run(quick=False):
    cases = 300 if quick else 3000
    subprocess.run(["./dev", "build", "debug", "tree_test", "volume_test", "chunk_test"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    total = 0
    for program in ("tree/tree_test", "volume/volume_test", "chunk/chunk_test"):
        done = subprocess.run([ROOT / "build/debug/src" / program], capture_output=True, text=True,
                              env=dict(os.environ, RC_PARAMS=f"max_success={cases} verbose_progress=0"))
        assert done.returncode == 0, f"{program} failed:\n{done.stdout[-3000:]}"
        passed = sum(map(int, re.findall(r"OK, passed (\d+) tests", done.stdout + done.stderr)))
        # RC_GTEST_PROP says nothing of its cases where all is well.
        for source in (ROOT / "src" / program).parent.glob("*_test.cc"):
            passed += cases * len(re.findall(r"^RC_GTEST_PROP", source.read_text(), re.M))
        assert passed >= cases, f"{program} ran no property"
        total += passed
    return f"{total} random cases, none failed"
