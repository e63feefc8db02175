#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The build that is shipped has no mutants in it.

    no_mutants_test.py [BUILD]

What gets installed, and the libraries it is linked from, hold neither their variable nor a name of
theirs.  And each object of mmu/ and pgtable/ is the same, but for debug information, when every
KVMU_MUTANT(NAME) of the sources has been replaced by 0 and the header that defines it by nothing.
The same look finds them in the mutants' own build, where there is one.
"""

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import mutant_list  # noqa: E402  (found by the line above)

VARIABLE = "kvmu_mutant"
LAYERS = ("mmu", "pgtable")  # where mutants are
SOURCES = ("base", *LAYERS)  # what they include
USE = re.compile(r"KVMU_MUTANT\(\w+\)")
CODE = (".a", ".so", "")  # of installed files; headers and .pc files are text


def shipped(build):
    """Programs and libraries that get installed, and the static ones they are made of."""
    listed = subprocess.run(["meson", "introspect", "--installed", str(build)],
                            capture_output=True, text=True, check=True).stdout
    files = {Path(path) for path in json.loads(listed)}
    files |= {build / layer / f"libkvmu_{layer}.a" for layer in LAYERS}
    return sorted(path for path in files if path.is_file() and path.suffix in CODE)


def words_of(path, names):
    """The mutants' words that stand in the file: symbols, strings or debug information."""
    content = path.read_bytes()
    if content.startswith(b"!<thin>"):  # an archive that only names its objects
        listed = subprocess.run(["ar", "t", path.name], cwd=path.parent, capture_output=True,
                                text=True, check=True).stdout
        content = b"".join((path.parent / name).read_bytes() for name in listed.split())
    return [name for name in (VARIABLE, *names) if name.encode() in content]


# ---- object code -----------------------------------------------------------------------------


def copy_without_mutants(tree):
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name)
    for path in tree.rglob("*.[ch]"):
        path.write_text(USE.sub("0", path.read_text()))
    (tree / "base/mutant.h").write_text("")
    (tree / "build").mkdir()


def strip(source, target):
    subprocess.run(["objcopy", "--strip-debug", str(source), str(target)], check=True)
    return target.read_bytes()


def is_same(entry, number, build, tree):
    """Compile once more as the build did, from the copy, and compare with what the build made."""
    command = shlex.split(entry["command"])
    new = tree / f"{number}.o"
    command[command.index("-o") + 1] = str(new)
    for option in ("-MQ", "-MF"):
        at = command.index(option)
        del command[at:at + 2]
    command.remove("-MD")
    command.append("-g0")  # of no interest, and in ccache then
    done = subprocess.run(command, cwd=tree / "build", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{entry['file']}: {done.stderr}")
    return strip(new, tree / f"{number}.new") == strip(build / entry["output"],
                                                       tree / f"{number}.old")


def objects(build):
    entries = json.loads((build / "compile_commands.json").read_text())
    return [entry for entry in entries if entry["output"].split("/")[0] in LAYERS]


def different_objects(build):
    entries = objects(build)
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        copy_without_mutants(tree)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            same = list(pool.map(lambda item: is_same(item[1], item[0], build, tree),
                                 enumerate(entries)))
    return [entry["output"] for entry, good in zip(entries, same) if not good], len(entries)


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
    names = list(mutant_list.declared())
    files = shipped(build)
    problems = [f"{path.relative_to(build)}: has {', '.join(found)}" for path in files
                if (found := words_of(path, names))]
    own = ROOT / "build-mutants/explore/kvmu-explore"
    if own.is_file() and len(words_of(own, names)) != len(names) + 1:
        problems.append("the look at files does not find the mutants where they are")
    different, compared = different_objects(build)
    problems += [f"{output}: is another without the mutants' places" for output in different]
    if len(files) < 5 or compared < 20:
        problems.append(f"only {len(files)} files and {compared} objects were looked at")
    for problem in problems:
        print(problem)
    print(f"{len(files)} files without mutants, {compared} objects the same"
          if not problems else "there are mutants in the shipped build")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
