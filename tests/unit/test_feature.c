/* SPDX-License-Identifier: MIT */
/* Doing without features of the CPU: what is asked for is gone from what is used, and nothing else is. */
#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include "vmx/controls.h"
#include "vmx/feature.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A CPU that has everything and fixes nothing. */
static struct vmx_capability whole(void)
{
	struct vmx_capability c = {.ept_2m = true,
				   .ept_1g = true,
				   .ept_accessed_dirty = true,
				   .ept_execute_only = true,
				   .invept_single = true,
				   .invept_all = true,
				   .invvpid_single = true,
				   .xsave = true,
				   .xsavec = true,
				   .xsaves = true,
				   .xcr0 = 7};

	for (unsigned word = 0; word < VMX_NR_CONTROL_WORDS; word++)
		c.control[word].allowed1 = ~0ull;
	return c;
}

static void turn_off(uint32_t features)
{
	vmx_capability.physical_bits = 0;
	assert_int_equal(tl_features_off(features), TL_OK);
}

/* One bit for each feature that is in use. */
static uint32_t used(const struct vmx_capability *c)
{
	struct vmx_controls k;
	uint32_t mask = 0;

	assert_int_equal(controls_compute(c, &k), TL_OK);
	mask |= (uint32_t)k.vpid << TL_FEATURE_VPID;
	mask |= (uint32_t)k.unrestricted_guest << TL_FEATURE_UNRESTRICTED_GUEST;
	mask |= (uint32_t)c->ept_2m << TL_FEATURE_EPT_2M;
	mask |= (uint32_t)c->ept_1g << TL_FEATURE_EPT_1G;
	mask |= (uint32_t)c->ept_accessed_dirty << TL_FEATURE_EPT_ACCESSED_DIRTY;
	mask |= (uint32_t)c->ept_execute_only << TL_FEATURE_EPT_EXECUTE_ONLY;
	mask |= (uint32_t)c->invept_single << TL_FEATURE_INVEPT_SINGLE;
	mask |= (uint32_t)k.preemption_timer << TL_FEATURE_PREEMPTION_TIMER;
	mask |= (uint32_t) !!(c->control[VMX_PROC2].allowed1 & PROC2_ENABLE_PML) << TL_FEATURE_PML;
	mask |= (uint32_t)k.virtual_nmis << TL_FEATURE_VIRTUAL_NMIS;
	mask |= (uint32_t) !!(c->control[VMX_PROC].allowed1 & PROC_MONITOR_TRAP_FLAG) << TL_FEATURE_MONITOR_TRAP_FLAG;
	mask |= (uint32_t)k.io_bitmaps << TL_FEATURE_IO_BITMAPS;
	mask |= (uint32_t)k.msr_bitmaps << TL_FEATURE_MSR_BITMAPS;
	mask |= (uint32_t)(c->xsave && c->xcr0) << TL_FEATURE_XSAVE;
	mask |= (uint32_t)k.tpr_shadow << TL_FEATURE_TPR_SHADOW;
	mask |= (uint32_t)k.apic_accesses << TL_FEATURE_APIC_ACCESSES;
	mask |= (uint32_t)k.x2apic_mode << TL_FEATURE_X2APIC_MODE;
	mask |= (uint32_t)k.virtual_interrupts << TL_FEATURE_VIRTUAL_INTERRUPTS;
	mask |= (uint32_t)k.apic_registers << TL_FEATURE_APIC_REGISTERS;
	mask |= (uint32_t)k.posted_interrupts << TL_FEATURE_POSTED_INTERRUPTS;
	mask |= (uint32_t)(k.xsaves && k.xsavec) << TL_FEATURE_XSAVES;
	return mask;
}

static void all_are_used_by_themselves(void **context)
{
	struct vmx_capability c = whole();

	(void)context;
	turn_off(0);
	assert_int_equal(features_hide(&c), TL_OK);
	assert_int_equal(used(&c), (1u << TL_NR_FEATURES) - 1);
}

/* It takes the instructions and the control, and goes with XSAVE. */
static void guests_have_xsaves_where_the_cpu_lets_them(void **context)
{
	struct vmx_capability c = whole();
	struct vmx_controls k;

	(void)context;
	turn_off(0);
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_true(k.xsaves && k.proc2 & PROC2_ENABLE_XSAVES);
	c.control[VMX_PROC2].allowed1 &= ~(uint64_t)PROC2_ENABLE_XSAVES;
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_false(k.xsaves || k.proc2 & PROC2_ENABLE_XSAVES);
	c = whole();
	c.xsaves = false;
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_false(k.xsaves || k.proc2 & PROC2_ENABLE_XSAVES);
	c = whole();
	turn_off(1u << TL_FEATURE_XSAVE);
	assert_int_equal(features_hide(&c), TL_OK);
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_false(k.xsaves);
}

