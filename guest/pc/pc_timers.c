/* SPDX-License-Identifier: MIT */
/* What is due of a PC's timers, and when its CPUs have to be back for them. */
#include "guest/pc/pc_timers.h"
#include "guest/pc/pc_shake.h"
#include "guest/traced.h"

/* A prompt, say, of a guest that does not come to a HLT. */
static void show_prompt(const struct pc *pc, struct pc_line *line, uint64_t now)
{
	if (line->length && now - line->last >= pc->hz / LOOKS_A_SECOND)
		pc_show_line(line);
}

/* The devices' timers are the first CPU's to expire. */
static void expire_devices(struct pc *pc)
{
	struct machine *machine = &pc->machine;
	uint64_t now = pc_now(pc);

	if (pc->ends && now >= pc->ends) {
		pc_end(pc, GUEST_TIMEOUT, 0, "the time of timeout= is spent");
		return;
	}
	lock_acquire(&machine->lock);
	clock_expire(&machine->clock, now);
	/* relaxed: the lock orders it with those who set timers. */
	atomic_store_explicit(&pc->due, clock_next(&machine->clock), memory_order_relaxed);
	show_prompt(pc, &pc->line, now);
	show_prompt(pc, &pc->debug_line, now);
	lock_release(&machine->lock);
	pc_type(pc);
	/* What scrolls by faster is not read; and looking costs. */
	if (now - pc->screen_shown >= pc->hz)
		pc_show_screen(pc);
}

/*
 * One that is held may be stepped. A step takes the time of thousands of instructions, in which the timer would be due
 * again: an interrupt at each step, and no way out of its handler. It comes when the vCPU goes on.
 */
void pc_expire(struct pc_vcpu *vcpu)
{
	struct pc *pc = vcpu->pc;

	if (vcpu->cpu == 0)
		expire_devices(pc);
	if (!pc_is_held(vcpu))
		clock_expire(&vcpu->apic.clock, pc_now(pc));
	traced_drain(pc->services, vcpu->cpu);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t pc_next_look(const struct pc *pc, unsigned cpu)
{
	uint64_t at = UINT64_MAX;

	if (cpu != 0)
		return at;
	at = pc->ends ? earlier(at, pc->ends) : at;
	if (pc->shake)
		at = earlier(at, pc_now(pc) + pc->hz / SHAKES_A_SECOND);
	return pc->services->read_typed ? earlier(at, pc_now(pc) + pc->hz / LOOKS_A_SECOND) : at;
}

/* When the devices' timers are due, which are the first CPU's. */
static uint64_t devices_due(const struct pc *pc, unsigned cpu)
{
	/* seq_cst: after a turn has begun; pairs with who makes it sooner, and then looks whose turn it is. */
	return cpu == 0 ? atomic_load_explicit(&pc->due, memory_order_seq_cst) : UINT64_MAX;
}

/* In the host's time. */
static uint64_t to_host(const struct pc *pc, uint64_t at)
{
	return at == UINT64_MAX ? at : at - pc->tsc_offset;
}

enum tl_status pc_set_deadline(struct pc_vcpu *vcpu)
{
	struct pc *pc = vcpu->pc;
	uint64_t at = clock_next(&vcpu->apic.clock), host;

	/* The next look is not computed at each exit: a deadline is the same for as long as nothing has changed. */
	at = earlier(at, earlier(vcpu->look, devices_due(pc, vcpu->cpu)));
	host = earlier(to_host(pc, at), vcpu->turn_ends);
	return tl_vcpu_set_deadline(vcpu->vcpu, host);
}

void pc_expire_due(struct pc_vcpu *vcpu, uint64_t now)
{
	struct pc *pc = vcpu->pc;

	if (now >= devices_due(pc, vcpu->cpu))
		expire_devices(pc);
	clock_expire(&vcpu->apic.clock, now);
	traced_drain(pc->services, vcpu->cpu);
}

uint64_t pc_idle_until(const struct pc *pc, unsigned cpu)
{
	uint64_t until = earlier(pc_next_look(pc, cpu), devices_due(pc, cpu)), longest = pc->services->idle_ticks;

	for (unsigned i = cpu; i < pc->nr_vcpus; i += pc->nr_cpus)
		if (!pc_is_held(&pc->vcpu[i]))
			until = earlier(until, clock_next(&pc->vcpu[i].apic.clock));
	until = to_host(pc, until);
	return longest ? earlier(until, pc_host_ticks() + longest) : until;
}
