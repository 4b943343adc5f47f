/* SPDX-License-Identifier: MIT */
#include "tests/unit/step_fixture.h"

#include "vmx/cpu.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

int step_start(void **context)
{
	vcpu_start(context);
	vmx_controls.preemption_timer = true;
	set_field(VMCS_GUEST_RSP, STACK);
	set_field(VMCS_GUEST_RFLAGS, RFLAGS_OF_GUEST);
	mock_cpu.dr6 = OLD_DR6;
	return 0;
}

int step_stop(void **context)
{
	vmx_controls.preemption_timer = false;
	return vcpu_stop(context);
}

bool begin_step(void)
{
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	if (vcpu_attention(guest_vcpu) != VCPU_RESUME)
		return false;
	vcpu_trace_entry(guest_vcpu);
	return true;
}

bool begin_at(const void *code, size_t length)
{
	put_code(CODE, code, length);
	set_field(VMCS_GUEST_RIP, CODE);
	return begin_step();
}

void expect_step(enum vcpu_action action)
{
	assert_int_equal(action, VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STEP);
	assert_int_equal(field(VMCS_HOST_RIP), (uintptr_t)vmx_exit_entry);
	assert_int_equal(field(VMCS_EXCEPTION_BITMAP), EXITING_EXCEPTIONS);
	vcpu_left.reason = TL_EXIT_KICKED;
}
