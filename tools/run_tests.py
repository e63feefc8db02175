#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Everything that must pass, with one line per test and a last line that counts.

    run_tests.py [--long] [--only REGEX] [--modes release,asan,...] [--jobs N]

Stages: static checks; then for each build mode its build, its unit tests and
the client programs under `kvmu run`; in release also the kernel's own
KVM selftests; then the fuzz targets.  Logs: build/test-logs/.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

import demand_paging
import fuzz
import mutant_list
import mutants
import selftest_list
import selftest_report
import selftest_table
import sources
from testrun import Runner, Test

ROOT = sources.ROOT
TOOLS = ROOT / "tools"
BUILD = ROOT / "build"
DEMAND_PAGING_VERSION = "6.12"  # whose figures are held against the budget
MODES = ("release", "debug", "asan", "tsan", "permuted")
MUTANTS = "mutants"  # one more build, whose tests are the mutants
FUZZ = "fuzz"  # also a stage: the fuzz targets, each for some seconds
STATIC_CHECKS = ("layers", "headers", "sizes", "words", "format", "selftests", "mutants")
BUILD_TIMEOUT = 900
# A sanitizer or a debug build is slower; a unit test's own limit is multiplied by this.
SLOWNESS = {"release": 1, "debug": 3, "asan": 4, "tsan": 10, "permuted": 3}
# The random and exhaustive tests are the same in every mode, and full in release; in the slow
# ones a share of their cases (percent) is enough, since only another way of looking is new.
TEST_SCALE = {"debug": 25, "asan": 25, "tsan": 3, "permuted": 15}
SSE_ROUNDS = {"tsan": 30, "asan": 100}
# One thread and much work: the thread sanitizer can see nothing there, and takes minutes to.
ONE_THREADED = re.compile(r"pgtable_(exhaustive|model|failure)|vcpu[-_](diff|sse|x87|core_walk)")
# A report of a sanitizer must fail the test, whatever the program then does.
SANITIZER_ENV = {
    "asan": {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:abort_on_error=0:handle_segv=1",
             "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99"},
    # die_after_fork: the writer of a trace is a thread, also in a child of fork.
    "tsan": {"TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1:die_after_fork=0:"
                             f"suppressions={TOOLS}/tsan.supp"},
}


def build_directory(mode):
    return BUILD if mode == "release" else ROOT / f"build-{mode}"


