/* SPDX-License-Identifier: MIT */
/* Port I/O: every port is the embedder's. */
#include "vmx/exit.h"

/* Exit qualification (SDM vol. 3, table 28-5). */
#define IO_SIZE(q) ((unsigned)((q)&7) + 1)
#define IO_IN      BIT(3)
#define IO_STRING  BIT(4)
#define IO_PORT(q) ((uint16_t)((q) >> 16))

/* INS and OUTS access memory as well: the engine does both halves, the embedder the port's. */
static enum vcpu_action execute_string(struct tl_vcpu *vcpu)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP), cs_access = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS);
	enum vcpu_action action;
	struct fetch fetch;
	struct insn insn;

	/* acquire: rule 2. Rule 1: the only load of this exit. */
	vcpu->exit_map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);
	if (!engine_fetch(vcpu, rip, cs_access, &fetch, &insn, &action))
		return action;
	return engine_execute(vcpu, &insn, &fetch.code, rip, cs_access, MMIO_ANY_GPA);
}

enum vcpu_action exit_io(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	bool write = !(qualification & IO_IN);
	unsigned size = IO_SIZE(qualification);

	if (qualification & IO_STRING)
		return execute_string(vcpu);
	vcpu->io = (struct tl_exit_io){.port = IO_PORT(qualification),
				       .size = (uint8_t)size,
				       .write = write,
				       .data = write ? (uint32_t)(vcpu->gpr[TL_RAX] & insn_mask[size]) : 0};
	vcpu->exit->io = vcpu->io;
	vcpu->pending = PENDING_IO;
	return exit_leave(vcpu, TL_EXIT_IO);
}
