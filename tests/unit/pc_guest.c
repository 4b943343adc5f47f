/* SPDX-License-Identifier: MIT */
#include "tests/unit/pc_guest.h"
#include "guest/devices/local_apic_state.h"
#include "mmu/vm.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { RFLAGS_IF = 1 << 9, SVR_ON = 0x1FF, BY_ONE = 0xB };
enum { SVR = 0xF0, COMMAND = 0x300, COMMAND_HIGH = 0x310, DIVIDE = 0x3E0 };
enum { EOI = 0xB0, PIC_EOI = 0x20, ASSERTED = 1 << 14 };

struct tl_vcpu {
	void *context;
	const struct tl_processor *processor;
	struct pc_script *script;
	const struct pc_op *at;
	uint64_t computed; /* of the op at `at` */
	uint64_t deadline, budget_end;
	bool interrupts, shadow, completes;
	unsigned nmis;
	_Atomic bool kicked;
};

struct pc_script pc_script[PC_SCRIPTS];
const struct pc_op *pc_started[256], *pc_reset;
_Atomic unsigned pc_ready;
uint32_t pc_apic_features;
void (*pc_on_ready)(struct pc *pc, unsigned count);

static struct tl_vcpu vcpus[PC_SCRIPTS];
static unsigned nr_vcpus;

static struct pc *pc_of(const struct tl_vcpu *vcpu)
{
	return ((struct pc_vcpu *)vcpu->context)->pc;
}

/* ---- The library's vCPUs ----------------------------------------------------------------------------------------- */

struct tl_vcpu *tl_vcpu_create(struct tl_vm *vm, enum tl_status *status)
{
	struct tl_vcpu *vcpu = &vcpus[nr_vcpus];

	assert_non_null(vm);
	*vcpu = (struct tl_vcpu){
		.script = &pc_script[nr_vcpus], .at = pc_reset, .deadline = UINT64_MAX, .budget_end = UINT64_MAX};
	nr_vcpus++;
	*status = TL_OK;
	return vcpu;
}

enum tl_status tl_vcpu_destroy(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return TL_OK;
}

void tl_vcpu_set_context(struct tl_vcpu *vcpu, void *context)
{
	vcpu->context = context;
}

void *tl_vcpu_context(const struct tl_vcpu *vcpu)
{
	return vcpu->context;
}

void tl_vcpu_set_processor(struct tl_vcpu *vcpu, const struct tl_processor *processor)
{
	vcpu->processor = processor;
}

enum tl_status tl_vcpu_set(struct tl_vcpu *vcpu, const struct tl_state *state)
{
	assert_int_equal(state->rip, PC_IMAGE_AT);
	vcpu->at = vcpu->script->ops;
	return TL_OK;
}

enum tl_status tl_vcpu_get(struct tl_vcpu *vcpu, struct tl_state *state)
{
	*state = (struct tl_state){.rflags = vcpu->interrupts ? RFLAGS_IF : 0};
	return TL_OK;
}

enum tl_status tl_vcpu_start_up(struct tl_vcpu *vcpu, uint8_t vector)
{
	vcpu->at = pc_started[vector];
	vcpu->computed = 0;
	vcpu->interrupts = vcpu->completes = false;
	vcpu->nmis = 0;
	vcpu->script->starts++;
	vcpu->script->vector = vector;
	return TL_OK;
}

void tl_vcpu_kick(struct tl_vcpu *vcpu)
{
	vcpu->kicked = true;
}

/* Each op asks by itself. */
void tl_vcpu_interrupt(struct tl_vcpu *vcpu)
{
	(void)vcpu;
}

void tl_vcpu_post(struct tl_vcpu *vcpu, uint8_t vector)
{
	atomic_fetch_or((_Atomic uint64_t *)&vcpu->script->apic->posted->requests[vector / 64], 1ull << vector % 64);
	atomic_fetch_or((_Atomic uint64_t *)&vcpu->script->apic->posted->control, 1);
}

enum tl_status tl_vcpu_inject(struct tl_vcpu *vcpu, const struct tl_event *event)
{
	assert_int_equal(event->type, TL_EVENT_NMI);
	assert_int_equal(event->vector, 2);
	if (vcpu->script->refuse_nmis) {
		vcpu->script->refuse_nmis--;
		return TL_AGAIN;
	}
	vcpu->nmis += vcpu->nmis < 2;
	return TL_OK;
}

uint64_t tl_vcpu_tsc_offset(const struct tl_vcpu *vcpu)
{
	return pc_of(vcpu)->tsc_offset;
}

enum tl_status tl_vcpu_set_deadline(struct tl_vcpu *vcpu, uint64_t tsc)
{
	vcpu->deadline = tsc;
	return TL_OK;
}

