"""Hundreds of random faults on nodes that S3 clients write to and a publisher flips: afterwards every acknowledged write is there and
equal at every node, every release is whole, readers never saw a flip undone, copies are restored in their time, and the disks hold what
is reachable times the copies plus the stated overhead. The control, a write that is taken back behind the clients' back, is found."""
import collections
import contextlib
import hashlib
import os
import random
import shutil
import threading
import time

from . import stamped
from .cluster import Balancer, NodeCluster
from .gc_soak import DEAD_SHARE, PER_CHUNK, SEGMENT
from .hosts import STRIKES
from .node import workspace
from .stamped import Publisher

RESTORED_S = 60  # after a disk or a byte is lost, until all copies are there again: this little data, at these rates
BUCKET = "/soak"
SETTINGS = [f"store.segment_bytes={SEGMENT}", "collect.interval_seconds=5", "collect.trash_seconds=0", "seal.edits=200"]


def body(seed, size):
    return random.Random(seed).randbytes(size)


class Writer(threading.Thread):
    """Puts and deletes objects of its own over S3, at any node. What fails or remains unknown is repeated until it is acknowledged, and
    its key is then left alone: what a node that was away may still do of it is the same."""

    def __init__(self, cluster, number, stopping):
        super().__init__(daemon=True)
        self.cluster, self.number, self.stopping = cluster, number, stopping
        self.rng = random.Random(1000 + number)
        self.kept, self.left_alone = {}, set()  # key: its (seed, size), None if deleted
        self.error, self.counts, self.keys = None, collections.Counter(), 0
        self.hopeless = False  # the run has failed: nothing more need be acknowledged

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step()
                time.sleep(self.rng.uniform(0, 0.05))
        except Exception as error:  # noqa: BLE001: told by the main thread
            self.error = error

    def step(self):
        mine = [key for key in self.kept if key not in self.left_alone]
        if len(mine) < 20 or self.rng.random() < 0.2:
            self.keys += 1
            mine.append(f"{BUCKET}/w{self.number}/k{self.keys}")
        key = self.rng.choice(mine[-20:])
        what = None if self.kept.get(key) and self.rng.random() < 0.2 else (self.rng.getrandbits(48), self.rng.choice([300, 5_000, 60_000, 400_000]))
        tried = 0
        while (not self.stopping.is_set() or tried) and not self.hopeless:
            node = self.rng.randrange(self.cluster.count)
            try:
                status, answer = self.cluster.s3(node, "DELETE" if what is None else "PUT", key, b"" if what is None else body(*what), timeout=8)
            except OSError as error:
                status, answer = 0, repr(error)
            if status in (200, 204):
                break
            assert status in (0, 500, 503, 504, 507), f"{key} at node {node + 1}: {status} {answer[:300]}"
            tried += 1
            assert tried < 2000, f"{key}: not done after {tried} attempts: {status} {answer[:300]}"
            time.sleep(0.05)
        else:
            return
        self.kept[key] = what
        self.counts["puts" if what else "deletes"] += 1
        if tried:
            self.left_alone.add(key)
            self.counts["repeated"] += 1


def strike(cluster, rng, kind):
    """One fault and its end; everybody is ready again afterwards. Seconds until the copies are restored, where it lost some."""
    victim = rng.randrange(cluster.count)
    everybody = kind in ("kill-two", "power-cut", "kill-leader", "hand-over")
    with cluster.cut_off_while(*(range(cluster.count) if everybody else [victim])):
        if kind == "wipe":
            cluster.wipe(victim)
        elif kind == "flip-byte":
            cluster.flip_byte(victim, rng)
            cluster.kill(victim)  # it must find the damage by itself, in what it has in no memory
        elif kind == "older":
            cluster.end(victim)
            now, cluster.binaries[victim] = cluster.binaries[victim], cluster.older
            cluster.start(victim)
            cluster.wait_ready(victim)
            cluster.end(victim)
            cluster.binaries[victim] = now
            cluster.start(victim)
        else:
            cluster.strike(rng, kind, victim, stop_long=(1.2, 5))
            time.sleep(rng.uniform(0, 2 if kind.startswith("cut") else 0.5))
        cluster.heal()
    if kind not in ("wipe", "flip-byte"):
        return 0.0
    began = time.monotonic()
    while (left := missing_copies(cluster)) > 0:
        took = time.monotonic() - began
        assert took < RESTORED_S, f"{kind} of node {victim + 1}: {left} copies are missing after {took:.0f} s"
        time.sleep(0.2)
    return time.monotonic() - began


def missing_copies(cluster):
    """Over all chunks, as the stores count them: `missing_copies` of `hailstone cluster status`."""
    return sum(node["missing_copies"] for node in cluster.cli(0, "cluster", "status")["stores"])


def compare(cluster, kept):
    """What is wrong with acknowledged writes, at every node."""
    wrong = []
    for key, what in sorted(kept.items()):
        wanted = None if what is None else body(*what)
        for i in range(cluster.count):
            status, data = cluster.s3(i, "GET", key)
            if (status, data if status == 200 else None) != ((404, None) if wanted is None else (200, wanted)):
                wrong.append(f"{key} at node {i + 1}: {status}, {len(data)} bytes {hashlib.sha256(data).hexdigest()[:8]}, must be {what}")
    return wrong


