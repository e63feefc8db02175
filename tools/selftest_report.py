# SPDX-License-Identifier: BSD-2-Clause
"""The table of selftest results: read it, write it, compare a run with it.

docs/selftests.md is the one place where the expected results stand.  The
README's shorter table, one line per program, is derived from it.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import sources

ROOT = sources.ROOT
TABLE = ROOT / "docs/selftests.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- selftests: begin, written by tools/selftest_table.py -->", "<!-- selftests: end -->"
VERSIONS = ("6.12", "6.1")
RANK = ("fail", "skip", "pass")
ABSENT = "-"  # that kernel has no such test, or it does not know the arguments


@dataclass(frozen=True)
class Outcome:
    kind: str  # pass, skip, fail
    reason: str = ""

    def __str__(self):
        return f"{self.kind}: {self.reason}" if self.reason else self.kind

    @staticmethod
    def parse(text):
        kind, _, reason = text.partition(": ")
        return Outcome(kind, reason)


def between_markers(path):
    text = path.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin], text[begin:end], text[end:]


def read_table(path=TABLE):
    """(version, title of the run) -> Outcome."""
    expected = {}
    for line in between_markers(path)[1].splitlines():
        match = re.match(r"\| `([^`]+)` \|(.*)\|$", line)
        if not match:
            continue
        cells = [cell.strip() for cell in match.group(2).split("|")]
        for version, cell in zip(VERSIONS, cells):
            if cell != ABSENT:
                expected[version, match.group(1)] = Outcome.parse(cell)
    return expected


def compare(expected, actual):
    """Is @actual as good as the table says, and a remark if it is not the same."""
    if expected is None:
        return False, f"not in the table: {actual}"
    if actual.kind == expected.kind == "fail":
        return True, f"fails, as the table says: {actual.reason}"
    if actual == expected:
        return True, actual.reason
    better = RANK.index(actual.kind) > RANK.index(expected.kind)
    return better, f"{actual}; the table says {expected}"


# ---- writing --------------------------------------------------------------------------------


def replace_between(path, lines):
    before, _, after = between_markers(path)
    path.write_text(before + "\n" + "\n".join(lines) + "\n" + after)


def counts_of(outcomes):
    counts = Counter(outcome.kind for outcome in outcomes)
    return f"{counts['pass']} pass, {counts['skip']} skip, {counts['fail']} fail"


def count_lines(expected):
    lines = []
    for version in VERSIONS:
        chosen = [outcome for (v, _), outcome in expected.items() if v == version]
        programs = {title.split()[0] for v, title in expected if v == version}
        lines.append(f"Linux {version}: {len(programs)} programs, {len(chosen)} runs: "
                     f"{counts_of(chosen)}.")
    return lines


def header(first):
    return [f"| {first} | " + " | ".join(VERSIONS) + " |", "|---|" + "---|" * len(VERSIONS)]


def titles_of(expected):
    return sorted({title for _, title in expected}, key=lambda title: (title.count("/"), title))


def write_table(expected, path=TABLE):
    lines = ["", *count_lines(expected), "", *header("run")]
    for title in titles_of(expected):
        cells = [str(expected.get((version, title), ABSENT)) for version in VERSIONS]
        lines.append(f"| `{title}` | " + " | ".join(cells) + " |")
    replace_between(path, lines)


def program_cell(outcomes):
    """All runs of one program in a few words."""
    if not outcomes:
        return ABSENT
    if len(set(outcomes)) == 1:
        return str(outcomes[0])
    passed = sum(outcome.kind == "pass" for outcome in outcomes)
    others = [outcome for outcome in dict.fromkeys(outcomes) if outcome.kind != "pass"]
    if not others:
        return "pass"
    return f"{passed} of {len(outcomes)} pass; " + "; ".join(map(str, others))


def readme_lines(expected):
    lines = ["", *count_lines(expected), "", "<details><summary>Each of them</summary>", "",
             *header("program")]
    for program in titles_of({(v, title.split()[0]): None for v, title in expected}):
        cells = [program_cell([outcome for (v, title), outcome in expected.items()
                               if v == version and title.split()[0] == program])
                 for version in VERSIONS]
        lines.append(f"| `{program}` | " + " | ".join(cells) + " |")
    return lines + ["", "</details>"]


def write_all(results):
    """Put @results, a mapping as read_table() gives it, into table and README."""
    write_table(results)
    replace_between(README, readme_lines(read_table()))


def readme_is_current():
    return between_markers(README)[1].strip() == "\n".join(readme_lines(read_table())).strip()
