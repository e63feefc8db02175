#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Debian's own interpreter: it has Debian's yaml.
"""A search in parts is the whole search: by hand, and by each example of examples/campaign.

    campaign_test.py KVMU SOURCE-DIRECTORY
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

KVMU, EXAMPLES = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]) / "examples/campaign"
SCENARIOS = ["unmap_meets_fault", "slot_delete"]
OPTIONS = ["--random", "0"]
PARTS = 3


def run(command, directory, status=0, **env):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=100, check=False, cwd=directory, env={**os.environ, **env})
    assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def explore(directory, *args, status=0):
    return run([KVMU, "explore", *args], directory, status)


def totals(text):
    """Schedules of each scenario, however it is called in the line."""
    found = re.findall(r"(\w+)(?:\.scn)?: nothing found in (\d+) schedules", text)
    return {name: int(count) for name, count in found}


def parts_by_hand(directory):
    for part in range(1, PARTS + 1):
        explore(directory, "-q", *OPTIONS, "--shard", f"{part}/{PARTS}", "--results",
                f"part-{part}", *SCENARIOS)
    return [f"part-{part}" for part in range(1, PARTS + 1)]


def test_parts_are_the_whole(directory, whole):
    parts = parts_by_hand(directory)
    merged = explore(directory, "--merge", *parts)
    assert totals(merged) == whole, (merged, whole)
    assert merged.count("all of the search among them") == len(SCENARIOS)


def test_what_is_not_whole(directory):
    parts = parts_by_hand(directory)
    assert "part 2/3 is missing" in explore(directory, "--merge", parts[0], parts[2], status=2)
    assert "is there twice" in explore(directory, "--merge", *parts, parts[1], status=2)
    other = (directory / parts[1]).read_text().replace("\t2\t0\t", "\t3\t0\t")
    (directory / "other").write_text(other)
    said = explore(directory, "--merge", parts[0], "other", parts[2], status=2)
    assert "parts of different searches" in said
    (directory / "torn").write_text(other[:-20])
    assert "not understood" in explore(directory, "--merge", "torn", status=2)
    (directory / "foreign").write_text("hello\n")
    assert "not a file of --results" in explore(directory, "--merge", "foreign", status=2)
    assert "No such file" in explore(directory, "--merge", "absent", status=2)


def test_a_failure_is_told(directory):
    parts = parts_by_hand(directory)
    text = (directory / parts[1]).read_text()
    lines = text.splitlines(True)
    lines[1] = lines[1].replace("\tall\t", "\tfailed\t").replace("\t-\t-\n", "\t7:1\ta stale page\n")
    (directory / parts[1]).write_text("".join(lines))
    said = explore(directory, "--merge", *parts, status=1)
    assert "a stale page" in said and "--replay 7:1" in said, said


def test_gnu_parallel(directory, whole):
    if not shutil.which("parallel"):
        raise AssertionError("GNU parallel is missing: Debian's package parallel")
    out = run([EXAMPLES / "parallel.sh", PARTS, directory / "results", *SCENARIOS], directory,
              KVMU=KVMU, KVMU_EXPLORE_OPTIONS=" ".join(OPTIONS))
    assert totals(out) == whole, out


def test_slurm(directory, whole):
    """As the tasks of an array see their environment."""
    (directory / "results").mkdir()
    for task in range(1, PARTS + 1):
        run([EXAMPLES / "slurm.sh", "results", *SCENARIOS], directory, KVMU=KVMU,
            KVMU_EXPLORE_OPTIONS=" ".join(OPTIONS), SLURM_ARRAY_TASK_ID=str(task),
            SLURM_ARRAY_TASK_COUNT=str(PARTS))
    parts = sorted(str(path) for path in (directory / "results").iterdir())
    assert totals(explore(directory, "--merge", *parts)) == whole


def test_kubernetes(directory, whole):
    """The container's command with the Job's own values, but for ours of size and place."""
    job = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    env = {item["name"]: item["value"] for item in container["env"]}
    assert job["kind"] == "Job" and spec["completionMode"] == "Indexed"
    assert int(env["PARTS"]) == spec["completions"]
    (directory / "bin").mkdir()
    (directory / "bin/kvmu").symlink_to(KVMU)
    env.update(PARTS=str(PARTS), RESULTS=str(directory), SCENARIOS=" ".join(SCENARIOS),
               OPTIONS=" ".join(OPTIONS), PATH=f"{directory}/bin:{os.environ['PATH']}")
    for index in range(PARTS):
        run([*container["command"], *container["args"]], directory,
            JOB_COMPLETION_INDEX=str(index), **env)
    parts = sorted(str(path) for path in directory.glob("part-*"))
    assert totals(explore(directory, "--merge", *parts)) == whole


def main():
    with tempfile.TemporaryDirectory() as scratch:
        whole = totals(explore(scratch, *OPTIONS, *SCENARIOS))
        assert len(whole) == len(SCENARIOS) and all(whole.values()), whole
        for number, test in enumerate((test_parts_are_the_whole, test_gnu_parallel, test_slurm,
                                       test_kubernetes)):
            directory = Path(scratch) / str(number)
            directory.mkdir()
            test(directory, whole)
        for test in (test_what_is_not_whole, test_a_failure_is_told):
            directory = Path(scratch) / test.__name__
            directory.mkdir()
            test(directory)
    print("campaign: parts are the whole")


main()
