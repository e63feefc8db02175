#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The runner itself: what it calls passed, failed and skipped, and its last line."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import demand_paging  # noqa: E402
from testrun import FAILED, PASSED, SKIPPED, Runner, Test  # noqa: E402


def run(*tests):
    """(exit code, the output's lines, outcome by name)"""
    with tempfile.TemporaryDirectory() as logs:
        runner = Runner(logs, 2)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            runner.run_all(list(tests))
            code = runner.summary()
        outcomes = {result.test.name: result.outcome for result in runner.results}
        return code, output.getvalue().splitlines(), outcomes


def shell(name, script, **kwargs):
    return Test(name, ["sh", "-c", script], **kwargs)


class Outcomes(unittest.TestCase):
    def test_all_passed(self):
        code, lines, _ = run(shell("a", "true"), shell("b", "exit 0"))
        self.assertEqual((code, lines[-1]), (0, "2 passed, 0 failed"))

    def test_failure_is_counted_and_its_output_shown(self):
        code, lines, _ = run(shell("a", "true"), shell("b", "echo because; exit 3"))
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertTrue(any("because" in line for line in lines))

    def test_skips_are_named_with_their_reason(self):
        code, lines, outcomes = run(shell("a", "true"), shell("b", "echo no such device; exit 77"),
                                    shell("c", "false", skip="forbidden"),
                                    shell("d", "false", skip="forbidden"))
        self.assertEqual((code, lines[-1]), (0, "1 passed, 0 failed, 3 skipped"))
        self.assertIn("  no such device: b", lines)
        self.assertTrue({"  forbidden: c, d", "  forbidden: d, c"} & set(lines))
        self.assertEqual(outcomes, {"a": PASSED, "b": SKIPPED, "c": SKIPPED, "d": SKIPPED})

    def test_a_verdict_replaces_all_rules(self):
        def verdict(code, output):
            return (SKIPPED, output.strip()) if code == 4 else (FAILED, "verdict")
        _, lines, outcomes = run(shell("a", "echo why; exit 4", verdict=verdict),
                                 shell("b", "true", verdict=verdict))
        self.assertEqual(outcomes, {"a": SKIPPED, "b": FAILED})
        self.assertIn("  why: a", lines)

    def test_signal_timeout_and_missing_program_are_failures(self):
        code, lines, outcomes = run(shell("a", "kill -SEGV $$"),
                                    shell("b", "sleep 60", timeout=0.2),
                                    Test("c", ["/nonexistent/program"]))
        self.assertEqual((code, lines[-1]), (1, "0 passed, 3 failed"))
        self.assertEqual(set(outcomes.values()), {FAILED})

    def test_nothing_run_is_not_a_success(self):
        self.assertEqual(run()[0], 1)

    def test_the_judge_can_fail_a_program_that_exits_0(self):
        code, _, _ = run(shell("a", "echo slow", judge=lambda text: ("fast" in text, "too slow")))
        self.assertEqual(code, 1)


class DemandPaging(unittest.TestCase):
    FLOORS = {"anonymous": 1.4, "shmem": 3.0}

    def inspect(self, seconds, variant, disturbed=2.0):
        """The best of the runs takes @seconds, the others are slower."""
        times = [disturbed * seconds] * (demand_paging.RUNS - 1) + [seconds]
        return demand_paging.judge(variant, self.FLOORS)(
            "".join(f"Total guest execution time:\t{time}s\n" for time in times))

    def test_figure_is_time_by_pages_of_all_vcpus(self):
        default, two_vcpus = demand_paging.VARIANTS[:2]
        text = "Total guest execution time:\t0.262144000s\n"
        self.assertAlmostEqual(demand_paging.microseconds_per_page(text, default)[0], 1.0)
        self.assertAlmostEqual(demand_paging.microseconds_per_page(text, two_vcpus)[0], 8.0)

    def test_limit_is_enforced(self):
        default = demand_paging.VARIANTS[0]
        limit = demand_paging.limit_us(default, self.FLOORS)
        self.assertAlmostEqual(limit, 5.0)
        self.assertTrue(self.inspect(0.99 * limit * default.pages / 1e6, default)[0])
        self.assertFalse(self.inspect(1.01 * limit * default.pages / 1e6, default)[0])

    def test_limit_follows_a_dearer_host_fault(self):
        self.assertAlmostEqual(demand_paging.limit_us(demand_paging.VARIANTS[2], self.FLOORS), 7.5)

    def test_a_run_missing_is_a_failure(self):
        text = "Total guest execution time:\t0.1s\n" * (demand_paging.RUNS - 1)
        self.assertFalse(demand_paging.judge(demand_paging.VARIANTS[0], self.FLOORS)(text)[0])

    def test_no_time_printed_is_a_failure(self):
        self.assertFalse(demand_paging.judge(demand_paging.VARIANTS[0], self.FLOORS)("")[0])


if __name__ == "__main__":
    unittest.main()
