# SPDX-License-Identifier: MIT
"""What documents list is what the sources have."""

import configparser
import os
import re
import sys
import unittest

from linux_guest import system

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
import documents

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")

# The names that embedders rely on, in the order of the structure. A new one is added at the end.
STABLE = [
    "fresh", "stale", "retried", "bugs", "hole_reads", "hole_writes", "rom_writes", "coalesced", "clustered",
    "refused_sizes", "exits", "commits", "invalidations", "wraps", "zapped", "generation", "ept_pages",
    "live_mmio_entries", "ept_pages_freed",
]  # fmt: skip


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def counters():
    body = re.search(r"struct tl_stats \{(.*?)\n\};", read("include/trapline_stats.h"), re.DOTALL)[1]
    fields = re.findall(r"uint64_t ([^;]+);", re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL))
    return [name.strip() for names in fields for name in names.split(",")]


def documented():
    section = re.search(r"^## What is counted\n(.*?)^## ", read("docs/embedding.md"), re.DOTALL | re.MULTILINE)[1]
    rows = re.findall(r"^\| (`.*?) \| ", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


class Ranges(unittest.TestCase):
    def test_each_kind_has_its_row(self):
        kinds = re.search(r"enum tl_range_kind \{(.*?)\n\};", read("include/trapline_range.h"), re.DOTALL)[1]
        names = re.findall(r"\bTL_RANGE_\w+(?=,)", re.sub(r"/\*.*?\*/", "", kinds, flags=re.DOTALL))
        section = re.search(r"^## Kinds of ranges\n(.*?)^## ", read("docs/embedding.md"), re.DOTALL | re.MULTILINE)[1]
        self.assertGreater(len(names), 5)
        self.assertEqual(sorted(re.findall(r"^\| `(TL_RANGE_\w+)` \|", section, re.MULTILINE)), sorted(names))


class Counters(unittest.TestCase):
    def test_names_are_stable(self):
        self.assertEqual(counters()[: len(STABLE)], STABLE)

    def test_each_counter_is_documented_and_nothing_else(self):
        self.assertEqual(documented(), counters())


def cases():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(os.path.join(ROOT, "tests/system/cases"), encoding="ascii")
    return [parser[name] for name in parser.sections()]


class Guests(unittest.TestCase):
    """docs/guests.md: what it shows is run by system tests as it stands, and the rest is what they run."""

    def setUp(self):
        self.blocks = documents.blocks(read("docs/guests.md"))

    def test_each_list_of_modules_is_run_by_a_case(self):
        patterns = [case["commands"] for case in cases() if case.get("document") == "docs/guests.md"]
        shown = [block for block in self.blocks if "make run MODULES=" in block]
        self.assertEqual(len(shown), 3)
        for block in shown:
            found = [match[0] for match in (re.search(pattern, block) for pattern in patterns) if match]
            self.assertEqual(found, [block])

    def test_make_linux_has_the_words_that_are_shown(self):
        lines = [line.split("#")[0].split() for block in self.blocks for line in block.splitlines() if line.startswith("make linux")]
        self.assertGreater(len(lines), 5)
        known = {
            "JOB": [*system.SHELLS, *system.JOBS],
            "KERNEL": system.KERNELS,
            "WORDS": re.findall(r'text_equal\(word, "(.*?)"\)', read("guest/options.c")),
            "BOOT": ["kernel", "disk"],
            "CPUS": list("14"),
            "VCPUS": list("14"),
        }
        for word in (word for line in lines for word in line[2:]):
            name, value = word.split("=")
            self.assertIn(value, known[name])

    def test_inits_jobs_are_those_that_are_not_refused(self):
        labels = re.findall(r"^([a-z| ]+)\)", read("tools/linux_guest/init"), re.MULTILINE)
        self.assertEqual(sorted(re.findall(r"\w+", " ".join(labels))), sorted(system.SHELLS + system.JOBS))
        for kernel, job, what in (
            ("cloud", "foo", "JOB=foo is unknown; use shell, hvc, boot, disk or load."),
            ("foo", "shell", "KERNEL=foo is unknown; use cloud, amd64 or xen."),
            ("xen", "hvc", "use JOB=shell"),
        ):
            self.assertIn(what, system.refusal(kernel, job))
        self.assertIsNone(system.refusal("xen", "shell"))

    def test_other_peoples_kernels_have_the_words_of_their_cases(self):
        modules = [line.split() for case in cases() for line in case.get("modules", "").splitlines()]
        tested = {words[1]: words[1:] for words in modules if words and words[0].startswith("@") and len(words) > 1}
        shown = [words for block in self.blocks for words in map(str.split, block.splitlines()) if words and words[0].startswith("./")]
        for name in ("xen", "gnumach", "memtest", "invaders", "u-boot"):
            self.assertEqual([words[1:] for words in shown if words[1] == name], [tested[name]])


if __name__ == "__main__":
    unittest.main()
