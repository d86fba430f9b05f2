#!/usr/bin/env python3
"""No source file above 800 lines; every header starts with one sentence that says what it is for and has #pragma once."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
problems = []
for source in sorted(p for folder in ("src", "bench", "fuzz") for p in (ROOT / folder).rglob("*") if p.suffix in (".h", ".cc")):
    text = source.read_text()
    name = source.relative_to(ROOT)
    if len(text.splitlines()) > 800:
        problems.append(f"{name}: {len(text.splitlines())} lines, limit 800")
    if source.suffix == ".h" and not (text.startswith("// ") and "#pragma once" in text):
        problems.append(f"{name}: a header starts with a sentence that says what it is for, then #pragma once")
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
