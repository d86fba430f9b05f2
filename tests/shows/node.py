"""A real node as a child process, and what tests do with it: CLI, API, depot."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("HAILSTONE_BINARY", ROOT / "build/release/src/cli/hailstone"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def workspace(keep=False):
    """A directory on the same disk as the build, removed at the end; kept after a failure if HAILSTONE_KEEP is set."""
    base = ROOT / "build" / "show"
    base.mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(tempfile.mkdtemp(dir=base))
    try:
        yield path
    except BaseException:
        keep = keep or bool(os.environ.get("HAILSTONE_KEEP"))
        if keep:
            print(f"  kept: {path}", flush=True)
        raise
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)


class Node:
    """`hailstone serve` on a loopback port. Use as a context manager, or start() and stop()/kill()."""

    def __init__(self, data, config=None, cpus=None, log=None, set_=()):
        self.data = pathlib.Path(data)
        self.config, self.cpus, self.set = config, cpus, list(set_)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.s3_port = free_port()
        self.s3_url = f"http://127.0.0.1:{self.s3_port}"
        self.log = log or self.data.parent / (self.data.name + ".log")
        self.process = None
        self.patience = 30  # seconds for an answer

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self, timeout=60):
        command = [str(BINARY), "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}",
                   "--set", f"s3.port={self.s3_port}", "--set", "cell.port=0", "--set", "cell.member_port=0", "--set", "cell.data_port=0"]
        if self.config:
            command += ["--config", str(self.config)]
        for setting in self.set:
            command += ["--set", setting]
        if self.cpus is not None:
            command = ["taskset", "-c", self.cpus] + command
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"node exited with {self.process.returncode}:\n{self.tail()}")
            try:
                if self.get("/readyz")[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"node not ready after {timeout} s:\n{self.tail()}")

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("node did not stop within 60 s")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def key(self):
        return (self.data / "admin.key").read_text().strip()

    def environment(self):
        return dict(os.environ, HAILSTONE_URL=self.url, HAILSTONE_KEY=self.key, XDG_CACHE_HOME=str(self.data) + ".cache")

    def cli(self, *words, check=True, input=None):
        """Runs `hailstone WORDS --json`; the parsed answer."""
        done = subprocess.run([str(BINARY), *map(str, words), "--json"], env=self.environment(), capture_output=True,
                              input=input)
        if check and done.returncode != 0:
            raise AssertionError(f"hailstone {' '.join(map(str, words))}: exit {done.returncode}: "
                                 f"{done.stderr.decode(errors='replace')}{done.stdout.decode(errors='replace')}")
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else None

    def get(self, path, headers=None, method="GET", body=None):
        """One request on a connection of its own: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def api(self, method, path, body=None, check=True):
        headers = {"Authorization": f"Bearer {self.key}"}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        status, _, answer = self.get("/api/v1" + path, headers, method, data)
        if check and status >= 300:
            raise AssertionError(f"{method} {path}: {status}: {answer.decode(errors='replace')}")
        parsed = json.loads(answer) if answer else None
        return parsed if check else (status, parsed)

    def put(self, target, key, data, check=True):
        path = f"/targets/{urllib.parse.quote(target, safe='')}/content?key={urllib.parse.quote(key, safe='')}"
        return self.api("PUT", path, data if isinstance(data, bytes) else data.encode(), check)

    def publish(self, *volumes, channels=("current",), message=""):
        return self.api("POST", "/publish", {"items": [{"volume": v, "message": message} for v in volumes],
                                             "channels": list(channels)})["releases"]

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def resident_bytes(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0


def cpu_seconds(pid):
    """User and system time of a process and its living threads."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
