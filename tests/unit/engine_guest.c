/* SPDX-License-Identifier: MIT */
#include "tests/unit/engine_guest.h"

#include "mmio/decode.h"
#include "mmu/running.h"

enum {
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	PT = 0x4000, /* and the next page */
	PAGE = 0x1000,
	RIP = 0x9000,
	/* Access rights as the VMCS has them: type, S, DPL 0, P, then L, D/B, G. */
	CODE_64_RIGHTS = 0xa09b,
	CODE_32_RIGHTS = 0xc09b,
	CODE_16_RIGHTS = 0x9b,
	DATA_RIGHTS = 0xc093,
	DATA_16_RIGHTS = 0x93,
	NO_LDT = 0x10000,
	CR0_PE = 1,
	RFLAGS_ALWAYS = 2,
	X87_AND_SSE = 3,
};

struct engine_guest guest;

static enum tl_status serve(struct tl_mmio *access)
{
	uint8_t *at = guest.device + access->offset;

	assert_true(guest.calls < MOST_CALLS);
	guest.call[guest.calls++] = *access;
	if (guest.on_call)
		guest.on_call(guest.calls);
	if (guest.calls == guest.fail_at)
		return TL_DEVICE_ERROR;
	if (access->write)
		memcpy(at, &access->data, access->size);
	else
		memcpy(&access->data, at, access->size);
	return TL_OK;
}

int engine_guest_start(void **context)
{
	struct tl_range device = mmio_range(DEVICE_AT, DEVICE_SIZE), rom_page;

	(void)context;
	vm_start(NULL);
	device.access = serve;
	rom_page = ram_range(ROM_AT, PAGE);
	rom_page.kind = TL_RANGE_ROM;
	range_add(ram_range(0, RAM_SIZE));
	range_add(ram_range(UPPER_RAM_AT, UPPER_RAM_SIZE));
	range_add(rom_page);
	range_add(device);
	range_add(mmio_range(EMBEDDER_AT, EMBEDDER_SIZE));
	return 0;
}

static void leave(void)
{
	if (!guest.reader.vm)
		return;
	grace_leave(&guest.reader, 0);
	grace_reader_remove(&guest.reader);
	guest.reader.vm = NULL;
}

int engine_guest_stop(void **context)
{
	(void)context;
	leave();
	vm_stop();
	return 0;
}

static void make_tables(void)
{
	engine_put(PML4, PDPT | ALL | A, 8);
	engine_put(PDPT, PD | ALL | A, 8);
	engine_put(PD, PT | ALL | A, 8);
	engine_put(PD + 8, (PT + PAGE) | ALL | A, 8);
	for (gva_t page = 0; page < PAGES_END; page += PAGE)
		engine_map_page(page, page, ALL | A | D);
}

static void make_xsave(void)
{
	static const uint16_t fcw = 0x37f, mxcsr = 0x1f80, in_use = X87_AND_SSE;

	memcpy(guest.xsave + XSAVE_FCW, &fcw, 2);
	memcpy(guest.xsave + XSAVE_MXCSR, &mxcsr, 2);
	memcpy(guest.xsave + XSAVE_HEADER, &in_use, 2);
}

int engine_reset(void **context)
{
	(void)context;
	leave();
	memset(&guest, 0, sizeof(guest));
	grace_reader_add(&guest.reader, vm);
	grace_enter(&guest.reader, 0);
	memset(engine_ram(0), 0, RAM_SIZE);
	memset(engine_ram(UPPER_RAM_AT), 0, UPPER_RAM_SIZE);
	make_tables();
	make_xsave();
	guest.limit = 1000;
	guest.exit_gpa = MMIO_ANY_GPA;
	engine_in_64(0);
	return 0;
}

static void set_mode(unsigned code_bits, uint32_t code, uint32_t data, uint32_t limit)
{
	struct mmio_cpu *cpu = &guest.cpu;

	*cpu = (struct mmio_cpu){.rip = RIP,
				 .rflags = RFLAGS_ALWAYS,
				 .gdtr = {.base = GDT_AT, .limit = 0x7ff},
				 .paging = {.pages_1g = true, .maxphyaddr = 39},
				 .xstate = {.area = guest.xsave, .enabled = X87_AND_SSE},
				 .code_bits = (uint8_t)code_bits};
	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++)
		cpu->segment[i] = (struct tl_segment){.access = i == TL_CS ? code : data, .limit = limit};
	cpu->segment[TL_LDTR] = (struct tl_segment){.access = NO_LDT};
	cpu->gpr[TL_RSP] = STACK_AT;
}

void engine_in_64(unsigned cpl)
{
	set_mode(64, CODE_64_RIGHTS, DATA_RIGHTS, UINT32_MAX);
	guest.cpu.paging.cr0 = CR0_PE | PG | WP;
	guest.cpu.paging.cr3 = PML4;
	guest.cpu.paging.cr4 = PAE;
	guest.cpu.paging.efer = LMA | NXE;
	guest.cpu.paging.cpl = (uint8_t)cpl;
}

