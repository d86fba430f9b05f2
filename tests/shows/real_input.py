"""A real slice of the Debian archive, fetched with apt and unpacked: three successive releases of at least 100,000 files,
imported and published one after another, then exported and compared: bytes, modes, links, times, xattrs, ACLs."""
import os
import pathlib
import stat
import subprocess
import time

from .node import BINARY, ROOT, Node, workspace

# What each release adds to the tree before it.
RELEASES = [["rust-doc", "libstdc++-12-doc"], ["linux-doc-6.1", "linux-source-6.1"], ["cmake-data", "python3-doc", "linux-headers-6.1"]]
QUICK = [["cmake-data"], ["python3.11-doc"], ["manpages"]]


def fetch(packages, into):
    cache = ROOT / ".cache" / "debs"
    cache.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not list(cache.glob(f"{package}_*.deb")):
            done = subprocess.run(["apt-get", "-q", "download", "-o", "APT::Sandbox::User=root", package], cwd=cache, capture_output=True, text=True)
            if done.returncode != 0:
                continue  # a package that this suite does not have
        for deb in cache.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(into)], check=True)
    for archive in into.glob("usr/src/linux-source-*.tar.xz"):
        subprocess.run(["tar", "-xJf", str(archive), "-C", str(archive.parent)], check=True)
        archive.unlink()


def describe(root):
    """Everything that an export must give back, by path."""
    out = {}
    links = {}
    root = pathlib.Path(root)
    for directory, names, files in os.walk(root):
        for name in [*names, *files, None] if directory == str(root) else [*names, *files]:
            path = os.path.join(directory, name) if name else directory
            s = os.lstat(path)
            key = os.path.relpath(path, root)
            row = [stat.S_IFMT(s.st_mode), s.st_mode & 0o7777, s.st_uid, s.st_gid, s.st_mtime_ns]
            if stat.S_ISREG(s.st_mode):
                with open(path, "rb") as file:
                    row.append(hash(file.read()))
                if s.st_nlink > 1:
                    links.setdefault(s.st_ino, []).append(key)
            elif stat.S_ISLNK(s.st_mode):
                row.append(os.readlink(path))
            row.append(tuple((a, os.getxattr(path, a, follow_symlinks=False)) for a in sorted(os.listxattr(path, follow_symlinks=False))))
            out[key] = tuple(row)
    out["(hard links)"] = tuple(sorted(tuple(sorted(group)) for group in links.values()))
    return out


def decorate(root):
    """What a package tree seldom has: hard links, xattrs, ACLs, a sparse file, odd names and modes."""
    odd = root / "odd"
    odd.mkdir(exist_ok=True)
    (odd / "with\nnewline").write_text("x")
    (odd / "naïve ü").write_text("y")
    with open(os.fsencode(odd) + b"/raw-\xff\xfe", "w") as file:
        file.write("z")
    (odd / "first").write_text("linked")
    for name in ("second", "third"):
        if not (odd / name).exists():
            os.link(odd / "first", odd / name)
    (odd / "setuid").write_text("s")
    os.chmod(odd / "setuid", 0o4755)
    os.chown(odd / "setuid", 1234, 4321)
    os.setxattr(odd / "first", "user.note", b"\x00binary\xff")
    subprocess.run(["setfacl", "-m", "u:1234:rwx,g:4321:r", str(odd / "setuid")], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", str(odd)], check=True)
    with open(odd / "sparse", "wb") as file:
        file.truncate(50_000_000)
        file.seek(30_000_000)
        file.write(b"data in the middle")
    (odd / "empty").mkdir(exist_ok=True)
    if not os.path.lexists(odd / "dangling"):
        os.symlink("no/such/thing", odd / "dangling")
    if not os.path.lexists(odd / "fifo"):
        os.mkfifo(odd / "fifo", 0o640)


def run(quick=False):
    with workspace() as place:
        tree = place / "tree"
        tree.mkdir()
        lines = []
        with Node(place / "data") as node:
            node.cli("volume", "create", "debian")
            wanted = {}
            for number, packages in enumerate(QUICK if quick else RELEASES, 1):
                fetch(packages, tree)
                if number == 2:
                    decorate(tree)
                started = time.monotonic()
                subprocess.run([BINARY, "import", str(tree), "debian", "--delete", "--json"], env=node.environment(), check=True, stdout=subprocess.DEVNULL)
                imported = time.monotonic() - started
                started = time.monotonic()
                done = node.publish("debian")[0]
                published = time.monotonic() - started
                assert done["release"] == number
                wanted[number] = describe(tree)
                size = sum(os.lstat(os.path.join(d, f)).st_size for d, _, fs in os.walk(tree) for f in fs)
                lines.append((len(wanted[number]) - 1, size, imported, published))
                print(f"  release {number}: {lines[-1][0]} files, {size / 2**20:.0f} MiB, imported in {imported:.1f} s, published in {published:.1f} s", flush=True)
            for number in wanted:
                out = place / f"export{number}"
                started = time.monotonic()
                node.cli("export", f"debian@{number}", out)
                took = time.monotonic() - started
                got = describe(out.resolve())
                differing = [k for k in wanted[number].keys() | got.keys() if wanted[number].get(k) != got.get(k)]
                for key in differing[:5]:
                    print(f"  {key}: wanted {wanted[number].get(key)}, got {got.get(key)}")
                assert not differing, f"release {number}: {len(differing)} paths differ after export"
                print(f"  release {number} exported in {took:.1f} s, equal", flush=True)
            if len(wanted) > 1:
                sparse = os.stat(place / "export3/odd/sparse")
                assert sparse.st_blocks * 512 < 10_000_000, f"the sparse file takes {sparse.st_blocks * 512} bytes"
        files, size = lines[-1][0], lines[-1][1]
        figure = f"3 releases, the last of {files} files and {size / 2**30:.2f} GiB; each exported equal bit for bit"
        assert quick or (files >= 100_000 and size >= 10**9), figure
        return figure
