"""A conformance suite for the S3 edge: one case for each corner of the API reference, against a real node over loopback. What AWS
answers is expected to the status, code and element; what is not built must say so. HAILSTONE_S3_CASES=WORD runs those with WORD in
their name."""
import collections
import concurrent.futures
import importlib
import os
import time
import traceback

from .node import Node, workspace
from .s3cases import kit as kit_module

AREAS = ["auth", "objects", "reads", "listing", "multipart", "versions", "access", "settings", "states"]
THREADS = 8


def keys_of(node):
    """The suite's people: the owner of everything, a stranger with a role over nothing of it, and lesser roles."""
    keys = {"main": node.key}
    for name, role, volume in (("alt", "admin", "alt-volume"), ("reader", "reader", None), ("writer", "writer", None),
                               ("publisher", "publisher", None)):
        made = node.cli("key", "create", name, "--role", role, *(["--volume", volume] if volume else []))
        keys[name] = f"{made['id']}:{made['secret']}"
    return keys


def attempt(case, kit):
    name, function, _ = case
    started = time.monotonic()
    try:
        function(kit)
        return name, None, time.monotonic() - started
    except Exception:  # noqa: BLE001: whatever a case raises is its failure
        return name, traceback.format_exc(limit=-3), time.monotonic() - started


def run(quick=False):
    for area in AREAS:
        importlib.import_module(f"{__package__}.s3cases.{area}")
    wanted = os.environ.get("HAILSTONE_S3_CASES", "")
    cases = [c for c in kit_module.CASES if wanted in c[0] and not (quick and c[2])]
    names = collections.Counter(c[0] for c in cases)
    assert max(names.values(), default=1) == 1, f"two cases are named alike: {names.most_common(3)}"
    settings = ['s3.domains=["s3.test"]', "s3.own_buckets=true"]
    with workspace() as place, Node(place / "data", set_=settings) as node, \
            Node(place / "old", set_=[*settings, "s3.signature_v2=true"]) as old:
        kit = kit_module.Kit(node, keys_of(node))
        kit.old = kit_module.Kit(old, {"main": old.key, "alt": old.key})
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            done = list(pool.map(lambda c: attempt(c, kit), cases))
        log = node.log.read_text(errors="replace")
        died = node.process.poll()
    failed = [(name, why) for name, why, _ in done if why]
    for name, why in failed:
        print(f"-- {name}\n{why}")
    broken = [line for line in log.splitlines() if "s3_request_failed" in line]
    for line in broken[:10]:
        print("-- log: " + line)
    areas = collections.Counter(name.split(".")[0] for name, _, _ in done)
    print("   " + ", ".join(f"{area} {count}" for area, count in areas.items()))
    print("   slowest: " + ", ".join(f"{name} {took:.1f} s" for name, _, took in sorted(done, key=lambda d: -d[2])[:3]))
    if died is not None:
        print(f"-- the node died with {died}:\n" + "\n".join(log.splitlines()[-30:]))
    figure = f"{len(done) - len(failed)} of {len(done)} cases passed, {len(broken)} internal errors"
    assert not failed and not broken and died is None, figure
    return figure
