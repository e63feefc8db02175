#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What must not stand in the sources: a machine's paths, registry hosts, unsafe functions,
a missing licence line."""

import re
import sys
from pathlib import Path

import sources

TEXT_SUFFIXES = (".c", ".h", ".S", ".s", ".py", ".sh", ".md", ".build", ".txt", ".ld")
C_SUFFIXES = (".c", ".h")

# Put together here, so that this file does not find itself.
ANYWHERE = {
    r"/" + r"work/(main|shared)": "a path of somebody's machine",
    r"/" + r"home/\w+": "a path of somebody's machine",
    r"/" + r"tmp/build": "a path of somebody's machine",
    r"deb\.debian" + r"\.org|snapshot\.debian" + r"\.org|pypi" + r"\.org|npmjs" + r"\.(com|org)"
    r"|crates" + r"\.io|proxy\.golang" + r"\.org": "the host of a package registry",
}
IN_C = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|alloca|tmpnam|mktemp)\s*\(": "an unsafe function",
    r"\bsystem\s*\(": "a shell call",
}


def problems_of(root, file):
    relative = file.relative_to(root).as_posix()
    text = file.read_text(errors="replace")
    patterns = dict(ANYWHERE)
    if file.suffix in C_SUFFIXES:
        patterns.update(IN_C)
    for pattern, what in patterns.items():
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{relative}:{line}: {what}: {match.group(0)}"
    if file.suffix not in (".md", ".txt") and text.strip():
        if "SPDX-License-Identifier: BSD-2-Clause" not in "\n".join(text.splitlines()[:4]):
            yield f"{relative}:1: no SPDX licence line"


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else sources.ROOT
    files = sources.project_files(root, TEXT_SUFFIXES)
    files += [root / "Makefile"] if (root / "Makefile").exists() else []
    problems = [problem for file in files for problem in problems_of(root, file)]
    return sources.report("words", problems, len(files))


if __name__ == "__main__":
    sys.exit(main())
