/* SPDX-License-Identifier: MIT */
#include "vmx/cpu.h"
#include "mmu/vm.h"
#include "vmx/asm.h"
#include "vmx/cr.h"
#include "vmx/extended_state.h"
#include "vmx/feature.h"
#include "vmx/flat_paging.h"
#include "vmx/mitigation.h"
#include "vmx/msr.h"
#include "vmx/probe.h"
#include "vmx/vcpu.h"
#include <stdatomic.h>

struct vmx_cpu vmx_cpu[TL_MAX_CPUS];
struct vmx_controls vmx_controls;

/* Who fills vmx_capability and what follows from it: the first CPU that comes up. The others compare. */
enum { BASELINE_EMPTY, BASELINE_FILLING, BASELINE_READY };
static atomic_int baseline;

enum tl_status tl_init(const struct tl_hooks *table)
{
	return hooks_set(table);
}

/* ---- What must be so before VMXON -------------------------------------------------------------------------------- */

static bool cpu_has_vmx(void)
{
	return cpuid(1, 0).ecx & BIT(5);
}

/*
 * SDM vol. 3, 24.7. Only the permission outside SMX counts: no register says whether the CPU is in SMX operation, and
 * VMXON without the permission that applies raises #GP in the host.
 */
static enum tl_status allow_vmx(void)
{
	uint64_t control = rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCKED)) {
		control |= FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
		/* Locked is for good: whoever enters SMX later may want VMX as well. */
		if (cpuid(1, 0).ecx & BIT(6))
			control |= FEATURE_CONTROL_VMX_IN_SMX;
		wrmsr(MSR_IA32_FEATURE_CONTROL, control);
		/* A hypervisor below may keep what it had. */
		control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	}
	if (control & FEATURE_CONTROL_LOCKED && control & FEATURE_CONTROL_VMX_OUTSIDE_SMX)
		return TL_OK;
	return control & FEATURE_CONTROL_VMX_IN_SMX ? TL_VMX_ONLY_IN_SMX : TL_VMX_LOCKED;
}

static enum tl_status baseline_fill(void)
{
	enum tl_status status;

	capability_read(&vmx_capability);
	status = features_hide(&vmx_capability);
	if (!status)
		status = capability_check(&vmx_capability);
	if (!status)
		status = controls_compute(&vmx_capability, &vmx_controls);
	if (!status)
		status = vmcs_bitmaps_create();
	if (!status)
		status = mitigations_choose(&vmx_capability);
	if (!status && !vmx_controls.unrestricted_guest)
		status = flat_paging_create();
	if (status)
		return status;

	mmu_cpu.maxphyaddr = vmx_capability.physical_bits;
	mmu_cpu.ept_level = !vmx_capability.ept_2m ? 1 : vmx_capability.ept_1g ? 3 : 2;
	mmu_cpu.execute_only = vmx_capability.ept_execute_only;
	mmu_cpu.apic_accesses = vmx_controls.apic_accesses;
	mmu_cpu.large_executable = vmx_capability.no_page_size_change_mce;
	mmu_cpu.dirty_by = vmx_controls.pml                    ? DIRTY_BY_PML
			   : vmx_capability.ept_accessed_dirty ? DIRTY_BY_FLAGS
							       : DIRTY_BY_PROTECTION;
	mmu_cpu.flush = vcpu_flush_ept;
	return TL_OK;
}

static enum tl_status baseline_compare(void)
{
	struct vmx_capability own;
	const char *difference;

	capability_read(&own);
	/* It succeeded on the first CPU; where this one differs, it is said below. */
	(void)features_hide(&own);
	difference = capability_difference(&own, &vmx_capability);
	if (!difference)
		return TL_OK;

	tl_log(TL_LOG_ERROR,
	       "CPU %u differs from the first one in %s: run Trapline only on CPUs that are alike, or give all of them "
	       "the same microcode.",
	       hooks->cpu_index(), difference);
	return TL_UNSUPPORTED;
}

static enum tl_status baseline_agree(void)
{
	for (;;) {
		int state = BASELINE_EMPTY;
		enum tl_status status;

		/* Acquire: what the first CPU filled in is read after it said so. */
		if (!atomic_compare_exchange_strong_explicit(&baseline, &state, BASELINE_FILLING, memory_order_acquire,
							     memory_order_acquire)) {
			if (state == BASELINE_READY)
				return baseline_compare();
			cpu_pause();
			continue;
		}

		status = baseline_fill();
		/* Release: pairs with the acquire above. */
		atomic_store_explicit(&baseline, status ? BASELINE_EMPTY : BASELINE_READY, memory_order_release);
		return status;
	}
}

