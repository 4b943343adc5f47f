/* SPDX-License-Identifier: MIT */
/* What stands in memory where a program's operand is. */
#ifndef GUEST_STUBS_INSNS_FILL_H
#define GUEST_STUBS_INSNS_FILL_H

#include "guest/stubs/insns/seed.h"

/* The memory behind the window: of the runs with RAM, and of those with devices, where pages 1 to 3 are the devices'.
 */
enum { WITH_RAM, WITH_DEVICE };
extern uint8_t fill_window[2][WINDOW_MEMORY + PAGE];

/* Writes the low `size` bytes, 8 at most, to a place in the window, for both runs. */
void fill_memory(uint32_t at, uint64_t value, unsigned size);

/* By seed->row->fill. May choose registers to go with it. */
void fill_operand(struct seed *seed);

#endif
