"""A cluster of whole nodes (members, stores and gateways in one) on hosts of their own, haproxy in front of them, and how a test
asks, harms and watches them. One node alone is the same with fewer settings."""
import base64
import collections
import contextlib
import http.client
import json
import os
import random
import shutil
import subprocess
import time

from .bench_s3 import presign
from .hosts import Hosts
from .node import BINARY, cpu_seconds, free_port

# How often haproxy asks /readyz, and what it does with a node that does not answer, are what an operator would set.
HAPROXY = """global
  maxconn 4096
  {threads}
defaults
  mode http
  retries 3
  option redispatch
  timeout connect 500ms
  timeout client 90s
  timeout server 5s
  timeout http-keep-alive 90s
  timeout http-request 30s
  timeout queue 10s
  balance roundrobin
  {mode}
  # What surely or harmlessly was not done is asked of another node. A node's own 503 is passed on: tests want to see it.
  retry-on conn-failure empty-response response-timeout
  option httpchk GET /readyz
frontend http
  bind {address}:{http}
  default_backend depot
backend depot
{rules}
{depot}
frontend s3
  bind {address}:{s3}
  default_backend s3
backend s3
{rules}
{s3_servers}
"""
RULES = """  http-request disable-l7-retry if ! METH_GET ! METH_HEAD
  http-request set-timeout server 90s if ! METH_GET ! METH_HEAD
  http-response set-header X-Served-By %s"""
MODES = {"close": "option http-server-close", "reuse": "http-reuse always"}


S3Server = collections.namedtuple("S3Server", "key s3_url")  # what bench_s3 wants of one


