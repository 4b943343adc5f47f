/* SPDX-License-Identifier: MIT */
/*
 * A stack in devices and in parts, and near transfers through memory: what native code cannot show, privileges, 16-bit
 * stacks, faults. SDM vol. 2; vol. 1, 6.2.
 */
#include "mmio/cpu.h"
#include "tests/unit/engine_guest.h"

enum { PAGE = 0x1000, RIP = 0x9000, BIG = 0x4000, EXPAND_DOWN_DATA = 0x97 };
enum { FLAG_IF = 1 << 9, FLAG_RF = 1 << 16, FLAG_VM = 1 << 17, FLAG_AC = 1 << 18, FLAG_ID = 1 << 21, IOPL_3 = 3 << 12 };

static const uint8_t push_memory[15] = {0xff, 0x33}, pop_memory[15] = {0x8f, 0x03}, call_memory[15] = {0xff, 0x13},
		     jmp_memory[15] = {0xff, 0x23}, ret[15] = {0xc3}, ret_8[15] = {0xc2, 8, 0}, pushf[15] = {0x9c},
		     popf[15] = {0x9d}, popf_16[15] = {0x66, 0x9d}, pushf_16[15] = {0x66, 0x9c}, leave[15] = {0xc9},
		     push_imm[15] = {0x6a, 0x80}, push_rcx[15] = {0x51}, pop_rcx[15] = {0x59}, pop_rsp[15] = {0x5c},
		     push_fs[15] = {0x0f, 0xa0}, pop_sp_relative[15] = {0x8f, 0x44, 0x24, 0x08}, /* POP [RSP+8] */
	pusha[15] = {0x60}, popa[15] = {0x61}, enter_4_0[15] = {0xc8, 4, 0, 0}, enter_31[15] = {0xc8, 0, 0, 31},
		     call_rcx[15] = {0xff, 0xd1}, call_near[15] = {0xe8, 0x10, 0, 0, 0};

static void at(gva_t linear)
{
	guest.cpu.gpr[TL_RBX] = linear;
}

static void stack_at(uint64_t rsp)
{
	guest.cpu.gpr[TL_RSP] = rsp;
}

static void expect_branch(const uint8_t *bytes, uint64_t rip, uint64_t rsp)
{
	assert_int_equal(engine_run(bytes), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, rip);
	assert_int_equal(guest.cpu.gpr[TL_RSP], rsp);
}

static void put_device(unsigned offset, uint64_t value)
{
	memcpy(guest.device + offset, &value, 8);
}

static void pushes(void **context)
{
	(void)context;
	stack_at(DEVICE_AT + 0x40);
	guest.cpu.gpr[TL_RCX] = 0x1122334455667788;
	expect_done(push_rcx);
	expect_call(0, DEVICE_AT + 0x38, 8, true, 0x1122334455667788);
	expect_done(push_imm);
	expect_call(1, DEVICE_AT + 0x30, 8, true, 0xffffffffffffff80);
	guest.cpu.segment[TL_FS].selector = 0x2b;
	expect_done(push_fs);
	expect_call(2, DEVICE_AT + 0x28, 8, true, 0x2b);
	/* What is in memory is read before it is pushed, at the old stack pointer's place too. */
	at(DEVICE_AT + 0x30);
	expect_done(push_memory);
	expect_call(3, DEVICE_AT + 0x30, 8, false, 0);
	expect_call(4, DEVICE_AT + 0x20, 8, true, 0xffffffffffffff80);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 0x20);
}

static void pops(void **context)
{
	(void)context;
	stack_at(DEVICE_AT);
	put_device(0, 0x1111);
	put_device(8, 0x2222);
	put_device(16, DEVICE_AT + 0x100);
	expect_done(pop_rcx);
	assert_int_equal(guest.cpu.gpr[TL_RCX], 0x1111);
	/* The address is that of the new stack pointer. */
	expect_done(pop_sp_relative);
	expect_call(1, DEVICE_AT + 8, 8, false, 0);
	expect_call(2, DEVICE_AT + 0x18, 8, true, 0x2222);
	expect_done(pop_rsp);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 0x100);
	/* To a page that may not be written: nothing is popped. */
	engine_map_page(LINEAR_AT, DATA_AT, P | U | A | D);
	at(LINEAR_AT);
	expect_page_fault(pop_memory, 3, LINEAR_AT);
	stack_at(NON_CANONICAL);
	expect_fault(pop_memory, SS, 0);
}

