# SPDX-License-Identifier: BSD-2-Clause
"""The mutants as base/mutant.h declares them and as docs/mutants.md tells them."""

import re
from dataclasses import dataclass

import sources

HEADER = sources.ROOT / "base/mutant.h"
DOCUMENT = sources.ROOT / "docs/mutants.md"
SCENARIO_DIRECTORY = sources.ROOT / "explore/scenarios"
# Which unit tests may catch one, in the order of their speed.
UNIT_TESTS = ["mmu/mmu_page_fault_test", "mmu/mmu_race_test", "mmu/mmu_age_test",
              "mmu/mmu_mmio_test", "mmu/mmu_private_fault_test", "mmu/mmu_attributes_test",
              "mmu/mmu_gmem_test", "mmu/mmu_zap_test", "mmu/mmu_invalidate_test", "mmu/mmu_dirty_bitmap_test",
              "mmu/mmu_dirty_log_test", "mmu/mmu_memslot_test", "mmu/mmu_failure_test",
              "pgtable/pgtable_transition_test", "pgtable/pgtable_transition_bbm_test",
              "pgtable/pgtable_visitor_test", "pgtable/pgtable_api_test",
              "pgtable/pgtable_model_test", "pgtable/pgtable_concurrency_test"]


@dataclass
class Row:
    """One line of the document's last table."""
    name: str
    mistake: str
    stands_for: str
    where: str
    caught_by: str


def declared(header=HEADER):
    """{name: mistake}, in the header's order."""
    text = header.read_text().replace("\\\n", " ")
    return dict(re.findall(r'X\((\w+),\s*"([^"]*)"\)', text))


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def documented(document=DOCUMENT):
    """The rows, in the document's order."""
    rows = []
    for line in document.read_text().splitlines():
        if line.startswith("| `") and len(cells(line)) == 5:
            name, mistake, stands_for, where, caught_by = cells(line)
            rows.append(Row(name.strip("`"), mistake, stands_for, where, caught_by.strip("`")))
    return rows


def is_scenario(catcher):
    return catcher.endswith(".scn")


def unit_test_path(catcher):
    """As the build knows it: "mmu/mmu_age_test"; None: there is no such test."""
    return next((test for test in UNIT_TESTS if test.split("/")[1] == catcher), None)


def is_catcher(name):
    """Is there such a scenario or unit test?"""
    if is_scenario(name):
        return (SCENARIO_DIRECTORY / name).is_file()
    return unit_test_path(name) is not None
