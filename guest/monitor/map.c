/* SPDX-License-Identifier: MIT */
/* The monitor's commands on the map and the EPT. */
#include "guest/monitor/parts.h"

static const char *const kind_names[] = {
	[TL_RANGE_RAM] = "RAM",           [TL_RANGE_ROM] = "ROM",           [TL_RANGE_MMIO] = "MMIO",
	[TL_RANGE_DOORBELL] = "doorbell", [TL_RANGE_EXECUTE_ONLY] = "code", [TL_RANGE_PASSTHROUGH] = "passthrough",
	[TL_RANGE_APIC] = "APIC",
};

static bool is_memory(enum tl_range_kind kind)
{
	return kind != TL_RANGE_MMIO && kind != TL_RANGE_DOORBELL;
}

static const char *refusal(enum tl_status status)
{
	return status < TL_OK ? tl_status_text(status) : NULL;
}

static void print_range(struct monitor *monitor, const struct guest_view *view, const struct tl_range_info *range)
{
	monitor->print("%4u  %016lx to %016lx  %-11s ", range->id, range->start, range->start + range->size - 1,
		       kind_names[range->kind]);
	if (is_memory(range->kind))
		monitor->print("%7s", "");
	else if (range->stamping)
		monitor->print("  %05x", range->tag);
	else
		monitor->print("  wraps");
	monitor->print("  %s%s\n", view->range_name(view, range->start), range->logged ? " (logged)" : "");
}

const char *monitor_ranges(struct monitor *monitor, const struct guest_view *view)
{
	struct tl_range_info range;
	uint64_t from = 0;
	struct tl_stats stats;

	monitor->print("  id  from             to                kind            tag  name\n");
	while (tl_map_next(view->vm, from, &range)) {
		print_range(monitor, view, &range);
		from = range.start + range.size;
		if (!from)
			break;
	}
	tl_stats(view->vm, &stats);
	monitor->print("generation 0x%lx\n", stats.generation);
	return NULL;
}

static void print_mmio(struct monitor *monitor, const struct tl_ept_entry *entry)
{
	if (entry->id == TL_HOLE)
		monitor->print("MMIO, the hole");
	else
		monitor->print("MMIO, range %u", entry->id);
	if (entry->fresh)
		monitor->print(", tag %05x, fresh\n", entry->tag);
	else
		monitor->print(", tag %05x, stale: the range has %05x\n", entry->tag, entry->wanted);
}

static void print_entry(struct monitor *monitor, const struct tl_ept_entry *entry)
{
	static const char *const types[8] = {"UC", "WC", "reserved", "reserved", "WT", "WP", "WB", "reserved"};

	monitor->print("level %u [%3u]  %016lx  ", entry->level, entry->index, entry->value);
	switch (entry->kind) {
	case TL_EPT_EMPTY:
		monitor->print("not present: the next access is searched for\n");
		return;
	case TL_EPT_MMIO:
		print_mmio(monitor, entry);
		return;
	case TL_EPT_BAD:
		monitor->print("misconfigured, and not ours\n");
		return;
	case TL_EPT_TABLE:
		monitor->print("table at %lx\n", entry->address);
		return;
	case TL_EPT_LEAF:
		monitor->print("%c%c%c %s%s%s, memory at %lx, %lu KiB from %lx\n", entry->read ? 'r' : '-',
			       entry->write ? 'w' : '-', entry->execute ? 'x' : '-', types[entry->memory_type],
			       entry->accessed ? " accessed" : "", entry->dirty ? " dirty" : "", entry->address,
			       entry->size >> 10, entry->first);
		return;
	}
}

const char *monitor_walk(struct monitor *monitor, const struct guest_view *view, uint64_t gpa)
{
	struct tl_ept_entry entry[TL_EPT_LEVELS];
	unsigned count = tl_ept_describe(view->vm, gpa, entry);

	if (!count)
		return "a walk of 4 levels does not reach that far; 0xffffffffffff is the last address.";
	for (unsigned i = 0; i < count; i++)
		print_entry(monitor, &entry[i]);
	return NULL;
}

const char *monitor_bump(const struct guest_view *view)
{
	return refusal(tl_vm_invalidate_mmio(view->vm));
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

/* relaxed: a register; who accesses it from two vCPUs gets one of the two values. */
static enum tl_status device_access(struct tl_mmio *access)
{
	struct monitor_device *device = access->context;

	if (access->write)
		atomic_store_explicit(&device->data, access->data, memory_order_relaxed);
	else
		access->data = atomic_load_explicit(&device->data, memory_order_relaxed);
	return TL_OK;
}

static void device_release(void *context)
{
	struct monitor_device *device = context;

	/* release: no access comes later, and the next one to add a device may have this one. */
	atomic_store_explicit(&device->used, false, memory_order_release);
}

/* Commits the edit that was noted with `status`, or discards it. */
static enum tl_status finish(struct tl_edit *edit, enum tl_status status)
{
	if (status == TL_OK)
		return tl_map_commit(edit);
	tl_map_discard(edit);
	return status;
}

static struct monitor_device *find_device(struct monitor *monitor)
{
	for (unsigned i = 0; i < MONITOR_DEVICES; i++)
		/* acquire: pairs with device_release(). */
		if (!atomic_load_explicit(&monitor->device[i].used, memory_order_acquire))
			return &monitor->device[i];
	return NULL;
}

const char *monitor_add(struct monitor *monitor, const struct guest_view *view, uint64_t start, uint64_t size)
{
	struct monitor_device *device = find_device(monitor);
	const struct tl_range range = {.kind = TL_RANGE_MMIO,
				       .start = start,
				       .size = size,
				       .access = device_access,
				       .context = device,
				       .release = device_release};
	struct tl_edit *edit;
	enum tl_status status;
	tl_range_id id;

	if (!device)
		return "the monitor has no further device; remove one of its own.";
	edit = tl_map_edit(view->vm);
	if (!edit)
		return tl_status_text(TL_NO_MEMORY);
	device->vm = view->vm;
	atomic_store_explicit(&device->data, 0, memory_order_relaxed);
	atomic_store_explicit(&device->used, true, memory_order_relaxed);
	status = finish(edit, tl_map_add(edit, &range, &id));
	if (status < TL_OK)
		atomic_store_explicit(&device->used, false, memory_order_relaxed);
	else
		monitor->print("range %u\n", id);
	return refusal(status);
}

const char *monitor_remove(const struct guest_view *view, uint64_t id)
{
	struct tl_edit *edit = tl_map_edit(view->vm);

	if (!edit)
		return tl_status_text(TL_NO_MEMORY);
	return refusal(finish(edit, id <= UINT32_MAX ? tl_map_remove(edit, (tl_range_id)id) : TL_NO_RANGE));
}

const char *monitor_move(const struct guest_view *view, uint64_t id, uint64_t start)
{
	struct tl_edit *edit = tl_map_edit(view->vm);

	if (!edit)
		return tl_status_text(TL_NO_MEMORY);
	return refusal(finish(edit, id <= UINT32_MAX ? tl_map_move(edit, (tl_range_id)id, start) : TL_NO_RANGE));
}
