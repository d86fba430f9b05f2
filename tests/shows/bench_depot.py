"""Depot GET with keep-alive against nginx static: requests per CPU-second of the server, same core, same load, turn by turn."""
import os
import statistics
import subprocess
import time

from .node import Node, cpu_seconds, free_port, workspace

NGINX = """daemon off; user root; master_process off; pid {work}/nginx.pid; error_log {work}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 10000000; keepalive_timeout 75;
open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s; default_type application/octet-stream;
client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
scgi_temp_path {work}/s;
server {{ listen 127.0.0.1:{port}; root {work}/www; etag on; }} }}
"""
SIZES = {"1 KiB": 1 << 10, "64 KiB": 64 << 10, "4 MiB": 4 << 20}
LIMITS = {"1 KiB": 1.3, "64 KiB": 1.0, "4 MiB": 1.0}
FILES = 8


def load(pid, url, paths, seconds, place):
    """Requests per CPU-second of process `pid` under wrk, which has the other core."""
    return load_all([pid], url, paths, seconds, place)


def load_all(pids, url, paths, seconds, place):
    """The same, of several processes together."""
    script = place / "paths.lua"
    script.write_text("local paths = {" + ",".join(f'"{p}"' for p in paths) + "}\nlocal i = 0\n"
                      "request = function() i = i % #paths + 1; return wrk.format('GET', paths[i]) end\n")
    before = sum(map(cpu_seconds, pids))
    done = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(script), url],
                          capture_output=True, text=True, check=True)
    used = sum(map(cpu_seconds, pids)) - before
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    requests = int(done.stdout.split(" requests in")[0].split()[-1])
    return requests / used


def run(quick=False):
    seconds, turns = (1, 3) if quick else (3, 7)
    with workspace() as place:
        www = place / "www" / "files"
        www.mkdir(parents=True)
        names = {}
        for label, size in SIZES.items():
            names[label] = [f"{size}-{i}.deb" for i in range(FILES)]
            for name in names[label]:
                (www / name).write_bytes(os.urandom(size))
        port = free_port()
        (place / "nginx.conf").write_text(NGINX.format(work=place, port=port))
        nginx = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", str(place / "nginx.conf"), "-p", str(place)], stderr=subprocess.DEVNULL)
        try:
            with Node(place / "data", cpus="0", set_=["http.threads=1"]) as node:
                node.cli("volume", "create", "bench")
                node.cli("import", www, "bench/files")
                node.publish("bench")
                time.sleep(1)
                results = {}
                for label in SIZES:
                    ours_paths = [f"/bench/files/{name}" for name in names[label]]
                    peer_paths = [f"/files/{name}" for name in names[label]]
                    ratios = []
                    for turn in range(turns):
                        pair = {}
                        order = [("ours", node.process.pid, node.url, ours_paths), ("peer", nginx.pid, f"http://127.0.0.1:{port}", peer_paths)]
                        for name, pid, url, paths in order if turn % 2 == 0 else reversed(order):
                            pair[name] = load(pid, url, paths, seconds, place)
                        ratios.append(pair["ours"] / pair["peer"])
                        print(f"  {label}: {pair['ours']:,.0f} against {pair['peer']:,.0f} requests per CPU-second: {ratios[-1]:.2f}", flush=True)
                    results[label] = statistics.median(ratios)
        finally:
            nginx.terminate()
            nginx.wait()
    figure = "depot / nginx, requests per CPU-second, median: " + ", ".join(f"{label} {ratio:.2f} (limit {LIMITS[label]})" for label, ratio in results.items())
    assert all(results[label] >= LIMITS[label] for label in SIZES), figure
    return figure
