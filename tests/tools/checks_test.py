#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each static check must find what it looks for: a small tree with one fault each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import check_mutants  # noqa: E402  (found by the line above)
import check_sites  # noqa: E402
import mutant_list  # noqa: E402
SPDX = "/* SPDX-License-Identifier: BSD-2-Clause */\n"


def run_check(name, files):
    """(exit code, output) of tools/check_NAME.py on a tree that holds @files."""
    with tempfile.TemporaryDirectory() as directory:
        for path, text in files.items():
            target = Path(directory) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        result = subprocess.run([sys.executable, str(TOOLS / f"check_{name}.py"), directory],
                                capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr


class Layers(unittest.TestCase):
    def verdict(self, path, include):
        files = {path: SPDX + f"#include {include}\n",
                 "kvm/vm.h": "", "mmu/mmu.h": "", "mmu/private.h": "", "mmu/mmu_host.h": ""}
        return run_check("layers", files)[0]

    def test_upward_include_is_found(self):
        self.assertEqual(self.verdict("mmu/x.c", '"kvm/vm.h"'), 1)
        self.assertEqual(self.verdict("pgtable/x.c", '"mmu/mmu.h"'), 1)
        self.assertEqual(self.verdict("host/x.c", '"mmu/private.h"'), 1)
        self.assertEqual(self.verdict("examples/x.c", '"kvm/vm.h"'), 1)

    def test_upward_include_by_relative_path_is_found(self):
        self.assertEqual(self.verdict("mmu/x.c", '"../kvm/vm.h"'), 1)

    def test_downward_include_is_fine(self):
        self.assertEqual(self.verdict("kvm/x.c", '"mmu/mmu.h"'), 0)
        self.assertEqual(self.verdict("host/x.c", '"mmu/mmu_host.h"'), 0)

    def test_libc_header_in_a_freestanding_layer_is_found(self):
        self.assertEqual(self.verdict("mmu/x.c", "<string.h>"), 1)
        self.assertEqual(self.verdict("mmu/x.c", "<stdint.h>"), 0)
        self.assertEqual(self.verdict("host/x.c", "<string.h>"), 0)


class Headers(unittest.TestCase):
    def test_header_that_needs_another_is_found(self):
        code, output = run_check("headers", {"kvm/x.h": SPDX + "size_t f(void);\n"})
        self.assertEqual(code, 1)
        self.assertIn("kvm/x.h", output)

    def test_missing_guard_is_found(self):
        self.assertEqual(run_check("headers", {"kvm/x.h": SPDX + "struct s { int i; };\n"})[0], 1)

    def test_complete_header_is_fine(self):
        text = SPDX + "#ifndef X\n#define X\n#include <stddef.h>\nsize_t f(void);\n#endif\n"
        self.assertEqual(run_check("headers", {"kvm/x.h": text})[0], 0)


class Sizes(unittest.TestCase):
    def function(self, body_lines):
        return SPDX + "int f(void)\n{\n" + "\tg();\n" * body_lines + "}\n"

    def test_function_at_the_limit_and_beyond(self):
        self.assertEqual(run_check("sizes", {"kvm/x.c": self.function(80)})[0], 0)
        code, output = run_check("sizes", {"kvm/x.c": self.function(81)})
        self.assertEqual(code, 1)
        self.assertIn("f() has 81 lines", output)

    def test_function_with_wrapped_parameters_is_measured(self):
        text = SPDX + "static int name(int a,\n\t\tint b)\n{\n" + "\tg();\n" * 81 + "}\n"
        code, output = run_check("sizes", {"kvm/x.c": text})
        self.assertEqual(code, 1)
        self.assertIn("name() has 81 lines", output)

    def test_long_file_is_found_unless_it_is_a_table(self):
        text = SPDX + "int i;\n" * 900
        self.assertEqual(run_check("sizes", {"kvm/x.c": text})[0], 1)
        self.assertEqual(run_check("sizes", {"kvm/x.c": "/* size-check: table */\n" + text})[0], 0)


class Words(unittest.TestCase):
    def test_machine_path_is_found(self):
        text = SPDX + "/* see /" + "work/main/x */\n"
        self.assertEqual(run_check("words", {"kvm/x.c": text})[0], 1)

    def test_unsafe_function_is_found(self):
        text = SPDX + "void f(char *a) { strcpy" + "(a, a); }\n"
        self.assertEqual(run_check("words", {"kvm/x.c": text})[0], 1)

    def test_missing_licence_line_is_found(self):
        self.assertEqual(run_check("words", {"kvm/x.c": "int i;\n"})[0], 1)
        self.assertEqual(run_check("words", {"kvm/x.c": SPDX + "int i;\n"})[0], 0)


class Sites(unittest.TestCase):
    """On what nm says of objects; whole, it runs on the build."""

    OUTPUT = ("build/kvm/libkvmu_kvm.a:vm_fd.c.o:                 U {0}\n"
              "build/host/libkvmu_host.a:sys.c.o:                 U syscall\n"
              "build/preload/libkvmu-preload.so.p/init.c.o:                 U getenv\n")

    def problems(self, symbol):
        found = check_sites.parse_symbols(self.OUTPUT.format(symbol))
        self.assertEqual(len(found), 3)
        return [text for text in check_sites.call_problems(found) if "any more" not in text]

    def test_what_computes_is_fine(self):
        self.assertEqual(self.problems("strlen"), [])

    def test_an_allocation_past_the_sites_is_found(self):
        self.assertEqual(self.problems("calloc"),
                         ["kvm/vm_fd.c: calloc() belongs behind a site, in host/memory.c"])

    def test_a_system_call_past_the_sites_is_found(self):
        self.assertEqual(self.problems("syscall"),
                         ["kvm/vm_fd.c: syscall() belongs behind a site, in host/sys.c"])

    def test_an_unknown_function_is_found(self):
        self.assertEqual(self.problems("mmap"),
                         ["kvm/vm_fd.c: mmap() has no site and is not listed as harmless"])

    def sure(self, place, call):
        return list(check_sites.sure_problems(place, f"host_sure({call}, 0);\n"))

    def test_a_sure_call_elsewhere_is_found(self):
        self.assertEqual(self.sure("kvm/file.c", "SYS_close"), [])
        self.assertEqual(self.sure("kvm/vm_fd.c", "SYS_close"),
                         ["kvm/vm_fd.c: host_sure(SYS_close): nobody says why it is sure there"])
        self.assertEqual(self.sure("kvm/file.c", "nr"),
                         ["kvm/file.c: host_sure() of a call that is not named"])


class Mutants(unittest.TestCase):
    """The document as it is, with one thing changed."""

    def setUp(self):
        self.declared = mutant_list.declared()
        self.rows = mutant_list.documented()
        self.there = check_mutants.places()
        self.text = mutant_list.DOCUMENT.read_text()

    def found(self):
        return list(check_mutants.problems(self.declared, self.rows, self.there, self.text))

    def test_document_as_it_is_is_fine(self):
        self.assertEqual(self.found(), [])

    def test_mutant_that_the_document_has_not_is_found(self):
        del self.rows[3]
        self.assertEqual(len(self.found()), 1)

    def test_mutant_that_only_the_document_has_is_found(self):
        del self.declared[self.rows[3].name]
        self.assertTrue(any(self.rows[3].name in problem for problem in self.found()))

    def test_mutant_in_another_file_is_found(self):
        self.there[self.rows[3].name] = {"mmu/elsewhere.c"}
        self.assertEqual(len(self.found()), 1)

    def test_mutant_that_is_nowhere_is_found(self):
        del self.there[self.rows[3].name]
        self.assertEqual(len(self.found()), 1)

    def test_catcher_that_does_not_exist_is_found(self):
        self.rows[3].caught_by = "mmu_unknown_test"
        self.rows[4].caught_by = "unknown.scn"
        self.assertEqual(len(self.found()), 2)

    def test_mistake_in_other_words_is_found(self):
        self.rows[3].mistake += "?"
        self.assertEqual(len(self.found()), 1)

    def test_unknown_name_in_the_text_is_found(self):
        self.text = "`NO_SUCH_MUTANT`\n" + self.text
        self.assertEqual(len(self.found()), 1)

    def test_mutant_that_stands_for_nothing_is_found(self):
        name = self.rows[3].name
        head, end = self.text.rsplit("\n## ", 1)
        self.text = head.replace(f"`{name}`", "") + "\n## " + end
        self.assertEqual(len(self.found()), 1)


if __name__ == "__main__":
    unittest.main()