/* A bit of CR0 or CR4 that must be 0 in VMX operation is the host's to turn off, since it uses what the bit stands for.
 */
static enum tl_status check_fixed_bits(const char *name, uint64_t value, uint64_t fixed1)
{
	uint64_t excess = value & ~fixed1;

	if (!excess)
		return TL_OK;
	tl_log(TL_LOG_ERROR, "VMX operation needs bit %u of %s to be 0: clear it before tl_cpu_up().",
	       (unsigned)__builtin_ctzll(excess), name);
	return TL_VMXON_FAILED;
}

static enum tl_status set_fixed_bits(struct vmx_cpu *cpu)
{
	const struct vmx_capability_msrs *msr = &vmx_capability.msr;
	uint64_t cr0 = read_cr0();
	uint64_t cr4 = read_cr4();
	enum tl_status status = check_fixed_bits("CR0", cr0, msr->cr0_fixed1);

	if (!status)
		status = check_fixed_bits("CR4", cr4, msr->cr4_fixed1);
	if (status)
		return status;

	cpu->had_vmxe = cr4 & CR4_VMXE;
	write_cr0(cr0 | msr->cr0_fixed0);
	write_cr4(cr4 | msr->cr4_fixed0 | CR4_VMXE);
	extended_state_enable();
	return TL_OK;
}

static void restore_cr4(const struct vmx_cpu *cpu)
{
	if (!cpu->had_vmxe)
		write_cr4(read_cr4() & ~CR4_VMXE);
}

/* ---- On and off -------------------------------------------------------------------------------------------------- */

static enum tl_status enter_vmx_operation(struct vmx_cpu *cpu)
{
	enum vmx_result result;

	*(uint32_t *)cpu->vmxon_region = vmx_capability.revision;
	result = vmx_on(host_to_phys(cpu->vmxon_region));
	if (result) {
		tl_log(TL_LOG_ERROR, "VMXON ended with %s on CPU %u.",
		       result == VMX_FAIL_INVALID ? "VMfailInvalid" : "VMfailValid", hooks->cpu_index());
		return TL_VMXON_FAILED;
	}

	/* VMXON drops nothing that an earlier user of VMX left in the caches (SDM vol. 3, 29.4.3.4). */
	if (vmx_capability.invept_all && invept(INVEPT_ALL_CONTEXT, 0))
		tl_panic("INVEPT of all contexts failed on CPU %u.", hooks->cpu_index());
	if (vmx_capability.invvpid_all && invvpid(INVVPID_ALL_CONTEXT, 0, 0))
		tl_panic("INVVPID of all contexts failed on CPU %u.", hooks->cpu_index());
	return TL_OK;
}

/* What the first CPU finds holds for all, since they are alike. */
static enum tl_status probe_once(void)
{
	static atomic_flag probed = ATOMIC_FLAG_INIT;

	enum tl_status status;

	/* relaxed: a CPU that comes up meanwhile decodes until the probe is done. */
	if (atomic_flag_test_and_set_explicit(&probed, memory_order_relaxed))
		return TL_OK;
	status = probe_compaction();
	if (!status)
		status = probe_trap_flag();
	if (!status)
		status = probe_instruction_length();
	if (status)
		atomic_flag_clear_explicit(&probed, memory_order_relaxed);
	return status;
}

enum tl_status tl_cpu_up(void)
{
	struct vmx_cpu *cpu;
	enum tl_status status;

	if (!hooks || hooks->cpu_index() >= TL_MAX_CPUS)
		return TL_INVALID_ARGUMENT;
	cpu = cpu_this();
	if (cpu->up)
		return TL_OK;

	if (!cpu_has_vmx())
		return TL_NO_VMX;
	status = allow_vmx();
	if (!status)
		status = baseline_agree();
	if (status)
		return status;

	cpu->vmxon_region = page_alloc(1);
	if (!cpu->vmxon_region)
		return TL_NO_MEMORY;
	status = set_fixed_bits(cpu);
	if (!status) {
		status = enter_vmx_operation(cpu);
		if (status)
			restore_cr4(cpu);
	}
	if (status) {
		page_free(cpu->vmxon_region, 1);
		cpu->vmxon_region = NULL;
		return status;
	}
	cpu->up = true;
	mitigations_start();
	status = probe_once();
	if (status)
		tl_cpu_down();
	return status;
}

void tl_cpu_down(void)
{
	struct vmx_cpu *cpu = cpu_this();

	if (!cpu->up)
		return;
	while (cpu->residents)
		vcpu_unload(cpu->residents);
	mitigations_stop();
	if (vmx_off())
		tl_panic("VMXOFF failed on CPU %u.", hooks->cpu_index());
	restore_cr4(cpu);
	page_free(cpu->vmxon_region, 1);
	cpu->vmxon_region = NULL;
	cpu->up = false;
}

