#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each header compiles on its own, the freestanding layers' without a libc.

Parts of the page-table template are compiled through its instances only
(pgtable/instance/*.c): they mean nothing without a format.  Another header that
is a part of one file by design says so in its first comment: "Included by X only".
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sources

FREESTANDING_LAYERS = ("base", "pgtable", "mmu", "el2")
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-function",
         "-Wno-unused-variable", "-Wno-unused-const-variable", "-Werror", "-fsyntax-only"]


PART = re.compile(r"Included by \S+ only")
TEMPLATE = ("pgtable/engine/", "pgtable/format/defaults.h", "pgtable/instance/instantiate.h",
            "pgtable/pgtable_api.h")


def is_part_of_another(root, header):
    if header.relative_to(root).as_posix().startswith(TEMPLATE):
        return True
    return PART.search(header.read_text(errors="replace")[:1500]) is not None


def compile_alone(root, header):
    relative = header.relative_to(root).as_posix()
    flags = list(FLAGS)
    if relative.split("/")[0] in FREESTANDING_LAYERS:
        flags.append("-ffreestanding")
    # Twice: the second inclusion shows a missing guard.
    source = f'#include "{relative}"\n#include "{relative}"\n'
    result = subprocess.run(["gcc", *flags, f"-I{root}", f"-I{header.parent}", "-x", "c", "-"],
                            input=source, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    return f"{relative}: does not compile on its own:\n{result.stderr.strip()}"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else sources.ROOT).resolve()
    headers = [header for header in sources.project_files(root, (".h",))
               if not is_part_of_another(root, header)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda header: compile_alone(root, header), headers)
        problems = [problem for problem in results if problem]
    return sources.report("headers", problems, len(headers))


if __name__ == "__main__":
    sys.exit(main())
