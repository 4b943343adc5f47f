/* SPDX-License-Identifier: MIT */
/*
 * Doorbells that nothing is decoded for. The instruction is skipped by the exit's length, where the probe has shown it
 * right (vmx/probe.h); a length that is out of range is that of no instruction.
 */
#include "mmio/doorbell.h"
#include "vmx/exit.h"

static HOT __attribute__((noinline)) enum vcpu_action ring_otherwise(struct tl_vcpu *vcpu, uint64_t length,
								     const struct map_range *range, gpa_t gpa)
{
	/* relaxed: it is the calling CPU. */
	doorbell_ring(range, gpa - range->start, vcpu, atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed));
	return exit_skip(vcpu, vmcs_read(VMCS_GUEST_RIP), length);
}

static COLD enum vcpu_action decode(struct tl_vcpu *vcpu, const struct map *map, const struct map_range *range,
				    gpa_t gpa)
{
	vcpu->exit_gpa = gpa;
	vcpu->exit_map = map;
	vcpu->exit_range = range;
	return VCPU_MMIO;
}

HOT enum vcpu_action exit_doorbell(struct tl_vcpu *vcpu, const struct map *map, const struct map_range *range,
				   gpa_t gpa)
{
	uint64_t length = vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);

	if (unlikely(length - 1 >= vcpu->trusted_length))
		return decode(vcpu, map, range, gpa);
	if (unlikely(range->kind != MAP_DOORBELL_COUNT))
		return ring_otherwise(vcpu, length, range, gpa);
	doorbell_count(range, atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed));
	return exit_skip(vcpu, vmcs_read(VMCS_GUEST_RIP), length);
}
