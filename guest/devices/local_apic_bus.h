/* SPDX-License-Identifier: MIT */
/* What local APICs and I/O APICs send one another, and whom it reaches. SDM vol. 3, 11.6. */
#ifndef GUEST_DEVICES_LOCAL_APIC_BUS_H
#define GUEST_DEVICES_LOCAL_APIC_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct local_apic;
struct tl_mmio;
struct tl_vcpu;

enum { LOCAL_APICS_MOST = 64 };

/* In the ICR's encoding. */
enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST_PRIORITY,
	APIC_SMI,
	APIC_NMI = 4,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

enum apic_shorthand { APIC_NO_SHORTHAND, APIC_SELF, APIC_ALL, APIC_ALL_BUT_SELF };

/* Everybody, physically or logically. Who sends a destination of 8 bits makes FFh of it this. */
#define APIC_BROADCAST UINT32_MAX

struct apic_message {
	uint32_t destination;
	enum apic_delivery delivery;
	uint8_t vector;
	bool logical; /* the destination */
	bool level;   /* triggered: the EOI is broadcast to I/O APICs */
};

/*
 * The machine. All callbacks come on the CPU that does what they tell of, which is any; they may come with the
 * machine's lock held, but end_of_interrupt() and acknowledge() come without it.
 */
struct local_apic_bus {
	/* The APIC of the vCPU that makes an access. */
	struct local_apic *(*of)(struct tl_vcpu *vcpu);
	/* It may have an interrupt now: tl_vcpu_interrupt() of its vCPU, and one that halts wakes up. */
	void (*interrupt)(struct local_apic *apic);
	/* It has an interrupt: tl_vcpu_post(), and the same. Only of those that have a descriptor for it. */
	void (*post)(struct local_apic *apic, uint8_t vector);
	/* What a processor does by itself: an NMI, a reset of its (local_apic_reset() by its own CPU), a start at
	 * `vector` << 12 if it waits for one, an SMI. */
	void (*nmi)(struct local_apic *apic);
	void (*init)(struct local_apic *apic);
	void (*startup)(struct local_apic *apic, uint8_t vector);
	void (*smi)(struct local_apic *apic); /* NULL: there is no SMM */
	/* IA32_APIC_BASE has a new address or mode: apic->page is where its registers are now, or UINT64_MAX. May
	 * commit the map: the guest's vCPU is in its WRMSR. */
	void (*moved)(struct local_apic *apic);
	/* An access to a page of APICs by a vCPU whose own one is elsewhere. NULL: it goes nowhere. */
	void (*beneath)(struct tl_mmio *access);
	/* A level-triggered interrupt was ended: io_apic_end_of_interrupt() of each I/O APIC. */
	void (*end_of_interrupt)(void *context, uint8_t vector);
	/* The PICs' vector (pic_acknowledge()), for a LINT0 that is ExtINT, or for a processor whose APIC is off. */
	uint8_t (*acknowledge)(void *context);
	void *context;
	uint64_t timer_hz; /* the rate that the APICs' timers count down with, before their divider; not 0 */

	/* The bus' own: who is on it, by local_apic_init(). */
	struct local_apic *apic[LOCAL_APICS_MOST];
	unsigned count;
};

/*
 * Delivers the message, and says to how many. Context: any; a machine's lock may be held. ExtINT reaches nobody: PICs
 * are wired to LINT0 (as QEMU's pc has it).
 */
unsigned local_apic_bus_send(struct local_apic_bus *bus, const struct apic_message *message);

/* The same from one of the APICs, to whom the shorthand says. */
unsigned local_apic_bus_send_short(struct local_apic_bus *bus, const struct apic_message *message,
				   struct local_apic *sender, enum apic_shorthand shorthand);

#endif