enum tl_status tl_vcpu_set_budget(struct tl_vcpu *vcpu, uint64_t tsc_ticks)
{
	vcpu->budget_end = pc_ticks + tsc_ticks;
	return TL_OK;
}

enum tl_status tl_vcpu_set_step(struct tl_vcpu *vcpu, bool step)
{
	(void)vcpu;
	(void)step;
	return TL_UNSUPPORTED;
}

uint32_t tl_apic_features(void)
{
	mmu_cpu.apic_accesses = pc_apic_features & TL_APIC_ACCESSES;
	return pc_apic_features;
}

enum tl_status tl_vcpu_set_apic(struct tl_vcpu *vcpu, const struct tl_apic *apic)
{
	assert_int_not_equal(pc_apic_features, 0);
	vcpu->script->apic = apic;
	return TL_OK;
}

enum tl_status tl_vcpu_set_apic_mode(struct tl_vcpu *vcpu, enum tl_apic_mode mode, uint64_t at)
{
	assert_non_null(vcpu->script->apic);
	vcpu->script->apic_mode = mode;
	vcpu->script->apic_at = at;
	return TL_OK;
}

void tl_cpu_poll(void)
{
}

static void get_ready(const struct tl_vcpu *vcpu)
{
	if (pc_on_ready)
		pc_on_ready(pc_of(vcpu), pc_ready + 1);
	pc_ready++;
}

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */

static void store_apic(struct tl_vcpu *vcpu, uint64_t where, uint64_t value)
{
	struct tl_mmio access = {.gpa = LOCAL_APIC_AT + where,
				 .offset = where,
				 .size = 4,
				 .write = true,
				 .data = value,
				 .context = &pc_of(vcpu)->machine.bus,
				 .vcpu = vcpu};

	assert_int_equal(local_apic_access(&access), TL_OK);
}

static void store_io_apic(struct tl_vcpu *vcpu, uint64_t which, uint64_t value)
{
	for (unsigned i = 0; i < 2; i++) {
		struct tl_mmio access = {.offset = i * 0x10,
					 .size = 4,
					 .write = true,
					 .data = i ? value : which,
					 .context = &pc_of(vcpu)->machine.io_apic,
					 .vcpu = vcpu};

		assert_int_equal(io_apic_access(&access), TL_OK);
	}
}

