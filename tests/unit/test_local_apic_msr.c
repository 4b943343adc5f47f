/* SPDX-License-Identifier: MIT */
/* A local APIC's MSRs: which there are, what they take, and the ways between its modes. */
#include "tests/unit/local_apic_fixture.h"

enum { X2 = 0x800, TPR = 8, EOI = 0xB, SVR = 0xF, ESR = 0x28, ICR = 0x30 };

enum { DISABLED, XAPIC, INVALID, X2APIC };

static bool get(uint32_t msr, uint64_t *value)
{
	return local_apic_read_msr(&apics[0], msr, value);
}

static bool put(uint32_t msr, uint64_t value)
{
	return local_apic_write_msr(&apics[0], msr, value);
}

static uint64_t base_of(unsigned mode)
{
	static const uint64_t bits[] = {0, APIC_BASE_ENABLE, APIC_BASE_X2APIC, APIC_BASE_ENABLE | APIC_BASE_X2APIC};

	return LOCAL_APIC_AT | APIC_BASE_BSP | bits[mode];
}

static void every_x2apic_msr_is_as_the_manual_has_it(void **context)
{
	(void)context;
	apic_enable_software(0);
	for (uint32_t index = 0; index < 256; index++) {
		uint64_t value;

		assert_false(get(X2 + index, &value));
		assert_false(put(X2 + index, 0));
	}
	apic_go_x2(0);
	for (uint32_t index = 0; index < 256; index++) {
		bool readable = index == 2 || index == 3 || index == TPR || index == 0xA || index == 0xD ||
				index == SVR || (index >= 0x10 && index <= ESR) || index == ICR ||
				(index >= 0x32 && index <= 0x39) || index == 0x3E;
		bool writable = index == TPR || index == EOI || index == SVR || index == ESR || index == ICR ||
				(index >= 0x32 && index <= 0x38) || index == 0x3E || index == 0x3F;
		uint64_t value;

		assert_int_equal(get(X2 + index, &value), readable);
		assert_int_equal(put(X2 + index, index == 0x3F ? 0x20 : 0), writable);
	}
	assert_false(put(X2 - 1, 0));
	assert_false(put(X2 + 256, 0));
}

static void reserved_bits_of_x2apic_fault(void **context)
{
	static const struct {
		uint32_t index;
		uint64_t writable;
	} rows[] = {
		{TPR, 0xff},     {EOI, 0},           {SVR, 0x11ff},   {ESR, 0},        {ICR, 0xffffffff000ccfff},
		{0x32, 0x710ff}, {0x33, 0x117ff},    {0x34, 0x117ff}, {0x35, 0x1f7ff}, {0x36, 0x1f7ff},
		{0x37, 0x110ff}, {0x38, 0xffffffff}, {0x3E, 0xb},     {0x3F, 0xff},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned bit = 0; bit < 64; bit++) {
			apics_start(context);
			apic_go_x2(0);
			assert_int_equal(put(X2 + rows[i].index, 1ull << bit), rows[i].writable >> bit & 1);
		}
}

static void x2apic_has_ids_of_its_own(void **context)
{
	uint64_t value;

	for (unsigned id = 0; id < 70; id += 23) {
		apics_start(context);
		apics[0].id = id;
		apic_go_x2(0);
		assert_true(get(X2 + 2, &value));
		assert_int_equal(value, id);
		assert_true(get(X2 + 0xD, &value));
		assert_int_equal(value, id / 16 << 16 | 1u << id % 16);
		local_apic_reset(&apics[0]);
		assert_true(get(X2 + 0xD, &value));
		assert_int_equal(value, id / 16 << 16 | 1u << id % 16);
		assert_true(put(X2 + ICR, 0x1234567800000000 | 0x40));
		assert_true(get(X2 + ICR, &value));
		assert_int_equal(value, 0x1234567800000040);
	}
}

/* From each mode to each. */
static void modes_are_changed_as_the_manual_allows(void **context)
{
	static const bool allowed[4][4] = {
		[DISABLED] = {[DISABLED] = true, [XAPIC] = true},
		[XAPIC] = {[DISABLED] = true, [XAPIC] = true, [X2APIC] = true},
		[X2APIC] = {[DISABLED] = true, [X2APIC] = true},
	};

	for (unsigned from = 0; from < 4; from++)
		for (unsigned to = 0; to < 4 && from != INVALID; to++) {
			uint64_t value;

			apics_start(context);
			if (from != XAPIC)
				assert_true(put(MSR_APIC_BASE, base_of(from)));
			told[0].moves = 0;
			assert_int_equal(put(MSR_APIC_BASE, base_of(to)), allowed[from][to]);
			assert_true(get(MSR_APIC_BASE, &value));
			assert_int_equal(value, base_of(allowed[from][to] ? to : from));
			assert_int_equal(told[0].moves, allowed[from][to] && from != to);
			if (!allowed[from][to])
				continue;
			assert_int_equal(apics[0].page, to == XAPIC ? LOCAL_APIC_AT : UINT64_MAX);
			assert_int_equal(local_apic_enabled(&apics[0]), to != DISABLED);
		}
}

