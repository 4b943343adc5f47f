/* SPDX-License-Identifier: MIT */
/* Comparing what a program left with a device and with RAM. */
#ifndef GUEST_STUBS_INSNS_REPORT_H
#define GUEST_STUBS_INSNS_REPORT_H

#include "guest/stubs/insns/seed.h"

/* One of the two ends of a program. */
struct outcome {
	struct machine_run run;
	uint8_t *memory; /* WINDOW_MEMORY bytes */
};

/* Whether both are the same; prints what is not. */
bool report_compare(const struct seed *seed, const struct outcome *with_ram, const struct outcome *with_device);

/* Prints that no run of the row accessed a device; the last one's end says why. */
void report_unreached(const struct seed *seed, const struct outcome *outcome);

#endif
