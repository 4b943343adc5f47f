/* SPDX-License-Identifier: MIT */
#include "guest/rebirth.h"

enum { VMCALL_BYTES = 3, PAGE_BYTES = 4096 };

static enum tl_status copy_registers(struct platform_vcpu *from, struct tl_vcpu *to)
{
	struct tl_state state;
	enum tl_status status = tl_vcpu_get(from->vcpu, &state);

	if (status != TL_OK)
		return status;
	state.rip += VMCALL_BYTES;
	state.gpr[TL_RAX] = from->exit.vmcall.result;
	return tl_vcpu_set(to, &state);
}

static enum tl_status copy_msrs(struct tl_vcpu *from, struct tl_vcpu *to)
{
	uint32_t msr = 0;

	while (tl_msr_next(&msr)) {
		uint64_t value;
		enum tl_status status = tl_vcpu_get_msr(from, msr, &value);

		if (status == TL_INVALID_ARGUMENT)
			continue;
		if (status == TL_OK)
			status = tl_vcpu_set_msr(to, msr, value);
		if (status != TL_OK)
			return status;
	}
	return TL_OK;
}

static enum tl_status copy_vectors(const struct guest_services *services, struct tl_vcpu *from, struct tl_vcpu *to)
{
	size_t pages = (tl_xstate_size() + PAGE_BYTES - 1) / PAGE_BYTES;
	void *area = services->alloc_pages(pages);
	enum tl_status status;
	uint64_t xcr0;

	if (!area)
		return TL_NO_MEMORY;
	status = tl_vcpu_get_xstate(from, &xcr0, area);
	if (status == TL_OK)
		status = tl_vcpu_set_xstate(to, xcr0, area);
	services->free_pages(area, pages);
	return status;
}

enum tl_status rebirth(struct platform_vcpu *vcpu)
{
	enum tl_status status;
	struct tl_vcpu *new;

	if (vcpu->former)
		return TL_INVALID_ARGUMENT;
	new = platform_new_vcpu(vcpu, &status);
	if (!new)
		return status;
	if (status == TL_OK)
		status = copy_registers(vcpu, new);
	if (status == TL_OK)
		status = copy_msrs(vcpu->vcpu, new);
	if (status == TL_OK)
		status = copy_vectors(vcpu->platform->services, vcpu->vcpu, new);
	if (status != TL_OK) {
		tl_vcpu_destroy(new);
		return status;
	}
	tl_vcpu_unload(new);
	vcpu->former = vcpu->vcpu;
	vcpu->vcpu = new;
	vcpu->exit.reason = TL_EXIT_KICKED;
	return TL_OK;
}
