/* SPDX-License-Identifier: MIT */
/* What an embedder makes of its vCPUs' processor: struct tl_processor. */
#include "mmu/hooks.h"
#include "vmx/cpu.h"
#include "vmx/cpuid_cache.h"
#include "vmx/exit.h"

void tl_vcpu_set_processor(struct tl_vcpu *vcpu, const struct tl_processor *processor)
{
	bool asked = processor && processor->pending && processor->acknowledge;

	vcpu->processor = processor;
	cpuid_cache_forget(vcpu);
	vcpu->events = (uint8_t)((vcpu->events & ~(EVENT_ASKED | EVENT_WAITS)) | (asked ? EVENT_ASKED : 0));
}

/*
 * There is nothing to be remembered: whoever enters the guest asks first. Either the load sees in_run, and the kick
 * makes an exit that asks; or the vCPU sees, after its exchange of in_run, what was stored before the fence.
 */
void tl_vcpu_interrupt(struct tl_vcpu *vcpu)
{
	if (grace_current() == &vcpu->reader) {
		vcpu->reader.entry_round = GRACE_ATTENTION;
		return;
	}
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&vcpu->reader.in_run, memory_order_seq_cst))
		hooks->kick(atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed));
}
