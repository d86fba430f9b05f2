"""Stock clients against the balancer while all their repositories flip in one step; then sixteen publishers, through any node, with
drafts that overlap and drafts that do not: nothing is lost, and an overlap is refused with the keys. The control, the same clients
before two nodes that are published one after the other, must meet errors."""
import collections
import contextlib
import os
import queue
import random
import threading
import time

from . import stamped, stock
from .cluster import Balancer, NodeCluster
from .node import workspace
from .stamped import Publisher

SHARED = [f"shared/{i}" for i in range(6)]


class Flips(threading.Thread):
    """Publishes release after release of all of stock.VOLUMES: on any node, or for the control on each of `one_by_one` in turn."""

    def __init__(self, cluster, releases, one_by_one=None):
        super().__init__(daemon=True)
        self.releases, self.stopping, self.error, self.number = releases, threading.Event(), None, 0
        targets = [[i] for i in one_by_one] if one_by_one else [range(cluster.count)]
        self.publishers = [Publisher(cluster.api, nodes, list(stock.VOLUMES)) for nodes in targets]
        self.before = {volume: {} for volume in stock.VOLUMES}
        self.ahead = queue.Queue(maxsize=20)
        for publisher in self.publishers:
            for volume, settings in stock.VOLUMES.items():
                publisher.call("POST", "/volumes", {"name": volume, "settings": settings})
        for _ in range(2):
            self.flip(self.build())
        threading.Thread(target=self.build_ahead, daemon=True).start()

    def build(self):
        self.number += 1
        return self.releases(self.number)

    def build_ahead(self):
        with contextlib.suppress(OSError):  # the directory goes when all is done
            while not self.stopping.is_set():
                self.ahead.put(self.build())

    def flip(self, release):
        for publisher in self.publishers:
            for volume, files in release.items():
                publisher.call("POST", f"/targets/{volume}/batch", stock.edits(self.before[volume], files))
            publisher.call("POST", "/publish", {"items": [{"volume": volume} for volume in release]})
        self.before = release

    def run(self):
        self.flips = 0
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                self.flip(self.ahead.get())
                self.flips += 1
                self.stopping.wait(max(0.0, 0.15 - (time.monotonic() - began)))
        except Exception as error:  # noqa: BLE001: told by the main thread
            self.error = error


def use(base, cluster, mode, runs, one_by_one=None):
    """({client: (runs, problems)}, flips, seconds)"""
    problems = collections.defaultdict(list)
    with Balancer(cluster, mode=mode) as balancer:
        flips = Flips(cluster, stock.Releases(base / "releases", balancer.url), one_by_one)

        def loop(name, client):
            for _ in range(runs[name]):
                try:
                    problem = client()
                except Exception as error:  # noqa: BLE001: any failure of a client is a finding
                    problem = f"{name}: {error!r}"
                if problem:
                    problems[name].append(problem)

        threads = [threading.Thread(target=loop, args=(name, make(base / name.replace(" ", "-"), balancer.url)), daemon=True)
                   for name, make in stock.CLIENTS.items()]
        flips.start()
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(1800)
        took = time.monotonic() - began
        flips.stopping.set()
        flips.join(120)
        assert flips.error is None, f"publisher: {flips.error!r}"
    return {name: (runs[name], problems[name]) for name in stock.CLIENTS}, flips.flips, took


def told(results):
    for name, (_, problems) in results.items():
        for problem in problems[:2]:
            print(f"    {name}: {' '.join(problem.split())[:300]}", flush=True)
    return ", ".join(f"{name} {len(problems)} of {count}" for name, (count, problems) in results.items())


class Author(Publisher):
    """Opens a draft, writes files of its own and sometimes files that others write too, and publishes it, each call at any node."""

    def __init__(self, cluster, number, commits):
        super().__init__(cluster.api, range(cluster.count), ["library"], seed=100 + number)
        self.number, self.commits = number, commits
        self.done, self.refused = [], 0  # (release, its base, {key: text})

    def run(self):
        try:
            for turn in range(self.commits):
                self.commit(turn)
        except Exception as error:  # noqa: BLE001: told by stop()
            self.error = error

    def commit(self, turn):
        draft = self.call("POST", "/volumes/library/drafts", {"message": f"{self.number}.{turn}"})
        files = {f"own/{self.number}/{self.rng.randrange(8)}": f"{self.number}.{turn}" for _ in range(2)}
        if self.rng.random() < 0.4:
            files |= {key: f"{self.number}.{turn}" for key in self.rng.sample(SHARED, 2)}
        self.call("POST", f"/targets/library%40draft-{draft['draft']}/batch", {"edits": [{"key": key, "text": text} for key, text in files.items()]})
        try:
            made = self.call("POST", "/publish", {"items": [{"volume": "library", "draft": draft["draft"]}]})
        except stamped.Refused as refusal:
            self.refused += 1
            assert refusal.status == 409, f"neither done nor refused for an overlap: {refusal}"
            keys = refusal.answer["error"]["keys"]
            assert keys and set(keys) <= set(files) & set(SHARED), f"refused with the keys {keys}, of {sorted(files)}"
            self.call("DELETE", f"/volumes/library/drafts/{draft['draft']}", None)
            return
        self.done.append((made["releases"][0]["release"], draft["base"], files))


