/* SPDX-License-Identifier: MIT */
/* A keyboard at its end of the wire; the controller is i8042.h. */
#ifndef GUEST_DEVICES_KEYBOARD_H
#define GUEST_DEVICES_KEYBOARD_H

#include "guest/devices/byte_queue.h"

struct keyboard {
	struct byte_queue output;
	uint8_t command; /* one whose parameter comes next; 0: none */
	uint8_t set;     /* of scan codes: 1 or 2 */
	uint8_t last;    /* byte that the controller got */
	bool scanning;
	bool released; /* see keyboard_translate() */
};

void keyboard_reset(struct keyboard *keyboard);

/* A byte from the controller, and the next one for it; false: there is none. */
void keyboard_write(struct keyboard *keyboard, uint8_t byte);
bool keyboard_read(struct keyboard *keyboard, uint8_t *byte);

/* See i8042_key(). */
bool keyboard_press(struct keyboard *keyboard, const uint8_t *code, unsigned size);

/* A byte of set 2 in set 1; false: there is none, since it says of the next that its key is released. */
bool keyboard_translate(uint8_t *byte, bool *released);

#endif
