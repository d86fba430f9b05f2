"""Ten thousand sessions with keep-alives and ten thousand watches on three nodes; a write to a file that a thousand watch."""
import json
import pathlib
import resource
import time

from .cell import CellCluster, build
from .node import workspace
from .bench_paxos import cpu_seconds


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def run(quick=False):
    build()
    sessions, hot, seconds = (1_000, 200, 8) if quick else (10_000, 1_000, 60)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert most >= sessions + 1000, f"only {most} open files are allowed"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with workspace() as base, CellCluster(base / "cell", isolated=False) as cluster:
        workers = cluster.workers("scale", "--sessions", sessions, "--hot", hot, "--seconds", seconds)
        try:
            line = workers.stderr.readline()
            assert "measuring" in line, line + workers.communicate()[1]
            nodes = [cluster.process(i) for i in range(cluster.count)]
            before, began = cpu_seconds(nodes), time.monotonic()
            time.sleep(seconds * 0.8)
            share = (cpu_seconds(nodes) - before) / (time.monotonic() - began)
            memory = [resident(pid) for pid in nodes]
            out, err = workers.communicate(timeout=300)
        finally:
            workers.kill()
        assert workers.returncode == 0, err[-3000:] + out
        figures = json.loads(out)
        print(f"  {figures}", flush=True)
    figure = (f"{figures['sessions']} sessions and watches, opened in {figures['open_s']:.0f} s; {figures['writes']} writes to a file that {hot} watch: "
              f"all reached, p99 {figures['p99_ms']:.0f} ms (limit 100), max {figures['max_ms']:.0f} ms; {share * 100:.0f} % of a core for three nodes, "
              f"{max(memory):.0f} MiB the largest; {figures['jeopardies']} jeopardies")
    assert figures["sessions"] == sessions and figures["expired"] == 0 and figures["jeopardies"] == 0, figure
    assert figures["p99_ms"] < 100, figure
    return figure
