#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""docs/mutants.md tells of the mutants of base/mutant.h and of no others, with their mistake, the
files they are in and a scenario or test that exists.  Whether that one catches them the runs show
(tools/mutants.py)."""

import re
import sys

import mutant_list
import sources

PLACE = re.compile(r"KVMU_MUTANT\((\w+)\)")
MUTANT_WORD = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")
# Words of the text that look like mutants.
OTHER_WORDS = {"KVMU_MUTANT"}


def places():
    """{mutant: files of the MMU that it is in}"""
    found = {}
    for file in sources.c_files():
        relative = file.relative_to(sources.ROOT)
        if relative.parts[0] in ("mmu", "pgtable"):
            for name in PLACE.findall(file.read_text()):
                found.setdefault(name, set()).add(relative.as_posix())
    return found


def problems_of_row(row, declared, there):
    if row.mistake != declared[row.name]:
        yield f"{row.name}: the header says \"{declared[row.name]}\""
    if set(re.findall(r"`([^`]+)`", row.where)) != there.get(row.name, set()):
        yield f"{row.name}: is in {', '.join(sorted(there.get(row.name, {'no file'})))}"
    if not mutant_list.is_catcher(row.caught_by):
        yield f"{row.name}: no scenario or unit test is called {row.caught_by}"
    if not row.stands_for:
        yield f"{row.name}: what it stands for is missing"


def problems_of_text(text, names):
    for name in sorted(set(MUTANT_WORD.findall(text)) - set(names) - OTHER_WORDS):
        yield f"{name}: is no mutant"
    before = text[:text.rindex("\n## ")]
    for name in names:
        if f"`{name}`" not in before:
            yield f"{name}: is neither of the corpus nor a step of a protocol"


def problems(declared, rows, there, text):
    if [row.name for row in rows] != list(declared):
        ours = {row.name for row in rows}
        yield f"missing or out of order: {', '.join(sorted(set(declared) ^ ours)) or 'order'}"
    for row in rows:
        if row.name in declared:
            yield from problems_of_row(row, declared, there)
    for name in sorted(set(there) - set(declared)):
        yield f"{name}: is in {', '.join(sorted(there[name]))} and not in the header"
    yield from problems_of_text(text, declared)


def main():
    declared = mutant_list.declared()
    found = [f"docs/mutants.md: {problem}" for problem in
             problems(declared, mutant_list.documented(), places(),
                      mutant_list.DOCUMENT.read_text())]
    for problem in found:
        print(problem)
    print(f"mutants: {len(declared)}, {len(found)} problem(s)" if found
          else f"mutants: {len(declared)}, all well")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
