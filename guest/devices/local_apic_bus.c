/* SPDX-License-Identifier: MIT */
#include "guest/devices/local_apic_bus.h"
#include "guest/devices/local_apic_state.h"

enum { FORMAT_SHIFT = 28, FORMAT_FLAT = 0xf, LOGICAL_SHIFT = 24 };

static bool local_apic_is_physical(const struct local_apic *apic, uint32_t destination)
{
	return destination == (local_apic_is_x2(apic) ? apic->id : apic->id & 0xff);
}

/* SDM vol. 3, 11.6.2.2 and 11.12.10.1. */
static bool local_apic_is_logical(const struct local_apic *apic, uint32_t destination)
{
	uint32_t own = apic_word(&apic->logical_destination);
	bool flat = apic_word(&apic->destination_format) >> FORMAT_SHIFT == FORMAT_FLAT;

	if (local_apic_is_x2(apic))
		return own >> 16 == destination >> 16 && own & destination & 0xffff;
	own >>= LOGICAL_SHIFT;
	if (destination > 0xff && destination != APIC_BROADCAST)
		return false;
	if (flat || destination == APIC_BROADCAST)
		return own & destination;
	return (own >> 4 == destination >> 4 || destination >> 4 == 0xf) && own & destination & 0xf;
}

static bool local_apic_is_meant(const struct local_apic *apic, const struct apic_message *message)
{
	if (!local_apic_enabled(apic))
		return false;
	if (message->destination == APIC_BROADCAST && (!message->logical || local_apic_is_x2(apic)))
		return true;
	return message->logical ? local_apic_is_logical(apic, message->destination)
				: local_apic_is_physical(apic, message->destination);
}

/* A software-disabled APIC still takes NMI, INIT, startup and SMI. SDM vol. 3, 11.4.7.2. */
static bool local_apic_deliver(struct local_apic *apic, const struct apic_message *message)
{
	const struct local_apic_bus *bus = apic->bus;

	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		return local_apic_accept(apic, message->vector, message->level);
	case APIC_NMI:
		bus->nmi(apic);
		return true;
	case APIC_INIT:
		bus->init(apic);
		return true;
	case APIC_STARTUP:
		bus->startup(apic, message->vector);
		return true;
	case APIC_SMI:
		if (bus->smi)
			bus->smi(apic);
		return bus->smi;
	case APIC_EXTINT:
		break;
	}
	return false;
}

/* The one that does the least important thing, by its TPR; among equals vectors choose, so that they are spread. */
static struct local_apic *local_apic_bus_arbitrate(struct local_apic *const *apic, unsigned count, uint8_t vector)
{
	uint32_t lowest = UINT32_MAX;
	unsigned nr_lowest = 0, turn;

	for (unsigned i = 0; i < count; i++) {
		uint32_t priority = apic_word(apic[i]->task_priority) >> 4;

		if (priority < lowest)
			nr_lowest = 0;
		if (priority <= lowest) {
			lowest = priority;
			nr_lowest++;
		}
	}
	turn = vector % nr_lowest;
	for (unsigned i = 0;; i++)
		if (i == count - 1 || (apic_word(apic[i]->task_priority) >> 4 == lowest && !turn--))
			return apic[i];
}

static unsigned local_apic_bus_send_to(struct local_apic *const *apic, unsigned count,
				       const struct apic_message *message)
{
	struct local_apic *enabled[LOCAL_APICS_MOST];
	unsigned taken = 0, nr_enabled = 0;

	if (message->delivery != APIC_LOWEST_PRIORITY) {
		for (unsigned i = 0; i < count; i++)
			taken += local_apic_deliver(apic[i], message);
		return taken;
	}
	for (unsigned i = 0; i < count; i++)
		if (apic_word(&apic[i]->spurious) & SPURIOUS_ENABLE)
			enabled[nr_enabled++] = apic[i];
	return nr_enabled &&
	       local_apic_deliver(local_apic_bus_arbitrate(enabled, nr_enabled, message->vector), message);
}

unsigned local_apic_bus_send(struct local_apic_bus *bus, const struct apic_message *message)
{
	struct local_apic *meant[LOCAL_APICS_MOST];
	unsigned count = 0;

	for (unsigned i = 0; i < bus->count; i++)
		if (local_apic_is_meant(bus->apic[i], message))
			meant[count++] = bus->apic[i];
	return local_apic_bus_send_to(meant, count, message);
}

unsigned local_apic_bus_send_short(struct local_apic_bus *bus, const struct apic_message *message,
				   struct local_apic *sender, enum apic_shorthand shorthand)
{
	struct local_apic *meant[LOCAL_APICS_MOST];
	unsigned count = 0;

	if (shorthand == APIC_NO_SHORTHAND)
		return local_apic_bus_send(bus, message);
	for (unsigned i = 0; i < bus->count; i++)
		if (local_apic_enabled(bus->apic[i]) &&
		    (bus->apic[i] == sender ? shorthand != APIC_ALL_BUT_SELF : shorthand != APIC_SELF))
			meant[count++] = bus->apic[i];
	return local_apic_bus_send_to(meant, count, message);
}
