"""A cluster of register nodes (bench/register) as real processes, each in a network namespace of its own, and clients that keep a
history of what they saw."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from .node import ROOT

BENCH = ROOT / "build/release/bench"
CHECK = ROOT / "build/release/sim/check_history"
PUT, CAS, GET, RESIGN, STATUS = 1, 2, 3, 4, 5
OK, MISMATCH, ABSENT, REFUSED, UNCERTAIN = 0, 1, 2, 3, 4


def build():
    subprocess.run(["./dev", "build", "release", "register_node", "register_load", "register_floor", "check_history"], cwd=ROOT,
                   check=True, stdout=subprocess.DEVNULL)


def sized(value):
    length, out = len(value), b""
    while length >= 0x80:
        out += bytes([length & 0x7F | 0x80])
        length >>= 7
    return out + bytes([length]) + value


def read_sized(data):
    length = shift = at = 0
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return data[at:at + length], data[at + length:]


class Gone(Exception):
    """The connection ended, or nothing came in time: a call under way may be done."""


class Connection:
    def __init__(self, address, timeout):
        try:
            self.socket = socket.create_connection(address, timeout=min(timeout, 0.5))
        except OSError as error:
            raise Gone(str(error)) from error
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.calls, self.buffer = 0, b""

    def call(self, operation, body=b""):
        self.calls += 1
        try:
            self.socket.sendall(struct.pack("<IQB", 9 + len(body), self.calls, operation) + body)
            while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("<I", self.buffer)[0]:
                got = self.socket.recv(1 << 16)
                if not got:
                    raise Gone("closed")
                self.buffer += got
        except OSError as error:
            raise Gone(str(error)) from error
        size = struct.unpack_from("<I", self.buffer)[0]
        answer, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
        number, kind = struct.unpack_from("<QB", answer)
        assert number == self.calls, "an answer to another call"
        return kind, answer[9:]

    def close(self):
        self.socket.close()


class Cluster:
    """Three nodes; `isolated` gives each a namespace of its own, so that links can be cut one way."""

    def __init__(self, directory, isolated=True, options=(), count=3, port=17400):
        self.directory, self.options, self.count, self.port = pathlib.Path(directory), list(options), count, port
        self.isolated = isolated
        self.supervisors = [None] * count
        self.tag = f"hs{os.getpid() % 10000}"
        self.subnet = f"10.231.{os.getpid() % 250}"  # of this run alone: another one would answer in its place
        self.cut_routes = set()

    def address(self, i):
        return f"{self.subnet}.{i + 1}" if self.isolated else "127.0.0.1"

    def client_address(self, i):
        return self.address(i), self.port + 100 + i

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if self.isolated:
            taken = subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True).stdout
            assert f"{self.subnet}." not in taken, f"{self.subnet}.0/24 is in use: remove the bridge that an earlier run left"
            self.ip("link", "add", self.tag, "type", "bridge")
            self.ip("addr", "add", f"{self.subnet}.254/24", "dev", self.tag)
            self.ip("link", "set", self.tag, "up")
            for i in range(self.count):
                space, outer, inner = f"{self.tag}n{i}", f"{self.tag}o{i}", f"{self.tag}i{i}"
                self.ip("netns", "add", space)
                self.ip("link", "add", outer, "type", "veth", "peer", "name", inner)
                self.ip("link", "set", inner, "netns", space)
                self.ip("link", "set", outer, "master", self.tag, "up")
                self.ip("-n", space, "addr", "add", f"{self.address(i)}/24", "dev", inner)
                self.ip("-n", space, "link", "set", "lo", "up")
                self.ip("-n", space, "link", "set", inner, "up")
        for i in range(self.count):
            self.start(i)
        self.wait_for_leader()
        return self

    def __exit__(self, kind, *_):
        for i in range(self.count):
            self.end(i)
            if kind:
                lines = (self.directory / f"log-{i}").read_text(errors="replace").splitlines()
                print(f"  node {i + 1} said last:", *lines[-12:], sep="\n    ", flush=True)
        if self.isolated:
            for i in range(self.count):
                subprocess.run(["ip", "netns", "del", f"{self.tag}n{i}"], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "link", "del", self.tag], stderr=subprocess.DEVNULL)

    @staticmethod
    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    def start(self, i):
        members = [f"--member={j + 1}={self.address(j)}:{self.port + j}" for j in range(self.count)]
        inside = ["ip", "netns", "exec", f"{self.tag}n{i}"] if self.isolated else []
        more = ["--anywhere"] if self.isolated else []
        self.supervisors[i] = subprocess.Popen(
            [*inside, BENCH / "register_node", f"--id={i + 1}", *members, f"--client-host={self.address(i)}",
             f"--client-port={self.port + 100 + i}", f"--data={self.directory / str(i)}", *more, *self.options],
            stdout=subprocess.DEVNULL, stderr=open(self.directory / f"log-{i}", "a"))

    def process(self, i):
        """The node's own process, beneath its supervisor; None between two lives."""
        supervisor = self.supervisors[i]
        if supervisor is None:
            return None
        found = subprocess.run(["pgrep", "-P", str(supervisor.pid)], capture_output=True, text=True).stdout.split()
        return int(found[0]) if found else None

    def kill(self, i):
        """kill -9 of the node: its supervisor tells the others and starts it again."""
        pid = self.process(i)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def vanish(self, i):
        """As when the host loses power: nobody tells anybody."""
        self.supervisors[i].send_signal(signal.SIGSTOP)
        pid = self.process(i)
        self.supervisors[i].kill()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                while True:  # one that is in the middle of a sync ends after it, and keeps its ports so long
                    os.kill(pid, 0)
                    time.sleep(0.005)
        self.supervisors[i].wait()
        self.supervisors[i] = None

    def end(self, i):
        """In good order."""
        if self.supervisors[i]:
            self.supervisors[i].terminate()
            try:
                self.supervisors[i].wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.vanish(i)
            self.supervisors[i] = None

    def cut(self, source, target):
        """What `source` sends to `target` is lost."""
        if (source, target) not in self.cut_routes:
            self.cut_routes.add((source, target))
            self.ip("-n", f"{self.tag}n{source}", "route", "add", "blackhole", f"{self.address(target)}/32")

    def mend(self):
        for source, target in self.cut_routes:
            self.ip("-n", f"{self.tag}n{source}", "route", "del", "blackhole", f"{self.address(target)}/32")
        self.cut_routes.clear()

    def leader(self):
        """Who says that it leads, and is not known to be wrong; None if nobody does."""
        best = None
        for i in range(self.count):
            with contextlib.suppress(Gone):
                connection = Connection(self.client_address(i), 1)
                kind, body = connection.call(STATUS)
                connection.close()
                words = read_sized(body)[0].decode().split("\n")[0].split()
                if len(words) > 3 and words[1] == "leader":
                    ballot = tuple(int(part) for part in words[3].split("."))
                    if best is None or ballot > best[0]:
                        best = (ballot, i)
        return best[1] if best else None

    def status(self, i):
        connection = Connection(self.client_address(i), 2)
        text = read_sized(connection.call(STATUS)[1])[0].decode()
        connection.close()
        return text

    def resign(self, i, to=0):
        connection = Connection(self.client_address(i), 1)
        connection.call(RESIGN, struct.pack("<Q", to))
        connection.close()

    def wait_for_leader(self, patience=30):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            found = self.leader()
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError("nobody leads")

    def wait_until_up(self, i, patience=30):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(Gone, IndexError):
                self.status(i)
                return
            time.sleep(0.02)
        raise AssertionError(f"node {i + 1} does not come up")

    def elections(self):
        """How many ballots were ever used: the highest round that a node has promised."""
        rounds = [int(self.status(i).split()[3].split(".")[0]) for i in range(self.count) if self.supervisors[i]]
        return max(rounds)


