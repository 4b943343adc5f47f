#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns a font of GRUB's into the array that boot/framebuffer.c draws with (boot/font.h).

    tools/font.py > build/obj/font.c

The font is GNU Unifont, which Debian's grub-common brings as unicode.pf2: GPL 2 or later with the exception for fonts that
are embedded, or the SIL Open Font License 1.1. The format is described in GRUB's developers' manual, "PFF2".
"""

import os
import struct
import sys

FONT = "/usr/share/grub/unicode.pf2"
PACKAGE = "grub-common"
WIDTH, HEIGHT = 8, 16
FIRST, LAST = 0x20, 0x7E  # what is printed
BOX = 0x25A1  # a white square, for everything else


class FontError(Exception):
    """The font cannot be used; the text says why."""


def sections(data):
    """(name, where its contents begin, their length) of each; the last one, DATA, is the rest of the file."""
    at = 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from(">I", data, at + 4)[0]
        yield name, at + 8, size
        if name == b"DATA":
            return
        at += 8 + size


def glyph_rows(data, at, ascent):
    """The rows of a cell, top first, each a byte whose highest bit is the leftmost pixel."""
    width, height, left, bottom, _ = struct.unpack_from(">HHhhh", data, at)
    size = (width * height + 7) // 8  # rows follow each other without a gap
    bits = int.from_bytes(data[at + 10 : at + 10 + size], "big")
    rows = [0] * HEIGHT
    top = ascent - bottom - height
    for y in range(height):
        for x in range(width):
            if not bits >> (8 * size - 1 - (y * width + x)) & 1:
                continue
            if not (0 <= left + x < WIDTH and 0 <= top + y < HEIGHT):
                raise FontError(f"a glyph does not fit into {WIDTH} by {HEIGHT} pixels")
            rows[top + y] |= 0x80 >> (left + x)
    return rows


def read_font(path=FONT):
    """The rows of the characters FIRST to LAST, and as the last one those of the box."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise FontError(f"{path}: {error.strerror}; install the package {PACKAGE}") from None
    found = {name: (at, size) for name, at, size in sections(data)}
    if data[8:12] != b"PFF2" or not {b"CHIX", b"ASCE"} <= set(found):
        raise FontError(f"{path} is no font of GRUB's")
    ascent = struct.unpack_from(">H", data, found[b"ASCE"][0])[0]
    begin, size = found[b"CHIX"]
    index = {code: offset for code, _, offset in struct.iter_unpack(">IBI", data[begin : begin + size])}
    wanted = [*range(FIRST, LAST + 1), BOX]
    for code in wanted:
        if code not in index:
            raise FontError(f"{path} lacks the character U+{code:04X}")
    return [glyph_rows(data, index[code], ascent) for code in wanted]


def c_source(glyphs):
    rows = ["\t{" + ", ".join(f"0x{row:02x}" for row in glyph) + "}," for glyph in glyphs]
    lines = ['#include "boot/font.h"', "", "const uint8_t font_glyphs[FONT_GLYPHS][FONT_HEIGHT] = {", *rows, "};", ""]
    return "\n".join(lines)


def main():
    try:
        sys.stdout.write(c_source(read_font(os.environ.get("FONT") or FONT)))
    except FontError as error:
        print(f"tools/font.py: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
