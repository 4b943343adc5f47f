/* SPDX-License-Identifier: MIT */
#include "guest/serve.h"
#include "guest/calls.h"
#include "guest/schedule.h"
#include "guest/stop_text.h"
#include "guest/traced.h"

/* The first to end the guest may say how. */
static struct guest_end *claim_end(struct platform_vcpu *vcpu, unsigned ending)
{
	struct platform *platform = vcpu->platform;

	if (atomic_flag_test_and_set_explicit(&platform->end_claimed, memory_order_relaxed))
		return NULL;
	platform->end.vcpu = vcpu;
	platform->end.ending = ending;
	return &platform->end;
}

static void stop_all(struct platform *platform)
{
	/* seq_cst: before the look who is idle, in schedule_wake_all(). */
	atomic_store_explicit(&platform->ended, true, memory_order_seq_cst);
	schedule_wake_all(platform);
	/* A kick of one that does not run makes it leave at once if it is run after all. */
	for (unsigned i = 0; i < platform->nr_vcpus; i++)
		tl_vcpu_kick(platform->vcpu[i].vcpu);
}

void serve_end(struct platform_vcpu *vcpu, unsigned ending, const char *how)
{
	struct guest_end *end = claim_end(vcpu, ending);

	if (end)
		text_format(end->how, sizeof(end->how), "%s", how);
	stop_all(vcpu->platform);
}

static void end_by_exit(struct platform_vcpu *vcpu, uint64_t code)
{
	struct guest_end *end = claim_end(vcpu, GUEST_EXIT);

	if (end) {
		end->code = code;
		text_format(end->how, sizeof(end->how), "exit with code %lu", code);
	}
	stop_all(vcpu->platform);
}

static void end_by_stop(struct platform_vcpu *vcpu, const struct tl_exit_stop *stop)
{
	struct guest_end *end = claim_end(vcpu, GUEST_STOP_FIRST + stop->why);

	if (end)
		stop_text(stop, end->how, sizeof(end->how));
	stop_all(vcpu->platform);
}

static bool serve_call(struct platform_vcpu *vcpu, struct tl_exit_vmcall *call)
{
	if (call->number == HC_EXIT) {
		end_by_exit(vcpu, call->argument[0]);
		return false;
	}
	vcpu->yields = false;
	calls_serve(vcpu, call);
	return !vcpu->yields;
}

/* The last one awake that halts, halts the guest: no device of the platform interrupts. */
static void serve_halt(struct platform_vcpu *vcpu)
{
	vcpu->halted = true;
	if (atomic_fetch_sub_explicit(&vcpu->platform->nr_awake, 1, memory_order_relaxed) == 1)
		serve_end(vcpu, GUEST_HALT, tl_exit_name(TL_EXIT_HLT));
}

static void serve_budget(struct platform_vcpu *vcpu)
{
	/* Where vCPUs share CPUs it is the slice that is spent, otherwise all its time. */
	vcpu->left -= vcpu->left ? vcpu->slice : 0;
	if (!vcpu->slice || (vcpu->limited && !vcpu->left))
		serve_end(vcpu, GUEST_TIMEOUT, tl_exit_name(TL_EXIT_BUDGET));
}

static bool served(struct platform_vcpu *vcpu, enum tl_status status)
{
	if (status != TL_OK)
		serve_end(vcpu, GUEST_EXIT, "a device failed");
	return status == TL_OK;
}

bool serve_exit(struct platform_vcpu *vcpu)
{
	struct tl_exit *exit = &vcpu->exit;

	switch (exit->reason) {
	case TL_EXIT_VMCALL:
		return serve_call(vcpu, &exit->vmcall);
	case TL_EXIT_MMIO: /* to a device that has refused it already */
		return served(vcpu, TL_DEVICE_ERROR);
	case TL_EXIT_DRAIN:
		return served(vcpu, device_drain(&exit->mmio));
	case TL_EXIT_IO:
		exit->io.data = UINT32_MAX; /* no port is claimed: all ones, and writes go nowhere */
		return true;
	case TL_EXIT_DEADLINE:
		controller_alarm(vcpu);
		return true;
	case TL_EXIT_KICKED:
		traced_drain(vcpu->platform->services, vcpu->ran_on);
		return !atomic_load_explicit(&vcpu->platform->ended, memory_order_relaxed) &&
		       !atomic_load_explicit(&vcpu->held, memory_order_relaxed);
	case TL_EXIT_HLT:
		/* It looks again and again what its controller has for it. */
		if (vcpu->controller.on)
			return true;
		serve_halt(vcpu);
		break;
	case TL_EXIT_SHUTDOWN:
		serve_end(vcpu, GUEST_SHUTDOWN, tl_exit_name(TL_EXIT_SHUTDOWN));
		break;
	case TL_EXIT_BUDGET:
		serve_budget(vcpu);
		break;
	case TL_EXIT_NO_MEMORY:
		platform_fault(vcpu->platform, "the host ran out of memory for EPT tables: give it more or lower mem=");
		serve_end(vcpu, GUEST_EXIT, tl_exit_name(TL_EXIT_NO_MEMORY));
		break;
	case TL_EXIT_STEP:
		if (calls_stepped(vcpu))
			return true;
		serve_end(vcpu, GUEST_EXIT, "a step could not be written down");
		break;
	case TL_EXIT_STOPPED:
		end_by_stop(vcpu, &exit->stop);
		break;
	}
	return false;
}
