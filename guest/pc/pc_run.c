/* SPDX-License-Identifier: MIT */
/* The turns of a PC's vCPUs on the host's CPUs: exits, HLT, whose turn it is. */
#include "guest/pc/pc_shake.h"
#include "guest/pc/pc_timers.h"
#include "guest/stop_text.h"
#include "guest/text.h"

enum { RFLAGS_IF = 1 << 9, LEAST_LOOKS_A_SECOND = 10 };

static bool has_ended(const struct pc *pc)
{
	/* relaxed: what the end says is read after the CPUs have been waited for. */
	return atomic_load_explicit(&pc->ended, memory_order_relaxed);
}

void pc_end(struct pc *pc, unsigned ending, uint64_t code, const char *how)
{
	if (!atomic_flag_test_and_set_explicit(&pc->end_claimed, memory_order_relaxed)) {
		pc->ending = ending;
		pc->code = code;
		text_format(pc->how, sizeof(pc->how), "%s", how);
	}
	atomic_store_explicit(&pc->ended, true, memory_order_seq_cst);
	/* A kick of one that does not run makes it leave at once if it is run after all. */
	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		if (pc->vcpu[i].vcpu)
			tl_vcpu_kick(pc->vcpu[i].vcpu);
	for (unsigned i = 0; i < pc->nr_cpus; i++)
		pc->services->wake_cpu(i);
}

/* ---- Exits ------------------------------------------------------------------------------------------------------- */

static void serve_io(struct pc *pc, struct tl_exit_io *io)
{
	if (io->write)
		ports_write(&pc->machine.ports, io->port, io->size, io->data);
	else
		io->data = ports_read(&pc->machine.ports, io->port, io->size);
}

static enum pc_activity activity_of(const struct pc_vcpu *vcpu)
{
	/* relaxed: its own, or under the lock. */
	return atomic_load_explicit(&vcpu->activity, memory_order_relaxed);
}

/* Whether one of them can still do something, or is asked to. The lock is held: without it none of those that cannot
 * begins to. */
static bool any_goes_on(const struct pc *pc)
{
	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		/* relaxed: under the lock. */
		if (activity_of(&pc->vcpu[i]) <= PC_HALTED ||
		    atomic_load_explicit(&pc->vcpu[i].events, memory_order_relaxed))
			return true;
	return false;
}

/* The devices are asked last, and without the lock: they take it when they send an NMI, and hold their own. */
void pc_rest(struct pc_vcpu *vcpu, enum pc_activity activity)
{
	struct pc *pc = vcpu->pc;
	bool goes_on = true;

	lock_acquire(&pc->resting);
	/* relaxed: under the lock. */
	atomic_store_explicit(&vcpu->activity, activity, memory_order_relaxed);
	if (activity > PC_HALTED)
		goes_on = any_goes_on(pc);
	lock_release(&pc->resting);
	if (!goes_on && !machine_sends_unmaskable(&pc->machine))
		pc_end(pc, GUEST_HALT, 0, tl_exit_name(TL_EXIT_HLT));
}

static void serve_halt(struct pc_vcpu *vcpu)
{
	struct tl_state state;
	bool masked = tl_vcpu_get(vcpu->vcpu, &state) == TL_OK && !(state.rflags & RFLAGS_IF);

	pc_show(vcpu->pc);
	pc_rest(vcpu, masked ? PC_HALTED_MASKED : PC_HALTED);
}

static void serve_stop(struct pc *pc, const struct tl_exit_stop *stop)
{
	char how[160];

	stop_text(stop, how, sizeof(how));
	pc_end(pc, GUEST_STOP_FIRST + stop->why, 0, how);
}

