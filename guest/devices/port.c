/* SPDX-License-Identifier: MIT */
#include "guest/devices/port.h"

enum { PORT_SPACE = 0x10000 };

/* The number of ranges that begin at or below the port. */
static unsigned ports_up_to(const struct ports *ports, uint32_t port)
{
	unsigned low = 0, high = ports->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (ports->range[middle].first <= port)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t port_end(const struct port_range *range)
{
	return (uint32_t)range->first + range->count;
}

/* The range in which the port stands; NULL: there is none. */
static const struct port_range *ports_find(const struct ports *ports, uint32_t port)
{
	unsigned at = ports_up_to(ports, port);

	return at && port < port_end(&ports->range[at - 1]) ? &ports->range[at - 1] : NULL;
}

bool ports_add(struct ports *ports, struct port_range range)
{
	unsigned at = ports_up_to(ports, range.first);

	if (ports->count == PORTS_MOST || !range.count || port_end(&range) > PORT_SPACE ||
	    (at && port_end(&ports->range[at - 1]) > range.first) ||
	    (at < ports->count && port_end(&range) > ports->range[at].first))
		return false;
	for (unsigned i = ports->count++; i > at; i--)
		ports->range[i] = ports->range[i - 1];
	ports->range[at] = range;
	return true;
}

uint32_t ports_read(const struct ports *ports, uint16_t port, unsigned size)
{
	const struct port_range *range = ports_find(ports, port);
	uint32_t data = 0;

	if (range && port + size <= port_end(range))
		return range->read ? range->read(range->context, (uint16_t)(port - range->first), size) : UINT32_MAX;
	if (size == 1)
		return UINT32_MAX;
	for (unsigned i = 0; i < size; i++)
		data |= (ports_read(ports, (uint16_t)(port + i), 1) & 0xff) << (8 * i);
	return data;
}

void ports_write(const struct ports *ports, uint16_t port, unsigned size, uint32_t data)
{
	const struct port_range *range = ports_find(ports, port);

	if (range && port + size <= port_end(range)) {
		if (range->write)
			range->write(range->context, (uint16_t)(port - range->first), size, data);
		return;
	}
	for (unsigned i = 0; i < size && size > 1; i++)
		ports_write(ports, (uint16_t)(port + i), 1, data >> (8 * i) & 0xff);
}
