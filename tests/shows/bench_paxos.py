"""The replicated register service against etcd and ZooKeeper (Debian's), and against the floor of bare echo and fdatasync: three
nodes each on loopback, every write durable on a majority, 256-byte values, one load generator for all, turn by turn."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time
import types

from .node import workspace
from .register import BENCH, Cluster, build

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Etcd:
    name = "etcd"

    def __init__(self, base):
        self.base, self.processes = base / "etcd", []

    def __enter__(self):
        cluster = ",".join(f"n{i}=http://127.0.0.1:{17620 + i}" for i in range(3))
        for i in range(3):
            self.processes.append(subprocess.Popen(
                ["etcd", "--name", f"n{i}", "--data-dir", self.base / str(i), "--listen-peer-urls", f"http://127.0.0.1:{17620 + i}",
                 "--initial-advertise-peer-urls", f"http://127.0.0.1:{17620 + i}", "--listen-client-urls",
                 f"http://127.0.0.1:{17610 + i}", "--advertise-client-urls", f"http://127.0.0.1:{17610 + i}", "--initial-cluster",
                 cluster, "--log-level", "error", "--logger", "zap"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self.members = [f"--member={i}={17610 + i}" for i in range(3)]
        return self

    def pids(self):
        return [process.pid for process in self.processes]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


class ZooKeeper(Etcd):
    name = "zookeeper"

    def __enter__(self):
        for i in range(3):
            home = self.base.parent / "zookeeper" / str(i)
            home.mkdir(parents=True)
            (home / "myid").write_text(str(i + 1))
            servers = "\n".join(f"server.{j + 1}=127.0.0.1:{17720 + j}:{17730 + j}" for j in range(3))
            (home / "zoo.cfg").write_text(f"tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={home}\nclientPort={17710 + i}\n"
                                          f"admin.enableServer=false\nmaxClientCnxns=0\n4lw.commands.whitelist=*\n{servers}\n")
            (home / "log4j.properties").write_text("log4j.rootLogger=OFF\n")
            jars = ":".join(str(path) for path in pathlib.Path("/usr/share/java").glob("*.jar"))
            self.processes.append(subprocess.Popen(
                ["java", "-Xmx512m", "-cp", f"{home}:{jars}", "org.apache.zookeeper.server.quorum.QuorumPeerMain", home / "zoo.cfg"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self.members = [f"--member={i}={17710 + i}" for i in range(3)]
        return self


class Register:
    name = "register"

    def __init__(self, base):
        self.cluster = Cluster(base / "register", isolated=False, options=["--log-level=info"])

    def __enter__(self):
        self.cluster.__enter__()
        self.members = [f"--member={i + 1}={self.cluster.port + 100 + i}" for i in range(3)]
        return self

    def pids(self):
        return [self.cluster.process(i) for i in range(3)]

    def __exit__(self, *error):
        self.cluster.__exit__(*error)


class Floor(Etcd):
    name = "floor"

    def __enter__(self):
        logs = self.base.parent / "floor"
        logs.mkdir(parents=True)
        for i, more in ((1, []), (2, []), (0, ["--follower=17801", "--follower=17802"])):
            self.processes.append(subprocess.Popen([BENCH / "register_floor", f"--port={17800 + i}", f"--log={logs / str(i)}", *more]))
            time.sleep(1)
        self.members = ["--member=1=17800"]
        return self


def load(service, operation, clients, seconds):
    """Figures of one run, with the CPU time of all nodes for each operation."""
    command = [BENCH / "register_load", service.name, *service.members, f"--operation={operation}", f"--clients={clients}",
               f"--seconds={seconds}", "--warm-up=1"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "measuring" in running.stderr.readline(), f"{service.name}: the load generator did not start"
    before = cpu_seconds(service.pids())
    time.sleep(seconds * 0.9)
    used = (cpu_seconds(service.pids()) - before) / 0.9
    figures = json.loads(running.communicate()[0])
    assert figures["done"] > 0 and figures["failures"] <= 2 * clients, figures
    figures["cpu_us"] = used / figures["done"] * 1e6
    return figures


def ready(service):
    for _ in range(120):
        tried = subprocess.run([BENCH / "register_load", service.name, *service.members, "--clients=3", "--seconds=0.3",
                                "--warm-up=0.1"], capture_output=True, text=True)
        with contextlib.suppress(ValueError):
            if tried.returncode == 0 and json.loads(tried.stdout)["done"] > 20:
                return
        time.sleep(0.5)
    raise AssertionError(f"{service.name} does not serve")


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def idle_groups(base, count):
    """Share of a core and KiB a group of one node's process with so many groups that nobody asks anything of."""
    sizes = {}
    for groups in (1, count):
        with Cluster(base / f"idle-{groups}", isolated=False, options=[f"--groups={groups}", "--store=memory"], port=17900) as cluster:
            deadline = time.monotonic() + 120
            while sum(cluster.status(i).count("rest") for i in range(3)) < 3 * groups:
                assert time.monotonic() < deadline, "the groups do not come to rest"
                time.sleep(0.5)
            pids = [cluster.process(i) for i in range(3)]
            before, began = cpu_seconds(pids), time.monotonic()
            time.sleep(10)
            share = (cpu_seconds(pids) - before) / 3 / (time.monotonic() - began)
            sizes[groups] = statistics.mean(resident_kib(pid) for pid in pids)
    return share, (sizes[count] - sizes[1]) / count


