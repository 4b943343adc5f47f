#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the block of the self-test (`selftest` on the command line) out of what a serial line gave.

    tools/selftest.py [FILE]

Prints what failed and the figures; exit status 0 if the block is whole and says that nothing failed, 1 if it says that
something did, 2 if there is no whole block. Standard input is read where no file is named.
"""

import re
import sys

BEGIN = "-----BEGIN TRAPLINE SELFTEST-----"
END = "-----END TRAPLINE SELFTEST-----"
FORMAT = "1"
CHECKS = (
    "vmcs misconfig-4k misconfig-2m misconfig-1g length cached-misconfig cached-absent invept ept-ad execute-only pml "
    "preemption-timer invariant-tsc exits tsc-rate tsc-agrees nmi l1tf"
).split()
CPU_FIGURES = "exit_cycles misconfiguration_cycles timer_ticks stale_seen stale_possible saves_resume_flag".split()
FIGURES = "memory_mib tsc_hz cpuid_tsc_hz tsc_window".split()
COLUMNS, ROWS = 80, 25


class BlockError(Exception):
    """There is no whole block; the text says what is missing."""


def parse(text):
    """The block's keys and values."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if BEGIN not in lines or END not in lines:
        raise BlockError("the lines that begin and end the block are not both there")
    block = {}
    for line in lines[lines.index(BEGIN) + 1 : lines.index(END)]:
        key, separator, value = line.partition("=")
        if not separator or key in block:
            raise BlockError(f'"{line}" is no new key with a value')
        block[key] = value
    check_keys(block)
    return block


def check_keys(block):
    if block.get("format") != FORMAT:
        raise BlockError(f"the format is {block.get('format')}, not {FORMAT}")
    if not re.fullmatch(r"[1-9]\d*", block.get("cpus", "")):
        raise BlockError("cpus= is no number")
    wanted = ["cpu", "result"] + FIGURES + [f"check.{name}" for name in CHECKS]
    wanted += [f"check.{name}.text" for name in CHECKS]
    wanted += [f"cpu{cpu}.{figure}" for cpu in range(int(block["cpus"])) for figure in CPU_FIGURES]
    for key in wanted:
        if key not in block:
            raise BlockError(f"{key}= is missing")
    for key, value in block.items():
        numeric = key in FIGURES or re.match(r"cpu\d+\.", key)
        if numeric and not value.isdigit() or key.startswith("fact.") and not re.fullmatch("0x[0-9a-f]+", value):
            raise BlockError(f'{key}= is no number: "{value}"')
    verdicts = {block[f"check.{name}"] for name in CHECKS}
    if verdicts - {"ok", "fail", "absent"}:
        raise BlockError(f"unknown verdicts: {', '.join(sorted(verdicts))}")
    if (block["result"] == "ok") == ("fail" in verdicts) or block["result"] not in ("ok", "fail"):
        raise BlockError(f"the result is {block['result']}, which the checks are not")


def failures(block):
    """One line for each check that failed."""
    return [
        f"{name}: {block[f'check.{name}.text']}: {block[f'check.{name}.expected']} expected, "
        f"{block[f'check.{name}.found']} found on CPU {block[f'check.{name}.cpu']}"
        for name in CHECKS
        if block[f"check.{name}"] == "fail"
    ]


def screen_complaint(text):
    """What is wrong with the screen that follows the block, to the end of the text; None: nothing."""
    rows = text[text.index(END) + len(END) :].strip().splitlines()
    if len(rows) > ROWS - 1:
        return f"the screen has {len(rows)} rows"
    wide = [row for row in rows if len(row) > COLUMNS]
    return f'"{wide[0]}" is wider than {COLUMNS} columns' if wide else None


def main():
    with open(sys.argv[1], encoding="ascii", errors="replace") if len(sys.argv) > 1 else sys.stdin as file:
        text = file.read()
    try:
        block = parse(text)
    except BlockError as error:
        print(f"tools/selftest.py: {error}", file=sys.stderr)
        return 2
    print(f"{block['cpu']}, {block['cpus']} CPUs")
    for line in failures(block):
        print("FAIL " + line)
    for key in FIGURES + [f"cpu0.{figure}" for figure in CPU_FIGURES]:
        print(f"{key}={block[key]}")
    return 0 if block["result"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
