#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the explorer itself promises: schedules repeat, shards add up, errors are told."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

EXPLORER = sys.argv[1]
SCENARIO = """# A page goes while a vCPU faults on it
slot 0 gfn 0 page 0 pages 4
vcpu a: write 1
host: unmap 1
"""
BAD = {
    "vcpu a: jump 1": "unknown: jump",
    "vcpu a: unmap 1": "not for a vCPU: unmap",
    "host: write 1": "only for a vCPU: write",
    "host: unmap 9-3": "not pages in range: 9-3",
    "host: unmap": "pages are missing",
    "slot 0 gfn 0 page 0": "expected: pages",
    "nonsense": "unknown: nonsense",
    "slot 0 gfn 0 page 0 pages 4": "no thread does anything",
}

BAD_ARGUMENTS = [
    ("--replay", "abc"), ("--replay", "1:0"), ("--replay", "1:1,9999:1"), ("--replay", "1:1..."),
    ("--bound", "-1"), ("--bound", "2x"), ("--depth", "0"), ("--depth", "10"), ("--random", ""),
    ("--shard", "0/2"), ("--shard", "1/2x"), ("--replay", "-", "--html", "/nowhere/x.html", "-q"),
    ("--results", "/nowhere/x"), ("--nonsense",),
]


def explore(*args):
    return subprocess.run([EXPLORER, *args], capture_output=True, text=True, timeout=60,
                          check=False)


def write(directory, text):
    path = Path(directory) / "scenario.scn"
    path.write_text(text)
    return str(path)


def schedules(*args):
    done = explore("--random", "0", *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"(\d+) schedules, 0 failed", done.stdout).group(1))


def test_shards_are_the_whole(path):
    whole = schedules(path)
    parts = [schedules("--shard", f"{k}/3", path) for k in (1, 2, 3)]
    # Each part also runs the schedules without an interruption, two of them.
    assert sum(parts) == whole + 2 * 2, (whole, parts)
    assert all(part < whole for part in parts)


def test_replay_repeats(path):
    first = explore("--replay", "20:1,30:1", "--trace", "--all", "-q", path)
    second = explore("--replay", "20:1,30:1", "--trace", "--all", "-q", path)
    assert first.returncode == 0
    assert first.stdout == second.stdout
    other = explore("--replay", "-", "--trace", "--all", "-q", path)
    assert other.stdout != first.stdout


def test_bound_counts(path):
    counts = [schedules("--bound", str(bound), path) for bound in (0, 1, 2)]
    assert counts[0] < counts[1] < counts[2], counts
    assert counts[0] == 2  # who begins


def test_errors(directory):
    for text, message in BAD.items():
        done = explore(write(directory, text + "\n"))
        assert done.returncode == 2 and message in done.stderr, (text, done.stderr)
    assert explore().returncode == 2
    assert explore("--shard", "4/3", "x").returncode == 2
    path = write(directory, SCENARIO)
    for args in BAD_ARGUMENTS:
        done = explore(*args, path)
        assert done.returncode == 2 and done.stderr and not done.stdout, (args, done)
    assert explore(str(Path(directory) / "absent")).returncode == 2
    assert explore("--help").returncode == 0


def test_page(directory, path):
    page = Path(directory) / "run.html"
    assert explore("--replay", "-", "--html", str(page), path).returncode == 0
    text = page.read_text()
    assert "http" not in text and text.count("<tr id=") > 50
    assert "A page goes while a vCPU faults on it" in text


def main():
    with tempfile.TemporaryDirectory() as directory:
        test_errors(directory)
        path = write(directory, SCENARIO)
        test_shards_are_the_whole(path)
        test_replay_repeats(path)
        test_bound_counts(path)
        test_page(directory, path)
    print("explore: all well")


main()
