/* SPDX-License-Identifier: MIT */
#include "guest/platform_view.h"
#include "guest/schedule.h"
#include "guest/serve.h"

static struct platform *machine(const struct guest_view *view)
{
	return view->machine;
}

static struct tl_vcpu *view_vcpu(const struct guest_view *view, unsigned index)
{
	return machine(view)->vcpu[index].vcpu;
}

/* The same exchange as a CPU's that runs it: who takes it to RUNNING owns all of it. */
static enum view_look look_at(void *context)
{
	struct platform_vcpu *vcpu = context;
	enum platform_vcpu_state state = atomic_load_explicit(&vcpu->state, memory_order_relaxed);

	if (state == PLATFORM_VCPU_OFF)
		return VIEW_OFF;
	if (state == PLATFORM_VCPU_RUNNING)
		return VIEW_BUSY;
	return atomic_compare_exchange_strong_explicit(&vcpu->state, &state, PLATFORM_VCPU_RUNNING,
						       memory_order_acquire, memory_order_relaxed)
		       ? VIEW_TAKEN
		       : VIEW_BUSY;
}

static struct tl_vcpu *view_take(const struct guest_view *view, unsigned index)
{
	struct platform_vcpu *vcpu = &machine(view)->vcpu[index];

	return view_take_by(vcpu->vcpu, look_at, vcpu);
}

static void view_put(const struct guest_view *view, unsigned index)
{
	schedule_put(&machine(view)->vcpu[index]);
}

/* One that runs leaves its guest and is not taken again. */
static void view_hold(const struct guest_view *view, unsigned index, bool held)
{
	schedule_hold(&machine(view)->vcpu[index], held);
}

static bool view_is_held(const struct guest_view *view, unsigned index)
{
	return atomic_load_explicit(&machine(view)->vcpu[index].held, memory_order_relaxed);
}

static bool has_ended(const struct platform *platform)
{
	return atomic_load_explicit(&platform->ended, memory_order_relaxed);
}

/* A kick, the end of a slice and a yield take nothing from a vCPU that runs for one instruction. */
static bool goes_on(struct platform_vcpu *vcpu)
{
	if (vcpu->exit.reason == TL_EXIT_MMIO && device_complete(&vcpu->exit.mmio) == TL_OK)
		return true;
	if (vcpu->exit.reason == TL_EXIT_KICKED || vcpu->exit.reason == TL_EXIT_BUDGET)
		return !has_ended(vcpu->platform);
	return serve_exit(vcpu) || (!vcpu->halted && !has_ended(vcpu->platform));
}

static enum tl_status view_step(const struct guest_view *view, unsigned index)
{
	struct platform_vcpu *vcpu = &machine(view)->vcpu[index];
	enum tl_status status = vcpu->halted ? TL_AGAIN : tl_vcpu_set_step(vcpu->vcpu, true);

	if (status != TL_OK)
		return status;
	do {
		status = tl_vcpu_run(vcpu->vcpu, &vcpu->exit);
		if (status == TL_OK && vcpu->exit.reason == TL_EXIT_STEP)
			return TL_OK;
	} while (status == TL_OK && goes_on(vcpu));
	tl_vcpu_set_step(vcpu->vcpu, false);
	return status == TL_OK ? TL_AGAIN : status;
}

static void view_end(const struct guest_view *view, const char *how)
{
	struct platform *platform = machine(view);

	platform_fault(platform, "%s", how);
	serve_end(&platform->vcpu[0], GUEST_EXIT, how);
}

static const char *view_range_name(const struct guest_view *view, uint64_t start)
{
	const struct platform *platform = machine(view);

	for (unsigned i = 0; i <= PLATFORM_FILLER; i++)
		if (platform->device[i].live_ranges && platform->device[i].address == start)
			return platform->device[i].name;
	return "";
}

static void device_traffic(const struct platform *platform, unsigned device, uint64_t *reads, uint64_t *writes)
{
	for (unsigned i = 0; i < platform->nr_vcpus; i++)
		for (unsigned size = 0; size < 9; size++) {
			*reads += platform->vcpu[i].accesses[device][0][size];
			*writes += platform->vcpu[i].accesses[device][1][size];
		}
}

static void riders_traffic(const struct platform *platform, uint64_t *reads, uint64_t *writes)
{
	for (unsigned i = 0; i < ABI_RIDERS; i++) {
		struct abi_rider report = rider_report(&platform->rider[i]);

		*reads += report.reads;
		*writes += report.writes;
	}
}

/* The devices, and behind them all riders as one. */
static bool view_traffic(const struct guest_view *view, unsigned index, const char **name, uint64_t *reads,
			 uint64_t *writes)
{
	const struct platform *platform = machine(view);

	*reads = *writes = 0;
	if (index > PLATFORM_FILLER + 1)
		return false;
	if (index > PLATFORM_FILLER) {
		*name = "riders";
		riders_traffic(platform, reads, writes);
	} else {
		*name = platform->device[index].name;
		device_traffic(platform, index, reads, writes);
	}
	return true;
}

void platform_view_init(struct platform *platform, const struct guest_options *options, uint64_t began)
{
	platform->view = (struct guest_view){
		.name = platform->name,
		.vm = platform->vm,
		.nr_vcpus = platform->nr_vcpus,
		.machine = platform,
		.began = began,
		.keeps_text = options->manual,
		.vcpu = view_vcpu,
		.take = view_take,
		.put = view_put,
		.hold = view_hold,
		.is_held = view_is_held,
		.step = view_step,
		.end = view_end,
		.range_name = view_range_name,
		.traffic = view_traffic,
	};
}