/* What a handler does: it ends the interrupt, where it came from. */
static bool take_event(struct tl_vcpu *vcpu)
{
	struct pc_script *script = vcpu->script;
	int vector = vcpu->nmis ? 2 : -1;

	if (vector < 0 && vcpu->interrupts && !vcpu->shadow && vcpu->processor->pending(vcpu))
		vector = vcpu->processor->acknowledge(vcpu);
	if (vector < 0)
		return false;
	assert_in_range(script->nr_taken, 0, PC_TAKEN - 1);
	script->taken[script->nr_taken++] = (struct pc_taken){(unsigned)vector, pc_now(pc_of(vcpu))};
	if (vcpu->nmis)
		vcpu->nmis--;
	else if (vector < FIRST_VECTOR)
		ports_write(&pc_of(vcpu)->machine.ports, PIC_FIRST_PORT, 1, PIC_EOI);
	else
		store_apic(vcpu, EOI, 0);
	return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until the op is over, or something is due; in small steps, since other CPUs may have something for it. */
static void compute(struct tl_vcpu *vcpu, uint64_t whole)
{
	uint64_t rest = whole == FOREVER ? FOREVER : whole - vcpu->computed, now = pc_ticks;
	uint64_t due = least(vcpu->deadline, vcpu->budget_end);

	rest = least(least(rest, due - now), PC_STEP);
	pc_ticks += rest;
	vcpu->computed += rest;
	vcpu->script->ran += rest;
	if (whole == FOREVER || vcpu->computed < whole)
		return;
	vcpu->at++;
	vcpu->computed = 0;
}

static bool leave(struct tl_exit *exit, enum tl_exit_reason reason)
{
	exit->reason = reason;
	return true;
}

static bool leave_for_port(struct tl_vcpu *vcpu, struct tl_exit *exit, bool write)
{
	exit->io = (struct tl_exit_io){.port = (uint16_t)vcpu->at->where,
				       .size = 1,
				       .write = write,
				       .data = write ? (uint32_t)vcpu->at->value : 0};
	vcpu->completes = true;
	return leave(exit, TL_EXIT_IO);
}

static bool leave_stopped(const struct tl_vcpu *vcpu, struct tl_exit *exit)
{
	exit->stop = (struct tl_exit_stop){.why = (enum tl_stop)vcpu->at->value, .rip = PC_IMAGE_AT};
	return leave(exit, (enum tl_exit_reason)vcpu->at->where);
}

/* Whether it leaves the vCPU. */
static bool execute(struct tl_vcpu *vcpu, struct tl_exit *exit)
{
	const struct pc_op *op = vcpu->at;

	switch (op->kind) {
	case OP_STOP:
		return leave_stopped(vcpu, exit);
	case OP_COMPUTE:
		compute(vcpu, op->value);
		return false;
	case OP_AWAIT:
		compute(vcpu, pc_ready >= op->value ? 1 : FOREVER);
		return false;
	case OP_OUT:
	case OP_IN:
		return leave_for_port(vcpu, exit, op->kind == OP_OUT);
	case OP_HLT:
		vcpu->at++;
		/* As the library does: one that is woken at once does not leave. */
		return !(vcpu->interrupts && vcpu->processor->pending(vcpu)) && !vcpu->nmis && leave(exit, TL_EXIT_HLT);
	case OP_VMCALL:
		exit->vmcall = (struct tl_exit_vmcall){.number = op->value};
		vcpu->completes = true;
		return leave(exit, TL_EXIT_VMCALL);
	case OP_JUMP:
		/* Within the script that the first vCPU, or a SIPI, has started. */
		vcpu->at = (vcpu->script->starts ? pc_started[vcpu->script->vector] : vcpu->script->ops) + op->value;
		return false;
	default:
		break;
	}
	if (op->kind == OP_APIC_ON) {
		store_apic(vcpu, SVR, SVR_ON);
		store_apic(vcpu, DIVIDE, BY_ONE);
	} else if (op->kind == OP_TIMER) {
		store_apic(vcpu, TIMER, op->where);
		store_apic(vcpu, COUNT, op->value);
	} else if (op->kind == OP_SEND) {
		store_apic(vcpu, COMMAND_HIGH, op->where << 24);
		store_apic(vcpu, COMMAND, op->value | ASSERTED);
	} else if (op->kind == OP_STI || op->kind == OP_CLI)
		vcpu->interrupts = vcpu->shadow = op->kind == OP_STI;
	else if (op->kind == OP_APIC)
		store_apic(vcpu, op->where, op->value);
	else if (op->kind == OP_IO_APIC)
		store_io_apic(vcpu, op->where, op->value);
	else if (op->kind == OP_MSR)
		assert_true(vcpu->processor->write_msr(vcpu, (uint32_t)op->where, op->value));
	else
		get_ready(vcpu);
	vcpu->at++;
	return false;
}

static void complete(struct tl_vcpu *vcpu, const struct tl_exit *exit)
{
	if (vcpu->at->kind == OP_VMCALL)
		vcpu->script->saw_vmcall = exit->vmcall.result == UINT64_MAX;
	else if (vcpu->at->kind == OP_IN)
		assert_int_equal(exit->io.data & 0xff, vcpu->at->value);
	vcpu->completes = false;
	vcpu->at++;
}

/* What ends a run whatever the guest does; it is over with that. */
static bool is_due(struct tl_vcpu *vcpu, struct tl_exit *exit)
{
	if (atomic_exchange(&vcpu->kicked, false))
		return leave(exit, TL_EXIT_KICKED);
	if (pc_ticks >= vcpu->deadline) {
		vcpu->deadline = UINT64_MAX;
		return leave(exit, TL_EXIT_DEADLINE);
	}
	if (pc_ticks >= vcpu->budget_end) {
		vcpu->budget_end = UINT64_MAX;
		return leave(exit, TL_EXIT_BUDGET);
	}
	return false;
}

enum tl_status tl_vcpu_run(struct tl_vcpu *vcpu, struct tl_exit *exit)
{
	if (vcpu->completes)
		complete(vcpu, exit);
	for (;;) {
		if (is_due(vcpu, exit)) {
			vcpu->script->turns++;
			return TL_OK;
		}
		if (take_event(vcpu))
			continue;
		/* One instruction after an STI. */
		vcpu->shadow = false;
		if (vcpu->at->kind != OP_COMPUTE && vcpu->at->kind != OP_AWAIT)
			pc_ticks += 1;
		if (execute(vcpu, exit))
			return TL_OK;
	}
}

int pc_scripts_start(void **context)
{
	(void)context;
	memset(pc_script, 0, sizeof(pc_script));
	memset(pc_started, 0, sizeof(pc_started));
	pc_typed = NULL;
	return 0;
}

void pc_vcpus_forget(void)
{
	for (unsigned i = 0; i < PC_SCRIPTS; i++)
		pc_script[i] = (struct pc_script){.ops = pc_script[i].ops, .refuse_nmis = pc_script[i].refuse_nmis};
	nr_vcpus = 0;
	pc_ready = 0;
}
