#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Install into a prefix of its own, and use what is there as a stranger would.

    install_test.py BUILD-DIRECTORY SOURCE-DIRECTORY
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD, SOURCE = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
TOUR_SAYS = ["two blocks of 2 MiB", "18 leaves", "[0, 0x8000), 8 entries",
             "were young, now they are old", "528 leaves", "table memory: 20 KiB"]


def run(command, **kwargs):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False, **kwargs)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def pkg_config(root, *what):
    """The files lie below @root; the .pc file speaks of the prefix."""
    (found,) = root.rglob("kvmu-pgtable.pc")
    env = dict(os.environ, PKG_CONFIG_PATH=str(found.parent), PKG_CONFIG_SYSROOT_DIR=str(root))
    return run(["pkg-config", *what, "kvmu-pgtable"], env=env).split()


def test_library(root, scratch):
    flags = pkg_config(root, "--cflags", "--libs")
    tour = scratch / "tour"
    run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror",
         SOURCE / "examples/library/pgtable_tour.c", "-o", tour, *flags], cwd=scratch)
    output = run([tour])
    for text in TOUR_SAYS:
        assert text in output, f"the tour does not say '{text}':\n{output}"


def test_headers_stand_alone(root, scratch):
    """Every installed header compiles with nothing but the installed ones."""
    flags = pkg_config(root, "--cflags")
    (base,) = root.rglob("include/kvmu")
    internal = ("engine", "format", "instantiate.h", "pgtable_api.h")
    for header in sorted(base.rglob("*.h")):
        name = header.relative_to(base).as_posix()
        if not any(part in name for part in internal):
            source = scratch / "one.c"
            source.write_text(f'#include "{name}"\n')
            run(["cc", "-std=gnu11", "-fsyntax-only", "-Wall", "-Werror", *flags, source])


def test_command(root):
    (kvmu,) = root.rglob("bin/kvmu")
    assert run([kvmu, "run", "--", "true"]) == ""
    assert "unmap_meets_fault " in run([kvmu, "explore", "--list"])
    assert " 0 failed" in run([kvmu, "explore", "--max", "50", "slot_create"])


def main():
    with tempfile.TemporaryDirectory() as directory:
        root, scratch = Path(directory) / "root", Path(directory) / "scratch"
        scratch.mkdir()
        run(["meson", "install", "--no-rebuild", "-C", BUILD, "--destdir", root])
        test_library(root, scratch)
        test_headers_stand_alone(root, scratch)
        test_command(root)
    print("installed: library, headers and command work from their prefix")


main()
