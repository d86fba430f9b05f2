"""Trees whose files hold the number of the flip that published them: who publishes them, who reads them (bench/stamped_readers.cc), and
the judge of what was read. A channel is a register that flips write; stamps only rise, so it is linearizable if nothing that began
later shows an older stamp than what had ended before, and nothing shows a stamp before its flip began."""
import bisect
import collections
import contextlib
import random
import signal
import subprocess
import threading
import time
import uuid

from .node import ROOT

READERS = ROOT / "build/release/bench/stamped_readers"
FILES = [f"stamp-{c}.txt" for c in "abcdefghij"]
Read = collections.namedtuple("Read", "start end volume asked status release stamp node")
Flip = collections.namedtuple("Flip", "called returned stamp releases")  # releases: {volume: its release}; returned: infinite if unknown


def build():
    subprocess.run(["./dev", "build", "release", "hailstone", "stamped_readers"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def edits(stamp):
    return {"edits": [{"key": name, "text": f"stamp {stamp} {name} " + "x" * (stamp % 97)} for name in FILES]}


class Refused(Exception):
    """The API said no, and not for a while only."""

    def __init__(self, what, status, answer):
        super().__init__(f"{what}: {status} {answer}")
        self.status, self.answer = status, answer


class Publisher(threading.Thread):
    """Writes a stamp into all files of its volumes and flips them in one step, one after the other, about `rate` times a second, each
    call at any node of `nodes`. What fails or remains unknown is repeated elsewhere under the same key until it is known: a node that
    stood still meanwhile must not do it again later."""

    def __init__(self, api, nodes, volumes, rate=8, seed=1, patience=90):
        super().__init__(daemon=True)
        self.api, self.nodes, self.volumes, self.rate, self.patience = api, list(nodes), volumes, rate, patience
        self.rng = random.Random(seed)
        self.stopping, self.error = threading.Event(), None
        self.flips, self.repeats = [], 0

    def make(self):
        """Volumes, empty."""
        for volume in self.volumes:
            self.call("POST", "/volumes", {"name": volume})

    def call(self, method, path, body):
        key = uuid.uuid4().hex
        began = time.monotonic()
        while True:
            try:
                status, answer = self.api(self.rng.choice(self.nodes), method, path, body, key, timeout=10)
                if status < 300:
                    return answer
                said = f"{method} {path}: {status} {answer}"
                if status not in (429, 502, 503, 504, 507):  # a full disk is one node's
                    raise Refused(f"{method} {path}", status, answer)
            except OSError as error:
                said = f"{method} {path}: {error!r}"
            assert time.monotonic() - began < self.patience, f"not done for {self.patience} s: {said}"
            self.repeats += 1
            time.sleep(self.rng.uniform(0, 0.05))

    def flip(self, written=None):
        """`written` is called between the edits and their publication."""
        stamp = len(self.flips) + 1
        for volume in self.volumes:
            self.call("POST", f"/targets/{volume}/batch", edits(stamp))
        if written:
            written()
        called = time.monotonic_ns()
        self.flips.append(Flip(called, float("inf"), stamp, {}))  # readers may see it from now on
        done = self.call("POST", "/publish", {"items": [{"volume": volume} for volume in self.volumes]})
        self.flips[-1] = Flip(called, time.monotonic_ns(), stamp, {each["volume"]: each["release"] for each in done["releases"]})

    def run(self):
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                self.flip()
                self.stopping.wait(max(0.0, 1 / self.rate - (time.monotonic() - began)))
        except Exception as error:  # noqa: BLE001: told by stop()
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(self.patience + 30)
        if self.error:
            raise AssertionError(f"publisher of {self.volumes}: {self.error}") from self.error


@contextlib.contextmanager
def readers(url, volumes, out, count=32, rate=1500, pinned=10, seed=1):
    """The readers' process while the block runs; then everything they met is in `out`, for load()."""
    words = [word for volume in volumes for word in ("--volume", volume)]
    process = subprocess.Popen([READERS, "--url", url, "--out", out, "--readers", str(count), "--rate", str(rate), "--pinned", str(pinned),
                                "--seed", str(seed), *words], stderr=subprocess.PIPE, text=True)
    try:
        yield process
        assert process.poll() is None, f"the readers have ended: {process.stderr.read()}"
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=90)[1]
        assert process.returncode == 0, f"readers: {said}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def load(path, volumes):
    out = []
    with open(path) as lines:
        for line in lines:
            start, end, volume, asked, status, release, stamp, node = line.split(" ", 7)
            out.append(Read(int(start), int(end), volumes[int(volume)], int(asked), int(status), int(release), int(stamp), node.rstrip()))
    return out


class Newest:
    """The highest stamp among events up to a time."""

    def __init__(self, events):
        self.times, self.stamps, highest = [], [], 0
        for at, stamp in sorted(events):
            highest = max(highest, stamp)
            self.times.append(at)
            self.stamps.append(highest)

    def before(self, at):
        found = bisect.bisect_left(self.times, at)
        return self.stamps[found - 1] if found else 0


def judge(reads, flips, cut_off=()):
    """{kind of violation: [what, ...]} of what was read from the volumes of one publisher, in O(n log n). `cut_off`: (node, from, to)
    in nanoseconds, when a node may answer 503; while there is any, the balancer may have found nobody. A kind without
    violations is not there; "excused" counts failures that a cut explains and is no violation."""
    found = collections.defaultdict(list)
    shown = [read for read in reads if read.status == 200 and not read.asked]
    known = Newest([(flip.returned, flip.stamp) for flip in flips] + [(read.end, read.stamp) for read in shown])
    begun = Newest([(flip.called, flip.stamp) for flip in flips])
    stamp_of = {(volume, release): flip.stamp for flip in flips for volume, release in flip.releases.items()}
    for read in reads:
        what = f"{read.volume}{f'@{read.asked}' if read.asked else ''} from node {read.node} at {read.start / 1e9:.3f}"
        if read.status != 200:
            cut = [node for node, begin, end in cut_off if begin <= read.end and read.start <= end]
            by_balancer = read.node == "-" or read.status in (0, 502, 504)
            if read.status in (404, 410):
                found["missing"].append(f"{what}: {read.status}")
            elif read.status in (0, 502, 503, 504) and (cut if by_balancer else read.status == 503 and read.node in cut):
                found["excused"].append(what)
            else:
                found["unavailable"].append(f"{what}: {read.status}, cut off then: {cut or 'nobody'}")
            continue
        if read.stamp == 0:
            found["foreign"].append(f"{what}: not the file that was asked for")
            continue
        if read.asked and read.release != read.asked:
            found["mixed"].append(f"{what}: release {read.release}")
        # A release holds one stamp, wherever and however it is read: what the flip said, else what the first reader saw.
        if stamp_of.setdefault((read.volume, read.release), read.stamp) != read.stamp:
            found["mixed"].append(f"{what}: stamp {read.stamp} in release {read.release}, which has {stamp_of[read.volume, read.release]}")
        if read.stamp > begun.before(read.end):
            found["early"].append(f"{what}: stamp {read.stamp} before its flip began")
        if not read.asked and read.stamp < known.before(read.start):
            found["stale"].append(f"{what}: stamp {read.stamp} after {known.before(read.start)} was seen")
    return dict(found)


def verdict(found):
    """(words, whether nothing is wrong)"""
    bad = {kind: len(what) for kind, what in found.items() if kind != "excused"}
    for kind, what in found.items():
        if kind != "excused":
            print(*(f"    {kind}: {each}" for each in what[:5]), sep="\n", flush=True)
    return (", ".join(f"{number} {kind}" for kind, number in sorted(bad.items())) or "no violation"), not bad


def check_judge():
    """The judge passes a good history, and finds each mistake that is planted into it."""
    rng = random.Random(5)
    flips = [Flip(1000 * i, 1000 * i + 300, i, {"v": i + 7}) for i in range(1, 1001)]
    good = []
    for _ in range(20_000):
        start = rng.randrange(2_000, 1_000_000)
        end = start + rng.randrange(1, 900)
        at = rng.randrange(start, end)  # when it is answered: some time after its flip began
        stamp = (at - 1 if at % 1000 > 150 else at - 1000) // 1000
        asked = rng.randrange(8, stamp + 8) if rng.random() < 0.1 and stamp > 0 else 0
        good.append(Read(start, end, "v", asked, 200, asked or stamp + 7, asked - 7 if asked else stamp, "1"))
    assert not judge(good, flips), judge(good, flips)
    plain = next(read for read in good[9000:] if not read.asked and 500 < read.stamp < 900)
    pinned = next(read for read in good[9000:] if read.asked > 100)
    planted = {
        "stale": plain._replace(stamp=plain.stamp - 3, release=plain.release - 3), "early": plain._replace(stamp=plain.stamp + 3, release=plain.release + 3),
        "mixed": pinned._replace(stamp=pinned.stamp - 1), "missing": pinned._replace(status=404), "unavailable": plain._replace(status=503),
        "foreign": plain._replace(stamp=0)}
    for kind, read in planted.items():
        found = judge([*good, read], flips)
        assert kind in found and len(found[kind]) == 1, f"planted {kind}, found {found}"
    cut = [("1", plain.start - 10, plain.start + 10)]
    assert set(judge([*good, planted["unavailable"]], flips, cut)) == {"excused"}
    assert set(judge([*good, planted["unavailable"]._replace(node="2")], flips, cut)) == {"unavailable"}
