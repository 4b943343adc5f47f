/* SPDX-License-Identifier: MIT */
/* tl_vcpu_run(): from the embedder into the guest and back. The loop over exits itself is in entry.asm. */
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "mmu/trace.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/pml.h"
#include "vmx/vmcs_dump.h"

void vcpu_flush_ept(struct tl_vm *vm)
{
	uint64_t eptp = vm_eptp(vm);
	enum vmx_result result =
		vmx_capability.invept_single ? invept(INVEPT_SINGLE_CONTEXT, eptp) : invept(INVEPT_ALL_CONTEXT, 0);

	if (result != VMX_SUCCEED)
		tl_panic("INVEPT failed for EPTP %lx", (unsigned long)eptp);
}

/*
 * The slot cache holds addresses of table pages, like the CPU's paging-structure caches: one flush number for both. One
 * compare looks whether tracing was switched, too: both numbers only grow.
 */
static uint64_t slots_number(const struct tl_vcpu *vcpu)
{
	/* relaxed: grace_announce() has just looked, with the ordering that matters. acquire: what was switched to. */
	return atomic_load_explicit(&vcpu->vm->flush_number, memory_order_relaxed) +
	       atomic_load_explicit(&trace_switches, memory_order_acquire);
}

static void follow_flushes(struct tl_vcpu *vcpu)
{
	uint64_t number = slots_number(vcpu);

	if (vcpu->slots_flushed == number)
		return;
	pml_follow(vcpu);
	for (unsigned i = 0; i < SLOT_CACHE_SIZE; i++)
		vcpu->slots[i].gfn = UINT64_MAX;
	vcpu->slots_flushed = number;
	vcpu_trace_switch(vcpu);
}

/* All of it but events. */
static COLD enum vcpu_action settle(struct tl_vcpu *vcpu)
{
	struct grace_reader *reader = &vcpu->reader;
	bool complete;

	/* Before anything is announced, also by a commit that waits (rule 13). */
	pml_drain(vcpu);
	if (unlikely(vm_has_gone_tables(vcpu->vm)))
		vm_collect_gone(vcpu->vm, reader);
	/* Commits of our callbacks first (correction 1); a kick ends their waiting, and the next run resumes it. */
	complete = map_complete_pending(reader);
	grace_announce(reader);
	follow_flushes(vcpu);
	/* acquire: what the kicker wrote before. */
	if (atomic_exchange_explicit(&reader->kicked, 0, memory_order_acquire))
		return exit_leave(vcpu, TL_EXIT_KICKED);
	if (!complete)
		reader->entry_round = GRACE_ATTENTION;
	return VCPU_RESUME;
}

enum vcpu_action vcpu_attention(struct tl_vcpu *vcpu)
{
	enum vcpu_action action = settle(vcpu);

	return action == VCPU_RESUME && vcpu->events ? event_attend(vcpu) : action;
}

/* A plain access that the embedder has completed. */
ALWAYS_INLINE enum vcpu_action complete_plain(struct tl_vcpu *vcpu, bool read)
{
	const struct plain_access *plain = &vcpu->plain;

	if (read)
		vcpu->gpr[plain->reg] = vcpu->exit->mmio.data & plain->mask_of_operand;
	return exit_skip(vcpu, plain->rip, plain->length);
}

/* Takes over what the embedder has completed of the last exit. */
static enum vcpu_action complete_exit(struct tl_vcpu *vcpu)
{
	struct tl_exit *exit = vcpu->exit;
	enum vcpu_pending pending = vcpu->pending;

