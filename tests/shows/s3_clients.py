"""Stock S3 clients do their usual jobs against a node, each with its retries off; then the node's own log of every request is
read: no 5xx, and no status beside those that the jobs provoke."""
import collections
import contextlib
import filecmp
import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import time
import urllib.request

from .node import ROOT, Node, workspace

JOBS = ROOT / "tests" / "clients"
NODE_MODULES = ROOT / "build" / "show" / "node_clients"

# What the jobs provoke: conditions unmet (304, 412), what is not there (404), what is not allowed (403), forms and requests
# that are wrong on purpose (400), a bucket that is not empty or exists (409), a range beyond the end (416).
PROVOKED = {304, 400, 403, 404, 409, 412, 416}


def make_tree(root, count, seed=1):
    """`count` files in nested directories: names that need quoting, sizes from 0 to 64 KiB, some the same."""
    rng = random.Random(seed)
    names = ["plain", "with space", "ümläut", "plus+sign", "100%", "a&b=c", "(brackets)", "tilde~", "quote'", "comma,semi;", "at@sign"]
    same = rng.randbytes(20_000)
    for i in range(count):
        directory = root / f"d{i % 7}" / names[i % len(names)] / f"{i % 13}"
        directory.mkdir(parents=True, exist_ok=True)
        body = same if i % 20 == 0 else rng.randbytes(0 if i % 50 == 0 else int(2 ** rng.uniform(0, 16)))
        (directory / f"{names[(i // 11) % len(names)]} {i}.bin").write_bytes(body)


def files_of(root):
    return {str(p.relative_to(root)): p for p in pathlib.Path(root).rglob("*") if p.is_file()}


def compare_trees(what, ours, theirs):
    a, b = files_of(ours), files_of(theirs)
    assert a.keys() == b.keys(), f"{what}: {len(a)} files became {len(b)}; {sorted(a.keys() ^ b.keys())[:5]}"
    different = [name for name in a if not filecmp.cmp(a[name], b[name], shallow=False)]
    assert not different, f"{what}: {len(different)} files differ, {different[:5]}"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_big(path, mib, seed=7):
    """Bytes no two megabytes of which are the same."""
    piece = bytearray(random.Random(seed).randbytes(1 << 20))
    with open(path, "wb") as out:
        for i in range(mib):
            piece[:8] = i.to_bytes(8, "little")
            out.write(piece)


class Workplace:
    """Where a client works: the tree and the big file it sends, the node, its own home."""

    def __init__(self, place, node, quick):
        self.place, self.node, self.quick = place, node, quick
        self.count, self.big_mib = (300, 64) if quick else (10_000, 1024)
        self.tree, self.big = place / "tree", place / "big.bin"
        make_tree(self.tree, self.count)
        make_big(self.big, self.big_mib)
        self.access, self.secret = node.key.split(":")
        home = place / "home"
        home.mkdir()
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.environment = dict(keep, HOME=str(home), LC_ALL="C.UTF-8", AWS_ACCESS_KEY_ID=self.access,
                                AWS_SECRET_ACCESS_KEY=self.secret, AWS_DEFAULT_REGION="us-east-1", AWS_MAX_ATTEMPTS="1",
                                AWS_EC2_METADATA_DISABLED="true", AWS_PAGER="", NO_UPDATE_NOTIFIER="1")

    def run(self, *words, check=True, timeout=1800, **more):
        done = subprocess.run([str(w) for w in words], env=dict(self.environment, **more.pop("env", {})), capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, **more)
        if check and done.returncode != 0:
            said = (done.stderr + done.stdout).decode(errors="replace")
            raise AssertionError(f"{' '.join(map(str, words))[:300]}: exit {done.returncode}: {said[-1500:]}")
        return done.stdout.decode(errors="replace")

    @contextlib.contextmanager
    def copy_of_tree(self, name):
        copy = self.place / name
        shutil.copytree(self.tree, copy)
        try:
            yield copy
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def remove(self, *paths):
        for path in paths:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def change_tree(tree):
    """Some files changed, some gone, one new. How many there are then."""
    paths = sorted(files_of(tree).values())
    for path in paths[:10]:
        path.write_bytes(path.read_bytes() + b"changed")
    for path in paths[10:15]:
        path.unlink()
    (tree / "new file").write_bytes(b"new")
    return len(paths) - 4


