#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Lengths of functions and files: a profile per directory, and two hard stops.

A function has at most 80 lines of body, a file at most 900 lines.  A file that
is a pure table is exempt when its first lines say "size-check: table".
"""

import re
import sys
from pathlib import Path

import sources

MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 900
NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def functions_of(lines):
    """(name, first line, body lines): a body stands between '{' and '}' in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            heading = " ".join(lines[max(0, start - 6):start - 1])
            heading = heading.rsplit(";", 1)[-1].rsplit("}", 1)[-1]
            names = NAME.findall(heading)
            if names and line.rstrip() == "}":
                yield names[0], start, number - start - 1
            start = None


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def examine(root, file, profile, problems):
    relative = file.relative_to(root).as_posix()
    lines = file.read_text(errors="replace").splitlines()
    exempt = any("size-check: table" in line for line in lines[:20])
    if len(lines) > MAX_FILE_LINES and not exempt:
        problems.append(f"{relative}: {len(lines)} lines, more than {MAX_FILE_LINES}")
    parts = relative.split("/")
    area = "/".join(parts[:2]) if parts[0] == "tests" and len(parts) > 2 else parts[0]
    entry = profile.setdefault(area, {"files": [], "functions": []})
    entry["files"].append(len(lines))
    for name, line, length in functions_of(lines):
        entry["functions"].append(length)
        if length > MAX_FUNCTION_LINES:
            problems.append(f"{relative}:{line}: {name}() has {length} lines, "
                            f"more than {MAX_FUNCTION_LINES}")


def print_profile(profile):
    print(f"{'directory':<16}{'files':>6}{'lines':>8}{'longest':>9}"
          f"{'functions':>11}{'median':>8}{'p90':>5}{'longest':>9}")
    for area, entry in sorted(profile.items()):
        lengths = entry["functions"] or [0]
        print(f"{area:<16}{len(entry['files']):>6}{sum(entry['files']):>8}"
              f"{max(entry['files']):>9}{len(entry['functions']):>11}"
              f"{percentile(lengths, 0.5):>8}{percentile(lengths, 0.9):>5}{max(lengths):>9}")


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else sources.ROOT
    profile, problems = {}, []
    files = sources.c_files(root)
    for file in files:
        examine(root, file, profile, problems)
    print_profile(profile)
    return sources.report("sizes", problems, len(files))


if __name__ == "__main__":
    sys.exit(main())
