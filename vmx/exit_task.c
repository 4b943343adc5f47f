/* SPDX-License-Identifier: MIT */
/* Task switches, each of which exits before anything of it is done. SDM vol. 3, 28.4.2 and 28.2.1, table 28-2. */
#include "mmio/task.h"
#include "vmx/cpu.h"
#include "vmx/cpu_state.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"

#define DEBUG_BT   BIT(15)
#define DR7_LOCALS 0x155ull /* L0 to L3 and LE, which a task switch clears: SDM vol. 3, 18.2.4 */

static unsigned type_of(uint64_t information)
{
	return (unsigned)((information & EVENT_INFO_TYPE) >> 8);
}

static struct task_switch describe(uint64_t qualification, uint64_t event)
{
	struct task_switch task = {.source = (enum task_source)(qualification >> 30 & 3),
				   .selector = (uint16_t)qualification};

	if (task.source != TASK_GATE || !(event & EVENT_INFO_VALID))
		return task;
	task.external =
		type_of(event) < EVENT_SOFTWARE_INTERRUPT || type_of(event) == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION;
	task.has_error_code = event & EVENT_INFO_ERROR_CODE;
	if (task.has_error_code)
		task.error_code = (uint32_t)vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE);
	return task;
}

/* The old task goes on behind the instruction that switches, if one does. SDM vol. 3, 28.2.5. */
static uint64_t rip_of_old_task(const struct task_switch *task, uint64_t event)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP);

	if (task->source == TASK_GATE && (!(event & EVENT_INFO_VALID) || type_of(event) < EVENT_SOFTWARE_INTERRUPT))
		return rip;
	return (uint32_t)(rip + vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
}

static void load_old_task(struct tl_vcpu *vcpu, const struct task_switch *task, uint64_t event, struct mmio_cpu *cpu)
{
	cpu_state_load(vcpu, rip_of_old_task(task, event), vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS),
		       CPU_SEGMENTS | CPU_TABLES, cpu);
	/* An instruction that completes clears RF. */
	if (task->source != TASK_GATE)
		cpu->rflags &= ~(uint64_t)RFLAGS_RF;
}

/* Without unrestricted guest the entry insists on it, also of an SS that is not usable (SDM vol. 3, 27.3.1.2). */
static void settle_stack(struct mmio_cpu *cpu)
{
	if (!vmx_controls.unrestricted_guest && cpu->segment[TL_SS].access & BIT(16))
		cpu->segment[TL_SS].selector = (uint16_t)((cpu->segment[TL_SS].selector & ~3u) | cpu->paging.cpl);
}

/* NMIs are blocked in a task that one of them has begun, and no more in one that an IRET goes to. SDM vol. 3, 7.7.1. */
static uint64_t interruptibility(const struct task_switch *task, uint64_t event)
{
	uint64_t now = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI;

	if (task->source == TASK_IRET)
		return 0;
	return task->source == TASK_GATE && event & EVENT_INFO_VALID && type_of(event) == TL_EVENT_NMI
		       ? INTERRUPTIBILITY_NMI
		       : now;
}

static void enter_new_task(struct tl_vcpu *vcpu, const struct task_switch *task, uint64_t event, struct mmio_cpu *cpu)
{
	settle_stack(cpu);
	cpu_state_store(vcpu, cpu);
	vmcs_write(VMCS_GUEST_RIP, cpu->rip);
	if (cpu->paging.cr3 != cr_read_cr3(vcpu)) {
		cr_put_cr3(vcpu, cpu->paging.cr3);
		for (unsigned i = 0; i < 4; i++)
			vmcs_write(VMCS_GUEST_PDPTE(i), cpu->paging.pdpte[i]);
		vcpu_flush_guest_tlb(vcpu);
	}
	dr_write_dr7(vcpu, vmcs_read(VMCS_GUEST_DR7) & ~DR7_LOCALS);
	/* What the old task was to trap for is gone with it, and nothing shadows the first instruction. */
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, interruptibility(task, event));
	/* exit_deliver_again() has put the event there, which is delivered now. */
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	vcpu->step.made = true;
}

static enum vcpu_action end(struct tl_vcpu *vcpu, enum mmio_progress progress, const struct task_switch *task)
{
	switch (progress) {
	case MMIO_DONE:
		if (!task->trap)
			return vcpu_before_entry(vcpu);
		write_dr6(read_dr6() | DEBUG_BT);
		return exit_raise(vcpu, VECTOR_DB);
	case MMIO_FAULT:
		return exit_raise_nested(vcpu, &vcpu->operation.fault);
	case MMIO_TABLE_NOT_RAM:
		vcpu->exit_gpa = vcpu->operation.gpa;
		return exit_stop(vcpu, TL_STOP_PAGE_TABLE, 0);
	case MMIO_RACED:
		return vcpu_before_entry(vcpu);
	default:
		return exit_stop(vcpu, TL_STOP_EXIT, EXIT_REASON_TASK_SWITCH);
	}
}

enum vcpu_action exit_task_switch(struct tl_vcpu *vcpu)
{
	uint64_t event = vmcs_read(VMCS_IDT_VECTORING_INFORMATION);
	struct task_switch task = describe(vmcs_read(VMCS_EXIT_QUALIFICATION), event);
	/* acquire: what the map points to was written before it was published (rule 2). */
	const struct map *map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);
	const struct mmio_environment env = vcpu_environment(vcpu, map);
	enum mmio_progress progress;
	struct mmio_cpu cpu;

	load_old_task(vcpu, &task, event, &cpu);
	progress = task_switch(&vcpu->operation, &cpu, &env, &task);
	if (task.committed)
		enter_new_task(vcpu, &task, event, &cpu);
	return end(vcpu, progress, &task);
}
