"""A cell of real nodes (`hailstone serve` with the cell's role alone), each in a network namespace of its own if wanted."""
import contextlib
import json
import subprocess
import time

from .hosts import Hosts
from .node import BINARY, ROOT

WORKERS = ROOT / "build/release/bench/cell_workers"
LOAD = ROOT / "build/release/bench/register_load"


def build():
    subprocess.run(["./dev", "build", "release", "hailstone", "cell_workers", "register_load", "check_history"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


class CellCluster(Hosts):
    """Settings are those of --set; `joining` nodes wait to be added."""

    def __init__(self, directory, isolated=True, settings=(), count=3, port=18400, founders=None, binary=None, clocks=False):
        super().__init__(directory, isolated=isolated, count=count, port=port, clocks=clocks)
        self.settings, self.founders = list(settings), founders or count
        self.binaries = [binary or BINARY] * count
        self.address_of = ",".join("%s:%d" % self.client_address(i) for i in range(self.founders))

    def client_address(self, i):
        return self.address(i), self.port + 100 + i

    def command(self, i):
        founders = ", ".join(f"'{j + 1}={self.address(j)}:{self.port + j}'" for j in range(self.founders))
        own = {"roles": "['member']", "cluster.groups": 0, "cell.id": i + 1, "cell.address": f"'{self.address(i)}'", "cell.port": self.port + 100 + i,
               "cell.member_port": self.port + i, "cell.members": f"[{founders}]", "cell.join": str(i >= self.founders).lower()}
        if self.isolated:
            own["cell.plain_anywhere"] = "true"
        words = [word for key, value in own.items() for word in ("--set", f"{key}={value}")]
        words += [word for each in self.settings for word in ("--set", each)]
        return [self.binaries[i], "serve", "--data", self.directory / str(i), "--listen", f"127.0.0.1:{self.port + 200 + i}", *words]

    def wait_until_ready(self):
        self.wait_for_leader()

    def wait_for_leader(self, patience=30):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            found = self.leader()
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError("nobody leads")

    def cli(self, *words, at=None, check=True, timeout=30):
        """`hailstone cell`; asked of one node if `at` is given."""
        where = self.address_of if at is None else "%s:%d" % self.client_address(at)
        plain = ["--plain-anywhere"] if self.isolated else []
        done = subprocess.run([BINARY, "--json", "cell", "--cell", where, *plain, *words], capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"hailstone cell {' '.join(words)}: {done.stderr}"
        return done

    def status(self, i):
        done = self.cli("--timeout", "2", "status", at=i, check=False)
        return json.loads(done.stdout) if done.stdout else None

    def leader(self):
        for i in range(self.count):
            if self.supervisors[i] is None:
                continue
            found = self.status(i)
            if found and found["leader"]:
                return found["leader"] - 1
        return None

    def wait_until_up(self, i, patience=30):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            found = self.status(i)
            if found and found["leader"] and found["applied"] >= found["chosen"]:
                return found
            time.sleep(0.05)
        raise AssertionError(f"node {i + 1} does not come up")

    def resign(self, i, to=0):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.cli("resign", *(["--to", str(to)] if to else []), at=i)

    def workers(self, mode, *options, **popen):
        plain = ["--plain-anywhere"] if self.isolated else []
        return subprocess.Popen([WORKERS, mode, "--cell", self.address_of, *plain, *map(str, options)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **popen)
