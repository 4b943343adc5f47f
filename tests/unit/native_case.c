/* SPDX-License-Identifier: MIT */
#include "tests/unit/native_case.h"

#include "mmio/alu_flags.h"
#include "tests/unit/hosted.h"
#include "tests/unit/native_undefined.h"
#include <stdio.h>
#include <string.h>
#include <trapline.h>

enum {
	UD_VECTOR = 6,
	GP_VECTOR = 13,
	RFLAGS_DF = 1 << 10,
	RFLAGS_AC = 1 << 18,
	RFLAGS_ID = 1 << 21,
	COMPARED_FLAGS = RFLAGS_STATUS | RFLAGS_DF | RFLAGS_AC | RFLAGS_ID,
	MARGIN = 4096,   /* what BT, a string or the stack may reach around the operand */
	NEAR = 64,       /* bytes around the operand that are compared each time */
	MAX_PRINTED = 2, /* of each operation */
	MAX_PRINTED_IN_ALL = 24,
};

static uint8_t own_mirror[NATIVE_MEMORY_BYTES], *mirror = own_mirror;
static unsigned long failures;
static unsigned printed[INSN_NR_OPS], printed_in_all;

uint8_t *native_mirror(uint64_t address, unsigned size)
{
	uint64_t at = address - (uintptr_t)native_memory;

	return at < NATIVE_MEMORY_BYTES && size <= NATIVE_MEMORY_BYTES - at ? mirror + at : NULL;
}

void native_mirror_at(uint8_t *memory)
{
	mirror = memory;
	native_mirror_take();
}

bool native_mirror_holds(void)
{
	return memcmp(mirror, native_memory, NATIVE_MEMORY_BYTES) == 0;
}

void native_mirror_take(void)
{
	memcpy(mirror, native_memory, NATIVE_MEMORY_BYTES);
}

uint64_t random_operand(void)
{
	uint64_t random = random_next();
	unsigned bits = 8u << (random >> 8 & 3);

	switch (random & 15) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return ~0ull;
	case 3:
		return 1ull << (bits - 1);
	case 4:
		return (1ull << (bits - 1)) - 1;
	case 5:
		return bits;
	case 6:
		return random >> 16 & 0xff;
	default:
		return random_next();
	}
}

/* The operand's place: aligned half of the time, and always where a locked access would be split. */
static uint64_t random_place(const struct insn *insn)
{
	uint64_t at = (uintptr_t)native_memory + MARGIN + random_below(NATIVE_MEMORY_BYTES - 2 * MARGIN - 64);
	bool locked = insn->flags & INSN_LOCK || insn->op == INSN_XCHG;

	if (random_below(8) == 0) /* across the border of two pages */
		at = (uintptr_t)native_memory + (2 + random_below(3)) * 4096 - random_below(64);
	if (locked || insn->flags & INSN_ALIGNED || random_below(2))
		at &= ~(uint64_t)63;
	return at + (locked ? random_below(32) & ~(uint64_t)15 : 0);
}

/* Writes the displacement, or moffs address, that makes `operand` of what the registers have. */
static bool steer_displacement(struct native_case *c)
{
	const struct native_form *form = c->form;
	uint64_t disp = c->operand;

	if (form->disp_size < 4)
		return false;
	if (c->insn.index != INSN_NO_REGISTER) {
		c->gpr[c->insn.index] = random_below(16);
		disp -= c->gpr[c->insn.index] << c->insn.scale;
	}
	if (c->insn.rip_relative)
		disp -= c->rip + c->insn.length;
	memcpy(c->bytes + form->disp_at, &disp, form->disp_size);
	return insn_decode(c->bytes, INSN_MAX_LENGTH, form->code_bits, &c->insn) == DECODE_OK;
}

static bool is_bit_string(const struct insn *insn)
{
	return insn->op >= INSN_BT && insn->op <= INSN_BTC && insn->source == SOURCE_REGISTER;
}

/* How far from where the addressing form points the operand is. */
static int64_t displaced(const struct native_case *c)
{
	const struct insn *insn = &c->insn;
	unsigned bits = insn->memory_size * 8u;
	int64_t at;

	if (insn->op == INSN_XLAT)
		return (int64_t)(c->gpr[TL_RAX] & 0xff);
	if (!is_bit_string(insn))
		return 0;
	at = alu_extend(c->gpr[insn->reg], insn->memory_size);
	return (at - (int64_t)((uint64_t)at & (bits - 1))) / 8;
}

