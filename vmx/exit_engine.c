/* SPDX-License-Identifier: MIT */
/* Accesses in the general way: the engine of mmio/ does them, and what it ends in becomes the guest's or embedder's. */
#include "mmio/unit.h"
#include "vmx/cpu_state.h"
#include "vmx/exit.h"

enum { STRING_ELEMENTS = 4096 /* that a REP does at most between two entries */ };

static enum vcpu_action stop_with_bytes(struct tl_vcpu *vcpu, enum tl_stop why)
{
	enum vcpu_action action = exit_stop(vcpu, why, 0);
	struct tl_exit_stop *stop = &vcpu->exit->stop;

	stop->nr_bytes = vcpu->operation_code.available;
	__builtin_memcpy(stop->bytes, vcpu->operation_code.bytes, stop->nr_bytes);
	return action;
}

/*
 * The operand is not where the exit was: somebody rewrote the instruction or the tables since. The guest tries once
 * more; the same again is a guest that cannot be served.
 */
static enum vcpu_action operand_elsewhere(struct tl_vcpu *vcpu)
{
	struct last_retry *last = &vcpu->last_retry;
	bool again = vcpu->operand_retried && last->exits + 1 == vcpu_nr_exits(vcpu);

	last->exits = vcpu_nr_exits(vcpu);
	vcpu->operand_retried = true;
	counter_add(&vcpu->reader.stats.retried, 1);
	return again ? stop_with_bytes(vcpu, TL_STOP_OPERAND) : vcpu_before_entry(vcpu);
}

/* A taken branch traps with BTF, too. */
static void trap_after_branch(uint64_t rflags)
{
	if (rflags & RFLAGS_TF && vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			   vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) | PENDING_DEBUG_BS);
}

/* The instruction is complete. Whether it traps TF said before it: POPF changes TF. SDM vol. 3, 18.3.1.4. */
static enum vcpu_action complete(struct tl_vcpu *vcpu, const struct mmio_cpu *cpu)
{
	uint64_t rip = vcpu->operation_rip, length = cpu->rip - rip, before = vmcs_read(VMCS_GUEST_RFLAGS);
	const struct insn *insn = &vcpu->operation.insn;
	bool changes_tf = (cpu->rflags ^ before) & RFLAGS_TF;
	enum vcpu_action action;

	if (!cpu_state_store(vcpu, cpu))
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	vcpu->operand_retried = false;
	if (changes_tf)
		vmcs_write(VMCS_GUEST_RFLAGS, cpu->rflags ^ RFLAGS_TF);
	if (cpu->shadow)
		action = exit_skip_shadowing(vcpu, rip, length);
	else
		action = length == insn->length ? exit_skip(vcpu, rip, length) : exit_skip_slow(vcpu, rip, length);
	if (changes_tf)
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) ^ RFLAGS_TF);
	if (insn_branches(insn))
		trap_after_branch(before);
	return action;
}

/* Between two elements of a REP. Its breakpoint has been met: RF is 1 there. SDM vol. 3, 18.3.1.1. */
static enum vcpu_action stay(struct tl_vcpu *vcpu)
{
	enum vcpu_action action;

	vcpu->step.made = true;
	action = exit_skip(vcpu, vcpu->operation_rip, 0);
	vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	return action;
}

/* The embedder has to do something first. */
static enum vcpu_action leave(struct tl_vcpu *vcpu, enum vcpu_pending pending, enum tl_exit_reason reason)
{
	vcpu->pending = pending;
	if (pending == PENDING_PORT)
		vcpu->exit->io = vcpu->io;
	else
		vcpu->exit->mmio = vcpu->access;
	return exit_leave(vcpu, reason);
}

static enum vcpu_action run(struct tl_vcpu *vcpu, const struct map *map, uint64_t cs_access)
{
	struct mmio_operation *op = &vcpu->operation;
	const struct mmio_environment env = vcpu_environment(vcpu, map);
	enum mmio_progress progress;
	struct mmio_cpu cpu;

