#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""All C files are as clang-format leaves them; --fix makes them so."""

import subprocess
import sys

import sources


def main():
    files = [str(file) for file in sources.c_files()]
    fix = "--fix" in sys.argv[1:]
    mode = ["-i"] if fix else ["--dry-run", "--Werror", "--ferror-limit=3"]
    result = subprocess.run(["clang-format", *mode, *files], capture_output=True, text=True,
                            check=False)
    problems = [line for line in result.stderr.splitlines() if "error:" in line]
    if result.returncode != 0 and not problems:
        problems = [result.stderr.strip() or "clang-format failed"]
    code = sources.report("format", problems, len(files))
    if code:
        print("format: `make format` does it")
    return code


if __name__ == "__main__":
    sys.exit(main())
