/* SPDX-License-Identifier: MIT */
#include "boot/apic.h"

#include <stddef.h>

#include "boot/cpu.h"
#include "boot/idt.h"
#include "boot/paging.h"
#include "boot/tsc.h"

enum { MSR_APIC_BASE = 0x1B, APIC_BASE_X2APIC = 1 << 10, APIC_BASE_ENABLE = 1 << 11, APIC_SIZE = 4096 };
#define APIC_BASE_ADDRESS 0x000FFFFFFFFFF000ull

enum { LEAF_FEATURES = 1, FEATURE_APIC = 1 << 9 /* EDX */, FEATURE_X2APIC = 1 << 21 /* ECX */ };

/* Registers, as offsets of the memory-mapped form. Those of x2APIC are MSRs, 16 of these bytes each. */
enum apic_register {
	APIC_ID = 0x20,
	APIC_TASK_PRIORITY = 0x80,
	APIC_END_OF_INTERRUPT = 0xB0,
	APIC_SPURIOUS = 0xF0,
	APIC_IN_SERVICE = 0x100,
	APIC_COMMAND = 0x300,
	APIC_COMMAND_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3E0,
};

enum { MSR_X2APIC = 0x800, APIC_SOFTWARE_ENABLE = 1 << 8, LVT_MASKED = 1 << 16, COMMAND_PENDING = 1 << 12 };
enum { XAPIC_ID_SHIFT = 24, XAPIC_EVERYBODY = 0xFF, COMMAND_POLLS = 1000000 };

enum { IN_SERVICE_WORDS = 8, VECTORS = 256 };

/* SDM vol. 4: firmware may have locked the APIC in x2APIC form; where the second MSR is, the first says so. */
enum { MSR_ARCH_CAPABILITIES = 0x10A, ARCH_XAPIC_DISABLE_STATUS = 1 << 21 };
enum { MSR_XAPIC_DISABLE_STATUS = 0xBD, LEGACY_XAPIC_DISABLED = 1 << 0 };
enum { LEAF_EXTENDED_FEATURES = 7, FEATURE_ARCH_CAPABILITIES = 1 << 29 /* EDX */ };

enum { TIMER_DIVIDE_BY_1 = 0xB, CALIBRATION_TICKS = 1 << 18 /* of the TSC */ };

static bool apic_x2, apic_usable;
static uint64_t timer_counts; /* of the timer, in CALIBRATION_TICKS */
static volatile uint8_t *apic_registers;

static uint32_t apic_read(enum apic_register which)
{
	if (apic_x2)
		return (uint32_t)msr_read((uint32_t)MSR_X2APIC + which / 16);
	return *(volatile uint32_t *)(apic_registers + which);
}

static void apic_write(enum apic_register which, uint32_t value)
{
	if (apic_x2)
		msr_write((uint32_t)MSR_X2APIC + which / 16, value);
	else
		*(volatile uint32_t *)(apic_registers + which) = value;
}

static bool is_locked(void)
{
	return cpu_id(0).eax >= LEAF_EXTENDED_FEATURES &&
	       cpu_id(LEAF_EXTENDED_FEATURES).edx & FEATURE_ARCH_CAPABILITIES &&
	       msr_read(MSR_ARCH_CAPABILITIES) & ARCH_XAPIC_DISABLE_STATUS &&
	       msr_read(MSR_XAPIC_DISABLE_STATUS) & LEGACY_XAPIC_DISABLED;
}

bool apic_init(bool x2apic_off)
{
	if (!(cpu_id(LEAF_FEATURES).edx & FEATURE_APIC))
		return false;
	apic_x2 = cpu_id(LEAF_FEATURES).ecx & FEATURE_X2APIC && (!x2apic_off || is_locked());
	if (!apic_x2)
		apic_registers = paging_map_device(msr_read(MSR_APIC_BASE) & APIC_BASE_ADDRESS, APIC_SIZE);
	apic_usable = apic_x2 || apic_registers;
	return apic_usable;
}

const char *apic_form(void)
{
	if (!apic_usable)
		return NULL;
	return apic_x2 ? "x2APIC" : "xAPIC";
}

static bool any_in_service(void)
{
	uint32_t any = 0;

	for (unsigned word = 0; word < IN_SERVICE_WORDS; word++)
		any |= apic_read(APIC_IN_SERVICE + 16 * word);
	return any;
}

void apic_enable(void)
{
	uint64_t base = msr_read(MSR_APIC_BASE);

	/* From x2APIC to xAPIC leads through off, and from off to x2APIC through xAPIC (SDM vol. 3, 11.12.5). */
	if (!apic_x2 && base & APIC_BASE_X2APIC) {
		base &= ~(uint64_t)(APIC_BASE_ENABLE | APIC_BASE_X2APIC);
		msr_write(MSR_APIC_BASE, base);
	}
	msr_write(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	if (apic_x2)
		msr_write(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_TASK_PRIORITY, 0);
	apic_write(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | IDT_VECTOR_SPURIOUS);
	/* What came for firmware's drivers, and was not ended, would hold back all that is less urgent. */
	for (unsigned i = 0; i < VECTORS && any_in_service(); i++)
		apic_write(APIC_END_OF_INTERRUPT, 0);
}

uint32_t apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return apic_x2 ? id : id >> XAPIC_ID_SHIFT;
}

bool apic_reaches(uint32_t id)
{
	return apic_x2 ? id != UINT32_MAX : id < XAPIC_EVERYBODY;
}

void apic_send(uint32_t id, uint32_t command)
{
	if (!apic_usable)
		return;
	if (apic_x2) {
		/* The write of an x2APIC register waits for no earlier store (SDM vol. 3, 11.12.3). */
		__asm__ volatile("mfence\n\tlfence" : : : "memory");
		msr_write(MSR_X2APIC + APIC_COMMAND / 16, (uint64_t)id << 32 | command);
		return;
	}
	/* One that is still on its way would be overwritten. The count bounds the wait where the APIC hangs. */
	for (unsigned i = 0; i < COMMAND_POLLS && apic_read(APIC_COMMAND) & COMMAND_PENDING; i++)
		cpu_relax();
	apic_write(APIC_COMMAND_HIGH, id << XAPIC_ID_SHIFT);
	apic_write(APIC_COMMAND, command);
}

void apic_end_interrupt(void)
{
	if (apic_usable)
		apic_write(APIC_END_OF_INTERRUPT, 0);
}

/* ---- The timer ----------------------------------------------------------------------------------------------------
 */

/* The same for all CPUs, which count by one clock. */
void apic_calibrate_timer(void)
{
	uint64_t begin = tsc_read();

	apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	while (tsc_read() - begin < CALIBRATION_TICKS)
		cpu_relax();
	timer_counts = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
	apic_write(APIC_TIMER_INITIAL, 0);
}

bool apic_arm_timer(uint64_t tsc_ticks)
{
	uint64_t longest = UINT32_MAX, count;

	if (!apic_usable || !timer_counts)
		return false;
	count = (tsc_ticks < longest ? tsc_ticks : longest) * timer_counts / CALIBRATION_TICKS;
	if (count > longest)
		count = longest;
	apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
	/* A kick is what the guest has to feel of it. One-shot: the mode's bits are 0. */
	apic_write(APIC_LVT_TIMER, tsc_ticks ? IDT_VECTOR_KICK : LVT_MASKED);
	apic_write(APIC_TIMER_INITIAL, tsc_ticks && !count ? 1 : (uint32_t)count);
	return true;
}
