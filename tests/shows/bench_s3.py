"""S3 writes, reads and listings against what the disk, one core's MD5 and nginx allow, measured in the same minute."""
import hashlib
import hmac
import http.client
import os
import re
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse

from . import radosgw
from .bench_depot import FILES, NGINX, SIZES, load
from .node import Node, free_port, workspace

KIB, MIB = 1 << 10, 1 << 20


def presign(node, method, path, expires=3600):
    """Path and query of a presigned request (SigV4, UNSIGNED-PAYLOAD)."""
    key_id, secret = node.key.split(":")
    host = node.s3_url.removeprefix("http://")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    day = stamp[:8]
    scope = f"{day}/us-east-1/s3/aws4_request"
    query = urllib.parse.urlencode(sorted({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{key_id}/{scope}", "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": "host"}.items()), quote_via=urllib.parse.quote, safe="")
    canonical = "\n".join([method, path, query, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = ("AWS4" + secret).encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    return f"{path}?{query}&X-Amz-Signature={hmac.new(signing, to_sign.encode(), hashlib.sha256).hexdigest()}"


def call(node, method, path, body=b""):
    connection = http.client.HTTPConnection(node.s3_url.removeprefix("http://"), timeout=300)
    connection.request(method, presign(node, method, path), body)
    answer = connection.getresponse()
    data = answer.read()
    assert answer.status < 300, f"{method} {path}: {answer.status} {data[:300]}"
    return data


def wrk_puts(node, place, seconds, clients):
    """4 KiB PUTs of random bytes over `clients` connections: a second, and a CPU-second of the server."""
    before = node.cpu_seconds()
    count, rate = put_load(node, place, seconds, clients)
    return rate, count / (node.cpu_seconds() - before)


def put_load(node, place, seconds, clients, size=4 * KIB, buckets=("small",)):
    """PUTs of `size` random bytes, spread over the buckets: how many, and how many a second."""
    targets = [presign(node, "PUT", f"/{buckets[i % len(buckets)]}/k{i:06}") for i in range(20_000)]
    (place / "targets").write_text("\n".join(targets))
    script = place / "put.lua"
    # Each body differs in its first bytes, or all would be one chunk.
    script.write_text(f"""
local targets = {{}}
for line in io.lines("{place}/targets") do targets[#targets + 1] = line end
local f = io.open("/dev/urandom", "rb"); local tail = f:read({size - 16}); local seed = f:read(8); f:close()
local thread_id = 0
function setup(thread) thread:set("id", thread_id); thread_id = thread_id + 1 end
local i = 0
request = function()
  i = i + 1
  return wrk.format("PUT", targets[(i * 7 + id * 9973) % #targets + 1], nil, string.format("%08d%s", i * 8 + id, seed) .. tail)
end
""")
    done = subprocess.run(["wrk", "-t2", "--timeout", "30s", f"-c{clients}", f"-d{seconds}s", "-s", str(script), node.s3_url], capture_output=True,
                          text=True, check=True)
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout).group(1)), float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))


def sync_floor(place, seconds, clients):
    """What one fdatasync per batch allows: `clients` writers of 4 KiB that wait for a shared fdatasync each time."""
    path = place / "floor"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 256 * MIB)
    os.fsync(fd)
    data, done, offset = os.urandom(4 * KIB), 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.pwrite(fd, data * clients, offset % (256 * MIB - 4 * KIB * clients))
        os.fdatasync(fd)
        offset += 4 * KIB * clients
        done += clients
    os.close(fd)
    path.unlink()
    return done / seconds


def disk_write(place, data):
    """Bytes a second that the disk itself takes, written to a new file in one go and made durable."""
    path = place / "raw"
    started = time.monotonic()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    os.fdatasync(fd)
    took = time.monotonic() - started
    os.close(fd)
    path.unlink()
    return len(data) / took


