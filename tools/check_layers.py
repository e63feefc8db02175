#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who may include whom: directory order is dependency order (ARCHITECTURE.md)."""

import re
import sys
from pathlib import Path

import sources

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

# C's freestanding headers, the only system headers of the lower layers.
FREESTANDING = {"stdbool.h", "stddef.h", "stdint.h", "stdarg.h", "limits.h", "stdalign.h",
                "stdnoreturn.h", "float.h", "iso646.h"}

# Directory -> what a quoted include may start with.  "mmu/" is the whole layer.
LAYERS = {
    "base": ["base/"],
    "pgtable": ["base/", "pgtable/"],
    "mmu": ["base/", "pgtable/", "mmu/"],
    "vcpu": ["base/", "pgtable/", "mmu/", "vcpu/"],
    "host": ["base/", "mmu/", "host/"],
    "kvm": ["base/", "pgtable/", "mmu/", "vcpu/", "host/", "kvm/"],
    "preload": ["base/", "mmu/", "host/", "kvm/", "preload/"],
    "cli": ["base/", "host/", "kvm/", "cli/"],
    "explore": ["base/", "pgtable/", "mmu/", "explore/"],
    "el2": ["base/", "pgtable/", "el2/"],
    "examples": [],
    "examples/library": ["base/", "pgtable/"],
    "tests/clients": [],
}
FREESTANDING_LAYERS = ("base", "pgtable", "mmu", "el2")
# What the host layer may see of the MMU: its declared needs and the objects in them.
NARROW = {("host", "mmu/"): {"mmu/mmu_host.h", "mmu/mmu.h"}}
# base/errno.h takes the system's numbers where there is a system.
SYSTEM_HEADER_EXCEPTIONS = {("base/errno.h", "errno.h")}


def layer_of(relative):
    for layer in sorted(LAYERS, key=len, reverse=True):
        if relative.startswith(layer + "/"):
            return layer
    return None


def resolve(root, file, target):
    """A quoted include as a path from the root: beside the file first, as the compiler does."""
    beside = file.parent / target
    if beside.exists():
        return beside.resolve().relative_to(root.resolve()).as_posix()
    return target


def quoted_problem(layer, directory, target):
    if target.startswith(layer + "/") or str(Path(target).parent) == directory:
        return None
    allowed = [prefix for prefix in LAYERS[layer] if target.startswith(prefix)]
    if not allowed:
        return f"{layer}/ may not use {target}"
    narrow = NARROW.get((layer, allowed[0]))
    if narrow is not None and target not in narrow:
        return f"{layer}/ may use only {', '.join(sorted(narrow))} of {allowed[0]}, not {target}"
    return None


def problems_of(root, file):
    relative = file.relative_to(root).as_posix()
    layer = layer_of(relative)
    if layer is None:
        return
    text = file.read_text(errors="replace")
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        quoted, system = match.groups()
        problem = None
        if quoted:
            problem = quoted_problem(layer, str(Path(relative).parent),
                                     resolve(root, file, quoted))
        elif (layer in FREESTANDING_LAYERS and system not in FREESTANDING
              and (relative, system) not in SYSTEM_HEADER_EXCEPTIONS):
            problem = f"{layer}/ is freestanding and may not use <{system}>"
        if problem:
            yield f"{relative}:{line}: {problem}"


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else sources.ROOT
    files = sources.c_files(root)
    problems = [problem for file in files for problem in problems_of(root, file)]
    return sources.report("layers", problems, len(files))


if __name__ == "__main__":
    sys.exit(main())
