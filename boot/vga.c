/* SPDX-License-Identifier: MIT */
#include "boot/vga.h"

#include <stdint.h>

#include "boot/cpu.h"

enum { VGA_GREY = 0x0700 /* on black */, VGA_BLANK = VGA_GREY | ' ' };
/* The cells from which the other page is shown: the second of those that the text's memory holds. */
enum { VGA_PAGE = 0x800 };
enum { CRTC_INDEX = 0x3D4, CRTC_DATA = 0x3D5 };
enum { CRTC_START_HIGH = 0x0C, CRTC_START_LOW = 0x0D, CRTC_CURSOR_HIGH = 0x0E, CRTC_CURSOR_LOW = 0x0F };

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

/* A pair of registers that hold the number of a cell. */
static void vga_set_cell(uint8_t high, uint8_t low, unsigned cell)
{
	io_write8(CRTC_INDEX, high);
	io_write8(CRTC_DATA, (uint8_t)(cell >> 8));
	io_write8(CRTC_INDEX, low);
	io_write8(CRTC_DATA, (uint8_t)cell);
}

static void vga_show_cursor(void)
{
	vga_set_cell(CRTC_CURSOR_HIGH, CRTC_CURSOR_LOW, vga_row * VGA_COLUMNS + vga_column);
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
		vga_cells[vga_row * VGA_COLUMNS + vga_column++] = (uint16_t)(VGA_GREY | (uint8_t)c);
	}
}

/* The cursor stays in the text, so that the page has none. */
void vga_page(const char *cells)
{
	for (unsigned i = 0; cells && i < VGA_COLUMNS * VGA_ROWS; i++)
		vga_cells[VGA_PAGE + i] = (uint16_t)(VGA_GREY | (uint8_t)cells[i]);
	vga_set_cell(CRTC_START_HIGH, CRTC_START_LOW, cells ? VGA_PAGE : 0);
}