def put_stream(node, name, data):
    target = presign(node, "PUT", f"/large/{name}")
    connection = socket.create_connection(("127.0.0.1", node.s3_port))
    started = time.monotonic()
    connection.sendall(f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1:{node.s3_port}\r\nContent-Length: {len(data)}\r\n\r\n".encode())
    connection.sendall(data)
    head = connection.recv(65536)
    took = time.monotonic() - started
    connection.close()
    assert head.startswith(b"HTTP/1.1 200"), head[:300]
    return took


def streams(node, count, size, turn):
    bodies = [os.urandom(size) for _ in range(count)]
    threads = [threading.Thread(target=put_stream, args=(node, f"{turn}-{i}", body)) for i, body in enumerate(bodies)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * size / (time.monotonic() - started)


def list_all(node, keys):
    connection = http.client.HTTPConnection("127.0.0.1", node.s3_port, timeout=60)
    token, total = None, 0
    started = time.monotonic()
    while True:
        path = "/bench--current?list-type=2" + (f"&continuation-token={urllib.parse.quote(token, safe='')}" if token else "")
        connection.request("GET", path)
        body = connection.getresponse().read()
        total += body.count(b"<Key>")
        found = re.search(rb"<NextContinuationToken>([^<]*)<", body)
        if not found:
            break
        token = found.group(1).decode()
    assert total == keys, f"{total} keys listed of {keys}"
    return total / (time.monotonic() - started)


def gets(place, seconds, turns):
    """{size: {"anonymous" or "signed": requests per CPU-second over nginx's}}, as bench_depot does it; signed are presigned URLs."""
    www = place / "www" / "files"
    www.mkdir(parents=True)
    for size in SIZES.values():
        for i in range(FILES):
            (www / f"{size}-{i}").write_bytes(os.urandom(size))
    port, ratios = free_port(), {}
    (place / "nginx.conf").write_text(NGINX.format(work=place, port=port))
    nginx = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", str(place / "nginx.conf"), "-p", str(place)], stderr=subprocess.DEVNULL)
    try:
        with Node(place / "gets", cpus="0", set_=["http.threads=1"]) as node:
            node.cli("volume", "create", "bench")
            node.cli("import", www, "bench/files")
            node.publish("bench")
            for label, size in SIZES.items():
                keys = [f"/bench--current/files/{size}-{i}" for i in range(FILES)]
                found = {"anonymous": [], "signed": []}
                for _ in range(turns):
                    peer = load(nginx.pid, f"http://127.0.0.1:{port}", [f"/files/{size}-{i}" for i in range(FILES)], seconds, place)
                    for kind, paths in (("anonymous", keys), ("signed", [presign(node, "GET", key) for key in keys])):
                        found[kind].append(load(node.process.pid, node.s3_url, paths, seconds, place) / peer)
                ratios[label] = {kind: statistics.median(values) for kind, values in found.items()}
                print(f"  GET {label} over nginx, requests per CPU-second: anonymous {ratios[label]['anonymous']:.2f}, "
                      f"signed {ratios[label]['signed']:.2f}", flush=True)
    finally:
        nginx.terminate()
        nginx.wait()
    return ratios


def wrk_gets(node, place, seconds, clients):
    """GETs of 200 objects of 4 KiB by presigned URLs: for a CPU-second of the server."""
    for i in range(200):
        call(node, "PUT", f"/small/g{i:03}", os.urandom(4 * KIB))
    targets = [presign(node, "GET", f"/small/g{i:03}") for i in range(200)]
    (place / "targets").write_text("\n".join(targets))
    script = place / "get.lua"
    script.write_text(f"""
local targets = {{}}
for line in io.lines("{place}/targets") do targets[#targets + 1] = line end
local i = 0
request = function() i = i + 1; return wrk.format("GET", targets[i % #targets + 1]) end
""")
    before = node.cpu_seconds()
    done = subprocess.run(["wrk", "-t2", "--timeout", "30s", f"-c{clients}", f"-d{seconds}s", "-s", str(script), node.s3_url], capture_output=True,
                          text=True, check=True)
    used = node.cpu_seconds() - before
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout).group(1)) / used


