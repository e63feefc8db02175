#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The budget table: our figures beside a floor or reference measured in the same run.

    bench.py [BUILD DIRECTORY]

Each bench/bench_* program prints rows of five fields with tabs between:
what, reference (number and its name), ours, unit, budget ("-" for none).  The
end-to-end rows are measured here, with the kernel's own demand_paging_test and
dirty_log_perf_test and the smallest KVM program under `kvmu run`.
"""

import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import demand_paging
import guest_linux
import sources

TOOLS = sources.ROOT / "tools"
PAGING_ROUNDS = 3
HELLO_ROUNDS = 30
HELLO_BUDGET_MS = 20
DIRTY_BUDGET_US = 0.5
BOOT_ROUNDS = 3
TIMEOUT = 600


@dataclass
class Row:
    what: str
    reference: str
    ours: str
    unit: str
    budget: str

    def within(self):
        """yes, no, or nothing where there is no single number to compare."""
        try:
            return "yes" if float(self.ours) <= float(self.budget) else "NO"
        except ValueError:
            return ""


def run(command):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, check=True,
                          capture_output=True, text=True, timeout=TIMEOUT).stdout


def rows_of_programs(build):
    for source in sorted((sources.ROOT / "bench").glob("bench_*.c")):
        print(f"  running {source.stem} ...", file=sys.stderr, flush=True)
        for line in run([build / "bench" / source.stem]).splitlines():
            fields = line.split("\t")
            if len(fields) == 5:
                yield Row(*fields)
            elif line.strip():
                print(f"  {source.stem}: {line}", file=sys.stderr)


def demand_paging_rows(build):
    run([sys.executable, TOOLS / "selftests.py", "--out", build / "selftests-6.12"])
    program = build / "selftests-6.12/demand_paging_test"
    for variant in demand_paging.VARIANTS:
        floors = demand_paging.host_floors(build / "bench/host_floor")
        reason = demand_paging.refusal(variant, floors)
        if reason:
            print(f"  {variant.name}: left out: {reason}", file=sys.stderr)
            continue
        print(f"  running {variant.name} ...", file=sys.stderr, flush=True)
        figures = [demand_paging.microseconds_per_page(
            run(demand_paging.command(build, program, variant)), variant)[0]
                   for _ in range(PAGING_ROUNDS)]
        # The budget speaks of plain page faults; a userfaultfd round trip has none.
        budget = "-" if variant.floor.startswith("uffd") else f"{demand_paging.BUDGET_US:g}"
        yield Row(variant.name, f"{floors[variant.floor]:.2f} host's own fault",
                  f"{statistics.median(figures):.2f}", "us/page", budget)


DIRTY_PASS = re.compile(r"Iteration 2 dirty memory time: ([0-9.]+)s")
DIRTY_CLEAR = re.compile(r"Iteration 2 clear dirty log time: ([0-9.]+)s")


def dirty_log_rows(build):
    """A guest that writes its memory again after the log was cleared, by both methods."""
    run([sys.executable, TOOLS / "selftests.py", "--out", build / "selftests-6.12",
         "dirty_log_perf_test"])
    program = build / "selftests-6.12/dirty_log_perf_test"
    pages = demand_paging.GIB_PAGES
    command = demand_paging.command(build, program, demand_paging.Variant((), pages, ""))
    store = float(run([build / "bench/host_floor", "--again", "1024"]).split()[1]) / 1000
    for pml, method in (("1", "dirty marks"), ("0", "write protection")):
        print(f"  running dirty_log_perf_test, {method} ...", file=sys.stderr, flush=True)
        texts = [run(["env", f"KVMU_PML={pml}", *command]) for _ in range(PAGING_ROUNDS)]
        for what, pattern, budget in (("dirty pass after clear", DIRTY_PASS, DIRTY_BUDGET_US),
                                      ("clear", DIRTY_CLEAR, "-")):
            best = min(float(pattern.search(text).group(1)) for text in texts)
            yield Row(f"dirty_log_perf_test, {what}, by {method}",
                      f"{store:.4f} a store to the page", f"{best * 1e6 / pages:.4f}", "us/page", f"{budget}")


def milliseconds(command, rounds=HELLO_ROUNDS):
    def once():
        start = time.monotonic()
        run(command)
        return (time.monotonic() - start) * 1000
    return statistics.median(once() for _ in range(rounds))


def hello_row(build, kvmu):
    print("  running the smallest KVM program ...", file=sys.stderr, flush=True)
    floor = milliseconds(["/bin/true"])
    ours = milliseconds([kvmu, "run", "--", build / "tests/clients/add_real_mode"])
    return Row("smallest KVM program, start to end", f"{floor:.1f} /bin/true", f"{ours:.1f}", "ms",
               f"{HELLO_BUDGET_MS}")


def linux_row(kvmu):
    """QEMU with our KVM, beside QEMU with its own translator to host code."""
    print("  running Linux in QEMU ...", file=sys.stderr, flush=True)
    qemu = ["qemu-system-x86_64", "-machine", "q35", "-smp", "2", "-m", "256", "-display", "none",
            "-nodefaults", *guest_linux.command_line(*guest_linux.ready(), "boot")]
    floor = milliseconds([*qemu, "-accel", "tcg,thread=multi"], BOOT_ROUNDS)
    ours = milliseconds([kvmu, "run", "--", *qemu, "-accel", "kvm"], BOOT_ROUNDS)
    return Row("Linux boots in QEMU, copies 64 MiB and ends", f"{floor / 1000:.1f} QEMU's TCG",
               f"{ours / 1000:.1f}", "s", "-")


def print_table(rows):
    header = Row("what", "reference, this run", "ours", "unit", "budget")
    table = [(r.what, r.reference, r.ours, r.unit, r.budget, within)
             for r, within in [(header, "within")] + [(r, r.within()) for r in rows]]
    widths = [max(len(line[i]) for line in table) for i in range(6)]
    for number, line in enumerate(table):
        print("  ".join(cell.ljust(width) if i in (0, 1, 3) else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))).rstrip())
        if number == 0:
            print("-" * (sum(widths) + 10))


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else sources.ROOT / "build").resolve()
    kvmu = build / "kvmu"
    try:
        rows = list(rows_of_programs(build))
        rows += list(demand_paging_rows(build))
        rows += list(dirty_log_rows(build))
        rows.append(hello_row(build, kvmu))
        rows.append(linux_row(kvmu))
    except (subprocess.SubprocessError, OSError, guest_linux.Failure) as error:
        print(f"bench: {error}", file=sys.stderr)
        print(getattr(error, "stderr", "") or "", file=sys.stderr)
        return 1
    print()
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
