/* SPDX-License-Identifier: MIT */
#include "boot/input.h"

#include <stdatomic.h>

static enum input_to addressee(const struct input *input)
{
	return input->monitor ? INPUT_MONITOR : INPUT_GUEST;
}

enum input_to input_route(struct input *input, uint8_t byte)
{
	if (!input->prefixed) {
		input->prefixed = byte == INPUT_PREFIX;
		return input->prefixed ? INPUT_NOBODY : addressee(input);
	}
	input->prefixed = false;
	switch (byte) {
	case INPUT_PREFIX:
		return addressee(input);
	case 'c':
		input->monitor = !input->monitor;
		return INPUT_SWITCH;
	case 'd':
		return INPUT_DASHBOARD;
	case 'x':
		return INPUT_QUIT;
	default: /* as in QEMU: who does not know the keys is told them */
		return INPUT_HELP;
	}
}

static uint8_t kept[INPUT_KEPT];
static _Atomic unsigned nr_kept, nr_read;

bool input_keep(uint8_t byte)
{
	unsigned at = atomic_load_explicit(&nr_kept, memory_order_relaxed);

	/* acquire: the place was read before it is filled again. */
	if (at - atomic_load_explicit(&nr_read, memory_order_acquire) == INPUT_KEPT)
		return false;
	kept[at % INPUT_KEPT] = byte;
	/* release: the byte is there before it is counted. */
	atomic_store_explicit(&nr_kept, at + 1, memory_order_release);
	return true;
}

int input_read(void)
{
	unsigned at = atomic_load_explicit(&nr_read, memory_order_relaxed);
	int byte;

	/* acquire, release: the two sides of input_keep(). */
	if (at == atomic_load_explicit(&nr_kept, memory_order_acquire))
		return -1;
	byte = kept[at % INPUT_KEPT];
	atomic_store_explicit(&nr_read, at + 1, memory_order_release);
	return byte;
}