/* ModRM may name a register where it mostly names memory. */
static void registers_in_the_place_of_memory(void **context)
{
	static const uint8_t push_r9[15] = {0x41, 0xff, 0xf1}, pop_r9[15] = {0x41, 0x8f, 0xc1},
			     call_r9[15] = {0x41, 0xff, 0xd1}, push_cx[15] = {0x66, 0xff, 0xf1};

	(void)context;
	stack_at(DEVICE_AT + 0x40);
	guest.cpu.gpr[TL_R9] = 0x1122334455667788;
	guest.cpu.gpr[TL_RCX] = 0xaabbccdd;
	expect_done(push_r9);
	expect_call(0, DEVICE_AT + 0x38, 8, true, 0x1122334455667788);
	expect_done(push_cx);
	expect_call(1, DEVICE_AT + 0x36, 2, true, 0xccdd);
	stack_at(DEVICE_AT + 0x38);
	guest.cpu.gpr[TL_R9] = 0;
	expect_done(pop_r9);
	assert_int_equal(guest.cpu.gpr[TL_R9], 0x1122334455667788);
	guest.cpu.gpr[TL_R9] = 0x4000;
	guest.cpu.rip = RIP;
	expect_branch(call_r9, 0x4000, DEVICE_AT + 0x38);
	expect_call(3, DEVICE_AT + 0x38, 8, true, RIP + 3);
}

static void transfers(void **context)
{
	(void)context;
	at(DEVICE_AT);
	put_device(0, 0x123456789a);
	expect_branch(jmp_memory, 0x123456789a, STACK_AT);
	guest.cpu.rip = RIP;
	expect_branch(call_memory, 0x123456789a, STACK_AT - 8);
	assert_int_equal(engine_get(STACK_AT - 8, 8), RIP + 2);
	guest.cpu.rip = RIP;
	stack_at(DEVICE_AT + 0x20);
	expect_branch(call_near, RIP + 5 + 0x10, DEVICE_AT + 0x18);
	guest.cpu.rip = RIP + 3;
	stack_at(DEVICE_AT + 0x20);
	guest.cpu.gpr[TL_RCX] = 0x4000;
	expect_branch(call_rcx, 0x4000, DEVICE_AT + 0x18);
	expect_branch(ret, RIP + 5, DEVICE_AT + 0x20);
	stack_at(DEVICE_AT + 0x18);
	expect_branch(ret_8, RIP + 5, DEVICE_AT + 0x28);
}

/* To where no code can be. */
static void transfers_that_are_refused(void **context)
{
	(void)context;
	at(DATA_AT);
	engine_put(DATA_AT, NON_CANONICAL, 8);
	stack_at(DATA_AT);
	expect_fault(jmp_memory, GP, 0);
	expect_fault(call_memory, GP, 0);
	expect_fault(ret, GP, 0);
	guest.cpu.paging.cr4 |= LA57;
	guest.cpu.paging.cr0 &= ~PG;
	guest.cpu.paging.efer = 0;
	expect_branch(jmp_memory, NON_CANONICAL, DATA_AT);
	engine_in_32();
	at(DATA_AT);
	stack_at(DATA_AT);
	engine_put(DATA_AT, 0x8000, 4);
	guest.cpu.segment[TL_CS].limit = 0x7fff;
	expect_fault(jmp_memory, GP, 0);
	expect_fault(ret, GP, 0);
	guest.cpu.segment[TL_CS].limit = 0x8000;
	expect_branch(ret, 0x8000, DATA_AT + 4);
	/* A stack that cannot be written. */
	engine_in_64(0);
	at(NON_CANONICAL);
	expect_fault(push_memory, GP, 0);
	expect_fault(jmp_memory, GP, 0);
	at(DEVICE_AT);
	engine_unmap_page(LINEAR_AT);
	stack_at(LINEAR_AT + 8);
	expect_page_fault(call_memory, 2, LINEAR_AT);
	expect_page_fault(pushf, 2, LINEAR_AT);
}

/* SDM vol. 2, POPF: who may change IOPL and IF. VM, RF and the virtual interrupt flags stay. */
static void check_popf(unsigned cpl, uint64_t iopl, bool v86, bool real, bool wide)
{
	uint64_t always = 0x4dd5 | (wide ? FLAG_AC | FLAG_ID : 0), may = always, before = 2 | iopl, after;

	if (real || (!v86 && cpl == 0))
		may |= IOPL_3;
	if (real || cpl <= iopl >> 12)
		may |= FLAG_IF;
	engine_in_32();
	guest.cpu.paging.cr0 = real ? 0 : 1;
	guest.cpu.paging.cpl = (uint8_t)cpl;
	if (v86)
		before |= FLAG_VM;
	for (unsigned set = 0; set < 2; set++) {
		uint64_t value = set ? 0xfffffffful : 0, start = before | (set ? 0 : may & ~(uint64_t)IOPL_3);

		guest.cpu.rflags = start;
		engine_put(DATA_AT, value, 4);
		stack_at(DATA_AT);
		expect_done(wide ? popf : popf_16);
		after = guest.cpu.rflags;
		assert_int_equal(after, (start & ~may) | (value & may));
		assert_int_equal(guest.cpu.gpr[TL_RSP], DATA_AT + (wide ? 4 : 2));
	}
}

