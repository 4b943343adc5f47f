/* SPDX-License-Identifier: MIT */
/* The letters of the framebuffer's text. tools/font.py makes the array from a font of the distribution. */
#ifndef BOOT_FONT_H
#define BOOT_FONT_H

#include <stdint.h>

enum { FONT_WIDTH = 8, FONT_HEIGHT = 16 };
/* The printable characters of ASCII, and a box for all others. */
enum { FONT_FIRST = ' ', FONT_LAST = '~', FONT_GLYPHS = FONT_LAST - FONT_FIRST + 2 };

/* The rows of each, from the top; a row's highest bit is its leftmost pixel. */
extern const uint8_t font_glyphs[FONT_GLYPHS][FONT_HEIGHT];

static inline const uint8_t *font_glyph(char c)
{
	return font_glyphs[c >= FONT_FIRST && c <= FONT_LAST ? c - FONT_FIRST : FONT_GLYPHS - 1];
}

#endif
