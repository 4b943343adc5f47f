/* SPDX-License-Identifier: MIT */
/* What registers hold and take, alike for xAPIC and x2APIC. SDM vol. 3, table 11-1. */
#include "guest/devices/local_apic.h"
#include "guest/devices/local_apic_state.h"

enum {
	VERSION = 0x14 | (NR_LVTS - 1) << 16 | 1 << 24,
	SPURIOUS_RESET = 0xff,
	SPURIOUS_WRITABLE = 0xff | SPURIOUS_ENABLE | SPURIOUS_NO_BROADCAST,
	ID_SHIFT = 24,
};

#define FORMAT_RESET UINT32_MAX

/* The ICR's. */
enum {
	COMMAND_LOGICAL = 1 << 11,
	COMMAND_ASSERT = 1 << 14,
	COMMAND_LEVEL = 1 << 15,
	COMMAND_SHORTHAND_SHIFT = 18,
	COMMAND_WRITABLE = 0xccfff,
	XAPIC_BROADCAST = 0xff
};

/* Of the LVT entries, in their order. What else they hold cannot be written. */
static const uint32_t lvt_writable[NR_LVTS] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

void local_apic_reset(struct local_apic *apic)
{
	bool x2 = local_apic_is_x2(apic);

	for (unsigned i = 0; i < LOCAL_APIC_WORDS; i++) {
		apic->isr[i] = 0;
		/* relaxed: what is sent meanwhile comes before or after. */
		atomic_store_explicit(&apic->irr[i], 0, memory_order_relaxed);
		atomic_store_explicit(&apic->tmr[i], 0, memory_order_relaxed);
	}
	if (apic->registers)
		local_apic_page_reset(apic);
	for (unsigned i = 0; i < NR_LVTS; i++)
		apic_set_word(&apic->lvt[i], LVT_MASKED);
	apic_set_word(&apic->spurious, SPURIOUS_RESET);
	apic_set_word(apic->task_priority, 0);
	/* SDM vol. 3, 11.12.10.2. */
	apic_set_word(&apic->logical_destination, x2 ? apic->id >> 4 << 16 | 1u << (apic->id & 0xf) : 0);
	apic_set_word(&apic->destination_format, FORMAT_RESET);
	apic_set_word(&apic->errors, 0);
	apic->error_status = 0;
	local_apic_set_command(apic, 0);
	local_apic_timer_reset(apic);
	local_apic_show(apic);
}

void local_apic_init(struct local_apic *apic, struct local_apic_bus *bus, uint32_t id, bool bsp,
		     const struct clock *clock, unsigned physical_bits)
{
	*apic = (struct local_apic){.id = id, .bus = bus};
	apic->task_priority = &apic->own_priority;
	apic->address_mask = (1ull << physical_bits) - 1;
	local_apic_timer_init(apic, clock);
	local_apic_place(apic, LOCAL_APIC_AT | APIC_BASE_ENABLE | (bsp ? APIC_BASE_BSP : 0));
	local_apic_reset(apic);
	bus->apic[bus->count++] = apic;
}

void local_apic_virtual_wire(struct local_apic *apic)
{
	apic_set_word(&apic->spurious, SPURIOUS_RESET | SPURIOUS_ENABLE);
	apic_set_word(&apic->lvt[LVT_LINT0], APIC_EXTINT << LVT_DELIVERY_SHIFT);
	apic_set_word(&apic->lvt[LVT_LINT1], APIC_NMI << LVT_DELIVERY_SHIFT);
	local_apic_show(apic);
}

static uint32_t local_apic_part(const _Atomic uint64_t *set, unsigned part)
{
	/* relaxed: a guest that reads it beside a sender gets it before or after. */
	return (uint32_t)(atomic_load_explicit(&set[part / 2], memory_order_relaxed) >> 32 * (part % 2));
}

static uint32_t local_apic_read_set(struct local_apic *apic, unsigned index)
{
	unsigned part = index % 8;

	if (apic->registers && index >= REGISTER_IRR)
		return local_apic_page_requests(apic, part);
	if (apic->registers && index < REGISTER_TMR)
		return apic_word(apic_register(apic, index));
	if (index < REGISTER_TMR)
		return (uint32_t)(apic->isr[part / 2] >> 32 * (part % 2));
	return local_apic_part(index < REGISTER_IRR ? apic->tmr : apic->irr, part);
}

uint32_t local_apic_read(struct local_apic *apic, unsigned index)
{
	if (index >= REGISTER_ISR && index < REGISTER_ERROR)
		return local_apic_read_set(apic, index);
	if (index >= REGISTER_LVT && index < REGISTER_LVT + NR_LVTS)
		return apic_word(&apic->lvt[index - REGISTER_LVT]);
	switch (index) {
	case REGISTER_ID:
		return local_apic_is_x2(apic) ? apic->id : apic->id << ID_SHIFT;
	case REGISTER_VERSION:
		return VERSION;
	case REGISTER_TASK_PRIORITY:
		return apic_word(apic->task_priority);
	case REGISTER_PRIORITY:
		return local_apic_priority(apic);
	case REGISTER_LOGICAL:
		return apic_word(&apic->logical_destination);
	case REGISTER_FORMAT:
		return apic_word(&apic->destination_format);
	case REGISTER_SPURIOUS:
		return apic_word(&apic->spurious);
	case REGISTER_ERROR:
		return apic->error_status;
	case REGISTER_COMMAND:
		return (uint32_t)local_apic_command(apic);
	case REGISTER_COMMAND_HIGH:
		return (uint32_t)(local_apic_command(apic) >> 32);
	case REGISTER_INITIAL_COUNT:
		return apic->initial_count;
	case REGISTER_CURRENT_COUNT:
		return local_apic_current_count(apic);
	case REGISTER_DIVIDE:
		return apic->divide;
	case REGISTER_ARBITRATION:
	case REGISTER_EOI:
	case REGISTER_REMOTE_READ:
		return 0;
	default:
		local_apic_error(apic, ERROR_REGISTER);
		return 0;
	}
}

