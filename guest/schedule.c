/* SPDX-License-Identifier: MIT */
#include "guest/schedule.h"
#include "guest/platform_view.h"
#include "guest/rebirth.h"
#include "guest/serve.h"

static bool has_ended(const struct platform *platform)
{
	/* relaxed: what the end says is read after the CPUs have been waited for. */
	return atomic_load_explicit(&platform->ended, memory_order_relaxed);
}

/* ---- Who waits for whom -----------------------------------------------------------------------------------------
 *
 * A CPU with nothing to run says so in platform->idle, looks once more, and halts. Who makes a vCPU ready looks there
 * after that, takes one CPU off and wakes it. All four are seq_cst, so that one of the two sees the other; and who
 * takes a vCPU wakes another CPU for what is still ready, since its own wake may have been for that.
 */

/* Whether it may be taken by the CPU; another one may be quicker. */
static bool waits_for(const struct platform_vcpu *vcpu, unsigned cpu)
{
	/* seq_cst: see above. relaxed: take() looks again. */
	return atomic_load_explicit(&vcpu->state, memory_order_seq_cst) == PLATFORM_VCPU_READY &&
	       !atomic_load_explicit(&vcpu->held, memory_order_seq_cst) &&
	       atomic_load_explicit(&vcpu->leaves, memory_order_relaxed) != cpu + 1;
}

static uint64_t cpu_bit(unsigned cpu)
{
	return (uint64_t)1 << cpu;
}

/* Wakes one of the CPUs, that is not awake yet. */
static void wake_one_of(struct platform *platform, uint64_t cpus)
{
	uint64_t idle = atomic_load_explicit(&platform->idle, memory_order_seq_cst);

	while (idle & cpus) {
		unsigned cpu = (unsigned)__builtin_ctzll(idle & cpus);

		idle = atomic_fetch_and_explicit(&platform->idle, ~cpu_bit(cpu), memory_order_seq_cst);
		if (idle & cpu_bit(cpu)) {
			platform->services->wake_cpu(cpu);
			return;
		}
	}
}

static void wake_for(struct platform_vcpu *vcpu)
{
	unsigned leaves = atomic_load_explicit(&vcpu->leaves, memory_order_relaxed);

	wake_one_of(vcpu->platform, leaves ? ~cpu_bit(leaves - 1) : UINT64_MAX);
}

/* The vCPU may be taken from now on. */
static void make_ready(struct platform_vcpu *vcpu)
{
	/* seq_cst: a release that pairs with take(), and before the look who is idle. */
	atomic_store_explicit(&vcpu->state, PLATFORM_VCPU_READY, memory_order_seq_cst);
	wake_for(vcpu);
}

void schedule_put(struct platform_vcpu *vcpu)
{
	/* release: pairs with schedule_start(), which a vCPU that halted waits for. */
	if (vcpu->halted)
		atomic_store_explicit(&vcpu->state, PLATFORM_VCPU_HALTED, memory_order_release);
	else
		make_ready(vcpu);
}

void schedule_hold(struct platform_vcpu *vcpu, bool held)
{
	/* seq_cst: as the state, one of the two that a CPU looks at. One that misses it finds it at the turn's end. */
	atomic_store_explicit(&vcpu->held, held, memory_order_seq_cst);
	if (held)
		tl_vcpu_kick(vcpu->vcpu);
	else
		wake_for(vcpu);
}

static void wake_for_the_rest(struct platform *platform)
{
	if (!atomic_load_explicit(&platform->idle, memory_order_seq_cst))
		return;
	for (unsigned i = 0; i < platform->nr_vcpus; i++)
		if (atomic_load_explicit(&platform->vcpu[i].state, memory_order_seq_cst) == PLATFORM_VCPU_READY)
			wake_for(&platform->vcpu[i]);
}

/* Long, but not longer than what goes on beside guests may wait for this CPU. */
static uint64_t end_of_halt(const struct guest_services *services)
{
	return services->idle_ticks ? platform_ticks() + services->idle_ticks : UINT64_MAX;
}