void engine_in_32(void)
{
	set_mode(32, CODE_32_RIGHTS, DATA_RIGHTS, UINT32_MAX);
	guest.cpu.paging.cr0 = CR0_PE;
}

void engine_in_16(void)
{
	set_mode(16, CODE_16_RIGHTS, DATA_16_RIGHTS, UINT16_MAX);
	guest.cpu.gpr[TL_RSP] = STACK_AT - 16;
}

static gpa_t entry_at(gva_t linear)
{
	assert_true(linear < PAGES_END);
	return PT + linear / PAGE * 8;
}

void engine_map_page(gva_t linear, gpa_t gpa, uint64_t flags)
{
	engine_put(entry_at(linear), gpa | flags, 8);
}

void engine_unmap_page(gva_t linear)
{
	engine_put(entry_at(linear), 0, 8);
}

uint64_t engine_entry(gva_t linear)
{
	return engine_get(entry_at(linear), 8);
}

uint8_t *engine_ram(gpa_t gpa)
{
	return hosted_memory(gpa);
}

void engine_put(gpa_t gpa, uint64_t value, unsigned size)
{
	memcpy(engine_ram(gpa), &value, size);
}

uint64_t engine_get(gpa_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, engine_ram(gpa), size);
	return value;
}

struct insn engine_decode(const uint8_t *bytes)
{
	struct insn insn;

	assert_int_equal(insn_decode(bytes, INSN_MAX_LENGTH, guest.cpu.code_bits, &insn), DECODE_OK);
	return insn;
}

struct mmio_environment engine_environment(void)
{
	return (struct mmio_environment){.map = map_now(),
					 .vm = vm,
					 .reader = &guest.reader,
					 .access = &guest.access,
					 .port = &guest.port,
					 .stats = &guest.stats};
}

enum mmio_progress engine_run(const uint8_t *bytes)
{
	struct mmio_environment env = engine_environment();
	struct insn insn = engine_decode(bytes);

	mmio_begin(&guest.op, &insn, guest.exit_gpa, guest.limit);
	return mmio_run(&guest.op, &guest.cpu, &env);
}

enum mmio_progress engine_resume(uint64_t data)
{
	struct mmio_environment env = engine_environment();

	mmio_complete(&guest.op, data);
	return mmio_run(&guest.op, &guest.cpu, &env);
}

void expect_nothing_done(const uint8_t *bytes, enum mmio_progress progress)
{
	static uint8_t ram_before[RAM_SIZE], upper_before[UPPER_RAM_SIZE], xsave_before[XSTATE_FIRST_BYTES];
	struct mmio_cpu before = guest.cpu;
	unsigned calls = guest.calls;

	memcpy(ram_before, engine_ram(0), RAM_SIZE);
	memcpy(upper_before, engine_ram(UPPER_RAM_AT), UPPER_RAM_SIZE);
	memcpy(xsave_before, guest.xsave, sizeof(xsave_before));
	assert_int_equal(engine_run(bytes), progress);
	assert_memory_equal(guest.xsave, xsave_before, sizeof(xsave_before));
	assert_memory_equal(&guest.cpu, &before, sizeof(before));
	assert_memory_equal(engine_ram(0), ram_before, RAM_SIZE);
	assert_memory_equal(engine_ram(UPPER_RAM_AT), upper_before, UPPER_RAM_SIZE);
	assert_int_equal(guest.calls, calls);
}

void expect_fault(const uint8_t *bytes, unsigned vector, int error_code)
{
	expect_nothing_done(bytes, MMIO_FAULT);
	assert_int_equal(guest.op.fault.vector, vector);
	assert_int_equal(guest.op.fault.has_error_code, error_code != NO_ERROR_CODE);
	if (error_code != NO_ERROR_CODE)
		assert_int_equal(guest.op.fault.error_code, error_code);
}

void expect_page_fault(const uint8_t *bytes, uint32_t error_code, gva_t linear)
{
	expect_fault(bytes, PF, (int)error_code);
	assert_int_equal(guest.op.fault.linear, linear);
}

void expect_done(const uint8_t *bytes)
{
	uint64_t next = guest.cpu.rip + engine_decode(bytes).length;

	assert_int_equal(engine_run(bytes), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, next);
}

static void expect_asked(const struct tl_mmio *asked, gpa_t gpa, unsigned size, bool write, uint64_t data)
{
	assert_int_equal(asked->gpa, gpa);
	assert_int_equal(asked->size, size);
	assert_int_equal(asked->write, write);
	if (write)
		assert_int_equal(asked->data, data);
}

void expect_call(unsigned number, gpa_t gpa, unsigned size, bool write, uint64_t data)
{
	assert_true(number < guest.calls);
	expect_asked(&guest.call[number], gpa, size, write, data);
	assert_int_equal(guest.call[number].offset, gpa - DEVICE_AT);
}

void expect_access(gpa_t gpa, unsigned size, bool write, uint64_t data)
{
	expect_asked(&guest.access, gpa, size, write, data);
	assert_int_equal(guest.access.offset, gpa - EMBEDDER_AT);
}
