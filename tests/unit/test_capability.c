/* SPDX-License-Identifier: MIT */
/* What a control may be set to: allowed-0 and allowed-1 against what is asked for. */
#include "vmx/capability.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

static void optional_controls_are_dropped(void **state)
{
	uint64_t value, conflict;
	struct vmx_control control = {.allowed0 = 0x16, .allowed1 = 0xff};

	(void)state;
	assert_true(control_adjust(control, (struct control_request){.required = 0x80, .optional = 0x300}, &value,
				   &conflict));
	assert_int_equal(value, 0x96);
	assert_int_equal(conflict, 0);
}

static void required_control_that_is_missing_is_named(void **state)
{
	uint64_t value, conflict;
	struct vmx_control control = {.allowed0 = 0x16, .allowed1 = 0x7f};

	(void)state;
	assert_false(control_adjust(control, (struct control_request){.required = 0x181}, &value, &conflict));
	assert_int_equal(conflict, 0x180);
}

static void forbidden_control_that_is_fixed_is_named(void **state)
{
	uint64_t value, conflict;
	struct vmx_control control = {.allowed0 = 0x8016, .allowed1 = 0xffff};

	(void)state;
	assert_false(control_adjust(control, (struct control_request){.forbidden = 0x8100}, &value, &conflict));
	assert_int_equal(conflict, 0x8000);
	control.allowed0 = 0x16;
	assert_true(control_adjust(control, (struct control_request){.forbidden = 0x8100}, &value, &conflict));
	assert_int_equal(value, 0x16);
}

/* A tertiary control has bits above 31. */
static void upper_half_counts(void **state)
{
	uint64_t value, conflict;
	struct vmx_control control = {.allowed0 = 0, .allowed1 = UINT64_C(0x8000000000000000)};
	struct control_request request = {.required = UINT64_C(0x8000000000000000), .optional = UINT64_C(1) << 40};

	(void)state;
	assert_true(control_adjust(control, request, &value, &conflict));
	assert_true(value == UINT64_C(0x8000000000000000));
}

/* One bit: each combination of what the CPU fixes and what is asked, with the answer by the SDM's words. */
static void each_bit_by_itself(void **state)
{
	static const struct {
		struct vmx_control control;
		struct control_request request;
		bool good;
		uint64_t value;
	} cases[] = {
		/* free */
		{{0, 1}, {0, 0, 0}, true, 0},
		{{0, 1}, {1, 0, 0}, true, 1},
		{{0, 1}, {0, 1, 0}, true, 1},
		{{0, 1}, {0, 0, 1}, true, 0},
		/* fixed to 1 */
		{{1, 1}, {0, 0, 0}, true, 1},
		{{1, 1}, {1, 0, 0}, true, 1},
		{{1, 1}, {0, 1, 0}, true, 1},
		{{1, 1}, {0, 0, 1}, false, 1},
		/* fixed to 0 */
		{{0, 0}, {0, 0, 0}, true, 0},
		{{0, 0}, {1, 0, 0}, false, 0},
		{{0, 0}, {0, 1, 0}, true, 0},
		{{0, 0}, {0, 0, 1}, true, 0},
	};

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct vmx_control control = {cases[i].control.allowed0 << bit,
						      cases[i].control.allowed1 << bit};
			struct control_request request = {cases[i].request.required << bit,
							  cases[i].request.optional << bit,
							  cases[i].request.forbidden << bit};
			uint64_t value, conflict;

			assert_int_equal(control_adjust(control, request, &value, &conflict), cases[i].good);
			assert_true(conflict == (cases[i].good ? 0 : UINT64_C(1) << bit));
			assert_true(value == cases[i].value << bit);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(optional_controls_are_dropped),
		cmocka_unit_test(required_control_that_is_missing_is_named),
		cmocka_unit_test(forbidden_control_that_is_fixed_is_named),
		cmocka_unit_test(upper_half_counts),
		cmocka_unit_test(each_bit_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
