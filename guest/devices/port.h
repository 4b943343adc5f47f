/* SPDX-License-Identifier: MIT */
/* A machine's I/O ports: ranges, each with a device behind it. */
#ifndef GUEST_DEVICES_PORT_H
#define GUEST_DEVICES_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An access is of 1, 2 or 4 bytes and lies within the range; `offset` is its first byte's. Its data begins with bit 0;
 * bits above the size are 0 when written and ignored when read. A callback that is NULL: reads are ones, writes go
 * nowhere.
 */
struct port_range {
	uint16_t first, count;
	uint32_t (*read)(void *context, uint16_t offset, unsigned size);
	void (*write)(void *context, uint16_t offset, unsigned size, uint32_t data);
	void *context;
};

enum { PORTS_MOST = 48 };

/* Sorted. All zeros: none. Constant while a vCPU runs. */
struct ports {
	struct port_range range[PORTS_MOST];
	unsigned count;
};

/* False: it has no port or meets another one, it passes FFFFh, or there are too many. */
bool ports_add(struct ports *ports, struct port_range range);

/* What no range claims whole is accessed byte by byte; bytes that none claims are ones, and written nowhere. */
uint32_t ports_read(const struct ports *ports, uint16_t port, unsigned size);
void ports_write(const struct ports *ports, uint16_t port, unsigned size, uint32_t data);

#endif
