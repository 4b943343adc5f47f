/* SPDX-License-Identifier: MIT */
#include "guest/stubs/insns/fill.h"
#include "guest/stubs/lib.h"

enum {
	SAME_BEFORE = 48, /* bytes that are equal, on both sides of a string's start */
	SAME_AFTER = 96,
	MSW_KEPT = 1, /* PE */
	RFLAGS_TF = 1 << 8,
	MXCSR_DEFAULT = 0x1f80,
	MXCSR_VALID = 0xffff,
	FCW_DEFAULT = 0x37f,
	NOWHERE = 0xff,
};

/* lib_poke() loads and stores 8 bytes whatever the size. */
uint8_t fill_window[2][WINDOW_MEMORY + PAGE] __attribute__((aligned(4096)));

void fill_memory(uint32_t at, uint64_t value, unsigned size)
{
	/* The page of memory behind each of the window's. */
	static const uint8_t pages[WINDOW_PAGES] = {0, 1, 2, 3, 4, 1, 2, NOWHERE, 3, 1};
	enum { OF_LAST_PAGE = 1 };

	while (size > 0) {
		uint32_t page = at / PAGE < WINDOW_PAGES        ? pages[at / PAGE]
				: at / PAGE == WINDOW_LAST_PAGE ? (uint32_t)OF_LAST_PAGE
								: (uint32_t)NOWHERE;
		unsigned here = PAGE - at % PAGE < size ? PAGE - at % PAGE : size;

		if (page != NOWHERE) {
			lib_poke(fill_window[WITH_RAM] + page * PAGE + at % PAGE, value, here);
			lib_poke(fill_window[WITH_DEVICE] + page * PAGE + at % PAGE, value, here);
		}
		size -= here;
		at += here;
		value >>= 8 * (here % 8);
	}
}

/* One that a segment register takes, or one that it does not. */
static uint16_t random_selector(const struct machine_mode *mode)
{
	static const uint8_t selectors[] = {0,
					    SELECTOR_WINDOW,
					    SELECTOR_WINDOW,
					    SELECTOR_MEMORY,
					    SELECTOR_MEMORY,
					    SELECTOR_READ_ONLY,
					    SELECTOR_ABSENT,
					    SELECTOR_DATA_0,
					    SELECTOR_CODE32_0,
					    SELECTOR_CODE16_3,
					    SELECTOR_TSS64,
					    SELECTOR_TSS32,
					    SELECTOR_LDT,
					    SELECTOR_END};
	uint16_t selector = selectors[lib_random_below(sizeof(selectors))];

	if (mode->kind == MACHINE_REAL)
		return (uint16_t)lib_random();
	/* The RPL is the CPL, mostly; bit 2 would ask for the local descriptor table, which there is not. */
	return (uint16_t)(selector | (lib_random_below(8) ? mode->cpl : lib_random_below(8)));
}

/* Where far transfers go: the program's own segment, or what is none. A gate is not emulated. */
static uint16_t random_code_selector(const struct seed *seed)
{
	static const uint8_t wrong[] = {0, SELECTOR_DATA_0, SELECTOR_ABSENT, SELECTOR_END};

	if (seed->mode->kind == MACHINE_REAL || lib_random_below(4))
		return seed->state.segment[CS];
	return (uint16_t)(wrong[lib_random_below(sizeof(wrong))] | seed->mode->cpl);
}

static void fill_table(uint32_t at, struct machine_table table)
{
	fill_memory(at, table.limit, 2);
	fill_memory(at + 2, table.base, 8);
}

/* So that a comparison with rDX:rAX finds them equal. Of 8 bytes they are rAX as well as EDX:EAX. */
static void fill_equal(struct seed *seed)
{
	uint64_t *gpr = seed->state.gpr;

	if (lib_random_below(2))
		return;
	if (seed->row->width == 8) {
		gpr[RDX] = seed->mode->code_bits == 64 ? gpr[RAX] >> 32 : (uint32_t)lib_random();
		fill_memory(seed->operand + 4, gpr[RDX], 4);
	}
	fill_memory(seed->operand, gpr[RAX], seed->row->width < 8 ? seed->row->width : 4);
	if (seed->row->width == 16) {
		fill_memory(seed->operand, gpr[RAX], 8);
		fill_memory(seed->operand + 8, gpr[RDX], 8);
	}
}

