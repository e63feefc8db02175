#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""All C files are as clang-format leaves them, and rulers are one line; --fix makes them so."""

import re
import subprocess
import sys

import sources

# clang-format breaks a ruler that is too long into two lines, and leaves it so for good.
BROKEN_RULER = re.compile(r"^/\* ---- (.*)\n \*(/| -+ \*/)$", re.MULTILINE)
RULER_WIDTH = 92


def ruler(found):
    line = f"/* ---- {found[1].rstrip(' -')} "
    return line + "-" * max(4, RULER_WIDTH - len(line)) + " */"


def broken_rulers(files, fix):
    """A problem for each, or none when they could be mended."""
    for file in files:
        text = file.read_text()
        for found in BROKEN_RULER.finditer(text):
            if not fix:
                yield f"{file}:{text.count(chr(10), 0, found.start()) + 1}: a ruler of two lines"
        if fix:
            mended = BROKEN_RULER.sub(ruler, text)
            if mended != text:
                file.write_text(mended)


def clang_format(files, fix):
    mode = ["-i"] if fix else ["--dry-run", "--Werror", "--ferror-limit=3"]
    result = subprocess.run(["clang-format", *mode, *map(str, files)], capture_output=True,
                            text=True, check=False)
    problems = [line for line in result.stderr.splitlines() if "error:" in line]
    if result.returncode != 0 and not problems:
        problems = [result.stderr.strip() or "clang-format failed"]
    return problems


def main():
    fix = "--fix" in sys.argv[1:]
    files = sources.c_files()
    problems = [*broken_rulers(files, fix), *clang_format(files, fix)]
    code = sources.report("format", problems, len(files))
    if code:
        print("format: `make format` does it")
    return code


if __name__ == "__main__":
    sys.exit(main())