def many_groups(base, groups, seconds):
    """Writes per second by 256 clients over so many groups, all led by one node."""
    with Cluster(base / f"groups-{groups}", isolated=False, options=[f"--groups={groups}", "--store=memory"], port=18000) as cluster:
        deadline = time.monotonic() + 60
        while cluster.status(0).count(" leader promised") < groups:
            assert time.monotonic() < deadline, "one node does not come to lead all groups"
            for i in (1, 2):
                cluster.resign(i, 1)
            time.sleep(0.3)
        service = types.SimpleNamespace(name="register", members=[f"--member={i + 1}={cluster.port + 100 + i}" for i in range(3)],
                                        pids=lambda: [cluster.process(i) for i in range(3)])
        return load(service, "put", 256, seconds)["per_second"]


def run(quick=False):
    build()
    for program in ("etcd", "java"):
        assert shutil.which(program), f"{program} is not installed: ./dev setup --bench"
    seconds, rounds = (2, 2) if quick else (5, 5)
    cases = [("put", 1), ("put", 64), ("put", 256), ("get", 64)]
    table = {}
    with workspace() as base, contextlib.ExitStack() as stack:
        services = [stack.enter_context(kind(base)) for kind in (Register, Etcd, ZooKeeper, Floor)]
        for service in services:
            ready(service)
        for _ in range(rounds):
            for operation, clients in cases:
                for service in services:
                    figures = load(service, operation, clients, seconds)
                    table.setdefault((operation, clients, service.name), []).append(figures)
    with workspace() as base:
        share, kib = idle_groups(base, 1000 if quick else 10_000)
        spread = statistics.median(many_groups(base, 64, seconds) / many_groups(base, 1, seconds) for _ in range(rounds))

    def median(case, name, figure):
        return statistics.median(each[figure] for each in table[(*case, name)])

    for case in cases:
        for name in ("register", "etcd", "zookeeper", "floor"):
            print(f"  {case[0]} {case[1]:4} clients {name:10} {median(case, name, 'per_second'):9.0f}/s  p50 "
                  f"{median(case, name, 'p50_us'):8.0f} us  p99 {median(case, name, 'p99_us'):8.0f} us  CPU "
                  f"{median(case, name, 'cpu_us'):6.1f} us", flush=True)

    def ratio(case, other, figure):
        """Of each round, side by side; the middle one."""
        return statistics.median(ours[figure] / theirs[figure]
                                 for ours, theirs in zip(table[(*case, "register")], table[(*case, other)]))

    short = []

    def want(text, value, limit, at_least=True):
        good = value >= limit if at_least else value <= limit
        print(f"  {'ok   ' if good else 'SHORT'} {text}: {value:.2f} ({'at least' if at_least else 'at most'} {limit})", flush=True)
        if not good:
            short.append(f"{text} {value:.2f}")

    for clients in (64, 256):
        case = ("put", clients)
        want(f"writes, {clients} clients, of etcd's", ratio(case, "etcd", "per_second"), 3)
        want(f"writes, {clients} clients, of ZooKeeper's", ratio(case, "zookeeper", "per_second"), 1.7)
        want(f"writes, {clients} clients, of the floor", ratio(case, "floor", "per_second"), 0.45)
        want(f"p99, {clients} clients, of etcd's", ratio(case, "etcd", "p99_us"), 0.5, at_least=False)
        want(f"p99, {clients} clients, of ZooKeeper's", ratio(case, "zookeeper", "p99_us"), 0.5, at_least=False)
        want(f"CPU a write, {clients} clients, of etcd's", ratio(case, "etcd", "cpu_us"), 0.3, at_least=False)
    want("linearizable reads, 64 clients, of etcd's", ratio(("get", 64), "etcd", "per_second"), 5)
    want("64 active groups, of one group's writes", spread, 0.9)
    want(f"CPU of {1000 if quick else 10_000} idle groups, % of a core", share * 100, 2, at_least=False)
    want("KiB an idle group, with its host, database and machine", kib, 4, at_least=False)
    figure = ", ".join(f"{ratio(('put', c), n, 'per_second'):.2f}x {n} at {c}" for c in (64, 256) for n in ("etcd", "zookeeper", "floor"))
    assert not short, "; ".join(short)
    return f"writes {figure}; reads {ratio(('get', 64), 'etcd', 'per_second'):.1f}x etcd"