/* Strings that are equal but for a byte here and there. */
static void fill_same(struct seed *seed)
{
	uint64_t same = 0x0101010101010101 * lib_random_below(256);

	seed->state.gpr[RAX] = seed->mode->code_bits == 64 ? same : (uint32_t)same;
	for (uint32_t i = 0; i < SAME_BEFORE + SAME_AFTER; i += 8) {
		fill_memory(seed->operand - SAME_BEFORE + i, same, 8);
		fill_memory(seed->source - SAME_BEFORE + i, same, 8);
	}
	fill_memory(seed->operand - SAME_BEFORE + lib_random_below(SAME_BEFORE + SAME_AFTER), lib_random(), 1);
	fill_memory(seed->source - SAME_BEFORE + lib_random_below(SAME_BEFORE + SAME_AFTER), lib_random(), 1);
}

static void fill_bounds(const struct seed *seed)
{
	unsigned size = seed->row->width / 2u;

	if (lib_random_below(2))
		return;
	fill_memory(seed->operand, seed->state.gpr[RDX] - 1 + lib_random_below(3), size);
	fill_memory(seed->operand + size, seed->state.gpr[RDX] - 1 + lib_random_below(3), size);
}

/* A number of moderate size; of 2 bytes, a control word. */
static void fill_float(const struct seed *seed)
{
	uint64_t random = lib_random();

	switch (seed->row->width) {
	case 2:
		fill_memory(seed->operand, FCW_DEFAULT | (random & 0xc00), 2);
		break;
	case 4:
		fill_memory(seed->operand, (random & 0x83ffffff) | 0x3c000000, 4);
		break;
	case 8:
		fill_memory(seed->operand, (random & 0x803fffffffffffff) | 0x3fc0000000000000, 8);
		break;
	default:
		fill_memory(seed->operand, random | 1ull << 63, 8);
		fill_memory(seed->operand + 8, 0x3fe0 + lib_random_below(0x40), 2);
	}
}

void fill_operand(struct seed *seed)
{
	const struct row *row = seed->row;
	bool popped = (row->traits & (ROW_STACK | ROW_PUSHES)) == ROW_STACK;
	uint32_t at = popped ? seed->stack : seed->operand;
	bool real = seed->mode->kind == MACHINE_REAL;

	switch (row->fill) {
	case FILL_CODE:
		fill_memory(at, PAD_AT, 8);
		break;
	case FILL_FAR_CODE:
		fill_memory(at, PAD_AT, row->width);
		fill_memory(at + row->width, random_code_selector(seed), 2);
		break;
	case FILL_FAR_DATA:
		fill_memory(at + row->width, random_selector(seed->mode), 2);
		break;
	case FILL_SELECTOR:
		fill_memory(at, random_selector(seed->mode), 2);
		break;
	case FILL_GDT:
		fill_table(at, machine_other_gdt());
		break;
	case FILL_IDT:
		fill_table(at, machine_other_idt(seed->mode));
		break;
	case FILL_LDT:
		fill_memory(at, lib_random_below(2) ? SELECTOR_LDT : random_selector(seed->mode), 2);
		break;
	case FILL_TSS:
		fill_memory(at, lib_random_below(2) ? SELECTOR_TSS64_OTHER : random_selector(seed->mode), 2);
		break;
	case FILL_MSW:
		fill_memory(at, lib_random() & (real ? ~(uint64_t)MSW_KEPT : ~0ull), 2);
		break;
	case FILL_FLAGS:
		fill_memory(at, lib_random() & ~(uint64_t)RFLAGS_TF, 8);
		break;
	case FILL_EQUAL:
		fill_equal(seed);
		break;
	case FILL_SAME:
		fill_same(seed);
		break;
	case FILL_BOUNDS:
		fill_bounds(seed);
		break;
	case FILL_MXCSR:
		fill_memory(at, MXCSR_DEFAULT | (lib_random() & MXCSR_VALID), 4);
		if (lib_random_below(4) == 0)
			fill_memory(at, lib_random(), 4);
		break;
	case FILL_FLOAT:
		fill_float(seed);
		break;
	default:
		break;
	}
}
