#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`kvmu trace` and the static probes, held against a guest whose every fault is known.

    trace_test.py KVMU KNOWN_FAULTS LIBRARY
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

KVMU, PROGRAM, LIBRARY = sys.argv[1:4]  # the other clients are beside PROGRAM

LINE = re.compile(r"^ *(?P<task>\S+)-(?P<tid>\d+) +\[\d{3}\] +\d+\.\d{6}: (?P<event>\w+): (?P<text>.*)$")

# What differs from run to run: places in the program's address space.
MASKS = ((r"pfn [0-9a-f]+", "pfn P"), (r"sptep:[0-9a-f]+", "sptep:P"),
         (r"spte [0-9a-f]+([0-9a-f]{3}) ", r"spte ..\1 "),
         (r"(old_spte|new_spte) [0-9a-f]+([0-9a-f]{3})\b", r"\1 ..\2"),
         (r" at [0-9a-f]{6,}$", " at P"), (r"range: 0x[0-9a-f]+ -- 0x[0-9a-f]+", "range: P"))


def fault(rip, gpa, error_code, ret, qualification, between=()):
    """The lines of one second-stage fault."""
    return [("kvm_exit", f"vcpu 0 reason EPT_VIOLATION rip 0x{rip:x} info1 0x{qualification:016x} "
                         "info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000"),
            ("kvm_page_fault", f"vcpu 0 rip 0x{rip:x} address 0x{gpa:016x} "
                               f"error_code 0x{error_code:x}"),
            *between,
            ("kvm_page_fault_done", f"vcpu 0 address 0x{gpa:016x} error_code 0x{error_code:x} "
                                    f"ret {ret} level 1"),
            ("kvm_entry", f"vcpu 0, rip 0x{rip:x}")]


def changed(gfn, level, old, new):
    return ("kvm_tdp_mmu_spte_changed",
            f"as id 0 gfn {gfn:x} level {level} old_spte {old} new_spte {new}")


def mapping(rip, gpa, error_code, qualification, bits, access, old="0", tables=()):
    gfn = gpa >> 12
    return fault(rip, gpa, error_code, "RET_PF_FIXED", qualification,
                 [("kvm_mmu_spte_requested", f"gfn {gfn:x} pfn P level 1"),
                  *[changed(0, level, "0", "..007") for level in tables],
                  changed(gfn, 1, old, f"..{bits}"),
                  ("kvm_mmu_set_spte", f"gfn {gfn:x} spte ..{bits} ({access}) level 1 at P")])


def leave(rip, why, qualification=0):
    return ("kvm_exit", f"vcpu 0 reason {why} rip 0x{rip:x} info1 0x{qualification:016x} "
                        "info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000")


def enter(rip):
    return ("kvm_entry", f"vcpu 0, rip 0x{rip:x}")


def to_program(why, number):
    return ("kvm_userspace_exit", f"reason KVM_EXIT_{why} ({number})")


FINAL, READ, WRITE, FETCH = 0x100000000, 0x181, 0x182, 0x184