	cpu_state_load(vcpu, vcpu->operation_rip, cs_access, mmio_cpu_parts(&op->insn), &cpu);
	progress = mmio_run(op, &cpu, &env);
	/* What was done of a string instruction counts, whatever ended it: no device is asked for it again. */
	if (progress != MMIO_DONE && insn_unit(&op->insn) == UNIT_STRING)
		cpu_state_store(vcpu, &cpu);
	switch (progress) {
	case MMIO_DONE:
		return complete(vcpu, &cpu);
	case MMIO_AGAIN:
		return stay(vcpu);
	case MMIO_EMBEDDER:
		return leave(vcpu, PENDING_MMIO, TL_EXIT_MMIO);
	case MMIO_DRAIN:
		return leave(vcpu, PENDING_MMIO, TL_EXIT_DRAIN);
	case MMIO_PORT:
		return leave(vcpu, PENDING_PORT, TL_EXIT_IO);
	case MMIO_DEVICE_ERROR:
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	case MMIO_FAULT:
		return exit_raise_fault(vcpu, &op->fault);
	case MMIO_TABLE_NOT_RAM:
		vcpu->exit_gpa = op->gpa;
		return exit_stop(vcpu, TL_STOP_PAGE_TABLE, 0);
	case MMIO_ELSEWHERE:
		return operand_elsewhere(vcpu);
	case MMIO_REFUSED:
		return stop_with_bytes(vcpu, TL_STOP_UNDECODABLE);
	default:
		return vcpu_before_entry(vcpu);
	}
}

enum vcpu_action engine_execute(struct tl_vcpu *vcpu, const struct insn *insn, const struct guest_code *code,
				uint64_t rip, uint64_t cs_access, gpa_t exit_gpa)
{
	/* A stepped REP traps after each of its elements. One that is stepped from outside stops there for attention.
	 */
	bool stepped = vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF;

	vcpu->operation_code = *code;
	vcpu->operation_rip = rip;
	mmio_begin(&vcpu->operation, insn, exit_gpa, stepped ? 1 : STRING_ELEMENTS);
	return run(vcpu, vcpu->exit_map, cs_access);
}

enum vcpu_action mmio_resume(struct tl_vcpu *vcpu, uint64_t data)
{
	mmio_complete(&vcpu->operation, data);
	/* The exit to the embedder ended the instruction's hold on its snapshot; the rest sees the map of now. */
	return run(vcpu, atomic_load_explicit(&vcpu->vm->map, memory_order_acquire),
		   vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS));
}

/* What a fetch that gave no instruction is to the guest. */
static enum vcpu_action fetch_failed(struct tl_vcpu *vcpu, enum fetch_status status, const struct fetch *fetch)
{
	vcpu->operation_code = fetch->code;
	switch (status) {
	case FETCH_PAGE_FAULT:
		return exit_page_fault(vcpu, fetch->linear, fetch->error_code);
	case FETCH_PROTECTION:
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	case FETCH_INVALID:
		return exit_raise(vcpu, VECTOR_UD);
	case FETCH_UNSUPPORTED:
		return stop_with_bytes(vcpu, TL_STOP_UNDECODABLE);
	case FETCH_TABLE_NOT_RAM:
	case FETCH_NOT_RAM:
		vcpu->exit_gpa = fetch->gpa;
		return exit_stop(vcpu, status == FETCH_NOT_RAM ? TL_STOP_FETCH : TL_STOP_PAGE_TABLE, 0);
	default:
		return vcpu_before_entry(vcpu);
	}
}

enum fetch_status engine_read(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cs_access, struct fetch *fetch,
			      struct insn *insn)
{
	unsigned code_bits = vcpu_code_bits(vcpu, cs_access);
	unsigned limit = INSN_MAX_LENGTH;
	struct guest_paging paging;
	gva_t linear = rip;

	vcpu_paging(vcpu, &paging);
	if (code_bits != 64) {
		uint64_t cs_limit = vmcs_read(VMCS_GUEST_CS_LIMIT);

		fetch->code.available = 0;
		if (rip > cs_limit)
			return FETCH_PROTECTION;
		if (cs_limit - rip < INSN_MAX_LENGTH)
			limit = (unsigned)(cs_limit - rip + 1);
		linear = (uint32_t)(vmcs_read(VMCS_GUEST_CS_BASE) + rip);
	}
	return insn_fetch(vcpu->exit_map, &paging, linear, limit, code_bits, fetch, insn);
}

bool engine_fetch(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cs_access, struct fetch *fetch, struct insn *insn,
		  enum vcpu_action *action)
{
	enum fetch_status status = engine_read(vcpu, rip, cs_access, fetch, insn);

	if (status == FETCH_OK)
		return true;
	*action = fetch_failed(vcpu, status, fetch);
	return false;
}
