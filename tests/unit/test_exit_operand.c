/* SPDX-License-Identifier: MIT */
/* What the engine does where the CPU's own way can be seen: which bytes it accesses, and in which order it faults. */
#include "tests/unit/vcpu_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096, AT_XMM0 = 160, AT_XMM1 = 176, FRAMES = 0x8000 };

static const uint8_t pop_fs[] = {0x0f, 0xa1};
static const uint8_t enter_8_5[] = {0xc8, 8, 0, 5};
static const uint8_t maskmovdqu[] = {0x66, 0x0f, 0xf7, 0xc1}; /* maskmovdqu xmm0, xmm1 */

/* Of the 8 bytes on the stack only the selector is read: the others may be another register's, or another page's. */
static void popped_segment_register_is_a_selector(void **context)
{
	(void)context;
	put_code(CODE, pop_fs, sizeof(pop_fs));
	set_field(VMCS_GUEST_RSP, DEVICE_LINEAR);
	expect_served(CODE, DEVICE_LINEAR, CODE + sizeof(pop_fs));
	assert_int_equal(device_log.count, 1);
	assert_int_equal(device_log.access[0].size, 2);
	assert_int_equal(field(VMCS_GUEST_RSP), DEVICE_LINEAR + 8);
}

/* The third push is the first one below the device, where there is no page: nothing of the instruction is done. */
static void enter_faults_where_it_pushes_first(void **context)
{
	(void)context;
	put_code(CODE, enter_8_5, sizeof(enter_8_5));
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_GUEST_RSP, DEVICE_LINEAR + 16);
	guest_vcpu->gpr[TL_RBP] = FRAMES;
	assert_int_equal(exit_at(DEVICE_LINEAR + 8), VCPU_RESUME);
	expect_injected(VECTOR_PF);
	assert_int_equal(mock_cpu.cr2, DEVICE_LINEAR - 8);
	assert_int_equal(device_log.count, 0);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
}

/* The CPU may exit for bytes that it is not to write, on a page that holds no others. */
static void masked_out_byte_may_be_where_the_exit_was(void **context)
{
	uint8_t *state = guest_vcpu->fpu;

	(void)context;
	put_code(CODE, maskmovdqu, sizeof(maskmovdqu));
	memset(state + AT_XMM0, 0x5a, 16);
	memset(state + AT_XMM1, 0, 16);
	state[AT_XMM1 + 4] = 0x80;
	guest_vcpu->gpr[TL_RDI] = DEVICE_LINEAR + PAGE - 4;
	expect_served(CODE, DEVICE_LINEAR + PAGE - 4, CODE + sizeof(maskmovdqu));
	assert_int_equal(device_log.count, 1);
	assert_int_equal(device_log.access[0].offset, PAGE);
	assert_int_equal(device_log.access[0].size, 1);
	assert_int_equal(device_log.access[0].data, 0x5a);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(popped_segment_register_is_a_selector),
		CASE(enter_faults_where_it_pushes_first),
		CASE(masked_out_byte_may_be_where_the_exit_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