class Writer:
    """Finds the leader, and writes or reads there; follows it."""

    def __init__(self, cluster, timeout=2.0, first=0):
        self.cluster, self.timeout = cluster, timeout
        self.at, self.connection = first % cluster.count, None

    def call(self, operation, body):
        """The answer and its fields; Gone when it is not known whether it was done. Never asked again once it may be done."""
        deadline = time.monotonic() + self.timeout
        while True:
            if self.connection is None:
                try:
                    self.connection = Connection(self.cluster.client_address(self.at), self.timeout)
                except Gone:
                    self.at = (self.at + 1) % self.cluster.count
                    if time.monotonic() > deadline:
                        return REFUSED, b""
                    time.sleep(0.001)
                    continue
            try:
                kind, rest = self.connection.call(operation, body)
            except Gone:
                self.close()
                self.at = (self.at + 1) % self.cluster.count
                raise
            if kind != REFUSED:
                return kind, rest
            leader = struct.unpack("<Q", read_sized(rest)[1])[0]
            self.close()
            self.at = leader - 1 if leader else (self.at + 1) % self.cluster.count
            if time.monotonic() > deadline:
                return kind, rest
            if not leader:
                time.sleep(0.001)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class History:
    """Clients that write, compare-and-set and read registers, and what they saw (sim/history_file.h)."""

    def __init__(self, cluster, clients=8, seed=1, keys=24, per_key=120):
        self.cluster, self.clients, self.seed, self.keys, self.per_key = cluster, clients, seed, keys, per_key
        self.lines, self.acknowledged = [], []
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.next_value, self.turn = 0, 0
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self):
        self.began = time.monotonic_ns()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def key(self, rng):
        """Keys are given up after some operations: a history is judged key by key, and short ones are judged fast."""
        with self.lock:
            self.turn += 1
            base = self.turn // (self.keys * self.per_key) * self.keys
        return base + rng.randrange(self.keys)

    def value(self):
        with self.lock:
            self.next_value += 1
            return self.next_value

    def run(self, number):
        rng = random.Random(self.seed * 1000 + number)
        writer = Writer(self.cluster, timeout=3.0, first=number)
        process = number + 1
        seen = {}
        while not self.stopping.is_set():
            key, choice = self.key(rng), rng.random()
            name = b"h%d-%d" % (self.seed, key)  # of this history alone
            called = time.monotonic_ns() - self.began
            if choice < 0.45:
                value = self.value()
                said, operation, body = f"write {value}", PUT, sized(name) + sized(b"%d" % value)
            elif choice < 0.6:
                old, value = seen.get(key), self.value()
                said = f"cas {'absent' if old is None else old} {value}"
                operation, body = CAS, sized(name) + sized(b"" if old is None else b"%d" % old) + sized(b"%d" % value)
            else:
                value, said, operation, body = None, "read", GET, sized(name)
            try:
                kind, rest = writer.call(operation, body)
            except Gone:
                kind, rest = UNCERTAIN, b""
            returned = time.monotonic_ns() - self.began
            if kind == REFUSED:
                answer = "failed"
            elif kind == UNCERTAIN:
                answer, returned = "unknown", "-"
                process += self.clients  # who does not know goes on as another
            elif operation == PUT:
                answer = "ok"
                seen[key] = value
            elif operation == CAS:
                answer = "ok" if kind == OK else "mismatch"
                if kind == OK:
                    seen[key] = value
                else:
                    held = read_sized(rest)[0]
                    seen[key] = int(held) if held else None
            else:
                seen[key] = int(read_sized(rest)[0]) if kind == OK else None
                answer = "absent" if kind == ABSENT else str(seen[key])
            line = f"{called} {returned} {process} {key} {said} -> {answer}"
            with self.lock:
                self.lines.append(line)
                if operation != GET and answer == "ok":
                    self.acknowledged.append(time.monotonic())
        writer.close()

    def check(self, path):
        pathlib.Path(path).write_text("hailstone history 1\n" + "\n".join(self.lines) + "\n")
        judged = subprocess.run([CHECK, path], capture_output=True, text=True)
        assert judged.returncode == 0, f"the history {path} is not linearizable:\n{judged.stdout[-3000:]}{judged.stderr[-500:]}"
        return judged.stdout.strip().splitlines()[-1] if judged.stdout.strip() else "linearizable"
