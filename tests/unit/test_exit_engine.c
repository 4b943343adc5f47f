/* SPDX-License-Identifier: MIT */
/*
 * What the engine's end of an instruction is to the vCPU: registers, RIP, RFLAGS, interruptibility, a pending #DB; and
 * of a REP that ends in the middle, what was done. SDM vol. 3, 25.3.2, 26.3.1.5 and 6.8.3.
 */
#include "tests/unit/vcpu_fixture.h"

#include "tests/unit/stepping.h"
#include "vmx/cr.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096 };

#define PTE_ACCESSED (1ull << 5)

static const uint8_t rep_stosb[] = {0xf3, 0xaa}, add[] = {0x01, 0x07}, jmp[] = {0xff, 0x27}, mov_ss[] = {0x8e, 0x17},
		     rep_insb[] = {0xf3, 0x6c}, push_memory[] = {0xff, 0x37}, popf[] = {0x9d};

static void begin(const uint8_t *code, size_t length, gva_t rdi, uint64_t rcx)
{
	put_code(CODE, code, length);
	guest_vcpu->gpr[TL_RDI] = rdi;
	guest_vcpu->gpr[TL_RCX] = rcx;
}

static void expect_at(gva_t rip, gva_t rdi, uint64_t rcx)
{
	assert_int_equal(field(VMCS_GUEST_RIP), rip);
	assert_int_equal(guest_vcpu->gpr[TL_RDI], rdi);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], rcx);
}

/* Another CPU changes the second page's entry after each instruction: its available bits 58:52 count. */
static void change_entry(int signal)
{
	static uint64_t count;
	uint64_t *pte = &guest_ptes[DEVICE_LINEAR / PAGE + 1];

	(void)signal;
	*pte = (*pte & ~BITS(58, 52)) | (count++ & 127) << 52;
}

/* The guest tries again from the element that raced: no device sees an element twice. */
static void a_rep_that_races_keeps_what_it_did(void **context)
{
	struct sigaction action = {.sa_handler = change_entry};
	enum vcpu_action then;

	(void)context;
	begin(rep_stosb, sizeof(rep_stosb), DEVICE_LINEAR + PAGE - 3, 8);
	guest_ptes[DEVICE_LINEAR / PAGE + 1] &= ~PTE_ACCESSED;
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	STEPPING_BEGIN();
	then = exit_at(DEVICE_LINEAR + PAGE - 3);
	STEPPING_END();
	assert_int_equal(then, VCPU_RESUME);
	assert_int_equal(device_log.count, 3);
	expect_at(CODE, DEVICE_LINEAR + PAGE, 5);
	expect_served(CODE, DEVICE_LINEAR + PAGE, CODE + 2);
	expect_at(CODE + 2, DEVICE_LINEAR + PAGE + 5, 0);
	assert_int_equal(device_log.count, 8);
}

static void a_rep_that_faults_keeps_what_it_did(void **context)
{
	(void)context;
	begin(rep_stosb, sizeof(rep_stosb), DEVICE_LINEAR + PAGE - 3, 8);
	guest_ptes[DEVICE_LINEAR / PAGE + 1] = 0;
	assert_int_equal(exit_at(DEVICE_LINEAR + PAGE - 3), VCPU_RESUME);
	expect_injected(VECTOR_PF);
	expect_at(CODE, DEVICE_LINEAR + PAGE, 5);
}

static void a_rep_that_a_device_fails_keeps_what_it_did(void **context)
{
	(void)context;
	begin(rep_stosb, sizeof(rep_stosb), DEVICE_LINEAR, 8);
	device_log.status = TL_DEVICE_ERROR;
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_DEVICE);
	expect_at(CODE, DEVICE_LINEAR, 8);
}

/* A stepped REP traps after each element, its RIP still on the instruction: SDM vol. 3, 18.3.1.4. */
static void a_stepped_rep_traps_after_each_element(void **context)
{
	(void)context;
	begin(rep_stosb, sizeof(rep_stosb), DEVICE_LINEAR, 3);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
	for (unsigned i = 1; i <= 3; i++) {
		set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
		assert_int_equal(exit_at(DEVICE_LINEAR + i - 1), VCPU_RESUME);
		assert_int_equal(device_log.count, i);
		expect_at(i == 3 ? CODE + 2 : CODE, DEVICE_LINEAR + i, 3 - i);
		assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
		/* A breakpoint on it was met before the first one. */
		assert_int_equal(field(VMCS_GUEST_RFLAGS), 2 | RFLAGS_TF | (i == 3 ? 0 : RFLAGS_RF));
	}
}

