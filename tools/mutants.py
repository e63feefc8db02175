#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Switch every mutant of base/mutant.h on, one after the other, and see who notices.

    mutants.py [--only REGEX] [--jobs N] [--write]
    mutants.py --build | --test NAME

Who caught each of them the last time stands in docs/mutants.md and is asked
first; then every scenario of the explorer and every unit test, until one
notices.  A line for each as it comes: mutant, caught by, schedules, seconds.
Exit status 1 when one lives, when another has caught it than the document says
(--write puts that into it), or when a test fails without any.

The other two are for run_tests.py: build what is needed, or hold one mutant
against who is said to catch it.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

import mutant_list
import sources

ROOT = sources.ROOT
BUILD = ROOT / "build-mutants"
EXPLORER = BUILD / "explore/kvmu-explore"
# Schedules of one scenario: for who is said to catch it, for anyone, and without a mutant.
KNOWN, ANYONE, SOUND = (30000, 3000), (4000, 300), (500, 50)
EXPLORER_TIMEOUT = 100  # seconds; it finds by itself what never ends
TEST_TIMEOUT = 20  # for what takes one: a mutant may hang it, and is caught then too
# A minute of compiling for seconds of running: no more optimisation than that is worth.
SETUP = ["meson", "setup", "--buildtype=debugoptimized", "-Doptimization=1",
         "-Ddebug_checks=true", "-Dmutants=true", str(BUILD)]
NO_MUTANT = "NONE"


class Failure(Exception):
    """What the user has to know."""


@dataclass
class Result:
    """Who has caught a mutant, if anybody, and what it took."""
    name: str
    caught_by: str
    schedules: int
    seconds: float


# ---- building ------------------------------------------------------------------------------


def run_quietly(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command[:3])} failed:\n{done.stdout[-3000:]}{done.stderr}")
    return done.stdout


def build(catchers):
    """The explorer and these unit tests: no more of the tree than is needed."""
    if not (BUILD / "build.ninja").exists():
        run_quietly(SETUP)
    tests = [f"tests/{mutant_list.unit_test_path(name)}" for name in sorted(catchers)
             if not mutant_list.is_scenario(name)]
    ninja = ["ninja", "-C", str(BUILD), "explore/kvmu-explore", *tests]
    try:
        output = run_quietly(ninja)
    except Failure:
        # Configured before cmocka was there?  Then it knows no unit tests.
        run_quietly(["meson", "setup", "--reconfigure", str(BUILD)])
        output = run_quietly(ninja)
    for line in output.splitlines():
        if ": warning:" in line:
            print(line)


# ---- one mutant ----------------------------------------------------------------------------


