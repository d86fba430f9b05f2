"""Files stamped with their release number, 32 readers of three kinds, thousands of flips: after any response from release r,
no request that starts later is answered from an earlier one. Pinned paths never change. No 404, no 5xx."""
import multiprocessing
import random
import re
import socket
import time

from .node import Node, workspace

STAMPS = [f"stamp-{c}.txt" for c in "abcdefgh"]
STATUS = re.compile(rb"HTTP/1\.1 (\d+)")


def read_responses(stream, count):
    """Up to `count` responses: (status, body, headers). Fewer only after one that announced the connection's end (RFC 9112
    §9.6: what was pipelined behind it is the client's to send again)."""
    out = []
    for _ in range(count):
        head = b""
        while True:
            line = stream.readline()
            if not line:
                raise ConnectionError("connection ended in a head")
            head += line
            if line == b"\r\n":
                break
        status = int(STATUS.match(head).group(1))
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        body = stream.read(length)
        if len(body) != length:
            raise ConnectionError("connection ended in a body")
        out.append((status, body, head))
        if re.search(rb"(?i)\r\nconnection: close\r\n", head):
            break
    return out


def request(path, close=False):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n".encode()


def reader(kind, port, newest, stop, counts, problems, seed):
    """`newest` is the highest release that any reader has seen a whole response of: read before a request is sent, so what
    comes back must not be older."""
    rng = random.Random(seed)
    reads = 0
    connection = stream = None
    pinned = {}  # what a pinned path said first
    try:
        while not stop.is_set():
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", port), timeout=30)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = connection.makefile("rb")
            depth = 10 if kind == "pipelined" else 1
            close = kind == "closing"
            floor = newest.value
            paths = []
            for _ in range(depth):
                if rng.random() < 0.1 and floor:
                    paths.append(f"/stamped@{rng.randint(max(1, floor - 50), floor)}/{rng.choice(STAMPS)}")
                else:
                    paths.append(f"/stamped/{rng.choice(STAMPS)}")
            connection.sendall(b"".join(request(p, close) for p in paths))
            highest = 0
            for path, (status, body, head) in zip(paths, read_responses(stream, depth)):
                reads += 1
                close = close or b"onnection: close" in head
                if status != 200:
                    problems.put(f"{kind}: {path}: status {status}")
                    continue
                release = int(body.split()[1])
                if "@" in path:
                    asked = int(path.split("@")[1].split("/")[0])
                    if release != asked or pinned.setdefault(path, body) != body:
                        problems.put(f"{kind}: {path}: pinned to {asked}, got {release}")
                    continue
                if release < floor:
                    problems.put(f"{kind}: {path}: release {release} after {floor} had been seen")
                highest = max(highest, release)
            with newest.get_lock():
                newest.value = max(newest.value, highest)
            if close:
                connection.close()
                connection = None
    except Exception as error:  # noqa: BLE001: any failure of a reader is a finding
        problems.put(f"{kind}: {error!r}")
    finally:
        with counts.get_lock():
            counts.value += reads


def stamp_edits(release):
    return {"edits": [{"key": key, "text": f"release {release} {key} " + "x" * (release % 97)} for key in STAMPS]}


def run(quick=False):
    flips, wanted = (150, 15_000) if quick else (2000, 200_000)
    with workspace() as place, Node(place / "data") as node:
        node.cli("volume", "create", "stamped")
        node.api("POST", "/targets/stamped/batch", stamp_edits(1))
        assert node.publish("stamped")[0]["release"] == 1
        newest = multiprocessing.Value("q", 1)
        counts = multiprocessing.Value("q", 0)
        stop = multiprocessing.Event()
        problems = multiprocessing.Queue()
        kinds = ["keep-alive"] * 12 + ["pipelined"] * 12 + ["closing"] * 8
        readers = [multiprocessing.Process(target=reader, args=(kind, node.port, newest, stop, counts, problems, seed), daemon=True)
                   for seed, kind in enumerate(kinds)]
        for process in readers:
            process.start()
        started = time.monotonic()
        done = 1
        try:
            # Both counts must be met: more flips are made until the readers have read enough.
            while done < flips + 1 or (estimate(node) < wanted and time.monotonic() - started < 900):
                done += 1
                node.api("POST", "/targets/stamped/batch", stamp_edits(done))
                made = node.publish("stamped")[0]["release"]
                assert made == done, f"published {made}, expected {done}"
        finally:
            stop.set()
            for process in readers:
                process.join(60)
        took = time.monotonic() - started
        found = []
        while not problems.empty():
            found.append(problems.get())
        figure = f"{counts.value} reads by {len(kinds)} readers over {done - 1} flips in {took:.0f} s, {len(found)} violations"
        for problem in found[:20]:
            print("  " + problem)
        assert not found, figure
        assert counts.value >= wanted and done - 1 >= flips, figure
        return figure


def estimate(node):
    """Requests the node has answered, from its own count."""
    text = node.get("/metrics")[2].decode()
    return float(re.search(r"^hailstone_http_requests_total ([\d.e+]+)", text, re.M).group(1))
