"""Puts, overwrites, deletes, publishes, dropped uploads, dedup hits on chunks that are being collected, and kill -9 at random,
while the node collects without a window and compacts: afterwards everything acknowledged is equal, and the disk holds what is
reachable plus the stated overhead. Then the cost of collecting 1,000 dead chunks among few and among many live ones."""
import collections
import contextlib
import hashlib
import http.client
import json
import os
import random
import socket
import threading
import time

from .node import Node, workspace

VOLUMES = ["soak", "other"]
SEGMENT = 4 << 20
# Bounds that docs say (src/chunk/README.md): 30 % of a segment may be dead; the active segment; and per chunk its header, its
# place in an index file and padding to a page. Nodes and lists of trees count as reachable chunks.
DEAD_SHARE, PER_CHUNK = 0.30, 64 + 48 + 4096
SETTINGS = [f"store.segment_bytes={SEGMENT}", "collect.interval_seconds=1", "collect.trash_seconds=0", "seal.edits=200",
            "scrub.bytes_per_second=4194304"]


def body(seed, size):
    """The same for the same seed; does not compress."""
    return random.Random(seed).randbytes(size)


class Client(threading.Thread):
    """Does one thing after another until its connection dies or it is told to stop. `kept`: key -> seed and size of what
    was acknowledged; `doubtful`: what may have happened besides."""

    def __init__(self, node, number, kept, shared, stop, rng):
        super().__init__(daemon=True)
        self.node, self.number, self.kept, self.shared, self.stopping, self.rng = node, number, kept, shared, stop, rng
        self.doubtful = {}
        self.releases = []
        self.counts = collections.Counter()
        self.problem = None

    def call(self, connection, method, path, data=None):
        connection.request(method, "/api/v1" + path, body=data, headers={"Authorization": f"Bearer {self.key}"})
        answer = connection.getresponse()
        raw = answer.read()
        # 503: the node is stopping or starting. 409: what was to be copied has gone, which is allowed. 404: nothing to delete.
        if answer.status >= 400 and answer.status not in (409, 503) and not (answer.status == 404 and method == "DELETE"):
            self.problem = f"{method} {path}: {answer.status} {raw[:300]!r}"
        return answer.status, json.loads(raw) if raw else None

    def run(self):
        try:
            self.key = self.node.key
            connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=200)
            while not self.stopping.is_set() and self.problem is None:
                self.step(connection)
            connection.close()
        except (OSError, http.client.HTTPException):
            pass

    def content(self):
        # A third of what is written was written before, by anybody, and may be in the trash by now or just being erased.
        if self.shared and self.rng.random() < 0.35:
            return self.rng.choice(list(self.shared))
        made = (self.rng.getrandbits(48), self.rng.choice([300, 5_000, 60_000, 400_000, 2_000_000]))
        if len(self.shared) < 400:
            self.shared.append(made)
        else:
            self.shared[self.rng.randrange(400)] = made
        return made

    def step(self, connection):
        volume = self.rng.choice(VOLUMES)
        key = f"w{self.number}/k{self.rng.randrange(25)}"
        name, chance = (volume, key), self.rng.random()
        if chance < 0.50:
            what = self.content()
            self.doubtful[name] = what
            status, _ = self.call(connection, "PUT", f"/targets/{volume}/content?key={key}", body(*what))
            self.settle(name, status, what, "puts")
        elif chance < 0.75:
            self.doubtful[name] = None
            status, _ = self.call(connection, "DELETE", f"/targets/{volume}/content?key={key}")
            self.settle(name, 200 if status == 404 else status, None, "deletes")
        elif chance < 0.85:
            source = self.rng.choice(list(self.kept) or [name])
            if self.kept.get(source) is None or source[0] == volume and source[1] == key:
                return
            what = self.kept[source]
            self.doubtful[name] = what
            edit = {"key": key, "copy_from": {"target": source[0], "key": source[1]}}
            status, _ = self.call(connection, "POST", f"/targets/{volume}/batch", json.dumps({"edits": [edit]}))
            self.settle(name, status, what, "copies")
        elif chance < 0.92:
            self.drop_upload(volume)
        else:
            expected = dict(self.kept)
            status, answer = self.call(connection, "POST", "/publish", json.dumps({"items": [{"volume": volume}], "channels": ["current"]}))
            if status < 300:
                self.counts["publishes"] += 1
                mine = {k: v for (vol, k), v in expected.items() if vol == volume}
                self.releases.append((volume, answer["releases"][0]["release"], mine))

    def settle(self, name, status, what, kind):
        if status == 409:  # nothing happened
            self.doubtful.pop(name, None)
        elif status < 300:
            self.kept[name] = what
            self.doubtful.pop(name, None)
            self.counts[kind] += 1

    def drop_upload(self, volume):
        """The head promises more than comes: what was stored of it is an orphan."""
        what = self.content()
        data = body(*what)
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=30) as s:
            s.sendall(f"PUT /api/v1/targets/{volume}/content?key=dropped HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
                      f"Content-Length: {len(data) + 3_000_000}\r\n\r\n".encode() + data + bytes(1_500_000))
        self.counts["drops"] += 1


