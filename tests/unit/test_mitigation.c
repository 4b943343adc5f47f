/* SPDX-License-Identifier: MIT */
/* Which mitigations a CPU gets by what it says of itself, what of them stands in the VMCS, and what the guest sees. */
#include "tests/unit/vcpu_fixture.h"

#include "mmu/hooks.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include "vmx/mitigation.h"
#include "vmx/msr.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONLY(name) (1u << TL_MITIGATION_##name)
#define ARCH(name) ARCH_CAPABILITIES_##name
#define MDS_ALL    (ARCH(MDS_NO) | ARCH(TAA_NO))

enum { MD_CLEAR = 1 << 10, IBRS = 1 << 26, STIBP = 1 << 27, L1D = 1 << 28, HAS_ARCH = 1 << 29 };
#define SSBD BIT(31)

static struct vmx_capability cpu_of(uint64_t edx, bool rtm, uint64_t arch)
{
	return (struct vmx_capability){.md_clear = edx & MD_CLEAR,
				       .ibrs = edx & IBRS,
				       .stibp = edx & STIBP,
				       .l1d_flush = edx & L1D,
				       .ssbd = edx & SSBD,
				       .has_arch_capabilities = edx & HAS_ARCH,
				       .rtm = rtm,
				       .msr.arch = arch};
}

