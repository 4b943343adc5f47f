/* SPDX-License-Identifier: MIT */
/* What a device tells its machine when the guest resets it or turns it off. */
#ifndef GUEST_DEVICES_ENDING_H
#define GUEST_DEVICES_ENDING_H

#include <stdint.h>

enum ending_kind {
	ENDING_RESET,     /* the whole machine is to begin anew */
	ENDING_POWER_OFF, /* it is off */
	ENDING_EXIT,      /* it is off, and `code` is what its guest has to say */
};

/* Called in the access that does it, with the machine's lock held: notes it, and has the vCPUs leave their guests. */
struct ending {
	void (*end)(void *context, enum ending_kind kind, uint32_t code);
	void *context;
};

#endif
