/* SPDX-License-Identifier: MIT */
/* Devices of DEVICE_KIND_MEMORY: RAM that comes and goes, and the log of its writes. */
#ifndef GUEST_DEVICE_MEMORY_H
#define GUEST_DEVICE_MEMORY_H

#include "guest/device.h"
#include <stdbool.h>
#include <stdint.h>

/* Gives the device its memory, once; it keeps it, and what is in it, while it is not in the map. False: there is none.
 */
bool device_memory_create(struct device *device);
void device_memory_destroy(struct device *device);

/* HC_DIRTY: the four arguments as the guest gave them. Context: host. */
uint64_t device_memory_dirty(struct platform *platform, const uint64_t argument[4]);

#endif
