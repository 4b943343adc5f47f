/* SPDX-License-Identifier: MIT */
/* Four processors' local APICs on one bus, and what they told their machine. */
#ifndef UNIT_LOCAL_APIC_FIXTURE_H
#define UNIT_LOCAL_APIC_FIXTURE_H

#include "guest/devices/local_apic.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { APICS = 4, NO_VECTOR = -1 };

/* A TSC of 3 GHz, and timers that count at 1 GHz. */
enum { TICKS_PER_COUNT = 3 };

struct told {
	unsigned interrupts, nmis, inits, startups, smis, moves;
	int startup_vector;
};

extern struct local_apic_bus apic_bus;
extern struct local_apic apics[APICS];
extern struct told told[APICS];
extern uint64_t apic_time, apic_sooner; /* the time, and the last deadline that was the earliest */
extern unsigned apic_ends[256];         /* broadcasts */
extern int pic_vector;

/* A setup: all as after RESET, with the IDs 0 to 3, the first one the BSP. */
int apics_start(void **context);

/* Software-enables it, with the spurious vector FFh. */
void apic_enable_software(unsigned number);

uint32_t apic_get(unsigned number, unsigned offset);
void apic_put(unsigned number, unsigned offset, uint32_t value);
enum tl_status apic_do(unsigned number, struct tl_mmio *access);

/* x2APIC, from xAPIC. */
void apic_go_x2(unsigned number);

/* Lets `ticks` pass; timers expire once, at the end. */
void apic_pass(unsigned number, uint64_t ticks);

/* Takes everything there is, and ends it; returns how many. */
unsigned apic_drain(unsigned number);

uint64_t apic_random(void);

#endif