def read(node, path):
    """Status and body; a body that is cut short has status 0, with the reason."""
    try:
        status, _, data = node.get(path, {"Authorization": f"Bearer {node.key}"} if path.startswith("/api/") else None)
        return status, data
    except (OSError, http.client.HTTPException) as cut:
        return 0, f"cut: {cut!r}".encode()


def absent(status, data):
    """There is no such key. A chunk that is not there is another matter."""
    return status == 404 and b"chunk" not in data


def check(node, kept, doubtful):
    """Every acknowledged key reads back; a doubtful one as one of both."""
    for name in set(kept) | set(doubtful):
        status, data = read(node, f"/api/v1/targets/{name[0]}/content?key={name[1]}")
        allowed = [kept.get(name)] + ([doubtful[name]] if name in doubtful else [])
        found = [w for w in allowed if (w is None and absent(status, data)) or (w is not None and status == 200 and data == body(*w))]
        assert found, f"{name}: status {status}, {len(data)} bytes, none of {allowed}: {data[:200] if status != 200 else ''}"
        kept[name] = found[0]


def check_releases(node, releases):
    """Those that retention has not let go hold what their publisher had written, bit for bit."""
    checked = 0
    for volume, release, contents in releases[-12:]:
        for key, what in contents.items():
            if what is None:
                continue
            status, data = read(node, f"/{volume}@{release}/{key}")
            if status != 200 and node.api("GET", f"/volumes/{volume}/releases/{release}", check=False)[0] == 404:
                # Let go meanwhile. Without any trash window a read under way may find half of it gone; a new one must not.
                assert read(node, f"/{volume}@{release}/{key}")[0] in (404, 410), f"{volume}@{release} is gone but answers otherwise"
                break
            assert status == 200 and data == body(*what), f"{volume}@{release}/{key}: {status}, {len(data)} bytes"
            checked += 1
    return checked


def settle(node):
    """Retention, collection and compaction until nothing moves: grace and trash of releases are over after 2 s."""
    before = None
    for _ in range(30):
        time.sleep(0.5)
        node.cli("gc", "--now", "--wait")
        usage = node.cli("gc", "--verify")
        if usage == before:
            break
        before = usage
    return usage


def soak(seconds, seed, flags=()):
    rng = random.Random(seed)
    kept, shared, total, kills, checked = {}, [], collections.Counter(), 0, 0
    with workspace() as place, contextlib.ExitStack() as stack:
        node = Node(place / "data", set_=[*SETTINGS, *flags])
        stack.callback(node.kill)  # none is left behind when a check fails
        node.start(timeout=300)
        for volume in VOLUMES:
            node.cli("volume", "create", volume, "--grace", "1", "--keep-releases", "3", "--trash", "1")
        deadline = time.monotonic() + seconds
        releases = []
        while time.monotonic() < deadline:
            stop = threading.Event()
            clients = [Client(node, n, {k: v for k, v in kept.items() if k[1].startswith(f"w{n}/")}, shared, stop,
                              random.Random(rng.getrandbits(64))) for n in range(6)]
            for client in clients:
                client.start()
            time.sleep(min(rng.uniform(1.5, 8), max(1.0, deadline - time.monotonic())))
            last = time.monotonic() >= deadline
            if not last:
                node.kill()
                kills += 1
            stop.set()
            doubtful = {}
            for client in clients:
                client.join(300)
                assert client.problem is None, client.problem
                kept.update(client.kept)
                doubtful.update(client.doubtful)
                total.update(client.counts)
                # Of a release only its own publisher knows exactly what was in it, of its own keys.
                releases += client.releases
            if not last:
                node.start(timeout=300)
            check(node, kept, doubtful)
            checked += check_releases(node, releases)
        node.publish(*VOLUMES)  # what unsealed edits name has no count: it waits in the trash, pinned
        usage = settle(node)
        check(node, kept, {})
        checked += check_releases(node, releases)
        assert node.cli("scrub", "--now")["damaged"] == 0
        chunks, live = usage["reachable_chunks"], usage["reachable_bytes"]
        disk = sum(f.stat().st_size for f in (place / "data/chunks").iterdir())
        bound = (live + chunks * PER_CHUNK) / (1 - DEAD_SHARE) + 2 * SEGMENT
        assert usage["trash_chunks"] == 0, f"{usage['trash_chunks']} chunks stay in the trash with no window"
        assert disk <= bound, f"{disk} bytes on disk for {live} reachable in {chunks} chunks: at most {bound:.0f} was promised"
        metrics = node.get("/metrics")[2].decode()
        value = {l.split()[0]: float(l.split()[1]) for l in metrics.splitlines() if l and not l.startswith("#") and "{" not in l}
        node.stop()
    done = ", ".join(f"{total[k]} {k}" for k in ("puts", "copies", "deletes", "drops", "publishes"))
    return (f"{done}, {kills} kills, {len(kept)} keys and {checked} files of releases equal; "
            f"{disk / 2**20:.1f} MiB on disk for {live / 2**20:.1f} reachable (bound {bound / 2**20:.1f}); "
            f"since the last start {value['hailstone_collect_erased_chunks_total']:.0f} chunks erased, "
            f"{value['hailstone_compact_segments_total']:.0f} segments compacted")


