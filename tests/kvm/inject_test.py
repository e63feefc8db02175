#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every allocation and every call to the host of a VM's life fails once, and the VM goes on.

    inject_test.py KVMU PROGRAM DEAF_PROGRAM

PROGRAM (tests/clients/scarcity.c) tries again what fails, and exits with 0 when each errno
was one of KVM's and nothing was lost.  Here each site fails at its first call, its second,
and so on until it is reached no more; with every errno it may have; by chance, several at
once; and from its first call on for ever, which must end in an orderly failure.
DEAF_PROGRAM is any that runs a guest and handles no signal.
"""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

KVMU, PROGRAM, DEAF_PROGRAM = sys.argv[1:4]
SCALE = min(100, int(os.environ.get("KVMU_TEST_SCALE", "100")))
# What a life reaches only in company: what must fail, or be asked for, beside it.
COMPANY = {"populate": ["--inject", "touch"], "summary": ["--stats"]}
# Reached under `kvmu trace`, or when a process starts: other tests.
ELSEWHERE = {"trace_key", "trace_ring", "trace_thread", "trace_output"}
# Failing for ever they are a host that never says what has happened, and the guest waits.
NEVER_FOR_EVER = {"event_io", "irqfd_wait"}
# Only when the guest sleeps before its interrupt comes, which is a matter of luck.
BY_LUCK = {"halt_events", "halt_wait", "halt_wake"}
ROW = re.compile(r"^ (\w+) +(\d+) +(\d+)$", re.MULTILINE)


failures = []


def run(options, allowed=(0,)):
    """Times reached and failed of each site; what went wrong goes to the list of failures."""
    command = [KVMU, "run", *options, "--", PROGRAM]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        failures.append(f"{' '.join(options)}: does not end")
        return {}
    if result.returncode not in allowed:
        said = [line for line in result.stderr.splitlines() if not ROW.match(line)]
        failures.append(f"{' '.join(options)}: exit code {result.returncode}\n  "
                        + "\n  ".join(said[:40]))
    return {name: (int(reached), int(failed))
            for name, reached, failed in ROW.findall(result.stderr)}


def sites():
    """Name -> its errnos, as --inject list has them."""
    lines = subprocess.run([KVMU, "run", "--inject", "list"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    return {name.split()[0]: errnos.split(",") for name, errnos in zip(lines[::2], lines[1::2])
            for errnos in [errnos.strip()]}


def fail_nth(site, n, error=None):
    """False: there was no such call."""
    spec = f"{site}:nth={n}" + (f",errno={error}" if error else "")
    counts = run([*COMPANY.get(site, []), "--inject", spec])
    return counts.get(site, (0, 0))[1] == 1


def sweep(site, errnos):
    """How many calls of @site failed, each in a life of its own."""
    calls, step = 0, max(1, 100 // SCALE) ** 2  # a life is dear in a slow build
    while fail_nth(site, 1 + calls * step):
        calls += 1
    for error in errnos[1:]:
        for nth in range(1, 4, step):
            fail_nth(site, nth, error)
    # For ever: no crash, no hang; the program may well say that it cannot go on.
    if site not in NEVER_FOR_EVER:
        run([*COMPANY.get(site, []), "--inject", site], allowed=(0, 1))
    return calls


def unheard():
    """A sanitizer would listen for its program."""
    return {name: os.environ.get(name, "") + ":handle_sigbus=0"
            for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")}


def broken_page(nth):
    """Told by SIGBUS, as to who accesses it; who does not listen is ended by it."""
    options = ["--inject", f"faultin:nth={nth},errno=EHWPOISON", "--"]
    told = subprocess.run([KVMU, "run", *options, PROGRAM], capture_output=True, text=True,
                          timeout=60, check=False)
    if told.returncode or "1 broken pages" not in told.stdout:
        failures.append(f"{' '.join(options)} {PROGRAM}: {told.returncode} {told.stdout}")
    deaf = subprocess.run([KVMU, "run", *options, DEAF_PROGRAM], capture_output=True, text=True,
                          timeout=60, check=False, env=os.environ | unheard())
    if deaf.returncode != -signal.SIGBUS:
        failures.append(f"{' '.join(options)} {DEAF_PROGRAM}: {deaf.returncode} {deaf.stderr}")


def by_chance(seed):
    run(["--inject", f"all:prob=0.02,seed={seed}"])


def main():
    every = {site: errnos for site, errnos in sites().items() if site not in ELSEWHERE}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        done = dict(zip(every, pool.map(lambda item: sweep(*item), every.items())))
        list(pool.map(broken_page, (1, 2, 3)))
        list(pool.map(by_chance, range(1, 1 + 20 * SCALE // 100)))
    never = [f"{site}: never reached" for site, calls in sorted(done.items())
             if not calls and site not in BY_LUCK]
    print("\n".join(failures + never))
    print(f"{sum(done.values())} calls at {len(done)} sites failed, each once; "
          f"{len(failures)} lives went wrong")
    return 1 if failures or never else 0


if __name__ == "__main__":
    sys.exit(main())