static void each_capability_word(void **state)
{
	static const struct {
		const char *what;
		uint64_t edx;
		bool rtm;
		uint64_t arch;
		uint32_t needed;
	} rows[] = {
		{"microcode that knows nothing", 0, true, 0, 0},
		{"Haswell, microcode of 2019", MD_CLEAR | IBRS | STIBP | L1D, true, 0,
		 ONLY(L1D_FLUSH) | ONLY(RSB) | ONLY(SPEC_CTRL)},
		{"L1TF alone", L1D, false, MDS_ALL, ONLY(L1D_FLUSH)},
		{"a hypervisor below flushes", MD_CLEAR | L1D, false, ARCH(SKIP_L1DFL), ONLY(VERW)},
		{"not L1TF, but MDS", MD_CLEAR | L1D, false, ARCH(RDCL_NO), ONLY(VERW)},
		{"TAA, with TSX", MD_CLEAR | L1D, true, ARCH(RDCL_NO) | ARCH(MDS_NO), ONLY(VERW)},
		{"TAA, without TSX", MD_CLEAR | L1D, false, ARCH(RDCL_NO) | ARCH(MDS_NO), 0},
		{"MMIO stale data", MD_CLEAR, false, MDS_ALL | ARCH(FB_CLEAR), ONLY(VERW)},
		{"two of its three kinds", MD_CLEAR, false, MDS_ALL | ARCH(FB_CLEAR) | ARCH(FBSDP_NO) | ARCH(PSDP_NO),
		 ONLY(VERW)},
		{"none of its kinds", MD_CLEAR, false,
		 MDS_ALL | ARCH(FB_CLEAR) | ARCH(SBDR_SSDP_NO) | ARCH(FBSDP_NO) | ARCH(PSDP_NO), 0},
		{"RFDS", MD_CLEAR, false, MDS_ALL | ARCH(RFDS_CLEAR), ONLY(VERW)},
		{"not RFDS", MD_CLEAR, false, MDS_ALL | ARCH(RFDS_CLEAR) | ARCH(RFDS_NO), 0},
		{"VERW that clears nothing", 0, true, 0, 0},
		{"IBRS of the older kind", IBRS, false, MDS_ALL, ONLY(RSB) | ONLY(SPEC_CTRL)},
		{"enhanced IBRS", IBRS, false, ARCH(IBRS_ALL), ONLY(RSB) | ONLY(SPEC_CTRL) | ONLY(BHI)},
		{"the same without PBRSB", IBRS, false, ARCH(IBRS_ALL) | ARCH(PBRSB_NO), ONLY(SPEC_CTRL) | ONLY(BHI)},
		{"and without BHI", IBRS, false, ARCH(IBRS_ALL) | ARCH(PBRSB_NO) | ARCH(BHI_NO), ONLY(SPEC_CTRL)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct vmx_capability c = cpu_of(rows[i].edx, rows[i].rtm, rows[i].arch);

		if (mitigations_needed(&c) != rows[i].needed)
			print_error("%s: %x\n", rows[i].what, mitigations_needed(&c));
		assert_int_equal(mitigations_needed(&c), rows[i].needed);
	}
}

static enum tl_status ask(uint32_t mitigations)
{
	uint8_t bits = vmx_capability.physical_bits;
	enum tl_status status;

	vmx_capability.physical_bits = 0;
	status = tl_mitigations(mitigations);
	vmx_capability.physical_bits = bits;
	return status;
}

static void what_is_asked_for_is_done(void **state)
{
	const struct vmx_capability nothing = cpu_of(0, false, 0), all = cpu_of(IBRS | L1D, false, 0);

	(void)state;
	for (uint32_t mask = 0; mask < 1u << TL_NR_MITIGATIONS; mask++) {
		assert_int_equal(ask(mask), TL_OK);
		assert_int_equal(mitigations_choose(&all), TL_OK);
		assert_int_equal(vmx_mitigations, mask);
		assert_int_equal(vmx_guard, (mask & ONLY(VERW) ? GUARD_VERW : 0) | (mask & ONLY(RSB) ? GUARD_RSB : 0) |
						    (mask & ONLY(BHI) ? GUARD_BHI : 0));
		assert_true(mitigations_exit_address(false) ==
			    (uintptr_t)(vmx_guard ? vmx_exit_guarded : vmx_exit_entry));
		assert_true(mitigations_exit_address(true) ==
			    (uintptr_t)(vmx_guard ? vmx_exit_traced_guarded : vmx_exit_traced));
		/* Without the MSR there is no such mitigation. */
		assert_int_equal(mitigations_choose(&nothing),
				 mask & (ONLY(L1D_FLUSH) | ONLY(SPEC_CTRL)) ? TL_UNSUPPORTED : TL_OK);
	}
	assert_int_equal(ask(1u << TL_NR_MITIGATIONS), TL_INVALID_ARGUMENT);
	/* A CPU has been up. */
	assert_int_equal(tl_mitigations(0), TL_INVALID_ARGUMENT);
}

/* ---- A vCPU of a CPU that has all ----------------------------------------------------------------------------------
 */

static struct {
	uint64_t spec_ctrl;
	unsigned barriers;
} host;

static uint64_t read_msr(uint32_t msr)
{
	return msr == MSR_IA32_SPEC_CTRL ? host.spec_ctrl : 0;
}

static void write_msr(uint32_t msr, uint64_t value)
{
	if (msr == MSR_IA32_SPEC_CTRL)
		host.spec_ctrl = value;
	if (msr == MSR_IA32_PRED_CMD) {
		assert_int_equal(value, PRED_CMD_IBPB);
		host.barriers++;
	}
}

static uint64_t all_features(void)
{
	return MD_CLEAR | IBRS | STIBP | L1D | HAS_ARCH | SSBD;
}

static struct cpuid identify(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return leaf == 7 ? (struct cpuid){.edx = (uint32_t)all_features()} : (struct cpuid){.eax = 7};
}

static void be_cpu(uint64_t arch, uint32_t mitigations)
{
	struct vmx_capability c = cpu_of(all_features(), false, arch);

	assert_int_equal(ask(mitigations), TL_OK);
	c.physical_bits = vmx_capability.physical_bits;
	vmx_capability = c;
	host.spec_ctrl = host.barriers = 0;
	mock_cpu.on_rdmsr = read_msr;
	mock_cpu.on_wrmsr = write_msr;
	mock_cpu.on_cpuid = identify;
	assert_int_equal(mitigations_choose(&vmx_capability), TL_OK);
	mitigations_start();
	mitigations_set_msrs(guest_vcpu);
}

static int start(void **state)
{
	return vcpu_start(state);
}

static int stop(void **state)
{
	assert_int_equal(ask(0), TL_OK);
	assert_int_equal(mitigations_choose(&vmx_capability), TL_OK);
	return vcpu_stop(state);
}

static const struct msr_list_entry *entry_list(void)
{
	return phys_to_host(field(VMCS_ENTRY_MSR_LOAD_ADDRESS));
}

static const struct msr_list_entry *exit_list(void)
{
	return phys_to_host(field(VMCS_EXIT_MSR_LOAD_ADDRESS));
}

static void expect_lists(unsigned entries, unsigned exits)
{
	assert_int_equal(field(VMCS_ENTRY_MSR_LOAD_COUNT), entries);
	assert_int_equal(field(VMCS_EXIT_MSR_LOAD_COUNT), exits);
	/* SDM vol. 3, 27.2.1.1 and 27.2.1.3. */
	assert_true(ALIGNED(field(VMCS_ENTRY_MSR_LOAD_ADDRESS), 16) && ALIGNED(field(VMCS_EXIT_MSR_LOAD_ADDRESS), 16));
}

static enum vcpu_action access_msr(uint32_t reason, uint32_t msr, uint64_t value)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	guest_vcpu->gpr[TL_RCX] = msr;
	guest_vcpu->gpr[TL_RAX] = (uint32_t)value;
	guest_vcpu->gpr[TL_RDX] = value >> 32;
	return vcpu_exit(guest_vcpu);
}

