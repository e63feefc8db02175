#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Build the kernel's own KVM selftests, unmodified, from Debian's source package.

The packages (linux-source-6.12, linux-source-6.1) hold one xz archive of the whole kernel.  Only
what the selftests need is unpacked, once, into .cache/; the uapi headers come
from the kernel's own `make headers`, the programs from the kernel's own
selftests Makefile with its own flags.  Nothing of it is ever committed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
CHUNK_BYTES = 1 << 20

# What `make headers` and the KVM selftests read, relative to the source tree.
# A new kernel version may need another list: add it here under its number.
COMMON = [
    "Makefile", "Kconfig", "scripts", "include/uapi", "include/asm-generic",
    "arch/x86/Makefile", "arch/x86/entry/syscalls", "arch/x86/include/uapi",
    "arch/x86/tools", "lib/rbtree.c", "tools/arch/x86/include", "tools/build",
    "tools/include", "tools/lib", "tools/scripts", "tools/testing/selftests/lib.mk",
    "tools/testing/selftests/kselftest.h", "tools/testing/selftests/kselftest_harness.h",
    "tools/testing/selftests/kvm", "tools/testing/selftests/rseq",
]
NEEDED = {
    "6.1": [*COMMON, "arch/x86/include/asm", "tools/arch/x86/lib"],
    "6.12": COMMON,
}
# Compiler options that a tree cannot be built without.  6.1 as Debian has it got
# changes of newer kernels that use what only newer kernels declare: <asm/kvm.h>
# the macro for flexible arrays, dirty_log_test the later name of ASSERT_EQ.
EXTRA_CFLAGS = {
    "6.1": "-include linux/stddef.h -DTEST_ASSERT_EQ=ASSERT_EQ",
    "6.12": "",
}
DEFAULT_TESTS = ["demand_paging_test"]


class Failure(Exception):
    """Something the user can act upon; the text says what."""


class Progress:
    """One line that is rewritten on a terminal, and a few plain lines elsewhere."""

    def __init__(self, what):
        self.what = what
        self.tty = sys.stderr.isatty()
        self.shown = -1
        self.start = time.monotonic()

    def percent(self, value):
        step = 1 if self.tty else 25
        if value // step == self.shown // step and self.shown >= 0:
            return
        self.shown = value
        end = "\r" if self.tty else "\n"
        print(f"  {self.what}: {value:3d} %", end=end, file=sys.stderr, flush=True)

    def done(self):
        seconds = time.monotonic() - self.start
        print(f"  {self.what}: done in {seconds:.1f} s", file=sys.stderr, flush=True)


def archive_of(version):
    archive = Path(f"/usr/src/linux-source-{version}.tar.xz")
    if not archive.exists():
        raise Failure(f"{archive} is missing: it comes with the Debian package "
                      f"linux-source-{version}")
    return archive


def feed(archive, pipe, progress):
    """Push the archive into @pipe; tar may stop reading once it has everything."""
    total = archive.stat().st_size
    done = 0
    with archive.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            try:
                pipe.write(chunk)
            except BrokenPipeError:
                return
            done += len(chunk)
            progress.percent(100 * done // total)


def extract(archive, version, target):
    """Unpack the needed part of @archive as @target, which appears only when complete."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    prefix = f"linux-source-{version}/"
    command = ["tar", "-xJ", "--strip-components=1", "-C", str(partial)]
    command += [prefix + path for path in NEEDED[version]]
    progress = Progress(f"unpacking the KVM selftests from {archive.name}")
    tar = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    feed(archive, tar.stdin, progress)
    _, errors = tar.communicate()
    if tar.returncode != 0:
        raise Failure(f"tar failed on {archive}:\n{errors.decode(errors='replace')}")
    progress.done()
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def run_logged(what, command, log, **kwargs):
    """Run a build step; its output goes to @log and is shown only when it fails."""
    progress = Progress(what)
    print(f"  {what} ...", file=sys.stderr, flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, check=False, **kwargs)
    if result.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise Failure(f"{what} failed (all of it in {log}):\n{tail}")
    progress.done()


def clean_environment():
    """An outer make must not hand its flags and variables to the kernel's."""
    drop = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MODE", "ARCH", "CC", "CFLAGS", "OUTPUT")
    return {name: value for name, value in os.environ.items() if name not in drop}


def source_tree(version):
    """The unpacked tree with its headers installed; made on the first call."""
    archive = archive_of(version)
    tree = CACHE / f"linux-{version}"
    stamp = tree / ".ready"
    status = archive.stat()
    identity = f"{status.st_size} {status.st_mtime_ns} {' '.join(NEEDED[version])}\n"
    if stamp.exists() and stamp.read_text() == identity:
        return tree
    extract(archive, version, tree)
    run_logged("installing the kernel's user headers",
               ["make", f"-j{os.cpu_count()}", "ARCH=x86", "headers"],
               CACHE / f"linux-{version}-headers.log", cwd=tree, env=clean_environment())
    stamp.write_text(identity)
    return tree


def all_tests(kvm_dir):
    """What the selftests' Makefile itself would build for x86-64."""
    database = subprocess.run(["make", "-pnq", "ARCH=x86"], cwd=kvm_dir, capture_output=True,
                              text=True, check=False, env=clean_environment()).stdout
    tests = []
    for name in ("TEST_GEN_PROGS_x86_64", "TEST_GEN_PROGS_EXTENDED_x86_64"):
        match = re.search(rf"^{name} :?= (.+)$", database, re.MULTILINE)
        if not match:
            raise Failure(f"no {name} in {kvm_dir}/Makefile")
        tests += match.group(1).split()
    return tests


def up_to_date(tree, out, tests):
    stamp_time = (tree / ".ready").stat().st_mtime
    return all((out / test).exists() and (out / test).stat().st_mtime >= stamp_time
               for test in tests)


def build(version, out, tests, everything):
    tree = source_tree(version)
    kvm_dir = tree / "tools/testing/selftests/kvm"
    if everything:
        tests = all_tests(kvm_dir)
    if up_to_date(tree, out, tests):
        return
    out.mkdir(parents=True, exist_ok=True)
    keep_going = ["-k"] if everything else []
    run_logged(f"building {len(tests)} KVM selftest(s) of Linux {version}",
               ["make", f"-j{os.cpu_count()}", *keep_going, "ARCH=x86", f"OUTPUT={out}",
                *[str(out / test) for test in tests]],
               out / "build.log", cwd=kvm_dir,
               env={**clean_environment(), "EXTRA_CFLAGS": EXTRA_CFLAGS[version]})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", default="6.12", choices=sorted(NEEDED))
    parser.add_argument("--out", type=Path, help="default: build/selftests-VERSION")
    parser.add_argument("--all", action="store_true", help="every test of the x86-64 list")
    parser.add_argument("tests", nargs="*", default=DEFAULT_TESTS)
    args = parser.parse_args()
    out = (args.out or ROOT / "build" / f"selftests-{args.version}").resolve()
    try:
        build(args.version, out, args.tests, args.all)
    except Failure as failure:
        print(f"selftests: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
