"""Crash at every disk operation on the simulated disk; then kill -9 of a real node under mixed load, 200 times over one data
directory: whatever was acknowledged is there and equal, batches are whole, the store opens by itself."""
import hashlib
import http.client
import json
import random
import re
import subprocess
import threading
import time

from .node import ROOT, Node, workspace

SEAM = {"server/server_test": "*NodeCrash*", "replica/replica_test": "*Crash*", "log/log_test": "*Crash*", "chunk/chunk_test": "*Crash*"}
STAMPS = ["a", "b", "c", "d"]


def seam():
    subprocess.run(["./dev", "build", "debug", *(p.split("/")[1] for p in SEAM)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    points = 0
    for program, cases in SEAM.items():
        done = subprocess.run([ROOT / "build/debug/src" / program, f"--gtest_filter={cases}"], capture_output=True, text=True)
        assert done.returncode == 0, f"{program} failed:\n{done.stdout[-3000:]}"
        assert "[  PASSED  ] 0 tests" not in done.stdout, f"{program} has no crash tests"
        points += sum(map(int, re.findall(r"crashed at (\d+) of", done.stdout)))
    return points


def body_of(key, version):
    seed = hashlib.sha256(f"{key} {version}".encode()).digest()
    size = [40, 900, 9_000, 300_000][seed[0] % 4]
    return (f"{key} {version}\n".encode() + seed * (size // 32 + 1))[:size]


class Client(threading.Thread):
    """Writes until its connection dies. What was acknowledged goes to `kept`, what was on its way to `doubtful`."""

    def __init__(self, node, model, number, rng):
        super().__init__(daemon=True)
        self.node, self.model, self.number, self.rng = node, model, number, rng
        self.key = node.key
        self.problem = None

    def call(self, connection, method, path, body):
        connection.request(method, "/api/v1" + path, body=body, headers={"Authorization": f"Bearer {self.key}"})
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 300 and answer.status != 503:
            self.problem = f"{method} {path}: {answer.status} {data[:200]!r}"
        return answer.status, json.loads(data) if data else None

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=30)
        try:
            while self.problem is None:
                self.work(connection)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()


class Putter(Client):
    def work(self, connection):
        key = f"w{self.number}/k{self.rng.randint(0, 30)}"
        with self.model.lock:
            version = self.model.versions.get(key, 0) + 1
            self.model.versions[key] = version
        self.model.doubtful[key] = version
        status, _ = self.call(connection, "PUT", f"/targets/crash/content?key={key}", body_of(key, version))
        if status < 300:
            self.model.kept[key] = version
            del self.model.doubtful[key]


class PublishingClient(Client):
    def work(self, connection):
        model = self.model
        stamp = model.stamp + 1
        model.stamp = stamp
        edits = [{"key": f"stamp-{s}", "text": f"stamp {stamp}"} for s in STAMPS]
        model.stamp_doubtful = stamp
        status, _ = self.call(connection, "POST", "/targets/crash/batch", json.dumps({"edits": edits}))
        if status >= 300:
            return
        model.stamp_kept = stamp
        model.flip_doubtful = True
        status, answer = self.call(connection, "POST", "/publish", json.dumps({"items": [{"volume": "crash"}], "channels": ["current"]}))
        if status < 300:
            release = answer["releases"][0]["release"]
            model.releases[release] = stamp
            model.current, model.flip_doubtful = release, False
        if self.rng.random() < 0.2 and model.current > 1:
            model.flip_doubtful = True
            status, answer = self.call(connection, "POST", "/rollback", json.dumps({"volume": "crash", "channel": "current"}))
            if status < 300:
                model.current, model.flip_doubtful = answer["to"], False


class Model:
    def __init__(self):
        self.lock = threading.Lock()
        self.versions, self.kept, self.doubtful = {}, {}, {}
        self.stamp = self.stamp_kept = self.stamp_doubtful = 0
        self.releases, self.current, self.flip_doubtful = {}, 0, False

    def check(self, node):
        key = {"Authorization": f"Bearer {node.key}"}
        for name in set(self.kept) | set(self.doubtful):
            status, _, body = node.get(f"/api/v1/targets/crash/content?key={name}", key)
            allowed = {self.kept.get(name), self.doubtful.get(name)} - {None}
            found = None
            if status == 200:
                found = int(body.split(b"\n")[0].split()[1])
                assert body == body_of(name, found), f"{name}: bytes are not those of version {found}"
                assert found in allowed, f"{name}: version {found} is none of {allowed}"
                self.kept[name] = found
            else:
                assert status == 404 and name not in self.kept, f"{name}: {status}, version {self.kept.get(name)} was acknowledged"
        self.doubtful.clear()
        heads = {node.get(f"/api/v1/targets/crash/content?key=stamp-{s}", key)[2] for s in STAMPS}
        assert len(heads) == 1, f"half a batch: {heads}"
        for release in list(self.releases)[-20:]:
            for s in STAMPS:
                status, _, body = node.get(f"/crash@{release}/stamp-{s}")
                assert (status, body) == (200, f"stamp {self.releases[release]}".encode()), f"release {release}: {status} {body[:80]!r}"
        if self.releases or self.flip_doubtful:
            status, headers, _ = node.get("/crash/stamp-a")
            if self.releases:
                assert status == 200, f"channel: {status}"
            if status == 200:
                now = int({k.lower(): v for k, v in headers.items()}["x-hailstone-release"])
                assert self.flip_doubtful or now == self.current, f"channel at {now}, acknowledged {self.current}"
                self.current, self.flip_doubtful = now, False


def kill_nine(rounds, seed):
    rng = random.Random(seed)
    model = Model()
    with workspace() as place:
        node = Node(place / "data", set_=["group.flush_bytes=1000000", "store.segment_bytes=20000000", "seal.edits=200"])
        node.start()
        node.cli("volume", "create", "crash", "--checks", "off")
        slowest = 0.0
        for number in range(rounds):
            clients = [Putter(node, model, i, random.Random(rng.random())) for i in range(4)]
            clients.append(PublishingClient(node, model, 9, random.Random(rng.random())))
            for client in clients:
                client.start()
            time.sleep(rng.uniform(0.01, 0.35))
            node.kill()
            for client in clients:
                client.join(40)
                assert client.problem is None, client.problem
            started = time.monotonic()
            node.start()
            slowest = max(slowest, time.monotonic() - started)
            try:
                model.check(node)
            except AssertionError as broken:
                raise AssertionError(f"after kill {number + 1} (seed {seed}): {broken}") from None
        node.stop()
    return len(model.kept), sum(model.versions.values()), len(model.releases), slowest


def run(quick=False):
    points = seam()
    rounds = 25 if quick else 200
    seed = int(time.time())
    kept, versions, releases, slowest = kill_nine(rounds, seed)
    return (f"{points} crash points on the simulated disk; {rounds} kills (seed {seed}): {versions} puts to {kept} keys and "
            f"{releases} releases, all acknowledged ones equal; slowest restart {slowest:.2f} s")