def kill_after(work, words, pattern, timeout=600):
    """Starts a client and kills it as soon as the node has answered a request that `pattern` fits; False: it was done first."""
    process = subprocess.Popen([str(w) for w in words], env=work.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + timeout
    try:
        with open(work.node.log, "rb") as log:
            log.seek(0, os.SEEK_END)
            while process.poll() is None and time.monotonic() < deadline:
                for line in log:
                    if re.search(pattern, line):
                        process.kill()
                        process.wait()
                        return True
                time.sleep(0.005)
        return False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def aws_cli(work, program):
    def aws(*words, **more):
        return work.run(program, "--endpoint-url", work.node.s3_url, *words, **more)

    bucket = "aws-" + hashlib.md5(program.encode()).hexdigest()[:6]
    at = f"s3://{bucket}"
    aws("s3", "mb", at)
    with work.copy_of_tree("aws-tree") as tree:
        aws("s3", "sync", "--only-show-errors", tree, f"{at}/t")
        assert aws("s3", "sync", tree, f"{at}/t") == "", "a second sync had work to do"
        assert f"Total Objects: {work.count}\n" in aws("s3", "ls", "--recursive", "--summarize", f"{at}/t/").replace("   ", "").replace("  ", "")
        left = change_tree(tree)
        aws("s3", "sync", "--only-show-errors", "--delete", tree, f"{at}/t")
        back = work.place / "aws-back"
        aws("s3", "sync", "--only-show-errors", f"{at}/t", back)
        compare_trees("aws s3 sync", tree, back)
        assert len(files_of(back)) == left
        work.remove(back)
    aws("s3", "cp", "--only-show-errors", work.big, f"{at}/big")
    back = work.place / "aws-big"
    aws("s3", "cp", "--only-show-errors", f"{at}/big", back)
    assert digest(back) == digest(work.big), "aws s3 cp: the file came back different"
    work.remove(back)
    aws("s3", "mv", "--only-show-errors", f"{at}/big", f"{at}/moved")
    aws("s3api", "head-object", "--bucket", bucket, "--key", "moved")
    small = next(p for p in sorted(files_of(work.tree).values()) if p.stat().st_size > 1000)
    aws("s3", "cp", "--only-show-errors", small, f"{at}/small ü+")
    assert fetch(aws("s3", "presign", f"{at}/small ü+").strip()) == small.read_bytes()

    # By hand: begun, one part, listed, aborted.
    where = ("--bucket", bucket, "--key", "by-hand")
    upload = aws("s3api", "create-multipart-upload", *where, "--query", "UploadId", "--output", "text").strip()
    aws("s3api", "upload-part", *where, "--part-number", 1, "--body", small, "--upload-id", upload)
    assert aws("s3api", "list-parts", *where, "--upload-id", upload, "--query", "length(Parts)").strip() == "1"
    aws("s3api", "abort-multipart-upload", *where, "--upload-id", upload)
    assert upload not in aws("s3api", "list-multipart-uploads", "--bucket", bucket)

    aws("s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
    aws("s3", "rm", "--only-show-errors", f"{at}/small ü+")
    assert work.run(program, "--endpoint-url", work.node.s3_url, "s3", "ls", f"{at}/small ü+", check=False) == ""
    marker = aws("s3api", "list-object-versions", "--bucket", bucket, "--prefix", "small", "--query", "DeleteMarkers[0].VersionId",
                 "--output", "text").strip()
    aws("s3api", "delete-object", "--bucket", bucket, "--key", "small ü+", "--version-id", marker)
    assert fetch(aws("s3", "presign", f"{at}/small ü+").strip()) == small.read_bytes(), "an undeleted object is not what it was"
    aws("s3api", "delete-object", "--bucket", bucket, "--key", "small ü+", "--version-id", "null")
    # What is left has one version, "null": s3 rm would hide it under delete markers.
    aws("s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Suspended")
    aws("s3", "rm", "--only-show-errors", "--recursive", at)
    assert aws("s3", "ls", "--recursive", at + "/", check=False) == ""


def s3cmd(work):
    config = work.place / "s3cfg"
    host = work.node.s3_url.removeprefix("http://")
    config.write_text(f"[default]\naccess_key = {work.access}\nsecret_key = {work.secret}\nhost_base = {host}\nhost_bucket = {host}\n"
                      f"use_https = False\nmultipart_chunk_size_mb = 5\nmax_retries = 0\nstop_on_error = True\n")
    base = ("s3cmd", "-c", config, "--no-progress")

    def run(*words, **more):
        return work.run(*base, *words, **more)

    run("mb", "s3://s3cmd")
    with work.copy_of_tree("s3cmd-tree") as tree:
        run("sync", f"{tree}/", "s3://s3cmd/t/")
        again = run("sync", f"{tree}/", "s3://s3cmd/t/")
        assert "upload:" not in again, again[:500]
        left = change_tree(tree)
        run("sync", "--delete-removed", f"{tree}/", "s3://s3cmd/t/")
        back = work.place / "s3cmd-back"
        back.mkdir()
        run("sync", "s3://s3cmd/t/", f"{back}/")
        compare_trees("s3cmd sync", tree, back)
        assert len(files_of(back)) == left
        work.remove(back)
    # Interrupted after some parts, resumed under the same upload, fetched; then one that is given up.
    def upload_of(name):
        for line in run("multipart", "s3://s3cmd").splitlines():
            if f"s3://s3cmd/{name}\t" in line:
                return line.split("\t")[2]
        return None

    killed = kill_after(work, (*base, "put", work.big, "s3://s3cmd/big"), rb'method=PUT target="?/s3cmd/big\?partNumber=3&.*status=200')
    assert killed, "s3cmd put was done before it could be killed"
    upload = upload_of("big")
    assert upload, "an interrupted upload is not listed"
    said = run("put", "--upload-id", upload, work.big, "s3://s3cmd/big", "-v")
    assert upload_of("big") is None, said[-500:]
    got = work.place / "s3cmd-big"
    run("get", "s3://s3cmd/big", got)
    assert digest(got) == digest(work.big), "s3cmd: the resumed file came back different"
    with open(got, "r+b") as file:
        file.truncate(10_000_001)
    run("get", "--continue", "s3://s3cmd/big", got)
    assert digest(got) == digest(work.big), "s3cmd get --continue: the file came back different"
    work.remove(got)
    killed = kill_after(work, (*base, "put", work.big, "s3://s3cmd/given-up"), rb'target="?/s3cmd/given-up\?partNumber=1&.*status=200')
    assert killed, "s3cmd put was done before it could be killed"
    run("abortmp", "s3://s3cmd/given-up", upload_of("given-up"))
    assert upload_of("given-up") is None, "an aborted upload is still listed"
    small = next(p for p in sorted(files_of(work.tree).values()) if p.stat().st_size > 1000)
    run("put", small, "s3://s3cmd/small")
    assert fetch(run("signurl", "s3://s3cmd/small", "+60").strip()) == small.read_bytes()
    run("setacl", "--acl-public", "s3://s3cmd/small")
    assert fetch(f"{work.node.s3_url}/s3cmd/small") == small.read_bytes(), "public, but not to be read"
    run("setacl", "--acl-private", "s3://s3cmd/small")
    run("cp", "s3://s3cmd/small", "s3://s3cmd/copied")
    run("info", "s3://s3cmd/copied")
    run("du", "s3://s3cmd")
    run("del", "--recursive", "--force", "s3://s3cmd")
    run("rb", "s3://s3cmd")


def rclone(work):
    config = work.place / "rclone.conf"
    config.write_text(f"[hs]\ntype = s3\nprovider = Other\nenv_auth = true\nendpoint = {work.node.s3_url}\nregion = us-east-1\n"
                      "acl = private\nupload_cutoff = 16M\nchunk_size = 8M\nupload_concurrency = 8\n")

    def run(*words, **more):
        return work.run("rclone", "--config", config, "--retries", "1", "--low-level-retries", "1", *words, **more)

    run("mkdir", "hs:rclone")
    with work.copy_of_tree("rclone-tree") as tree:
        run("sync", "--transfers", "16", "--checkers", "16", tree, "hs:rclone/t")
        run("check", tree, "hs:rclone/t")
        run("check", "--download", tree, "hs:rclone/t")
        left = change_tree(tree)
        run("sync", tree, "hs:rclone/t")
        back = work.place / "rclone-back"
        run("sync", "--transfers", "16", "hs:rclone/t", back)
        compare_trees("rclone sync", tree, back)
        assert len(files_of(back)) == left
        work.remove(back)
    run("copyto", work.big, "hs:rclone/big")
    back = work.place / "rclone-big"
    run("copyto", "--multi-thread-streams", "4", "hs:rclone/big", back)
    assert digest(back) == digest(work.big), "rclone: the file came back different"
    work.remove(back)
    run("copyto", "hs:rclone/big", "hs:rclone/copied")
    small = next(p for p in sorted(files_of(work.tree).values()) if p.stat().st_size > 1000)
    run("copyto", small, "hs:rclone/small")
    assert fetch(run("link", "--expire", "1m", "hs:rclone/small").strip()) == small.read_bytes()
    assert f'"count":{left + 3},' in run("size", "--json", "hs:rclone").replace(" ", "")
    streamed = subprocess.run(["rclone", "--config", str(config), "rcat", "hs:rclone/streamed"], env=work.environment,
                              stdin=open(work.big, "rb"), capture_output=True)
    assert streamed.returncode == 0, streamed.stderr[-500:]
    run("check", "--download", "--include", "/big", "--include", "/copied", "hs:rclone", "hs:rclone")
    run("backend", "versioning", "hs:rclone", "Enabled", check=False)  # newer versions of rclone
    run("cleanup", "hs:rclone")
    run("purge", "hs:rclone")
    assert "rclone" not in run("lsd", "hs:")


def restic(work):
    environment = {"RESTIC_PASSWORD": "secret", "RESTIC_REPOSITORY": f"s3:{work.node.s3_url}/restic/repository",
                   "RESTIC_CACHE_DIR": str(work.place / "restic-cache")}

    def run(*words, **more):
        return work.run("restic", *words, env=environment, **more)

    run("init")
    with work.copy_of_tree("restic-tree") as tree:
        shutil.copy(work.big, tree / "big.bin")
        run("backup", ".", cwd=tree)
        change_tree(tree)
        run("backup", ".", cwd=tree)
        run("check", "--read-data")
        back = work.place / "restic-back"
        run("restore", "latest", "--target", back)
        compare_trees("restic restore", tree, back)
        work.remove(back)
        run("forget", "--keep-last", "1", "--prune")
        run("check", "--read-data")
        run("restore", "latest", "--target", back)
        compare_trees("restic restore after prune", tree, back)
        work.remove(back, work.place / "restic-cache")
    assert run("snapshots", "--compact", "--json").count('"short_id"') == 1


def s3fs(work):
    mount = work.place / "mount"
    mount.mkdir()
    password = work.place / "s3fs.key"
    password.write_text(f"{work.access}:{work.secret}\n")
    password.chmod(0o600)
    work.run("/usr/bin/python3", "-c", f"import boto3; boto3.client('s3', endpoint_url='{work.node.s3_url}').create_bucket(Bucket='s3fs')")
    process = subprocess.Popen(["s3fs", "s3fs", str(mount), "-f", "-o", f"passwd_file={password}", "-o", f"url={work.node.s3_url}",
                                "-o", "use_path_request_style", "-o", "sigv4", "-o", "retries=1", "-o", "multipart_size=16"],
                               env={k: v for k, v in work.environment.items() if not k.startswith("AWS_")},
                               stdout=open(work.place / "s3fs.log", "wb"), stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while not os.path.ismount(mount):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("s3fs did not mount: " + (work.place / "s3fs.log").read_text()[-1000:])
            time.sleep(0.05)
        # A part of the tree: every file costs s3fs several requests, one after the other.
        part = work.place / "s3fs-part"
        make_tree(part, min(work.count, 300), seed=5)
        shutil.copytree(part, mount / "t", copy_function=shutil.copyfile)
        compare_trees("s3fs copy", part, mount / "t")
        shutil.copyfile(work.big, mount / "big")
        assert digest(mount / "big") == digest(work.big), "s3fs: the file came back different"
        os.rename(mount / "t", mount / "renamed")
        compare_trees("s3fs rename", part, mount / "renamed")
        with open(mount / "renamed" / "appended", "wb") as out:
            out.write(b"1")
        with open(mount / "renamed" / "appended", "ab") as out:
            out.write(b"2")
        assert (mount / "renamed" / "appended").read_bytes() == b"12"
        shutil.rmtree(mount / "renamed")
        (mount / "big").unlink()
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["fusermount", "-u", str(mount)], capture_output=True)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            subprocess.run(["umount", "-l", str(mount)], capture_output=True)


def boto3(work, python, bucket):
    said = work.run(python, JOBS / "boto3_jobs.py", work.node.s3_url, bucket, work.place, work.big_mib, 10 if work.quick else 100)
    return said.strip().splitlines()[-1].removeprefix("ok: ")


def install_node_modules():
    """From the registry, by the committed lock, once."""
    NODE_MODULES.mkdir(parents=True, exist_ok=True)
    same = all((NODE_MODULES / name).exists() and filecmp.cmp(JOBS / name, NODE_MODULES / name, shallow=False)
               for name in ("package.json", "package-lock.json"))
    if same and (NODE_MODULES / "node_modules/minio").exists():
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(JOBS / name, NODE_MODULES / name)
    done = subprocess.run(["npm", "ci", "--omit=dev", "--no-audit", "--no-fund"], cwd=NODE_MODULES, capture_output=True)
    assert done.returncode == 0, "npm ci: " + done.stderr.decode(errors="replace")[-1000:]


def distinct(programs, version):
    """Those there are, one for each version."""
    found = {}
    for program in programs:
        if not program or not pathlib.Path(program).exists():
            continue
        done = subprocess.run([program, *version], capture_output=True, text=True)
        if done.returncode == 0:
            found.setdefault((done.stdout or done.stderr).split()[0], program)
    return found


def jobs(work):
    """(name, version, job), or a reason in place of the job."""
    for version, program in distinct(["/usr/bin/aws", shutil.which("aws")], ["--version"]).items():
        yield "aws-cli", version.removeprefix("aws-cli/"), lambda program=program: aws_cli(work, program)
    yield "s3cmd", "", lambda: s3cmd(work)
    yield "rclone", "", lambda: rclone(work)
    yield "restic", "", lambda: restic(work)
    pythons = distinct(["/usr/bin/python3", shutil.which("python3")], ["-c", "import boto3; print(boto3.__version__)"])
    for number, (version, python) in enumerate(pythons.items()):
        yield "boto3", version, lambda python=python, number=number: boto3(work, python, f"boto3-{number}")
    yield "s3fs", "", (lambda: s3fs(work)) if os.access("/dev/fuse", os.W_OK) else "no /dev/fuse here"
    lock = (JOBS / "package.json").read_text()
    script = lambda name, *words: work.run("node", JOBS / name, work.node.s3_url, *words, cwd=NODE_MODULES)
    yield ("@aws-sdk/client-s3", re.search(r'client-s3": "([^"]+)', lock)[1],
           lambda: script("aws_sdk.mjs", "aws-sdk", work.big_mib) and None)
    yield "minio", re.search(r'"minio": "([^"]+)', lock)[1], lambda: script("minio.mjs", "minio-js", work.big) and None


def requests_in(log, offset=0):
    """(status, "METHOD target") of every request after `offset` of the node's log."""
    with open(log, "rb") as file:
        file.seek(offset)
        for line in file:
            if b"http request" not in line:
                continue
            status = re.search(rb"\bstatus=(\d+)", line)
            method, target = re.search(rb"\bmethod=(\S+)", line), re.search(rb'\btarget=("[^"]*"|\S+)', line)
            yield int(status[1]), f"{method[1].decode()} {target[1].decode(errors='replace')}"


def run(quick=False):
    with workspace() as place:
        install_node_modules()
        # Version 2 signatures are what s3cmd signurl makes; everybody else signs as always.
        with Node(place / "data", set_=["log.level=debug", "s3.signature_v2=true"]) as node:
            work = Workplace(place, node, quick)
            done, skipped, failures, statuses, asked = [], [], [], collections.Counter(), 0
            wanted = os.environ.get("HAILSTONE_S3_CLIENTS", "").split()  # a few of them, while one is looked into
            for name, version, job in jobs(work):
                if wanted and name not in wanted:
                    continue
                if isinstance(job, str):
                    skipped.append(f"{name} ({job})")
                    continue
                offset, started = node.log.stat().st_size, time.monotonic()
                said = ""
                try:
                    said = job() or ""
                    done.append(f"{name} {version}".strip())
                except (AssertionError, OSError, subprocess.SubprocessError, StopIteration) as problem:
                    failures.append(f"{name} {version}: {problem!r}"[:1500])
                seen = collections.Counter()
                for status, request in requests_in(node.log, offset):
                    seen[status] += 1
                    if status >= 500:
                        failures.append(f"{name}: {status} to {request}")
                    elif status >= 400 and os.environ.get("HAILSTONE_S3_VERBOSE"):
                        print(f"    {status} {request}")
                    elif status >= 300 and status not in PROVOKED:
                        failures.append(f"{name}: unexpected {status} to {request}")
                statuses += seen
                print(f"  {name} {version}: {sum(seen.values())} requests in {time.monotonic() - started:.1f} s: "
                      f"{dict(sorted(seen.items()))} {said}", flush=True)
                assert node.process.poll() is None, f"{name}: the node ended with {node.process.returncode}:\n{node.tail()}"
            asked = sum(statuses.values())
            errors = sum(count for status, count in statuses.items() if status >= 500)
            figure = (f"{len(done)} clients ({', '.join(done)}), {work.count} files and {work.big_mib} MiB each, {asked} requests, "
                      f"{errors} answers 5xx" + (f"; skipped: {', '.join(skipped)}" if skipped else ""))
            for failure in failures[:20]:
                print("  " + failure)
            assert not failures, f"{len(failures)} failures; {figure}"
            assert asked > 0, "the node logged no request"
            return figure