def explore(mutant, scenario, schedules):
    """(caught, schedules)"""
    most, random = schedules
    try:
        done = subprocess.run(
            [str(EXPLORER), "--mutant", mutant, "--max", str(most), "--random", str(random),
             "--quiet", str(mutant_list.SCENARIO_DIRECTORY / scenario)],
            capture_output=True, text=True, errors="replace", timeout=EXPLORER_TIMEOUT,
            check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{scenario} takes more than {EXPLORER_TIMEOUT} s") from None
    if done.returncode not in (0, 1):  # not a verdict: bad usage, or the explorer itself died
        raise Failure(f"{mutant}, {scenario}: exit status {done.returncode}: {done.stderr}")
    count = re.search(r"(\d+) schedules, \d+ failed", done.stdout)
    caught = done.returncode != 0
    # The one that fails is not counted there.
    return caught, (int(count.group(1)) if count else 0) + caught


def unit_test_fails(test, mutant):
    env = dict(os.environ, KVMU_MUTANT=mutant, KVMU_TEST_SCALE="2", KVMU_TEST_SEED="1")
    try:
        done = subprocess.run([str(BUILD / "tests" / mutant_list.unit_test_path(test))],
                              capture_output=True, env=env,
                              timeout=TEST_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def hunt(mutant, catchers, schedules):
    """Ask @catchers, one after the other, until one notices."""
    start = time.monotonic()
    total = 0
    for catcher in catchers:
        if mutant_list.is_scenario(catcher):
            caught, count = explore(mutant, catcher, schedules)
            total += count
        else:
            caught = unit_test_fails(catcher, mutant)
        if caught:
            return Result(mutant, catcher, total, time.monotonic() - start)
    return Result(mutant, None, total, time.monotonic() - start)


def everyone():
    scenarios = sorted(path.name for path in mutant_list.SCENARIO_DIRECTORY.glob("*.scn"))
    return scenarios + [test.split("/")[1] for test in mutant_list.UNIT_TESTS]


def hunt_known_first(name, known):
    if name in known:
        result = hunt(name, [known[name]], KNOWN)
        if result.caught_by:
            return result
    return hunt(name, everyone(), ANYONE)


# ---- all of them ---------------------------------------------------------------------------


def print_result(result):
    print(f"{result.name:26} {result.caught_by or 'LIVES':34} {result.schedules or '-':>9}"
          f" {result.seconds:7.1f}", flush=True)


def hunt_all(names, known, jobs):
    print(f"{'mutant':26} {'caught by':34} {'schedules':>9} {'seconds':>7}", flush=True)
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        hunts = [pool.submit(hunt_known_first, name, known) for name in names]
        for done in concurrent.futures.as_completed(hunts):
            print_result(done.result())
            results.append(done.result())
    return results


def write_document(results):
    """Who has caught what, into the last column."""
    text = mutant_list.DOCUMENT.read_text()
    for result in results:
        if result.caught_by:
            text = re.sub(rf"(?m)^(\| `{result.name}` \|(?:[^|\n]*\|){{3}})[^|\n]*\|$",
                          rf"\1 `{result.caught_by}` |", text)
    mutant_list.DOCUMENT.write_text(text)


def judge(results, known):
    """Say what is not as it should be; the exit status."""
    living = [result.name for result in results if not result.caught_by]
    others = [f"{result.name} ({result.caught_by}, not {known.get(result.name, 'anybody')})"
              for result in results
              if result.caught_by and result.caught_by != known.get(result.name)]
    print(f"{len(results) - len(living)} of {len(results)} mutants caught")
    if living:
        print(f"these live: {', '.join(living)}")
    if others:
        print(f"docs/mutants.md says otherwise, --write corrects it: {', '.join(others)}")
    return 1 if living or others else 0


def survey(args, known):
    print(f"building {BUILD.name}", flush=True)
    build(everyone() if args.write else set(known.values()))
    print("without a mutant nobody may fail", flush=True)
    sound = hunt(NO_MUTANT, sorted(set(known.values())), SOUND)
    if sound.caught_by:
        raise Failure(f"{sound.caught_by} fails without any mutant")
    names = [name for name in mutant_list.declared() if re.search(args.only, name)]
    if set(names) - set(known):
        build(everyone())
    results = hunt_all(names, known, args.jobs)
    if args.write:
        write_document(results)
        known = {row.name: row.caught_by for row in mutant_list.documented()}
    return judge(results, known)


def test_one(name, known):
    """As the document has it, or not.  Without a mutant nobody may notice anything."""
    if name == NO_MUTANT:
        result = hunt(name, sorted(set(known.values())), SOUND)
    else:
        result = hunt(name, [known[name]], KNOWN)
    print_result(result)
    return 0 if bool(result.caught_by) == (name != NO_MUTANT) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="mutants whose name matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="put the catchers into the document")
    parser.add_argument("--build", action="store_true", help="no more than build")
    parser.add_argument("--test", metavar="NAME", help="one, against who is said to catch it")
    args = parser.parse_args()
    known = {row.name: row.caught_by for row in mutant_list.documented()
             if mutant_list.is_catcher(row.caught_by)}
    try:
        if args.build:
            build(set(known.values()))
            return 0
        return test_one(args.test, known) if args.test else survey(args, known)
    except Failure as failure:
        print(f"mutants: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
