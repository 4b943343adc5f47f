/* SPDX-License-Identifier: MIT */
/* Changes of the map that a guest asks for, made at once or from within a device's callback. */
#ifndef GUEST_SCENARIO_H
#define GUEST_SCENARIO_H

#include "guest/abi.h"
#include <trapline.h>

struct platform;

struct scenario_edit {
	enum abi_edit edit;
	unsigned device, second; /* enum abi_device_id */
	uint64_t operand;
};

/* HC_EDIT: the four arguments as the guest gave them; returns what the guest gets. Context: host. */
uint64_t scenario_edit(struct platform *platform, const uint64_t argument[4]);

/* One more device access while plan_countdown is not 0; at 0 the plan is committed. Context: callback. */
void scenario_count(struct platform *platform);

/* HC_GROW. Context: host. */
uint64_t scenario_grow(struct platform *platform, uint64_t count);

#endif
