/* SPDX-License-Identifier: MIT */
/*
 * Which CPU holds a vCPU's state, and how it gets to another one.
 *
 * A vCPU that has left tl_vcpu_run() stays where it ran: its VMCS active, perhaps in that CPU only, its FPU and debug
 * registers loaded. So the next tl_vcpu_run() there has nothing to do. What is in a CPU only that CPU can write back
 * (SDM vol. 3, 25.11.1), so another one that wants the vCPU asks for it by a kick and waits. The old CPU lets go where
 * it is between guests: at the exit that the kick makes, or in tl_cpu_poll(). A CPU that waits lets go as well of what
 * it is asked for, so that two that want each other's vCPUs do not wait for ever.
 */
#include "mmu/hooks.h"
#include "vmx/budget.h"
#include "vmx/cpu.h"
#include "vmx/cpuid_cache.h"
#include "vmx/exit.h"
#include "vmx/extended_state.h"
#include "vmx/mitigation.h"

/* How often a wait looks before it kicks again, and how often it kicks: for the better part of a second in all. */
enum { PATIENCE = 1000, MOST_KICKS = 10000 };

static void settle(struct vmx_cpu *cpu, struct tl_vcpu *vcpu)
{
	vcpu->next_resident = cpu->residents;
	vcpu->link_to_it = &cpu->residents;
	if (cpu->residents)
		cpu->residents->link_to_it = &vcpu->next_resident;
	cpu->residents = vcpu;
}

static void leave(struct tl_vcpu *vcpu)
{
	*vcpu->link_to_it = vcpu->next_resident;
	if (vcpu->next_resident)
		vcpu->next_resident->link_to_it = vcpu->link_to_it;
}

void vcpu_clear_vmcs(const struct tl_vcpu *vcpu)
{
	if (vmcs_clear(vcpu->vmcs) != VMX_SUCCEED)
		tl_panic("VMCLEAR failed for the VMCS at %lx", (unsigned long)vcpu->vmcs);
}

void vcpu_unload(struct tl_vcpu *vcpu)
{
	struct vmx_cpu *cpu = cpu_this();

	extended_state_evict(vcpu);
	vcpu_clear_vmcs(vcpu);
	vcpu->launched = vcpu->guarded_launched = 0;
	vcpu->host_rsp = 0;
	if (cpu->loaded == vcpu)
		cpu->loaded = NULL;
	leave(vcpu);
	atomic_store_explicit(&vcpu->wanted, false, memory_order_relaxed);
	/* release: all of its state is in memory before another CPU sees that it may have it. */
	atomic_store_explicit(&vcpu->home, VCPU_NOWHERE, memory_order_release);
}

void tl_vcpu_unload(struct tl_vcpu *vcpu)
{
	/* relaxed: equal only if this very CPU stored it. */
	if (atomic_load_explicit(&vcpu->home, memory_order_relaxed) == hooks->cpu_index() + 1)
		vcpu_unload(vcpu);
}

void tl_cpu_poll(void)
{
	struct vmx_cpu *cpu = cpu_this();
	struct tl_vcpu *vcpu, *next;

	if (!atomic_load_explicit(&cpu->asked, memory_order_relaxed))
		return;
	/* acquire: pairs with ask_for(). Cleared before the look: who asks during it is seen the next time. */
	atomic_exchange_explicit(&cpu->asked, 0, memory_order_acquire);
	for (vcpu = cpu->residents; vcpu; vcpu = next) {
		next = vcpu->next_resident;
		if (atomic_load_explicit(&vcpu->wanted, memory_order_relaxed))
			vcpu_unload(vcpu);
	}
}

static void ask_for(struct tl_vcpu *vcpu, unsigned from)
{
	atomic_store_explicit(&vcpu->wanted, true, memory_order_relaxed);
	/* release: who sees it sees which vCPU is wanted. The kick comes after it, by the hook's promise. */
	atomic_store_explicit(&vmx_cpu[from].asked, 1, memory_order_release);
	hooks->kick(from);
}

/* acquire: pairs with vcpu_unload(). */
static unsigned home_of(const struct tl_vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->home, memory_order_acquire);
}

/* False: the other CPU does not look. Then it is not to take the vCPU from itself later, when it may run it again. */
static bool fetch(struct tl_vcpu *vcpu, unsigned from)
{
	ask_for(vcpu, from);
	for (unsigned looks = 1; home_of(vcpu) != VCPU_NOWHERE; looks++) {
		tl_cpu_poll();
		if (looks % PATIENCE == 0)
			hooks->kick(from);
		if (unlikely(looks == PATIENCE * MOST_KICKS)) {
			atomic_store_explicit(&vcpu->wanted, false, memory_order_relaxed);
			return false;
		}
		cpu_pause();
	}
	return true;
}

enum tl_status vcpu_load(struct tl_vcpu *vcpu)
{
	unsigned index = hooks->cpu_index(), home = home_of(vcpu);
	struct vmx_cpu *cpu = &vmx_cpu[index];

	if (!cpu->up)
		return TL_CPU_DOWN;
	/* Between two guests it is as good a time as in tl_cpu_poll(). */
	tl_cpu_poll();
	if (home != VCPU_NOWHERE && home != index + 1 && !fetch(vcpu, home - 1))
		return TL_CPU_SILENT;
	if (cpu->loaded != vcpu)
		mitigations_switch_vcpu();
	if (cpu->loaded != vcpu && vmcs_load(vcpu->vmcs) != VMX_SUCCEED)
		tl_panic("VMPTRLD failed for the VMCS at %lx", (unsigned long)vcpu->vmcs);
	cpu->loaded = vcpu;
	if (home != index + 1) {
		settle(cpu, vcpu);
		/* relaxed: no other CPU may look before this vCPU is handed to it, which the embedder orders. */
		atomic_store_explicit(&vcpu->home, index + 1, memory_order_relaxed);
		vmcs_set_host_state();
		/* Another vCPU of this number may have been here, or this one, long ago (SDM vol. 3, 29.4.3.3). */
		vcpu_flush_guest_tlb(vcpu);
		/* Some leaves name the processor. */
		cpuid_cache_forget(vcpu);
	}
	extended_state_load(vcpu);
	/* Another vCPU may have armed this CPU's timer for itself, or this one another CPU's. */
	budget_arm(vcpu);
	return TL_OK;
}
