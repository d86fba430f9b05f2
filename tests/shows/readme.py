"""A clean clone does what README.md says: the first command's node, then the five-minute session word by word, and that of three nodes. (The test
command is what CI runs; --quick and CI leave it out here. The part with three nodes needs haproxy, which `./dev setup --bench` brings: `./dev show` does it.)"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from .node import ROOT, free_port, workspace


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def run(quick=False):
    with workspace() as place:
        clone = place / "hailstone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        text = (clone / "README.md").read_text()
        head = text[:text.index("## Five minutes")]
        assert "./dev run" in head and "./dev test" in head, "the two commands stand at the top of README.md"
        session = text[text.index("## Five minutes"):]
        script = "\n".join(blocks(session, "sh"))
        assert script.strip(), "README.md has no session"
        port, s3_port = free_port(), free_port()
        log = open(place / "run.log", "wb")
        started = time.monotonic()
        # The one thing changed: the ports, since 8080 and 8081 may be taken on the machine that tests.
        node = subprocess.Popen(["./dev", "run", "--listen", f"127.0.0.1:{port}", "--set", f"s3.port={s3_port}", "--set", "cell.port=0", "--set",
                                 "cell.member_port=0", "--set", "cell.data_port=0"],
                                cwd=clone, stdout=log, stderr=log, start_new_session=True)
        try:
            while "is ready" not in (place / "run.log").read_text(errors="replace"):
                assert node.poll() is None, "./dev run ended:\n" + (place / "run.log").read_text(errors="replace")[-3000:]
                assert time.monotonic() - started < 1500, "./dev run did not get ready in 25 minutes"
                time.sleep(0.5)
            ready = time.monotonic() - started
            said = (place / "run.log").read_text(errors="replace")
            environment = dict(re.findall(r"export (HAILSTONE_\w+)=(\S+)", said))
            assert set(environment) == {"HAILSTONE_URL", "HAILSTONE_KEY"}, f"./dev run printed no key:\n{said[-2000:]}"
            home = place / "home"
            home.mkdir()
            path = f"{clone}/build/release/src/cli:{os.environ['PATH']}"
            script = script.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:8081", f"127.0.0.1:{s3_port}")
            done = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], cwd=clone, capture_output=True, text=True, timeout=300,
                                  env=dict(os.environ, **environment, HOME=str(home), XDG_CACHE_HOME=str(home / ".cache"), PATH=path))
            assert done.returncode == 0, f"the session failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
            for wanted in re.findall(r"^# prints: (.*)$", script, re.M):
                assert wanted in done.stdout, f"the session did not print '{wanted}':\n{done.stdout[-3000:]}"
        finally:
            os.killpg(node.pid, signal.SIGTERM)
            node.wait(60)
        tests = "not run here"
        if not quick and "CI" not in os.environ:
            subprocess.run(["./dev", "test"], cwd=clone, check=True, stdout=subprocess.DEVNULL)
            tests = "passed"
        commands = len([line for line in script.splitlines() if line.strip() and not line.startswith("#")])
        return f"clean clone ready in {ready:.0f} s, {commands} lines of the session ran as written; test command {tests}"
