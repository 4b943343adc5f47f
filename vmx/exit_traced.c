/* SPDX-License-Identifier: MIT */
/*
 * Exits while they are traced, or stepped by TF. The CPU leaves the guest for another address then, HOST_RIP, whose
 * handlers record what happens and then do what the others do. So exits that are not traced do not even ask.
 */
#include "mmu/mmu.h"
#include "mmu/trace.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/mitigation.h"

void vcpu_trace_switch(struct tl_vcpu *vcpu)
{
	bool traced = trace_is_any_on(TRACE_OF_EXITS) || vcpu->step.by_trap_flag;

	if (traced == vcpu->exits_traced)
		return;
	vcpu->exits_traced = traced;
	vmcs_write(VMCS_HOST_RIP, mitigations_exit_address(traced));
	/* What was learned about what follows an access is another thing without clusters. */
	vcpu_forget_translations(vcpu);
}

/* The CPU is the calling one: relaxed. */
static unsigned cpu_of(const struct tl_vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed);
}

/* Where a record of this vCPU has to wait for a look at the ring; false: there is no room. */
static bool make_ready(struct tl_vcpu *vcpu)
{
	return trace_make_ready(cpu_of(vcpu), &vcpu->reader);
}

/* Where the length is no instruction's the access is decoded, and recorded as such. */
void vcpu_trace_ring(const struct tl_vcpu *vcpu, const struct map_range *range, gpa_t gpa)
{
	if (trace_is_on(TL_TRACE_MMIO) && vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH) - 1 < vcpu->trusted_length)
		trace_access(TL_TRACE_RING, range, gpa, 0, 0, 0);
}

ALWAYS_INLINE enum vcpu_action serve_fresh(struct tl_vcpu *vcpu)
{
	if (likely(!map_is_doorbell(vcpu->exit_range)))
		return VCPU_MMIO;
	vcpu_trace_ring(vcpu, vcpu->exit_range, vcpu->exit_gpa);
	return exit_doorbell(vcpu, vcpu->exit_map, vcpu->exit_range, vcpu->exit_gpa);
}

/*
 * The four records of an access. Each begins anew once the ring is ready, so that nothing has to be kept over the call
 * that makes it so.
 */

static COLD uint32_t trace_exit_again(struct tl_vcpu *vcpu, uint32_t reason)
{
	return make_ready(vcpu) ? vcpu_trace_exit(vcpu) : reason;
}

HOT uint32_t vcpu_trace_exit(struct tl_vcpu *vcpu)
{
	unsigned cpu = cpu_of(vcpu);
	uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
	uint64_t gpa = 0, qualification = 0;

	if (!trace_is_on(TL_TRACE_EXIT))
		return reason;
	if (unlikely(!trace_is_ready(cpu)))
		return trace_exit_again(vcpu, reason);
	/* A misconfiguration has no qualification. */
	if (unlikely(reason != EXIT_REASON_EPT_MISCONFIGURATION))
		qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	if (likely(reason == EXIT_REASON_EPT_MISCONFIGURATION) || reason == EXIT_REASON_EPT_VIOLATION)
		gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	trace_write(cpu, vcpu->vpid,
		    (struct tl_trace_record){.event = TL_TRACE_EXIT,
					     .gpa = gpa,
					     .data = reason,
					     .other = qualification,
					     .rip = vmcs_read(VMCS_GUEST_RIP)});
	return reason;
}

static COLD enum vcpu_action trace_fresh_again(struct tl_vcpu *vcpu)
{
	trace_spte(TL_TRACE_CHECK_MMIO_SPTE, vcpu->exit_map, vcpu->exit_gpa, vcpu->exit_range->fresh, MMIO_EMULATE);
	return serve_fresh(vcpu);
}

/* The entry was fresh, so it is the one that the range asks for. */
HOT enum vcpu_action vcpu_trace_fresh(struct tl_vcpu *vcpu)
{
	const struct map_range *range = vcpu->exit_range;
	unsigned cpu = cpu_of(vcpu);

	if (!trace_is_on(TL_TRACE_CHECK_MMIO_SPTE) || trace_leaves_out(vcpu->exit_gpa))
		return serve_fresh(vcpu);
	if (unlikely(!trace_is_ready(cpu)))
		return trace_fresh_again(vcpu);
	trace_write(cpu, vcpu->vpid,
		    (struct tl_trace_record){.event = TL_TRACE_CHECK_MMIO_SPTE,
					     .detail = MMIO_EMULATE,
					     .gpa = vcpu->exit_gpa,
					     .data = range->fresh,
					     .other = range->fresh,
					     .range = range->id});
	return serve_fresh(vcpu);
}

