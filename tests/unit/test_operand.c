/* SPDX-License-Identifier: MIT */
/* Where operands are, and which lie outside their segment or the linear addresses: SDM vol. 3, 3.3, 5.3 and 5.5. */
#include "tests/unit/engine_guest.h"

enum { DATA = 0xc093, READ_ONLY = 0xc091, EXPAND_DOWN = 0x97, BIG = 0x4000, CODE = 0xc09b, CODE_UNREADABLE = 0xc099 };
enum { UNUSABLE = 0x10000, FLAG_VM = 1 << 17 };

/* MOV EAX, [RBX]; MOV [RBX], EAX; ADD [RBX], EAX; MOV EAX, [RBP+0]; in 16-bit code MOV AX, [BX+DI]. */
static const uint8_t load[15] = {0x8b, 0x03}, store[15] = {0x89, 0x03}, add[15] = {0x01, 0x03};
static const uint8_t stack_load[15] = {0x8b, 0x45, 0x00}, load_16[15] = {0x8b, 0x01};

static void at(gva_t linear)
{
	guest.cpu.gpr[TL_RBX] = linear;
}

static void canonical_addresses(void **context)
{
	(void)context;
	at(NON_CANONICAL - 4);
	engine_map_page(LINEAR_AT, DEVICE_AT, ALL | A | D);
	expect_page_fault(load, 0, NON_CANONICAL - 4);
	at(NON_CANONICAL - 3);
	expect_fault(load, GP, 0);
	at(0 - NON_CANONICAL - 1);
	expect_fault(load, GP, 0);
	at(0 - NON_CANONICAL);
	expect_page_fault(load, 0, 0 - NON_CANONICAL);
	guest.cpu.gpr[TL_RBP] = NON_CANONICAL;
	expect_fault(stack_load, SS, 0);
	/* With 57 bits these are addresses: of a 5-level table that is empty. */
	guest.cpu.paging.cr4 |= LA57;
	guest.cpu.paging.cr3 = DATA_AT;
	expect_page_fault(stack_load, 0, NON_CANONICAL);
	guest.cpu.gpr[TL_RBP] = BIT(56);
	expect_fault(stack_load, SS, 0);
}

/* In 64-bit code FS and GS alone have a base, and no segment a limit. */
static void segments_in_64_bit_code(void **context)
{
	(void)context;
	guest.cpu.segment[TL_DS] = (struct tl_segment){.base = 0x1000, .access = UNUSABLE};
	guest.cpu.segment[TL_GS] = (struct tl_segment){.base = DEVICE_AT, .access = UNUSABLE};
	at(DEVICE_AT);
	expect_done(load);
	at(8);
	expect_done(BYTES(0x65, 0x8b, 0x03));
	expect_call(1, DEVICE_AT + 8, 4, false, 0);
	guest.cpu.segment[TL_FS] = (struct tl_segment){.base = DEVICE_AT + 8, .access = UNUSABLE};
	expect_done(BYTES(0x64, 0x8b, 0x03));
	expect_call(2, DEVICE_AT + 16, 4, false, 0);
	guest.cpu.segment[TL_GS].base = NON_CANONICAL - 8;
	expect_fault(BYTES(0x65, 0x8b, 0x03), GP, 0);
}

static void in_32(uint32_t base, uint32_t limit, uint32_t access, uint64_t offset)
{
	engine_in_32();
	guest.cpu.segment[TL_DS] = (struct tl_segment){.base = base, .limit = limit, .access = access};
	guest.cpu.segment[TL_SS] = guest.cpu.segment[TL_DS];
	at(offset);
	guest.cpu.gpr[TL_RBP] = offset;
}

static void limits(void **context)
{
	(void)context;
	in_32(DEVICE_AT, 0x103, DATA, 0x100);
	expect_done(load);
	expect_done(stack_load);
	expect_call(0, DEVICE_AT + 0x100, 4, false, 0);
	in_32(DEVICE_AT, 0x102, DATA, 0x100);
	expect_fault(load, GP, 0);
	expect_fault(stack_load, SS, 0);
	/* An expand-down segment holds what is above its limit: up to 64 KiB, or with B to 4 GiB. */
	in_32(DEVICE_AT - 0xf000, 0xefff, EXPAND_DOWN, 0xf000);
	expect_done(load);
	in_32(DEVICE_AT - 0xf000, 0xf000, EXPAND_DOWN, 0xf000);
	expect_fault(load, GP, 0);
	in_32(DEVICE_AT - 0xfffc, 0, EXPAND_DOWN, 0xfffc);
	expect_done(load);
	in_32(DEVICE_AT - 0xfffd, 0, EXPAND_DOWN, 0xfffd);
	expect_fault(load, GP, 0);
	in_32(DEVICE_AT - 0xfffd, 0, EXPAND_DOWN | BIG, 0xfffd);
	expect_done(load);
	/* The bit of a code segment that has the same place is "conforming". */
	in_32(DEVICE_AT, 3, CODE | 4, 0);
	expect_done(load);
	in_32(DEVICE_AT, 2, CODE | 4, 0);
	expect_fault(load, GP, 0);
}

