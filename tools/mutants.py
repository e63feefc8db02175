#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Switch every mutant of base/mutant.h on, one after the other, and see who notices.

    mutants.py [--only REGEX] [--jobs N]

First the explorer over its scenarios, then the unit tests; the first that fails
has caught it.  Prints a table: mutant, caught by, schedules, seconds.  Exit
status 1 when one lives, or when a test fails without any.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

import sources

ROOT = sources.ROOT
BUILD = ROOT / "build-mutants"
EXPLORER = BUILD / "explore/kvmu-explore"
# The explorer is asked for these first: between them they catch most.
FIRST = ["close_meets_delete", "close_meets_fault", "ageing_meets_use", "conversions_cross",
         "two_slots_one_memory", "harvest_meets_writes", "harvest_meets_first_fault"]
SCENARIOS = sorted((ROOT / "explore/scenarios").glob("*.scn"),
                   key=lambda path: (path.stem not in FIRST, path.stem))
# In the order of their speed.
UNIT_TESTS = ["mmu/mmu_race_test", "mmu/mmu_age_test", "mmu/mmu_page_fault_test",
              "mmu/mmu_private_fault_test", "mmu/mmu_attributes_test", "mmu/mmu_gmem_test",
              "mmu/mmu_zap_test", "mmu/mmu_invalidate_test",
              "pgtable/pgtable_transition_test", "pgtable/pgtable_transition_bbm_test",
              "pgtable/pgtable_visitor_test", "pgtable/pgtable_api_test",
              "pgtable/pgtable_model_test", "pgtable/pgtable_concurrency_test"]
MAX_SCHEDULES = 4000
MAX_RANDOM = 300
TIMEOUT = 120
SETUP = ["meson", "setup", "--buildtype=debugoptimized", "-Ddebug_checks=true",
         "-Dmutants=true", str(BUILD)]


class Failure(Exception):
    """What the user has to know."""


def build():
    if not (BUILD / "build.ninja").exists():
        run_quietly(SETUP)
    run_quietly(["ninja", "-C", str(BUILD), "explore/kvmu-explore",
                 *(f"tests/{test}" for test in unit_tests_there())])


def run_quietly(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command[:3])} failed:\n{done.stdout[-3000:]}{done.stderr}")


def unit_tests_there():
    """Those of the list that this build knows."""
    known = subprocess.run(["ninja", "-C", str(BUILD), "-t", "targets", "all"],
                           capture_output=True, text=True, check=True).stdout
    return [test for test in UNIT_TESTS if f"tests/{test}:" in known]


def mutants():
    listed = subprocess.run([str(EXPLORER), "--list-mutants"], capture_output=True, text=True,
                            check=True).stdout
    return [tuple(line.split("\t")) for line in listed.splitlines()]


def explore(mutant, scenario):
    """(caught, schedules)"""
    try:
        done = subprocess.run(
            [str(EXPLORER), "--mutant", mutant, "--max", str(MAX_SCHEDULES), "--random",
             str(MAX_RANDOM), "--quiet", str(scenario)],
            capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return True, 0
    count = re.search(r"(\d+) schedules, \d+ failed", done.stdout)
    return done.returncode != 0, int(count.group(1)) if count else 0


def unit_test_fails(test, mutant):
    env = dict(os.environ, KVMU_MUTANT=mutant, KVMU_TEST_SCALE="2", KVMU_TEST_SEED="1")
    try:
        done = subprocess.run([str(BUILD / "tests" / test)], capture_output=True, env=env,
                              timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def hunt(mutant, tests):
    """(name of what caught it or None, schedules, seconds)"""
    start = time.monotonic()
    schedules = 0
    for scenario in SCENARIOS:
        caught, count = explore(mutant, scenario)
        schedules += count
        if caught:
            return scenario.stem, schedules, time.monotonic() - start
    for test in tests:
        if unit_test_fails(test, mutant):
            return test.split("/")[1], schedules, time.monotonic() - start
    return None, schedules, time.monotonic() - start


def print_table(results):
    print(f"{'mutant':26} {'caught by':30} {'schedules':>9} {'seconds':>7}")
    for name, (caught, schedules, seconds) in results:
        print(f"{name:26} {caught or 'LIVES':30} {schedules:9} {seconds:7.1f}")


def hunt_all(names, tests, jobs):
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, result in zip(names, pool.map(lambda name: hunt(name, tests), names)):
            results.append((name, result))
            if sys.stderr.isatty():
                print(f"\r{len(results)}/{len(names)} {name:30}", end="", file=sys.stderr)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="mutants whose name matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    try:
        build()
    except Failure as failure:
        print(f"mutants: {failure}", file=sys.stderr)
        return 1
    tests = unit_tests_there()
    sound, _, _ = hunt("NONE", tests)
    if sound:
        print(f"mutants: {sound} fails without any mutant", file=sys.stderr)
        return 1
    names = [name for name, _ in mutants() if re.search(args.only, name)]
    results = hunt_all(names, tests, args.jobs)
    print_table(results)
    living = [name for name, (caught, _, _) in results if not caught]
    print(f"{len(results) - len(living)} of {len(results)} mutants caught"
          + (f"; these live: {', '.join(living)}" if living else ""))
    return 1 if living else 0


if __name__ == "__main__":
    sys.exit(main())
