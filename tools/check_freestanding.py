#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""pgtable/ and mmu/ need nothing from the outside but their declared services.

The archives of the release build are joined into one object; what is still
undefined in it must be a service that mmu/mmu_host.h, base/assert.h, base/inject.h or base/trace.h
declares, or one of the four memory functions that a freestanding compiler may call.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import sources

COMPILER_MAY_CALL = {"memcpy", "memmove", "memset", "memcmp"}
# Sanitizers and coverage are not part of the question: the release build is examined.
DECLARATION = re.compile(r"\b((?:mmu|kvmu)_\w+)\s*\([^;{]*\)\s*;", re.DOTALL)
VARIABLE = re.compile(r"^extern \w+ (kvmu_\w+);", re.MULTILINE)


# A trace point of base/trace.h: its semaphore belongs to the service.
TRACE_POINT = re.compile(r"\bX\((\w+), (\w+), \d+,")


def declared_services(root):
    services = set(COMPILER_MAY_CALL)
    for header in ("mmu/mmu_host.h", "base/assert.h", "base/inject.h", "base/trace.h"):
        text = (root / header).read_text()
        services |= set(DECLARATION.findall(text)) | set(VARIABLE.findall(text))
        services |= {f"{system}_{name}_semaphore" for system, name in TRACE_POINT.findall(text)}
    return services


def undefined_symbols(archives):
    with tempfile.TemporaryDirectory() as directory:
        joined = Path(directory) / "joined.o"
        subprocess.run(["ld", "-r", "-o", str(joined), "--whole-archive", *archives], check=True)
        output = subprocess.run(["nm", "-u", str(joined)], check=True, capture_output=True,
                                text=True).stdout
    names = {line.split()[-1] for line in output.splitlines() if line.strip()}
    return names - {"_GLOBAL_OFFSET_TABLE_"}


def main():
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else sources.ROOT / "build"
    problems = []
    # Alone and together: pgtable/ must not lean on mmu/.
    lower = [build / "pgtable/libkvmu_pgtable.a"]
    both = lower + [build / "mmu/libkvmu_mmu.a"]
    for archives in (lower, both):
        missing = [str(archive) for archive in archives if not archive.exists()]
        if missing:
            problems.append(f"{', '.join(missing)}: not built")
            continue
        services = declared_services(sources.ROOT)
        names = " + ".join(archive.parent.name for archive in archives)
        for symbol in sorted(undefined_symbols([str(a) for a in archives]) - services):
            problems.append(f"{names}: needs {symbol}, which no header declares as a service")
    return sources.report("freestanding", problems, len(both))


if __name__ == "__main__":
    sys.exit(main())
