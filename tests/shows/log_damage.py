"""Flipped bytes in the log and in the databases of real register nodes. Of a minority: found, given again by the others, never served,
nothing acknowledged lost. Of a majority: nothing is answered on a guess, and what is damaged is named."""
import contextlib
import os
import pathlib
import random
import re
import time

from .node import workspace
from .register import ABSENT, GET, OK, PUT, Cluster, Connection, Gone, Writer, build, read_sized, sized

OPTIONS = ["--flush-bytes=300000", "--segment-bytes=1048576", "--memtable-bytes=262144"]


def value_of(key, turn):
    return b"%s=%d;" % (key, turn) * (1 + turn % 40)


class Contents:
    """What was acknowledged, and nothing else may be read."""

    def __init__(self):
        self.turns, self.turn = {}, 0

    def write(self, cluster, count):
        writer = Writer(cluster, timeout=10)
        for _ in range(count):
            self.turn += 1
            key = b"d%d" % (self.turn % 400)
            deadline = time.monotonic() + 30
            while True:  # again until it is acknowledged: the same value, so that it does not matter how often it was done
                assert time.monotonic() < deadline, "no write for 30 s"
                with contextlib.suppress(Gone):
                    if writer.call(PUT, sized(key) + sized(value_of(key, self.turn)))[0] == OK:
                        break
            self.turns[key] = self.turn
        writer.close()

    def check(self, cluster, i):
        """All of it, read at that node."""
        connection = None
        deadline = time.monotonic() + 60
        for key, turn in self.turns.items():
            while True:
                assert time.monotonic() < deadline, f"node {i + 1} does not serve"
                try:
                    connection = connection or Connection(cluster.client_address(i), 5)
                    kind, rest = connection.call(GET, sized(key))
                except Gone:
                    connection = None
                    time.sleep(0.02)
                    continue
                if kind in (OK, ABSENT):
                    break
                time.sleep(0.02)
            assert kind == OK, f"node {i + 1}: {key.decode()} is lost"
            assert read_sized(rest)[0] == value_of(key, turn), f"node {i + 1}: {key.decode()} reads as something else"
        if connection:
            connection.close()


def files(cluster, i):
    base = cluster.directory / str(i)
    found = [path for path in base.rglob("*") if path.is_file() and path.stat().st_size and ".damaged" not in str(path)]
    current = base / "log" / "current"
    number = current.read_text().split()[0] if current.exists() else "1"
    log = base / "log" / ("" if number == "1" else f"log-{number}")  # where it is since a damaged one was set aside
    return [path for path in found if path.parent == log and "segment" in path.name
            or re.search(r"/log/promises|\.sst$|MANIFEST|CURRENT", str(path))]


def used_bytes(path):
    """Zero-filled ends of segments hold nothing."""
    return len(path.read_bytes().rstrip(b"\0")) or 1


def flip(path, rng):
    data = bytearray(path.read_bytes())
    at = rng.randrange(used_bytes(path))
    data[at] ^= 1 << rng.randrange(8)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data[at:at + 1])
    return at


def log_of(cluster, i):
    return (cluster.directory / f"log-{i}").read_text()


def minority(cluster, contents, rng):
    victim = rng.randrange(cluster.count)
    running = rng.random() < 0.3
    if not running:
        cluster.vanish(victim) if rng.random() < 0.5 else cluster.end(victim)
    by_kind = {}
    for path in files(cluster, victim):
        by_kind.setdefault("log" if "log" in path.relative_to(cluster.directory / str(victim)).parts
                           else "database", []).append(path)
    kind = rng.choice(sorted(by_kind))
    path = rng.choice(by_kind[kind])
    said = len(log_of(cluster, victim))
    at = flip(path, rng)
    contents.write(cluster, 150)
    if running:
        cluster.vanish(victim)
    cluster.start(victim)
    contents.write(cluster, 20)
    contents.check(cluster, victim)
    noticed = "damage" in log_of(cluster, victim)[said:]
    return kind, path, at, noticed


