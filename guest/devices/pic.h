/* SPDX-License-Identifier: MIT */
/*
 * The two 8259A of a PC, the second one at the first one's pin 2, and their edge/level registers (Intel's 82371AB data
 * sheet, 4.4). Where the sheets are silent they do what QEMU's pc has them do: an edge is kept although its wire goes
 * down again before it is acknowledged.
 */
#ifndef GUEST_DEVICES_PIC_H
#define GUEST_DEVICES_PIC_H

#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include <stdint.h>

enum { PIC_FIRST_PORT = 0x20, PIC_SECOND_PORT = 0xA0, PIC_ELCR_PORT = 0x4D0, PIC_PINS = 16 };

struct pic_chip {
	struct pic *pic;
	uint8_t irr, isr, imr;
	uint8_t wires;    /* the levels of the pins */
	uint8_t elcr;     /* pins that are triggered by their level */
	uint8_t lowest;   /* the pin with the lowest priority */
	uint8_t base;     /* of the vectors */
	uint8_t expected; /* the initialisation word that comes next; 0: none */
	bool fourth;      /* of them, there is one */
	bool auto_eoi, rotate_auto, fully_nested, special_mask, poll, read_isr;
};

struct pic {
	struct lock *lock;
	struct line output; /* INTR, told at each change of what stands behind it */
	struct pic_chip chip[2];
};

/* As after power-on: not initialised, nothing masked. Context: host, before vCPUs run. */
void pic_init(struct pic *pic, struct lock *lock, struct line output);

/* The ports of chip 0 or 1, and the edge/level registers of both. */
struct port_range pic_ports(struct pic *pic, unsigned chip);
struct port_range pic_elcr_ports(struct pic *pic);

/* `set` of a struct line whose context is the pair: pins 0 to 15, of which 2 is nobody's. The lock is held. */
void pic_pin(void *context, unsigned pin, bool level);

/* INTA: the vector, which is a spurious 7 if nothing is there any more. Takes the lock. */
uint8_t pic_acknowledge(struct pic *pic);

#endif
