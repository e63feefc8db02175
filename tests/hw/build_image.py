#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Build one bare-metal image with clang and ld.lld, for Meson.

    build_image.py --target TRIPLE --script image.ld --output image.elf --depfile image.d
                   [--flag=-mFLAG ...] SOURCE.c SOURCE.S ...

clang compiles for every processor, so no cross compiler is needed.  The library
is compiled with its debug checks on: the image is a test.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = ["-std=gnu11", "-O2", "-g", "-ffreestanding", "-fno-pic", "-fno-stack-protector",
         "-fno-strict-aliasing", "-fno-common", "-nostdinc", "-DKVMU_DEBUG", "-Wall", "-Wextra",
         "-Wconversion", "-Wno-sign-conversion", "-Wshadow", "-Wstrict-prototypes",
         "-Wmissing-prototypes", "-Wundef", "-Wpointer-arith", "-Wvla", "-Werror"]


def tool(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    sys.exit(f"{names[0]} is not installed (tools/setup.sh test installs it)")


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(" ".join(command) + "\n" + result.stdout + result.stderr)
    return result.stdout


def compile_one(clang, headers, args, source, directory):
    flat = os.path.relpath(source, ROOT).replace("/", "-")
    output = os.path.join(directory, flat + ".o")
    depfile = os.path.join(directory, flat + ".d")
    run([clang, f"--target={args.target}", *FLAGS, *args.flag, "-isystem", headers, "-I", str(ROOT),
         "-MD", "-MF", depfile, "-MT", args.output, "-c", source, "-o", output])
    return output, depfile


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--depfile", required=True)
    parser.add_argument("--flag", action="append", default=[])
    parser.add_argument("sources", nargs="+")
    args = parser.parse_args()

    clang, lld = tool("clang", "clang-14"), tool("ld.lld", "ld.lld-14")
    headers = os.path.join(run([clang, "-print-resource-dir"]).strip(), "include")
    sources = [os.path.abspath(source) for source in args.sources]
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda source: compile_one(clang, headers, args, source, directory),
                              sources))
        run([lld, "-static", "--fatal-warnings", "-z", "max-page-size=4096", "-T", args.script,
             "-o", args.output, *(output for output, _ in built)])
        with open(args.depfile, "w", encoding="utf-8") as merged:
            merged.write(f"{args.output}: {args.script}\n")
            for _, depfile in built:
                merged.write(Path(depfile).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
