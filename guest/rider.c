/* SPDX-License-Identifier: MIT */
#include "guest/rider.h"
#include "guest/platform.h"

#define RIDER_NOWHERE 1ull /* no page starts there */

static enum tl_status rider_fault(const struct rider *rider, const struct tl_mmio *access, const char *what)
{
	platform_fault(rider->platform, "rider %u: a %s of %u bytes of 0x%lx at 0x%lx %s", rider->number,
		       access->write ? "write" : "read", access->size, access->data, access->gpa, what);
	return TL_DEVICE_ERROR;
}

/* acquire: pairs with reach(); asked before and after the access, since a commit may return in between. */
static bool may_come_from(struct rider *rider, uint64_t start)
{
	return atomic_load_explicit(&rider->from[0], memory_order_acquire) == start ||
	       atomic_load_explicit(&rider->from[1], memory_order_acquire) == start;
}

/* release: before the commit that makes it so, or after the one that ended it. */
static void reach(struct rider *rider, uint64_t from, uint64_t also)
{
	atomic_store_explicit(&rider->from[0], from, memory_order_release);
	atomic_store_explicit(&rider->from[1], also, memory_order_release);
}

static enum tl_status rider_write(struct rider *rider, struct platform_vcpu *vcpu, const struct tl_mmio *access)
{
	struct rider_count *count = &rider->count[vcpu->index];

	if (access->data >> ABI_RIDE_VCPU_SHIFT != vcpu->index)
		return rider_fault(rider, access, "is another vCPU's");
	if ((access->data >> ABI_RIDE_PLACE_SHIFT & 0xff) != (access->offset / 8 & 0xff))
		return rider_fault(rider, access, "was meant for another register");
	if ((access->data & ABI_RIDE_NUMBER) <= (count->last & ABI_RIDE_NUMBER))
		return rider_fault(rider, access, "comes twice or after a later one");
	count->last = access->data;
	count->writes++;
	return TL_OK;
}

static enum tl_status rider_access(struct tl_mmio *access)
{
	struct rider *rider = access->context;
	struct platform_vcpu *vcpu = tl_vcpu_context(access->vcpu);
	uint64_t start = access->gpa - access->offset;
	enum tl_status status = TL_OK;

	if (!may_come_from(rider, start))
		return rider_fault(rider, access, "comes from where it is no longer");
	if (access->size != 8 || access->offset % 8 || access->offset >= ABI_RIDER_SIZE)
		return rider_fault(rider, access, "is none that a guest makes");
	if (access->write) {
		status = rider_write(rider, vcpu, access);
	} else {
		access->data = rider->count[vcpu->index].last;
		rider->count[vcpu->index].reads++;
	}
	if (!may_come_from(rider, start))
		return rider_fault(rider, access, "still ran when the commit that ended it returned");
	return status;
}

static void rider_release(void *context)
{
	struct rider *rider = context;

	/* From now on nothing may come, whatever the commit's caller has noticed yet. */
	reach(rider, RIDER_NOWHERE, RIDER_NOWHERE);
	if (atomic_fetch_sub_explicit(&rider->live, 1, memory_order_relaxed) != 1)
		platform_fault(rider->platform, "rider %u was released more often than removed", rider->number);
	atomic_fetch_add_explicit(&rider->releases, 1, memory_order_relaxed);
}

void riders_init(struct platform *platform)
{
	for (unsigned i = 0; i < ABI_RIDERS; i++) {
		platform->rider[i].platform = platform;
		platform->rider[i].number = i;
		reach(&platform->rider[i], RIDER_NOWHERE, RIDER_NOWHERE);
	}
}

static enum tl_status rider_note(struct rider *rider, enum abi_edit edit, uint64_t address, struct tl_edit *transaction)
{
	const struct tl_range range = {.kind = TL_RANGE_MMIO,
				       .start = address,
				       .size = ABI_RIDER_SIZE,
				       .access = rider_access,
				       .context = rider,
				       .release = rider_release};

