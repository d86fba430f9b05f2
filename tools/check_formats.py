#!/usr/bin/env python3
"""Each format page names its golden file under src/*/testdata, which exists, or says why there is none; every golden file is
named by a page. Each fuzz target has inputs to begin with."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
problems = []
named = set()
for page in sorted((ROOT / "docs/formats").glob("*.md")):
    text = page.read_text()
    files = re.findall(r"`?(src/\w+/testdata/[\w.-]+)`?", text)
    for file in files:
        named.add(file)
        if not (ROOT / file).exists():
            problems.append(f"{page.relative_to(ROOT)}: {file} is not there")
    if not files and "No golden file:" not in text:
        problems.append(f"{page.relative_to(ROOT)}: names no golden file under src/*/testdata, nor says why ('No golden file: ...')")
for folder in sorted({str(pathlib.Path(name).parent) for name in named} | {str(p.parent.relative_to(ROOT)) for p in (ROOT / "src").glob("*/testdata/*")}):
    if not any(name.startswith(folder + "/") for name in named):
        problems.append(f"{folder}: no format page names a file of it")
for source in sorted((ROOT / "fuzz").glob("*_fuzz.cc")):
    corpus = ROOT / "fuzz/corpus" / source.name.removesuffix("_fuzz.cc")
    if not corpus.is_dir() or not any(corpus.iterdir()):
        problems.append(f"{source.relative_to(ROOT)}: {corpus.relative_to(ROOT)} has no input; libFuzzer refuses to start")
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
