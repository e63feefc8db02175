#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run a bare-metal image under QEMU and judge it.

    run_image.py --package DEBIAN-PACKAGE [--params-at ADDRESS] [--pass-status N] [--timeout S]
                 [--seed N] IMAGE -- qemu-system-ARCH ARGUMENT ...

The image is added as `-kernel IMAGE`.  It passes when its last line says so and
QEMU ends with the status that goes with it, in time.  KVMU_TEST_SEED and
KVMU_TEST_SCALE (percent) reach the image at --params-at (tests/hw/common/image.h).
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PARAMS_MAGIC = 0x6B766D7568775031
PR_SET_THP_DISABLE = 41
# A failing image may print without end.
SHOWN_BYTES = 20000


def sparse_memory():
    """The images touch pages far apart: with huge pages the guest's memory would all be there."""
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)


def parameters(args):
    """Words that QEMU's generic loader puts into memory at reset."""
    if args.params_at is None:
        return []
    seed = args.seed or os.environ.get("KVMU_TEST_SEED") or str(time.time_ns() % 2**63 or 1)
    words = [PARAMS_MAGIC, int(seed, 0), int(os.environ.get("KVMU_TEST_SCALE", "100"))]
    print(f"KVMU_TEST_SEED={words[1]:#x}", flush=True)
    options = []
    for index, word in enumerate(words):
        options += ["-device", f"loader,addr={args.params_at + 8 * index:#x},data={word:#x},data-len=8"]
    return options


def time_limit(args):
    return args.timeout * max(1, int(os.environ.get("KVMU_TEST_SCALE", "100")) / 100)


def run(args):
    """(console output, exit status or None when the time was over)."""
    command = [*args.command, "-kernel", args.image, *parameters(args)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, preexec_fn=sparse_memory)
    try:
        output, _ = process.communicate(timeout=time_limit(args))
        return output, process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return output, None


def verdict(args, output, status):
    """None when all is well, otherwise what is wrong."""
    last = (output.strip().splitlines() or [b""])[-1].strip()
    if status is None:
        return f"no end after {time_limit(args):.0f} s"
    if last != b"VERDICT: pass":
        return f"the last line is not a pass (QEMU ended with {status})"
    if status != args.pass_status:
        return f"QEMU ended with {status}, not {args.pass_status}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", required=True, help="Debian package of the emulator")
    parser.add_argument("--params-at", type=lambda text: int(text, 0))
    parser.add_argument("--pass-status", type=int, default=0)
    parser.add_argument("--timeout", type=int, default=60)
    parser.add_argument("--seed")
    parser.add_argument("image")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()

    if not shutil.which(args.command[0]):
        sys.exit(f"{args.command[0]} is missing: install the Debian package {args.package} "
                 "(tools/setup.sh test does)")
    if not Path(args.image).exists():
        sys.exit(f"{args.image} was not built: clang and ld.lld were missing when Meson looked; "
                 "tools/setup.sh test installs them, then `meson setup --reconfigure`")
    start = time.monotonic()
    output, status = run(args)
    problem = verdict(args, output, status)
    sys.stdout.flush()
    sys.stdout.buffer.write(output[-SHOWN_BYTES:])
    print(f"\n{Path(args.image).name}: {time.monotonic() - start:.1f} s: {problem or 'pass'}")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