/* The bit offset of a BT stays within the margin. It may not be part of the address. */
static bool steer_bit_offset(struct native_case *c)
{
	const struct insn *insn = &c->insn;
	uint64_t mask = insn_mask[insn->memory_size];
	uint64_t offset = random_below(2) ? random_below(64) : random_below(8 * 2048) - 8 * 1024;

	if (insn->reg == insn->base || insn->reg == insn->index)
		return false;
	c->gpr[insn->reg] = (c->gpr[insn->reg] & ~mask) | (offset & mask);
	return true;
}

static uint64_t random_stack(void)
{
	uint64_t at = (uintptr_t)native_memory + MARGIN + random_below(NATIVE_MEMORY_BYTES - 2 * MARGIN);

	return random_below(4) ? at & ~(uint64_t)7 : at;
}

static bool is_transfer(unsigned op)
{
	return op == INSN_JMP_FAR || op == INSN_CALL_FAR;
}

/* The stack, and where strings are: rSP, rBP, rSI, rDI, and a count in rCX. */
static void steer_implied(struct native_case *c)
{
	enum insn_unit unit = insn_unit(&c->insn);
	uint64_t above = ~insn_mask[c->insn.address_size];

	if (unit == UNIT_STACK || is_transfer(c->insn.op)) {
		c->gpr[TL_RSP] = random_stack();
		c->gpr[TL_RBP] = random_stack();
	}
	if (unit == UNIT_STRING) {
		c->gpr[TL_RSI] = random_stack() | (random_next() & above);
		c->gpr[TL_RDI] = random_stack() | (random_next() & above);
		c->gpr[TL_RCX] = random_below(20) | (random_next() & above);
		c->rflags |= random_next() & RFLAGS_DF;
	}
}

static bool steer(struct native_case *c)
{
	struct insn *insn = &c->insn;
	uint64_t target;

	if (is_bit_string(insn) && !steer_bit_offset(c))
		return false;
	target = c->operand - (uint64_t)displaced(c);
	if (insn->memory_size == 0 || insn_unit(insn) == UNIT_STRING)
		return true;
	if (insn->base == INSN_NO_REGISTER && insn->op != INSN_XLAT)
		return steer_displacement(c);
	if (insn->base == TL_RAX && insn->op == INSN_XLAT)
		return false;
	target -= (uint64_t)insn->disp;
	if (insn->base == insn->index) {
		uint64_t times = 1 + (1ull << insn->scale);

		c->gpr[insn->base] = target / times;
		return target % times == 0;
	}
	target -= c->gpr[insn->index] << insn->scale;
	/* What lies above the address size must not matter. */
	target &= insn_mask[insn->address_size];
	if (insn->base != TL_RSP && insn->base != TL_RBP) /* which may be the stack's as well */
		target |= random_next() & ~insn_mask[insn->address_size];
	c->gpr[insn->base] = target;
	return true;
}

bool native_case_begin(struct native_case *c, const struct native_form *form)
{
	uint64_t value[2] = {random_operand(), random_operand()}, immediate = random_operand();

	c->form = form;
	memcpy(c->bytes, form->bytes, sizeof(c->bytes));
	memcpy(c->bytes + form->free_at, &immediate, sizeof(immediate));
	if (insn_decode(c->bytes, INSN_MAX_LENGTH, form->code_bits, &c->insn) != DECODE_OK)
		return false;
	for (unsigned i = 0; i < INSN_NO_REGISTER; i++)
		c->gpr[i] = form->code_bits == 64 || i < 8 ? random_operand() : 0;
	c->gpr[INSN_NO_REGISTER] = 0;
	c->rflags = random_next() & RFLAGS_STATUS;
	c->rip = native_code();
	c->operand = random_place(&c->insn);
	steer_implied(c);
	c->cpu.xsave_before = NULL;
	c->cpu.xsave_after = NULL;
	if (!steer(c))
		return false;
	if (form->code_bits != 64) {
		for (unsigned i = 0; i < 8; i++)
			c->gpr[i] &= UINT32_MAX;
	}
	native_case_set_memory(c, value, sizeof(value));
	return true;
}

void native_set_memory(uint64_t address, const void *value, unsigned size)
{
	uint64_t at = address - (uintptr_t)native_memory;

	memcpy(mirror + at, value, size);
	memcpy(native_memory + at, value, size);
}

void native_case_set_memory(const struct native_case *c, const void *value, unsigned size)
{
	native_set_memory(c->operand, value, size);
}

void native_case_set_immediate(struct native_case *c, uint64_t value, unsigned size)
{
	memcpy(c->bytes + c->form->free_at, &value, size);
	insn_decode(c->bytes, INSN_MAX_LENGTH, c->form->code_bits, &c->insn);
}

