# SPDX-License-Identifier: BSD-2-Clause
"""Which runs of the kernel's KVM selftests there are: programs, arguments, time.

Every program of the kernel's own x86-64 list is run without arguments, unless
VARIANTS names other runs of it.  What each run must give is not written here but
in the table of docs/selftests.md, which the runs themselves generate.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import demand_paging

VERSIONS = ("6.12", "6.1")
DEFAULT_TIMEOUT = 60


@dataclass(frozen=True)
class Variant:
    """One way to run a selftest."""

    arguments: str = ""
    versions: tuple = VERSIONS  # of the kernel, that know these arguments
    long: bool = False  # only in make test-long
    timeout: int = DEFAULT_TIMEOUT
    alone: bool = False  # needs both processors, or most of the memory
    huge_pages: int = 0  # of 2 MiB, reserved by the machine's owner
    userfaultfd: bool = False


@dataclass(frozen=True)
class Row:
    """A selftest with arguments: a row of the table, for each version that has it."""

    name: str
    variant: Variant

    @property
    def title(self):
        return f"{self.name} {self.variant.arguments}".strip()


NEW, OLD = ("6.12",), ("6.1",)

# Quick runs of those that take long by default, and the default for make test-long.
VARIANTS = {
    "access_tracking_perf_test": [Variant("-b 64M -v 2"), Variant("", long=True)],
    "demand_paging_test": [
        Variant("-b 64M -v 2"), Variant("-b 64M -v 2 -o"), Variant("-b 64M -s shmem"),
        Variant("-b 64M -s shared_hugetlb", huge_pages=40), Variant("-b 64M -s anonymous_thp"),
        Variant("-b 64M -u MISSING", userfaultfd=True), 
        Variant("-b 64M -v 2 -u MISSING -a -r 2", versions=NEW, userfaultfd=True),
        Variant("-b 64M -u MINOR -s shmem", userfaultfd=True), Variant("", long=True),
    ],
    "dirty_log_perf_test": [
        Variant("-b 64M -v 2"), Variant("-b 64M -v 2 -g"), Variant("-b 64M -v 2 -e"),
        Variant("-b 64M -v 2 -o"), Variant("-b 64M -s anonymous_thp"), Variant("-b 64M -s shmem"),
        Variant("-b 64M -x 8"), Variant("-b 64M -a -w 50", versions=NEW),
        Variant("-b 64M -n", long=True), Variant("", long=True, timeout=120),
        Variant("-v 2 -x 64", long=True, timeout=300),
    ],
    "dirty_log_test": [
        Variant("-M dirty-log -i 4"), Variant("-M clear-log -i 4"), Variant("-M dirty-ring -i 4"),
        Variant("-M dirty-ring -c 4096 -i 4"), Variant("-M dirty-log -p 0x80000000 -i 4"),
        Variant("", long=True, timeout=300),
    ],
    # Tens of busy threads beside each virtual machine, five hundred times: a minute and more.
    "hardware_disable_test": [Variant(versions=NEW, timeout=600),
                              Variant(versions=OLD, timeout=600, long=True)],
    "kvm_page_table_test": [
        Variant("-b 64M -v 2"), Variant("-b 64M -v 2 -s anonymous_thp"),
        Variant("-b 64M -s shmem"), Variant("-b 64M -s anonymous_hugetlb", huge_pages=40),
        Variant("", long=True),
    ],
    "max_guest_memory_test": [
        Variant("-c 2 -m 8"), Variant("-c 2 -m 8 -s 1 -H", huge_pages=520), Variant("", long=True, timeout=120),
    ],
    "memslot_modification_stress_test": [
        Variant("-b 64M -v 2 -i 100"), Variant("-b 64M -v 2 -i 100 -q", versions=NEW),
        Variant("-b 64M -v 2 -o -d 1000 -i 100"), Variant("", long=True),
    ],
    "memslot_perf_test": [
        Variant("-l 1 -s 512"), Variant("-l 1 -s 512 -q", versions=NEW),
        Variant("-l 1 -s 64 -d"), Variant("", long=True, timeout=300),
    ],
    "rseq_test": [Variant(versions=NEW, alone=True, timeout=300),
                  Variant(versions=OLD, alone=True, timeout=300, long=True)],
    "x86_64/dirty_log_page_splitting_test": [
        Variant("-b 64M", huge_pages=80), Variant("-b 64M -s anonymous_thp"),
    ],
    "x86_64/nx_huge_pages_test": [Variant("-t 887563923 -p 100 -r")],
    "x86_64/private_mem_conversions_test": [
        Variant(""), Variant("-n 2 -m 2"), Variant("-n 4 -s shmem"),
        Variant("-n 4 -m 4 -s shmem", long=True, timeout=300),
    ],
}


def free_huge_pages():
    match = re.search(r"HugePages_Free:\s+(\d+)", Path("/proc/meminfo").read_text())
    return int(match.group(1)) if match else 0


def refusal(variant):
    """Why this run cannot be shown on this machine; None when it can."""
    if variant.huge_pages > free_huge_pages():
        return f"needs {variant.huge_pages} free huge pages (vm.nr_hugepages)"
    return demand_paging.userfaultfd_refusal() if variant.userfaultfd else None


def rows_of(name):
    return [Row(name, variant) for variant in VARIANTS.get(name, [Variant()])]


def has_run(version, title):
    """Is there such a run today?  A table may still tell of one that is gone."""
    return any(row.title == title and version in row.variant.versions
               for row in rows_of(title.split()[0]))


def is_perf(name):
    """The programs that measure or stress memory: after all others, which take moments."""
    return name.endswith(("_perf_test", "_stress_test")) or name in HEAVY


HEAVY = ("demand_paging_test", "dirty_log_test", "kvm_page_table_test", "max_guest_memory_test",
         "hardware_disable_test", "rseq_test", "kvm_create_max_vcpus", "set_memory_region_test")


def rows_for(version, names):
    """All runs of one version, the cheap ones first."""
    rows = [row for name in names for row in rows_of(name) if version in row.variant.versions]
    return sorted(rows, key=lambda row: (is_perf(row.name), row.variant.long))