def clean_make_environment():
    """A make above us must not hand down its job server and variables."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MODE"):
        os.environ.pop(name, None)


def no_warnings(output):
    warnings = [line for line in output.splitlines() if ": warning:" in line]
    return not warnings, warnings[0] if warnings else ""


# ---- what there is to run ---------------------------------------------------------------


def static_tests():
    checks = [Test(f"static: {name}", [sys.executable, str(TOOLS / f"check_{name}.py")])
              for name in STATIC_CHECKS]
    checks.append(Test("static: the checks find what they look for",
                       [sys.executable, str(ROOT / "tests/tools/checks_test.py")]))
    checks.append(Test("static: results of selftests are read and compared",
                       [sys.executable, str(ROOT / "tests/tools/selftests_test.py")]))
    checks.append(Test("static: the runner counts and stops",
                       [sys.executable, str(ROOT / "tests/tools/testrun_test.py")]))
    return checks


def build_test(mode):
    return Test(f"{mode}: build", ["make", "--no-print-directory", "-C", str(ROOT), "build",
                                   f"MODE={mode}", "PURPOSE=test"],
                timeout=BUILD_TIMEOUT, judge=no_warnings)


def tests_of_what_is_shipped():
    for name in ("freestanding", "sites"):
        yield Test(f"static: {name}",
                   [sys.executable, str(TOOLS / f"check_{name}.py"), str(BUILD)])
    yield Test("static: no mutant is shipped",
               [sys.executable, str(ROOT / "tests/tools/no_mutants_test.py"), str(BUILD)])


def read_introspection(mode, what):
    return json.loads((build_directory(mode) / f"meson-info/intro-{what}.json").read_text())


def configured_too_early(mode):
    """Before cmocka was installed, or clang and lld for the images: Meson must look again."""
    if not (build_directory(mode) / "build.ninja").exists():
        return False
    if not any(entry["name"] == "cmocka" for entry in read_introspection(mode, "dependencies")):
        return True
    return any(entry["name"].startswith("hw_") and not entry["build_by_default"]
               for entry in read_introspection(mode, "targets"))


def reconfigure_test(mode):
    return Test(f"{mode}: configure again", ["meson", "setup", "--reconfigure",
                                             str(build_directory(mode))], cwd=ROOT)


def test_amount(mode, long):
    """How much the random tests do, in the words that they understand."""
    if long:
        return {"KVMU_TEST_SCALE": "1000", "KVMU_TEST_ROUNDS": "2000"} if mode == "release" else {}
    env = {}
    if mode in TEST_SCALE:
        env["KVMU_TEST_SCALE"] = str(TEST_SCALE[mode])
    if mode in SSE_ROUNDS:
        env["KVMU_TEST_ROUNDS"] = str(SSE_ROUNDS[mode])
    return env


def unit_tests(mode, long):
    for entry in read_introspection(mode, "tests"):
        env = dict(entry["env"] or {})
        env.update(SANITIZER_ENV.get(mode, {}))
        env.update(test_amount(mode, long))
        yield Test(f"{mode}: unit: {entry['name']}", entry["cmd"],
                   timeout=(entry["timeout"] or 60) * SLOWNESS[mode] * (20 if long else 1),
                   skip=("one thread only" if mode == "tsan" and ONE_THREADED.match(entry["name"])
                         else None),
                   env=env, cwd=entry["workdir"] or build_directory(mode),
                   alone=not entry["is_parallel"])


def long_tests():
    """What only `make test-long` runs: more of what the unit tests do a little of."""
    yield Test("release: long: vcpu_diff, 20 million cases",
               [str(BUILD / "tests/vcpu/diff/vcpu_diff"), "--cases", "20000000"], timeout=1800)
    for seed in range(1, 11):
        yield Test(f"release: long: kvm_random_calls, seed {seed}",
                   [str(BUILD / "kvmu"), "run", "--",
                    str(BUILD / "tests/kvm/kvm_random_calls_test"), str(seed), "200000"],
                   timeout=600)


def client_programs(mode):
    """Executables of tests/clients/ and examples/, as Meson knows them."""
    for target in read_introspection(mode, "targets"):
        defined = Path(target["defined_in"]).parent.relative_to(ROOT).as_posix()
        if target["type"] == "executable" and defined in ("tests/clients", "examples"):
            yield target["name"], Path(target["filename"][0])


# Arguments in the short run of every mode and in `make test-long`.
CLIENT_ARGUMENTS = {"demand_paging_walk": (["16"], ["1024"]),
                    "hostile_guest": ([], ["20000"]), "storm": ([], ["60"])}


def client_tests(mode, long):
    kvmu = build_directory(mode) / "kvmu"
    for name, executable in sorted(client_programs(mode)):
        short_arguments, long_arguments = CLIENT_ARGUMENTS.get(name, ([], []))
        arguments = long_arguments if long and mode == "release" else short_arguments
        yield Test(f"{mode}: client: {name}",
                   [str(kvmu), "run", "--", str(executable), *arguments],
                   timeout=60 * SLOWNESS[mode] * (20 if long else 1),
                   env=SANITIZER_ENV.get(mode, {}))


def fetch_test(version):
    return Test(f"release: kernel selftests {version}: unpack and build",
                [sys.executable, str(TOOLS / "selftests.py"), "--version", version, "--all"],
                timeout=600)


GUEST_TEST = ROOT / "tests/guests/linux_test.py"
# What Linux as a guest does in the short run and in `make test-long`, by mode.
GUEST_RUNS = {"release": (["boot off", "life"], ["boot off", "boot split", "boot on", "life"]),
              "debug": ([], ["boot on", "life"]),
              "asan": ([], ["boot on"])}


def guest_fetch_test(mode):
    return Test(f"{mode}: guest: fetch Linux", [sys.executable, str(TOOLS / "guest_linux.py")],
                timeout=600)


def guest_tests(mode, long):
    for run in GUEST_RUNS.get(mode, ([], []))[long]:
        yield Test(f"{mode}: guest: Linux, {run}",
                   [sys.executable, str(GUEST_TEST), str(build_directory(mode) / "kvmu"), *run.split()],
                   timeout=240 * SLOWNESS[mode], env=SANITIZER_ENV.get(mode, {}),
                   judge=lambda output: (True, output.strip().splitlines()[-1]))


def mutant_build_test():
    return Test("mutants: build", [sys.executable, str(TOOLS / "mutants.py"), "--build"],
                timeout=BUILD_TIMEOUT, judge=no_warnings)


def mutant_tests():
    """Each mutant is caught by who docs/mutants.md says it is; without one nobody fails."""
    for name in (mutants.NO_MUTANT, *mutant_list.declared()):
        yield Test(f"mutant-{name}", [sys.executable, str(TOOLS / "mutants.py"), "--test", name])


def demand_paging_tests(version, floors):
    executable = BUILD / f"selftests-{version}/demand_paging_test"
    for variant in demand_paging.VARIANTS:
        yield Test(f"release: kernel {version}: {variant.name}",
                   demand_paging.command(BUILD, executable, variant, demand_paging.RUNS),
                   timeout=300, alone=True, skip=demand_paging.refusal(variant, floors),
                   judge=demand_paging.judge(variant, floors))


# ---- the stages --------------------------------------------------------------------------


def fuzz_build_test():
    return Test("fuzz: build", ["make", "--no-print-directory", "-C", str(ROOT), "fuzz-build"],
                timeout=BUILD_TIMEOUT, judge=no_warnings)


def fuzz_tests():
    """Each target over its seeds and what becomes of them in a few seconds."""
    for target in sorted(fuzz.TARGETS):
        yield Test(f"fuzz: {target}", [sys.executable, str(TOOLS / "fuzz.py"), "--smoke", target],
                   judge=lambda output: (True, output.strip().splitlines()[-1]))
    yield Test("fuzz: parts are joined, findings are told",
               [sys.executable, str(ROOT / "tests/tools/fuzz_test.py"), str(ROOT / "build-fuzz")])


def failing_page_test():
    """The explorer's page where there is something to show, in a browser."""
    return Test("mutants: a failing schedule as a page",
                [sys.executable, str(ROOT / "tests/explore/page_test.py"), str(mutants.EXPLORER),
                 str(ROOT / "explore/scenarios/unmap_meets_use.scn"), "bad", "--mutant",
                 "SKIP_FLUSH"])