def publish_together(cluster, authors, commits):
    """(words, what is wrong)"""
    first = Publisher(cluster.api, range(cluster.count), ["library"])
    first.call("POST", "/volumes", {"name": "library"})
    first.call("POST", "/targets/library/batch", {"edits": [{"key": key, "text": "0"} for key in SHARED]})
    first.call("POST", "/publish", {"items": [{"volume": "library"}]})
    writers = [Author(cluster, number, commits) for number in range(authors)]
    began = time.monotonic()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(1800)
        writer.stop()
    took = time.monotonic() - began
    history = sorted(each for writer in writers for each in writer.done)
    refused = sum(writer.refused for writer in writers)
    wrong = check_history(history)
    wanted = {key: "0" for key in SHARED}
    for _, _, files in history:
        wanted |= files
    newest = max([release for release, _, _ in history])
    for i in range(cluster.count):
        for key, text in wanted.items():
            status, headers, body = cluster.get(i, f"/library/{key}")
            if status != 200 or body.decode() != text or int(headers["X-Hailstone-Release"]) != newest:
                wrong.append(f"node {i + 1}: {key} is {status} {body[:40]} of release {headers.get('X-Hailstone-Release')}, must be {text} of {newest}")
        listed = cluster.done(i, "GET", "/targets/library@current/list?limit=10000")
        keys = {entry["key"] for entry in listed["entries"]}
        if keys != set(wanted):
            wrong.append(f"node {i + 1} lists {len(keys)} keys, must be {len(wanted)}: {sorted(keys ^ set(wanted))[:5]}")
    for release, _, files in random.Random(3).sample(history, min(50, len(history))):
        for key, text in files.items():
            status, _, body = cluster.get(release % cluster.count, f"/library@{release}/{key}")
            if status != 200 or body.decode() != text:
                wrong.append(f"library@{release}/{key} is {status} {body[:40]}, must be {text}")
    words = f"{authors} publishers made {len(history)} releases in {took:.0f} s, {refused} refused with the keys that overlap, {len(wrong)} wrong"
    if refused == 0:
        wrong.append("no draft was refused: nothing was tried")
    return words, wrong


def check_history(history):
    """Releases that took no note of a change that they overlap: `history` is of (release, base, files), in order."""
    wrong, numbers = [], [release for release, _, _ in history]
    if len(set(numbers)) != len(numbers):
        wrong.append("two drafts are one release")
    written = collections.defaultdict(list)
    for release, base, files in history:
        for key in files:
            lost = [other for other in written[key] if other > base]
            if lost and key in SHARED:
                wrong.append(f"release {release} of base {base} wrote {key} over that of release {lost[0]}")
            written[key].append(release)
    return wrong


def run(quick=False):
    """HAILSTONE_NODES: how many nodes (3)."""
    stamped.build()
    absent = stock.missing()
    assert not absent, f"not installed: {', '.join(absent)}: ./dev setup --bench"
    assert check_history([(2, 1, {SHARED[0]: "a"}), (3, 1, {SHARED[0]: "b"})]), "a lost update is not seen"
    count = int(os.environ.get("HAILSTONE_NODES", 3))
    quickly = {"apt by-hash": 10, "apt mirror": 10, "dnf": 10, "npm": 5, "curl": 20, "browser": 3}
    fully = {"apt by-hash": 130, "apt mirror": 130, "dnf": 100, "npm": 60, "curl": 400, "browser": 20}
    figures, wrong = [], []
    with workspace() as base:
        (base / "control").mkdir()
        with NodeCluster(base / "control" / "nodes", count=2, independent=True, space="c") as nodes:
            results, flips, took = use(base / "control", nodes, "close", quickly, one_by_one=range(2))
        met = sum(len(problems) for _, problems in results.values())
        print(f"  control, two nodes on their own, {flips} flips: {told(results)}", flush=True)
        assert met, "the clients meet no error before two nodes that are published one after the other: they cannot see one"
        for mode in ("close",) if quick else ("close", "reuse"):
            (base / mode).mkdir()
            with NodeCluster(base / mode / "nodes", count=count) as nodes:
                results, flips, took = use(base / mode, nodes, mode, quickly if quick else fully)
                figures.append(f"{mode}: {flips} flips of {len(stock.VOLUMES)} volumes at once, {flips / took:.1f}/s; errors: {told(results)}")
                print("  " + figures[-1], flush=True)
                wrong += [problem for _, problems in results.values() for problem in problems]
                if mode == "close":
                    words, lost = publish_together(nodes, 16, 5 if quick else 50)
                    print("  " + words, *lost[:5], sep="\n    ", flush=True)
                    figures.append(words)
                    wrong += lost
    figures.append(f"control: {met} errors")
    assert not wrong, "; ".join(figures)
    return "; ".join(figures)