	vcpu->pending = PENDING_NONE;
	if (likely(pending == PENDING_PLAIN_READ))
		return complete_plain(vcpu, true);
	switch (pending) {
	case PENDING_PLAIN_WRITE:
		return complete_plain(vcpu, false);
	case PENDING_MMIO:
		if (trace_is_on(TL_TRACE_MMIO))
			vcpu_trace_completed(vcpu, exit->mmio.data);
		return mmio_resume(vcpu, exit->mmio.data);
	case PENDING_PORT:
		return mmio_resume(vcpu, exit->io.data);
	case PENDING_IO:
		if (!vcpu->io.write) {
			uint64_t mask = insn_mask[vcpu->io.size];
			uint64_t kept = vcpu->io.size == 4 ? 0 : vcpu->gpr[TL_RAX] & ~mask;

			vcpu->gpr[TL_RAX] = kept | (exit->io.data & mask);
		}
		return exit_skip_instruction(vcpu);
	case PENDING_VMCALL:
		vcpu->gpr[TL_RAX] = exit->vmcall.result;
		return exit_skip_instruction(vcpu);
	default:
		return VCPU_RESUME;
	}
}

static _Noreturn void entry_failed(void)
{
	uint64_t number = vmcs_read(VMCS_INSTRUCTION_ERROR);

	vmcs_dump();
	tl_panic("VM entry failed: %s", vmcs_instruction_error_name(number));
}

/* Without "unrestricted guest" there is no real mode (SDM vol. 3, A.7); vmx/flat_paging.h has paging for protected
 * mode. */
static bool can_enter(const struct tl_vcpu *vcpu)
{
	return vmx_controls.unrestricted_guest || vcpu->mode.cr0 & CR0_PE;
}

static enum vcpu_action enter(struct tl_vcpu *vcpu)
{
	if (!can_enter(vcpu))
		return exit_stop(vcpu, TL_STOP_UNSUPPORTED, 0);
	if (unlikely(vcpu->exits_traced))
		vcpu_trace_entry(vcpu);
	return vmx_run(vcpu);
}

/* Whether something is to be done before the first entry. The round was announced a moment ago. */
static bool wants_attention(const struct tl_vcpu *vcpu)
{
	/* kicked: seq_cst, against the kicker's store of it and load of in_run. */
	return vcpu->reader.entry_round == GRACE_ATTENTION ||
	       atomic_load_explicit(&vcpu->reader.kicked, memory_order_seq_cst) ||
	       vcpu->slots_flushed != slots_number(vcpu);
}

/*
 * Events come last: what the embedder has completed may still end in an exception, or shadow the next instruction, and
 * either would be at odds with an interrupt that the entry injects already.
 */
ALWAYS_INLINE enum vcpu_action begin(struct tl_vcpu *vcpu)
{
	if (unlikely(wants_attention(vcpu)) && settle(vcpu) != VCPU_RESUME)
		return VCPU_LEAVE;
	if (complete_exit(vcpu) != VCPU_RESUME)
		return VCPU_LEAVE;
	return unlikely(vcpu->events) ? event_attend(vcpu) : VCPU_RESUME;
}

HOT enum tl_status tl_vcpu_run(struct tl_vcpu *vcpu, struct tl_exit *exit)
{
	unsigned index = hooks->cpu_index();
	struct vmx_cpu *cpu = &vmx_cpu[index];
	enum tl_status status;

	if (!vcpu || !exit || grace_current_reader[index])
		return TL_INVALID_ARGUMENT;
	if (unlikely(cpu->loaded != vcpu)) {
		status = vcpu_load(vcpu);
		if (status != TL_OK)
			return status;
	}
	vcpu->exit = exit;
	grace_enter(&vcpu->reader, index);
	if (likely(begin(vcpu) == VCPU_RESUME) && enter(vcpu) == VCPU_FAILED)
		entry_failed();
	pml_drain(vcpu);
	grace_leave(&vcpu->reader, index);
	return TL_OK;
}

void tl_vcpu_kick(struct tl_vcpu *vcpu)
{
	/* seq_cst: the store before the load of in_run, against the exchange in grace_enter(); else both could miss. */
	atomic_store_explicit(&vcpu->reader.kicked, 1, memory_order_seq_cst);
	/* Its own callback: Bochs 2.7 keeps the interrupt back for as long as the guest masks its own. */
	if (grace_current() == &vcpu->reader)
		vcpu->reader.entry_round = GRACE_ATTENTION;
	if (atomic_load_explicit(&vcpu->reader.in_run, memory_order_seq_cst))
		hooks->kick(atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed));
}