void native_case_run(struct native_case *c)
{
	memcpy(c->cpu.gpr, c->gpr, sizeof(c->cpu.gpr));
	c->cpu.rflags = c->rflags;
	if (c->form->code_bits == 64)
		native_run(&c->cpu, c->bytes, c->insn.length);
	else
		native_run_32(&c->cpu, c->bytes, c->insn.length);
}

static void print_case(const struct native_case *c)
{
	printf("  bytes");
	for (unsigned i = 0; i < c->insn.length; i++)
		printf(" %02x", c->bytes[i]);
	printf(", %u-bit code, memory %u register %u\n", c->form->code_bits, c->insn.memory_size,
	       c->insn.register_size);
	printf("  flags before %lx, CPU %lx, emulated %lx; fault CPU %d, emulated %d\n", c->rflags, c->cpu.rflags,
	       c->emulated_rflags, c->cpu.fault, c->emulated_fault);
	for (unsigned i = 0; i < INSN_NO_REGISTER; i++) {
		if (c->cpu.gpr[i] != c->emulated_gpr[i] || i == c->insn.reg)
			printf("  register %u before %lx, CPU %lx, emulated %lx\n", i, c->gpr[i], c->cpu.gpr[i],
			       c->emulated_gpr[i]);
	}
}

void native_case_fail(const struct native_case *c, const char *what)
{
	failures++;
	native_mirror_take();
	if (printed[c->insn.op]++ >= MAX_PRINTED || printed_in_all++ >= MAX_PRINTED_IN_ALL)
		return;
	printf("%s: %s differs\n", op_name(c->insn.op), what);
	print_case(c);
}

unsigned long native_case_failures(void)
{
	unsigned long since = failures;

	failures = 0;
	printed_in_all = 0;
	memset(printed, 0, sizeof(printed));
	return since;
}

bool native_invalid_run(const struct native_form *form)
{
	struct native cpu = {.rflags = 0};

	if (native_extends(form))
		return false;
	for (unsigned i = 0; i < 16; i++)
		cpu.gpr[i] = (uintptr_t)native_memory + MARGIN;
	if (form->code_bits == 64)
		native_run(&cpu, form->bytes, INSN_MAX_LENGTH);
	else
		native_run_32(&cpu, form->bytes, INSN_MAX_LENGTH);
	native_mirror_take();
	if (cpu.fault == UD_VECTOR)
		return true;
	failures++;
	if (printed_in_all++ < MAX_PRINTED_IN_ALL) {
		printf("not #UD but %d:", cpu.fault);
		for (unsigned i = 0; i < INSN_MAX_LENGTH; i++)
			printf(" %02x", form->bytes[i]);
		printf("\n");
	}
	return false;
}

static bool memory_differs(const struct native_case *c)
{
	uint64_t at = c->operand - (uintptr_t)native_memory;

	return memcmp(mirror + at - NEAR, native_memory + at - NEAR, 64 + 2 * NEAR) != 0;
}

static void compare_memory(const struct native_case *c, bool undefined)
{
	uint64_t at = c->operand - (uintptr_t)native_memory;

	if (undefined)
		memcpy(mirror + at, native_memory + at, c->insn.memory_size);
	if (memory_differs(c))
		native_case_fail(c, "memory");
}

void native_case_compare(struct native_case *c)
{
	struct native_undefined undefined = native_undefined(c);
	uint64_t flags = (c->cpu.rflags ^ c->emulated_rflags) & COMPARED_FLAGS;

	native_undefined_note(c, flags & undefined.flags);
	if (c->cpu.fault != c->emulated_fault)
		native_case_fail(c, "the exception");
	else if (flags & ~undefined.flags)
		native_case_fail(c, "a flag");
	else if (memcmp(c->cpu.gpr, c->emulated_gpr, sizeof(c->cpu.gpr)))
		native_case_fail(c, "a register");
	else if (memory_differs(c))
		compare_memory(c, undefined.memory);
}

void native_case_compare_all(struct native_case *c)
{
	native_case_compare(c);
	if (c->cpu.fault != c->emulated_fault)
		return;
	if (c->cpu.fault == NATIVE_NO_FAULT && c->cpu.rip != c->emulated_rip)
		native_case_fail(c, "RIP");
	else if (c->cpu.fault == GP_VECTOR && c->cpu.error_code != c->emulated_error)
		native_case_fail(c, "the error code");
	else if (!native_mirror_holds())
		native_case_fail(c, "memory elsewhere");
}
