/* SPDX-License-Identifier: MIT */
/*
 * Where exits arrive. exit_ept_misconfig() is the path that everything else makes way for: the address, the map
 * pointer, the entry, one compare. It takes no lock, no fence, no loop, and calls no hook.
 */
#include "vmx/exit.h"
#include "mmu/mmu.h"
#include "vmx/apic.h"
#include "vmx/budget.h"
#include "vmx/cpu.h"
#include "vmx/cpuid_cache.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/vmcs_dump.h"

/* `traced` is a constant where it is inlined. */
ALWAYS_INLINE enum vcpu_action exit_ept_misconfig(struct tl_vcpu *vcpu, bool traced)
{
	gpa_t gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	/* acquire: what the map points to was written before it was published (rule 2). The only load of this exit. */
	const struct map *map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);
	const struct ept_slot_cache *cached = &vcpu->slots[gpa >> PAGE_SHIFT & (SLOT_CACHE_SIZE - 1)];
	const struct map_range *range;
	ept_entry_t entry;

	if (unlikely(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & EVENT_INFO_VALID))
		return exit_ept_misconfig_slow(vcpu, map, gpa);
	if (unlikely(cached->gfn != gpa >> PAGE_SHIFT))
		return exit_ept_misconfig_uncached(vcpu, map, gpa);
	/* relaxed: the entry is a value, compared as a whole; nothing is reached through it. */
	entry = atomic_load_explicit(cached->slot, memory_order_relaxed);
	if (unlikely(check_mmio_spte(map, entry, &range) != MMIO_EMULATE))
		return is_mmio_spte(entry) ? exit_ept_misconfig_stale(vcpu, map, gpa, cached, entry)
					   : exit_ept_misconfig_slow(vcpu, map, gpa);
	counter_add(&vcpu->reader.stats.fresh, 1);
	if (!traced && range->kind >= MAP_DOORBELL_COUNT) /* and no memory, which has no MMIO entries */
		return exit_doorbell(vcpu, map, range, gpa);
	vcpu->exit_gpa = gpa;
	vcpu->exit_map = map;
	vcpu->exit_range = range;
	return traced ? vcpu_trace_fresh(vcpu) : VCPU_MMIO;
}

/* VMCALL with RAX = 0 asks whether Trapline is there: 0 says so. Everything else is the embedder's. */
static enum vcpu_action exit_vmcall_fast(struct tl_vcpu *vcpu)
{
	if (unlikely(vcpu->gpr[TL_RAX] != 0))
		return VCPU_FULL;
	return exit_skip_instruction(vcpu);
}

/* What was answered before. No event is ever being delivered by an instruction that exits. */
static enum vcpu_action exit_cpuid_fast(struct tl_vcpu *vcpu)
{
	uint32_t leaf = (uint32_t)vcpu->gpr[TL_RAX];
	const struct cpuid_answer *known = cpuid_cache_find(vcpu, leaf);

	if (unlikely(known->leaf != leaf))
		return VCPU_FULL;
	counter_add(&vcpu->exits_by_reason[EXIT_REASON_CPUID], 1);
	cpuid_answer(vcpu, known->eax, known->ebx, known->ecx, known->edx);
	return exit_skip_instruction(vcpu) | VCPU_RELOAD_RBX;
}

/* Every exit, with the callee-saved registers still in the CPU. */
HOT enum vcpu_action vcpu_exit_fast(struct tl_vcpu *vcpu)
{
	uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);

	counter_add(&vcpu->reader.stats.exits, 1);
	if (likely(reason == EXIT_REASON_EPT_MISCONFIGURATION))
		return exit_ept_misconfig(vcpu, false);
	if (reason == EXIT_REASON_VMCALL)
		return exit_vmcall_fast(vcpu);
	if (reason == EXIT_REASON_CPUID)
		return exit_cpuid_fast(vcpu);
	if (reason == EXIT_REASON_APIC_ACCESS)
		return exit_apic_access(vcpu);
	if (reason == EXIT_REASON_EPT_VIOLATION)
		return exit_ept_violation_fast(vcpu);
	return VCPU_FULL;
}

