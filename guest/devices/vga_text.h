/* SPDX-License-Identifier: MIT */
/*
 * A VGA in its text mode of 80 columns and 25 rows. Its 32 KiB at B8000h are plain memory of the guest's, which it
 * writes without an exit; the host reads them when it wants to show the screen. The registers keep what is written to
 * them. There are neither fonts nor graphics.
 */
#ifndef GUEST_DEVICES_VGA_TEXT_H
#define GUEST_DEVICES_VGA_TEXT_H

#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include <trapline.h>

enum {
	VGA_TEXT_AT = 0xB8000,
	VGA_TEXT_SIZE = 0x8000,
	VGA_TEXT_COLUMNS = 80,
	VGA_TEXT_ROWS = 25,
	VGA_TEXT_CELLS = VGA_TEXT_ROWS * VGA_TEXT_COLUMNS
};
enum { VGA_PORTS_AT = 0x3C0, VGA_PORTS = 0x20 };

/* A register file behind an index and a data port. */
enum { VGA_INDEXED = 32 };
struct vga_indexed {
	uint8_t index, value[VGA_INDEXED];
};

struct vga_text {
	struct lock *lock;
	void *memory; /* VGA_TEXT_SIZE bytes, page-aligned; a guest may be writing to them */
	struct vga_indexed attribute, sequencer, graphics, crtc;
	bool attribute_data; /* the next byte for the attribute controller is data */
	uint8_t misc, status;
	uint16_t taken[VGA_TEXT_CELLS]; /* what vga_text_show() has found there, and what it has shown of that */
	char shown[VGA_TEXT_ROWS][VGA_TEXT_COLUMNS];
};

/* In its mode 3, as firmware leaves it, the screen blank. */
void vga_text_init(struct vga_text *vga, struct lock *lock, void *memory);

struct tl_range vga_text_range(const struct vga_text *vga);
struct port_range vga_text_ports(struct vga_text *vga);

/*
 * Shows what has changed since the last time: `line` gets each row that is new, from above, without its blanks at the
 * end and ended by NUL. Rows that have only moved up are not new, so a guest that scrolls leaves a log. The caller's
 * own serialisation; the lock is not needed. Context: any.
 */
void vga_text_show(struct vga_text *vga, void (*line)(void *context, const char *text), void *context);

#endif
