# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's demand_paging_test: its variants, its figures, and how slow is too slow.

The test prints the guest's execution time; we divide by the pages ourselves
(the rate that the 6.1 version prints is wrong, and one way for all is better).

What is too slow.  The budget is 2.0 us per page on a machine whose own
anonymous fault takes 1.4 us; twice the budget is allowed for now.  Both
numbers scale with the machine, so the host's own fault of the same kind is
measured in the same run:

    limit = 2 * max(2.0 us * max(1, anonymous / 1.4 us), the host's own fault of this kind)

The second term matters for shared memory and userfaultfd, where the host alone
can need more than the budget (a userfaultfd round trip is two thread switches).
On top comes a noise allowance of 1.25: figures of one build on a shared
two-CPU machine were seen to spread by a fifth around their median.  What
disturbs a run only ever adds to it, so each variant runs three times and the
best one counts.
"""

import os
import re
import subprocess
import ctypes
from dataclasses import dataclass

BUDGET_US = 2.0
REFERENCE_ANONYMOUS_US = 1.4
ALLOWED_FACTOR = 2.0
NOISE_ALLOWANCE = 1.25
RUNS = 3
PAGE_BYTES = 4096

EXECUTION_TIME = re.compile(r"Total guest execution time:\s*([0-9.]+)s")


@dataclass(frozen=True)
class Variant:
    arguments: tuple
    pages: int  # of all vCPUs together
    floor: str  # name of the host's own way to get such a page, see bench/host_floor.c

    @property
    def name(self):
        return " ".join(("demand_paging_test",) + self.arguments)


GIB_PAGES = (1 << 30) // PAGE_BYTES
VARIANTS = (
    Variant((), GIB_PAGES, "anonymous"),
    Variant(("-b", "64M", "-v", "2"), 2 * (64 << 20) // PAGE_BYTES, "anonymous"),
    Variant(("-s", "shmem"), GIB_PAGES, "shmem"),
    Variant(("-u", "MISSING"), GIB_PAGES, "uffd_missing"),
    Variant(("-u", "MINOR", "-s", "shmem"), GIB_PAGES, "uffd_minor"),
)


def command(build, program, variant, times=1):
    """The test under kvmu, on memory the machine has at hand (see bench/host_floor.c)."""
    mebibytes = (variant.pages * PAGE_BYTES >> 20) * 5 // 4
    script = 'floor=$1; mib=$2; shift 2; for i in $TIMES; do "$floor" --warm $mib && "$@" || exit; done'
    return ["sh", "-c", script.replace("$TIMES", " ".join(map(str, range(times)))), "sh",
            str(build / "bench/host_floor"), str(mebibytes),
            str(build / "kvmu"), "run", "--", str(program), *variant.arguments]


def microseconds_per_page(output, variant):
    """Of each run in @output, the best first."""
    return sorted(float(seconds) * 1e6 / variant.pages
                  for seconds in EXECUTION_TIME.findall(output))


def host_floors(executable):
    """Name -> microseconds per page of the host alone; a way that is forbidden is left out."""
    output = subprocess.run([str(executable)], check=True, capture_output=True, text=True).stdout
    floors = {}
    for line in output.splitlines():
        name, value = line.split()
        if value != "-":
            floors[name] = float(value) / 1000
    return floors


def limit_us(variant, floors):
    machine = max(1.0, floors["anonymous"] / REFERENCE_ANONYMOUS_US)
    return (ALLOWED_FACTOR * NOISE_ALLOWANCE
            * max(BUDGET_US * machine, floors.get(variant.floor, 0.0)))


def userfaultfd_refusal():
    """Why the test could not open a userfaultfd here; None when it can."""
    if os.uname().machine != "x86_64":
        return "userfaultfd is tried on x86-64 only"
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(323, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        reason = os.strerror(ctypes.get_errno())
        return f"userfaultfd is forbidden to this user ({reason}; vm.unprivileged_userfaultfd)"
    os.close(descriptor)
    return None


def refusal(variant, floors):
    if not variant.floor.startswith("uffd"):
        return None
    reason = userfaultfd_refusal()
    if reason is None and variant.floor not in floors:
        reason = f"this kernel offers no {variant.floor} on such memory"
    return reason


def judge(variant, floors):
    """For the runner: is the figure within the limit, and a remark that shows it."""
    def inspect(output):
        figures = microseconds_per_page(output, variant)
        if len(figures) < RUNS:
            return False, "printed no execution time"
        limit = limit_us(variant, floors)
        remark = (f"{figures[0]:.3f} to {figures[-1]:.3f} us/page (host alone {floors.get(variant.floor, 0):.3f}, "
                  f"budget {BUDGET_US:g}, limit {limit:.2f})")
        return figures[0] <= limit, remark
    return inspect