/* Whether the vCPU's turn goes on. */
static bool serve_exit(struct pc_vcpu *vcpu)
{
	struct tl_exit *exit = &vcpu->exit;
	struct pc *pc = vcpu->pc;

	switch (exit->reason) {
	case TL_EXIT_IO:
		serve_io(pc, &exit->io);
		return true;
	case TL_EXIT_BUDGET:
		vcpu->has_budget = false;
		return false;
	case TL_EXIT_DEADLINE:
	case TL_EXIT_KICKED:
		return false;
	case TL_EXIT_HLT:
		serve_halt(vcpu);
		break;
	case TL_EXIT_VMCALL:
		exit->vmcall.result = UINT64_MAX; /* there is no such call */
		return true;
	case TL_EXIT_SHUTDOWN:
		pc_end(pc, GUEST_SHUTDOWN, 0, tl_exit_name(TL_EXIT_SHUTDOWN));
		break;
	case TL_EXIT_STOPPED:
		serve_stop(pc, &exit->stop);
		break;
	case TL_EXIT_NO_MEMORY:
		pc_end(pc, GUEST_EXIT, 1, "the host ran out of memory for EPT tables: give it more or lower mem=");
		break;
	default:
		pc_end(pc, GUEST_EXIT, 1, tl_exit_name(exit->reason));
	}
	return false;
}

enum tl_status pc_step(struct pc_vcpu *vcpu)
{
	enum tl_status status = activity_of(vcpu) == PC_RUNS ? tl_vcpu_set_step(vcpu->vcpu, true) : TL_AGAIN;

	if (status != TL_OK)
		return status;
	do {
		status = tl_vcpu_run(vcpu->vcpu, &vcpu->exit);
		if (status == TL_OK && vcpu->exit.reason == TL_EXIT_STEP)
			return TL_OK;
	} while (status == TL_OK && (serve_exit(vcpu) || activity_of(vcpu) == PC_RUNS) && !has_ended(vcpu->pc));
	tl_vcpu_set_step(vcpu->vcpu, false);
	return status == TL_OK ? TL_AGAIN : status;
}

/* ---- Turns ------------------------------------------------------------------------------------------------------- */

static bool is_awake(const struct pc_vcpu *vcpu)
{
	enum pc_activity activity = activity_of(vcpu);

	return activity == PC_RUNS || (activity == PC_HALTED && local_apic_pending(&vcpu->apic));
}

static bool is_ready(const struct pc_vcpu *vcpu)
{
	/* Asked again after the CPU has said that it may halt. */
	if (pc_is_held(vcpu))
		return false;
	return atomic_load_explicit(&vcpu->events, memory_order_seq_cst) || is_awake(vcpu);
}

static bool take(struct pc_vcpu *vcpu)
{
	/* acquire: the vCPU as who looked at it has left it. */
	return !atomic_exchange_explicit(&vcpu->taken, true, memory_order_acquire);
}

/*
 * The turn ends by the host's timer, and by the preemption timer where there is one: a guest that waits for another
 * vCPU with its interrupts off must give it the CPU, and Bochs 2.7 lets no interrupt of the host's through then
 * (boot/smp.c). One that has its CPU to itself is looked after all the same; its budget is not set anew at each turn.
 */
static void begin_turn(struct pc_vcpu *vcpu)
{
	struct pc *pc = vcpu->pc;

	vcpu->turn_ends = UINT64_MAX;
	if (pc->nr_vcpus > pc->nr_cpus) {
		vcpu->turn_ends = pc_host_ticks() + pc->slice;
		(void)tl_vcpu_set_budget(vcpu->vcpu, pc->slice);
	} else if (!vcpu->has_budget) {
		(void)tl_vcpu_set_budget(vcpu->vcpu, pc->hz / LEAST_LOOKS_A_SECOND);
		vcpu->has_budget = true;
	}
}

/* Whether others ask for the vCPU itself. */
static bool is_wanted(const struct pc_vcpu *vcpu)
{
	/* relaxed: a kick comes behind each. */
	return has_ended(vcpu->pc) || atomic_load_explicit(&vcpu->events, memory_order_relaxed) || pc_is_held(vcpu) ||
	       atomic_load_explicit(&vcpu->wanted, memory_order_relaxed);
}

/*
 * A timer that is due, or a kick for one that is sooner, does not end a turn: others would have theirs in its place,
 * and all that is looked at between turns would be looked at for each tick of the guest's clock. A look that is nearly
 * due is made now, so that it needs no interrupt of its own beside a timer that ticks.
 */