static bool guest_writes(uint32_t msr, uint64_t value)
{
	assert_int_equal(access_msr(EXIT_REASON_WRMSR, msr, value), VCPU_RESUME);
	return !field(VMCS_ENTRY_INTERRUPTION_INFORMATION);
}

static bool guest_reads(uint32_t msr, uint64_t *value)
{
	assert_int_equal(access_msr(EXIT_REASON_RDMSR, msr, 0), VCPU_RESUME);
	*value = guest_vcpu->gpr[TL_RDX] << 32 | (uint32_t)guest_vcpu->gpr[TL_RAX];
	return !field(VMCS_ENTRY_INTERRUPTION_INFORMATION);
}

static uint32_t guest_features(void)
{
	set_field(VMCS_EXIT_REASON, EXIT_REASON_CPUID);
	guest_vcpu->gpr[TL_RAX] = 7;
	guest_vcpu->gpr[TL_RCX] = 0;
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	return (uint32_t)guest_vcpu->gpr[TL_RDX];
}

static void nothing_costs_nothing(void **state)
{
	uint64_t value;

	(void)state;
	be_cpu(0, 0);
	expect_lists(0, 0);
	mitigations_switch_vcpu();
	assert_int_equal(host.spec_ctrl + host.barriers, 0);
	assert_int_equal(guest_features() & (IBRS | STIBP | L1D | SSBD), 0);
	assert_false(guest_reads(MSR_IA32_SPEC_CTRL, &value));
	assert_false(guest_writes(MSR_IA32_SPEC_CTRL, 0));
	assert_false(guest_writes(MSR_IA32_PRED_CMD, 1));
}

static void the_flush_is_the_last_of_the_entry(void **state)
{
	(void)state;
	be_cpu(0, ONLY(L1D_FLUSH));
	expect_lists(1, 0);
	assert_int_equal(entry_list()[0].msr, MSR_IA32_FLUSH_CMD);
	assert_int_equal(entry_list()[0].value, FLUSH_CMD_L1D);
	be_cpu(0, ONLY(L1D_FLUSH) | ONLY(SPEC_CTRL));
	expect_lists(2, 1);
	assert_int_equal(entry_list()[1].msr, MSR_IA32_FLUSH_CMD);
}

/* The older IBRS is set anew at each exit; the enhanced one only where the guest's value is another one. */
static void the_guest_has_a_spec_ctrl_of_its_own(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned enhanced = 0; enhanced < 2; enhanced++) {
		be_cpu(enhanced ? ARCH(IBRS_ALL) : 0, ONLY(SPEC_CTRL));
		guest_vcpu->spec_ctrl = 0;
		mitigations_set_msrs(guest_vcpu);
		assert_int_equal(host.spec_ctrl, SPEC_CTRL_IBRS);
		expect_lists(1, 1);
		assert_int_equal(entry_list()[0].value, 0);
		assert_true(guest_writes(MSR_IA32_SPEC_CTRL, SPEC_CTRL_STIBP | SPEC_CTRL_SSBD));
		assert_int_equal(entry_list()[0].msr, MSR_IA32_SPEC_CTRL);
		assert_int_equal(entry_list()[0].value, SPEC_CTRL_STIBP | SPEC_CTRL_SSBD);
		assert_int_equal(exit_list()[0].msr, MSR_IA32_SPEC_CTRL);
		assert_int_equal(exit_list()[0].value, SPEC_CTRL_IBRS);
		assert_true(guest_reads(MSR_IA32_SPEC_CTRL, &value));
		assert_int_equal(value, SPEC_CTRL_STIBP | SPEC_CTRL_SSBD);
		assert_true(guest_writes(MSR_IA32_SPEC_CTRL, SPEC_CTRL_IBRS));
		expect_lists(!enhanced, !enhanced);
		/* Bits that the CPU has not would fail the entry. */
		assert_false(guest_writes(MSR_IA32_SPEC_CTRL, 1 << 10));
		vmx_capability.ssbd = false;
		assert_false(guest_writes(MSR_IA32_SPEC_CTRL, SPEC_CTRL_SSBD));
		assert_int_equal(host.spec_ctrl, SPEC_CTRL_IBRS);
		mitigations_stop();
		assert_int_equal(host.spec_ctrl, 0);
	}
}