/* ---- What the CPU is --------------------------------------------------------------------------------------------- */

static void read_brand(char brand[49])
{
	uint32_t *word = (uint32_t *)(void *)brand;

	for (uint32_t leaf = 0; leaf < 3; leaf++) {
		struct cpuid part = cpuid(0x80000002 + leaf, 0);

		*word++ = part.eax;
		*word++ = part.ebx;
		*word++ = part.ecx;
		*word++ = part.edx;
	}
	brand[48] = '\0';
}

static void describe_cpu(void)
{
	_Alignas(uint32_t) char brand[49] = "unnamed CPU";
	uint32_t signature = cpuid(1, 0).eax;
	uint32_t family = signature >> 8 & 15;
	uint32_t model = signature >> 4 & 15;
	const char *name = brand;

	if (cpuid(0x80000000, 0).eax >= 0x80000004)
		read_brand(brand);
	while (*name == ' ')
		name++;
	/* SDM vol. 2, CPUID, figure 3-6: the extended fields count for these families only. */
	if (family == 6 || family == 15)
		model += (signature >> 16 & 15) << 4;
	if (family == 15)
		family += signature >> 20 & 255;
	tl_log(TL_LOG_INFO, "CPU: %s, family %u model %u stepping %u, MAXPHYADDR %u", name, family, model,
	       signature & 15, (unsigned)vmx_capability.physical_bits);
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static const char *dirty_by_name(void)
{
	switch (mmu_cpu.dirty_by) {
	case DIRTY_BY_PML:
		return "page-modification logging";
	case DIRTY_BY_FLAGS:
		return "dirty flags";
	default:
		return "write protection";
	}
}

void tl_cpu_describe(void)
{
	const struct vmx_capability *c = &vmx_capability;
	const struct vmx_controls *k = &vmx_controls;

	describe_cpu();
	probe_virtual_interrupts();
	tl_log(TL_LOG_INFO,
	       "EPT: pages of 4 KiB%s%s, accessed/dirty %s, execute-only %s, large pages executable %s, INVEPT%s%s",
	       c->ept_2m ? ", 2 MiB" : "", c->ept_1g ? ", 1 GiB" : "", yes_no(c->ept_accessed_dirty),
	       yes_no(c->ept_execute_only), yes_no(c->no_page_size_change_mce),
	       c->invept_single ? " single-context" : "", c->invept_all ? " all-context" : "");
	tl_log(TL_LOG_INFO, "EPT: writes are logged by %s", dirty_by_name());
	tl_log(TL_LOG_INFO,
	       "VMX: revision %u, TRUE controls %s, VPID %s, unrestricted guest %s, virtual NMIs %s, PML %s",
	       c->revision, yes_no(c->msr.basic >> 55 & 1), yes_no(k->vpid), yes_no(k->unrestricted_guest),
	       yes_no(k->virtual_nmis), yes_no(c->control[VMX_PROC2].allowed1 & PROC2_ENABLE_PML));
	tl_log(TL_LOG_INFO, "VMX: I/O bitmaps %s, MSR bitmaps %s, PAT switch %s, RDTSCP %s, INVPCID %s, CR3 exits %s",
	       yes_no(k->io_bitmaps), yes_no(k->msr_bitmaps), yes_no(k->pat), yes_no(k->rdtscp), yes_no(k->invpcid),
	       yes_no(k->cr3_exiting));
	tl_log(TL_LOG_INFO,
	       "VMX: TPR shadow %s, APIC accesses %s, x2APIC mode %s, virtual interrupts %s, APIC registers %s, posted "
	       "interrupts %s",
	       yes_no(k->tpr_shadow), yes_no(k->apic_accesses), yes_no(k->x2apic_mode), yes_no(k->virtual_interrupts),
	       yes_no(k->apic_registers), yes_no(k->posted_interrupts));
	mitigations_describe();
	tl_log(TL_LOG_INFO, "VMX: instruction length of EPT misconfigurations %s",
	       probe_length_is_right ? "right: doorbells are not decoded" : "not right: doorbells are decoded");
	if (k->preemption_timer)
		tl_log(TL_LOG_INFO, "VMX: preemption timer yes, one count for each %u TSC ticks",
		       1u << c->preemption_timer_shift);
	else
		tl_log(TL_LOG_INFO,
		       "VMX: preemption timer no, so that a timer of the host's ends a guest's time budget");
}
