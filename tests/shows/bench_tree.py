"""Listing 1,000 keys from random places and warm lookups in a pinned release of 1,000,000 keys."""
import subprocess

from .bench_publish import measure
from .node import ROOT, workspace


def run(quick=False):
    subprocess.run(["./dev", "build", "release", "publish_bench"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with workspace() as place:
        line = measure(place, 100_000 if quick else 1_000_000, 3)
    figure = (f"{line['keys']} keys: list of 1,000 from a random place {line['list_1000_ms']:.2f} ms (p90 {line['list_1000_p90_ms']:.2f}; "
              f"limit 3), {line['lookups_per_second']:,} lookups/s on one core (limit 200,000)")
    assert line["list_1000_ms"] <= 3 and line["lookups_per_second"] >= 200_000, figure
    return figure
