"""64 clients upload 1 GiB each at the same time, one PUT each: how much memory the node takes for it."""
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from .node import ROOT, Node, workspace

LIMIT = 64 << 20
STAMP_EVERY = 4096  # no chunk is smaller, so every one holds a stamp and none is a copy
PIECE = 1 << 20
SIGN = """
import boto3, botocore.config, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1",
                  config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}))
s3.create_bucket(Bucket="uploads")
for number in range(int(sys.argv[2])):
    print(s3.generate_presigned_url("put_object", {"Bucket": "uploads", "Key": f"object-{number}"}, 86400))
"""


def memory_of(pid):
    """Bytes by name: VmRSS, and the share of it that is nobody's file, RssAnon."""
    out = {}
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(("VmRSS", "RssAnon")):
                name, value = line.split()[:2]
                out[name.rstrip(":")] = int(value) * 1024
    return out


def upload(url, mib, number):
    """One PUT of `mib` MiB that deduplicates with nothing; its answer's status line. The body is not signed (a signed URL)."""
    place = urllib.parse.urlsplit(url)
    # Incompressible; the same each time but for a stamp in every block.
    piece = bytearray(os.urandom(PIECE))
    with socket.create_connection((place.hostname, place.port), timeout=600) as connection:
        connection.sendall(f"PUT {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {mib << 20}\r\n"
                           "Connection: close\r\n\r\n".encode())
        for i in range(mib):
            for at in range(0, PIECE, STAMP_EVERY):
                piece[at:at + 12] = number.to_bytes(4, "little") + (i * PIECE + at).to_bytes(8, "little")
            connection.sendall(piece)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    return answer.split(b"\r\n", 1)[0].decode()


class Sampler(threading.Thread):
    """The highest of each kind of memory until stop()."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.highest, self.done = pid, memory_of(pid), threading.Event()

    def run(self):
        while not self.done.wait(0.02):
            for name, value in memory_of(self.pid).items():
                self.highest[name] = max(self.highest[name], value)

    def stop(self):
        self.done.set()
        self.join()


def mib(count):
    return f"{count / (1 << 20):.0f} MiB"


def run(quick=False):
    clients, each_mib = (16, 64) if quick else (64, 1024)
    wished = each_mib
    with workspace() as place:
        # At most half of what is free: others use the disk too.
        room_mib = shutil.disk_usage(place).free // 2 >> 20
        each_mib = max(16, min(each_mib, room_mib // clients))
        with Node(place / "data") as node:
            access, secret = node.key.split(":")
            signed = subprocess.run(["/usr/bin/python3", "-c", SIGN, node.s3_url, str(clients + 1)], capture_output=True, text=True,
                                    env=dict(os.environ, AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=secret))
            assert signed.returncode == 0, signed.stderr[-1000:]
            *urls, first = signed.stdout.split()
            # What is made at the first use (threads, buffers of the log) is not growth.
            assert " 200 " in upload(first, 16, clients)
            time.sleep(0.5)
            before = memory_of(node.process.pid)
            sampler = Sampler(node.process.pid)
            sampler.start()
            started = time.monotonic()
            children = [subprocess.Popen([sys.executable, "-m", "shows.upload_memory", url, str(each_mib), str(number)],
                                         cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True)
                        for number, url in enumerate(urls)]
            answers = [child.communicate()[0].strip() for child in children]
            took = time.monotonic() - started
            sampler.stop()
            time.sleep(1)
            after = memory_of(node.process.pid)
            assert node.process.poll() is None, f"the node ended:\n{node.tail()}"
        growth = {name: sampler.highest[name] - before[name] for name in before}
        kept = {name: after[name] - before[name] for name in before}
        figure = (f"resident memory grew by {mib(growth['VmRSS'])} at most (anonymous: {mib(growth['RssAnon'])}) from "
                  f"{mib(before['VmRSS'])} while {clients} clients uploaded {each_mib} MiB each, {clients * each_mib / took:.0f} MiB/s; "
                  f"{mib(kept['VmRSS'])} of it stayed")
        if each_mib < wished:
            figure += f"; {each_mib} MiB instead of {wished} for want of disk space"
        bad = [answer for answer in answers if " 200 " not in answer]
        assert not bad, f"{len(bad)} of {clients} uploads failed: {bad[:3]}; {figure}"
        assert growth["VmRSS"] <= LIMIT, f"more than {mib(LIMIT)}: {figure}"
        return figure


if __name__ == "__main__":
    print(upload(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
