/* SPDX-License-Identifier: MIT */
/* What loops that poll are made of: TEST of a register of the device's, and instructions that do nothing. */
#include "tests/unit/vcpu_fixture.h"

#include "mmio/alu.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_BYTES = 12, IF_DF = 0x600, RESERVED = 2 };

static uint64_t mask_of(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << 8 * size) - 1;
}

/* SDM vol. 2, TEST: SF, ZF and PF by the result, CF and OF 0; AF as on Intel's CPUs. */
static uint64_t flags_of(uint64_t result, unsigned size)
{
	uint64_t flags = RESERVED | IF_DF;

	result &= mask_of(size);
	flags |= result >> (8 * size - 1) & 1 ? RFLAGS_SF : 0u;
	flags |= result ? 0u : RFLAGS_ZF;
	return flags | (__builtin_parityll(result & 0xff) ? 0u : RFLAGS_PF);
}

/* TEST [rdi], with a constant or with a register; its length. */
static size_t make_test(uint8_t *code, unsigned size, bool constant, unsigned reg, uint32_t value)
{
	size_t n = 0;

	if (size == 2)
		code[n++] = 0x66;
	if (size == 8 || (!constant && size == 1 && reg >= 4))
		code[n++] = size == 8 ? 0x48 : 0x40;
	code[n++] = (uint8_t)((constant ? 0xf6 : 0x84) | (size > 1));
	code[n++] = (uint8_t)(7 | (constant ? 0 : reg << 3));
	for (unsigned i = 0; constant && i < (size < 4 ? size : 4); i++)
		code[n++] = (uint8_t)(value >> 8 * i);
	return n;
}

static uint64_t sign_extended(uint32_t value, unsigned size)
{
	return size == 8 ? (uint64_t)(int64_t)(int32_t)value : value;
}

/* The exit of a warm one: it changes no register, so that none has to be loaded again. */
static void expect_tested(gva_t next)
{
	uint64_t gpr[INSN_NR_GPRS];

	memcpy(gpr, guest_vcpu->gpr, sizeof(gpr));
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_GUEST_RFLAGS, RESERVED | IF_DF | RFLAGS_STATUS);
	set_field(VMCS_EXIT_REASON, EXIT_REASON_EPT_MISCONFIGURATION);
	set_field(VMCS_GUEST_PHYSICAL_ADDRESS, DEVICE_AT);
	assert_int_equal(vcpu_exit_fast(guest_vcpu), VCPU_MMIO);
	assert_int_equal(exit_mmio(guest_vcpu), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_RIP), next);
	assert_memory_equal(gpr, guest_vcpu->gpr, sizeof(gpr));
}

static void flags_are_those_of_test(void **context)
{
	static const unsigned sizes[] = {1, 2, 4, 8}, regs[] = {TL_RAX, TL_RCX, TL_RBX, TL_RSI};

	(void)context;
	random_seed(7);
	for (unsigned form = 0; form < 4 * 5; form++) {
		unsigned size = sizes[form % 4], reg = regs[form / 4 % 4];
		bool constant = form >= 16;
		uint8_t code[MOST_BYTES];
		uint32_t value = (uint32_t)random_next();
		size_t length = make_test(code, size, constant, reg, value);

		put_code(CODE, code, length);
		expect_kept(CODE, DEVICE_LINEAR, CODE + length);
		/* Once more, and what may follow it has been looked for. */
		expect_served(CODE, DEVICE_LINEAR, CODE + length);
		for (unsigned i = 0; i < 200; i++) {
			uint64_t other = constant ? sign_extended(value, size) : random_next();

			if (!constant)
				guest_vcpu->gpr[reg] = other;
			/* No bit in common, the top one alone, any. */
			device_log.answer = i % 4 == 0   ? ~other
					    : i % 4 == 1 ? (mask_of(size) & ~(mask_of(size) >> 1)) | ~other
							 : random_next();
			device_log.count = 0;
			expect_tested(CODE + length);
			assert_int_equal(field(VMCS_GUEST_RFLAGS), flags_of(device_log.answer & other, size));
			assert_int_equal(device_log.count, 1);
			assert_int_equal(device_log.access[0].size, size);
			assert_false(device_log.access[0].write);
		}
	}
}