static void what_is_disabled_has_forgotten_everything(void **context)
{
	(void)context;
	apic_enable_software(0);
	apic_put(0, 0x80, 0x55);
	local_apic_bus_send(&apic_bus, &(struct apic_message){.vector = 0x99});
	assert_true(local_apic_pending(&apics[0]));
	assert_true(put(MSR_APIC_BASE, base_of(DISABLED)));
	assert_false(local_apic_pending(&apics[0]));
	/* LINT0 is INTR now. */
	pic_vector = 0x70;
	local_apic_pin(&apics[0], 0, true);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x70);
	assert_true(put(MSR_APIC_BASE, base_of(XAPIC)));
	assert_false(local_apic_pending(&apics[0]));
	assert_int_equal(apic_get(0, 0x80), 0);
	assert_int_equal(apic_get(0, 0xF0), 0xff);
}

static void x2apic_keeps_what_xapic_had(void **context)
{
	uint64_t value;

	(void)context;
	apic_enable_software(0);
	apic_put(0, 0x310, 0xff000000);
	apic_put(0, 0x80, 0x55);
	apic_go_x2(0);
	assert_true(get(X2 + TPR, &value));
	assert_int_equal(value, 0x55);
	assert_true(get(X2 + SVR, &value));
	assert_int_equal(value, 0x1ff);
	assert_true(get(X2 + ICR, &value));
	assert_int_equal(value, 0);
}

static void answer(struct tl_mmio *access)
{
	access->data = 0x5eed;
}

static void the_page_moves(void **context)
{
	struct tl_mmio access = {.gpa = 0x1230F0, .offset = 0xF0, .size = 4};

	(void)context;
	assert_true(put(MSR_APIC_BASE, 0x123000 | APIC_BASE_ENABLE | APIC_BASE_BSP));
	assert_int_equal(told[0].moves, 1);
	assert_int_equal(apics[0].page, 0x123000);
	assert_int_equal(apic_do(0, &access), TL_OK);
	assert_int_equal(access.data, 0xff);
	access.gpa = LOCAL_APIC_AT + 0xF0;
	assert_int_equal(apic_do(0, &access), TL_OK);
	assert_int_equal(access.data, UINT64_MAX);
	/* What is below may answer. */
	apic_bus.beneath = answer;
	assert_int_equal(apic_do(0, &access), TL_OK);
	assert_int_equal(access.data, 0x5eed);
	access.write = true;
	access.data = 0x1ff;
	assert_int_equal(apic_do(0, &access), TL_OK);
	access = (struct tl_mmio){.gpa = 0x1230F0, .offset = 0xF0, .size = 4};
	assert_int_equal(apic_do(0, &access), TL_OK);
	assert_int_equal(access.data, 0xff);
	/* Reserved: the low bits but three, and those beyond the guest's addresses. */
	for (unsigned bit = 0; bit < 64; bit++)
		if ((bit < 12 && bit != 8 && bit != 10 && bit != 11) || bit >= 40)
			assert_false(put(MSR_APIC_BASE, base_of(XAPIC) | 1ull << bit));
	assert_int_equal(told[0].moves, 1);
	assert_true(put(MSR_APIC_BASE, (1ull << 40) - 0x1000 + APIC_BASE_ENABLE));
	assert_int_equal(apics[0].page, (1ull << 40) - 0x1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_x2apic_msr_is_as_the_manual_has_it, apics_start),
		cmocka_unit_test(reserved_bits_of_x2apic_fault),
		cmocka_unit_test(x2apic_has_ids_of_its_own),
		cmocka_unit_test(modes_are_changed_as_the_manual_allows),
		cmocka_unit_test_setup(what_is_disabled_has_forgotten_everything, apics_start),
		cmocka_unit_test_setup(x2apic_keeps_what_xapic_had, apics_start),
		cmocka_unit_test_setup(the_page_moves, apics_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
