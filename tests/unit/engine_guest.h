/* SPDX-License-Identifier: MIT */
/*
 * A guest of the engine, one instruction at a time: its CPU in each mode, its page tables and descriptors, RAM, ROM, a
 * device, and a device that the embedder completes. Every form fails the test if it cannot be done.
 */
#ifndef UNIT_ENGINE_GUEST_H
#define UNIT_ENGINE_GUEST_H

#include "mmio/engine.h"
#include "tests/unit/guest_memory.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/*
 * Guest-physical, RAM_SIZE bytes of RAM at 0 beside these; a page of ROM at ROM_AT. The embedder's range ends where a
 * hole begins, the device's where RAM begins, both within the page tables' 4 MiB of pages mapped to themselves.
 */
enum {
	GDT_AT = 0x8000,
	LDT_AT = 0x8800,
	STACK_AT = 0x10000, /* the top of some pages */
	DATA_AT = 0x20000,  /* 16 pages that nothing else uses */
	EMBEDDER_AT = 0x200000,
	EMBEDDER_SIZE = 0x2000,
	DEVICE_AT = 0x210000,
	DEVICE_SIZE = 0x2000,
	UPPER_RAM_AT = DEVICE_AT + DEVICE_SIZE,
	UPPER_RAM_SIZE = 0x1000,
	LINEAR_AT = 0x380000, /* pages for tests to map what they want */
	PAGES_END = 0x400000,
};

enum { DE = 0, DB = 1, UD = 6, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, NO_ERROR_CODE = -1 };

/* In the XSAVE area. SDM vol. 1, table 10-2. */
enum { XSAVE_FCW = 0, XSAVE_FSW = 2, XSAVE_MXCSR = 24, XSAVE_XMM = 160, XSAVE_HEADER = 512 };

#define NON_CANONICAL BIT(47)

enum { MOST_CALLS = 80 };

struct engine_guest {
	struct mmio_cpu cpu;
	struct mmio_operation op;
	struct tl_mmio access;
	struct tl_exit_io port;
	struct vcpu_stats stats;
	struct grace_reader reader;
	/* What the device was asked, and what it answers: its bytes hold what is written. */
	unsigned calls;
	struct tl_mmio call[MOST_CALLS];
	uint8_t device[DEVICE_SIZE];
	unsigned fail_at;                               /* the call that fails; 0: none */
	void (*on_call)(unsigned call);                 /* NULL: none */
	_Alignas(64) uint8_t xsave[XSTATE_FIRST_BYTES]; /* x87 and SSE, in use, as after FNINIT and with MXCSR 1F80H */
	uint32_t limit;                                 /* of the iterations of a REP */
	gpa_t exit_gpa;
};

extern struct engine_guest guest;

/* Set-up and tear-down of a group; before each test the guest is as new: engine_reset(). */
int engine_guest_start(void **context);
int engine_guest_stop(void **context);
int engine_reset(void **context);

/* The CPU in 64-bit, 32-bit (flat, no paging) or real mode; SS:rSP is STACK_AT. */
void engine_in_64(unsigned cpl);
void engine_in_32(void);
void engine_in_16(void);

/* The page-table entry of one of the mapped pages. */
void engine_map_page(gva_t linear, gpa_t gpa, uint64_t flags);
void engine_unmap_page(gva_t linear);
/* The page-table entry as it is. */
uint64_t engine_entry(gva_t linear);

/* Guest-physical RAM. */
uint8_t *engine_ram(gpa_t gpa);
void engine_put(gpa_t gpa, uint64_t value, unsigned size);
uint64_t engine_get(gpa_t gpa, unsigned size);

#define BYTES(...) ((const uint8_t[INSN_MAX_LENGTH]){__VA_ARGS__})

/* The instruction, decoded in the CPU's mode. */
struct insn engine_decode(const uint8_t *bytes);
struct mmio_environment engine_environment(void);

/* Begins the instruction, and runs it until something stops it. */
enum mmio_progress engine_run(const uint8_t *bytes);
/* Completes what the embedder was asked, and runs on. */
enum mmio_progress engine_resume(uint64_t data);

/* It ends in this, with nothing of it done: registers, memory and devices are what they were. */
void expect_fault(const uint8_t *bytes, unsigned vector, int error_code);
void expect_page_fault(const uint8_t *bytes, uint32_t error_code, gva_t linear);
void expect_nothing_done(const uint8_t *bytes, enum mmio_progress progress);

/* It completes, with RIP behind it. */
void expect_done(const uint8_t *bytes);

/* The device's call of that number, from 0. */
void expect_call(unsigned number, gpa_t gpa, unsigned size, bool write, uint64_t data);
/* What the embedder is asked. */
void expect_access(gpa_t gpa, unsigned size, bool write, uint64_t data);

#endif