static void wait_for_work(const struct platform_cpu *cpu)
{
	struct platform *platform = cpu->platform;
	bool found = false;

	atomic_fetch_or_explicit(&platform->idle, cpu_bit(cpu->number), memory_order_seq_cst);
	for (unsigned i = 0; i < platform->nr_vcpus; i++)
		found |= waits_for(&platform->vcpu[i], cpu->number);
	if (!found && !atomic_load_explicit(&platform->ended, memory_order_seq_cst))
		platform->services->idle_cpu(end_of_halt(platform->services));
	atomic_fetch_and_explicit(&platform->idle, ~cpu_bit(cpu->number), memory_order_seq_cst);
	/* Also where there is something: another CPU that takes it may be waiting for a vCPU that stays in this one. */
	tl_cpu_poll();
}

void schedule_wake_all(struct platform *platform)
{
	uint64_t idle = atomic_exchange_explicit(&platform->idle, 0, memory_order_seq_cst);

	for (; idle; idle &= idle - 1)
		platform->services->wake_cpu((unsigned)__builtin_ctzll(idle));
}

/* ---- Turns ------------------------------------------------------------------------------------------------------- */

/* Takes the vCPU if it is ready and does not want to leave this CPU. */
static bool take(struct platform_vcpu *vcpu, const struct platform_cpu *cpu)
{
	enum platform_vcpu_state ready = PLATFORM_VCPU_READY;

	if (!waits_for(vcpu, cpu->number))
		return false;
	/* acquire: the vCPU as the CPU that ran it, or started it, left it. */
	if (!atomic_compare_exchange_strong_explicit(&vcpu->state, &ready, PLATFORM_VCPU_RUNNING, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	if (atomic_load_explicit(&vcpu->leaves, memory_order_relaxed) != cpu->number + 1)
		return true;
	/* It ran elsewhere since the look, and came back. */
	make_ready(vcpu);
	return false;
}

/* The next one in turn, or NULL. */
static struct platform_vcpu *take_next(struct platform *platform, struct platform_cpu *cpu)
{
	for (unsigned i = 0; i < platform->nr_vcpus; i++) {
		struct platform_vcpu *vcpu = &platform->vcpu[(cpu->turn + i) % platform->nr_vcpus];

		if (!take(vcpu, cpu))
			continue;
		cpu->turn = vcpu->index + 1;
		return vcpu;
	}
	return NULL;
}

/* Gives it the time until another one's turn, if they share CPUs, or until somebody looks for keys. */
static enum tl_status begin_slice(struct platform_vcpu *vcpu)
{
	enum tl_status status;

	if (!vcpu->platform->slice)
		return TL_OK;
	vcpu->slice = vcpu->left && vcpu->left < vcpu->platform->slice ? vcpu->left : vcpu->platform->slice;
	status = tl_vcpu_set_budget(vcpu->vcpu, vcpu->slice);
	/* One that has its CPU to itself need not leave it. */
	return status == TL_UNSUPPORTED && !vcpu->platform->shares ? TL_OK : status;
}

static void run_slice(struct platform_vcpu *vcpu)
{
	struct tl_exit *exit = &vcpu->exit;
	enum tl_status status = begin_slice(vcpu);

	while (status == TL_OK) {
		status = tl_vcpu_run(vcpu->vcpu, exit);
		if (status != TL_OK)
			break;
		/* Most exits are for a device, and an embedder that is quick about them finds them first. */
		if (exit->reason == TL_EXIT_MMIO && device_complete(&exit->mmio) == TL_OK)
			continue;
		if (!serve_exit(vcpu))
			return;
	}
	platform_fault(vcpu->platform, "vCPU %u does not run: %s", vcpu->index, tl_status_text(status));
	serve_end(vcpu, GUEST_EXIT, "not run");
}

static void end_slice(struct platform_vcpu *vcpu)
{
	enum tl_status status = vcpu->yield == YIELD_REBORN ? rebirth(vcpu) : TL_OK;

	if (status != TL_OK) {
		platform_fault(vcpu->platform, "vCPU %u is not reborn: %s", vcpu->index, tl_status_text(status));
		serve_end(vcpu, GUEST_EXIT, "not reborn");
	}
	/* Where CPUs are shared the next to run it is rarely this one. */
	if (vcpu->yield == YIELD_LEAVE || (vcpu->platform->shares && vcpu->yield != YIELD_LEAVE_LOADED))
		tl_vcpu_unload(vcpu->vcpu);
	vcpu->yield = YIELD_TURN;
}

/* One CPU's part of schedule_run(). */
static void schedule_on(void *context)
{
	struct platform_cpu *cpu = context;
	struct platform *platform = cpu->platform;

	while (!has_ended(platform)) {
		struct platform_vcpu *vcpu;

		platform_attend(platform);
		vcpu = take_next(platform, cpu);
		if (!vcpu) {
			wait_for_work(cpu);
			continue;
		}
		wake_for_the_rest(platform);
		vcpu->ran_on = cpu->number;
		run_slice(vcpu);
		end_slice(vcpu);
		schedule_put(vcpu);
	}
}

void schedule_run(struct platform *platform)
{
	const struct guest_services *services = platform->services;

	for (unsigned i = 0; i < platform->nr_cpus; i++)
		platform->cpu[i] = (struct platform_cpu){.platform = platform, .number = i, .turn = i};
	atomic_store_explicit(&platform->vcpu[0].state, PLATFORM_VCPU_READY, memory_order_release);
	atomic_store_explicit(&platform->nr_awake, 1, memory_order_relaxed);
	for (unsigned i = 1; i < platform->nr_cpus; i++)
		services->start_cpu(i, schedule_on, &platform->cpu[i]);
	schedule_on(&platform->cpu[0]);
	for (unsigned i = 1; i < platform->nr_cpus; i++)
		services->wait_cpu(i);
}

static void watch_on(void *context)
{
	struct platform *platform = context;

	while (!has_ended(platform)) {
		platform_attend(platform);
		/* Who ends the guest wakes it, also between the look above and the halt. */
		platform->services->idle_cpu(end_of_halt(platform->services));
		tl_cpu_poll();
	}
}

static bool is_watched(const struct platform *platform)
{
	return platform->services->attend && platform->nr_cpus < platform->services->nr_cpus &&
	       !platform->view.keeps_text;
}

void schedule_watch(struct platform *platform)
{
	if (is_watched(platform))
		platform->services->start_cpu(platform->nr_cpus, watch_on, platform);
}

void schedule_unwatch(struct platform *platform)
{
	if (!is_watched(platform))
		return;
	platform->services->wake_cpu(platform->nr_cpus);
	platform->services->wait_cpu(platform->nr_cpus);
}

uint64_t schedule_start(struct platform_vcpu *caller, uint64_t index, uint64_t rip, uint64_t rsp, uint64_t rdi)
{
	struct platform *platform = caller->platform;
	struct platform_vcpu *vcpu;
	struct tl_state state;
	enum tl_status status;

	if (index >= platform->nr_vcpus)
		return HC_FAILED;
	vcpu = &platform->vcpu[index];
	/* acquire: its CPU is done with it. */
	if (atomic_load_explicit(&vcpu->state, memory_order_acquire) > PLATFORM_VCPU_HALTED)
		return HC_NOT_YET;
	status = tl_vcpu_get(caller->vcpu, &state);
	state.rip = rip;
	state.gpr[TL_RSP] = rsp;
	state.gpr[TL_RDI] = rdi;
	if (status == TL_OK)
		status = tl_vcpu_set(vcpu->vcpu, &state);
	if (status != TL_OK)
		return (uint64_t)(int64_t)status;
	tl_vcpu_unload(vcpu->vcpu);
	vcpu->halted = false;
	vcpu->exit.reason = TL_EXIT_KICKED;
	atomic_fetch_add_explicit(&platform->nr_awake, 1, memory_order_relaxed);
	make_ready(vcpu);
	return 0;
}

uint64_t schedule_yield(struct platform_vcpu *vcpu, uint64_t how)
{
	if (how > YIELD_REBORN)
		return HC_FAILED;
	vcpu->yields = true;
	vcpu->yield = (enum abi_yield)how;
	/* For as long as the guest does not yield again: a slice may end before it has run at all. */
	atomic_store_explicit(&vcpu->leaves, how != YIELD_TURN && vcpu->platform->nr_cpus > 1 ? vcpu->ran_on + 1 : 0,
			      memory_order_relaxed);
	return vcpu->ran_on;
}
