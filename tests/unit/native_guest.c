/* SPDX-License-Identifier: MIT */
#include "tests/unit/native_guest.h"

#include "tests/unit/guest_memory.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	TABLES_AT = 0x1000, /* page tables, then the GDT */
	GDT_AT = 0x3000,
	GDT_BYTES = 128,
	TABLES_BYTES = 0x3000,
	MIRROR_OFFSET = 0x100000, /* in hosted memory */
	PAGE = 4096,
	DEVICE_PAGE = 2,
	EMBEDDER_PAGE = 3,
	GIB_SHIFT = 30,
	RFLAGS_ALWAYS = 2 | 1 << 9, /* bit 1, and IF: no user code runs without */
	RFLAGS_AC = 1 << 18,
	CR0_USED = 1 << 0 | 1 << 5 | 1 << 16 | 1 << 18, /* PE, NE, WP, AM */
	EFER_LONG = 1 << 8 | 1 << 10 | 1 << 11,         /* LME, LMA, NXE */
	MOST_ITERATIONS = 7,
};
/* Access rights as the VMCS has them: type, S, DPL 3, P, then L, D/B, G; an unusable segment. */
enum { CODE_64_RIGHTS = 0xa0fb, CODE_32_RIGHTS = 0xc0fb, DATA_RIGHTS = 0xc0f3, UNUSABLE = 0x10000 };

unsigned long native_guest_calls, native_guest_completions;
static struct grace_reader reader;
static struct vcpu_stats stats;

static void serve(struct tl_mmio *access)
{
	uint8_t *at = native_mirror(access->gpa, access->size);

	assert_non_null(at);
	if (access->write)
		memcpy(at, &access->data, access->size);
	else
		memcpy(&access->data, at, access->size);
}

static enum tl_status device(struct tl_mmio *access)
{
	native_guest_calls++;
	serve(access);
	return TL_OK;
}

/* 1 GiB pages, all of them the user's, accessed and dirty. */
static void make_tables(uint8_t *at)
{
	uint64_t pml4e = (TABLES_AT + PAGE) | P | W | U | A;

	memcpy(at, &pml4e, sizeof(pml4e));
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t pdpte = i << GIB_SHIFT | P | W | U | A | D | PS;

		memcpy(at + PAGE + i * 8, &pdpte, sizeof(pdpte));
	}
}

static void make_gdt(uint8_t *at)
{
	static const uint64_t descriptors[] = {
		0,
		0x00cf9b000000ffff, /* kernel, 32-bit code */
		0x00af9b000000ffff, /* kernel, code */
		0x00cf93000000ffff, /* kernel, data */
		0x00cffb000000ffff, /* USER_CODE_32 */
		0x00cff3000000ffff, /* USER_DATA */
		0x00affb000000ffff, /* USER_CODE_64 */
	};

	memset(at, 0, PAGE);
	memcpy(at, descriptors, sizeof(descriptors));
}

static void add_page(uint64_t page, uint8_t *host)
{
	struct tl_range range = {.start = (uintptr_t)native_memory + page * PAGE, .size = PAGE};

	if (page == DEVICE_PAGE || page == EMBEDDER_PAGE) {
		range.kind = TL_RANGE_MMIO;
		range.access = page == DEVICE_PAGE ? device : NULL;
	} else {
		range.kind = TL_RANGE_RAM;
		range.host = host + page * PAGE;
	}
	range_add(range);
}

int native_guest_start(void **state)
{
	struct tl_range tables = {.kind = TL_RANGE_RAM, .start = TABLES_AT, .size = TABLES_BYTES};

	(void)state;
	native_start();
	vm_start(NULL);
	tables.host = hosted_memory(0);
	make_tables(tables.host);
	make_gdt((uint8_t *)tables.host + (GDT_AT - TABLES_AT));
	native_mirror_at(hosted_memory(MIRROR_OFFSET));
	range_add(tables);
	for (uint64_t page = 0; page < NATIVE_MEMORY_BYTES / PAGE; page++)
		add_page(page, hosted_memory(MIRROR_OFFSET));
	grace_reader_add(&reader, vm);
	reader_enter(&reader, 0);
	return 0;
}

int native_guest_stop(void **state)
{
	(void)state;
	reader_leave(&reader, 0);
	grace_reader_remove(&reader);
	vm_stop();
	return 0;
}

static void set_segments(struct mmio_cpu *cpu, bool is_64)
{
	struct tl_segment data = {.selector = USER_DATA, .limit = UINT32_MAX, .access = DATA_RIGHTS};
	struct tl_segment null = {.access = UNUSABLE};

	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++)
		cpu->segment[i] = null;
	cpu->segment[TL_SS] = data;
	if (!is_64)
		cpu->segment[TL_DS] = cpu->segment[TL_ES] = data;
	cpu->segment[TL_CS] = (struct tl_segment){
		.selector = is_64 ? USER_CODE_64 : USER_CODE_32,
		.limit = UINT32_MAX,
		.access = is_64 ? CODE_64_RIGHTS : CODE_32_RIGHTS,
	};
}

static void set_cpu(struct mmio_cpu *cpu, const struct native_case *c, struct native_image *image)
{
	*cpu = (struct mmio_cpu){
		.rip = c->rip,
		.rflags = c->rflags | RFLAGS_ALWAYS,
		.gdtr = {.base = GDT_AT, .limit = GDT_BYTES - 1},
		.paging = {.cr0 = PG | CR0_USED,
			   .cr3 = TABLES_AT,
			   .cr4 = PAE,
			   .efer = EFER_LONG,
			   .cpl = 3,
			   .rflags_ac = c->rflags & RFLAGS_AC,
			   .pages_1g = true,
			   .maxphyaddr = 39},
		.xstate = native_xstate(image),
		.code_bits = (uint8_t)c->form->code_bits,
	};
	memcpy(cpu->gpr, c->gpr, sizeof(cpu->gpr));
	set_segments(cpu, cpu->code_bits == 64);
}

static enum mmio_progress run_to_the_end(struct mmio_operation *op, struct mmio_cpu *cpu)
{
	struct tl_mmio access;
	struct tl_exit_io port;
	struct mmio_environment env = {
		.map = map_now(), .vm = vm, .reader = &reader, .access = &access, .port = &port, .stats = &stats};
	enum mmio_progress progress;

	for (;;) {
		progress = mmio_run(op, cpu, &env);
		if (progress == MMIO_EMBEDDER) {
			native_guest_completions++;
			serve(&access);
			mmio_complete(op, access.data);
		} else if (progress == MMIO_AGAIN) {
			mmio_begin(op, &op->insn, MMIO_ANY_GPA, MOST_ITERATIONS);
		} else {
			return progress;
		}
	}
}

void native_guest_run(struct native_case *c, struct native_image *image)
{
	static struct mmio_operation op;
	struct mmio_cpu cpu;
	enum mmio_progress progress;

	set_cpu(&cpu, c, image);
	mmio_begin(&op, &c->insn, MMIO_ANY_GPA, MOST_ITERATIONS);
	progress = run_to_the_end(&op, &cpu);
	c->emulated_fault = NATIVE_NO_FAULT;
	c->emulated_rip = cpu.rip;
	memcpy(c->emulated_gpr, cpu.gpr, sizeof(c->emulated_gpr));
	c->emulated_rflags = cpu.rflags;
	if (progress == MMIO_FAULT) {
		c->emulated_fault = op.fault.vector;
		c->emulated_error = op.fault.has_error_code ? op.fault.error_code : 0;
	} else if (progress != MMIO_DONE) {
		native_case_fail(c, "that it was executed");
	}
}