static void flags_are_popped(void **context)
{
	(void)context;
	for (unsigned bits = 0; bits < 32; bits++) {
		uint64_t iopl = (uint64_t)(bits >> 1 & 3) << 12;

		check_popf(bits & 1 ? 3 : 0, iopl, false, false, bits & 8);
		check_popf(0, iopl, false, true, bits & 8);
		check_popf(3, IOPL_3, true, false, bits & 8);
	}
}

static void flags_are_pushed(void **context)
{
	(void)context;
	stack_at(DEVICE_AT + 8);
	guest.cpu.rflags = 0x3f7fd7;
	expect_done(pushf);
	/* Without VM and RF. */
	expect_call(0, DEVICE_AT, 8, true, 0x3c7fd7);
	engine_in_32();
	guest.cpu.paging.cpl = 3;
	guest.cpu.rflags = FLAG_VM | 2 << 12 | 2;
	expect_fault(pushf, GP, 0);
	expect_fault(popf, GP, 0);
	guest.cpu.rflags |= IOPL_3;
	expect_done(pushf);
	assert_int_equal(engine_get(STACK_AT - 4, 4), IOPL_3 | 2);
}

/* SDM vol. 2, PUSHF and POPF, of 16 bits in virtual-8086 mode with CR4.VME and an IOPL below 3. */
static void flags_are_virtual(void **context)
{
	enum { FLAG_TF = 1 << 8, FLAG_VIF = 1 << 19, FLAG_VIP = 1 << 20 };

	(void)context;
	for (unsigned bits = 0; bits < 64; bits++) {
		uint64_t iopl = (uint64_t)(bits & 3) << 12, value = bits & 32 ? 0xffff : 0x0002;
		uint64_t start = FLAG_VM | 2 | (iopl == IOPL_3 ? 0 : iopl) | (bits & 4 ? FLAG_VIF : 0) |
				 (bits & 8 ? FLAG_IF : 0) | (bits & 16 ? FLAG_VIP : 0);
		uint64_t kept = start & (FLAG_VM | IOPL_3 | FLAG_IF | FLAG_VIP);

		engine_in_32();
		guest.cpu.paging.cpl = 3;
		guest.cpu.paging.cr4 |= 1;
		guest.cpu.rflags = start;
		expect_done(pushf_16);
		assert_int_equal(engine_get(STACK_AT - 2, 2), 2 | IOPL_3 | (bits & 4 ? FLAG_IF : 0));
		assert_int_equal(guest.cpu.rflags, start);
		expect_fault(pushf, GP, 0);
		expect_fault(popf, GP, 0);
		engine_put(DATA_AT, value & ~(uint64_t)FLAG_TF, 2);
		stack_at(DATA_AT);
		if (value & FLAG_IF && start & FLAG_VIP) {
			expect_fault(popf_16, GP, 0);
			continue;
		}
		expect_done(popf_16);
		assert_int_equal(guest.cpu.rflags, kept | 2 | (value & 0x4cd5) | (value & FLAG_IF ? FLAG_VIF : 0));
		engine_put(DATA_AT, FLAG_TF, 2);
		stack_at(DATA_AT);
		expect_fault(popf_16, GP, 0);
	}
}

/* In 32-bit code with a 16-bit stack SP wraps, and the upper half of ESP stays. */
static void stacks_of_16_bits(void **context)
{
	(void)context;
	engine_in_32();
	guest.cpu.segment[TL_SS] = (struct tl_segment){.base = DATA_AT, .limit = 0xffff, .access = 0x93};
	stack_at(0x12340000);
	expect_done(push_rcx);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0x1234fffc);
	engine_put(DATA_AT + 0xfffc, 0x77, 4);
	expect_done(pop_rcx);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0x12340000);
	assert_int_equal(guest.cpu.gpr[TL_RCX], 0x77);
	stack_at(0x12340002);
	expect_fault(push_rcx, SS, 0);
	/* An expand-down stack: above its limit, below 64 KiB. */
	guest.cpu.segment[TL_SS] = (struct tl_segment){.base = DATA_AT, .limit = 0x7fff, .access = EXPAND_DOWN_DATA};
	stack_at(0x8004);
	expect_done(push_rcx);
	expect_fault(push_rcx, SS, 0);
}

