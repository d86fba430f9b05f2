#!/usr/bin/env python3
"""Acceptance items: `./dev show [--quick] ITEM...`. Each does the work it claims, prints its figure last, and fails where it
falls short. Without an item they are listed."""
import argparse
import importlib
import signal
import sys
import time

ITEMS = {
    "real-input": "import, publish and re-export a real package tree, equal bit for bit",
    "apt-loop": "stock apt while releases flip several times a second; nginx over rsync as the control",
    "mix": "32 readers, 2,000 flips: nobody ever sees an older release after a newer one",
    "crash": "crash at every disk operation; kill -9 under load at 200 random points",
    "gc-soak": "an hour of everything at once with kill -9: what was acknowledged stays, the rest gives its space back",
    "damage": "flipped bits, truncations, a lost index, a full disk",
    "properties": "thousands of random cases against naive models",
    "s3-conformance": "a case for every corner and error of the S3 API, by boto3 and by hand-signed requests",
    "bench-depot": "requests per CPU-second against nginx",
    "bench-publish": "publish, clone and rollback at 10,000 / 1,000,000 / 5,000,000 keys",
    "bench-tree": "listing and lookup in 1,000,000 keys",
    "bench-s3": "S3 writes against fdatasync and MD5, listing of 1,000,000 keys",
    "bench-import": "100,000 small files against ostree and rsync",
    "memory": "resident memory while serving 5,000,000 keys",
    "s3-clients": "stock S3 clients do their usual jobs, with retries off and no 5xx",
    "upload-memory": "memory growth while 64 clients each upload 1 GiB",
    "fuzz": "ten minutes of every fuzz target: no crash, leak or hang",
    "golden": "the consensus core in situations written down message by message",
    "sim": "the consensus core under every fault in virtual time, and the bugs planted in it",
    "paxos-faults": "three real nodes under kill -9, SIGSTOP, cut links and lost hosts: linearizable, and back in time",
    "bench-step": "a step of the consensus core, an idle member's memory, the simulator's pace",
    "bench-paxos": "a replicated register service against etcd, ZooKeeper and the floor, side by side",
    "sim-cell": "the cell and its clients in virtual time, and the mistakes planted in them",
    "cell-faults": "a real three-node cell under 500 faults: linearizable, locks fenced, events once, rolling upgrade without a failed call",
    "cell-scale": "10,000 sessions and watches on three nodes, a write that 1,000 watch",
    "bench-cell": "the cell beside etcd and ZooKeeper: writes, reads, locks, cached reads, a new member",
    "log-damage": "flipped bytes in logs and databases of real nodes, of a minority and of a majority",
    "cluster-mix": "three nodes behind haproxy, 2,000 flips, faults: nobody ever meets an older release after a newer one",
    "cluster-clients": "apt, dnf, npm, curl and a browser against the balancer during flips; 16 publishers through any node",
    "cluster-faults": "500 faults under S3 and publish load: every acknowledged write equal at every node, copies and space as stated",
    "cluster-start": "exec to ready with 10,000 / 1,000,000 / 10,000,000 keys, and a wiped node",
    "bench-cluster": "flip latency at three nodes, GET through any node, PUT in three copies against radosgw, eight groups against one",
    "readme": "a clean clone, the two commands, the five-minute session",
}


def main():
    parser = argparse.ArgumentParser(prog="./dev show", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under a minute each")
    parser.add_argument("item", nargs="*")
    arguments = parser.parse_args()
    if not arguments.item:
        for name, what in ITEMS.items():
            print(f"{name:14} {what}")
        return 0
    # Asked to end, it cleans up like after any failure: processes, namespaces and mounts are not left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    for name in arguments.item:
        if name not in ITEMS:
            print(f"show: no item '{name}'; ./dev show lists them", file=sys.stderr)
            return 2
        module = importlib.import_module("shows." + name.replace("-", "_"))
        started = time.monotonic()
        print(f"== {name}: {ITEMS[name]}{' (quick)' if arguments.quick else ''}", flush=True)
        try:
            figure = module.run(quick=arguments.quick)
            print(f"== {name}: passed in {time.monotonic() - started:.0f} s: {figure}", flush=True)
        except AssertionError as short:
            print(f"== {name}: FAILED in {time.monotonic() - started:.0f} s: {short}", flush=True)
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
