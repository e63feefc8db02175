# SPDX-License-Identifier: BSD-2-Clause
"""Run a list of tests: in parallel where they allow it, each with a time limit and a log."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
EXIT_SKIPPED = 77


@dataclass
class Test:
    name: str
    command: list
    timeout: float = 120
    env: dict = field(default_factory=dict)
    cwd: Optional[Path] = None
    alone: bool = False  # measures time, or uses every CPU itself
    skip: Optional[str] = None  # known before: why it cannot be shown here
    # Looks at the output of a run that exited 0: (all is well, a remark for the line).
    judge: Optional[Callable[[str], tuple]] = None
    # Instead of all other rules: (exit code or None, output) -> (outcome, remark).
    verdict: Optional[Callable[[Optional[int], str], tuple]] = None


@dataclass
class Result:
    test: Test
    outcome: str
    remark: str
    seconds: float
    log: Path


def run_command(test, log):
    """Exit code of the test, or None when its time was up; its output is in @log."""
    with log.open("wb") as output:
        process = subprocess.Popen(test.command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, cwd=test.cwd,
                                   env={**os.environ, **test.env}, start_new_session=True)
        try:
            return process.wait(timeout=test.timeout)
        except subprocess.TimeoutExpired:
            # The session that we made for it, and nothing else.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def judge(test, code, output):
    if test.verdict is not None:
        return test.verdict(code, output)
    if code is None:
        return FAILED, f"no end within {test.timeout:g} s"
    if code == EXIT_SKIPPED:
        return SKIPPED, last_line(output) or "said so without a reason"
    if code < 0:
        return FAILED, f"ended by {signal.Signals(-code).name}"
    if code != 0:
        return FAILED, f"exit code {code}"
    if test.judge is None:
        return PASSED, ""
    good, remark = test.judge(output)
    return (PASSED if good else FAILED), remark


class Runner:
    """Runs tests, prints a line for each, remembers the results."""

    def __init__(self, log_directory, jobs):
        self.logs = Path(log_directory)
        self.jobs = jobs
        self.results = []
        self.lock = threading.Lock()
        self.logs.mkdir(parents=True, exist_ok=True)

    def run_all(self, tests):
        together = [test for test in tests if not test.alone]
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self.run_one, together))
        for test in tests:
            if test.alone:
                self.run_one(test)

    def run_one(self, test):
        log = self.logs / (re.sub(r"[^\w.-]+", "_", test.name) + ".log")
        start = time.monotonic()
        if test.skip:
            outcome, remark = SKIPPED, test.skip
            log.write_text(test.skip + "\n")
        else:
            try:
                code = run_command(test, log)
                outcome, remark = judge(test, code, log.read_text(errors="replace"))
            except OSError as error:
                outcome, remark = FAILED, str(error)
        result = Result(test, outcome, remark, time.monotonic() - start, log)
        with self.lock:
            self.results.append(result)
            self.print_result(result)
        return outcome == PASSED

    def print_result(self, result):
        mark = {PASSED: "ok  ", FAILED: "FAIL", SKIPPED: "skip"}[result.outcome]
        remark = f"  {result.remark}" if result.remark else ""
        print(f"[{len(self.results):4d}] {mark} {result.seconds:7.2f} s  {result.test.name}{remark}",
              flush=True)
        if result.outcome == FAILED and result.log.exists():
            for line in result.log.read_text(errors="replace").splitlines()[-15:]:
                print(f"          | {line}", flush=True)

    def count(self, outcome):
        return sum(result.outcome == outcome for result in self.results)

    def list_skipped(self):
        """One line for each reason: many tests share one."""
        by_reason = {}
        for result in self.results:
            if result.outcome == SKIPPED:
                by_reason.setdefault(result.remark, []).append(result.test.name)
        if by_reason:
            print("\nSkipped:")
        for reason, names in by_reason.items():
            print(f"  {reason}: {', '.join(names)}")

    def summary(self):
        """The closing lines; the last one is what a machine reads. Returns the exit code."""
        self.list_skipped()
        failed = [result for result in self.results if result.outcome == FAILED]
        if failed:
            print("\nFailed:")
        for result in failed:
            print(f"  {result.test.name}: {result.remark}  (log: {result.log})")
        line = f"{self.count(PASSED)} passed, {self.count(FAILED)} failed"
        if self.count(SKIPPED):
            line += f", {self.count(SKIPPED)} skipped"
        print(f"\n{line}")
        sys.stdout.flush()
        return 1 if self.count(FAILED) or not self.count(PASSED) else 0
