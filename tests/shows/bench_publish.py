"""Publish of 100 changes at three sizes; clone and rollback. Runs bench/publish_bench on directories of their own."""
import json
import subprocess

from .node import ROOT, workspace


def measure(place, keys, rounds):
    done = subprocess.run([ROOT / "build/release/bench/publish_bench", str(place / f"n{keys}"), str(keys), str(rounds)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    print("  " + ", ".join(f"{k} {v}" for k, v in line.items()), flush=True)
    return line


def run(quick=False):
    subprocess.run(["./dev", "build", "release", "publish_bench"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    sizes = [10_000, 200_000] if quick else [10_000, 1_000_000, 5_000_000]
    with workspace() as place:
        lines = [measure(place, size, 30) for size in sizes]
    smallest, largest = lines[0], lines[-1]
    ratio = largest["publish_ms"] / smallest["publish_ms"]
    slowest = max(max(line["clone_ms"], line["rollback_ms"]) for line in lines)
    figure = (f"publish of 100 changes: {', '.join(str(line['publish_ms']) + ' ms at ' + str(line['keys']) for line in lines)}; "
              f"largest/smallest {ratio:.2f} (limit 2); clone and rollback at most {slowest:.2f} ms (limit 5)")
    assert ratio <= 2 and largest["publish_ms"] < 100 and slowest < 5, figure
    return figure