static void types(void **context)
{
	(void)context;
	in_32(0, UINT32_MAX, READ_ONLY, DEVICE_AT);
	expect_done(load);
	expect_fault(store, GP, 0);
	expect_fault(add, GP, 0);
	in_32(0, UINT32_MAX, CODE, DEVICE_AT);
	expect_done(load);
	expect_fault(store, GP, 0);
	in_32(0, UINT32_MAX, CODE_UNREADABLE, DEVICE_AT);
	expect_fault(load, GP, 0);
	in_32(0, UINT32_MAX, UNUSABLE | DATA, DEVICE_AT);
	expect_fault(load, GP, 0);
	/* Real and virtual-8086 mode have none. */
	in_32(0, UINT32_MAX, READ_ONLY, DEVICE_AT);
	guest.cpu.paging.cr0 = 0;
	expect_done(store);
	guest.cpu.paging.cr0 = 1;
	guest.cpu.rflags |= FLAG_VM;
	expect_done(store);
	engine_in_16();
	guest.cpu.segment[TL_DS].base = DEVICE_AT;
	at(0xff00);
	guest.cpu.gpr[TL_RDI] = 0xff;
	expect_fault(load_16, GP, 0);
	guest.cpu.segment[TL_DS].base = DEVICE_AT - 0xf000;
	guest.cpu.gpr[TL_RDI] = 0xfe;
	expect_done(load_16);
}

/* Outside 64-bit code linear addresses are 32 bits wide. */
static void addresses_wrap(void **context)
{
	(void)context;
	in_32(0xfffff000, UINT32_MAX, DATA, DEVICE_AT + 0x1000);
	expect_done(load);
	expect_call(0, DEVICE_AT, 4, false, 0);
	engine_put(0, 0x2211, 2);
	in_32(0xffff0000, UINT32_MAX, DATA, 0xfffe);
	expect_done(load);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0x2211ffff);
	assert_int_equal(guest.stats.hole_reads, 1);
}

/* SDM vol. 2: these ask for an aligned operand whatever RFLAGS.AC says. */
static void aligned_operands(void **context)
{
	static const uint8_t movaps[15] = {0x0f, 0x28, 0x0b}, cmpxchg16b[15] = {0x48, 0x0f, 0xc7, 0x0b};

	(void)context;
	for (unsigned offset = 1; offset < 16; offset++) {
		at(DEVICE_AT + offset);
		expect_fault(movaps, GP, 0);
		expect_fault(cmpxchg16b, GP, 0);
	}
	at(DEVICE_AT + 16);
	expect_done(movaps);
	expect_done(cmpxchg16b);
}

/* SDM vol. 2, XLAT: AL is added, as wide as an address. BT's bit is: see test_native_engine.c. */
static void an_index_in_al(void **context)
{
	(void)context;
	at(DEVICE_AT + 0x100);
	guest.cpu.gpr[TL_RAX] = 0x1122334455667780;
	guest.device[0x180] = 0x5a;
	expect_done(BYTES(0xd7));
	expect_call(0, DEVICE_AT + 0x180, 1, false, 0);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0x112233445566775a);
	guest.cpu.gpr[TL_RAX] = 0x80;
	at(BIT(32) + DEVICE_AT - 0x80);
	expect_done(BYTES(0x67, 0xd7));
	expect_call(1, DEVICE_AT, 1, false, 0);
}

/* What vmx/ has to read of the VMCS before. */
static void parts_of_the_cpu(void **context)
{
	static const struct {
		uint8_t bytes[INSN_MAX_LENGTH];
		unsigned parts;
	} cases[] = {
		{{0x8b, 0x03}, 0},                               /* MOV EAX, [RBX] */
		{{0x01, 0x03}, 0},                               /* ADD [RBX], EAX */
		{{0xa5}, 0},                                     /* MOVSD */
		{{0x66, 0x0f, 0x38, 0xf8, 0x0b}, 0},             /* MOVDIR64B */
		{{0xff, 0x33}, 0},                               /* PUSH [RBX] */
		{{0x0f, 0xa1}, CPU_SEGMENTS | CPU_TABLES},       /* POP FS */
		{{0x8e, 0x1b}, CPU_SEGMENTS | CPU_TABLES},       /* MOV DS, [RBX] */
		{{0x0f, 0x01, 0x03}, CPU_SEGMENTS | CPU_TABLES}, /* SGDT */
		{{0x0f, 0x10, 0x0b}, CPU_XSTATE},                /* MOVUPS */
		{{0xdd, 0x03}, CPU_XSTATE},                      /* FLD */
	};

	(void)context;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct insn insn = engine_decode(cases[i].bytes);

		assert_int_equal(mmio_cpu_parts(&insn), cases[i].parts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(canonical_addresses, engine_reset),
		cmocka_unit_test_setup(segments_in_64_bit_code, engine_reset),
		cmocka_unit_test_setup(limits, engine_reset),
		cmocka_unit_test_setup(types, engine_reset),
		cmocka_unit_test_setup(addresses_wrap, engine_reset),
		cmocka_unit_test_setup(aligned_operands, engine_reset),
		cmocka_unit_test_setup(an_index_in_al, engine_reset),
		cmocka_unit_test_setup(parts_of_the_cpu, engine_reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
