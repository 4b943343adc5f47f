/* SPDX-License-Identifier: MIT */
/* The first access of an instruction: served without being kept, as it is served when it is known. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/cr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WARM = CODE + 0x800, AT = CODE + 0x100, EACH = 16 };

/* The code page and the device's are known from here on. */
static int start(void **context)
{
	static const uint8_t load[] = {0x8b, 0x47, 0x00}, store[] = {0x89, 0x47, 0x00};

	vcpu_start(context);
	put_code(WARM, load, sizeof(load));
	put_code(WARM + EACH, store, sizeof(store));
	expect_kept(WARM, DEVICE_LINEAR, WARM + sizeof(load));
	expect_kept(WARM + EACH, DEVICE_LINEAR, WARM + EACH + sizeof(store));
	device_log.count = 0;
	return 0;
}

static bool is_kept(gva_t rip)
{
	const struct decoded *d = decode_cache_find(guest_vcpu, rip);

	return d->rip == rip && d->cr3 != NO_CR3;
}

/* 4 or 8 bytes, and a register that is at hand and that C does not preserve. */
static bool is_served_once(uint8_t opcode, unsigned reg)
{
	return opcode & 1 && (reg < TL_RBX || (reg > TL_RBP && reg < TL_R12));
}

/* All MOVs of a register with ModRM and REX, at first and then as they are known. */
static void each_form_is_as_when_it_is_known(void **context)
{
	static const uint8_t opcodes[] = {0x88, 0x89, 0x8a, 0x8b};
	(void)context;
	for (unsigned form = 0; form < 4 * 17 * 256; form++) {
		unsigned rex = form / 1024, modrm = form & 0xff, at = 0, at_opcode, base, reg, mode = modrm >> 6;
		uint8_t code[EACH];
		uint64_t after[INSN_NR_GPRS], disp = mode == 1 ? -0x10ull : mode == 2 ? 0x123 : 0;
		struct tl_mmio access;

		memset(code, 0x90, sizeof(code));
		if (rex)
			code[at++] = (uint8_t)(0x3f + rex);
		reg = (modrm >> 3 & 7) | (rex && (0x3f + rex) & 4 ? 8 : 0);
		base = (modrm & 7) | (rex && (0x3f + rex) & 1 ? 8 : 0);
		if (mode == 3 || (modrm & 7) == 4 || (modrm & 0xc7) == 5)
			continue;
		at_opcode = at;
		code[at++] = opcodes[form >> 8 & 3];
		code[at++] = (uint8_t)modrm;
		code[at] = (uint8_t)disp;
		code[at + 1] = (uint8_t)(disp >> 8);
		if (mode == 2)
			code[at + 2] = code[at + 3] = 0;
		at += mode == 1 ? 1 : mode == 2 ? 4 : 0;
		put_code(AT, code, sizeof(code));
		decode_cache_find(guest_vcpu, AT)->once = 0;
		decode_cache_find(guest_vcpu, AT)->cr3 = NO_CR3;
		for (unsigned run = 0; run < 2; run++) {
			for (unsigned i = 0; i < 16; i++)
				if (i != TL_RSP)
					guest_vcpu->gpr[i] = 0x0123456789abcd00 + i;
			guest_vcpu->gpr[base] = DEVICE_LINEAR + 0x20;
			device_log.count = 0;
			device_log.answer = 0xfedcba9876543210;
			expect_served(AT, DEVICE_LINEAR + 0x20 + disp, AT + at);
			assert_int_equal(device_log.count, 1);
			if (run == 0) {
				assert_int_equal(is_kept(AT), !is_served_once(code[at_opcode], reg));
				access = device_log.access[0];
				memcpy(after, guest_vcpu->gpr, sizeof(after));
				continue;
			}
			assert_int_equal(device_log.access[0].gpa, access.gpa);
			assert_int_equal(device_log.access[0].offset, access.offset);
			assert_int_equal(device_log.access[0].size, access.size);
			assert_int_equal(device_log.access[0].write, access.write);
			if (access.write)
				assert_int_equal(device_log.access[0].data, access.data);
			assert_memory_equal(guest_vcpu->gpr, after, sizeof(after));
		}
	}
}

/* What would not be served when it is known is not served the first time either. */
static void is_checked_as_what_is_known(void **context)
{
	static const uint8_t load[] = {0x8b, 0x07}, store[] = {0x89, 0x07};
	gva_t at = AT;

	(void)context;
	guest_ptes[DEVICE_LINEAR / PAGE_SIZE] &= ~2ull;
	put_code(at, store, sizeof(store));
	set_field(VMCS_GUEST_RIP, at);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(device_log.count, 0);
	expect_injected(14);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	guest_ptes[DEVICE_LINEAR / PAGE_SIZE] |= 2;
	at += EACH;
	put_code(at, load, sizeof(load));
	expect_served(at, DEVICE_LINEAR, at + sizeof(load));
	assert_false(is_kept(at));
	/* The page is another device's by now. */
	guest_ptes[DEVICE_LINEAR / PAGE_SIZE] += OTHER_AT - DEVICE_AT;
	at += EACH;
	put_code(at, load, sizeof(load));
	device_log.count = 0;
	expect_served(at, DEVICE_LINEAR, at + sizeof(load));
	assert_int_equal(device_log.access[0].gpa, OTHER_AT);
	/* And may only be read. */
	guest_ptes[DEVICE_LINEAR / PAGE_SIZE] &= ~2ull;
	expect_kept(WARM, DEVICE_LINEAR, WARM + 3);
	at += EACH;
	put_code(at, store, sizeof(store));
	set_field(VMCS_GUEST_RIP, at);
	device_log.count = 0;
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(device_log.count, 0);
	expect_injected(14);
}

/* The place that it would take stays another one's, until it comes again. */
static void nothing_makes_way_for_it(void **context)
{
	static const uint8_t load[] = {0x8b, 0x07};
	gva_t other = AT;

	(void)context;
	while (decode_cache_find(guest_vcpu, other) != decode_cache_find(guest_vcpu, WARM))
		other++;
	put_code(other, load, sizeof(load));
	expect_served(other, DEVICE_LINEAR, other + sizeof(load));
	assert_true(is_kept(WARM));
	expect_served(other, DEVICE_LINEAR, other + sizeof(load));
	assert_false(is_kept(WARM));
	assert_true(is_kept(other));
}

static void device_that_fails_stops_the_guest(void **context)
{
	static const uint8_t load[] = {0x8b, 0x07};

	(void)context;
	put_code(AT, load, sizeof(load));
	device_log.status = TL_DEVICE_ERROR;
	set_field(VMCS_GUEST_RIP, AT);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_LEAVE);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_DEVICE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_form_is_as_when_it_is_known),
		CASE(is_checked_as_what_is_known),
		CASE(nothing_makes_way_for_it),
		CASE(device_that_fails_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
