#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tools/fuzz.py promises: parts are their own and are joined, a finding is told and shown again.

    fuzz_test.py BUILD-DIRECTORY     (of make fuzz-build; it is not written to)
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv[1]).resolve()
FUZZ = ROOT / "tools/fuzz.py"
# Stands in for a target: any input with a capital K is a finding, of the kind that
# a sanitizer would only print.
BREAKS = """
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	volatile int most = 0x7fffffff;

	for (size_t i = 0; i < size; i++)
		if (data[i] == 'K')
			most += data[i];
	return 0;
}
"""


def fuzz(build, *args, status=0):
    done = subprocess.run([sys.executable, str(FUZZ), "--build", str(build), *map(str, args)],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, (args, done.returncode, done.stdout[-2000:], done.stderr)
    return done.stdout + done.stderr


def inputs(directory):
    return {path.name for path in directory.iterdir()}


def test_parts(build):
    """Each part has inputs of its own; joined, what adds nothing is left out."""
    found = []
    for part in ("1/2", "2/2"):
        fuzz(build, "decoder", "--runs", 4000, "--shard", part)
        found.append(inputs(build / f"corpus/decoder-{part.replace('/', 'of')}"))
    assert found[0] and found[1] and found[0] != found[1]
    said = fuzz(build, "decoder", "--merge", build / "corpus/decoder-1of2",
                build / "corpus/decoder-2of2")
    joined = inputs(build / "corpus/decoder")
    assert 0 < len(joined) <= len(found[0] | found[1]) and f"{len(joined)} now" in said


def test_usage(build):
    assert "K <= N" in fuzz(build, "decoder", "--shard", "3/2", status=2)
    assert "no such directory" in fuzz(build, "decoder", "--merge", "absent", status=2)
    assert "make fuzz-guest" in fuzz(build / "nowhere", "guest", status=2)
    fuzz(build, "nothing", status=2)


def test_a_finding(build):
    (build / "breaks.c").write_text(BREAKS)
    subprocess.run(["clang", "-g", "-fsanitize=fuzzer,undefined", "-o", str(build / "fuzz/fuzz_guest"),
                    str(build / "breaks.c")], check=True)
    said = fuzz(build, "guest", "--runs", 1000000, status=1)
    assert "a finding" in said
    (finding,) = (build / "findings/guest").iterdir()
    assert b"K" in finding.read_bytes()
    fuzz(build, "guest", "--reproduce", finding, status=1)
    harmless = build / "harmless"
    harmless.write_bytes(b"abc")
    fuzz(build, "guest", "--reproduce", harmless)
    fuzz(build, "guest", "--minimise", finding)
    assert finding.with_suffix(".small").read_bytes() == b"K"
    assert "does not fail" in fuzz(build, "guest", "--minimise", harmless, status=2)
    assert not harmless.with_suffix(".small").exists()


def main():
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch)
        (build / "fuzz").mkdir()
        (build / "fuzz/fuzz_decoder").symlink_to(BUILD / "fuzz/fuzz_decoder")
        test_usage(build)
        test_parts(build)
        test_a_finding(build)
    print("fuzz: all well")


main()
