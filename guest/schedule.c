/* SPDX-License-Identifier: MIT */
#include "guest/schedule.h"
#include "guest/platform_view.h"
#include "guest/serve.h"

static bool has_ended(const struct platform *platform)
{
	/* relaxed: what the end says is read after the CPUs have been waited for. */
	return atomic_load_explicit(&platform->ended, memory_order_relaxed);
}

/* Takes the vCPU if it is ready and does not want to leave this CPU. */
static bool take(struct platform_vcpu *vcpu, const struct platform_cpu *cpu)
{
	enum platform_vcpu_state ready = PLATFORM_VCPU_READY;

	/* Looked at first: CPUs without work do this all the time. */
	if (atomic_load_explicit(&vcpu->state, memory_order_relaxed) != PLATFORM_VCPU_READY ||
	    atomic_load_explicit(&vcpu->held, memory_order_relaxed))
		return false;
	/* acquire: the vCPU as the CPU that ran it, or started it, left it. */
	if (!atomic_compare_exchange_strong_explicit(&vcpu->state, &ready, PLATFORM_VCPU_RUNNING, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	if (vcpu->leaves != cpu->number + 1)
		return true;
	atomic_store_explicit(&vcpu->state, PLATFORM_VCPU_READY, memory_order_release);
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
			tl_cpu_poll();
			__builtin_ia32_pause();
			continue;
		}
		vcpu->ran_on = cpu->number;
		run_slice(vcpu);
		/* Where CPUs are shared the next to run it is rarely this one. */
		if (vcpu->yield == YIELD_LEAVE || (platform->shares && vcpu->yield != YIELD_LEAVE_LOADED))
			tl_vcpu_unload(vcpu->vcpu);
		vcpu->yield = YIELD_TURN;
		/* release: pairs with take(). A vCPU that halted waits for HC_START. */
		atomic_store_explicit(&vcpu->state, vcpu->halted ? PLATFORM_VCPU_HALTED : PLATFORM_VCPU_READY,
				      memory_order_release);
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
	/* release: pairs with take(). */
	atomic_store_explicit(&vcpu->state, PLATFORM_VCPU_READY, memory_order_release);
	return 0;
}

uint64_t schedule_yield(struct platform_vcpu *vcpu, uint64_t how)
{
	if (how > YIELD_LEAVE_LOADED)
		return HC_FAILED;
	vcpu->yields = true;
	vcpu->yield = (enum abi_yield)how;
	/* For as long as the guest does not yield again: a slice may end before it has run at all. */
	vcpu->leaves = how != YIELD_TURN && vcpu->platform->nr_cpus > 1 ? vcpu->ran_on + 1 : 0;
	return vcpu->ran_on;
}
