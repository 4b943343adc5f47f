/* SPDX-License-Identifier: MIT */
#include "boot/vga.h"

#include <stdint.h>

#include "boot/cpu.h"

enum { VGA_COLUMNS = 80, VGA_ROWS = 25, VGA_BLANK = 0x0720 /* grey on black, a space */ };
enum { CRTC_INDEX = 0x3D4, CRTC_DATA = 0x3D5, CRTC_CURSOR_HIGH = 0x0E, CRTC_CURSOR_LOW = 0x0F };

static volatile uint16_t *const vga_cells = (volatile uint16_t *)0xB8000;
static unsigned vga_row, vga_column;

static void vga_blank_row(unsigned row)
{
	for (unsigned i = 0; i < VGA_COLUMNS; i++)
		vga_cells[row * VGA_COLUMNS + i] = VGA_BLANK;
}

static void vga_next_row(void)
{
	vga_column = 0;
	if (++vga_row < VGA_ROWS)
		return;
	vga_row = VGA_ROWS - 1;
	for (unsigned i = 0; i < VGA_COLUMNS * (VGA_ROWS - 1); i++)
		vga_cells[i] = vga_cells[i + VGA_COLUMNS];
	vga_blank_row(VGA_ROWS - 1);
}

static void vga_show_cursor(void)
{
	unsigned at = vga_row * VGA_COLUMNS + vga_column;

	io_write8(CRTC_INDEX, CRTC_CURSOR_HIGH);
	io_write8(CRTC_DATA, (uint8_t)(at >> 8));
	io_write8(CRTC_INDEX, CRTC_CURSOR_LOW);
	io_write8(CRTC_DATA, (uint8_t)at);
}

void vga_init(void)
{
	for (unsigned row = 0; row < VGA_ROWS; row++)
		vga_blank_row(row);
	vga_row = vga_column = 0;
	vga_show_cursor();
}

void vga_put(char c)
{
	switch (c) {
	case '\n':
		vga_next_row();
		vga_show_cursor();
		break;
	case '\r':
		vga_column = 0;
		break;
	case '\t':
		do {
			vga_put(' ');
		} while (vga_column % 8);
		break;
	default:
		/* Only now: a line of exactly 80 characters leaves no empty row behind it. */
		if (vga_column == VGA_COLUMNS)
			vga_next_row();
		vga_cells[vga_row * VGA_COLUMNS + vga_column++] = (uint16_t)(0x0700 | (uint8_t)c);
	}
}
