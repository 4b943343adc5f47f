/* SPDX-License-Identifier: MIT */
/*
 * Three local APICs of which the CPU serves nothing, a part, and that with posted interrupts, to which the same is
 * done. The CPU is tests/unit/virtual_cpu.h; software is asked as vmx/apic.c asks it, and only where it has said that
 * something changed.
 */
#ifndef UNIT_LOCAL_APIC_SERVED_H
#define UNIT_LOCAL_APIC_SERVED_H

#include "tests/unit/local_apic_fixture.h"
#include "tests/unit/virtual_cpu.h"

enum { SOFT, VIRTUAL, POSTED, ALL };
enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xA0, EOI = 0xB0, LDR = 0xD0, DFR = 0xE0, SVR = 0xF0, ISR = 0x100 };
enum {
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	LVT = 0x320,
	COUNT = 0x380,
	DIVIDE = 0x3E0
};
enum { SELF = 1 << 18, LEVEL_FIRST = 0xd8, LEVEL_LAST = 0xfe };

/* A host's CPU with the guest's. */
struct served {
	struct virtual_cpu cpu;
	unsigned asked; /* told[].interrupts when the CPU was told last */
	/* Of posted interrupts: a notification waits at the host's local APIC; and where it is taken. */
	bool notified, in_guest;
	unsigned processed, taken_by_host;
};

extern struct served served[ALL];
extern struct tl_posted served_descriptor;

/* A setup: all of them in their guests, software-enabled. */
int served_start(void **context);

/* Before an entry, where software wants one, or the host's interrupts were on. */
void served_settle(unsigned number);
void served_settle_all(void);

/* An exit of the one with posted interrupts, with the host's interrupts on, and the entry behind it. */
void served_leave_guest(void);
void served_enter_guest(void);

/* The guests' stores; and all that they can read is compared. */
void served_put(unsigned offset, uint32_t value);
void served_check(void);

#endif
