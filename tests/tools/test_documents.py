# SPDX-License-Identifier: MIT
"""What documents list is what the sources have."""

import os
import re
import unittest

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


if __name__ == "__main__":
    unittest.main()
