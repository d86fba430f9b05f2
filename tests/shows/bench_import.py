"""Import of 100,000 small files, durable at the end, against `ostree commit` and `rsync -a` plus sync of the same tree; then
again with 100 files changed, against `rsync -a` of the same change."""
import os
import random
import subprocess
import time

from .node import BINARY, Node, workspace


def make_tree(root, count, rng):
    for i in range(count):
        directory = root / f"d{i // 1000:03}" / f"s{i // 50 % 20:02}"
        if i % 50 == 0:
            directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{i:06}.txt").write_bytes(rng.randbytes(rng.choice([100, 700, 2000, 4000, 9000])))


def timed(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


def run(quick=False):
    count = 10_000 if quick else 100_000
    rng = random.Random(3)
    with workspace() as place:
        tree = place / "tree"
        make_tree(tree, count, rng)
        os.sync()
        repo = place / "ostree"
        subprocess.run(["ostree", f"--repo={repo}", "init", "--mode=bare-user"], check=True)

        def rsync():
            subprocess.run(["rsync", "-a", "--delete", f"{tree}/", f"{place}/copy/"], check=True)
            subprocess.run(["sync", "-f", str(place)], check=True)

        def ostree():
            subprocess.run(["ostree", f"--repo={repo}", "commit", "-b", "main", f"--tree=dir={tree}"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["sync", "-f", str(place)], check=True)

        with Node(place / "data") as node:
            node.cli("volume", "create", "bench")

            def ours():
                subprocess.run([BINARY, "import", str(tree), "bench", "--delete", "--json"], env=node.environment(), check=True, stdout=subprocess.DEVNULL)

            first = {"hailstone": timed(ours), "ostree": timed(ostree), "rsync": timed(rsync)}
            print("  first: " + ", ".join(f"{k} {v:.2f} s" for k, v in first.items()), flush=True)
            node.publish("bench")
            rounds = []
            for _ in range(3):
                for i in rng.sample(range(count), 100):
                    path = tree / f"d{i // 1000:03}" / f"s{i // 50 % 20:02}" / f"file-{i:06}.txt"
                    path.write_bytes(rng.randbytes(3000))
                os.sync()
                rounds.append((timed(ours), timed(rsync)))
                print(f"  100 changed: hailstone {rounds[-1][0]:.2f} s, rsync {rounds[-1][1]:.2f} s", flush=True)
    again = min(r[0] for r in rounds), min(r[1] for r in rounds)
    figure = (f"{count} files: {first['hailstone']:.2f} s against ostree {first['ostree']:.2f} s and rsync {first['rsync']:.2f} s; "
              f"100 changed: {again[0]:.2f} s against rsync {again[1]:.2f} s")
    assert first["hailstone"] < first["ostree"] and first["hailstone"] < first["rsync"] and again[0] < again[1], figure
    return figure
