/* SPDX-License-Identifier: MIT */
/*
 * What a PS/2 keyboard sends, as characters: scan codes of set 1, which the i8042 translates to, by the layout of the
 * United States. Pure C: who asks the i8042 is boot/attend.c.
 */
#ifndef BOOT_KEYBOARD_H
#define BOOT_KEYBOARD_H

#include <stdbool.h>
#include <stdint.h>

/* Which keys are down; zeroed at first. */
struct keyboard {
	bool left_shift, right_shift, control, caps, extended;
};

/* Takes the next byte. Returns the character that it completes, or -1: a key that has none, or one let go. */
int keyboard_take(struct keyboard *keyboard, uint8_t code);

#endif