/* Nothing is lent any more when it is taken for the second time. */
static COLD enum vcpu_action exit_of_step(struct tl_vcpu *vcpu)
{
	step_take_back(vcpu);
	return vcpu_exit_traced(vcpu);
}

/* The same while exits are traced: where HOST_RIP leads then (vmx/exit_traced.c). */
enum vcpu_action vcpu_exit_traced(struct tl_vcpu *vcpu)
{
	uint32_t reason;

	if (unlikely(vcpu->step.lent))
		return exit_of_step(vcpu);
	reason = vcpu_trace_exit(vcpu);
	if (reason != EXIT_REASON_EPT_MISCONFIGURATION)
		return vcpu_exit_fast(vcpu);
	counter_add(&vcpu->reader.stats.exits, 1);
	return exit_ept_misconfig(vcpu, true);
}

static enum vcpu_action exit_vmcall(struct tl_vcpu *vcpu)
{
	struct tl_exit_vmcall *call = &vcpu->exit->vmcall;

	/* A hypercall is the guest kernel's. Its processes get what they would get without a hypervisor. */
	if (ACCESS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)) != 0)
		return exit_raise(vcpu, VECTOR_UD);
	*call = (struct tl_exit_vmcall){
		.number = vcpu->gpr[TL_RAX],
		.argument = {vcpu->gpr[TL_RBX], vcpu->gpr[TL_RCX], vcpu->gpr[TL_RDX], vcpu->gpr[TL_RSI]}};
	vcpu->pending = PENDING_VMCALL;
	return exit_leave(vcpu, TL_EXIT_VMCALL);
}

static enum vcpu_action exit_hlt(struct tl_vcpu *vcpu)
{
	enum vcpu_action action = exit_skip_instruction(vcpu);

	if (action != VCPU_RESUME)
		return action;
	/* The shadow of the STI before it is gone, so that what waited can be delivered at once. */
	return event_wakes(vcpu) ? vcpu_attention(vcpu) : exit_leave(vcpu, TL_EXIT_HLT);
}

static enum vcpu_action exit_external_interrupt(struct tl_vcpu *vcpu)
{
	/*
	 * The host's own handler takes it here, while we hold no map; a kick is one. Where the exit has acknowledged
	 * it, that is for us to call, and what else is pending makes the next exit. Rule 16: what follows collects.
	 */
	if (unlikely(vcpu->apic_posts))
		vmx_take_interrupt(vmcs_read(VMCS_EXIT_INTERRUPTION_INFORMATION) & 0xff);
	else
		interrupt_window();
	tl_cpu_poll();
	if (budget_is_spent(vcpu))
		return exit_leave(vcpu, TL_EXIT_BUDGET);
	return vcpu_attention(vcpu);
}

static enum vcpu_action exit_window(struct tl_vcpu *vcpu, uint32_t control)
{
	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) & ~(uint64_t)control);
	return vcpu_attention(vcpu);
}

static enum vcpu_action exit_entry_failure(struct tl_vcpu *vcpu, uint32_t reason)
{
	if ((reason & EXIT_REASON_BASIC_MASK) == EXIT_REASON_ENTRY_MACHINE_CHECK)
		raise_machine_check();
	vmcs_dump();
	return exit_stop(vcpu, TL_STOP_ENTRY, reason & EXIT_REASON_BASIC_MASK);
}

static enum vcpu_action exit_unserved(struct tl_vcpu *vcpu, uint32_t reason)
{
	tl_log(TL_LOG_ERROR, "the guest is stopped by an exit that is not served: %s",
	       tl_exit_reason_name(reason & EXIT_REASON_BASIC_MASK));
	vmcs_dump();
	return exit_stop(vcpu, TL_STOP_EXIT, reason & EXIT_REASON_BASIC_MASK);
}

