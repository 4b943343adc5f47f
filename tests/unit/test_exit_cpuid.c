/* SPDX-License-Identifier: MIT */
/* CPUID: what was answered before is answered again without asking the CPU, as long as that is the same CPU. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { CPUID_LENGTH = 2, HYPERVISOR = 0x40000000 };

static unsigned nr_asked;

static struct cpuid identify(uint32_t leaf, uint32_t subleaf)
{
	nr_asked++;
	return (struct cpuid){leaf, subleaf, nr_asked, hosted_cpu};
}

static int start(void **state)
{
	int status = vcpu_start(state);

	mock_cpu.on_cpuid = identify;
	nr_asked = 0;
	return status;
}

static int stop(void **state)
{
	mock_cpu.on_cpuid = NULL;
	return vcpu_stop(state);
}

/* What entry.asm does with the exit. True: it was answered before all registers were saved. */
static bool ask(uint32_t leaf, uint32_t subleaf)
{
	enum vcpu_action action;

	guest_vcpu->gpr[TL_RAX] = 0xffffffff00000000 | leaf;
	guest_vcpu->gpr[TL_RCX] = 0xffffffff00000000 | subleaf;
	guest_vcpu->gpr[TL_RBX] = guest_vcpu->gpr[TL_RDX] = UINT64_MAX;
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_EXIT_REASON, EXIT_REASON_CPUID);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, CPUID_LENGTH);
	action = vcpu_exit_fast(guest_vcpu);
	if (action == VCPU_FULL)
		assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	else
		assert_int_equal(action, VCPU_RESUME | VCPU_RELOAD_RBX);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + CPUID_LENGTH);
	return action != VCPU_FULL;
}

static void expect_answer(uint32_t leaf, uint32_t subleaf, uint64_t asked)
{
	assert_int_equal(guest_vcpu->gpr[TL_RAX], leaf);
	assert_int_equal(guest_vcpu->gpr[TL_RBX], subleaf);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], asked);
}

/* Whatever ECX holds, where there are no subleaves. */
static void the_same_is_answered_again(void **context)
{
	(void)context;
	assert_false(ask(0, 5));
	assert_true(ask(0, 6));
	expect_answer(0, 5, 1);
	/* A leaf that takes its place. */
	assert_false(ask(0x80000000, 6));
	assert_true(ask(0x80000000, 6));
	expect_answer(0x80000000, 6, 2);
	assert_false(ask(0, 6));
	expect_answer(0, 6, 3);
	assert_false(ask(HYPERVISOR, 0));
	assert_true(ask(HYPERVISOR, 0));
	assert_int_equal(guest_vcpu->gpr[TL_RBX], 0x70617254);
}

/* OSXSAVE is as CR4 is, XSAVE's sizes as XCR0 is; and subleaves differ. */
static void what_the_guest_changes_is_asked_anew(void **context)
{
	static const uint32_t leaves[] = {1, 4, 7, 0x0d};

	(void)context;
	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		assert_false(ask(leaves[i], 0));
		assert_false(ask(leaves[i], 0));
	}
	for (unsigned on = 0; on < 2; on++) {
		set_field(VMCS_GUEST_CR4, on ? CR4_OSXSAVE : 0);
		set_field(VMCS_CR4_READ_SHADOW, on ? CR4_OSXSAVE : 0);
		ask(1, 0);
		assert_int_equal(guest_vcpu->gpr[TL_RCX] >> 27 & 1, on);
	}
}

static struct cpuid everything(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid){UINT32_MAX, 0x340, UINT32_MAX, UINT32_MAX};
}

/* XSAVES is shown where the guest has it; the size of a compacted area with XSAVEC, too; and nothing of IA32_XSS. */
static void xsaves_is_shown_where_the_guest_has_it(void **context)
{
	(void)context;
	mock_cpu.on_cpuid = everything;
	vmx_capability.xcr0 = 7;
	for (unsigned on = 0; on < 2; on++) {
		vmx_controls.xsavec = vmx_controls.xsaves = on;
		ask(0x0d, 1);
		assert_int_equal(guest_vcpu->gpr[TL_RAX], on ? 15 : 5);
		assert_int_equal(guest_vcpu->gpr[TL_RBX], on ? 0x340 : 0);
		assert_int_equal(guest_vcpu->gpr[TL_RCX], 0);
		assert_int_equal(guest_vcpu->gpr[TL_RDX], 0);
		for (unsigned subleaf = 8; subleaf < 64; subleaf++) {
			ask(0x0d, subleaf);
			assert_int_equal(guest_vcpu->gpr[TL_RAX], 0);
		}
	}
	mock_cpu.on_cpuid = identify;
	vmx_controls.xsavec = vmx_controls.xsaves = false;
	vmx_capability.xcr0 = 0;
}

/* Some leaves may say something else there. */
static void another_processor_is_asked_anew(void **context)
{
	(void)context;
	ask(0x80000008, 0);
	assert_true(ask(0x80000008, 0));
	assert_int_equal(guest_vcpu->gpr[TL_RDX], 0);
	vcpu_unload(guest_vcpu);
	hosted_cpu = 1;
	vmx_cpu[1] = (struct vmx_cpu){.up = true};
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
	assert_false(ask(0x80000008, 0));
	assert_int_equal(guest_vcpu->gpr[TL_RDX], 1);
	vcpu_unload(guest_vcpu);
	hosted_cpu = 0;
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
}

static void answer(struct tl_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct tl_cpuid *out)
{
	assert_ptr_equal(vcpu, guest_vcpu);
	*out = (struct tl_cpuid){leaf, subleaf, out->ecx, 99};
}

/* What the embedder says counts at once, and it is asked each time. */
static void an_embedder_is_asked_each_time(void **context)
{
	static const struct tl_processor processor = {.cpuid = answer};

	(void)context;
	ask(0, 0);
	assert_true(ask(0, 0));
	tl_vcpu_set_processor(guest_vcpu, &processor);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(ask(0, 0));
		assert_int_equal(guest_vcpu->gpr[TL_RDX], 99);
	}
	tl_vcpu_set_processor(guest_vcpu, NULL);
	assert_false(ask(0, 0));
	assert_true(ask(0, 0));
	assert_int_not_equal(guest_vcpu->gpr[TL_RDX], 99);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_is_answered_again),
		TEST(what_the_guest_changes_is_asked_anew),
		TEST(xsaves_is_shown_where_the_guest_has_it),
		TEST(another_processor_is_asked_anew),
		TEST(an_embedder_is_asked_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