/* What goes with a feature, itself included. */
static uint32_t goes_with(enum tl_feature feature)
{
	switch (feature) {
	case TL_FEATURE_EPT_2M:
		return 1u << TL_FEATURE_EPT_2M | 1u << TL_FEATURE_EPT_1G;
	case TL_FEATURE_MSR_BITMAPS:
		return 1u << TL_FEATURE_MSR_BITMAPS | 1u << TL_FEATURE_X2APIC_MODE;
	case TL_FEATURE_TPR_SHADOW:
		return 1u << TL_FEATURE_TPR_SHADOW | 1u << TL_FEATURE_APIC_ACCESSES | 1u << TL_FEATURE_X2APIC_MODE |
		       1u << TL_FEATURE_VIRTUAL_INTERRUPTS | 1u << TL_FEATURE_APIC_REGISTERS |
		       1u << TL_FEATURE_POSTED_INTERRUPTS;
	case TL_FEATURE_VIRTUAL_INTERRUPTS:
		return 1u << TL_FEATURE_VIRTUAL_INTERRUPTS | 1u << TL_FEATURE_APIC_REGISTERS |
		       1u << TL_FEATURE_POSTED_INTERRUPTS;
	case TL_FEATURE_XSAVE:
		return 1u << TL_FEATURE_XSAVE | 1u << TL_FEATURE_XSAVES;
	default:
		return 1u << feature;
	}
}

static void each_goes_alone(void **context)
{
	(void)context;
	for (enum tl_feature feature = 0; feature < TL_NR_FEATURES; feature++) {
		struct vmx_capability c = whole();

		turn_off(1u << feature);
		assert_int_equal(features_hide(&c), TL_OK);
		assert_int_equal(used(&c), ((1u << TL_NR_FEATURES) - 1) & ~goes_with(feature));
	}
}

/* All control features at once; without the bitmaps I/O exits unconditionally. */
static void all_go_together(void **context)
{
	struct vmx_capability c = whole();
	struct vmx_controls k;

	(void)context;
	turn_off((1u << TL_NR_FEATURES) - 1);
	assert_int_equal(features_hide(&c), TL_OK);
	assert_int_equal(used(&c), 0);
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_true(k.proc & PROC_UNCONDITIONAL_IO_EXITING);
}

static void a_fixed_control_is_refused(void **context)
{
	struct vmx_capability c = whole();

	(void)context;
	c.control[VMX_PROC2].allowed0 = PROC2_ENABLE_VPID;
	turn_off(1 << TL_FEATURE_VPID);
	assert_int_equal(features_hide(&c), TL_UNSUPPORTED);
	turn_off(1 << TL_FEATURE_PML);
	assert_int_equal(features_hide(&c), TL_OK);
}

/* Each vCPU has them as its local APIC needs them, so that one that cannot be off is not used, or none of it. */
static void what_a_local_apic_uses_must_be_free(void **context)
{
	struct vmx_capability c = whole();
	struct vmx_controls k;

	(void)context;
	turn_off(0);
	c.control[VMX_PROC].allowed0 = PROC_CR8_LOAD_EXITING;
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_false(k.tpr_shadow || k.apic_accesses || k.x2apic_mode || k.virtual_interrupts || k.apic_registers);
	assert_false(k.proc & PROC_USE_TPR_SHADOW || k.proc2 & PROC2_APIC);
	c.control[VMX_PROC].allowed0 = 0;
	/* Exits acknowledge interrupts for the vCPUs alone that have posted ones. */
	c.control[VMX_EXIT].allowed1 &= ~(uint64_t)VM_EXIT_ACKNOWLEDGE_INTERRUPT;
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_true(k.virtual_interrupts && !k.posted_interrupts);
	assert_false(k.pin & PIN_POSTED_INTERRUPTS);
	c.control[VMX_PROC2].allowed0 = PROC2_VIRTUALIZE_APIC_ACCESSES;
	assert_int_equal(controls_compute(&c, &k), TL_UNSUPPORTED);
}

/* Posted interrupts take a notification that the embedder sends, with a vector that is no exception's. */
static void what_notifies_is_the_embedders(void **context)
{
	struct vmx_capability c = whole();
	struct tl_hooks table = *hooks;
	struct vmx_controls k;

	(void)context;
	turn_off(0);
	table.notification_vector = 31;
	assert_int_equal(tl_init(&table), TL_INVALID_ARGUMENT);
	table.notify = NULL;
	assert_int_equal(tl_init(&table), TL_OK);
	assert_int_equal(controls_compute(&c, &k), TL_OK);
	assert_true(k.virtual_interrupts && !k.posted_interrupts);
	hosted_start();
}

static void wrong_masks_are_refused(void **context)
{
	struct vmx_capability c = whole();

	(void)context;
	turn_off(0);
	assert_int_equal(tl_features_off(1u << TL_NR_FEATURES), TL_INVALID_ARGUMENT);
	/* A CPU has been up. */
	vmx_capability.physical_bits = 39;
	assert_int_equal(tl_features_off(1 << TL_FEATURE_VPID), TL_INVALID_ARGUMENT);
	assert_int_equal(features_hide(&c), TL_OK);
	assert_int_equal(used(&c), (1u << TL_NR_FEATURES) - 1);
}

static int start(void **context)
{
	(void)context;
	hosted_start();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_used_by_themselves),
		cmocka_unit_test(guests_have_xsaves_where_the_cpu_lets_them),
		cmocka_unit_test(each_goes_alone),
		cmocka_unit_test(all_go_together),
		cmocka_unit_test(a_fixed_control_is_refused),
		cmocka_unit_test(what_a_local_apic_uses_must_be_free),
		cmocka_unit_test(what_notifies_is_the_embedders),
		cmocka_unit_test(wrong_masks_are_refused),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