def majority(cluster, contents, rng):
    """The logs of two of three: the third can't know what the two had promised and lost."""
    victims = rng.sample(range(cluster.count), 2)
    saved = {}
    for i in range(cluster.count):
        cluster.vanish(i)
    for victim in victims:
        segments = [path for path in files(cluster, victim) if "segment" in path.name and used_bytes(path) > 20000]
        path = max(segments, key=lambda each: each.name)
        saved[path] = path.read_bytes()
        with open(path, "r+b") as file:
            # Each batch begins a block of 4,096 bytes; small ones leave the rest of it empty.
            at = used_bytes(path) * 3 // 4 // 4096 * 4096 + 60
            file.seek(at)
            garbled = bytes(byte ^ 0xFF for byte in file.read(16))
            file.seek(at)
            file.write(garbled)
    originals = {}
    for victim in victims:  # a salvaged log leaves the damaged one, and begins a new one beside it
        base = cluster.directory / str(victim)
        originals[victim] = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    said = {victim: len(log_of(cluster, victim)) for victim in victims}
    for i in range(cluster.count):
        cluster.start(i)
    deadline = time.monotonic() + 6
    answered = []
    while time.monotonic() < deadline:
        for i in range(cluster.count):
            with contextlib.suppress(Gone):
                connection = Connection(cluster.client_address(i), 3)
                key, turn = rng.choice(sorted(contents.turns.items()))
                kind, rest = connection.call(GET, sized(key))
                connection.close()
                if kind == ABSENT or kind == OK and read_sized(rest)[0] != value_of(key, turn):
                    raise AssertionError(f"node {i + 1} answered with what is not so: {key.decode()}")
                answered.append(kind == OK)
        time.sleep(0.2)
    named = [re.search(r"segment-\d+", log_of(cluster, victim)[said[victim]:]) is not None for victim in victims]
    assert all(named), "the damage is not named: " + "".join(log_of(cluster, victim)[said[victim]:][:1500] for victim in victims)
    assert not any(answered), "two of three are blind, and yet somebody leads"
    # Whoever has the bytes can put them back.
    for i in range(cluster.count):
        cluster.vanish(i)
    for victim in victims:
        base = cluster.directory / str(victim)
        for path in [path for path in base.rglob("*") if path.is_file() and path not in originals[victim]]:
            path.unlink()
        for path, data in originals[victim].items():
            path.write_bytes(saved.get(path, data))
        with contextlib.suppress(FileNotFoundError):
            (base / "log" / "current").unlink()
        for path, data in originals[victim].items():
            if path.name == "current":
                path.write_bytes(data)
    for i in range(cluster.count):
        cluster.start(i)
    cluster.wait_for_leader()
    contents.check(cluster, victims[0])


def run(quick=False):
    build()
    seed = int(os.environ.get("HAILSTONE_SEED", 11))
    rng = random.Random(seed)
    with workspace() as base, Cluster(base / "cluster", options=OPTIONS) as cluster:
        contents = Contents()
        contents.write(cluster, 1500)
        count = 10 if quick else 120
        tally = {}
        for number in range(count):
            kind, path, at, noticed = minority(cluster, contents, rng)
            tally.setdefault(kind, []).append(noticed)
            print(f"  {number + 1:3} {path.relative_to(base / 'cluster')} byte {at}: {'found and mended' if noticed else 'not in use'}",
                  flush=True)
        for i in range(cluster.count):
            contents.check(cluster, i)
        majorities = 1 if quick else 5
        for _ in range(majorities):
            contents.write(cluster, 300)  # a log that was trimmed just now has nothing to be damaged
            majority(cluster, contents, rng)
        found = sum(sum(each) for each in tally.values())
    assert found >= count // 5, f"only {found} of {count} damages were noticed: the test does not hit"
    return (f"{count} flipped bytes ({', '.join(f'{len(v)} {k}' for k, v in sorted(tally.items()))}), {found} noticed and mended, no wrong "
            f"answer; {majorities} times a majority of logs: nothing served, damage named, whole again with the bytes put back")
