"""Hosts of a cluster under test: each a network namespace on a bridge with one node in it, and every way to harm them: kill -9, SIGSTOP,
lost power, links cut one way, clock steps, full and wiped disks. What it made is gone at the end, however that comes."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

from .aftermath import Aftermath

GRANT_S = 1.0  # how long a leader's grant binds: what stops for longer has lost it
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
STRIKES = ("kill-leader", "kill-any", "kill-two", "vanish", "stop", "stop-long", "cut-both", "cut-in", "cut-out", "power-cut", "hand-over")


class Hosts:
    """`count` nodes; `isolated` gives each a namespace of its own, so that links can be cut one way, `clocks` a wall clock of its own
    that can be stepped (monotonic ones are true). What a node is, subclasses say: command(), leader(), resign(), wait_until_ready()."""

    def __init__(self, directory, isolated=True, count=3, port=17400, clocks=False, space=""):
        self.directory, self.isolated, self.count, self.port, self.clocks = pathlib.Path(directory), isolated, count, port, clocks
        assert not clocks or os.path.exists(FAKETIME), "faketime is not installed: ./dev setup --bench"
        self.supervisors = [None] * count
        self.tag = f"hs{os.getpid() % 10000}{space}"  # `space` tells clusters of one run apart
        self.subnet = f"10.{231 + len(space)}.{os.getpid() % 250}"  # of this run alone: another one would answer in its place
        self.cut_routes = set()  # (source, target); None is whoever is outside: clients and the balancer

    def command(self, i):
        """The words that run node `i`."""
        raise NotImplementedError

    def leader(self):
        """Who leads, None if nobody is known to."""
        raise NotImplementedError

    def resign(self, i, to=0):
        """Node `i` hands its leadership over, if it has it."""
        raise NotImplementedError

    def wait_until_ready(self):
        """Once, after all have been started."""

    def address(self, i):
        if not self.isolated:
            return "127.0.0.1"
        return f"{self.subnet}.{254 if i is None else i + 1}"

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.aftermath = Aftermath()
        try:
            if self.isolated:
                self.connect()
            for i in range(self.count):
                self.start(i)
            self.wait_until_ready()
        except BaseException as failure:
            self.__exit__(type(failure))
            raise
        return self

    def connect(self):
        taken = subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True).stdout
        assert f"{self.subnet}." not in taken, f"{self.subnet}.0/24 is in use: remove the bridge that an earlier run left"
        self.aftermath.undo("ip", "link", "del", self.tag)
        self.ip("link", "add", self.tag, "type", "bridge")
        self.ip("addr", "add", f"{self.address(None)}/24", "dev", self.tag)
        self.ip("link", "set", self.tag, "up")
        for i in range(self.count):
            space, outer, inner = f"{self.tag}n{i}", f"{self.tag}o{i}", f"{self.tag}i{i}"
            self.aftermath.undo("ip", "netns", "del", space)
            self.ip("netns", "add", space)
            self.ip("link", "add", outer, "type", "veth", "peer", "name", inner)
            self.ip("link", "set", inner, "netns", space)
            self.ip("link", "set", outer, "master", self.tag, "up")
            self.ip("-n", space, "addr", "add", f"{self.address(i)}/24", "dev", inner)
            self.ip("-n", space, "link", "set", "lo", "up")
            self.ip("-n", space, "link", "set", inner, "up")

    def __exit__(self, kind, *_):
        for i in range(self.count):
            with contextlib.suppress(Exception):  # the others are ended nevertheless
                self.end(i)
            log = self.directory / f"log-{i}"
            if kind and log.exists():
                print(f"  node {i + 1} said last:", *log.read_text(errors="replace").splitlines()[-12:], sep="\n    ", flush=True)
        if self.isolated:
            for source, target in self.cut_routes:
                if source is None:
                    subprocess.run(["ip", "route", "del", "blackhole", f"{self.address(target)}/32"], stderr=subprocess.DEVNULL)
            for i in range(self.count):
                subprocess.run(["ip", "netns", "del", f"{self.tag}n{i}"], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "link", "del", self.tag], stderr=subprocess.DEVNULL)
        self.aftermath.close()

    @staticmethod
    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    def start(self, i):
        self.gone(i)
        inside = ["ip", "netns", "exec", f"{self.tag}n{i}"] if self.isolated else []
        with open(self.directory / f"log-{i}", "a") as log:
            self.supervisors[i] = subprocess.Popen([*inside, *self.command(i)], stdout=subprocess.DEVNULL, stderr=log,
                                                   stdin=subprocess.DEVNULL, env=self.environment(i), start_new_session=True)
        self.aftermath.started(self.supervisors[i].pid)

    def environment(self, i):
        if not self.clocks:
            return None
        offset = self.directory / f"clock-{i}"
        if not offset.exists():
            offset.write_text("+0\n")
        return dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_DONT_FAKE_MONOTONIC="1",
                    FAKETIME_NO_CACHE="0", FAKETIME_CACHE_DURATION="1")

    def step_clock(self, i, seconds):
        (self.directory / f"clock-{i}").write_text(f"{seconds:+d}\n")

    def process(self, i):
        """The node's own process, beneath its supervisor; None between two lives."""
        supervisor = self.supervisors[i]
        if supervisor is None:
            return None
        found = subprocess.run(["pgrep", "-P", str(supervisor.pid)], capture_output=True, text=True).stdout.split()
        return int(found[0]) if found else None

    def kill(self, i):
        """kill -9 of the node: its supervisor tells the others and starts it again."""
        return self.signal(i, signal.SIGKILL)

    def signal(self, i, number):
        """To the node's own process; which that was."""
        pid = self.process(i)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def pause(self, i, seconds):
        """SIGSTOP, and SIGCONT afterwards; its supervisor goes on."""
        pid = self.signal(i, signal.SIGSTOP)
        if pid:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def vanish(self, i):
        """As when the host loses power: nobody tells anybody."""
        self.supervisors[i].send_signal(signal.SIGSTOP)
        pid = self.process(i)
        self.supervisors[i].kill()
        if pid and pid != self.supervisors[i].pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                while True:  # one that is in the middle of a sync ends after it, and keeps its ports so long
                    os.kill(pid, 0)
                    time.sleep(0.005)
        self.supervisors[i].wait()
        self.gone(i)

    def gone(self, i):
        if self.supervisors[i]:
            self.aftermath.ended(self.supervisors[i].pid)
        self.supervisors[i] = None

    def end(self, i):
        """In good order."""
        if self.supervisors[i]:
            self.supervisors[i].terminate()
            try:
                self.supervisors[i].wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.vanish(i)
            self.gone(i)

    def cut(self, source, target):
        """What `source` sends to `target` is lost."""
        if (source, target) not in self.cut_routes:
            self.cut_routes.add((source, target))
            self.route("add", source, target)

    def route(self, verb, source, target):
        space = [] if source is None else ["-n", f"{self.tag}n{source}"]
        self.ip(*space, "route", verb, "blackhole", f"{self.address(target)}/32")

    def mend(self):
        for source, target in self.cut_routes:
            self.route("del", source, target)
        self.cut_routes.clear()

    def heal(self):
        """Links are mended, and whoever is down is started."""
        self.mend()
        for i in range(self.count):
            if self.supervisors[i] is None or self.supervisors[i].poll() is not None:
                self.start(i)

    def strike(self, rng: random.Random, kind, victim=None, stop_long=(1.2, 2.5)):
        """Does one harm of STRIKES, to a random node unless `victim` is given, and returns whom it met. Pauses are over on return
        (a long one takes a factor of GRANT_S between those given); cuts and the dead remain until heal()."""
        victim = rng.randrange(self.count) if victim is None else victim
        if kind == "kill-leader":
            found = self.leader()
            victim = victim if found is None else found
        others = [i for i in range(self.count) if i != victim]
        if kind in ("kill-leader", "kill-any"):
            self.kill(victim)
        elif kind == "kill-two":
            self.kill(victim)
            self.kill(others[0])
        elif kind == "vanish":
            self.vanish(victim)
        elif kind in ("stop", "stop-long"):
            self.pause(victim, rng.uniform(0.05, 0.5) if kind == "stop" else rng.uniform(*stop_long) * GRANT_S)
        elif kind in ("cut-both", "cut-in", "cut-out"):
            for other in others:
                if kind != "cut-in":
                    self.cut(victim, other)
                if kind != "cut-out":
                    self.cut(other, victim)
        elif kind == "power-cut":
            for i in range(self.count):
                if self.supervisors[i]:
                    self.vanish(i)
        elif kind == "hand-over":
            found = self.leader()
            if found is not None:
                self.resign(found)
        else:
            raise AssertionError(f"no harm is called '{kind}'")
        return victim
