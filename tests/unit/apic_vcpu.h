/* SPDX-License-Identifier: MIT */
/* A vCPU with a local APIC that it offers to the CPU, in xAPIC mode at APIC_AT. What it has pending the test says. */
#ifndef UNIT_APIC_VCPU_H
#define UNIT_APIC_VCPU_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mmu/hooks.h"
#include "tests/unit/vcpu_fixture.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include <string.h>

enum { NONE = -1, APIC_AT = 0x240000, APIC_LINEAR = 110 * 4096, ISR = 0x100, TMR = 0x180, IRR = 0x200, TPR = 0x80 };
enum { CR8_EXITS = PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING };

extern struct tl_apic apic_offer;
extern uint32_t *registers;
extern void *access_page;

/* What there is to take, what the TPR holds back, what is to be collected, what the PICs have; NONE: nothing. */
extern int requested, held, sent, from_pic;
extern unsigned collected, wrote, wrote_at, end_count, ended_vector, acknowledged;

int apic_start(void **state);
int apic_stop(void **state);

/* Offers it to a CPU that has the TPR shadow, and of the rest what `has` has. */
void apic_offer_to(const struct vmx_controls *has);
/* The same to one that delivers interrupts, and has the APIC be on. */
void apic_deliver(void);
/* Its mode, up to the next entry. */
void apic_go(enum tl_apic_mode mode);
void set_bit(unsigned set, unsigned vector);

#endif
