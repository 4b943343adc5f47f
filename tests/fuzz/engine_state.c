/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/engine_state.h"
#include "tests/fuzz/engine_xstate.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/guest_tables.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

#define CR0_PE   BIT(0)
#define CR0_WP   BIT(16)
#define CR0_AM   BIT(18)
#define CR0_PG   BIT(31)
#define CR4_PSE  BIT(4)
#define CR4_PAE  BIT(5)
#define CR4_LA57 BIT(12)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE  BIT(22)
#define CR4_PKS  BIT(24)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define RFLAGS_FIXED 2u
#define RFLAGS_VM    BIT(17)
#define RFLAGS_AC    BIT(18)
#define RFLAGS_ANY   0x257fd5u /* all that exist but VM */

enum { PAGE = 4096, SEGMENT_UNUSABLE = 0x10000 };

struct mode {
	uint8_t code_bits;
	uint64_t cr0, cr4, efer;
	unsigned cr3_page;
};

static const struct mode modes[] = {
	{64, CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, PAGE_PML4},
	{64, CR0_PE | CR0_PG, CR4_PAE | CR4_LA57, EFER_LMA, PAGE_PML5},
	{32, CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, PAGE_PML4},
	{16, CR0_PE | CR0_PG, CR4_PAE, EFER_LMA, PAGE_PML4},
	{32, CR0_PE, 0, 0, 0},
	{32, CR0_PE | CR0_PG, 0, 0, PAGE_PD32},
	{32, CR0_PE | CR0_PG, CR4_PAE, 0, 0},
	{16, CR0_PE | CR0_PG, CR4_PSE, 0, PAGE_PD32},
	{16, 0, 0, 0, 0},                       /* real mode */
	{16, CR0_PE | CR0_PG, 0, 0, PAGE_PD32}, /* virtual-8086 mode */
};

enum { NR_MODES = sizeof(modes) / sizeof(modes[0]), MODE_REAL = NR_MODES - 2, MODE_VIRTUAL_8086 };

/* A number that is an address more often than chance would have it. */
static uint64_t take_address(struct fuzz_input *input)
{
	uint8_t kind = fuzz_take8(input);
	uint64_t offset = fuzz_take16(input);

	if (kind < 0xc0)
		return (uint64_t)(kind & (NR_MAPPED_PAGES - 1)) * PAGE + offset % PAGE;
	switch (kind & 7) {
	case 0:
		return offset;
	case 1:
		return 0 - offset;
	case 2:
		return 0x800000000000 - offset;
	case 3:
		return 0xffff800000000000 + offset;
	case 4:
		return 0x80000000 - offset;
	case 5:
		return 0x100000000 - offset;
	case 6:
		return offset << 48;
	default:
		return fuzz_hash(offset);
	}
}

static void take_paging(struct fuzz_input *input, unsigned mode, struct mmio_cpu *cpu)
{
	unsigned options = fuzz_take16(input);
	const struct mode *m = &modes[mode];

	cpu->paging = (struct guest_paging){
		.cr0 = m->cr0 | (options & 1 ? CR0_WP : 0) | (options & 2 ? CR0_AM : 0),
		.cr3 = m->cr3_page * PAGE,
		.cr4 = m->cr4 | (options & 4 ? CR4_SMEP : 0) | (options & 8 ? CR4_SMAP : 0) |
		       (options & 0x10 ? CR4_PKE : 0) | (options & 0x20 ? CR4_PKS : 0),
		.efer = m->efer | (options & 0x40 ? EFER_NXE : 0),
		.pdpte = {PAGE_PD * PAGE | 1},
		.pkru = options & 0x80 ? 0x55555554 : 4,
		.pkrs = options & 0x80 ? 0xaaaaaaa8 : 8,
		.cpl = options >> 8 & 3,
		.rflags_ac = cpu->rflags & RFLAGS_AC,
		.pages_1g = options & 0x400,
		.maxphyaddr = (uint8_t)(32 + (options >> 11) % 21),
	};
	if (mode == MODE_REAL)
		cpu->paging.cpl = 0;
	if (mode == MODE_VIRTUAL_8086)
		cpu->paging.cpl = 3;
}

/* Access rights: type, S, DPL by the CPL, P, D/B by the code. */
static void take_segment(struct fuzz_input *input, const struct mmio_cpu *cpu, unsigned i, struct tl_segment *segment)
{
	uint8_t kind = fuzz_take8(input);
	uint16_t word = fuzz_take16(input);
	bool is_code = i == TL_CS;
	uint32_t rights = 0x93u | (is_code ? 8u : 0) | (uint32_t)cpu->paging.cpl << 5;

	*segment = (struct tl_segment){.selector = word, .limit = UINT32_MAX, .access = rights | 0xc000};
	if (is_code && cpu->code_bits != 32)
		segment->access = rights | (cpu->code_bits == 64 ? 0x2000 : 0);
	if (cpu->code_bits == 16)
		segment->limit = UINT16_MAX;
	if (!(cpu->paging.cr0 & CR0_PE) || cpu->rflags & RFLAGS_VM) {
		segment->base = (uint64_t)(word & 0xfff) << 4;
		segment->access = 0x93u | (uint32_t)cpu->paging.cpl << 5;
	}
	if (kind & 1)
		segment->base = take_address(input);
	if (cpu->code_bits != 64)
		segment->base = (uint32_t)segment->base;
	if (kind & 2)
		segment->limit = word;
	if (kind & 4)
		segment->access ^= 1u << (word & 3); /* type */
	if (kind & 8)
		segment->access ^= SEGMENT_UNUSABLE;
	if (kind & 0x10)
		segment->access ^= 0x4000; /* D/B */
}

