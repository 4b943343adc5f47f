/* SPDX-License-Identifier: MIT */
#include "guest/stubs/insns/seed.h"
#include "guest/stubs/insns/fill.h"
#include "guest/stubs/lib.h"

enum {
	RFLAGS_FIXED = 1 << 1,
	RFLAGS_STATUS = 0x8d5,
	RFLAGS_DF = 1 << 10,
	RFLAGS_IOPL = 3 << 12,
	RFLAGS_AC = 1 << 18,
	MOST_ITERATIONS = 12,
	NEAR = 64, /* so much memory around an operand is random each time */
	XSAVE_MXCSR = 24,
	XSAVE_ST = 32,
	XSAVE_XMM = 160,
	XSAVE_XMM_END = 416,
	XSAVE_EXTENDED = 576,
	FCW_DEFAULT = 0x37f,
	MXCSR_DEFAULT = 0x1f80,
};

/* One in `count`. */
static bool one_in(uint32_t count)
{
	return lib_random_below(count) == 0;
}

/* Aligned; anywhere; across two pages or ranges; across what differs in its rights. */
static uint32_t place_in_window(const struct machine_mode *mode, unsigned kind, unsigned width)
{
	uint32_t page = PAGE * (1 + lib_random_below(3)), before = 1 + lib_random_below(width);

	switch (kind) {
	case 0:
		return page + 64 * (4 + lib_random_below(PAGE / 64 - 12));
	case 1:
		return page + 2 * NEAR + lib_random_below(PAGE - 8 * NEAR);
	case 2:
		return (one_in(2) ? 2 * PAGE : WINDOW_RANGES_MEET) - before;
	default:
		if (!machine_has_paging(mode))
			return one_in(2) ? 3 * PAGE - before : 2 * PAGE;
		if (one_in(3))
			return PAGE * (4 + lib_random_below(WINDOW_PAGES - 4)) + lib_random_below(PAGE);
		return PAGE * (1 + lib_random_below(WINDOW_PAGES - 1)) - before;
	}
}

static uint32_t place_in_ram(void)
{
	return (one_in(2) ? 0u : 4u * PAGE) + RAM_STACK + 4 * NEAR + lib_random_below(PAGE / 4);
}

/* Of the stack of SELECTOR_ENDS. In the first round no item lies across its end. */
static uint32_t place_at_ends(unsigned round)
{
	uint32_t at = lib_random_below(2 * NEAR) - NEAR;

	return (uint16_t)(round == 0 ? at & ~3u : at);
}

static void choose_places(struct seed *seed)
{
	const struct row *row = seed->row;
	/* Which bytes that are masked out the CPU touches is its own affair. */
	unsigned kind = seed->kind % (row->traits & ROW_MASKED ? SEED_KINDS - 1 : SEED_KINDS);

	seed->operand_in_ram = seed->source_in_ram = false;
	seed->operand = place_in_window(seed->mode, kind, row->width);
	seed->source = place_in_window(seed->mode, kind == 0 ? 0 : lib_random_below(SEED_KINDS), row->width);
	seed->stack = RAM_STACK;
	if (row->traits & ROW_STACK)
		seed->stack = place_in_window(seed->mode, kind, row->width);
	if (row->traits & ROW_ENDS)
		seed->stack = place_at_ends(seed->round);
	else if (row->traits & ROW_PUSHES)
		seed->stack += row->width * (1 + lib_random_below(8));
	if (!(row->traits & ROW_STRING))
		return;
	/* In the first round both are a device's. */
	seed->operand_in_ram = kind != 0 && one_in(3);
	seed->source_in_ram = kind != 0 && !seed->operand_in_ram && one_in(3);
	if (seed->operand_in_ram)
		seed->operand = place_in_ram();
	if (seed->source_in_ram)
		seed->source = place_in_ram();
}

static uint64_t random_flags(const struct seed *seed)
{
	uint64_t flags = RFLAGS_FIXED | (lib_random() & RFLAGS_STATUS);

	if (seed->row->traits & ROW_STRING)
		flags |= lib_random() & RFLAGS_DF;
	if (seed->mode->cpl == 3 && (seed->round == 0 || one_in(2)))
		flags |= RFLAGS_IOPL;
	/*
	 * Whether a vector is unaligned is the CPU's own affair (SDM vol. 3, 7.15, #AC), and so is whether #AC comes
	 * before #PF (table 7-2). The first round has to reach a device.
	 */
	if (seed->mode->cpl == 3 && seed->round != 0 && seed->kind != SEED_KINDS - 1 &&
	    !(seed->row->traits & (ROW_NO_AC | ROW_STATE)) && one_in(4))
		flags |= RFLAGS_AC;
	return flags;
}

