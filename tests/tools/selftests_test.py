#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What is read out of a selftest's output, and how a run is held against the table."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import selftest_list
import selftest_report
import selftest_table
from selftest_report import Outcome

ASSERTION = """Random seed: 0x6b8b4567
==== Test Assertion Failure ====
  lib/kvm_util.c:1057: ret == 0
  pid=11542 tid=11542 errno=22 - Invalid argument
     1\t0x0000000000406469: vm_mem_add at kvm_util.c:1057
     2\t (inlined by) vm_userspace_mem_region_add at kvm_util.c:1089
     3\t0x00000000004034fa: run_test at dirty_log_test.c:742
  KVM_SET_USER_MEMORY_REGION2 IOCTL failed,
  rc: -1 errno: 22
guest physical test memory offset: 0xfffcbfffb000
"""


class Outcomes(unittest.TestCase):
    def expect(self, kind, reason, code, output):
        self.assertEqual(selftest_table.judge(code, output, 60), Outcome(kind, reason))

    def test_pass(self):
        self.expect("pass", "", 0, "TAP version 13\nok 1 all\n")

    def test_skip_in_the_suites_words(self):
        self.expect("skip", "Requirement not met: kvm_has_cap(KVM_CAP_X)", 4,
                    "1..0 # SKIP - Requirement not met: kvm_has_cap(KVM_CAP_X)\n")
        self.expect("skip", "Log mode 'clear-log' not supported", 0,
                    "Log mode 'clear-log' not supported, skipping test\n")
        self.expect("skip", "no words of its own", 4, "seed\nno words of its own\n")

    def test_a_part_that_is_skipped_is_no_skip(self):
        self.expect("pass", "", 0, "ok 3 # SKIP no such thing here\nok 4 rest\n")

    def test_assertion(self):
        self.expect("fail", "kvm_util.c:1057: KVM_SET_USER_MEMORY_REGION2 IOCTL failed, "
                            "rc: -1 errno: 22", 254, ASSERTION)

    def test_other_ends(self):
        self.expect("fail", "no end within 60 s", None, "")
        self.expect("fail", "ended by SIGSEGV: last", -11, "first\nlast\n")
        self.expect("fail", "exit code 3: no output", 3, "")

    def test_what_differs_from_run_to_run_is_masked(self):
        self.expect("skip", "cannot open kvm at 0x... a/b", 4,
                    "1..0 # SKIP - cannot open /dev/kvm at 0x7fffdeadbeef a|b\n")


class Comparison(unittest.TestCase):
    def good(self, expected, actual):
        return selftest_report.compare(Outcome.parse(expected), Outcome.parse(actual))[0]

    def test_ranks(self):
        self.assertTrue(self.good("pass", "pass"))
        self.assertTrue(self.good("skip: a", "skip: a"))
        self.assertTrue(self.good("skip: a", "pass"))
        self.assertTrue(self.good("fail: a", "fail: b"))
        self.assertTrue(self.good("fail: a", "pass"))
        self.assertFalse(self.good("pass", "skip: a"))
        self.assertFalse(self.good("pass", "fail: a"))
        self.assertFalse(self.good("skip: a", "skip: b"))
        self.assertFalse(self.good("skip: a", "fail: a"))

    def test_a_run_that_the_table_does_not_know_is_wrong(self):
        self.assertFalse(selftest_report.compare(None, Outcome("pass"))[0])


class Table(unittest.TestCase):
    def test_what_is_written_is_read(self):
        results = {("6.12", "a_test"): Outcome("pass"), ("6.1", "a_test"): Outcome("skip", "x: y"),
                   ("6.12", "x86_64/b_test -n 2"): Outcome("fail", "b.c:1: no")}
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "table.md"
            path.write_text(f"before\n{selftest_report.BEGIN}\n{selftest_report.END}\nafter\n")
            selftest_report.write_table(results, path)
            self.assertEqual(selftest_report.read_table(path), results)
            selftest_report.write_table(results, path)
            self.assertEqual(selftest_report.read_table(path), results)
            self.assertTrue(path.read_text().startswith("before\n"))
            self.assertTrue(path.read_text().endswith("after\n"))

    def test_every_run_of_the_table_is_in_the_list(self):
        for version, title in selftest_report.read_table():
            self.assertTrue(selftest_list.has_run(version, title), f"{version} {title}")
        self.assertFalse(selftest_list.has_run("6.1", "dirty_log_test -M nothing"))


if __name__ == "__main__":
    unittest.main()
