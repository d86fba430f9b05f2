#!/usr/bin/env python3
"""Modules include only what their CMakeLists.txt lists in DEPS, DEPS point downward, each module has a README and a row in
ARCHITECTURE.md, in the order CMakeLists.txt builds them."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
problems = []
order = re.search(r"foreach\(name ([a-z0-9 ]+)\)", (ROOT / "CMakeLists.txt").read_text()).group(1).split()
rows = re.findall(r"^\| ([a-z0-9]+) \| ", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
rows = [row for row in rows if row != "module"]
if rows != order:
    problems.append(f"ARCHITECTURE.md: module rows are {rows}, CMakeLists.txt builds {order}")
for position, name in enumerate(order):
    folder = ROOT / "src" / name
    if not (folder / "README.md").exists() or len((folder / "README.md").read_text()) < 200:
        problems.append(f"src/{name}: no README.md that says what it is for")
    text = (folder / "CMakeLists.txt").read_text()
    listed = re.search(r"DEPS ([a-z0-9\s]+?)(?:\n\s*LIBS|\))", text)
    deps = set(listed.group(1).split()) if listed else set()
    for dep in sorted(deps):
        if order.index(dep) >= position:
            problems.append(f"src/{name}: depends upward on {dep}")
    for source in sorted(folder.glob("*.h")) + sorted(folder.glob("*.cc")):
        allowed = deps | {name}
        if source.name == "main.cc":
            allowed |= {"server"}  # the program itself links both
        for included in re.findall(r'^#include "([a-z0-9]+)/', source.read_text(), re.M):
            if included in order and included not in allowed:
                problems.append(f"{source.relative_to(ROOT)}: includes {included}/, which DEPS does not list")
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
