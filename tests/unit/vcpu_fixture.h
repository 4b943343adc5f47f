/* SPDX-License-Identifier: MIT */
/*
 * A vCPU of vmx/ on a CPU that is an array (tests/unit/mock/): 64-bit code with paging, in RAM that ends where the
 * address sanitizer watches, and devices. A test writes the guest's code and has it exit.
 */
#ifndef UNIT_VCPU_FIXTURE_H
#define UNIT_VCPU_FIXTURE_H

#include "tests/unit/mock/vmx/asm.h"

#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include "vmx/decode_cache.h"
#include "vmx/exit.h"

/*
 * Linear pages 0 to 63 are the RAM, one to one; the last is RAM_PAGE_LAST. DEVICE_LINEAR is the first of two pages of
 * the device at DEVICE_AT, OTHER_LINEAR one of the device at OTHER_AT, BELL_LINEAR a doorbell's. No other is present.
 */
enum {
	PTES_AT = 0x3000,
	CODE = 16 * 4096,
	RAM_PAGE_LAST = 63,
	DEVICE_LINEAR = 100 * 4096,
	OTHER_LINEAR = 102 * 4096,
	BELL_LINEAR = 103 * 4096,
	DEVICE_AT = 0x200000,
	OTHER_AT = 0x211000,
	BELL_AT = 0x222000,
};

extern struct tl_vcpu *guest_vcpu;
extern struct tl_exit vcpu_left; /* what the last exit to the embedder said */
extern uint8_t *guest_ram;
extern uint64_t *guest_ptes;
extern tl_range_id device_id, other_id, bell_id;
extern struct tl_doorbell_count bell_counts[TL_MAX_CPUS];

/* What the devices saw, in order, and what they do: answer reads with `answer`, call `on_access`, return `status`. */
enum { DEVICE_ACCESSES = 64 };
struct device_log {
	struct tl_mmio access[DEVICE_ACCESSES];
	unsigned count;
	uint64_t answer;
	void (*on_access)(struct tl_mmio *access);
	enum tl_status status;
};
extern struct device_log device_log;

/* Of each test: CPL 0, RIP at CODE, RDI = DEVICE_LINEAR, interrupts on; the vCPU is inside tl_vcpu_run(). */
int vcpu_start(void **context);
int vcpu_stop(void **context);

void put_code(gva_t linear, const void *bytes, size_t length);

/* The VMCS. */
uint64_t field(vmcs_field_t field);
void set_field(vmcs_field_t field, uint64_t value);
/* CPL 3 with user pages, all of them. */
void go_to_user_mode(void);

/* What entry.asm does with the exit that the VMCS describes. */
enum vcpu_action take_exit(void);
/* What the CPU does at an access of the instruction at RIP to `linear`; what entry.asm would do then. */
enum vcpu_action exit_at(gva_t linear);
/* The same from a RIP. The exit must end in the guest's going on, at `next`. */
void expect_served(gva_t rip, gva_t linear, gva_t next);
/* The same twice: the first time nothing is kept of an instruction (vmx/exit_once.c). */
void expect_kept(gva_t rip, gva_t linear, gva_t next);
/* An exception is injected at the next entry. */
void expect_injected(unsigned vector);

#endif
