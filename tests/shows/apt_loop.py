"""Stock apt, `update` and `download` in a loop, while releases flip several times a second: with by-hash against the channel,
without by-hash over the mirror method. The control is the same loop against nginx over a tree that rsync keeps in step."""
import contextlib
import os
import pathlib
import socket
import subprocess
import threading
import time

from .apt import Client, build_release
from .node import Node, free_port, workspace


class Flipper(threading.Thread):
    """Calls `publish(release tree)` for one release after another, round and round, about `rate` a second."""

    def __init__(self, publish, trees, rate):
        super().__init__(daemon=True)
        self.publish, self.trees, self.rate = publish, trees, rate
        self.stop = threading.Event()
        self.flips = 0
        self.error = None

    def run(self):
        try:
            while not self.stop.is_set():
                started = time.monotonic()
                self.publish(self.trees[self.flips % len(self.trees)])
                self.flips += 1
                self.stop.wait(max(0.0, 1 / self.rate - (time.monotonic() - started)))
        except Exception as error:  # noqa: BLE001: told by the main thread
            self.error = error


def clients_loop(clients, runs, per_client):
    """Each client in a thread of its own, `runs` runs in all; the problems that any met."""
    problems = []
    left = [runs]
    lock = threading.Lock()

    def loop(client):
        while True:
            with lock:
                if left[0] <= 0:
                    return
                left[0] -= 1
            problem = client.update_and_download()
            if problem:
                with lock:
                    problems.append(problem)

    threads = [threading.Thread(target=loop, args=(c,)) for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def import_releases(node, volume, trees):
    """Publishes each tree once; the release numbers."""
    numbers = []
    for tree in trees:
        node.cli("import", tree, volume, "--delete", "--checksum")
        numbers.append(node.publish(volume)[0]["release"])
    return numbers


def against_hailstone(place, runs, trees_count, by_hash):
    work = place / ("by-hash" if by_hash else "mirror")
    work.mkdir()
    trees = [build_release(work, n, by_hash) for n in range(1, trees_count + 1)]
    with Node(work / "data") as node:
        node.cli("volume", "create", "demo")
        import_releases(node, "demo", trees[:2])
        # The writer prepares each next release in the head while the clients read, then publishes it.
        next_tree = [2]

        def publish(_):
            number = next_tree[0]
            next_tree[0] += 1
            tree = build_release(work, number + 1, by_hash)
            node.cli("import", tree, "demo", "--delete", "--checksum")
            node.publish("demo")
            subprocess.run(["rm", "-rf", str(tree)], check=True)

        source = f"{node.url}/demo/" if by_hash else f"mirror+{node.url}/demo/-/mirrorlist"
        clients = [Client(work / f"client{i}", source, by_hash) for i in range(4)]
        flipper = Flipper(publish, [None], rate=5)
        flipper.start()
        started = time.monotonic()
        problems = clients_loop(clients, runs, None)
        took = time.monotonic() - started
        flipper.stop.set()
        flipper.join(60)
        assert flipper.error is None, f"publisher: {flipper.error!r}"
        return problems, flipper.flips, took


NGINX = """daemon off; user root; pid {work}/nginx.pid; error_log {work}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f;
uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
server {{ listen 127.0.0.1:{port}; root {work}/tree; location / {{ }} }} }}
"""


SIGNS_OF_A_MIX = ["Hash Sum mismatch", "unexpected size", "404", "Hashes of expected file", "Mirror sync in progress"]


def against_rsync(place, runs, trees_count):
    """The control: what the same clients meet on a mirror that is updated in place. by-hash off, as many mirrors are."""
    work = place / "rsync"
    (work / "tree").mkdir(parents=True)
    trees = [build_release(work, n, False) for n in range(1, trees_count + 1)]
    port = free_port()
    config = work / "nginx.conf"
    config.write_text(NGINX.format(work=work, port=port))
    subprocess.run(["rsync", "-a", "--delete", f"{trees[0]}/", f"{work}/tree/"], check=True)
    nginx = subprocess.Popen(["nginx", "-c", str(config), "-p", str(work)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        next_tree = [1]

        def publish(_):
            next_tree[0] += 1
            number = trees_count + next_tree[0]
            tree = build_release(work, number, False)
            subprocess.run(["rsync", "-a", "--delete", "--delay-updates", f"{tree}/", f"{work}/tree/"], check=True)
            subprocess.run(["rm", "-rf", str(tree)], check=True)

        clients = [Client(work / f"client{i}", f"http://127.0.0.1:{port}/", False) for i in range(4)]
        flipper = Flipper(publish, [None], rate=5)
        flipper.start()
        problems = clients_loop(clients, runs, None)
        flipper.stop.set()
        flipper.join(60)
        assert flipper.error is None, f"rsync: {flipper.error!r}"
        # Only what a mix explains counts: a control that fails for another reason proves nothing.
        return [p for p in problems if any(sign in p for sign in SIGNS_OF_A_MIX)], flipper.flips
    finally:
        nginx.terminate()
        nginx.wait()


def run(quick=False):
    runs = 24 if quick else 260
    with workspace() as place:
        by_hash, flips_a, took_a = against_hailstone(place, runs, 2, by_hash=True)
        mirror, flips_b, took_b = against_hailstone(place, runs, 2, by_hash=False)
        control, flips_c = against_rsync(place, runs if quick else 100, 2)
        for problem in (by_hash + mirror)[:10]:
            print("  " + problem)
        print(f"  control met: {control[0][:300] if control else 'nothing'}")
        figure = (f"{2 * runs} runs of apt, {len(by_hash)} errors with by-hash ({flips_a} flips, {flips_a / took_a:.1f}/s), "
                  f"{len(mirror)} over the mirror method ({flips_b} flips, {flips_b / took_b:.1f}/s); "
                  f"control nginx + rsync: {len(control)} of {runs if quick else 100} runs failed ({flips_c} flips)")
        assert not by_hash and not mirror, figure
        assert control, "the control met no error: the loop cannot see one. " + figure
        return figure
