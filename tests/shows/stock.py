"""Package repositories and a web page in numbered releases, and the stock clients that use them: apt, dnf, npm, curl, a browser."""
import base64
import hashlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import tarfile

from . import apt

VOLUMES = {"apt-hash": {}, "apt-mirror": {}, "rpms": {}, "npm": {}, "web": {"cookie_pin": True}}
RPMS = ["hs-demo-one", "hs-demo-two"]
RPM_CYCLE = 12  # rpmbuild takes longer than a flip: so many releases of it, round and round
NPM_KEPT = 30   # versions that stay in the index
BROWSER = shutil.which("chromium")
PROGRAMS = ["apt-get", "dpkg-deb", "dnf", "createrepo_c", "rpmbuild", "npm", "curl"]


def missing():
    return [program for program in PROGRAMS if not shutil.which(program)]


def files_of(tree):
    return {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}


class Releases:
    """Release `number`, counted from 1, of all VOLUMES: {volume: {key: bytes}}. `url` is where clients will find them."""

    def __init__(self, work, url):
        self.work, self.url, self.npm = pathlib.Path(work), url, {}
        self.work.mkdir(parents=True)
        self.rpms = [self.build_rpms(number) for number in range(1, RPM_CYCLE + 1)]

    def __call__(self, number):
        tree = apt.build_release(self.work, number, by_hash=False)
        plain = files_of(tree)
        shutil.rmtree(tree)
        release = "dists/stable/Release"
        hashed = plain | {release: plain[release].replace(b"Acquire-By-Hash: no", b"Acquire-By-Hash: yes")}
        return {"apt-hash": hashed, "apt-mirror": plain, "rpms": self.rpms[number % RPM_CYCLE], "npm": self.build_npm(number), "web": self.build_web(number)}

    def build_rpms(self, number):
        tree = self.work / f"rpm-{number}"
        tree.mkdir()
        for name in RPMS:
            path = f"/usr/share/{name}/version"
            (self.work / "spec").write_text(
                f"Name: {name}\nVersion: {number}\nRelease: 1\nSummary: demo\nLicense: none\nBuildArch: noarch\n%description\ndemo\n%install\n"
                f"mkdir -p %{{buildroot}}/usr/share/{name}\necho {number} > %{{buildroot}}{path}\n%files\n{path}\n")
            subprocess.run(["rpmbuild", "-bb", "--define", f"_topdir {self.work}/top", "--define", f"_rpmdir {tree}", str(self.work / "spec")],
                           check=True, capture_output=True)
        subprocess.run(["createrepo_c", "-q", tree], check=True, capture_output=True)
        return files_of(tree)

    def build_npm(self, number):
        """Two packages; the first needs the second in just its own version."""
        files = {}
        for name in ("hs-demo-a", "hs-demo-b"):
            about = {"name": name, "version": f"1.0.{number}", "dependencies": {"hs-demo-b": f"1.0.{number}"} if name == "hs-demo-a" else {}}
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz") as archive:
                for path, data in (("package/package.json", json.dumps(about).encode()), ("package/index.js", f"module.exports = {number}\n".encode())):
                    entry = tarfile.TarInfo(path)
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
            data, path = packed.getvalue(), f"tarballs/{name}-1.0.{number}.tgz"
            integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
            versions = self.npm.setdefault(name, {})
            versions[number] = (path, data, about | {"dist": {"tarball": f"{self.url}/npm/{path}", "integrity": integrity}})
            versions.pop(number - NPM_KEPT, None)
            files |= {kept[0]: kept[1] for kept in versions.values()}
            files[name] = json.dumps({"name": name, "dist-tags": {"latest": f"1.0.{number}"},
                                      "versions": {f"1.0.{n}": kept[2] for n, kept in versions.items()}}).encode()
        return files

    @staticmethod
    def build_web(number):
        """A list of files named by their hashes, and a page whose script has the same name in every release."""
        parts = [f"part {i} of release {number}\n".encode() * 20 for i in range(4)]
        names = {f"parts/{hashlib.sha256(part).hexdigest()}.txt": part for part in parts}
        page = f'<!doctype html><html><body><p id="said">page {number}</p><script src="app.js"></script></body></html>'
        script = f'document.getElementById("said").textContent += " script {number}";'
        return names | {"parts.txt": "".join(name + "\n" for name in names).encode(), "index.html": page.encode(), "app.js": script.encode()}