/* All others are EPT misconfigurations, which count nothing of their own. */
static void count_reason(struct tl_vcpu *vcpu, uint32_t reason)
{
	if (likely(reason < TL_NR_EXIT_REASONS))
		counter_add(&vcpu->exits_by_reason[reason], 1);
}

/* The exits that are not fast, with all registers saved. */
enum vcpu_action vcpu_exit(struct tl_vcpu *vcpu)
{
	uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);

	if (unlikely(reason & EXIT_REASON_ENTRY_FAILURE))
		return exit_entry_failure(vcpu, reason);
	count_reason(vcpu, reason);
	exit_deliver_again(vcpu);
	vcpu->exit_gpa = 0;
	switch (reason) {
	case EXIT_REASON_EPT_VIOLATION:
		return exit_ept_violation(vcpu);
	case EXIT_REASON_PML_FULL:
		return exit_pml_full(vcpu);
	case EXIT_REASON_VMCALL:
		return exit_vmcall(vcpu);
	case EXIT_REASON_CPUID:
		return exit_cpuid(vcpu);
	case EXIT_REASON_HLT:
		return exit_hlt(vcpu);
	case EXIT_REASON_IO_INSTRUCTION:
		return exit_io(vcpu);
	case EXIT_REASON_RDMSR:
		return exit_rdmsr(vcpu);
	case EXIT_REASON_WRMSR:
		return exit_wrmsr(vcpu);
	case EXIT_REASON_CR_ACCESS:
		return exit_cr_access(vcpu);
	case EXIT_REASON_MOV_DR:
		return exit_mov_dr(vcpu);
	case EXIT_REASON_XSETBV:
		return exit_xsetbv(vcpu);
	case EXIT_REASON_EXCEPTION_OR_NMI:
		return exit_exception(vcpu);
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		return exit_external_interrupt(vcpu);
	case EXIT_REASON_INTERRUPT_WINDOW:
		return exit_window(vcpu, PROC_INTERRUPT_WINDOW_EXITING);
	case EXIT_REASON_NMI_WINDOW:
		return exit_window(vcpu, PROC_NMI_WINDOW_EXITING);
	case EXIT_REASON_TASK_SWITCH:
		return exit_task_switch(vcpu);
	case EXIT_REASON_PREEMPTION_TIMER:
		return exit_preemption_timer(vcpu);
	case EXIT_REASON_TPR_BELOW_THRESHOLD:
		return vcpu_attention(vcpu);
	case EXIT_REASON_APIC_ACCESS:
	case EXIT_REASON_APIC_WRITE:
	case EXIT_REASON_VIRTUALIZED_EOI:
		return vcpu->apic ? exit_apic(vcpu, reason) : exit_unserved(vcpu, reason);
	case EXIT_REASON_MONITOR_TRAP_FLAG:
		return step_leave(vcpu);
	case EXIT_REASON_TRIPLE_FAULT:
		return exit_leave(vcpu, TL_EXIT_SHUTDOWN);
	/* The host's caches are not the guest's to throw away: WBINVD and INVD do nothing. */
	case EXIT_REASON_INVD:
	case EXIT_REASON_WBINVD:
		return exit_skip_instruction(vcpu);
	/* CPUID shows the guest none of these. The last two exit by themselves on a CPU with TDX. */
	case EXIT_REASON_VMCLEAR:
	case EXIT_REASON_VMLAUNCH:
	case EXIT_REASON_VMPTRLD:
	case EXIT_REASON_VMPTRST:
	case EXIT_REASON_VMREAD:
	case EXIT_REASON_VMRESUME:
	case EXIT_REASON_VMWRITE:
	case EXIT_REASON_VMXOFF:
	case EXIT_REASON_VMXON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_GETSEC:
	case EXIT_REASON_MONITOR:
	case EXIT_REASON_MWAIT:
	case EXIT_REASON_ENCLS:
	case EXIT_REASON_SEAMCALL:
	case EXIT_REASON_TDCALL:
		return exit_raise(vcpu, VECTOR_UD);
	case EXIT_REASON_RDPMC:
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	default:
		return exit_unserved(vcpu, reason);
	}
}
