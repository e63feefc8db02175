#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compile pgtable/ without a C library and list what it still asks for.

For each processor that the compiler can target: every source file with
-ffreestanding, warnings as errors, linked together (ld -r), and the symbols
left undefined held against the documented environment.
"""

import os
import shutil
import subprocess
import sys
import tempfile

ALLOWED = {"memcpy", "memset", "kvmu_bug", "kvmu_warn"}
FLAGS = ["-std=gnu11", "-O2", "-ffreestanding", "-nostdinc", "-Wall", "-Wextra", "-Werror"]
TARGETS = {
    "x86_64": ["--target=x86_64-none-elf"],
    "arm64": ["--target=aarch64-none-elf", "-mno-outline-atomics"],
    "riscv64": ["--target=riscv64-none-elf", "-march=rv64imac", "-mabi=lp64"],
}


def run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(" ".join(command) + "\n" + result.stdout + result.stderr)
    return result.stdout


def undefined_symbols(objects, nm):
    """What no object of the set defines."""
    defined, wanted = set(), set()
    for line in run([nm, *objects]).splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[0] == "U":
            wanted.add(fields[1])
        elif len(fields) == 3:
            defined.add(fields[2])
    return wanted - defined


def main():
    root, sources = sys.argv[1], sys.argv[2:]
    clang = shutil.which("clang") or shutil.which("clang-14")
    nm = shutil.which("llvm-nm") or shutil.which("llvm-nm-14") or shutil.which("nm")
    if not clang or not nm:
        print("clang is not installed")
        sys.exit(77)
    headers = os.path.join(run([clang, "-print-resource-dir"]).strip(), "include")
    failed = False
    with tempfile.TemporaryDirectory() as work:
        for name, target in TARGETS.items():
            objects = []
            for source in sources:
                path = source if os.path.isabs(source) else os.path.join(root, source)
                objects.append(os.path.join(work, name + "-" + os.path.basename(path) + ".o"))
                run([clang, *target, *FLAGS, "-isystem", headers, "-I", root, "-c", path,
                     "-o", objects[-1]])
            extra = undefined_symbols(objects, nm) - ALLOWED
            print(f"{name}: {len(objects)} objects, beyond the environment: {sorted(extra) or 'nothing'}")
            failed |= bool(extra)
    sys.exit(failed)


if __name__ == "__main__":
    main()
