"""Flipped bits and truncations in segment files, a deleted index, a full disk: never a wrong byte, each damage named, and
everything that can still work works."""
import contextlib
import hashlib
import os
import random
import subprocess
import time

from .node import Node, workspace


def contents(count, rng):
    sizes = [300, 3_000, 40_000, 400_000, 5_000_000]
    return {f"f{i}": rng.randbytes(sizes[i % len(sizes) if i % 50 == 4 else i % 4]) for i in range(count)}


def segments(node):
    return sorted((node.data / "chunks").glob("*.seg"))


def read_all(node, files):
    """How many answers were right, refused in words, wrong."""
    right = refused = 0
    for name, data in files.items():
        try:
            status, _, body = node.get(f"/damage/{name}")
        except Exception:  # noqa: BLE001: a body cut short is a refusal, not a wrong byte
            refused += 1
            continue
        if status == 200:
            assert body == data, f"{name}: wrong bytes were served"
            right += 1
        else:
            assert status >= 500, f"{name}: {status}: a damaged file must not look absent"
            assert body, f"{name}: no reason given"
            refused += 1
    return right, refused


def flips(rounds, seed):
    rng = random.Random(seed)
    files = contents(120, rng)
    with workspace() as place:
        node = Node(place / "data", set_=["store.segment_bytes=4000000"])
        with node:
            node.cli("volume", "create", "damage")
            for name, data in files.items():
                node.put("damage", name, data)
            node.publish("damage")
            assert read_all(node, files) == (len(files), 0)
        pristine = {path: path.read_bytes() for path in segments(node)}
        indexes = list((node.data / "chunks").glob("*.idx"))
        named = opened = 0
        refused_total = 0
        for number in range(rounds):
            path = rng.choice(list(pristine))
            data = bytearray(pristine[path])
            cut = number % 4 == 3
            live = number % 2 == 1  # half of them under a running, warmed-up node
            if live:
                node.start()
                read_all(node, files)
            if cut:
                data = data[: rng.randrange(len(data))]
            else:
                for _ in range(rng.choice([1, 1, 8])):
                    at = rng.randrange(len(data))
                    data[at] ^= 1 << rng.randrange(8)
            with open(path, "r+b") as file:
                file.write(data)
                file.truncate(len(data))
            if number % 5 == 0:
                for index in indexes:
                    index.unlink(missing_ok=True)
            log_before = node.log.stat().st_size if node.log.exists() else 0
            if not live:
                try:
                    node.start()
                except AssertionError as broken:
                    # Damage of the metadata itself may keep a volume from being served, but never the node from opening.
                    raise AssertionError(f"round {number}: the node did not open: {broken}") from None
            opened += 1
            _, refused = read_all(node, files)
            refused_total += refused
            if refused:
                status = node.api("GET", "/status")
                words = node.log.read_bytes()[log_before:].decode(errors="replace")
                assert status.get("quarantine") or "segment" in words, f"round {number}: damage was not named"
                named += 1
            node.kill()
            quarantine = node.data / "chunks" / "quarantine"
            quarantine.unlink(missing_ok=True)
            for victim, original in pristine.items():
                if victim.read_bytes() != original:
                    victim.write_bytes(original)
        for index in (node.data / "chunks").glob("*.idx"):
            index.unlink()
        with node:
            right, refused = read_all(node, files)
            assert refused == 0, f"{refused} files lost with the index"
        return rounds, named, refused_total


@contextlib.contextmanager
def small_disk(path, megabytes):
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def full_disk():
    with workspace() as place, small_disk(place / "small", 400) as small:
        node = Node(small / "data", log=place / "node.log",
                    set_=["group.segment_bytes=8000000", "store.reserve_bytes=20000000", "store.segment_bytes=16000000"])
        with node:
            node.cli("volume", "create", "full")
            node.put("full", "a", "one")
            node.publish("full")
            node.put("full", "a", "two")
            node.publish("full")
            kept = {}
            refused = None
            for i in range(400):
                data = os.urandom(2_000_000)
                status, answer = node.api("PUT", f"/targets/full/content?key=big{i}", data, check=False)
                if status >= 300:
                    refused = (status, answer)
                    break
                kept[f"big{i}"] = hashlib.sha256(data).hexdigest()
            assert refused, "the disk never filled up"
            assert refused[0] == 507 and refused[1]["error"]["code"] == "exhausted", f"refused as {refused}"
            # Somebody else takes the rest, to the last byte.
            ballast = small / "ballast"
            with contextlib.suppress(OSError), open(ballast, "wb") as file:
                while True:
                    file.write(b"x" * 1_000_000)
                    file.flush()
            auth = {"Authorization": f"Bearer {node.key}"}
            for key, digest in list(kept.items())[:20]:
                status, _, body = node.get(f"/api/v1/targets/full/content?key={key}", auth)
                assert status == 200 and hashlib.sha256(body).hexdigest() == digest, f"{key} unreadable on a full disk"
            assert node.get("/full/a")[2] == b"two"
            node.api("POST", "/rollback", {"volume": "full", "channel": "current"})
            assert node.get("/full/a")[2] == b"one", "rollback on a full disk"
            node.api("DELETE", "/targets/full/content?key=big0")
            ballast.unlink()
            subprocess.run(["mount", "-o", "remount,size=600m", str(small)], check=True)
            deadline = time.monotonic() + 20
            while True:
                status, answer = node.api("PUT", "/targets/full/content?key=after", os.urandom(2_000_000), check=False)
                if status < 300:
                    break
                assert time.monotonic() < deadline, f"writes do not resume: {status} {answer}"
                time.sleep(0.2)
        with node:
            assert node.get("/full/a")[2] == b"one"
            status, _, body = node.get("/api/v1/targets/full/content?key=big1", auth)
            assert status == 200 and hashlib.sha256(body).hexdigest() == kept["big1"]
    return len(kept)


def run(quick=False):
    seed = int(time.time())
    rounds, named, refused = flips(16 if quick else 100, seed)
    filled = full_disk()
    return (f"{rounds} damages (seed {seed}): no wrong byte, {refused} reads refused, all {named} that were met were named; index "
            f"rebuilt; full disk after {filled} objects: refused with 507, reads, rollback and delete worked, writes resumed")
