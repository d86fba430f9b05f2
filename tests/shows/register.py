"""A cluster of register nodes (bench/register) as real processes, each on a host of its own, and clients that keep a history of what
they saw."""
import contextlib
import pathlib
import random
import socket
import struct
import subprocess
import threading
import time

from .hosts import Hosts
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


class Cluster(Hosts):
    """Register nodes on hosts of their own."""

    def __init__(self, directory, isolated=True, options=(), count=3, port=17400, space=""):
        super().__init__(directory, isolated=isolated, count=count, port=port, space=space)
        self.options = list(options)

    def client_address(self, i):
        return self.address(i), self.port + 100 + i

    def command(self, i):
        members = [f"--member={j + 1}={self.address(j)}:{self.port + j}" for j in range(self.count)]
        more = ["--anywhere"] if self.isolated else []
        return [BENCH / "register_node", f"--id={i + 1}", *members, f"--client-host={self.address(i)}",
                f"--client-port={self.port + 100 + i}", f"--data={self.directory / str(i)}", *more, *self.options]

    def wait_until_ready(self):
        self.wait_for_leader()

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
        with contextlib.suppress(Gone):
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
        self.members = {}  # connections for ask(): by node

    def ask(self, i, operation, body, timeout=0.7):
        """Of node `i`, whether it leads or not; what it answers. REFUSED when it cannot be reached: for reads, which may be asked twice."""
        try:
            if i not in self.members:
                self.members[i] = Connection(self.cluster.client_address(i), timeout)
            return self.members[i].call(operation, body)
        except Gone:
            if i in self.members:
                self.members.pop(i).close()
            return REFUSED, b""

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
                self.forget()
                self.at = (self.at + 1) % self.cluster.count
                raise
            if kind != REFUSED:
                return kind, rest
            leader = struct.unpack("<Q", read_sized(rest)[1])[0]
            self.forget()
            self.at = leader - 1 if leader else (self.at + 1) % self.cluster.count
            if time.monotonic() > deadline:
                return kind, rest
            if not leader:
                time.sleep(0.001)

    def forget(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def close(self):
        self.forget()
        while self.members:
            self.members.popitem()[1].close()


class History:
    """Clients that write, compare-and-set and read registers, and what they saw (sim/history_file.h). Half of the reads go to the
    leader, half to whichever node comes: a follower that is behind what a leader has shown would be seen."""

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
                if choice >= 0.8:
                    kind, rest = writer.ask(rng.randrange(self.cluster.count), operation, body)
                else:
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