# The code of tests/clients/known_faults.c from 0x1000 on, instruction by instruction.
EXPECTED = [
    enter(0x1000),
    *mapping(0x1000, 0x1000, FINAL | 0x10, FETCH, "135", "r-x", tables=(4, 3, 2)),
    *mapping(0x1003, 0x4000, FINAL | 2, WRITE, "337", "rwx"),
    *mapping(0x1009, 0x5000, FINAL, READ, "135", "r-x"),
    *mapping(0x100b, 0x5000, FINAL | 3, WRITE, "337", "rwx", old="..135"),
    leave(0x100e, "IO_INSTRUCTION", 0x100000),
    ("kvm_pio", "pio_write at 0x10 size 1 count 1 val 0x0 "),
    to_program("IO", 2),
    ("kvm_unmap_hva_range", "mmu notifier unmap range: P"),
    changed(5, 1, "..337", "0"),
    enter(0x100e),
    leave(0x100e, "EXTERNAL_INTERRUPT"),  # the flush that the unmapping owes
    enter(0x100e),
    *mapping(0x1010, 0x5000, FINAL | 2, WRITE, "337", "rwx"),
    leave(0x1013, "IO_INSTRUCTION", 0x110008),
    to_program("IO", 2),
    ("kvm_pio", "pio_read at 0x11 size 1 count 1 val 0x5a "),
    enter(0x1013),
    *fault(0x101a, 0x30010, FINAL | 2, "RET_PF_EMULATE", WRITE,
           [changed(0x30, 1, "0", "..400"),
            ("mark_mmio_spte", "sptep:P gfn 30 access 7 gen 2")]),
    leave(0x101a, "EPT_MISCONFIG"),
    ("kvm_mmio", "mmio write len 1 gpa 0x30010 val 0x7"),
    to_program("MMIO", 6),
    enter(0x101a),
    *fault(0x1020, 0x30020, FINAL, "RET_PF_EMULATE", READ,
           [("handle_mmio_page_fault", "addr:30020 gfn 30 access 0")]),
    leave(0x1020, "EPT_MISCONFIG"),
    ("kvm_mmio", "mmio unsatisfied-read len 1 gpa 0x30020 val 0x0"),
    to_program("MMIO", 6),
    ("kvm_mmio", "mmio read len 1 gpa 0x30020 val 0x99"),
    enter(0x1020),
    ("kvm_msr", "msr_write c0000100 = 0x1234"),
    ("kvm_msr", "msr_read c0000100 = 0x1234"),
    leave(0x1034, "HLT"),
    to_program("HLT", 5),
    ("kvm_unmap_hva_range", "mmu notifier unmap range: P"),
]


