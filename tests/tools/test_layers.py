# SPDX-License-Identifier: MIT
"""What tools/layers finds in a tree that breaks a rule, and that it finds nothing in one that does not."""

import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
LICENCE = "/* SPDX-License-Identifier: MIT */\n"
RULES = "# Rules\n\n1. **The first.** Because.\n2. **The second.** Because.\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        subprocess.run(["git", "init", "-q", self.tree], check=True)
        os.mkdir(os.path.join(self.tree, "include"))
        os.mkdir(os.path.join(self.tree, "tools"))
        shutil.copy(os.path.join(ROOT, "tools/layers"), os.path.join(self.tree, "tools"))
        self.write("docs/rules.md", RULES)
        self.write("mmu/map.h", LICENCE + "#ifndef MMU_MAP_H\n#define MMU_MAP_H\nvoid map_publish(void); /* rule 2 */\n#endif\n")

    def write(self, path, text):
        path = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def breaches(self):
        subprocess.run(["git", "add", "-A"], cwd=self.tree, check=True)
        run = subprocess.run(
            ["python3", "tools/layers"], cwd=self.tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        self.assertEqual(run.returncode, 1 if run.stdout else 0, run.stdout)
        return run.stdout.splitlines()

    def assert_breach(self, path, text, words):
        self.write(path, text)
        found = self.breaches()
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(path + " "), found)
        self.assertIn(words, found[0])


class Rules(Tree):
    def test_a_tree_that_keeps_the_rules(self):
        self.assertEqual(self.breaches(), [])

    def test_an_arrow_that_points_back(self):
        self.write("vmx/exit.h", LICENCE)
        self.assert_breach("mmu/map.c", LICENCE + '#include "vmx/exit.h"\n', 'includes "vmx/exit.h"')

    def test_a_header_of_a_hosted_compiler(self):
        self.assert_breach("vmx/exit.c", LICENCE + "#include <stdio.h>\n", "<stdio.h>")

    def test_assembly_in_a_pure_folder(self):
        self.assert_breach("mmio/alu.c", LICENCE + 'void f(void)\n{\n\t__asm__("nop");\n}\n', "inline assembly")

    def test_assembly_in_a_comment_is_none(self):
        self.write("mmio/alu.c", LICENCE + "/* no asm here */\n")
        self.assertEqual(self.breaches(), [])

    def test_code_under_a_condition(self):
        self.assert_breach("mmu/map.c", LICENCE + "#ifdef HOSTED\n#endif\n", "compiled under a condition")

    def test_no_licence(self):
        self.assert_breach("boot/main.c", "int x;\n", "SPDX")

    def test_too_long(self):
        self.assert_breach("boot/main.c", LICENCE + "\n" * 400, "has 401 lines")

    def test_unfinished(self):
        self.assert_breach("boot/main.c", LICENCE + "/* " + "TO" + "DO" + ": more */\n", "finish it")

    def test_a_document_that_cites_a_function_that_is_gone(self):
        self.assert_breach("docs/map.md", "See `map_withdraw()`, and `map_publish()`.\n", "map_withdraw()")

    def test_a_comment_that_cites_a_file_that_is_gone(self):
        self.assert_breach("boot/main.c", LICENCE + "/* as in mmu/gone.c */\n", "mmu/gone.c")

    def test_a_rule_that_is_not_there(self):
        self.assert_breach("boot/main.c", LICENCE + "/* rules 1 and 3 */\n", "rules 1 and 3")


class Orders(Tree):
    """A reason for another memory order than the code has."""

    LOAD = "atomic_load_explicit(&word, memory_order_%s);\n"

    def test_another_order(self):
        text = LICENCE + "/* relaxed: its own. */\nx = " + self.LOAD % "acquire"
        self.assert_breach("boot/main.c", text, "a reason for relaxed in line 2, and what follows is acquire")

    def test_the_same_order(self):
        self.write("boot/main.c", LICENCE + "/* relaxed: its own,\n * and no more. */\nif (x &&\n    " + self.LOAD % "relaxed")
        self.assertEqual(self.breaches(), [])

    def test_beside_the_code(self):
        line = "atomic_store_explicit(&word, 1, memory_order_%s); /* release: the rest is there. */\n"
        self.write("boot/main.c", LICENCE + line % "release" + line % "seq_cst")
        found = self.breaches()
        self.assertEqual(len(found), 1, found)
        self.assertIn("line 3", found[0])

    def test_one_half_of_two(self):
        swap = "/* %s: of the page. */\natomic_exchange_explicit(&page, 0, memory_order_acq_rel);\n"
        self.write("boot/main.c", LICENCE + swap % "acquire" + swap % "release")
        self.assertEqual(self.breaches(), [])
        self.assert_breach("boot/main.c", LICENCE + swap % "relaxed", "a reason for relaxed")


if __name__ == "__main__":
    unittest.main()
