/* SPDX-License-Identifier: MIT */
#include "mmu/ept_table.h"
#include "mmu/dirty.h"
#include "mmu/hooks.h"
#include "mmu/trace.h"

/* A leaf of execute-only memory, on a CPU that has it. */
static bool is_execute_only(ept_entry_t entry, unsigned level)
{
	return mmu_cpu.execute_only && (entry & EPT_RWX) == EPT_EXECUTE && (level == 1 || entry & EPT_LARGE);
}

/* What SDM 29.3.3.1 calls a misconfiguration, of the entry that ends a walk and is no MMIO entry. */
static bool is_malformed(ept_entry_t entry, unsigned level)
{
	ept_entry_t type = entry & EPT_MEMORY_TYPE;

	if ((entry & EPT_RWX) == 0)
		return false;
	/* A table that could not be followed, or a leaf where none can be. */
	if (ept_is_table(entry, level) || level > mmu_cpu.ept_level)
		return true;
	if (!(entry & EPT_READ) && !is_execute_only(entry, level))
		return true;
	if (entry & ept_reserved_address())
		return true;
	if (entry & EPT_ADDRESS & (EPT_SPAN(level) - 1))
		return true;
	return type == (2ull << 3) || type == (3ull << 3) || type == (7ull << 3);
}

void ept_walk(const struct tl_vm *vm, gpa_t gpa, struct ept_walk *walk)
{
	ept_entry_t entry;

	ept_descend(vm, gpa, walk);
	entry = walk->entry;
	walk->malformed = !is_mmio_spte(entry) && unlikely(is_malformed(entry, walk->level));
}

/*
 * Fills a table with the leaves that cover together what the leaf `entry` at `level` covers, to put `page` among them.
 * Of pages whose writes the CPU notes every one may be written, once one may. Not COLD: the compiler would make it
 * small and not fast.
 */
static __attribute__((noinline)) void split(ept_slot_t *table, ept_entry_t entry, unsigned level, ept_entry_t page)
{
	const uint64_t span = EPT_SPAN(level - 1);

	if (level == 2) {
		entry &= ~EPT_LARGE;
		if ((page & (EPT_WRITE | EPT_DIRTY)) == EPT_WRITE)
			entry = (entry | EPT_WRITE) & ~EPT_DIRTY;
	}
	/* The first write to what is logged pays for it. */
#pragma GCC unroll 8
	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++, entry += span)
		/* relaxed: nobody sees the table before it is linked. */
		atomic_store_explicit(&table[i], entry, memory_order_relaxed);
}

bool ept_split(ept_slot_t *table, const struct ept_walk *walk, ept_entry_t page)
{
	ept_entry_t seen = walk->entry;

	split(table, seen, walk->level, page);
	/* release: as in descend(). */
	return atomic_compare_exchange_strong_explicit(walk->slot, &seen, host_to_phys((void *)table) | EPT_TABLE_FLAGS,
						       memory_order_release, memory_order_relaxed);
}

/* Puts a table under the walk's end, on the way to where `entry` goes, and steps down into it. */
static enum ept_install descend(struct tl_vm *vm, gpa_t gpa, struct ept_walk *walk, ept_entry_t entry)
{
	ept_slot_t *table = ept_page_take(vm);
	ept_entry_t seen = walk->entry;
	unsigned index = ept_index(gpa, walk->level - 1);
	bool splits = ept_is_present(seen);
	ept_entry_t below;

	if (!table)
		return EPT_NO_MEMORY;
	if (splits)
		split(table, seen, walk->level, entry);
	below = atomic_load_explicit(&table[index], memory_order_relaxed);
	/* release: the table's contents before the pointer to it. */
	if (!atomic_compare_exchange_strong_explicit(walk->slot, &seen, host_to_phys((void *)table) | EPT_TABLE_FLAGS,
						     memory_order_release, memory_order_relaxed)) {
		ept_page_put_back(vm, table, splits);
		return EPT_RACED;
	}
	walk->slot = &table[index];
	walk->entry = below;
	walk->level--;
	return EPT_INSTALLED;
}

enum ept_install ept_install(struct tl_vm *vm, gpa_t gpa, struct ept_walk *walk, unsigned level, ept_entry_t entry)
{
	ept_entry_t seen;

	while (walk->level > level) {
		enum ept_install status = descend(vm, gpa, walk, entry);

		if (status != EPT_INSTALLED)
			return status;
	}
	seen = walk->entry;
	if (!atomic_compare_exchange_strong_explicit(walk->slot, &seen, entry, memory_order_release,
						     memory_order_relaxed))
		return EPT_RACED;
	walk->entry = entry;
	return EPT_INSTALLED;
}