/* test [rdi], ah: the way of all other arithmetic. */
static void high_bytes_are_tested(void **context)
{
	static const uint8_t code[] = {0x84, 0x27};

	(void)context;
	put_code(CODE, code, sizeof(code));
	guest_vcpu->gpr[TL_RAX] = 0x807f;
	device_log.answer = 0x80;
	expect_kept(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	set_field(VMCS_GUEST_RFLAGS, RESERVED | IF_DF | RFLAGS_STATUS);
	expect_served(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	assert_int_equal(field(VMCS_GUEST_RFLAGS), flags_of(0x80, 1));
}

/* By its own flags, which are written by then. */
static void the_trap_flag_is_honoured(void **context)
{
	static const uint8_t code[] = {0xf6, 0x07, 1};

	(void)context;
	put_code(CODE, code, sizeof(code));
	expect_kept(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	/* Until nothing is looked for that might follow it. */
	for (unsigned i = 0; i < 8; i++)
		expect_served(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	set_field(VMCS_GUEST_RFLAGS, RESERVED | RFLAGS_TF);
	expect_served(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
}

static void a_device_that_fails_stops_the_guest(void **context)
{
	static const uint8_t code[] = {0xf6, 0x07, 1};

	(void)context;
	put_code(CODE, code, sizeof(code));
	expect_kept(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	device_log.status = TL_INVALID_ARGUMENT;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_DEVICE);
}

/* Without a callback it is a read that the embedder completes. */
static void the_embedder_answers(void **context)
{
	static const uint8_t code[] = {0xf6, 0x07, 1};
	struct tl_range range = {.kind = TL_RANGE_MMIO, .start = OTHER_AT & ~4095, .size = 4096};

	(void)context;
	put_code(CODE, code, sizeof(code));
	expect_kept(CODE, DEVICE_LINEAR, CODE + sizeof(code));
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(range_remove(other_id), TL_OK);
	other_id = range_add(range);
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	guest_vcpu->gpr[TL_RDI] = OTHER_LINEAR;
	for (unsigned i = 0; i < 3; i++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(OTHER_LINEAR), VCPU_LEAVE);
		assert_int_equal(vcpu_left.reason, TL_EXIT_MMIO);
		assert_false(vcpu_left.mmio.write);
		assert_int_equal(vcpu_left.mmio.size, 1);
		assert_int_equal(guest_vcpu->pending, PENDING_MMIO);
		guest_vcpu->pending = PENDING_NONE;
	}
}

/* test dword [rdi], ecx; mov [rdi + 4], eax; test dword [rdi + 8], 4: the flags are the last one's. */
static void in_a_cluster(void **context)
{
	static const uint8_t code[] = {0x85, 0x0f, 0x89, 0x47, 0x04, 0xf7, 0x47, 0x08, 4, 0, 0, 0, 0x85, 0x4f, 0x0c};
	static const uint8_t load[] = {0x8b, 0x07};

	(void)context;
	put_code(CODE, code, sizeof(code));
	put_code(CODE + 0x800, load, sizeof(load));
	expect_kept(CODE, DEVICE_LINEAR, CODE + 2);
	expect_kept(CODE + 2, DEVICE_LINEAR + 4, CODE + 5);
	expect_kept(CODE + 5, DEVICE_LINEAR + 8, CODE + 12);
	expect_kept(CODE + 12, DEVICE_LINEAR + 12, CODE + 15);
	expect_kept(CODE + 0x800, DEVICE_LINEAR, CODE + 0x802);
	guest_vcpu->gpr[TL_RCX] = 0x80000000;
	device_log.answer = 0x80000004;
	device_log.count = 0;
	set_field(VMCS_GUEST_RFLAGS, RESERVED | IF_DF | RFLAGS_STATUS);
	expect_served(CODE, DEVICE_LINEAR, CODE + 15);
	assert_int_equal(device_log.count, 4);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), flags_of(0x80000000, 4));
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x80000000);
}

/* mov [rdi], eax; nop; pause; mov [rdi + 4], eax: one exit, and PAUSE is passed by. */
static void what_does_nothing_is_passed_by(void **context)
{
	static const uint8_t code[] = {0x89, 0x07, 0x90, 0xf3, 0x90, 0x89, 0x47, 0x04};
	static const uint8_t load[] = {0x8b, 0x07};

	(void)context;
	put_code(CODE, code, sizeof(code));
	put_code(CODE + 0x800, load, sizeof(load));
	expect_kept(CODE, DEVICE_LINEAR, CODE + 2);
	expect_kept(CODE + 5, DEVICE_LINEAR + 4, CODE + 8);
	expect_kept(CODE + 0x800, DEVICE_LINEAR, CODE + 0x802);
	for (unsigned i = 0; i < 3; i++) {
		device_log.count = 0;
		expect_served(CODE, DEVICE_LINEAR, CODE + 8);
		assert_int_equal(device_log.count, 2);
	}
	/* Another instruction there by now: the guest's. */
	guest_ram[CODE + 2] = 0xf4;
	device_log.count = 0;
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
	assert_int_equal(device_log.count, 1);
}

/* 1: pause; nop; test byte [rdi], 1; nop; jnz 2f; nop; dec ecx; nop; jnz 1b; 2: */
static void a_loop_with_nops_counts_its_turns(void **context)
{
	static const uint8_t code[] = {0xf3, 0x90, 0x90, 0xf6, 0x07, 1,    0x90, 0x75,
				       0x06, 0x90, 0xff, 0xc9, 0x90, 0x75, 0xf1};
	enum { ACCESS = 3, TURNS = 40 };
	unsigned exits = 0;

	(void)context;
	put_code(CODE, code, sizeof(code));
	for (unsigned run = 0; run < 3; run++) {
		device_log.count = 0;
		device_log.answer = 0xfe;
		guest_vcpu->gpr[TL_RCX] = TURNS;
		exits = 0;
		set_field(VMCS_GUEST_RIP, CODE + ACCESS);
		do {
			uint64_t rip;

			device_log.count %= DEVICE_ACCESSES / 2;
			assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
			exits++;
			rip = field(VMCS_GUEST_RIP);
			if (rip == CODE + sizeof(code))
				break;
			/* What the guest does by itself. */
			if (rip == CODE + ACCESS + 3 && --guest_vcpu->gpr[TL_RCX] == 0)
				break;
			if (rip != CODE && rip != CODE + ACCESS)
				assert_int_equal(rip, CODE + ACCESS + 3);
			set_field(VMCS_GUEST_RIP, CODE + ACCESS);
		} while (exits < 2 * TURNS);
		assert_int_equal(guest_vcpu->gpr[TL_RCX], 0);
	}
	assert_in_range(exits, 2, 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flags_are_those_of_test),        TEST(high_bytes_are_tested),
		TEST(the_trap_flag_is_honoured),      TEST(a_device_that_fails_stops_the_guest),
		TEST(the_embedder_answers),           TEST(in_a_cluster),
		TEST(what_does_nothing_is_passed_by), TEST(a_loop_with_nops_counts_its_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