def against_radosgw(place, seconds, size):
    """(words, times its 4 KiB PUTs and times its 4 KiB GETs per CPU-second of the server): in turns, all of its parts counted.
    Nothing but words where it is not installed or does not come up."""
    if absent := radosgw.missing():
        return f"radosgw not run: no {', '.join(absent)}", None, None
    try:
        with radosgw.Radosgw(place / "ceph") as peer, Node(place / "beside") as node:
            puts, gets = [], []
            for server in (peer, node):
                call(server, "PUT", "/small")
                call(server, "PUT", "/large")
                put_stream(server, "warm", os.urandom(size))
            for _ in range(3):
                (theirs, theirs_cpu), (ours, ours_cpu) = (wrk_puts(server, place, seconds, 64) for server in (peer, node))
                puts.append(ours_cpu / theirs_cpu)
                peer_get, our_get = (wrk_gets(server, place, seconds, 64) for server in (peer, node))
                gets.append(our_get / peer_get)
                print(f"  radosgw: PUT 4 KiB {theirs:,.0f}/s, {theirs_cpu:,.0f} a CPU-second, ours {ours:,.0f}/s, {ours_cpu:,.0f}: {puts[-1]:.1f} x; "
                      f"GET 4 KiB {peer_get:,.0f} a CPU-second, ours {our_get:,.0f}: {gets[-1]:.1f} x", flush=True)
            stream, own = (size / put_stream(server, "one", os.urandom(size)) for server in (peer, node))
    except (AssertionError, OSError, subprocess.SubprocessError) as problem:
        return f"radosgw not run: {problem}"[:300], None, None
    put, get = statistics.median(puts), statistics.median(gets)
    return (f"requests per CPU-second over radosgw: PUT 4 KiB {put:.0f} (limit 10), GET 4 KiB {get:.0f} (limit 15); its PUT 64 MiB "
            f"{stream / MIB:,.0f} MiB/s, ours {own / MIB:,.0f}"), put, get


def run(quick=False):
    seconds, turns, size, keys = (3, 3, 64 * MIB, 50_000) if quick else (10, 5, 64 * MIB, 1_000_000)
    with workspace() as place:
        with Node(place / "data") as node:
            call(node, "PUT", "/small")
            call(node, "PUT", "/large")
            ratios = []
            for turn in range(turns):
                rate, per_cpu = wrk_puts(node, place, seconds, 64)
                floor = sync_floor(place, seconds, 64)
                ratios.append(rate / floor)
                print(f"  PUT 4 KiB: {rate:,.0f}/s ({per_cpu:,.0f} a CPU-second of the server); one fdatasync a batch allows {floor:,.0f}/s: {ratios[-1]:.2f}", flush=True)
            put = statistics.median(ratios)
            singles, fours, disks = [], [], []
            put_stream(node, "warm", os.urandom(size))
            for turn in range(turns):
                data = os.urandom(size)
                started = time.monotonic()
                hashlib.md5(data).digest()
                md5 = size / (time.monotonic() - started)
                raw = disk_write(place, data)
                one = size / put_stream(node, f"one-{turn}", data)
                four = streams(node, 4, size, turn)
                raw_four = disk_write(place, data * 4)
                singles.append(one / md5)
                fours.append(four / one)
                disks.append(one / raw)
                print(f"  PUT 64 MiB: {one / MIB:,.0f} MiB/s, MD5 {md5 / MIB:,.0f}: {singles[-1]:.2f}; the disk takes {raw / MIB:,.0f}: {disks[-1]:.2f}; "
                      f"four streams {four / MIB:,.0f}: {fours[-1]:.2f}; the disk takes {raw_four / MIB:,.0f} of as much", flush=True)
            one, four, of_disk = statistics.median(singles), statistics.median(fours), statistics.median(disks)
        get = gets(place, 1 if quick else 3, turns)
        peer, peer_put, peer_get = against_radosgw(place, seconds, size)
        tree = place / "tree"
        for i in range(keys):
            if i % 1000 == 0:
                (tree / f"d{i // 1000:04}").mkdir(parents=True)
            (tree / f"d{i // 1000:04}" / f"f{i:07}").write_bytes(b"x")
        with Node(place / "list") as node:
            node.cli("volume", "create", "bench")
            node.cli("import", tree, "bench")
            node.publish("bench")
            # The imported directories are keys, too.
            total = keys + (keys + 999) // 1000 + 1
            listing = max(list_all(node, total) for _ in range(3))
            print(f"  ListObjectsV2: {listing:,.0f} keys/s", flush=True)
    figure = (f"PUT 4 KiB, 64 clients: {put:.2f} of one fdatasync a batch (limit 0.5); PUT 64 MiB: {one:.2f} of MD5 (limit 0.85) and {of_disk:.2f} of what the disk takes, four "
              f"streams {four:.2f} x one (limit 1.3); list {listing:,.0f} keys/s (limit 250,000); GET over nginx, requests per CPU-second, anonymous and signed: "
              + ", ".join(f"{label} {of['anonymous']:.2f} {of['signed']:.2f}" for label, of in get.items()) + f"; {peer}")
    assert put >= 0.5 and one >= 0.85 and four >= 1.3 and listing >= 250_000, figure
    assert peer_put is None or (peer_put >= 10 and peer_get >= 15), figure
    return figure
