/* SPDX-License-Identifier: MIT */
/* The ways to a local APIC's registers: a page, MSRs, and IA32_APIC_BASE, which says which of them. */
#include "guest/devices/local_apic_state.h"

enum { ACCESS_EOI = 0xB0, STRIDE = 16 };

/* The registers of x2APIC that differ: SDM vol. 3, 11.12.1.2. */
enum {
	X2_ID = 0x02,
	X2_VERSION = 0x03,
	X2_TASK_PRIORITY = 0x08,
	X2_PRIORITY = 0x0A,
	X2_EOI = 0x0B,
	X2_LOGICAL = 0x0D,
	X2_SPURIOUS = 0x0F,
	X2_ISR = 0x10,
	X2_ERROR = 0x28,
	X2_COMMAND = 0x30,
	X2_LVT = 0x32,
	X2_INITIAL_COUNT = 0x38,
	X2_CURRENT_COUNT = 0x39,
	X2_DIVIDE = 0x3E,
	X2_SELF = 0x3F,
};

/*
 * Registers are 4 bytes, 16 apart, and written as such; parts of one can be read. The rest of each 16 bytes reads as 0.
 * What a vCPU does to a page that is not its APIC's is not for it.
 */
enum tl_status local_apic_access(struct tl_mmio *access)
{
	struct local_apic_bus *bus = access->context;
	struct local_apic *apic = bus->of(access->vcpu);
	unsigned index = (unsigned)(access->offset / STRIDE), byte = access->offset % STRIDE;
	bool whole = byte == 0 && access->size == 4;

	if (access->gpa - access->offset != apic->page) {
		if (bus->beneath)
			bus->beneath(access);
		else
			access->data = UINT64_MAX;
		return TL_OK;
	}
	if (access->write) {
		if (whole && access->offset == ACCESS_EOI)
			local_apic_end_of_interrupt(apic);
		else if (whole)
			local_apic_write(apic, index, (uint32_t)access->data);
		return TL_OK;
	}
	access->data = byte < 4 ? local_apic_read(apic, index) >> (8 * byte) : 0;
	return TL_OK;
}

/* ---- MSRs ---------------------------------------------------------------------------------------------------------
 */

static bool x2_is_readable(unsigned index)
{
	return index == X2_ID || index == X2_VERSION || index == X2_TASK_PRIORITY || index == X2_PRIORITY ||
	       index == X2_LOGICAL || index == X2_SPURIOUS || (index >= X2_ISR && index <= X2_ERROR) ||
	       index == X2_COMMAND || (index >= X2_LVT && index <= X2_CURRENT_COUNT) || index == X2_DIVIDE;
}

/* What may be written there; bits beyond it are reserved, and -1 marks a register that is not written. */
static int64_t x2_writable(unsigned index)
{
	switch (index) {
	case X2_TASK_PRIORITY:
	case X2_SELF:
		return 0xff;
	case X2_EOI:
	case X2_ERROR:
		return 0;
	case X2_SPURIOUS:
		return 0xff | SPURIOUS_ENABLE | SPURIOUS_NO_BROADCAST;
	case X2_LVT + LVT_TIMER:
		return 0x710ff;
	case X2_LVT + LVT_THERMAL:
	case X2_LVT + LVT_PERFORMANCE:
		return 0x117ff;
	case X2_LVT + LVT_LINT0:
	case X2_LVT + LVT_LINT1:
		return 0x1f7ff;
	case X2_LVT + LVT_ERROR:
		return 0x110ff;
	case X2_INITIAL_COUNT:
		return UINT32_MAX;
	case X2_DIVIDE:
		return 0xb;
	default:
		return -1;
	}
}

static bool x2_write(struct local_apic *apic, unsigned index, uint64_t value)
{
	struct apic_message message = {.delivery = APIC_FIXED, .vector = (uint8_t)value};
	int64_t writable = x2_writable(index);

	if (index == X2_COMMAND) {
		/* Delivery status is not there any more. */
		if (value & 0xfff33000u)
			return false;
		local_apic_write_command(apic, value);
		return true;
	}
	if (writable < 0 || value & ~(uint64_t)writable)
		return false;
	if (index != X2_SELF)
		local_apic_write(apic, index, (uint32_t)value);
	else if (message.vector < FIRST_VECTOR)
		local_apic_error(apic, ERROR_SEND_VECTOR);
	else
		local_apic_bus_send_short(apic->bus, &message, apic, APIC_SELF);
	return true;
}

void local_apic_place(struct local_apic *apic, uint64_t base)
{
	bool mapped = base & APIC_BASE_ENABLE && !(base & APIC_BASE_X2APIC);

	/* relaxed: others see the mode before or after. */
	atomic_store_explicit(&apic->base, base, memory_order_relaxed);
	apic->page = mapped ? base & APIC_BASE_ADDRESS : UINT64_MAX;
}

/* From disabled to x2APIC, and from there to xAPIC, no way leads. SDM vol. 3, 11.12.5. */
static bool local_apic_write_base(struct local_apic *apic, uint64_t value)
{
	/* relaxed: its own. */
	uint64_t old = atomic_load_explicit(&apic->base, memory_order_relaxed);
	uint64_t known = (apic->address_mask & APIC_BASE_ADDRESS) | APIC_BASE_ENABLE | APIC_BASE_X2APIC | APIC_BASE_BSP;
	uint32_t command;
	bool x2 = value & APIC_BASE_X2APIC, on = value & APIC_BASE_ENABLE, was_x2 = old & APIC_BASE_X2APIC;

	if (value & ~known || (x2 && !on) || (x2 && !(old & APIC_BASE_ENABLE)) || (was_x2 && on && !x2))
		return false;
	if (value == old)
		return true;
	command = (uint32_t)local_apic_command(apic);
	local_apic_place(apic, value);
	/* Off, it forgets everything; for x2APIC it has another logical ID and knows no high half of a command. */
	if (!on) {
		local_apic_reset(apic);
	} else if (x2 && !was_x2) {
		apic_set_word(&apic->logical_destination, apic->id >> 4 << 16 | 1u << (apic->id & 0xf));
		local_apic_set_command(apic, command);
	}
	local_apic_show(apic);
	apic->bus->moved(apic);
	local_apic_announce(apic);
	return true;
}

bool local_apic_read_msr(struct local_apic *apic, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_APIC_BASE) {
		/* relaxed: its own. */
		*value = atomic_load_explicit(&apic->base, memory_order_relaxed);
		return true;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*value = apic->deadline;
		return true;
	}
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !local_apic_is_x2(apic) ||
	    !x2_is_readable(msr - MSR_X2APIC_FIRST))
		return false;
	*value = local_apic_read(apic, msr - MSR_X2APIC_FIRST);
	if (msr == MSR_X2APIC_FIRST + X2_COMMAND)
		*value = apic->command;
	return true;
}

bool local_apic_write_msr(struct local_apic *apic, uint32_t msr, uint64_t value)
{
	if (msr == MSR_APIC_BASE)
		return local_apic_write_base(apic, value);
	if (msr == MSR_TSC_DEADLINE) {
		local_apic_set_deadline(apic, value);
		return true;
	}
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !local_apic_is_x2(apic))
		return false;
	return x2_write(apic, msr - MSR_X2APIC_FIRST, value);
}
