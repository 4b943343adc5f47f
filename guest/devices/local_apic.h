/* SPDX-License-Identifier: MIT */
/*
 * A processor's local APIC: its registers as a page of MMIO (xAPIC) and as MSRs (x2APIC), its timer, its interrupts.
 * SDM vol. 3, chapter 11; version 14h, six LVT entries, with suppression of EOI broadcasts.
 *
 * It belongs to its vCPU: all of it is called on the CPU that runs the vCPU, and no access takes a lock. Other CPUs
 * only send to it (local_apic_bus.h, local_apic_pin()), and what they touch is atomic.
 */
#ifndef GUEST_DEVICES_LOCAL_APIC_H
#define GUEST_DEVICES_LOCAL_APIC_H

#include "guest/devices/clock.h"
#include "guest/devices/local_apic_bus.h"
#include <stdatomic.h>
#include <trapline.h>

#define LOCAL_APIC_AT 0xFEE00000ull

enum { LOCAL_APIC_SIZE = 0x1000 };

enum local_apic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVTS };

enum {
	MSR_APIC_BASE = 0x1B,
	MSR_TSC_DEADLINE = 0x6E0,
	MSR_X2APIC_FIRST = 0x800,
	MSR_X2APIC_LAST = 0x8FF,
};

/* Of IA32_APIC_BASE. */
#define APIC_BASE_BSP     (1ull << 8)
#define APIC_BASE_X2APIC  (1ull << 10)
#define APIC_BASE_ENABLE  (1ull << 11)
#define APIC_BASE_ADDRESS (~0xfffull)

/* 256 bits, one for each vector. */
enum { LOCAL_APIC_WORDS = 4 };

struct local_apic {
	/* What an access looks at first. */
	uint64_t page; /* where its registers are MMIO; UINT64_MAX: nowhere */
	uint64_t isr[LOCAL_APIC_WORDS];
	_Atomic uint64_t irr[LOCAL_APIC_WORDS], tmr[LOCAL_APIC_WORDS];
	/*
	 * The virtual-APIC page (trapline_apic.h) where the CPU delivers interrupts: IRR and ISR are there, and `irr`
	 * and `posted` are what has been sent since they were collected. NULL: it does not, and `irr` and `isr` are all
	 * there is.
	 */
	_Atomic uint32_t *registers;
	struct tl_posted *posted; /* where others' requests go that take no exit; NULL: nowhere */
	_Atomic uint32_t spurious, *task_priority;
	struct local_apic_bus *bus;
	bool shadowed; /* the CPU has the TPR, and is to know what that holds back */

	/* The rest of its state. What is atomic, other CPUs read. */
	uint32_t id;           /* of x2APIC; the low byte is that of xAPIC. Constant */
	uint64_t address_mask; /* bits of an address that IA32_APIC_BASE takes */
	_Atomic uint64_t base; /* IA32_APIC_BASE */
	_Atomic uint32_t logical_destination, destination_format;
	_Atomic uint32_t own_priority; /* the TPR where the CPU has none */
	_Atomic uint32_t lvt[NR_LVTS];
	_Atomic bool pin[2];     /* the levels of LINT0 and LINT1 */
	_Atomic uint32_t errors; /* not in the ESR yet */
	uint32_t error_status;
	uint64_t command; /* ICR */

	/* The timer. */
	struct clock clock; /* the machine has it expire on the vCPU's CPU: clock_expire() */
	struct timer timer;
	uint32_t divide, initial_count;
	uint64_t started;   /* when the count began, in the clock's ticks */
	uint64_t deadline;  /* IA32_TSC_DEADLINE */
	int64_t tsc_adjust; /* what the guest reads as its TSC is the clock's time plus this */
};

/*
 * As after RESET: xAPIC at FEE00000h, software-disabled. The clock has its `now`, `sooner`, `context` and `hz` from
 * `clock`; the bus knows the APIC from now on. `physical_bits`: MAXPHYADDR of the guest. Context: host, before vCPUs
 * run.
 */
void local_apic_init(struct local_apic *apic, struct local_apic_bus *bus, uint32_t id, bool bsp,
		     const struct clock *clock, unsigned physical_bits);

/* After INIT: all but the ID and IA32_APIC_BASE. Called when the bus' init() has reached the vCPU's own CPU. */
void local_apic_reset(struct local_apic *apic);

/* As firmware leaves the BSP's: software-enabled, LINT0 brings the PICs' interrupts (ExtINT), LINT1 NMIs. */
void local_apic_virtual_wire(struct local_apic *apic);

/*
 * Has the CPU serve what it can: `page` is its virtual-APIC page, zeroed; `delivers`: it has TL_APIC_INTERRUPTS.
 * `posted`: it has TL_APIC_POSTED as well, and this is the descriptor, zeroed; else NULL. After local_apic_init(),
 * before its vCPU runs.
 */
void local_apic_virtualize(struct local_apic *apic, void *page, bool delivers, struct tl_posted *posted);

/* For struct tl_apic, one each. The last three only where the CPU delivers. */
int local_apic_held_back(const struct local_apic *apic);
bool local_apic_external(const struct local_apic *apic);
void local_apic_collect(struct local_apic *apic);
void local_apic_written(struct local_apic *apic, unsigned offset);
void local_apic_ended(struct local_apic *apic, uint8_t vector);

/* The tl_mmio_fn of the page; the range's context is the bus, which says whose APIC it is. */
enum tl_status local_apic_access(struct tl_mmio *access);

/* IA32_APIC_BASE, IA32_TSC_DEADLINE and 800h to 8FFh. False: #GP(0). */
bool local_apic_read_msr(struct local_apic *apic, uint32_t msr, uint64_t *value);
bool local_apic_write_msr(struct local_apic *apic, uint32_t msr, uint64_t value);

/* For struct tl_processor. `local_apic_acknowledge` moves what it gives from IRR to ISR. */
bool local_apic_pending(const struct local_apic *apic);
int local_apic_acknowledge(struct local_apic *apic);
uint8_t local_apic_read_cr8(const struct local_apic *apic);
void local_apic_write_cr8(struct local_apic *apic, uint8_t value);

/* Whether CPUID shows an APIC. */
static inline bool local_apic_enabled(const struct local_apic *apic)
{
	/* relaxed: a word that its vCPU alone writes, and nothing is read by way of it. */
	return atomic_load_explicit(&apic->base, memory_order_relaxed) & APIC_BASE_ENABLE;
}

/* The guest has changed IA32_TSC or IA32_TSC_ADJUST; a deadline is one of its TSC. */
void local_apic_adjust_tsc(struct local_apic *apic, int64_t adjust);

/* A local interrupt, of LVT_THERMAL or LVT_PERFORMANCE. */
void local_apic_raise(struct local_apic *apic, enum local_apic_lvt which);

/* Whether LINT0 (pin 0) or LINT1 (pin 1) is an NMI or an INIT. Context: any. */
bool local_apic_pin_is_unmaskable(const struct local_apic *apic, unsigned pin);

/* The level of LINT0 (pin 0) or LINT1 (pin 1): `set` of a struct line whose context is the APIC. Context: any. */
void local_apic_pin(void *context, unsigned pin, bool level);

#endif