static void take_segments(struct fuzz_input *input, struct mmio_cpu *cpu)
{
	uint8_t tables;

	for (unsigned i = 0; i <= TL_GS; i++)
		take_segment(input, cpu, i, &cpu->segment[i]);
	cpu->segment[TL_LDTR] = (struct tl_segment){
		.selector = 0x50, .limit = 0x7f, .access = 0x82, .base = PAGE_GDT * PAGE + GUEST_LDT_AT};
	cpu->segment[TL_TR] =
		(struct tl_segment){.selector = 0x40, .limit = 0x67, .access = 0x8b, .base = PAGE_CODE * PAGE};
	cpu->gdtr = (struct tl_table){.base = PAGE_GDT * PAGE, .limit = GUEST_GDT_BYTES - 1};
	tables = fuzz_take8(input);
	if (tables & 1)
		cpu->gdtr.base = take_address(input);
	else if (tables & 2)
		cpu->gdtr.base = PAGE_ROM * PAGE;
	cpu->idtr = (struct tl_table){.base = PAGE_GDT * PAGE, .limit = UINT16_MAX};
}

/* An entry of a page table: a page or table among the guest's first 64, and any of the other bits. */
static void take_table_entry(struct fuzz_input *input)
{
	unsigned table = PAGE_PML5 + fuzz_take8(input) % (PAGE_PT32 + 1);
	unsigned index = fuzz_take16(input) % 512;
	uint64_t page = fuzz_take8(input) & (NR_MAPPED_PAGES - 1), flags = fuzz_take16(input);
	uint64_t entry = page * PAGE | (flags & 0xfff) | (flags >> 12) << 60;

	if (fuzz_take8(input) & 1)
		entry ^= BIT(fuzz_take8(input) & 63);
	if (table >= PAGE_PD32)
		entry |= (uint32_t)entry << 16 << 16;
	hostile_poke(guest_table_word(table, index) / 8, entry, ~0ull);
}

static void take_change(struct fuzz_input *input)
{
	struct hostile_change change = {.after = fuzz_take8(input)};
	uint8_t kind = fuzz_take8(input);

	change.word = kind & 1 ? HOSTILE_HERE : fuzz_take16(input);
	change.value = fuzz_take(input, kind & 2 ? 8 : 2);
	change.mask = kind & 4 ? BIT(kind >> 3) : ~0ull;
	if (hostile.nr_changes < HOSTILE_MAX_CHANGES)
		hostile.change[hostile.nr_changes++] = change;
}

static void take_step(struct fuzz_input *input)
{
	struct guest_step step = {.kind = fuzz_take8(input)};

	if (step.kind % NR_STEPS == STEP_POKE) {
		step.word = fuzz_take16(input);
		step.value = fuzz_take(input, 8);
	}
	if (guest.nr_steps < GUEST_MAX_STEPS)
		guest.step[guest.nr_steps++] = step;
}

static void take_world(struct fuzz_input *input)
{
	while (input->left) {
		switch (fuzz_take8(input) & 7) {
		case 0:
		case 1:
			take_table_entry(input);
			break;
		case 2:
		case 3:
			take_change(input);
			break;
		case 4:
			hostile_poke(fuzz_take16(input), fuzz_take(input, 8), ~0ull);
			break;
		case 5:
			/* A descriptor. */
			hostile_poke(PAGE_GDT * PAGE / 8 + fuzz_take8(input), fuzz_take(input, 8), ~0ull);
			break;
		default:
			take_step(input);
		}
	}
}

/* The instruction's bytes where RIP points, if that is a linear address of the first pages. */
static void put_code(const struct engine_case *c)
{
	uint64_t at = c->cpu.rip + (c->cpu.code_bits == 64 ? 0 : c->cpu.segment[TL_CS].base);

	for (unsigned i = 0; i < ENGINE_CODE_BYTES; i++)
		if (at + i < GUEST_RAM_BYTES)
			hostile_poke((at + i) / 8, (uint64_t)c->code[i] << ((at + i) % 8 * 8),
				     0xffull << ((at + i) % 8 * 8));
}

void engine_case_read(struct fuzz_input *input, struct engine_case *c)
{
	unsigned mode, how;

	memset(c, 0, sizeof(*c));
	hostile.nr_changes = 0;
	mode = fuzz_take8(input) % NR_MODES;
	how = fuzz_take8(input);
	for (unsigned i = 0; i < ENGINE_CODE_BYTES; i++)
		c->code[i] = fuzz_take8(input);
	c->cpu.code_bits = modes[mode].code_bits;
	c->cpu.rflags = (fuzz_take(input, 3) & RFLAGS_ANY) | RFLAGS_FIXED | (mode == MODE_VIRTUAL_8086 ? RFLAGS_VM : 0);
	for (unsigned i = 0; i < INSN_NO_REGISTER; i++)
		c->cpu.gpr[i] = take_address(input);
	c->cpu.rip = how & 1 ? take_address(input) : PAGE_CODE * PAGE;
	take_paging(input, mode, &c->cpu);
	take_segments(input, &c->cpu);
	if (c->cpu.code_bits != 64)
		c->cpu.rip = (uint32_t)c->cpu.rip;
	c->fetched = how & 2;
	c->exit_gpa = how & 4 ? take_address(input) : MMIO_ANY_GPA;
	c->limit = how & 8 ? 1 : 1 + (fuzz_take8(input) & 31);
	engine_xstate_read(input, &c->cpu.xstate);
	put_code(c);
	take_world(input);
}