	if (edit == EDIT_ADD)
		return tl_map_add(transaction, &range, &rider->id);
	return edit == EDIT_MOVE ? tl_map_move(transaction, rider->id, address) : tl_map_remove(transaction, rider->id);
}

static enum tl_status rider_commit(struct rider *rider, enum abi_edit edit, uint64_t address)
{
	struct tl_edit *transaction = tl_map_edit(rider->platform->vm);
	enum tl_status status;

	if (!transaction)
		return TL_NO_MEMORY;
	status = rider_note(rider, edit, address, transaction);
	if (status == TL_OK)
		return tl_map_commit(transaction);
	tl_map_discard(transaction);
	return status;
}

/* What the vCPU committed in a callback is completed before its next instruction, so it is by now. */
static void settle(struct platform_vcpu *vcpu)
{
	struct rider *rider = vcpu->unsettled;

	if (rider)
		reach(rider, vcpu->unsettled_at, vcpu->unsettled_at);
	vcpu->unsettled = NULL;
}

/* A place before the commit, and one after it. */
static enum tl_status rider_change(struct platform_vcpu *vcpu, struct rider *rider, enum abi_edit edit,
				   uint64_t address)
{
	uint64_t before = atomic_load_explicit(&rider->from[0], memory_order_relaxed);
	uint64_t after = edit == EDIT_REMOVE ? RIDER_NOWHERE : address;
	enum tl_status status;

	reach(rider, before, edit == EDIT_REMOVE ? before : after);
	if (edit == EDIT_ADD)
		atomic_fetch_add_explicit(&rider->live, 1, memory_order_relaxed);
	status = rider_commit(rider, edit, address);
	if (status < TL_OK) {
		if (edit == EDIT_ADD)
			atomic_fetch_sub_explicit(&rider->live, 1, memory_order_relaxed);
		reach(rider, before, before);
	} else if (status == TL_OK) {
		reach(rider, after, after);
	} else {
		vcpu->unsettled = rider;
		vcpu->unsettled_at = after;
	}
	return status;
}

uint64_t rider_edit(struct platform_vcpu *vcpu, uint64_t edit, uint64_t number, uint64_t operand)
{
	struct platform *platform = vcpu->platform;
	struct rider *rider;

	settle(vcpu);
	if (edit == EDIT_INVALIDATE)
		return (uint64_t)(int64_t)tl_vm_invalidate_mmio(platform->vm);
	if (number >= ABI_RIDERS || (edit != EDIT_ADD && edit != EDIT_REMOVE && edit != EDIT_MOVE))
		return HC_FAILED;
	rider = &platform->rider[number];
	if ((edit == EDIT_ADD) != (atomic_load_explicit(&rider->live, memory_order_relaxed) == 0))
		return HC_FAILED;
	return (uint64_t)(int64_t)rider_change(vcpu, rider, (enum abi_edit)edit, operand);
}

enum tl_status rider_control(struct tl_mmio *access)
{
	struct device *device = access->context;
	struct platform_vcpu *vcpu = tl_vcpu_context(access->vcpu);

	if (access->size != 8)
		return TL_DEVICE_ERROR;
	vcpu->accesses[device->number][access->write][8]++;
	if (access->write)
		vcpu->ride_status = rider_edit(vcpu, access->data >> 56, access->offset / 8, access->data << 8 >> 8);
	else
		access->data = vcpu->ride_status;
	return TL_OK;
}

struct abi_rider rider_report(const struct rider *rider)
{
	struct abi_rider report = {.releases = atomic_load_explicit(&rider->releases, memory_order_relaxed),
				   .live = atomic_load_explicit(&rider->live, memory_order_relaxed)};

	for (unsigned i = 0; i < ABI_VCPUS; i++) {
		report.reads += rider->count[i].reads;
		report.writes += rider->count[i].writes;
	}
	return report;
}

uint64_t riders_accesses(const struct platform *platform)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ABI_RIDERS; i++) {
		struct abi_rider report = rider_report(&platform->rider[i]);

		sum += report.reads + report.writes;
	}
	return sum;
}
