/* SPDX-License-Identifier: MIT */
#include "guest/calls.h"
#include "guest/bench.h"
#include "guest/bench_memory.h"
#include "guest/device_memory.h"
#include "guest/schedule.h"

static uint64_t calls_print(struct platform_vcpu *vcpu, uint64_t text, uint64_t length)
{
	struct platform *platform = vcpu->platform;
	char *line = vcpu->last_line;

	if (length > ABI_TEXT)
		length = ABI_TEXT;
	if (!tl_mem_read(platform->vm, text, line, length)) {
		line[0] = '\0';
		return HC_FAILED;
	}
	line[length] = '\0';
	/* A guest must not reach the terminal behind the console. */
	for (uint64_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	if (!platform->services->quiet)
		platform->services->print("  %s: %s\n", platform->name, line);
	return 0;
}

static uint64_t calls_stats(struct platform *platform, uint64_t gpa)
{
	struct tl_stats stats;
	struct abi_stats answer;

	tl_stats(platform->vm, &stats);
	answer = (struct abi_stats){.fresh = stats.fresh,
				    .stale = stats.stale,
				    .retried = stats.retried,
				    .hole_reads = stats.hole_reads,
				    .hole_writes = stats.hole_writes,
				    .commits = stats.commits,
				    .invalidations = stats.invalidations,
				    .wraps = stats.wraps,
				    .zapped = stats.zapped,
				    .generation = stats.generation,
				    .live_mmio_entries = stats.live_mmio_entries,
				    .coalesced = stats.coalesced,
				    .clustered = stats.clustered,
				    .refused_sizes = stats.refused_sizes,
				    .exits = stats.exits,
				    .ranges = platform->nr_ranges};
	return tl_mem_write(platform->vm, gpa, &answer, sizeof(answer)) ? 0 : HC_FAILED;
}

static uint64_t calls_device(struct platform *platform, uint64_t index, uint64_t gpa)
{
	const struct device *device;
	struct abi_device answer;

	if (index >= ABI_NR_DEVICES)
		return HC_FAILED;
	device = &platform->device[index];
	answer = (struct abi_device){.reads = device_count(device, false),
				     .writes = device_count(device, true),
				     .bytes_read = device_bytes(device, false),
				     .bytes_written = device_bytes(device, true),
				     .address = device->address,
				     .size = device->size,
				     .live_ranges = device->live_ranges,
				     .rings = device_rings(device),
				     .releases = device->releases};
	return tl_mem_write(platform->vm, gpa, &answer, sizeof(answer)) ? 0 : HC_FAILED;
}

static uint64_t calls_back(struct platform *platform, uint64_t index, uint64_t gpa)
{
	if (index >= ABI_NR_DEVICES)
		return HC_FAILED;
	platform->device[index].backing = gpa;
	return 0;
}

static uint64_t calls_corrupt(struct platform *platform, uint64_t address, uint64_t gpa)
{
	struct abi_corruption how;

	if (!platform->services->corrupt_ept || !tl_mem_read(platform->vm, gpa, &how, sizeof(how)))
		return HC_FAILED;
	if (how.level < 1 || how.level > 4 ||
	    !platform->services->corrupt_ept(platform->vm, address, (unsigned)how.level, how.keep, how.set))
		return HC_FAILED;
	return 0;
}

static uint64_t calls_bare_exits(const struct platform *platform, uint64_t bare)
{
	return platform->services->bare_exits && platform->services->bare_exits(bare) ? 0 : HC_FAILED;
}

static uint64_t calls_rider(struct platform *platform, uint64_t number, uint64_t gpa)
{
	struct abi_rider report;

	if (number >= ABI_RIDERS)
		return HC_FAILED;
	report = rider_report(&platform->rider[number]);
	return tl_mem_write(platform->vm, gpa, &report, sizeof(report)) ? 0 : HC_FAILED;
}

static uint64_t calls_step(struct platform_vcpu *vcpu, uint64_t count, uint64_t gpa)
{
	vcpu->steps_left = count;
	vcpu->steps_at = gpa;
	return !count || tl_vcpu_set_step(vcpu->vcpu, true) == TL_OK ? 0 : HC_FAILED;
}

bool calls_stepped(struct platform_vcpu *vcpu)
{
	struct tl_state state;
	struct abi_step step;

	if (!vcpu->steps_left)
		return true;
	if (tl_vcpu_get(vcpu->vcpu, &state) != TL_OK)
		return false;
	step = (struct abi_step){
		.rip = state.rip, .rflags = state.rflags, .dr6 = state.dr6, .interruptibility = state.interruptibility};
	if (!tl_mem_write(vcpu->platform->vm, vcpu->steps_at, &step, sizeof(step)))
		return false;
	vcpu->steps_at += sizeof(step);
	return !--vcpu->steps_left || tl_vcpu_set_step(vcpu->vcpu, true) == TL_OK;
}

/* What every vCPU may ask for. False: it is none of these. */
static bool calls_serve_any(struct platform_vcpu *vcpu, struct tl_exit_vmcall *call)
{
	const uint64_t *argument = call->argument;

	switch (call->number) {
	case HC_PRINT:
		call->result = calls_print(vcpu, argument[0], argument[1]);
		return true;
	case HC_START:
		call->result = schedule_start(vcpu, argument[0], argument[1], argument[2], argument[3]);
		return true;
	case HC_YIELD:
		call->result = schedule_yield(vcpu, argument[0]);
		return true;
	case HC_VCPUS:
		call->result = vcpu->platform->nr_vcpus | (uint64_t)vcpu->platform->nr_cpus << 32;
		return true;
	case HC_CONTROLLER:
		call->result = controller_turn_on(vcpu);
		return true;
	case HC_INTERRUPT:
		call->result = controller_interrupt(vcpu, argument[0], argument[1]);
		return true;
	case HC_ALARM:
		call->result = controller_set_alarm(vcpu, argument[0], argument[1]);
		return true;
	case HC_STEP:
		call->result = calls_step(vcpu, argument[0], argument[1]);
		return true;
	case HC_RIDE:
		call->result = rider_edit(vcpu, argument[0], argument[1], argument[2]);
		return true;
	case HC_RIDER:
		call->result = calls_rider(vcpu->platform, argument[0], argument[1]);
		return true;
	default:
		return false;
	}
}

/* What only the first vCPU may ask for. */
static uint64_t calls_serve_first(struct platform_vcpu *vcpu, uint64_t number, const uint64_t *argument)
{
	struct platform *platform = vcpu->platform;

	switch (number) {
	case HC_STATS:
		return calls_stats(platform, argument[0]);
	case HC_DEVICE:
		return calls_device(platform, argument[0], argument[1]);
	case HC_DIGEST:
		return argument[0] < ABI_NR_DEVICES ? abi_digest(platform->device[argument[0]].registers) : HC_FAILED;
	case HC_EDIT:
		return scenario_edit(platform, argument);
	case HC_PLAN_STATUS:
		return platform->plan_status;
	case HC_GROW:
		return scenario_grow(platform, argument[0]);
	case HC_SAMPLES:
		return bench_samples(platform, argument);
	case HC_TIME_EDIT:
		return bench_time_edit(platform, argument);
	case HC_TIME_MEMORY:
		return bench_time_memory(platform, argument);
	case HC_DIRTY:
		return device_memory_dirty(platform, argument);
	case HC_CORRUPT:
		return calls_corrupt(platform, argument[0], argument[1]);
	case HC_BACK:
		return calls_back(platform, argument[0], argument[1]);
	case HC_HAND:
		return hand_report(platform, argument[0], argument[1]);
	case HC_BARE_EXITS:
		return calls_bare_exits(platform, argument[0]);
	case HC_TRACE:
		return calls_trace(vcpu, argument[0]);
	case HC_TRACE_TAKE:
		return calls_trace_take(vcpu, argument[0], argument[1]);
	default:
		return HC_FAILED;
	}
}

void calls_serve(struct platform_vcpu *vcpu, struct tl_exit_vmcall *call)
{
	if (!calls_serve_any(vcpu, call))
		call->result = vcpu->index ? HC_FAILED : calls_serve_first(vcpu, call->number, call->argument);
}
