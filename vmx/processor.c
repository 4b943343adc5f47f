/* SPDX-License-Identifier: MIT */
/* What an embedder makes of its vCPUs' processor: struct tl_processor. */
#include "mmu/hooks.h"
#include "vmx/cpu.h"
#include "vmx/cpuid_cache.h"
#include "vmx/exit.h"
#include "vmx/posted.h"

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

/* Rule 14. */
void tl_vcpu_post(struct tl_vcpu *vcpu, uint8_t vector)
{
	struct tl_posted *posted = vcpu->apic->posted;
	bool own = grace_current() == &vcpu->reader;

	/* release: what was stored before is there for who handles it. */
	atomic_fetch_or_explicit(posted_requests(posted, vector / 64), 1ull << vector % 64, memory_order_release);
	/* Its own callback: what it goes on with collects. */
	if (own)
		vcpu->reader.entry_round = GRACE_ATTENTION;
	/*
	 * release: whoever clears ON finds the request (rule 15). seq_cst: before the look at in_run, against the
	 * exchange in grace_enter() and the look at ON after it (rule 16).
	 */
	if (atomic_fetch_or_explicit(posted_control(posted), POSTED_ON, memory_order_seq_cst) & POSTED_ON || own)
		return;
	if (atomic_load_explicit(&vcpu->reader.in_run, memory_order_seq_cst))
		hooks->notify(atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed));
}
