/* SPDX-License-Identifier: MIT */
#include "guest/controller.h"
#include "guest/platform.h"

enum { FIRST_VECTOR = 32, NR_VECTORS = 256 };

static struct controller *of(const struct tl_vcpu *vcpu)
{
	return &((struct platform_vcpu *)tl_vcpu_context(vcpu))->controller;
}

static void request(struct platform_vcpu *to, unsigned vector)
{
	/* seq_cst: before tl_vcpu_interrupt() looks whether the vCPU runs. */
	atomic_fetch_or_explicit(&to->controller.requested[vector / 64], 1ull << vector % 64, memory_order_seq_cst);
	tl_vcpu_interrupt(to->vcpu);
}

static int highest(struct tl_vcpu *vcpu)
{
	for (int word = CONTROLLER_WORDS - 1; word >= 0; word--) {
		/* acquire: what was stored before the request is there for who handles it. */
		uint64_t bits = atomic_load_explicit(&of(vcpu)->requested[word], memory_order_acquire);

		if (bits)
			return word * 64 + 63 - __builtin_clzll(bits);
	}
	return -1;
}

static bool pending(struct tl_vcpu *vcpu)
{
	return highest(vcpu) >= 0;
}

static int acknowledge(struct tl_vcpu *vcpu)
{
	int vector = highest(vcpu);

	/* relaxed: others only set bits, and this vCPU is the one that clears them. */
	if (vector >= 0)
		atomic_fetch_and_explicit(&of(vcpu)->requested[vector / 64], ~(1ull << vector % 64),
					  memory_order_relaxed);
	return vector;
}

uint64_t controller_turn_on(struct platform_vcpu *vcpu)
{
	static const struct tl_processor processor = {.acknowledge = acknowledge, .pending = pending};

	tl_vcpu_set_processor(vcpu->vcpu, &processor);
	vcpu->controller.on = true;
	return 0;
}

uint64_t controller_interrupt(struct platform_vcpu *vcpu, uint64_t index, uint64_t vector)
{
	struct platform *platform = vcpu->platform;

	if (index >= platform->nr_vcpus || vector < FIRST_VECTOR || vector >= NR_VECTORS)
		return HC_FAILED;
	request(&platform->vcpu[index], (unsigned)vector);
	return 0;
}

uint64_t controller_set_alarm(struct platform_vcpu *vcpu, uint64_t ticks, uint64_t vector)
{
	if (!vcpu->controller.on || vector < FIRST_VECTOR || vector >= NR_VECTORS)
		return HC_FAILED;
	vcpu->controller.alarm = (uint8_t)vector;
	return tl_vcpu_set_deadline(vcpu->vcpu, platform_ticks() + ticks) == TL_OK ? 0 : HC_FAILED;
}

void controller_alarm(struct platform_vcpu *vcpu)
{
	request(vcpu, vcpu->controller.alarm);
}