def edits(old, new):
    """What turns one release of a volume into the next, as a batch of the API."""
    changed = [{"key": key, "base64": base64.b64encode(data).decode()} for key, data in new.items() if old.get(key) != data]
    return {"edits": changed + [{"key": key, "delete": True} for key in old if key not in new]}


# The clients: each is made for a directory and a server's URL, and called again and again; what it says is what went wrong.

class Apt:
    def __init__(self, work, url, by_hash):
        self.client = apt.Client(work, f"{url}/apt-hash/" if by_hash else f"mirror+{url}/apt-mirror/-/mirrorlist", by_hash)

    def __call__(self):
        return self.client.update_and_download()


class Dnf:
    def __init__(self, work, url):
        self.work = work
        work.mkdir()
        self.config = work / "dnf.conf"
        self.config.write_text(f"[main]\nreposdir=/nonexistent\ncachedir={work}/cache\nlogdir={work}/log\npersistdir={work}/persist\nplugins=0\n"
                               f"retries=1\nmetadata_expire=0\n[demo]\nname=demo\nmirrorlist={url}/rpms/-/mirrorlist\ngpgcheck=0\n")

    def __call__(self):
        for stale in ("root", "files", "cache"):
            shutil.rmtree(self.work / stale, ignore_errors=True)
        done = subprocess.run(["dnf", "-q", "-y", "-c", self.config, "--installroot", self.work / "root", "--releasever=1", "--refresh", "install",
                               "--downloadonly", "--downloaddir", self.work / "files", *RPMS], capture_output=True, text=True, timeout=180)
        if done.returncode != 0 or "rror" in done.stderr:
            return f"dnf: {(done.stderr + done.stdout)[-300:]}"
        versions = sorted(path.name.split("-")[3] for path in (self.work / "files").glob("*.rpm"))
        return "" if len(versions) == 2 and versions[0] == versions[1] else f"dnf: a mix of versions: {versions}"


class Npm:
    def __init__(self, work, url):
        self.work, self.url = work, url

    def __call__(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        done = subprocess.run(["npm", "install", "hs-demo-a", "--registry", f"{self.url}/npm/", "--prefix", self.work, "--cache", self.work / "cache",
                               "--no-audit", "--no-fund", "--fetch-retries=0", "--no-update-notifier"], capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            return f"npm: {done.stderr[-300:]}"
        said = [json.loads((self.work / "node_modules" / name / "package.json").read_text())["version"] for name in ("hs-demo-a", "hs-demo-b")]
        return "" if said[0] == said[1] else f"npm: {said}"


class Curl:
    def __init__(self, work, url):
        self.url = url

    def fetch(self, path):
        done = subprocess.run(["curl", "-sS", "-f", "-m", "30", f"{self.url}/web/{path}"], capture_output=True)
        if done.returncode != 0:
            raise ValueError(f"curl: {path}: {done.stderr.decode()[-200:]}")
        return done.stdout

    def __call__(self):
        try:
            for name in self.fetch("parts.txt").decode().split():
                if hashlib.sha256(self.fetch(name)).hexdigest() not in name:
                    return f"curl: {name} is something else"
        except ValueError as problem:
            return str(problem)
        return ""


class Browser:
    def __init__(self, work, url):
        self.work, self.url = work, url

    def __call__(self):
        shutil.rmtree(self.work, ignore_errors=True)
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.work}", "--dump-dom", "--timeout=20000",
                               f"{self.url}/web/"], capture_output=True, text=True, timeout=120)
        said = re.search(r"page (\d+) script (\d+)", done.stdout)
        if not said:
            return f"browser: {done.stdout[-200:]} {done.stderr[-200:] if not done.stdout else ''}"
        return "" if said[1] == said[2] else f"browser: a mix, {said[0]}"


CLIENTS = {"apt by-hash": lambda work, url: Apt(work, url, True), "apt mirror": lambda work, url: Apt(work, url, False), "dnf": Dnf, "npm": Npm,
           "curl": Curl} | ({"browser": Browser} if BROWSER else {})
