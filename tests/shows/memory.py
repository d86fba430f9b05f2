"""Resident memory of a node that serves 5,000,000 keys at default settings, after reads all over them."""
import random
import subprocess

from .node import Node, ROOT, workspace


def run(quick=False):
    subprocess.run(["./dev", "build", "release", "publish_bench"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    keys = 200_000 if quick else 5_000_000
    rng = random.Random(1)
    with workspace() as place:
        data = place / "data"
        subprocess.run([ROOT / "build/release/bench/publish_bench", str(data), str(keys), "2"], check=True, stdout=subprocess.DEVNULL)
        with Node(data) as node:
            started = node.resident_bytes()
            for i in range(3_000 if quick else 40_000):
                number = rng.randrange(keys)
                name = f"pool/main/{number // 40_000:03}/package-{number // 4:07}/package-{number // 4:07}_1.{number % 4}_amd64.deb"
                status, _, _ = node.get(f"/bench/{name}")
                assert status == 200, f"{name}: {status}"
                if i % 1000 == 0:
                    assert node.get(f"/bench/pool/main/{number // 40_000:03}/?format=json")[0] == 200
                    assert node.get("/bench/-/search?q=package&format=json")[0] == 200
            resident = node.resident_bytes()
    figure = f"{keys} keys: {started / 2**20:.0f} MiB at start, {resident / 2**20:.0f} MiB after reads all over (limit 1024)"
    assert resident < 2**30, figure
    return figure
