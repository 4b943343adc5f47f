/* SPDX-License-Identifier: MIT */
/* The monitor's commands on vCPUs, and what is counted. */
#include "guest/monitor/parts.h"

static const char not_had[] = "the vCPU has not been started, or does not leave its guest.";

enum { STEPS_MAX = 1000 };

const char *monitor_stats(struct monitor *monitor, const struct guest_view *view)
{
	struct tl_stats s;

	tl_stats(view->vm, &s);
	monitor->print("exits %lu, accesses fresh %lu, stale %lu, retried %lu, clustered %lu, coalesced %lu\n", s.exits,
		       s.fresh, s.stale, s.retried, s.clustered, s.coalesced);
	monitor->print("generation 0x%lx: commits %lu, invalidations %lu, wraps %lu, zapped %lu\n", s.generation,
		       s.commits, s.invalidations, s.wraps, s.zapped);
	monitor->print("hole: %lu reads, %lu writes; ROM: %lu writes\n", s.hole_reads, s.hole_writes, s.rom_writes);
	monitor->print("EPT: %lu pages, %lu live MMIO entries\n", s.ept_pages, s.live_mmio_entries);
	return NULL;
}

const char *monitor_exits(struct monitor *monitor, const struct guest_view *view, unsigned vcpu)
{
	struct tl_vcpu_exits exits;

	tl_vcpu_exits(view->vcpu(view, vcpu), &exits);
	monitor->print("%12lu  all\n", exits.all);
	for (unsigned i = 0; i < TL_NR_EXIT_REASONS; i++)
		if (exits.reason[i])
			monitor->print("%12lu  %s\n", exits.reason[i], tl_exit_reason_name(i));
	return NULL;
}

static void print_registers(struct monitor *monitor, const struct tl_state *state)
{
	static const char *const names[TL_NR_GPRS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
						      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

	for (unsigned i = 0; i < TL_NR_GPRS; i++)
		monitor->print("%-3s %016lx%s", names[i], state->gpr[i], i % 4 == 3 ? "\n" : "  ");
	monitor->print("rip %016lx  rflags %016lx\n", state->rip, state->rflags);
	monitor->print("cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %016lx\n", state->cr0, state->cr2, state->cr3,
		       state->cr4);
	monitor->print("efer %016lx  dr7 %016lx\n", state->efer, state->dr7);
}

static void print_segments(struct monitor *monitor, const struct tl_state *state)
{
	static const char *const names[TL_NR_SEGMENTS] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++)
		monitor->print("%-4s %04x  base %016lx  limit %08x  access %05x\n", names[i],
			       state->segment[i].selector, state->segment[i].base, state->segment[i].limit,
			       state->segment[i].access);
	monitor->print("gdtr base %016lx  limit %04x\nidtr base %016lx  limit %04x\n", state->gdtr.base,
		       state->gdtr.limit, state->idtr.base, state->idtr.limit);
}

const char *monitor_state(struct monitor *monitor, const struct guest_view *view, unsigned vcpu)
{
	struct tl_vcpu *taken = view->take(view, vcpu);
	struct tl_state state;
	enum tl_status status;

	if (!taken)
		return not_had;
	status = tl_vcpu_get(taken, &state);
	view->put(view, vcpu);
	if (status != TL_OK)
		return tl_status_text(status);
	print_registers(monitor, &state);
	print_segments(monitor, &state);
	return NULL;
}

const char *monitor_vmcs(const struct guest_view *view, unsigned vcpu)
{
	struct tl_vcpu *taken = view->take(view, vcpu);
	enum tl_status status;

	if (!taken)
		return not_had;
	status = tl_vcpu_dump(taken);
	view->put(view, vcpu);
	return status == TL_OK ? NULL : tl_status_text(status);
}

static const char *step_once(struct monitor *monitor, const struct guest_view *view, unsigned vcpu,
			     struct tl_vcpu *taken)
{
	struct tl_state state;
	enum tl_status status = view->step(view, vcpu);

	if (status == TL_AGAIN)
		return "the vCPU has halted, or its guest has ended.";
	if (status == TL_OK)
		status = tl_vcpu_get(taken, &state);
	if (status != TL_OK)
		return tl_status_text(status);
	monitor->print("vCPU %u is at rip %016lx\n", vcpu, state.rip);
	return NULL;
}

const char *monitor_step(struct monitor *monitor, const struct guest_view *view, unsigned vcpu, uint64_t count)
{
	struct tl_vcpu *taken;
	const char *wrong = NULL;

	if (!view->is_held(view, vcpu))
		return "the vCPU runs; stop it first.";
	if (!count || count > STEPS_MAX)
		return "that many instructions are not stepped through at once; 1000 are the most.";
	taken = view->take(view, vcpu);
	if (!taken)
		return not_had;
	while (!wrong && count--)
		wrong = step_once(monitor, view, vcpu, taken);
	view->put(view, vcpu);
	return wrong;
}

void monitor_hold(struct monitor *monitor, const struct guest_view *view, const struct order *order, bool held)
{
	for (unsigned i = 0; i < view->nr_vcpus; i++)
		if (!order->nr_numbers || order->number[0] == i) {
			view->hold(view, i, held);
			monitor->print("vCPU %u %s\n", i, held ? "is stopped" : "goes on");
		}
}