static void choose_segments(struct seed *seed)
{
	const struct machine_mode *mode = seed->mode;
	uint16_t *segment = seed->state.segment, code = 0;
	bool paging = machine_has_paging(mode);

	if (mode->kind != MACHINE_REAL && mode->cpl == 0)
		code = SELECTOR_CODE64_0;
	else if (mode->kind != MACHINE_REAL)
		code = mode->code_bits == 64   ? SELECTOR_CODE64_3
		       : mode->code_bits == 32 ? SELECTOR_CODE32_3
					       : SELECTOR_CODE16_3;
	segment[DS] = !paging && seed->source_in_ram ? SELECTOR_MEMORY : SELECTOR_WINDOW;
	segment[ES] = !paging && seed->operand_in_ram ? SELECTOR_MEMORY : SELECTOR_WINDOW;
	segment[SS] = !paging && !(seed->row->traits & ROW_STACK) ? SELECTOR_MEMORY : SELECTOR_WINDOW;
	if (seed->row->traits & ROW_ENDS)
		segment[SS] = SELECTOR_ENDS;
	segment[FS] = segment[GS] = segment[DS] == SELECTOR_MEMORY ? SELECTOR_MEMORY : SELECTOR_BEYOND;
	segment[CS] = code;
	for (unsigned i = ES; i <= GS; i++)
		segment[i] |= mode->kind == MACHINE_REAL ? 0 : mode->cpl;
}

static void choose_registers(struct seed *seed)
{
	const struct machine_mode *mode = seed->mode;
	uint64_t *gpr = seed->state.gpr, base = machine_window_base(mode);
	uint32_t traits = seed->row->traits;

	for (unsigned i = 0; i < 16; i++)
		gpr[i] = lib_random();
	if (traits & ROW_COUNT) {
		gpr[RCX] = seed->round == 0 ? 3 : lib_random_below(MOST_ITERATIONS);
		gpr[RBX] = lib_random_below(MOST_ITERATIONS);
	}
	if (traits & ROW_BITS)
		gpr[RDX] = gpr[R10] = lib_random_below(NEAR * 8) - NEAR * 4ull;
	if (traits & ROW_DIVIDES && one_in(2)) {
		gpr[RDX] = 0;
		gpr[RAX] = lib_random_below(100);
	}
	if (traits & ROW_TABLE)
		gpr[RBX] = base + seed->operand;
	gpr[RDI] = base + seed->operand;
	gpr[RSI] = base + seed->source;
	gpr[RSP] = base + seed->stack;
	gpr[RBP] = gpr[RSP] + lib_random_below(NEAR);
	/* What ENTER copies lies there. */
	if (traits & ROW_ENDS && seed->round == 0)
		gpr[RBP] &= ~3ull;
	for (unsigned i = 0; i < 16 && mode->code_bits != 64; i++)
		gpr[i] = i < R8 ? (uint32_t)gpr[i] : 0;
	/* Code of 16 bits does not look at these. */
	if (mode->code_bits == 16 && !(traits & ROW_STACK))
		gpr[RSI] |= lib_random() << 16 & UINT32_MAX;
}

static void randomize(uint32_t at)
{
	for (uint32_t i = at - NEAR; i != at + 2 * NEAR; i += 8)
		fill_memory(i, lib_random(), 8);
}

void seed_make(struct seed *seed)
{
	const struct row *row = seed->row;

	seed->state = (struct machine_state){.rip = CODE_AT};
	choose_places(seed);
	choose_segments(seed);
	choose_registers(seed);
	seed->state.rflags = random_flags(seed);
	seed->code_at = CODE_AT;
	if (row->length > 1 && one_in(4))
		seed->code_at = CODE_PAGE_END - 1 - lib_random_below(row->length - 1u);
	seed->state.rip = seed->code_at;
	randomize(seed->operand);
	randomize(seed->source);
	if (row->traits & ROW_ENDS) {
		randomize(WINDOW_ENDS);
		randomize(WINDOW_ENDS_END);
	} else if (row->traits & ROW_STACK) {
		randomize(seed->stack);
	}
	fill_operand(seed);
}

/* Numbers as x87 has them: a normal one each. */
static void seed_x87(uint8_t *xsave)
{
	lib_poke(xsave, FCW_DEFAULT | (lib_random() & 0xc00), 2);
	lib_poke(xsave + 2, lib_random() & 0x7800, 2);
	lib_poke(xsave + 4, lib_random(), 1);
	for (unsigned i = 0; i < 8; i++) {
		lib_poke(xsave + XSAVE_ST + 16 * i, lib_random() | 1ull << 63, 8);
		lib_poke(xsave + XSAVE_ST + 16 * i + 8, 0x3fe0 + lib_random_below(0x60), 2);
	}
}

void seed_xsave(const struct seed *seed, uint8_t xsave[MACHINE_XSAVE_BYTES])
{
	/* In the first round no mask is empty, be it a register's sign bits or an opmask register. */
	uint64_t ones = seed->round == 0 ? 0x8080808080808081 : 0;

	memset(xsave, 0, machine_xsave_bytes());
	seed_x87(xsave);
	lib_poke(xsave + XSAVE_MXCSR, MXCSR_DEFAULT, 4);
	for (unsigned i = XSAVE_XMM; i < XSAVE_XMM_END; i += 8)
		lib_poke(xsave + i, lib_random() | ones, 8);
	for (unsigned i = XSAVE_EXTENDED; i < machine_xsave_bytes(); i += 8)
		lib_poke(xsave + i, lib_random() | ones, 8);
}
