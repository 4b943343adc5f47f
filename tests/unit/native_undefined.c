/* SPDX-License-Identifier: MIT */
#include "tests/unit/native_undefined.h"

#include "mmio/alu_flags.h"
#include <stdio.h>
#include <trapline.h>

static unsigned shift_count(const struct native_case *c)
{
	uint64_t n = c->insn.source == SOURCE_CL ? c->gpr[TL_RCX] : c->insn.imm;

	return (unsigned)n & (c->insn.memory_size == 8 ? 63 : 31);
}

static bool always(const struct native_case *c)
{
	(void)c;
	return true;
}

static bool shifted_by_more_than_1(const struct native_case *c)
{
	return shift_count(c) > 1;
}

static bool shifted(const struct native_case *c)
{
	return shift_count(c) != 0;
}

static bool shifted_out(const struct native_case *c)
{
	return shift_count(c) >= c->insn.memory_size * 8u;
}

static bool shifted_beyond(const struct native_case *c)
{
	return shift_count(c) > c->insn.memory_size * 8u;
}

/* What the SDM (vol. 2, "Flags Affected") calls undefined: the flags, and in which cases. */
static struct {
	const char *name;
	uint8_t first, last; /* enum insn_op */
	uint32_t flags;
	bool (*when)(const struct native_case *c);
	bool memory; /* the operand, too */
	unsigned long differed;
} undefined[] = {
	{"AF after AND", INSN_AND, INSN_AND, RFLAGS_AF, always, false, 0},
	{"AF after OR", INSN_OR, INSN_OR, RFLAGS_AF, always, false, 0},
	{"AF after XOR", INSN_XOR, INSN_XOR, RFLAGS_AF, always, false, 0},
	{"AF after TEST", INSN_TEST, INSN_TEST, RFLAGS_AF, always, false, 0},
	{"OF after ROL ROR RCL RCR by more than 1", INSN_ROL, INSN_RCR, RFLAGS_OF, shifted_by_more_than_1, false, 0},
	{"AF after SHL SHR SAR SHLD SHRD", INSN_SHL, INSN_SHRD, RFLAGS_AF, shifted, false, 0},
	{"OF after SHL SHR SAR SHLD SHRD by more than 1", INSN_SHL, INSN_SHRD, RFLAGS_OF, shifted_by_more_than_1, false,
	 0},
	{"CF after SHL SHR by the operand's width or more", INSN_SHL, INSN_SHR, RFLAGS_CF, shifted_out, false, 0},
	{"everything of SHLD SHRD by more than 16 bits of 16", INSN_SHLD, INSN_SHRD, RFLAGS_STATUS, shifted_beyond,
	 true, 0},
	{"OF SF AF PF after BT BTS BTR BTC", INSN_BT, INSN_BTC, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF, always,
	 false, 0},
	{"OF SF AF PF CF after BSF BSR", INSN_BSF, INSN_BSR, RFLAGS_STATUS & ~RFLAGS_ZF, always, false, 0},
	{"OF SF AF PF after TZCNT LZCNT", INSN_TZCNT, INSN_LZCNT, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF, always,
	 false, 0},
	{"SF ZF AF PF after MUL IMUL", INSN_MUL, INSN_IMUL, RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF, always,
	 false, 0},
	{"SF ZF AF PF after IMUL to a register", INSN_IMUL_TO_REGISTER, INSN_IMUL_TO_REGISTER,
	 RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF, always, false, 0},
	{"all flags after DIV IDIV", INSN_DIV, INSN_IDIV, RFLAGS_STATUS, always, false, 0},
	{"AF PF after ANDN", INSN_ANDN, INSN_ANDN, RFLAGS_AF | RFLAGS_PF, always, false, 0},
	{"AF SF PF after BEXTR", INSN_BEXTR, INSN_BEXTR, RFLAGS_AF | RFLAGS_SF | RFLAGS_PF, always, false, 0},
	{"AF PF after BLSI BLSMSK BLSR BZHI", INSN_BLSI, INSN_BZHI, RFLAGS_AF | RFLAGS_PF, always, false, 0},
};
enum { NR_UNDEFINED = sizeof(undefined) / sizeof(undefined[0]) };

static bool applies(const struct native_case *c, unsigned row)
{
	return c->insn.op >= undefined[row].first && c->insn.op <= undefined[row].last && undefined[row].when(c);
}

struct native_undefined native_undefined(const struct native_case *c)
{
	struct native_undefined all = {0};

	for (unsigned i = 0; i < NR_UNDEFINED; i++) {
		if (!applies(c, i))
			continue;
		all.flags |= undefined[i].flags;
		all.memory |= undefined[i].memory;
	}
	return all;
}

void native_undefined_note(const struct native_case *c, uint64_t flags)
{
	for (unsigned i = 0; i < NR_UNDEFINED; i++) {
		if (flags & undefined[i].flags && applies(c, i))
			undefined[i].differed++;
	}
}

void native_undefined_report(void)
{
	for (unsigned i = 0; i < NR_UNDEFINED; i++) {
		if (undefined[i].differed)
			printf("undefined: %s: differed %lu times\n", undefined[i].name, undefined[i].differed);
	}
}
