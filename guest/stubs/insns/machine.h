/* SPDX-License-Identifier: MIT */
/*
 * Running a few instructions in any mode of the processor, from a given state to the state they end in.
 *
 * A program accesses the *window*, ten pages. In the modes with paging they are at one linear address whatever stands
 * behind them, so that nothing the program sees differs; without paging its segments begin elsewhere. Its pages:
 * 0 RAM; 1 to 3 RAM, or else two devices that meet inside page 2; 4 RAM; and only with paging 5, page 1 read-only;
 * 6 page 2 again; 7 nothing; 8 page 3 again; 9 page 1 for the supervisor only. Page 1 stands once more where a segment
 * of 64 KiB ends that begins with page 2.
 */
#ifndef GUEST_STUBS_INSNS_MACHINE_H
#define GUEST_STUBS_INSNS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PAGE = 4096,
	WINDOW_MEMORY = 5 * PAGE, /* what stands behind the window */
	WINDOW_PAGES = 10,
	WINDOW_RANGES_MEET = 0x2800, /* where one device ends and the other begins */
	WINDOW_DEVICES = PAGE,       /* where the first one begins; both have DEVICE_BYTES */
	DEVICE_BYTES = 0x1800,
	WINDOW_ENDS = 2 * PAGE, /* where the segment of SELECTOR_ENDS begins, */
	WINDOW_ENDS_END = WINDOW_ENDS + 16 * PAGE,
	WINDOW_LAST_PAGE = WINDOW_ENDS_END / PAGE - 1, /* and its last page */
	RAM_STACK = 0x800,                             /* of programs that need none */
};

/* Where programs lie, and where a jump of theirs may go: below 64 KiB, for real mode. As enter.asm has them. */
enum { CODE_AT = 0xa000, CODE_PAGE_END = 0xb000, PAD_AT = 0xb400, CODE_END = 0xc000 };

/* In the hardware's order. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R10 = 10 };
enum { ES, CS, SS, DS, FS, GS, LDTR, TR, NR_SEGMENTS };

enum machine_selector {
	SELECTOR_CODE64_0 = 0x08,
	SELECTOR_DATA_0 = 0x10,
	SELECTOR_CODE32_0 = 0x18,
	SELECTOR_CODE16_0 = 0x20,
	SELECTOR_CODE64_3 = 0x28,
	SELECTOR_CODE32_3 = 0x30,
	SELECTOR_CODE16_3 = 0x38,
	SELECTOR_WINDOW = 0x40,
	SELECTOR_MEMORY = 0x48, /* the window of which all is RAM, that of its pages 1 to 3 nobody's */
	SELECTOR_BEYOND = 0x50, /* the window, from WINDOW_FS on: FS and GS */
	SELECTOR_ABSENT = 0x58,
	SELECTOR_READ_ONLY = 0x60,
	SELECTOR_TSS64 = 0x68,
	SELECTOR_TSS64_OTHER = 0x78,
	SELECTOR_LDT = 0x88,
	SELECTOR_TSS32 = 0x98, /* in long mode with an upper half of zeros */
	SELECTOR_ENDS = 0xa8,  /* a stack both of whose ends lie in devices */
	SELECTOR_END = 0xb0,
	WINDOW_FS = 0x100,
};

enum machine_kind { MACHINE_LONG, MACHINE_PROTECTED, MACHINE_PAGING, MACHINE_REAL };

struct machine_mode {
	const char *name;
	uint8_t kind; /* enum machine_kind */
	uint8_t code_bits;
	uint8_t cpl;
};

static inline bool machine_has_paging(const struct machine_mode *mode)
{
	return mode->kind == MACHINE_LONG || mode->kind == MACHINE_PAGING;
}

/* SGDT and SIDT store these. */
struct machine_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct machine_state {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	/* How the program ended: the exception, its error code, CR2. */
	uint64_t vector, error, cr2;
	uint16_t segment[NR_SEGMENTS];
	struct machine_table gdtr, idtr;
	uint16_t reserved[6];
	uint64_t msw; /* the machine status word, CR0's low half */
};

_Static_assert(offsetof(struct machine_state, gdtr) == 184, "as enter.asm has it");
_Static_assert(offsetof(struct machine_state, msw) == 216, "as enter.asm has it");

enum { MACHINE_XSAVE_BYTES = 4096 };

/* What a program starts from, and what it leaves. */
struct machine_run {
	struct machine_state state;
	uint64_t gdt[SELECTOR_END / 8];
	uint16_t page_flags[WINDOW_PAGES]; /* of the window's page-table entries */
	bool has_xsave;
	uint8_t xsave[MACHINE_XSAVE_BYTES] __attribute__((aligned(64)));
};

/* What stands behind the window for the next programs. `memory` is WINDOW_MEMORY bytes of RAM. */
struct machine_window {
	uint8_t *memory;
	uint64_t device; /* the address of the first device; 0: all is RAM */
};

/* Builds the tables of the processor. Once. */
void machine_start(void);

/* What the state components of the CPU are: XCR0. 0: it has no XSAVE. */
uint64_t machine_xcr0(void);

/* The bytes of its XSAVE area. */
unsigned machine_xsave_bytes(void);

/* The state that XSAVE gives, right now. */
void machine_xsave(uint8_t xsave[MACHINE_XSAVE_BYTES]);

/* What a pointer into the window is in this mode, without its offset. */
uint64_t machine_window_base(const struct machine_mode *mode);

/* What a LGDT or LIDT may load so that the machine goes on working. */
struct machine_table machine_other_gdt(void);
struct machine_table machine_other_idt(const struct machine_mode *mode);

/* Puts a program at `at` and what ends it behind it and at PAD_AT. */
void machine_place(const struct machine_mode *mode, uint32_t at, const uint8_t *code, unsigned length);

/* Runs the program at run->state.rip to its end. */
void machine_execute(const struct machine_mode *mode, const struct machine_window *window, struct machine_run *run);

#endif