def compare_releases(cluster, publisher):
    wrong = []
    for flip in publisher.flips:
        for volume, release in flip.releases.items():
            i, name = flip.stamp % cluster.count, stamped.FILES[flip.stamp % len(stamped.FILES)]
            status, _, data = cluster.get(i, f"/{volume}@{release}/{name}")
            if status != 200 or data.split()[1] != b"%d" % flip.stamp:
                wrong.append(f"{volume}@{release}/{name} at node {i + 1}: {status} {data[:30]}, must be stamp {flip.stamp}")
    return wrong


def space(cluster):
    """(words, whether the disks hold no more than was promised)"""
    before = None
    for _ in range(30):
        time.sleep(0.5)
        for i in range(cluster.count):
            cluster.cli(i, "gc", "--now", "--wait", timeout=300)
        usage = cluster.cli(0, "gc", "--verify", timeout=300)
        if usage == before:
            break
        before = usage
    disk = sum(path.stat().st_size for i in range(cluster.count) for path in (cluster.data(i) / "chunks").iterdir())
    copies = min(cluster.copies or 3, cluster.count)
    bound = copies * (usage["reachable_bytes"] + usage["reachable_chunks"] * PER_CHUNK) / (1 - DEAD_SHARE) + cluster.count * 2 * SEGMENT
    return (f"{disk / 2**20:.1f} MiB on {cluster.count} disks for {copies} copies of {usage['reachable_bytes'] / 2**20:.1f} reachable "
            f"(bound {bound / 2**20:.1f})"), disk <= bound


def run(quick=False):
    """HAILSTONE_NODES: how many nodes (3). HAILSTONE_OLDER: a binary of the release before; this one by default."""
    stamped.build()
    count, faults = int(os.environ.get("HAILSTONE_NODES", 3)), 20 if quick else 500
    seed = int(os.environ.get("HAILSTONE_SEED", 4))
    rng = random.Random(seed)
    kinds = ["kill-leader", "kill-any", "vanish", "stop", "stop-long", "power-cut", "hand-over", "older"]
    kinds += sorted(set(STRIKES) - set(kinds)) + ["wipe", "flip-byte", "flip-byte"] if count > 1 else []
    with workspace() as base, NodeCluster(base / "cluster", count=count, settings=SETTINGS) as cluster, Balancer(cluster) as balancer:
        cluster.older = base / "older"
        shutil.copy(os.environ.get("HAILSTONE_OLDER", cluster.binaries[0]), cluster.older)
        assert cluster.s3(0, "PUT", BUCKET)[0] == 200
        publisher, stopping = Publisher(cluster.api, range(count), ["pair-a", "pair-b"], rate=4, patience=120), threading.Event()
        publisher.make()
        publisher.flip()
        writers = [Writer(cluster, number, stopping) for number in range(6)]
        out, done, restored = base / "reads", collections.Counter(), [0.0]
        with stamped.readers(balancer.url, publisher.volumes, out, rate=200):
            for thread in [publisher, *writers]:
                thread.start()
            try:
                for _ in range(faults):
                    kind = rng.choice(kinds)
                    restored.append(strike(cluster, rng, kind))
                    done[kind] += 1
                    time.sleep(rng.uniform(0, 1))
                    problem = next((thread.error for thread in [publisher, *writers] if thread.error), None)
                    assert problem is None, f"after {sum(done.values())} faults, the last {kind}: {problem!r}"
            except BaseException:
                publisher.patience = 0
                for writer in writers:
                    writer.hopeless = True
                raise
            finally:
                stopping.set()
                publisher.stopping.set()
            for writer in writers:
                writer.join(300)
                assert not writer.is_alive() and writer.error is None, f"writer: {writer.error!r}"
            publisher.stop()
        found = stamped.judge(stamped.load(out, publisher.volumes), publisher.flips, cluster.cut_off)
        reads, fine = stamped.verdict(found)
        kept = {key: what for writer in writers for key, what in writer.kept.items()}
        wrong = compare(cluster, kept) + compare_releases(cluster, publisher)
        counts = sum((writer.counts for writer in writers), collections.Counter())
        words, small = space(cluster)
        wrong += compare(cluster, kept)  # collection took nothing that is needed
        # The control: a write that goes back to what it was, unknown to its writer.
        key, what = next((key, what) for key, what in kept.items() if what)
        cluster.s3(0, "PUT", key, body(what[0] + 1, what[1]))
        assert len(compare(cluster, {key: what})) == count, "a lost write is not seen"
    figure = (f"{sum(done.values())} faults {dict(done)}; {dict(counts)}, {len(kept)} keys equal at {count} nodes, {len(publisher.flips)} flips, reads: {reads}; "
              f"{len(wrong)} wrong; copies restored in at most {max(restored):.1f} s (limit {RESTORED_S}); {words}")
    if wrong:
        print(*(f"    {each}" for each in wrong[:10]), sep="\n", flush=True)
    assert fine and not wrong and small, figure
    return figure