static void all_registers(void **context)
{
	(void)context;
	engine_in_16();
	guest.cpu.segment[TL_SS].base = DEVICE_AT;
	for (unsigned i = 0; i < 8; i++)
		guest.cpu.gpr[i] = 0xabcd0000 | i * 0x111;
	stack_at(0xabcd0100);
	expect_done(pusha);
	assert_int_equal(guest.calls, 8);
	/* From DI up to AX; SP as it was. */
	for (unsigned i = 0; i < 8; i++)
		expect_call(i, DEVICE_AT + 0xf0 + 2 * i, 2, true, i == 3 ? 0x100 : (7 - i) * 0x111);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0xabcd00f0);
	for (unsigned i = 0; i < 8; i++)
		guest.cpu.gpr[i] = i == TL_RSP ? 0xabcd00f0 : 0xffffffff;
	expect_done(popa);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(guest.cpu.gpr[i], i == TL_RSP ? 0xabcd0100 : 0xffff0000 | i * 0x111);
	/* One item beyond the limit. */
	guest.cpu.segment[TL_SS].limit = 0x10d;
	stack_at(0x100);
	expect_fault(popa, SS, 0);
	guest.cpu.segment[TL_SS].limit = 0xfff;
	stack_at(0x100e);
	expect_fault(pusha, SS, 0);
}

static void frames(void **context)
{
	(void)context;
	stack_at(DEVICE_AT + 0x100);
	guest.cpu.gpr[TL_RBP] = 0x5555;
	expect_done(enter_4_0);
	expect_call(0, DEVICE_AT + 0xf8, 8, true, 0x5555);
	assert_int_equal(guest.cpu.gpr[TL_RBP], DEVICE_AT + 0xf8);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 0xf4);
	expect_done(leave);
	assert_int_equal(guest.cpu.gpr[TL_RBP], 0x5555);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 0x100);
	/* LEAVE reads where rBP says, and leaves rSP if it cannot. */
	guest.cpu.gpr[TL_RBP] = NON_CANONICAL;
	expect_fault(leave, SS, 0);
}

/* The stack below what it pushed is tried, too; and the frames it copies, read. */
static void frames_that_do_not_fit(void **context)
{
	(void)context;
	engine_unmap_page(LINEAR_AT);
	engine_map_page(LINEAR_AT + PAGE, DATA_AT, ALL | A | D);
	stack_at(LINEAR_AT + PAGE + 8);
	expect_page_fault(enter_4_0, 2, LINEAR_AT + PAGE - 4);
	stack_at(LINEAR_AT + PAGE + 12);
	expect_done(enter_4_0);
	stack_at(NON_CANONICAL + 8);
	expect_fault(enter_4_0, SS, 0);
	stack_at(STACK_AT);
	guest.cpu.gpr[TL_RBP] = NON_CANONICAL + 1;
	expect_fault(enter_31, SS, 0);
	guest.cpu.gpr[TL_RBP] = LINEAR_AT + PAGE + 8;
	/* From the last to the first: the second frame pointer is the first one that is not there. */
	expect_page_fault(enter_31, 0, LINEAR_AT + PAGE - 8);
	/* The 32 items that it pushes cross a page more than 64 bytes from where they begin. */
	guest.cpu.gpr[TL_RBP] = DATA_AT + PAGE;
	stack_at(LINEAR_AT + PAGE + 0x20);
	expect_page_fault(enter_31, 2, LINEAR_AT + PAGE - 8);
	engine_map_page(LINEAR_AT, DATA_AT + 2 * PAGE, ALL | A | D);
	for (unsigned i = 1; i < 31; i++)
		engine_put(DATA_AT + PAGE - 8 * i, i, 8);
	expect_done(enter_31);
	assert_int_equal(engine_get(DATA_AT + 0x18, 8), DATA_AT + PAGE);
	for (unsigned i = 1; i < 31; i++) {
		gpa_t page = i < 4 ? DATA_AT : DATA_AT + 3 * PAGE;

		assert_int_equal(engine_get(page + 0x18 - 8 * i, 8), i);
	}
	assert_int_equal(engine_get(DATA_AT + 3 * PAGE + 0x20 - 32 * 8, 8), LINEAR_AT + PAGE + 0x18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pushes, engine_reset),
		cmocka_unit_test_setup(pops, engine_reset),
		cmocka_unit_test_setup(registers_in_the_place_of_memory, engine_reset),
		cmocka_unit_test_setup(transfers, engine_reset),
		cmocka_unit_test_setup(transfers_that_are_refused, engine_reset),
		cmocka_unit_test_setup(flags_are_popped, engine_reset),
		cmocka_unit_test_setup(flags_are_pushed, engine_reset),
		cmocka_unit_test_setup(flags_are_virtual, engine_reset),
		cmocka_unit_test_setup(stacks_of_16_bits, engine_reset),
		cmocka_unit_test_setup(all_registers, engine_reset),
		cmocka_unit_test_setup(frames, engine_reset),
		cmocka_unit_test_setup(frames_that_do_not_fit, engine_reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
