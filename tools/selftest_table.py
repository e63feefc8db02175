#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run the kernel's KVM selftests under kvmu, and keep the table of their results.

    selftest_table.py [--write] [--only REGEX] [--version 6.12] [--long] [--jobs 2]

The table in docs/selftests.md says what each run must give; a result that is
worse, or a skip for another reason, fails.  --write puts this run's results
into it, and the summary of them into the README.
"""

import argparse
import re
import signal
import sys
from pathlib import Path

import selftest_list
import selftest_report
import selftests
from selftest_report import Outcome
from testrun import FAILED, PASSED, SKIPPED, Runner, Test

ROOT = selftests.ROOT
BUILD = ROOT / "build"
EXIT_SKIPPED = 4  # KSFT_SKIP of the kernel's kselftest.h

# What a run of the same program may print differently the next time.
UNSTABLE = ((re.compile(r"0x[0-9a-f]{7,}"), "0x..."), (re.compile(r"/\S*/"), ""),
            (re.compile(r"\|"), "/"), (re.compile(r"\s+"), " "))


def stable(text):
    for pattern, replacement in UNSTABLE:
        text = pattern.sub(replacement, text)
    return text.strip()[:160]


# ---- from exit code and output to an outcome ----------------------------------------------


# The suite's own words: "1..0 # SKIP - ..." or "..., skipping test".
SAID_SKIP = re.compile(r"^1\.\.0 # SKIP\s*-?\s*(.+)|^(.+), skipping test$", re.MULTILINE)


def skip_reason(output):
    """None when the program never said that it skips something."""
    reasons = dict.fromkeys(stable(first or second) for first, second in SAID_SKIP.findall(output))
    return "; ".join(reasons) or None


ASSERTION = re.compile(r"==== Test Assertion Failure ====\n\s*(\S+?:\d+): (.*)")

FRAME = re.compile(r"\s+(\d+\s+0x\w+: |pid=|\(stack|\d+\s+\(inlined by\))")


def assertion_reason(output):
    """Where and what, and the message that follows the backtrace."""
    match = ASSERTION.search(output)
    if not match:
        return None
    place, expression = match.groups()
    after = output[match.end():].splitlines()
    frames = [i for i, line in enumerate(after) if FRAME.match(line)]
    said = []
    for line in after[frames[-1] + 1 if frames else 0:]:
        if not line.startswith("  "):
            break  # what the program itself printed and only now left its buffer
        said.append(line.strip())
    return stable(f"{Path(place).name}: {' '.join(said) or expression}")


def last_words(output):
    lines = [line for line in output.splitlines() if line.strip()]
    return stable(lines[-1]) if lines else "no output"


def fail_reason(code, output, timeout):
    if code is None:
        return f"no end within {timeout} s"
    reason = assertion_reason(output)
    if reason:
        return reason
    ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{ended}: {last_words(output)}"


def judge(code, output, timeout):
    if code == 0:
        # Some modes of dirty_log_test are skipped with exit code 0.
        reason = skip_reason(output)
        return Outcome("skip", reason) if reason else Outcome("pass")
    if code == EXIT_SKIPPED:
        return Outcome("skip", skip_reason(output) or last_words(output))
    return Outcome("fail", fail_reason(code, output, timeout))


# ---- running ------------------------------------------------------------------------------


def command(version, row, binaries=None):
    program = (binaries or BUILD / f"selftests-{version}") / row.name
    return [str(BUILD / "kvmu"), "run", "--", str(program), *row.variant.arguments.split()]


RUNNERS_WORD = {"pass": PASSED, "skip": SKIPPED, "fail": FAILED}


def verdict_of(version, row, expected, found):
    """For the runner: notes the outcome in @found, and judges by the table when there is one."""
    def verdict(code, output):
        outcome = judge(code, output, row.variant.timeout)
        found[version, row.title] = outcome
        if expected is None:
            return RUNNERS_WORD[outcome.kind], outcome.reason
        good, remark = selftest_report.compare(expected.get((version, row.title)), outcome)
        if not good:
            return FAILED, remark
        return (PASSED if outcome.kind == "pass" else SKIPPED), remark
    return verdict


def test_of(version, row, expected, found, binaries=None):
    return Test(f"release: kernel {version}: {row.title}", command(version, row, binaries),
                timeout=row.variant.timeout, alone=row.variant.alone,
                skip=selftest_list.refusal(row.variant),
                verdict=verdict_of(version, row, expected, found))


def names_of(version):
    kvm_dir = selftests.source_tree(version) / "tools/testing/selftests/kvm"
    return sorted(selftests.all_tests(kvm_dir))


def tests(version, long, expected, found, binaries=None):
    """
    The runs of @version, which are held against @expected (None: only looked at) and noted in
    @found.  What is known to fail is left out of the short run.
    """
    for row in selftest_list.rows_for(version, names_of(version)):
        before = expected.get((version, row.title)) if expected else None
        if long or not row.variant.long and (before is None or before.kind != "fail"):
            yield test_of(version, row, expected, found, binaries)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="runs whose name matches")
    parser.add_argument("--version", choices=selftest_list.VERSIONS, help="default: both")
    parser.add_argument("--long", action="store_true", help="also the runs that take minutes")
    parser.add_argument("--write", action="store_true", help="write the results into the table")
    parser.add_argument("--plain", type=Path, metavar="FILE", help="write a plain list as well")
    parser.add_argument("--binaries", type=Path, metavar="DIR",
                        help="programs that are built already, in DIR/VERSION")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def plain_list(found):
    lines = [selftest_report.counts_of(found.values())]
    for kind in ("fail", "skip", "pass"):
        lines += ["", f"== {kind}"]
        lines += [f"{version:5} {title}" + (f": {outcome.reason}" if outcome.reason else "")
                  for (version, title), outcome in found.items() if outcome.kind == kind]
    return "\n".join(lines) + "\n"


def main():
    args = parse_arguments()
    found = {}
    expected = None if args.write or args.plain else selftest_report.read_table()
    runner = Runner(BUILD / "test-logs", args.jobs)
    for version in [args.version] if args.version else selftest_list.VERSIONS:
        binaries = args.binaries / version if args.binaries else None
        if not binaries:
            selftests.build(version, BUILD / f"selftests-{version}", [], everything=True)
        runner.run_all([test for test in tests(version, args.long, expected, found, binaries)
                        if re.search(args.only, test.name)])
    if args.plain:
        args.plain.write_text(plain_list(found))
    if args.write:
        kept = {key: outcome for key, outcome in selftest_report.read_table().items()
                if selftest_list.has_run(*key)}
        selftest_report.write_all({**kept, **found})
    code = runner.summary()
    return code if expected else 0


if __name__ == "__main__":
    sys.exit(main())