def run(*arguments):
    return subprocess.run([KVMU, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)


def lines_of(text):
    """(task, event, masked fields) of each line that is not a comment."""
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, f"not a line of a trace: {line!r}"
        fields = match["text"]
        for pattern, mask in MASKS:
            fields = re.sub(pattern, mask, fields)
        found.append((f"{match['task']}-{match['tid']}", match["event"], fields))
    return found


def listed_events():
    return [line.split()[0] for line in run("trace", "--list").stdout.splitlines()]


class KnownFaults(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.file = Path(self.directory.name) / "trace"

    def tearDown(self):
        self.directory.cleanup()

    def trace(self, *options, program=(PROGRAM,)):
        result = run("trace", "-o", str(self.file), *options, "--", *program)
        self.assertEqual(result.returncode, 0, result.stderr)
        return lines_of(self.file.read_text())

    def test_the_trace_is_exactly_what_the_guest_does(self):
        lines = [(event, fields) for _, event, fields in self.trace()]
        self.assertEqual(lines, EXPECTED)
        self.assertIn(f"{len(EXPECTED)} events, 0 lost", self.file.read_text())

    def test_chosen_events_are_all_there_is(self):
        for options, chosen in ((("-e", "kvm_pio,kvm_mmio"), {"kvm_pio", "kvm_mmio"}),
                                (("-e", "kvm_pio", "-e", "kvm_m?io"), {"kvm_pio", "kvm_mmio"}),
                                (("--events=kvmmmu:*",),
                                 {"kvm_mmu_spte_requested", "kvm_mmu_set_spte",
                                  "kvm_tdp_mmu_spte_changed", "handle_mmio_page_fault",
                                  "mark_mmio_spte"})):
            lines = [(event, fields) for _, event, fields in self.trace(*options)]
            self.assertEqual(lines, [line for line in EXPECTED if line[0] in chosen])

    def test_without_a_file_it_goes_to_standard_error(self):
        result = run("trace", "-e", "kvm_pio", "--", PROGRAM)
        self.assertEqual(result.stdout, "")
        self.assertEqual([event for _, event, _ in lines_of(result.stderr)], ["kvm_pio"] * 2)

    def test_children_and_closed_descriptors(self):
        data = Path(self.directory.name) / "data"
        lines = self.trace("-e", "kvm_pio", program=(PROGRAM, str(data)))
        # The process, the same once more, its child.
        self.assertEqual([event for _, event, _ in lines], ["kvm_pio"] * 6)
        self.assertEqual(len({task for task, _, _ in lines}), 2)
        self.assertEqual(data.read_bytes(), b"")

    def test_a_program_with_few_descriptors_is_traced_too(self):
        lines = self.trace("-e", "kvm_pio",
                           program=("sh", "-c", f"ulimit -n 20; exec {PROGRAM}"))
        self.assertEqual([event for _, event, _ in lines], ["kvm_pio"] * 2)

    def test_standard_error_that_the_program_closed_stays_closed(self):
        data = Path(self.directory.name) / "data"
        result = run("trace", "-e", "kvm_pio", "--", PROGRAM, str(data))
        self.assertEqual(result.returncode, 0)
        self.assertEqual(len(lines_of(result.stderr)), 6)
        self.assertEqual(data.read_bytes(), b"")

    def test_what_is_recorded_and_what_is_lost_add_up(self):
        """The same loop in each run: however much of it is lost, the sum is one number."""
        walker = Path(PROGRAM).parents[2] / "examples/demand_paging_walk"
        sums = set()
        for events in ("kvm_mmu_spte_requested,kvm_mmu_set_spte", "kvmmmu:kvm_mmu_set_spte"):
            recorded = len(self.trace("-e", events, program=(str(walker), "16")))
            summary = re.search(r"(\d+) events, (\d+) lost", self.file.read_text())
            self.assertEqual(int(summary[1]), recorded)
            sums.add((int(summary[1]) + int(summary[2])) // len(events.split(",")))
        self.assertEqual(len(sums), 1, sums)


    def test_many_threads_write_whole_lines_each_in_order(self):
        clients = Path(PROGRAM).parent
        for name in ("smp_counter", "unmap_under_guest"):
            result = run("trace", "-o", str(self.file), "--", str(clients / name))
            self.assertEqual(result.returncode, 0, result.stderr)
            last, events, lost = {}, 0, 0
            for line in self.file.read_text().splitlines():
                told = re.match(r" *(\S+-\d+) +\[LOST (\d+) EVENTS\]$", line)
                if told:
                    lost += int(told[2])
                elif not line.startswith("#"):
                    match = LINE.match(line)
                    self.assertTrue(match, line)
                    time = float(re.search(r" (\d+\.\d{6}): ", line)[1])
                    self.assertGreaterEqual(time, last.get(match["tid"], 0), line)
                    last[match["tid"]] = time
                    events += 1
            summary = re.search(r"(\d+) events, (\d+) lost\n$", self.file.read_text())
            self.assertEqual(int(summary[1]), events)
            self.assertGreaterEqual(int(summary[2]), lost)
            self.assertGreater(len(last), 1)


class Probes(unittest.TestCase):
    def test_every_event_is_a_static_probe(self):
        notes = subprocess.run(["readelf", "-nW", LIBRARY], capture_output=True, text=True,
                               check=True).stdout
        probes = re.findall(r"Provider: (\w+)\s+Name: (\w+)\s+Location: \S+ Base: \S+ "
                            r"Semaphore: (0x[0-9a-f]+)\s+Arguments: (.*)", notes)
        self.assertEqual(sorted(f"{provider}:{name}" for provider, name, _, _ in probes),
                         sorted(listed_events()))
        fields = {line.split()[0]: len(line.split()) - 1
                  for line in run("trace", "--list").stdout.splitlines()}
        for provider, name, semaphore, arguments in probes:
            self.assertNotEqual(int(semaphore, 16), 0, name)
            self.assertEqual(len(arguments.split()), fields[f"{provider}:{name}"], name)


class Command(unittest.TestCase):
    def expect(self, code, text, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(text, result.stdout + result.stderr)

    def test_usage(self):
        self.expect(0, "kvmu trace [-e EVENTS]", "trace", "--help")
        self.expect(0, "kvm:kvm_page_fault", "trace", "--list")
        self.expect(125, "no program", "trace")
        self.expect(125, "no event 'kvm_nothing'", "trace", "-e", "kvm_pio,kvm_nothing", "true")
        self.expect(125, "No such file", "trace", "-o", "/nonexistent/x", "true")
        self.expect(125, "try 'kvmu trace --help'", "trace", "--wrong", "true")
        self.expect(125, "try 'kvmu trace --help'", "trace", "-e")
        self.expect(127, "not found", "trace", "--", "no-such-program")
        self.expect(7, "", "trace", "--", "sh", "-c", "exit 7")

    def test_a_program_without_kvm_leaves_no_trace(self):
        result = run("trace", "--", "true")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_run_inside_trace_is_not_traced(self):
        result = run("trace", "--", KVMU, "run", "--", PROGRAM)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


if __name__ == "__main__":
    os.environ.pop("KVMU_TRACE", None)
    unittest.main(argv=sys.argv[:1])
