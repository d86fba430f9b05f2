"""Every fuzz target for ten minutes, from the corpus kept in fuzz/corpus. A crash, a leak or an input that takes ten seconds
fails; its input is kept under .cache/fuzz/findings."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess

from .node import ROOT

# Where the programs are; otherwise they are built.
BUILT = os.environ.get("HAILSTONE_FUZZERS")
SECONDS = int(os.environ.get("FUZZ_SECONDS", "600"))
AT_ONCE = int(os.environ.get("FUZZ_AT_ONCE", str(os.cpu_count() or 1)))


def targets():
    if BUILT:
        folder = pathlib.Path(BUILT)
    else:
        subprocess.run([ROOT / "dev", "build", "fuzz", "fuzzers"], check=True)
        folder = ROOT / "build/fuzz/fuzz"
    found = {p.name.removesuffix("_fuzz"): p for p in sorted(folder.glob("*_fuzz")) if os.access(p, os.X_OK)}
    sources = {p.name.removesuffix("_fuzz.cc") for p in (ROOT / "fuzz").glob("*_fuzz.cc")}
    assert sources == set(found), f"built {sorted(found)}, there are sources of {sorted(sources)}"
    return found


def fuzz(name, program, seconds):
    """Inputs tried, and the report of a failure or nothing."""
    findings, grown = ROOT / ".cache/fuzz/findings", ROOT / ".cache/fuzz" / name
    for folder in (findings, grown):
        folder.mkdir(parents=True, exist_ok=True)
    command = [program, grown, ROOT / "fuzz/corpus" / name, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096",
               "-detect_leaks=1", "-print_final_stats=1", f"-artifact_prefix={findings}/{name}-"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
                          env=dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1"))
    tried = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    return int(tried.group(1)) if tried else 0, "" if done.returncode == 0 else done.stderr[-3000:]


def run(quick=False):
    seconds = 5 if quick else SECONDS
    known = targets()
    shutil.rmtree(ROOT / ".cache/fuzz/findings", ignore_errors=True)
    tried, broken = {}, {}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(fuzz, name, program, seconds): name for name, program in known.items()}
        for done in concurrent.futures.as_completed(asked):
            name = asked[done]
            tried[name], failure = done.result()
            print(f"{name:18} {tried[name]:>12,} inputs{'  FAILED' if failure else ''}", flush=True)
            if failure:
                broken[name] = failure
    assert not broken, "\n".join(f"{name}:\n{failure}" for name, failure in broken.items())
    least = min(tried, key=tried.get)
    return (f"{len(tried)} targets, {seconds} s each, {sum(tried.values()):,} inputs (fewest {tried[least]:,} by {least}), "
            "no crash, leak or hang")
