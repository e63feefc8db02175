# SPDX-License-Identifier: BSD-2-Clause
"""Which files are the project's own: shared by the checks."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_DIRECTORIES = (".git", ".cache", "__pycache__")


def is_skipped(directory):
    return directory.name in SKIPPED_DIRECTORIES or directory.name.startswith("build")


def project_files(root=ROOT, suffixes=None):
    """All files below @root that are not built or fetched, sorted."""
    found = []
    pending = [Path(root)]
    while pending:
        for entry in sorted(pending.pop().iterdir()):
            if entry.is_symlink():
                continue
            if entry.is_dir():
                if not is_skipped(entry):
                    pending.append(entry)
            elif suffixes is None or entry.suffix in suffixes:
                found.append(entry)
    return sorted(found)


def c_files(root=ROOT):
    return project_files(root, (".c", ".h"))


def report(what, problems, checked):
    """Print the problems of one check; the exit code."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{what}: {len(problems)} problem(s) in {checked} files")
        return 1
    print(f"{what}: {checked} files, all well")
    return 0