static COLD enum tl_status record_access_again(const struct tl_mmio *access, const struct map_range *range,
					       uint64_t begin, enum tl_status status);

/* Returns the status that it is given, so that it can be called last. */
static HOT enum tl_status record_access(const struct tl_mmio *access, const struct map_range *range, uint64_t begin,
					enum tl_status status)
{
	const struct tl_vcpu *vcpu = access->vcpu;
	unsigned cpu = cpu_of(vcpu);

	if (!trace_is_on(TL_TRACE_MMIO) || trace_leaves_out(access->gpa))
		return status;
	if (unlikely(!trace_is_ready(cpu)))
		return record_access_again(access, range, begin, status);
	trace_write(cpu, vcpu->vpid,
		    (struct tl_trace_record){.event = TL_TRACE_MMIO,
					     .detail = access->write ? TL_TRACE_WRITE : TL_TRACE_READ,
					     .size = (uint8_t)access->size,
					     .gpa = access->gpa,
					     .data = access->data & insn_mask[access->size],
					     .other = begin,
					     .range = range->id});
	return status;
}

static enum tl_status record_access_again(const struct tl_mmio *access, const struct map_range *range, uint64_t begin,
					  enum tl_status status)
{
	return make_ready(access->vcpu) ? record_access(access, range, begin, status) : status;
}

static COLD void record_entry_again(struct tl_vcpu *vcpu);

ALWAYS_INLINE void record_entry(struct tl_vcpu *vcpu)
{
	unsigned cpu = cpu_of(vcpu);
	uint64_t event;

	if (!trace_is_on(TL_TRACE_ENTRY))
		return;
	if (unlikely(!trace_is_ready(cpu))) {
		record_entry_again(vcpu);
		return;
	}
	event = vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION);
	trace_write(cpu, vcpu->vpid,
		    (struct tl_trace_record){.event = TL_TRACE_ENTRY,
					     .data = event & EVENT_INFO_VALID ? event : 0,
					     .rip = vmcs_read(VMCS_GUEST_RIP)});
}

static void record_entry_again(struct tl_vcpu *vcpu)
{
	if (make_ready(vcpu))
		record_entry(vcpu);
}

static COLD void enter_for_step(struct tl_vcpu *vcpu)
{
	step_lend(vcpu);
	record_entry(vcpu);
}

HOT void vcpu_trace_entry(struct tl_vcpu *vcpu)
{
	if (likely(!vcpu->step.by_trap_flag))
		record_entry(vcpu);
	else
		enter_for_step(vcpu);
}

/* Stands in for the callback of a range while exits are traced. */
static HOT enum tl_status access_traced(struct tl_mmio *access)
{
	const struct map_range *range = access->vcpu->traced_range;
	uint64_t begin = __builtin_ia32_rdtsc();
	enum tl_status status = range->access(access);

	return record_access(access, range, begin, status);
}

/*
 * exit_mmio() on a stand-in for the range: of the plain accesses that it serves itself the stand-in's callback records
 * what is done; all others the stand-in sends the general way, where mmio_dispatch() records them.
 */
HOT enum vcpu_action exit_mmio_traced(struct tl_vcpu *vcpu)
{
	const struct map_range *range = vcpu->exit_range;

	vcpu->traced = *range;
	vcpu->traced_range = range;
	vcpu->exit_range = &vcpu->traced;
	vcpu->traced.flags = 0;
	if (likely(range->kind == MAP_MMIO))
		vcpu->traced.access = access_traced;
	else
		vcpu->traced.kind = MAP_FREE;
	return exit_mmio(vcpu);
}

void vcpu_trace_completed(struct tl_vcpu *vcpu, uint64_t data)
{
	const struct tl_mmio *access = &vcpu->access;
	/* acquire: rule 2. The range may have changed since; its number is that of what is there now. */
	const struct map *map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);

	/* Without a size it was a drain. */
	if (!access->write && access->size)
		trace_access(TL_TRACE_READ, map_find(map, access->gpa), access->gpa, access->size,
			     data & insn_mask[access->size], 0);
}
