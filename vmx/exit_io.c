/* SPDX-License-Identifier: MIT */
/* Port I/O: every port is the embedder's. */
#include "vmx/exit.h"
#include "vmx/exit_reason.h"

/* Exit qualification (SDM vol. 3, table 28-5). */
#define IO_SIZE(q) ((unsigned)((q)&7) + 1)
#define IO_IN      BIT(3)
#define IO_STRING  BIT(4)
#define IO_PORT(q) ((uint16_t)((q) >> 16))

enum vcpu_action exit_io(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	bool write = !(qualification & IO_IN);
	unsigned size = IO_SIZE(qualification);

	/* INS and OUTS also access memory, which is the emulator's work: not decoded yet. */
	if (qualification & IO_STRING)
		return exit_stop(vcpu, TL_STOP_EXIT, EXIT_REASON_IO_INSTRUCTION);
	vcpu->io = (struct tl_exit_io){.port = IO_PORT(qualification),
				       .size = (uint8_t)size,
				       .write = write,
				       .data = write ? (uint32_t)(vcpu->gpr[TL_RAX] & insn_mask[size]) : 0};
	vcpu->exit->io = vcpu->io;
	vcpu->pending = PENDING_IO;
	return exit_leave(vcpu, TL_EXIT_IO);
}