class NodeCluster(Hosts):
    """`count` nodes that are one cluster, or with `independent` so many that know nothing of each other (a control). `small` gives nodes
    a disk of so many MiB: {node: MiB}. `places` are the nodes' (site/rack/host), each a host of its own by default. Nodes of `founders`
    and above wait to be added. isolated=False: on loopback, for measuring."""

    def __init__(self, directory, count=3, isolated=True, settings=(), independent=False, clocks=False, small=None, places=None, founders=None,
                 groups=None, copies=None, port=19000, space=""):
        super().__init__(directory, isolated=isolated, count=count, port=port, clocks=clocks, space=space)
        self.settings, self.alone = list(settings), independent or count == 1
        self.small, self.places = small or {}, places or [f"site/rack/host{i + 1}" for i in range(count)]
        self.founders = founders or count
        self.groups, self.copies = groups, copies
        self.binaries = [BINARY] * count
        self.ids = [i + 1 for i in range(count)]  # a wiped node comes back under a new one
        self.fillers, self.mounts = set(), []
        self.cut_off = []  # (node's name, from, to) in ns: when it may answer 503
        self.keys = {}
        self.patience = 30  # seconds for an answer

    # Where everybody is.

    def ports(self, i):
        base = self.port + (0 if self.isolated else 10 * i)
        return {name: base + at for at, name in enumerate(("http", "s3", "cell", "member", "data"))}

    def url(self, i, what="http"):
        return f"http://{self.address(i)}:{self.ports(i)[what]}"

    def data(self, i):
        return self.directory / f"disk-{i}" / "data"

    def command(self, i):
        ports, address = self.ports(i), f"'{self.address(i)}'"
        own = {"s3.port": ports["s3"], "cell.port": ports["cell"], "cell.member_port": ports["member"], "cell.data_port": ports["data"],
               "cell.address": address}
        if self.alone:
            own["cell.address"] = "'127.0.0.1'"
        else:
            members = ", ".join(f"'{j + 1}={self.address(j)}:{self.ports(j)['member']}'" for j in range(self.founders))
            own |= {"cell.id": self.ids[i], "cell.members": f"[{members}]", "cluster.place": f"'{self.places[i]}'",
                    "cell.join": str(i >= self.founders or self.ids[i] > self.count).lower()}
            own |= {f"cluster.{name}": value for name, value in (("groups", self.groups), ("copies", self.copies)) if value}
            if self.isolated:
                own["cell.plain_anywhere"] = "true"
        if i in self.small:
            own |= {"group.segment_bytes": 4 << 20, "cell.segment_bytes": 4 << 20, "store.segment_bytes": 16 << 20}
        words = [word for key, value in own.items() for word in ("--set", f"{key}={value}")]
        words += [word for each in self.settings for word in ("--set", each)]
        return [self.binaries[i], "serve", "--data", self.data(i), "--listen", f"{self.address(i)}:{ports['http']}", *words]

    def start(self, i):
        disk = self.data(i).parent
        if not disk.exists():
            disk.mkdir()
            if i in self.small:
                self.aftermath.undo("umount", "-l", disk)
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.small[i]}m", "tmpfs", disk], check=True)
                self.mounts.append(disk)
        super().start(i)

    def __exit__(self, kind, *rest):
        try:
            super().__exit__(kind, *rest)
        finally:
            for mount in self.mounts:
                subprocess.run(["umount", "-l", mount], check=False)

    def process(self, i):
        if not self.alone:
            return super().process(i)
        alive = self.supervisors[i] is not None and self.supervisors[i].poll() is None
        return self.supervisors[i].pid if alive else None  # alone it has no supervisor

    def kill(self, i):
        pid = super().kill(i)
        if self.alone and pid:
            self.supervisors[i].wait()
        return pid

    def processes(self):
        """Every process of the nodes, supervisors too."""
        out = {self.process(i) for i in range(self.count)} | {s.pid for s in self.supervisors if s}
        return sorted(pid for pid in out if pid)

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in self.processes())

    # Readiness.

    def ready(self, i):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get(i, "/readyz", timeout=2)[0] == 200
        return False

    def wait_ready(self, i, patience=60):
        """Seconds it took."""
        began = time.monotonic()
        while not self.ready(i):
            took = time.monotonic() - began
            assert took < patience, f"node {i + 1} is not ready after {took:.0f} s"
            if self.supervisors[i] is not None and self.supervisors[i].poll() is not None:
                raise AssertionError(f"node {i + 1} has exited with {self.supervisors[i].returncode}")
            time.sleep(0.02)
        return time.monotonic() - began

    def wait_until_ready(self):
        for i in range(self.founders):
            self.wait_ready(i)

    # Requests. `i` may be a Balancer too.

    def s3(self, i, method, key, body=b"", timeout=None):
        """A presigned request of S3: (status, body)."""
        at = S3Server(self.key(i), i.s3_url if isinstance(i, Balancer) else self.url(i, "s3"))
        status, _, answer = self.get(i, presign(at, method, key), method=method, body=body or None, timeout=timeout, what="s3")
        return status, answer

    def where(self, i, what="http"):
        return (i.address, i.ports[what]) if isinstance(i, Balancer) else (self.address(i), self.ports(i)[what])

    def get(self, i, path, headers=None, method="GET", body=None, timeout=None, what="http"):
        """One request on a connection of its own: status, headers, body."""
        connection = http.client.HTTPConnection(*self.where(i, what), timeout=timeout or self.patience)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except http.client.HTTPException as broken:
            raise ConnectionError(repr(broken)) from broken
        finally:
            connection.close()

    def key(self, i):
        """The administrator's: made once, by whichever node founded the cluster; by each where they are independent."""
        own = i if self.alone and not isinstance(i, Balancer) else None
        if own not in self.keys:
            paths = [self.data(j) / "admin.key" for j in (range(self.count) if own is None else [own])]
            found = [path for path in paths if path.exists()]
            assert found, f"no admin.key in any data directory below {self.directory}"
            self.keys[own] = found[0].read_text().strip()
        return self.keys[own]

    def api(self, i, method, path, body=None, key=None, timeout=None):
        """(status, parsed answer) of node `i` or a balancer."""
        headers = {"Authorization": f"Bearer {self.key(i)}"}
        if key:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        status, _, answer = self.get(i, "/api/v1" + path, headers, method, data, timeout)
        try:
            return status, json.loads(answer) if answer else None
        except ValueError:
            return status, answer[:300].decode(errors="replace")

    def done(self, i, method, path, body=None, **more):
        """The same, which must succeed."""
        status, answer = self.api(i, method, path, body, **more)
        assert status < 300, f"{method} {path}: {status}: {answer}"
        return answer

    def cli(self, i, *words, check=True, timeout=120):
        """`hailstone WORDS --json` against node `i` or a balancer; the parsed answer, or the process if not `check`."""
        address, port = self.where(i)
        environment = dict(os.environ, HAILSTONE_URL=f"http://{address}:{port}", HAILSTONE_KEY=self.key(i),
                           XDG_CACHE_HOME=str(self.directory / "cache"))
        done = subprocess.run([BINARY, *map(str, words), "--json"], env=environment, capture_output=True, text=True, timeout=timeout)
        if not check:
            return done
        assert done.returncode == 0, f"hailstone {' '.join(map(str, words))}: exit {done.returncode}: {done.stderr}{done.stdout}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def leader(self):
        """Of the cell's root group."""
        if self.alone:
            return 0
        for i in range(self.count):
            if self.supervisors[i] is None:
                continue
            done = self.cell(i, "--timeout", "2", "status")
            found = json.loads(done.stdout) if done.stdout else None
            if found and found["leader"] in self.ids:
                return self.ids.index(found["leader"])
        return None

    def resign(self, i, to=0):
        self.cell(i, "resign", *(["--to", str(to)] if to else []))

    def cell(self, i, *words):
        """`hailstone cell WORDS` at node `i`, whatever comes of it."""
        where = f"{self.address(i)}:{self.ports(i)['cell']}"
        plain = ["--plain-anywhere"] if self.isolated else []
        return subprocess.run([BINARY, "--json", "cell", "--cell", where, *plain, *words], capture_output=True, text=True, timeout=60)

    # Harm beyond that of hosts.

    @contextlib.contextmanager
    def cut_off_while(self, *nodes, slack_s=1.0, patience=120):
        """The block harms `nodes`: from its beginning until each is ready again, and what the balancer takes to see that, they may
        answer 503."""
        begin, first = time.monotonic_ns(), len(self.cut_off)
        names = [name for i in nodes for name in (f"n{i + 1}", str(self.ids[i]))]  # the balancer's, its own
        self.cut_off += [(name, begin, float("inf")) for name in names]
        yield
        for i in nodes:
            self.wait_ready(i, patience)
        end = time.monotonic_ns() + int(slack_s * 1e9)
        self.cut_off[first:first + len(names)] = [(name, begin, end) for name in names]

    def fill_disk(self, i):
        """All of the rest of a small disk."""
        assert i in self.small, f"node {i + 1} has no disk of its own"
        self.fillers.add(i)
        with open(self.data(i).parent / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free_disk(self, i):
        (self.data(i).parent / "filler").unlink(missing_ok=True)
        self.fillers.discard(i)

    def wipe(self, i):
        """Its disk is lost. It comes back as a new node in the place of the old one, and catches up."""
        if self.supervisors[i]:
            self.vanish(i)
        shutil.rmtree(self.data(i), ignore_errors=True)
        if self.alone:
            self.keys.pop(i, None)
            return self.start(i)
        old, self.ids[i] = self.ids[i], max(*self.ids, self.count) + 1
        self.start(i)
        other = next(j for j in range(self.count) if j != i and self.supervisors[j])
        done = self.cli(other, "cluster", "replace", old, self.ids[i], check=False, timeout=300)
        assert done.returncode == 0, f"hailstone cluster replace: {done.stderr}"

    def flip_byte(self, i, rng: random.Random):
        """One bit of one chunk segment; False where there is none yet."""
        files = [path for path in (self.data(i) / "chunks").glob("*") if path.is_file() and path.suffix != ".idx" and path.stat().st_size > 4096]
        if not files:
            return False
        with open(rng.choice(sorted(files)), "r+b") as file:
            file.seek(0, os.SEEK_END)
            at = rng.randrange(64, file.tell())
            file.seek(at)
            byte = file.read(1)[0] ^ 1 << rng.randrange(8)
            file.seek(at)
            file.write(bytes([byte]))
        return True


class Balancer:
    """haproxy before all nodes, HTTP and S3; `mode` is one of MODES."""

    def __init__(self, cluster, mode="close", threads=None):
        self.cluster, self.mode, self.threads = cluster, mode, threads
        self.address = cluster.address(None)
        self.ports = {"http": free_port(), "s3": free_port()}
        self.url, self.s3_url = (f"http://{self.address}:{self.ports[what]}" for what in ("http", "s3"))
        self.process = None

    def __enter__(self):
        assert shutil.which("haproxy"), "haproxy is not installed: ./dev setup --bench"

        def servers(what):
            nodes = range(self.cluster.count)
            return "\n".join(f"  server n{i + 1} {self.cluster.address(i)}:{self.cluster.ports(i)[what]} check port {self.cluster.ports(i)['http']} "
                             "inter 250ms fall 2 rise 1" for i in nodes)

        path = self.cluster.directory / f"haproxy-{self.mode}-{self.ports['http']}.cfg"
        path.write_text(HAPROXY.format(rules=RULES, mode=MODES[self.mode], address=self.address, http=self.ports["http"], s3=self.ports["s3"], depot=servers("http"),
                                       s3_servers=servers("s3"), threads=f"nbthread {self.threads}" if self.threads else ""))
        self.log = open(path.with_suffix(".log"), "w")
        self.process = subprocess.Popen(["haproxy", "-db", "-f", path], stdout=self.log, stderr=self.log, start_new_session=True)
        self.cluster.aftermath.started(self.process.pid)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                if self.cluster.get(self, "/readyz", timeout=2)[0] == 200:
                    return self
            assert self.process.poll() is None and time.monotonic() < deadline, f"haproxy does not serve: {path.with_suffix('.log').read_text()[-500:]}"
            time.sleep(0.05)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.cluster.aftermath.ended(self.process.pid)
        self.log.close()

    def basic(self):
        """An Authorization field for stock clients."""
        return "Basic " + base64.b64encode(self.cluster.key(self).encode()).decode()