static bool goes_on(struct pc_vcpu *vcpu)
{
	struct pc *pc = vcpu->pc;
	uint64_t now = pc_now(pc);

	if ((vcpu->exit.reason != TL_EXIT_DEADLINE && vcpu->exit.reason != TL_EXIT_KICKED) ||
	    now - pc->tsc_offset >= vcpu->turn_ends || now + pc->hz / LOOKS_A_SECOND / 4 >= vcpu->look ||
	    is_wanted(vcpu))
		return false;
	pc_expire_due(vcpu, now);
	return !is_wanted(vcpu);
}

static void run_turn(struct pc_vcpu *vcpu)
{
	struct pc *pc = vcpu->pc;
	enum tl_status status = TL_OK;

	if (atomic_load_explicit(&vcpu->events, memory_order_relaxed))
		pc_cpu_take_events(vcpu);
	/* What it was asked for may have been nothing to it. */
	if (!is_awake(vcpu) || has_ended(pc))
		return;
	/* relaxed: from a HLT with interrupts on, at most. */
	atomic_store_explicit(&vcpu->activity, PC_RUNS, memory_order_relaxed);
	vcpu->look = pc_next_look(pc, vcpu->cpu);
	begin_turn(vcpu);
	do {
		status = pc_set_deadline(vcpu);
		if (status == TL_OK)
			status = tl_vcpu_run(vcpu->vcpu, &vcpu->exit);
	} while (status == TL_OK && (serve_exit(vcpu) || goes_on(vcpu)));
	if (status != TL_OK)
		pc_end(pc, GUEST_EXIT, 1, tl_status_text(status));
}

static bool run_ready(struct pc *pc, unsigned cpu)
{
	bool ran = false;

	for (unsigned i = cpu; i < pc->nr_vcpus; i += pc->nr_cpus) {
		struct pc_vcpu *vcpu = &pc->vcpu[i];

		pc_expire(vcpu);
		if (!is_ready(vcpu) || !take(vcpu))
			continue;
		/* seq_cst: before the devices' next timer is looked at. */
		atomic_store_explicit(&pc->cpu[cpu].turn, vcpu, memory_order_seq_cst);
		run_turn(vcpu);
		atomic_store_explicit(&pc->cpu[cpu].turn, NULL, memory_order_relaxed);
		/* release: pairs with take(). */
		atomic_store_explicit(&vcpu->taken, false, memory_order_release);
		ran = true;
	}
	return ran;
}

static void set_asleep(struct pc *pc, unsigned cpu, bool asleep)
{
	/* seq_cst: before the last look for something to do; pairs with the interrupt that comes after that look (rule
	 * 17). */
	for (unsigned i = cpu; i < pc->nr_vcpus; i += pc->nr_cpus)
		atomic_store_explicit(&pc->vcpu[i].asleep, asleep, memory_order_seq_cst);
}

/* Halts the host's CPU until one of its vCPUs, or a timer, has something for it to do. */
static void idle(struct pc *pc, unsigned cpu)
{
	bool ready = false;

	set_asleep(pc, cpu, true);
	for (unsigned i = cpu; i < pc->nr_vcpus; i += pc->nr_cpus)
		ready |= is_ready(&pc->vcpu[i]);
	if (!ready && !has_ended(pc))
		pc->services->idle_cpu(pc_idle_until(pc, cpu));
	set_asleep(pc, cpu, false);
	tl_cpu_poll();
}

static void run_on(void *context)
{
	struct pc_cpu *cpu = context;
	struct pc *pc = cpu->pc;

	while (!has_ended(pc)) {
		if (pc->services->attend)
			pc->services->attend(&pc->view);
		if (pc->shake && cpu->number == 0)
			pc_shake(pc);
		if (!run_ready(pc, cpu->number))
			idle(pc, cpu->number);
	}
}

void pc_run(struct pc *pc)
{
	for (unsigned i = 0; i < pc->nr_cpus; i++)
		pc->cpu[i] = (struct pc_cpu){.pc = pc, .number = i};
	for (unsigned i = 1; i < pc->nr_cpus; i++)
		pc->services->start_cpu(i, run_on, &pc->cpu[i]);
	run_on(&pc->cpu[0]);
	for (unsigned i = 1; i < pc->nr_cpus; i++)
		pc->services->wait_cpu(i);
}
