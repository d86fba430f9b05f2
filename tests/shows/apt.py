"""Small apt repositories made with the stock tools, and stock apt clients with a root of their own."""
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import time

PACKAGES = [f"hs-demo-{name}" for name in ("alpha", "beta", "gamma")]


def build_release(root, number, by_hash):
    """The files of release `number` under `root`: packages of that version, indexes, Release. Returns the tree's path."""
    tree = root / f"r{number}"
    pool = tree / "pool"
    pool.mkdir(parents=True)
    paragraphs = []
    for name in PACKAGES:
        build = root / "build"
        shutil.rmtree(build, ignore_errors=True)
        (build / "DEBIAN").mkdir(parents=True)
        (build / "usr/share" / name).mkdir(parents=True)
        (build / "usr/share" / name / "version").write_text(f"{name} {number}\n" + os.urandom(600).hex())
        (build / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {number}.0\nArchitecture: all\nMaintainer: Demo <demo@example.org>\nDescription: release {number}\n")
        deb = pool / f"{name}_{number}.0_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(build), str(deb)], check=True, stdout=subprocess.DEVNULL)
        data = deb.read_bytes()
        paragraphs.append((build / "DEBIAN/control").read_text() +
                          f"Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n")
    index = "\n".join(paragraphs).encode()
    directory = tree / "dists/stable/main/binary-amd64"
    directory.mkdir(parents=True)
    (directory / "Packages").write_bytes(index)
    (directory / "Packages.gz").write_bytes(gzip.compress(index, mtime=0))
    lines = []
    for name in ("Packages", "Packages.gz"):
        data = (directory / name).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        lines.append(f" {digest} {len(data)} main/binary-amd64/{name}")
        if by_hash:
            target = directory / "by-hash/SHA256" / digest
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    # Each release is a second later than the one before, so that apt never takes it for a downgrade.
    date = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(time.time() - 100_000 + number))
    (tree / "dists/stable/Release").write_text(
        f"Origin: Demo\nSuite: stable\nCodename: stable\nDate: {date}\nArchitectures: amd64 all\nComponents: main\n"
        f"Acquire-By-Hash: {'yes' if by_hash else 'no'}\nSHA256:\n" + "\n".join(lines) + "\n")
    return tree


class Client:
    """Stock apt with everything of its own below `root`."""

    def __init__(self, root, source, by_hash):
        self.root = pathlib.Path(root)
        for sub in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "lists/partial", "cache/archives/partial", "log", "work"):
            (self.root / sub).mkdir(parents=True)
        (self.root / "status").write_text("")
        (self.root / "etc/apt/sources.list").write_text(f"deb [trusted=yes arch=amd64] {source} stable main\n")
        options = {"Dir::Etc": self.root / "etc/apt", "Dir::State": self.root, "Dir::State::status": self.root / "status",
                   "Dir::State::lists": self.root / "lists", "Dir::Cache": self.root / "cache", "Dir::Log": self.root / "log",
                   "Acquire::Languages": "none", "Acquire::Check-Valid-Until": "true", "Acquire::Retries": "0",
                   "APT::Architecture": "amd64", "Acquire::By-Hash": "yes" if by_hash else "no", "APT::Sandbox::User": "root",
                   "Acquire::PDiffs": "false", "APT::Get::List-Cleanup": "true", "Debug::NoLocking": "true"}
        # The machine's own configuration is left out: an empty file in its place.
        self.config = self.root / "apt.conf"
        self.config.write_text("".join(f'{k} "{v}";\n' for k, v in options.items()))

    def run(self, *words):
        return subprocess.run(["apt-get", "-q", *words], env=dict(os.environ, APT_CONFIG=str(self.config), LC_ALL="C"),
                              cwd=self.root / "work", capture_output=True, text=True, timeout=120)

    def update_and_download(self):
        """Problems of one run, empty when all went well."""
        done = self.run("update")
        said = done.stdout + done.stderr
        if done.returncode != 0 or "\nE:" in "\n" + said or "\nW:" in "\n" + said or "Err:" in said:
            return "update: " + tail(said)
        done = self.run("download", *PACKAGES)
        said = done.stdout + done.stderr
        if done.returncode != 0:
            return "download: " + tail(said)
        files = list((self.root / "work").glob("*.deb"))
        versions = {f.name.split("_")[1] for f in files}
        for f in files:
            f.unlink()
        if len(files) != len(PACKAGES):
            return f"download: {len(files)} of {len(PACKAGES)} files"
        if len(versions) != 1:
            return f"a mix of versions: {sorted(versions)}"
        return ""


def tail(text):
    return " | ".join(line for line in text.splitlines() if line.startswith(("E:", "W:", "Err:")))[:400] or text[-300:]
