#!/usr/bin/env python3
"""Installs the C library as a packager would, compiles cell.c through pkg-config as strict C11, runs it against a member, and
compares the library's symbols with its header's. Arguments: build directory, C compiler, member program."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

build, compiler, member = sys.argv[1:4]
here = pathlib.Path(__file__).resolve().parent

WANTED = """session 1, told: 1
flag: on, generation 1
grant has ended
in /example: flag
in /example: leader
event 4 of /example/lock
event 2 of /example/flag
event 1 of /example/leader
event 5 of /example/lock
leader: gone with the session
"""


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, timeout=120, **more).stdout


with tempfile.TemporaryDirectory() as directory:
    prefix = pathlib.Path(directory) / "usr"
    run("cmake", "--install", build, "--prefix", prefix, "--component", "cell-client")
    pc = next(prefix.glob("**/hailstone-cell.pc"))
    environment = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))
    flags = run("pkg-config", "--cflags", "--libs", "hailstone-cell", env=environment).split()
    program = pathlib.Path(directory) / "cell"
    run(compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", here / "cell.c", "-o", program, *flags)

    library = next(prefix.glob("**/libhailstone_cell.so"))
    shown = set(re.findall(r" [B-Z] (\w+)", run("nm", "-D", "--defined-only", library)))
    declared = set(re.findall(r"HSCELL_API [^;(]*?\*?(hscell_\w+)\(", (prefix / "include/hailstone_cell.h").read_text()))
    assert shown == declared, f"shown and not declared: {shown - declared}, declared and not shown: {declared - shown}"
    soname = re.search(r"SONAME.*\[(.*)\]", run("readelf", "-d", library)).group(1)
    assert re.fullmatch(r"libhailstone_cell\.so\.\d+", soname), soname

    serving = subprocess.Popen([member], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = serving.stdout.readline().strip()
        environment["LD_LIBRARY_PATH"] = str(library.parent)
        said = run(program, address, env=environment)
    finally:
        serving.stdin.close()
        serving.wait(timeout=60)
    assert said == WANTED, said
    print(f"cell.c: {len(said.splitlines())} lines as expected; {len(shown)} symbols; {soname}")
