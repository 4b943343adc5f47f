/* SPDX-License-Identifier: MIT */
/* A wire from a device to a pin of something else: an interrupt controller, the A20 gate. */
#ifndef GUEST_DEVICES_LINE_H
#define GUEST_DEVICES_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* All zeros: it leads nowhere. */
struct line {
	void (*set)(void *context, unsigned pin, bool level);
	void *context;
	unsigned pin;
};

/* The level from now on, which may be the one that it has already. Called with the machine's lock held. */
static inline void line_set(const struct line *line, bool level)
{
	if (line->set != NULL)
		line->set(line->context, line->pin, level);
}

#endif