class Session:
    """One call of the runner: which tests are wanted, and their results."""

    def __init__(self, args):
        self.args = args
        self.pattern = re.compile(args.only)
        self.runner = Runner(BUILD / "test-logs", args.jobs)

    def wanted(self, tests):
        return [test for test in tests if self.pattern.search(test.name)]

    def run(self, tests):
        self.runner.run_all(self.wanted(tests))

    def build(self, mode):
        """The build of @mode always runs: everything behind it needs it."""
        if configured_too_early(mode) and not self.runner.run_one(reconfigure_test(mode)):
            return False
        return self.runner.run_one(build_test(mode))

    def run_mode(self, mode):
        if not self.build(mode):
            return
        if mode == "release":
            self.run(list(tests_of_what_is_shipped()))
        self.run(list(unit_tests(mode, self.args.long)))
        self.run(list(client_tests(mode, self.args.long)))
        self.run_guests(mode)
        if mode == "release":
            if self.args.long:
                self.run(list(long_tests()))
            for version in selftest_list.VERSIONS:
                self.run_kernel_selftests(version)

    def run_guests(self, mode):
        tests = self.wanted(guest_tests(mode, self.args.long))
        if tests and self.runner.run_one(guest_fetch_test(mode)):
            self.runner.run_all(tests)

    def run_mutants(self):
        tests = self.wanted([*mutant_tests(), failing_page_test()])
        if tests and self.runner.run_one(mutant_build_test()):
            self.runner.run_all(tests)

    def run_kernel_selftests(self, version):
        if not self.may_match(f"release: kernel {version}: "):
            return
        if not self.runner.run_one(fetch_test(version)):
            return
        self.run(list(selftest_table.tests(version, self.args.long, selftest_report.read_table(), {})))
        if version == DEMAND_PAGING_VERSION:
            floors = demand_paging.host_floors(BUILD / "bench/host_floor")
            self.run(list(demand_paging_tests(version, floors)))

    def run_fuzzers(self):
        if self.wanted([fuzz_build_test(), *fuzz_tests()]) and self.runner.run_one(fuzz_build_test()):
            self.run(list(fuzz_tests()))

    def may_match(self, start):
        """Could --only choose a test whose name begins so?  Saves a build that no test needs."""
        return not self.args.only or start in self.args.only or "kernel" in self.args.only


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="longer random and stress runs")
    parser.add_argument("--only", default="", metavar="REGEX", help="tests whose name matches")
    parser.add_argument("--modes", default=",".join((*MODES, MUTANTS, FUZZ)),
                        help="build modes, with commas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    args = parse_arguments()
    clean_make_environment()
    session = Session(args)
    start = time.monotonic()
    session.run(static_tests())
    if args.only != "static":
        for mode in args.modes.split(","):
            if mode == MUTANTS:
                session.run_mutants()
            elif mode == FUZZ:
                session.run_fuzzers()
            else:
                session.run_mode(mode)
    print(f"\n{time.monotonic() - start:.0f} s in all; logs in {session.runner.logs}")
    return session.runner.summary()


if __name__ == "__main__":
    sys.exit(main())