/* While the APIC is disabled by software, every entry is masked and stays so. */
static void local_apic_write_lvt(struct local_apic *apic, enum local_apic_lvt which, uint32_t value)
{
	uint32_t old = apic_word(&apic->lvt[which]);

	value &= lvt_writable[which];
	if (!(apic_word(&apic->spurious) & SPURIOUS_ENABLE))
		value |= LVT_MASKED;
	apic_set_word(&apic->lvt[which], value);
	if (which == LVT_TIMER)
		local_apic_timer_mode(apic, old);
	else if (which == LVT_LINT0)
		local_apic_announce(apic);
}

static void local_apic_write_spurious(struct local_apic *apic, uint32_t value)
{
	apic_set_word(&apic->spurious, value & SPURIOUS_WRITABLE);
	for (unsigned i = 0; i < NR_LVTS && !(value & SPURIOUS_ENABLE); i++)
		apic_set_word(&apic->lvt[i], apic_word(&apic->lvt[i]) | LVT_MASKED);
}

static void local_apic_write_priority(struct local_apic *apic, uint32_t value)
{
	apic_set_word(apic->task_priority, value & 0xff);
	local_apic_announce(apic);
}

uint8_t local_apic_read_cr8(const struct local_apic *apic)
{
	return (uint8_t)(apic_word(apic->task_priority) >> 4);
}

void local_apic_write_cr8(struct local_apic *apic, uint8_t value)
{
	local_apic_write_priority(apic, (uint32_t)value << 4);
}

/*
 * Shorthands other than "all but self" are for fixed interrupts, as the SDM's table 11-3 has it; NMIs are let through,
 * as processors do, but nobody resets or starts himself. An INIT that is de-asserted does nothing on a processor of
 * today.
 */
void local_apic_write_command(struct local_apic *apic, uint64_t command)
{
	uint32_t low = (uint32_t)command & COMMAND_WRITABLE, high = (uint32_t)(command >> 32);
	enum apic_shorthand shorthand = low >> COMMAND_SHORTHAND_SHIFT & 3;
	struct apic_message message = {.destination = high,
				       .delivery = low >> LVT_DELIVERY_SHIFT & 7,
				       .vector = (uint8_t)low,
				       .logical = low & COMMAND_LOGICAL};
	bool interrupt = message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST_PRIORITY;
	bool starts = message.delivery == APIC_INIT || message.delivery == APIC_STARTUP;

	local_apic_set_command(apic, low | (uint64_t)high << 32);
	if (!local_apic_is_x2(apic))
		message.destination = high >> ID_SHIFT == XAPIC_BROADCAST ? APIC_BROADCAST : high >> ID_SHIFT;
	if (interrupt && message.vector < FIRST_VECTOR)
		local_apic_error(apic, ERROR_SEND_VECTOR);
	else if (message.delivery == APIC_INIT && (low & (COMMAND_LEVEL | COMMAND_ASSERT)) == COMMAND_LEVEL)
		return;
	else if (!starts || shorthand == APIC_NO_SHORTHAND || shorthand == APIC_ALL_BUT_SELF)
		local_apic_bus_send_short(apic->bus, &message, apic, shorthand);
}

static void local_apic_write_register(struct local_apic *apic, unsigned index, uint32_t value)
{
	if (index >= REGISTER_LVT && index < REGISTER_LVT + NR_LVTS) {
		local_apic_write_lvt(apic, index - REGISTER_LVT, value);
		return;
	}
	switch (index) {
	case REGISTER_TASK_PRIORITY:
		local_apic_write_priority(apic, value);
		break;
	case REGISTER_EOI:
		local_apic_end_of_interrupt(apic);
		break;
	case REGISTER_LOGICAL:
		apic_set_word(&apic->logical_destination, value & 0xffu << ID_SHIFT);
		break;
	case REGISTER_FORMAT:
		apic_set_word(&apic->destination_format, value | 0x0fffffff);
		break;
	case REGISTER_SPURIOUS:
		local_apic_write_spurious(apic, value);
		break;
	case REGISTER_ERROR:
		/* relaxed: as in local_apic_error(). */
		apic->error_status = atomic_exchange_explicit(&apic->errors, 0, memory_order_relaxed);
		break;
	case REGISTER_COMMAND:
		local_apic_write_command(apic, (local_apic_command(apic) & ~(uint64_t)UINT32_MAX) | value);
		break;
	case REGISTER_COMMAND_HIGH:
		local_apic_set_command(apic, (uint32_t)local_apic_command(apic) | (uint64_t)(value & 0xffu << ID_SHIFT)
											  << 32);
		break;
	case REGISTER_INITIAL_COUNT:
		local_apic_set_initial_count(apic, value);
		break;
	case REGISTER_DIVIDE:
		local_apic_set_divide(apic, value);
		break;
	default:
		/* Those that are read alone, and the ID, drop what is written. */
		local_apic_read(apic, index);
		break;
	}
}

void local_apic_write(struct local_apic *apic, unsigned index, uint32_t value)
{
	local_apic_write_register(apic, index, value);
	local_apic_show(apic);
}
