/* SPDX-License-Identifier: MIT */
/* A vCPU, for who looks at it from outside: its exits by reason, its VMCS. */
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/vmcs_dump.h"

void tl_vcpu_exits(const struct tl_vcpu *vcpu, struct tl_vcpu_exits *exits)
{
	const struct vcpu_stats *stats = &vcpu->reader.stats;
	uint64_t slow = 0;

	for (unsigned i = 0; i < TL_NR_EXIT_REASONS; i++) {
		exits->reason[i] = stats_read(&vcpu->exits_by_reason[i]);
		slow += exits->reason[i];
	}
	/* After the slow ones: an exit is counted before its reason is. */
	exits->all = stats_read(&stats->exits);
	exits->fresh = stats_read(&stats->fresh);
	exits->stale = stats_read(&stats->stale);
	exits->reason[EXIT_REASON_EPT_MISCONFIGURATION] += exits->all > slow ? exits->all - slow : 0;
}

enum tl_status tl_vcpu_dump(struct tl_vcpu *vcpu)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status == TL_OK)
		vmcs_dump();
	return status;
}
