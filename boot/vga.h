/* SPDX-License-Identifier: MIT */
/* The VGA's text screen, 80 columns by 25 rows. */
#ifndef BOOT_VGA_H
#define BOOT_VGA_H

enum { VGA_COLUMNS = 80, VGA_ROWS = 25 };

/* Clears the screen. Precondition for all: the page at 0xB8000 is mapped. Context: host, one CPU. */
void vga_init(void);

/* Writes one character at the cursor; '\n' starts a row, '\r' returns to its start, '\t' goes to a multiple of 8. */
void vga_put(char c);

/* Shows these characters, row by row, in place of the text, which goes on unseen; NULL: the text again. */
void vga_page(const char *cells);

#endif