/* A port's half is the embedder's; then the device's. */
static void a_rep_that_waits_for_a_port(void **context)
{
	(void)context;
	begin(rep_insb, sizeof(rep_insb), DEVICE_LINEAR, 2);
	guest_vcpu->gpr[TL_RDX] = 0x60;
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_IO);
	assert_int_equal(vcpu_left.io.port, 0x60);
	expect_at(CODE, DEVICE_LINEAR, 2);
	assert_int_equal(mmio_resume(guest_vcpu, 0x41), VCPU_LEAVE);
	assert_int_equal(device_log.count, 1);
	assert_int_equal(device_log.access[0].data, 0x41);
	expect_at(CODE, DEVICE_LINEAR + 1, 1);
	assert_int_equal(mmio_resume(guest_vcpu, 0x42), VCPU_RESUME);
	assert_int_equal(device_log.access[1].data, 0x42);
	expect_at(CODE + 2, DEVICE_LINEAR + 2, 0);
}

/* The shadow of STI ends with the instruction, RF too, and a stepped one traps. */
static void completing_ends_the_shadow(void **context)
{
	(void)context;
	begin(add, sizeof(add), DEVICE_LINEAR, 0);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF | RFLAGS_RF);
	device_log.answer = UINT32_MAX;
	guest_vcpu->gpr[TL_RAX] = 1;
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
	assert_int_equal(device_log.count, 2);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	/* CF, PF, AF, ZF of FFFFFFFFH + 1; without RF. */
	assert_int_equal(field(VMCS_GUEST_RFLAGS), 2 | RFLAGS_TF | 0x55);
}

static void loading_ss_begins_a_shadow(void **context)
{
	(void)context;
	begin(mov_ss, sizeof(mov_ss), DEVICE_LINEAR, 0);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	device_log.answer = 0; /* a null selector, which 64-bit code may have */
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_MOV_SS);
}

/* To anywhere, also to where an instruction of the same length would have gone. */
static void branches_set_rip(void **context)
{
	static const gva_t targets[] = {CODE + 2, CODE, 0x123456789a, 0xffff800000000000};

	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		begin(jmp, sizeof(jmp), DEVICE_LINEAR, 0);
		device_log.answer = targets[i];
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
		set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
		expect_served(CODE, DEVICE_LINEAR, targets[i]);
		assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
		set_field(VMCS_GUEST_RFLAGS, 2);
	}
}

/* With BTF a branch alone traps. SDM vol. 3, 18.4.3. */
static void branches_trap_with_btf(void **context)
{
	(void)context;
	set_field(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
	begin(add, sizeof(add), DEVICE_LINEAR, 0);
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	begin(jmp, sizeof(jmp), DEVICE_LINEAR, 0);
	device_log.answer = CODE;
	expect_served(CODE, DEVICE_LINEAR, CODE);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	set_field(VMCS_GUEST_RFLAGS, 2);
	expect_served(CODE, DEVICE_LINEAR, CODE);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

/* An instruction traps by the TF that it began with: SDM vol. 3, 18.3.1.4. */
static void popf_traps_by_the_flags_before_it(void **context)
{
	(void)context;
	begin(popf, sizeof(popf), 0, 0);
	set_field(VMCS_GUEST_RSP, DEVICE_LINEAR);
	device_log.answer = 2 | RFLAGS_TF;
	expect_served(CODE, DEVICE_LINEAR, CODE + 1);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), 2 | RFLAGS_TF);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	assert_int_equal(field(VMCS_GUEST_RSP), DEVICE_LINEAR + 8);
	device_log.answer = 2;
	expect_served(CODE, DEVICE_LINEAR + 8, CODE + 1);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), 2);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
}

/* What an exception leaves: RIP, flags and stack as they were. */
static void a_fault_leaves_the_guest_as_it_was(void **context)
{
	(void)context;
	begin(push_memory, sizeof(push_memory), DEVICE_LINEAR, 0);
	guest_vcpu->gpr[TL_RSP] = BELL_LINEAR + 2ull * PAGE; /* not present */
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	expect_injected(VECTOR_PF);
	assert_int_equal(device_log.count, 0);
	expect_at(CODE, DEVICE_LINEAR, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_rep_that_races_keeps_what_it_did, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(a_rep_that_faults_keeps_what_it_did, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(a_rep_that_a_device_fails_keeps_what_it_did, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(a_stepped_rep_traps_after_each_element, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(a_rep_that_waits_for_a_port, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(completing_ends_the_shadow, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(loading_ss_begins_a_shadow, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(branches_set_rip, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(branches_trap_with_btf, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(popf_traps_by_the_flags_before_it, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(a_fault_leaves_the_guest_as_it_was, vcpu_start, vcpu_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