/* False: the slot changed meanwhile, and is to be looked at again. */
typedef bool (*ept_visit_fn)(void *context, ept_slot_t *slot, ept_entry_t entry, gpa_t gpa);

/* Visits what is neither empty nor a table and meets [first, last], in the table at `level` that begins at `base`. */
static void visit_table(ept_slot_t *table, unsigned level, gpa_t base, gpa_t first, gpa_t last, ept_visit_fn visit,
			void *context)
{
	uint64_t span = EPT_SPAN(level);
	unsigned from = first > base ? (unsigned)((first - base) / span) : 0;

	for (unsigned i = from; i < EPT_NR_ENTRIES && base + i * span <= last; i++) {
		/* acquire: as in ept_walk(). */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_acquire);

		while (unlikely(entry)) {
			if (level > 1 && ept_leads_down(entry, ept_reserved_address())) {
				visit_table(ept_table_at(entry), level - 1, base + i * span, first, last, visit,
					    context);
				break;
			}
			if (visit(context, &table[i], entry, base + i * span))
				break;
			entry = atomic_load_explicit(&table[i], memory_order_acquire);
		}
	}
}

static bool zap_present(void *context, ept_slot_t *slot, ept_entry_t entry, gpa_t gpa)
{
	if (!ept_is_present(entry))
		return true;
	/* First the mark: a fetch that finds the flag gone finds it (rule 13). */
	dirty_zap(context, gpa, entry);
	/*
	 * By compare: a vCPU may have split the leaf meanwhile, and then it is the parts that have to go (rule 4); or
	 * the CPU may have set the flag.
	 */
	return atomic_compare_exchange_strong_explicit(slot, &entry, 0, memory_order_acq_rel, memory_order_relaxed);
}

void ept_zap_present(struct tl_vm *vm, gpa_t first, gpa_t last)
{
	if (trace_is_on(TL_TRACE_ZAP))
		trace_numbers(TL_TRACE_ZAP, first, last);
	visit_table(vm->root, EPT_LEVELS, 0, first, last, zap_present, vm);
}

static bool zap_mmio(void *context, ept_slot_t *slot, ept_entry_t entry, gpa_t gpa)
{
	struct tl_vm *vm = context;

	(void)gpa;
	if (!is_mmio_spte(entry))
		return true;
	if (!atomic_compare_exchange_strong_explicit(slot, &entry, 0, memory_order_acq_rel, memory_order_relaxed))
		return false;
	/* relaxed: a count. */
	atomic_fetch_add_explicit(&vm->zapped, 1, memory_order_relaxed);
	return true;
}

void ept_zap_mmio(struct tl_vm *vm)
{
	if (trace_is_on(TL_TRACE_ZAP))
		trace_numbers(TL_TRACE_ZAP, 0, BIT(48) - 1);
	visit_table(vm->root, EPT_LEVELS, 0, 0, BIT(48) - 1, zap_mmio, vm);
}

static bool count_mmio(void *context, ept_slot_t *slot, ept_entry_t entry, gpa_t gpa)
{
	(void)slot;
	(void)gpa;
	*(size_t *)context += is_mmio_spte(entry);
	return true;
}

size_t ept_count_mmio_below(ept_slot_t *table, unsigned level)
{
	size_t count = 0;

	visit_table(table, level, 0, 0, BIT(48) - 1, count_mmio, &count);
	return count;
}

size_t ept_count_mmio(const struct tl_vm *vm)
{
	return ept_count_mmio_below(vm->root, EPT_LEVELS);
}

bool ept_create(struct tl_vm *vm)
{
	vm->root = ept_page_take(vm);
	return vm->root != NULL;
}

static void free_table(struct tl_vm *vm, ept_slot_t *table, unsigned level)
{
	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++) {
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_relaxed);

		if (level > 1 && ept_leads_down(entry, ept_reserved_address()))
			free_table(vm, ept_table_at(entry), level - 1);
	}
	ept_page_free(vm, table);
}

void ept_destroy(struct tl_vm *vm)
{
	free_table(vm, vm->root, EPT_LEVELS);
	ept_pages_drain(vm);
}

bool ept_l1tf_target(hpa_t start, hpa_t end, unsigned maxphyaddr)
{
	for (unsigned width = maxphyaddr < 36 ? 36 : maxphyaddr; width <= 46; width++) {
		hpa_t top = BIT(width);

		if (start < top && end > top - BIT(32))
			return true;
	}
	return false;
}
