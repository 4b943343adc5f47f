/* SPDX-License-Identifier: MIT */
#include "guest/stubs/insns/report.h"
#include "guest/stubs/lib.h"

enum {
	MOST_LINES = 20, /* of differences; the first ones tell */
	VECTOR_BP = 3,
	XSAVE_HEADER = 512,
	XSAVE_HEADER_END = 576,
	PTE_ACCESSED_DIRTY = 0x60,
};

static void line_begin(struct lib_line *line, const struct seed *seed)
{
	*line = (struct lib_line){.length = 0};
	lib_line_text(line, seed->mode->name);
	lib_line_text(line, ", \"");
	lib_line_text(line, seed->row->name);
	lib_line_text(line, "\"");
}

void report_unreached(const struct seed *seed, const struct outcome *outcome)
{
	struct lib_line line;

	line_begin(&line, seed);
	lib_line_text(&line, " never reached a device, and ended in exception 0x");
	lib_line_number(&line, outcome->run.state.vector, 16);
	lib_line_print(&line);
}

/* True: they are the same. The number behind what differs is left out if it is negative. */
static bool same(const struct seed *seed, const char *what, int64_t index, uint64_t ram, uint64_t device)
{
	static unsigned lines;
	struct lib_line line;

	if (ram == device)
		return true;
	if (lines++ >= MOST_LINES)
		return false;
	line_begin(&line, seed);
	lib_line_text(&line, " at 0x");
	lib_line_number(&line, seed->row->traits & ROW_STACK ? seed->stack : seed->operand, 16);
	lib_line_text(&line, ": ");
	lib_line_text(&line, what);
	if (index >= 0)
		lib_line_number(&line, (uint64_t)index, 16);
	lib_line_text(&line, " is 0x");
	lib_line_number(&line, device, 16);
	lib_line_text(&line, " with a device, 0x");
	lib_line_number(&line, ram, 16);
	lib_line_text(&line, " with RAM");
	lib_line_print(&line);
	return false;
}

static bool same_state(const struct seed *seed, const struct machine_state *ram, const struct machine_state *device)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const segments[NR_SEGMENTS] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
	uint64_t undefined = ram->vector == VECTOR_BP ? seed->row->undefined : 0;
	/* Which element of a vector is accessed first is the CPU's own affair. */
	uint64_t cr2_mask = seed->row->traits & ROW_STATE ? ~(uint64_t)(PAGE - 1) : ~0ull;
	bool all = same(seed, "the exception", -1, ram->vector, device->vector);

	all &= same(seed, "the error code", -1, ram->error, device->error);
	all &= same(seed, "cr2", -1, ram->cr2 & cr2_mask, device->cr2 & cr2_mask);
	all &= same(seed, "rip", -1, ram->rip, device->rip);
	all &= same(seed, "rflags", -1, ram->rflags & ~undefined, device->rflags & ~undefined);
	for (unsigned i = 0; i < 16; i++)
		all &= same(seed, names[i], -1, ram->gpr[i], device->gpr[i]);
	for (unsigned i = 0; i < NR_SEGMENTS; i++)
		all &= same(seed, segments[i], -1, ram->segment[i], device->segment[i]);
	all &= same(seed, "the base of the gdt", -1, ram->gdtr.base, device->gdtr.base);
	all &= same(seed, "the limit of the gdt", -1, ram->gdtr.limit, device->gdtr.limit);
	all &= same(seed, "the base of the idt", -1, ram->idtr.base, device->idtr.base);
	all &= same(seed, "the limit of the idt", -1, ram->idtr.limit, device->idtr.limit);
	all &= same(seed, "the machine status word", -1, ram->msw, device->msw);
	return all;
}

static bool same_tables(const struct seed *seed, const struct machine_run *ram, const struct machine_run *device)
{
	bool all = true;

	for (unsigned i = 0; i < SELECTOR_END / 8; i++)
		/* The bases of some are what the two runs differ in. */
		all &= same(seed, "the type of descriptor 0x", 8 * i, ram->gdt[i] >> 40 & 0xff,
			    device->gdt[i] >> 40 & 0xff);
	/* How far an instruction that faults has come is the CPU's own affair. */
	if (ram->state.vector != VECTOR_BP || !machine_has_paging(seed->mode) || seed->row->traits & ROW_MASKED)
		return all;
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		all &= same(seed, "accessed, dirty of page ", i, ram->page_flags[i] & PTE_ACCESSED_DIRTY,
			    device->page_flags[i] & PTE_ACCESSED_DIRTY);
	return all;
}

/* Quadwords from the first to the end that are equal. */
static uint64_t equal_quadwords(const uint8_t *one, const uint8_t *other, uint64_t count)
{
	const uint8_t *start = one;
	bool equal;

	__asm__ volatile("repe cmpsq" : "+S"(one), "+D"(other), "+c"(count), "=@cce"(equal) : : "memory");
	return (uint64_t)(one - start) / 8 - !equal;
}

static bool same_bytes(const struct seed *seed, const char *what, const uint8_t *ram, const uint8_t *device,
		       unsigned begin, unsigned end)
{
	uint64_t count = (end - begin) / 8, equal = equal_quadwords(ram + begin, device + begin, count);
	uint64_t at = begin + 8 * equal;

	return equal == count || same(seed, what, (int64_t)at, lib_peek(ram + at, 8), lib_peek(device + at, 8));
}

static bool same_xsave(const struct seed *seed, const uint8_t *ram, const uint8_t *device)
{
	static const char what[] = "the XSAVE area at 0x";

	bool all = same_bytes(seed, what, ram, device, 0, XSAVE_HEADER);

	/* The header says what is in its initial state, which the CPU may find out or not. */
	all &= same_bytes(seed, what, ram, device, XSAVE_HEADER_END, machine_xsave_bytes());
	return all;
}

bool report_compare(const struct seed *seed, const struct outcome *with_ram, const struct outcome *with_device)
{
	bool all = same_state(seed, &with_ram->run.state, &with_device->run.state);

	all &= same_tables(seed, &with_ram->run, &with_device->run);
	if (!(seed->row->traits & ROW_PARTIAL && with_ram->run.state.vector != VECTOR_BP))
		all &= same_bytes(seed, "memory at 0x", with_ram->memory, with_device->memory, 0, WINDOW_MEMORY);
	else
		memcpy(with_device->memory, with_ram->memory, WINDOW_MEMORY);
	if (with_ram->run.has_xsave)
		all &= same_xsave(seed, with_ram->run.xsave, with_device->run.xsave);
	return all;
}
