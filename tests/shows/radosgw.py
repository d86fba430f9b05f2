"""A whole Ceph object gateway on loopback in a temporary folder: one monitor, one OSD on a file, one radosgw (Debian's packages
ceph-mon, ceph-osd, ceph-mgr, radosgw). The peer of bench_s3."""
import contextlib
import shutil
import socket
import subprocess
import time
import uuid

from .node import cpu_seconds, free_port

PROGRAMS = ["ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"]
# What radosgw would make itself, one after the other, each time waiting for the map.
POOLS = [".rgw.root", "default.rgw.log", "default.rgw.control", "default.rgw.meta", "default.rgw.buckets.index", "default.rgw.buckets.data",
         "default.rgw.buckets.non-ec"]
CONF = """[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}
ms bind msgr1 = false
public addr = 127.0.0.1
run dir = {place}
admin socket = {place}/$name.asok
log file = {place}/$name.log
pid file = {place}/$name.pid
keyring = {place}/keyring
mon data = {place}/mon
osd data = {place}/osd
osd objectstore = bluestore
bluestore block size = {bytes}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd memory target = 1073741824
mon allow pool size one = true
rgw data = {place}/rgw
rgw enable usage log = false
rgw enable ops log = false
"""


def missing():
    """Programs that are not installed."""
    return [program for program in PROGRAMS if not shutil.which(program)]


class Radosgw:
    """As bench_s3 wants a server: key, s3_port, s3_url, cpu_seconds(). A context manager."""

    def __init__(self, place, bytes=16 << 30):
        self.place, self.bytes = place, bytes
        self.s3_port = free_port()
        self.s3_url = f"http://127.0.0.1:{self.s3_port}"
        self.key = "BENCHKEY:bench-secret"
        self.processes = []

    def run(self, *words, timeout=60):
        words = [words[0], "--conf", str(self.place / "ceph.conf"), *map(str, words[1:])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}: {(done.stderr + done.stdout)[-1000:]}"
        return done.stdout

    def serve(self, *words):
        log = open(self.place / (words[0] + ".out"), "ab")
        self.processes.append(subprocess.Popen([words[0], "--conf", str(self.place / "ceph.conf"), *words[1:], "-f"], stdout=log, stderr=log))

    def __enter__(self):
        self.place.mkdir(parents=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def start(self):
        fsid, mon = str(uuid.uuid4()), free_port()
        (self.place / "ceph.conf").write_text(CONF.format(fsid=fsid, mon=mon, place=self.place, bytes=self.bytes))
        for name in ("mon", "osd", "rgw"):
            (self.place / name).mkdir()
        # One key ring for all; the monitor takes the keys of the others from it when it is made.
        for name in ("mon.", "client.admin", "osd.0"):
            create = [] if (self.place / "keyring").exists() else ["--create-keyring"]
            subprocess.run(["ceph-authtool", *create, str(self.place / "keyring"), "--gen-key", "-n", name, "--cap", "mon", "allow *",
                            "--cap", "osd", "allow *", "--cap", "mgr", "allow *"], check=True, capture_output=True)
        subprocess.run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon}]", str(self.place / "monmap")],
                       check=True, capture_output=True)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.place / "monmap", "--keyring", self.place / "keyring")
        self.serve("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self.run("ceph", "--connect-timeout", "60", "osd", "new", osd)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.serve("ceph-osd", "-i", "0")
        deadline = time.monotonic() + 120
        while "1 up" not in self.run("ceph", "--connect-timeout", "60", "osd", "stat"):
            assert time.monotonic() < deadline, "the OSD did not come up: " + (self.place / "ceph-osd.out").read_text()[-1000:]
            time.sleep(0.5)
        for pool in POOLS:
            self.run("ceph", "osd", "pool", "create", pool, "1", "1", "replicated")
            self.run("ceph", "osd", "pool", "application", "enable", pool, "rgw")
        self.serve("radosgw", "-n", "client.admin", "--keyring", str(self.place / "keyring"), "--rgw-frontends", f"beast endpoint=127.0.0.1:{self.s3_port}")
        deadline = time.monotonic() + 300  # it makes its pools first
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.s3_port), 5).close()
                break
            running = self.processes[-1].poll() is None
            assert running and time.monotonic() < deadline, "radosgw did not come up: " + (self.place / "radosgw.out").read_text()[-1000:]
            time.sleep(0.5)
        access, secret = self.key.split(":")
        self.run("radosgw-admin", "user", "create", "--uid", "bench", "--display-name", "bench", "--access-key", access, "--secret-key", secret)

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def cpu_seconds(self):
        """Of all its parts."""
        return sum(cpu_seconds(process.pid) for process in self.processes if process.poll() is None)
