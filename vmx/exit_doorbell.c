/* SPDX-License-Identifier: MIT */
/* Doorbells that nothing is decoded for. */
#include "mmio/doorbell.h"
#include "vmx/exit.h"

/*
 * A doorbell: nothing is decoded. A length that is out of range shows an exit that no instruction's access made, or a
 * hypervisor below us that does not keep it.
 */
HOT enum vcpu_action exit_doorbell(struct tl_vcpu *vcpu, const struct map *map, const struct map_range *range,
				   gpa_t gpa)
{
	uint64_t length = vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);

	if (unlikely(!vcpu->skips_by_length) || unlikely(length - 1 >= INSN_MAX_LENGTH)) {
		vcpu->exit_gpa = gpa;
		vcpu->exit_map = map;
		vcpu->exit_range = range;
		return VCPU_MMIO;
	}
	vcpu->reader.stats.doorbells++;
	/* relaxed: it is the calling CPU. */
	doorbell_ring(range, gpa - range->start, vcpu, atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed));
	return exit_skip(vcpu, vmcs_read(VMCS_GUEST_RIP), length);
}