Cost = collections.namedtuple("Cost", "cpu work wall")


def cpu_seconds(pid):
    """To the nanosecond: the kernel's clock of another process (clock_getcpuclockid(3)). /proc has steps of 10 ms."""
    return time.clock_gettime(~pid << 3 | 2)


def cost(live):
    """Of a collection that finds 1,000 dead chunks among `live` others, the least of three: seconds of the node's processor
    time, references counted and chunks erased, seconds by the clock. The clock also sees what else the machine and its disk do."""
    costs = []
    with workspace() as place, Node(place / "data", set_=["collect.interval_seconds=0", "collect.trash_seconds=0",
                                                          "scrub.bytes_per_second=0", "collect.compact_dead_percent=0"]) as node:
        node.patience = 900  # sealing a million edits at once
        node.cli("volume", "create", "big", "--grace", "0", "--keep-releases", "1", "--trash", "0")

        def fill(prefix, count):
            for start in range(0, count, 4000):
                edits = [{"key": f"{prefix}{i:08}", "text": hashlib.sha256(f"{prefix}{i}".encode()).hexdigest() * 12}
                         for i in range(start, min(count, start + 4000))]
                node.api("POST", "/targets/big/batch", {"edits": edits})

        fill("live/", live)
        node.publish("big")
        for turn in range(3):
            fill(f"dead{turn}/", 1000)
            node.publish("big")
            node.cli("gc", "--now", "--wait")
            node.api("POST", "/targets/big/batch", {"edits": [{"key": f"dead{turn}/{i:08}", "delete": True} for i in range(1000)]})
            node.publish("big")
            time.sleep(0.1)
            erased, counted, wall, before = 0, 0, 0.0, cpu_seconds(node.process.pid)
            for _ in range(4):  # trashing a release, purging it, and collecting what it held
                result = node.cli("gc", "--now", "--wait")
                wall += node.cli("gc", "--status")["collect"]["took_ms"] / 1000
                erased += result["erased"]
                counted += result["counted"]
            assert erased >= 1000, f"{erased} chunks erased of 1,000 dead ones"
            costs.append(Cost(cpu_seconds(node.process.pid) - before, counted + erased, wall))
    return Cost(*map(min, zip(*costs)))


def run(quick=False):
    minutes = float(os.environ.get("GC_SOAK_MINUTES", "60"))
    said = soak(40 if quick else minutes * 60, int(os.environ.get("GC_SOAK_SEED", "7")))
    few, many = 10_000, 200_000 if quick else 1_000_000
    small, large = cost(few), cost(many)
    told = (f"1,000 dead chunks collected in {small.cpu * 1000:.0f} ms of CPU ({small.wall * 1000:.0f} ms by the clock, "
            f"{small.work:,} references and chunks) among {few:,} live ones, {large.cpu * 1000:.0f} ms ({large.wall * 1000:.0f} ms, "
            f"{large.work:,}) among {many:,}")
    assert large.cpu <= 2 * small.cpu and large.work <= 2 * small.work, told
    return f"{said}; {told}"
