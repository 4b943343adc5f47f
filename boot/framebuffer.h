/* SPDX-License-Identifier: MIT */
/*
 * Text on a linear framebuffer. What is written stands in a buffer of characters in RAM; framebuffer_show() draws what
 * differs from what the screen shows, line of pixels by line, and reads nothing back. Pure C: it runs hosted as well.
 */
#ifndef BOOT_FRAMEBUFFER_H
#define BOOT_FRAMEBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/multiboot.h"

/* The bytes from the framebuffer's base on that are written. */
uint64_t framebuffer_size(const struct boot_framebuffer *layout);

/*
 * Takes a layout and clears the text. Large screens get letters of whole multiples of 8 by 16 pixels. false: text
 * cannot be drawn on it, and `reason` holds one sentence, cut to `size` bytes. Context for all: host, one CPU at a
 * time.
 */
bool framebuffer_init(const struct boot_framebuffer *layout, char *reason, size_t size);

/* Where its base is mapped from now on, which may be NULL. All of it is drawn by the next framebuffer_show(). */
void framebuffer_map(void *memory);

/* Characters in a row, and rows. */
unsigned framebuffer_columns(void);
unsigned framebuffer_rows(void);

/*
 * Writes one character at the end of the text; '\n', '\r' and '\t' as vga_put() does. Behind the last row the text
 * moves up by an eighth of the screen. Draws nothing.
 */
void framebuffer_put(char c);

/*
 * Shows `rows` rows of `columns` characters from the top left corner on in place of the text, which goes on unseen;
 * NULL: the text again. What does not fit is cut. Draws nothing.
 */
void framebuffer_page(const char *cells, unsigned columns, unsigned rows);

/* Draws what has changed. Nothing happens while it is not mapped. */
void framebuffer_show(void);

#endif