/* By the MSR where that has the bit, without a switch of its own; else by branches. */
static void the_branch_history_is_the_hosts(void **state)
{
	uint64_t value;

	(void)state;
	be_cpu(ARCH(IBRS_ALL), ONLY(BHI) | ONLY(SPEC_CTRL));
	assert_int_equal(vmx_guard, GUARD_BHI);
	assert_int_equal(host.spec_ctrl, SPEC_CTRL_IBRS);
	vmx_capability.bhi_ctrl = true;
	assert_int_equal(mitigations_choose(&vmx_capability), TL_OK);
	assert_int_equal(vmx_guard, 0);
	host.spec_ctrl = 0;
	mitigations_start();
	assert_int_equal(host.spec_ctrl, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S);
	assert_true(guest_writes(MSR_IA32_SPEC_CTRL, SPEC_CTRL_IBRS));
	expect_lists(0, 0);
	assert_true(guest_writes(MSR_IA32_SPEC_CTRL, SPEC_CTRL_SSBD));
	expect_lists(1, 1);
	assert_int_equal(entry_list()[0].value, SPEC_CTRL_SSBD | SPEC_CTRL_BHI_DIS_S);
	assert_int_equal(exit_list()[0].value, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S);
	/* The guest has no such bit. */
	assert_true(guest_reads(MSR_IA32_SPEC_CTRL, &value));
	assert_int_equal(value, SPEC_CTRL_SSBD);
	assert_false(guest_writes(MSR_IA32_SPEC_CTRL, SPEC_CTRL_BHI_DIS_S));
	mitigations_stop();
	assert_int_equal(host.spec_ctrl, 0);
	/* Without the MSR branches are all that is left. */
	assert_int_equal(ask(ONLY(BHI)), TL_OK);
	assert_int_equal(mitigations_choose(&vmx_capability), TL_OK);
	assert_int_equal(vmx_guard, GUARD_BHI);
}

static void barriers_are_the_guests_and_between_guests(void **state)
{
	uint64_t value;

	(void)state;
	be_cpu(0, ONLY(SPEC_CTRL));
	assert_true(guest_writes(MSR_IA32_PRED_CMD, PRED_CMD_IBPB));
	assert_true(guest_writes(MSR_IA32_PRED_CMD, 0));
	assert_int_equal(host.barriers, 1);
	assert_false(guest_writes(MSR_IA32_PRED_CMD, 2));
	assert_false(guest_reads(MSR_IA32_PRED_CMD, &value));
	tl_vcpu_unload(guest_vcpu);
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
	assert_int_equal(host.barriers, 2);
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
	assert_int_equal(host.barriers, 2);
}

/* CPUID and the MSRs say the same. */
static void the_guest_sees_what_it_has(void **state)
{
	uint64_t value;

	(void)state;
	be_cpu(ARCH(IBRS_ALL) | ARCH(MDS_NO) | BIT(7) /* TSX_CTRL */ | BIT(18) /* FB_CLEAR_CTRL */, ONLY(SPEC_CTRL));
	assert_int_equal(guest_features() & (uint32_t)(all_features() | BIT(30)),
			 (uint32_t)(MD_CLEAR | IBRS | STIBP | HAS_ARCH | SSBD));
	assert_true(guest_reads(MSR_IA32_ARCH_CAPABILITIES, &value));
	assert_int_equal(value, ARCH(IBRS_ALL) | ARCH(MDS_NO) | ARCH(SKIP_L1DFL) | ARCH(PSCHANGE_MC_NO));
	assert_false(guest_writes(MSR_IA32_ARCH_CAPABILITIES, 0));
	be_cpu(ARCH(IBRS_ALL), 0);
	assert_true(guest_reads(MSR_IA32_ARCH_CAPABILITIES, &value));
	assert_int_equal(value & ARCH(IBRS_ALL), 0);
	vmx_capability.has_arch_capabilities = false;
	assert_false(guest_reads(MSR_IA32_ARCH_CAPABILITIES, &value));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_capability_word),
		TEST(what_is_asked_for_is_done),
		TEST(nothing_costs_nothing),
		TEST(the_flush_is_the_last_of_the_entry),
		TEST(the_guest_has_a_spec_ctrl_of_its_own),
		TEST(the_branch_history_is_the_hosts),
		TEST(barriers_are_the_guests_and_between_guests),
		TEST(the_guest_sees_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
