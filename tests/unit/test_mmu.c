/* SPDX-License-Identifier: MIT */
/* The verdict on an entry, and what a fault leaves in the EPT. */
#include "mmu/mmu.h"
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIB2		EPT_SPAN(2)
#define GIB		EPT_SPAN(3)

static struct tl_vm *vm;

static void start(unsigned mmio_level)
{
	struct tl_vm_config config = {.mmio_level = mmio_level};
	enum tl_status status;

	hosted_start();
	vm = tl_vm_create(&config, &status);
	assert_int_equal(status, TL_OK);
}

static void stop(void)
{
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(hosted.pages_out, 0);
}

static int setup(void **context)
{
	(void)context;
	start(0);
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	hosted.on_alloc = NULL;
	stop();
	return 0;
}

static const struct map *map_now(void)
{
	return atomic_load_explicit(&vm->map, memory_order_relaxed);
}

static tl_range_id add(enum tl_range_kind kind, uint64_t start_at, uint64_t size, uint8_t *host)
{
	struct tl_range range = {.kind = kind, .start = start_at, .size = size, .host = host};
	struct tl_edit *edit = tl_map_edit(vm);
	tl_range_id id = TL_HOLE;

	assert_int_equal(tl_map_add(edit, &range, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	return id;
}

static tl_range_id add_mmio(uint64_t start_at, uint64_t size)
{
	return add(TL_RANGE_MMIO, start_at, size, NULL);
}

static enum tl_status commit_remove(tl_range_id id)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	return tl_map_commit(edit);
}

static struct ept_walk walk_to(gpa_t gpa)
{
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	return walk;
}

static enum mmio_verdict verdict_on(ept_entry_t entry, unsigned level)
{
	struct ept_walk walk = walk_to(0);
	const struct map_range *range = NULL;
	enum mmio_verdict verdict;

	assert_int_equal(ept_install(vm, 0, &walk, level, entry), EPT_INSTALLED);
	walk = walk_to(0);
	verdict = mmu_examine(map_now(), &walk, &range);
	if (verdict == MMIO_EMULATE)
		assert_int_equal(range->id, mmio_spte_id(entry));
	atomic_store(walk.slot, 0);
	ept_destroy(vm);
	assert_true(ept_create(vm));
	return verdict;
}

/* The first half of a wrap, by a commit inside a callback of `reader`. */
static void begin_wrap(struct grace_reader *reader)
{
	while (vm_tag(vm, map_now()->generation) != vm->tag_mask)
		assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	grace_reader_add(reader, vm);
	grace_enter(reader);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_PENDING);
	assert_false(map_now()->stamping);
}

static uint32_t tag_of(tl_range_id id)
{
	return vm_tag(vm, map_now()->ranges[id].generation);
}

static void the_four_verdicts(void **context)
{
	tl_range_id device = add_mmio(0x1000, 0x1000), gone = add_mmio(0x5000, 0x1000);
	uint32_t gone_tag = tag_of(gone);

	(void)context;
	assert_int_equal(commit_remove(gone), TL_OK);
	for (unsigned level = 1; level <= 3; level++) {
		static const tl_range_id ids[] = {TL_HOLE, MAP_SHARED_ID};

		for (size_t i = 0; i < COUNT_OF(ids); i++) {
			assert_int_equal(verdict_on(mmio_spte_make(ids[i], tag_of(ids[i])), level), MMIO_EMULATE);
			assert_int_equal(verdict_on(mmio_spte_make(ids[i], tag_of(ids[i]) ^ 1), level), MMIO_INVALID);
		}
		assert_int_equal(verdict_on(mmio_spte_make(device, tag_of(device)), level), MMIO_EMULATE);
		for (unsigned bit = 0; bit < MMIO_TAG_BITS; bit++)
			assert_int_equal(verdict_on(mmio_spte_make(device, tag_of(device) ^ 1u << bit), level),
					 MMIO_INVALID);
		/* Ids that are no range: freed, past the end. */
		assert_int_equal(verdict_on(mmio_spte_make(gone, gone_tag), level), MMIO_INVALID);
		assert_int_equal(verdict_on(mmio_spte_make(gone, 0), level), MMIO_INVALID);
		assert_int_equal(verdict_on(mmio_spte_make(map_now()->nr_slots, tag_of(device)), level), MMIO_INVALID);
		assert_int_equal(verdict_on(mmio_spte_make(MMIO_MAX_ID, tag_of(device)), level), MMIO_INVALID);
		/* Not an MMIO entry any more. */
		assert_int_equal(verdict_on(0, level), MMIO_RETRY);
		assert_int_equal(verdict_on(EPT_ADDRESS | EPT_SUPPRESS_VE, level), MMIO_RETRY);
		assert_int_equal(verdict_on(GIB | EPT_RWX | EPT_TYPE_WB | (level > 1 ? EPT_LARGE : 0), level),
				 MMIO_RETRY);
		/* Misconfigured, not by us. */
		assert_int_equal(verdict_on(EPT_WRITE | EPT_EXECUTE, level), MMIO_BUG);
		assert_int_equal(verdict_on(EPT_WRITE, level), MMIO_BUG);
		assert_int_equal(verdict_on(GIB | EPT_RWX | EPT_LARGE | 3ull << 3, level), MMIO_BUG);
	}
}

/* Every bit of a fresh entry that must be what it is. */
static void one_bit_off_is_a_bug(void **context)
{
	tl_range_id device = add_mmio(0x1000, 0x1000);
	ept_entry_t entry = mmio_spte_make(device, tag_of(device));

	(void)context;
	for (unsigned bit = 0; bit < 64; bit++) {
		enum mmio_verdict verdict = verdict_on(entry ^ 1ull << bit, 1);

		/* Another range of the same commit has the same tag. */
		if (MMIO_SPTE_FIELD(ID) >> bit & 1 && mmio_spte_id(entry ^ 1ull << bit) < map_now()->nr_slots)
			continue;
		assert_int_equal(verdict, MMIO_SPTE_CONSTANT_MASK >> bit & 1 ? MMIO_BUG : MMIO_INVALID);
	}
}

/* The fast path compares without asking first whether it is an MMIO entry: nothing else may ever compare equal. */
static void the_compare_alone(void **context)
{
	const struct map_range *range;
	struct grace_reader reader = {.entry_round = 0};
	tl_range_id device = add_mmio(0x1000, 0x1000);
	static const ept_entry_t others[] = {0, ~0ull, EPT_RWX, EPT_ADDRESS | EPT_RWX, MAP_NO_SPTE};

	(void)context;
	for (unsigned off = 0; off < 2; off++) {
		assert_int_equal(map_now()->stamping, !off);
		for (size_t i = 0; i < COUNT_OF(others); i++)
			assert_int_equal(check_mmio_spte(map_now(), others[i], &range), MMIO_INVALID);
		assert_int_equal(check_mmio_spte(map_now(), map_now()->ranges[device].fresh, &range),
				 off ? MMIO_INVALID : MMIO_EMULATE);
		if (off)
			break;
		/* A wrap under way: the map does not stamp, and zapped entries are 0. */
		begin_wrap(&reader);
	}
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader);
	grace_reader_remove(&reader);
}

/* Serves a fault, checks what serves it and what is left: an MMIO entry of `id` at `level`. */
static void expect_mmio(gpa_t gpa, enum mmu_access access, tl_range_id server, tl_range_id id, unsigned level)
{
	const struct map_range *range = NULL;
	struct ept_walk walk = walk_to(gpa);

	assert_int_equal(mmu_fault(vm, map_now(), gpa, access, &walk, &range), MMU_SERVE);
	assert_int_equal(range->id, server);
	/* The walk went along. */
	assert_int_equal(walk.entry, mmio_spte_make(id, tag_of(id)));
	assert_int_equal(atomic_load(walk.slot), walk.entry);
	walk = walk_to(gpa);
	assert_int_equal(walk.entry, mmio_spte_make(id, tag_of(id)));
	assert_int_equal(walk.level, level);
	assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_EMULATE);
	assert_int_equal(range->id, id);
}

static void mmio_at_every_level(void **context)
{
	(void)context;
	for (unsigned most = 0; most <= 3; most++) {
		unsigned limit = most ? most : 3;
		tl_range_id small, two, one;

		start(most);
		small = add_mmio(0x1000, 0x3000);
		two = add_mmio(GIB + MIB2, 2 * MIB2);
		one = add_mmio(4 * GIB, 2 * GIB + MIB2 + PAGE_SIZE);
		expect_mmio(0x2abc, MMU_READ, small, small, 1);
		expect_mmio(GIB + 2 * MIB2 - 1, MMU_WRITE, two, two, limit < 2 ? limit : 2);
		expect_mmio(GIB + 2 * MIB2, MMU_FETCH, two, two, limit < 2 ? limit : 2);
		expect_mmio(5 * GIB + 0x123456, MMU_READ, one, one, limit);
		/* Where the range ends, smaller ones do. */
		expect_mmio(6 * GIB + 0x123456, MMU_READ, one, one, limit < 2 ? limit : 2);
		expect_mmio(6 * GIB + MIB2 + 0xfff, MMU_READ, one, one, 1);
		expect_mmio(6 * GIB + MIB2 + PAGE_SIZE, MMU_READ, TL_HOLE, TL_HOLE, 1);
		expect_mmio(6 * GIB + 2 * MIB2, MMU_READ, TL_HOLE, TL_HOLE, limit < 2 ? limit : 2);
		expect_mmio(GIB, MMU_WRITE, TL_HOLE, TL_HOLE, limit < 2 ? limit : 2);
		expect_mmio(0, MMU_WRITE, TL_HOLE, TL_HOLE, 1);
		expect_mmio(BIT(39) - 1, MMU_WRITE, TL_HOLE, TL_HOLE, limit);
		/* A smaller entry that stands already is not made larger: its table stays. */
		expect_mmio(7 * GIB, MMU_READ, TL_HOLE, TL_HOLE, limit);
		stop();
	}
}

static void shared_pages(void **context)
{
	tl_range_id a = add_mmio(0x1100, 0x20), b = add_mmio(0x1800, 0x900), c = add_mmio(0x3000, 0x1000);

	(void)context;
	expect_mmio(0x1000, MMU_READ, TL_HOLE, MAP_SHARED_ID, 1);
	expect_mmio(0x111f, MMU_READ, a, MAP_SHARED_ID, 1);
	expect_mmio(0x1120, MMU_READ, TL_HOLE, MAP_SHARED_ID, 1);
	expect_mmio(0x1fff, MMU_WRITE, b, MAP_SHARED_ID, 1);
	expect_mmio(0x20ff, MMU_WRITE, b, MAP_SHARED_ID, 1);
	expect_mmio(0x2100, MMU_WRITE, TL_HOLE, MAP_SHARED_ID, 1);
	expect_mmio(0x3000, MMU_WRITE, c, c, 1);
	/* A page that ceases to be shared is not taken for one that is. */
	assert_int_equal(commit_remove(a), TL_OK);
	assert_int_equal(commit_remove(b), TL_OK);
	for (gpa_t gpa = 0x1000; gpa < 0x3000; gpa += PAGE_SIZE) {
		const struct map_range *range;
		struct ept_walk walk = walk_to(gpa);

		assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_INVALID);
		expect_mmio(gpa, MMU_READ, TL_HOLE, TL_HOLE, 1);
	}
}

static enum mmu_fault fault(gpa_t gpa, enum mmu_access access)
{
	const struct map_range *range = NULL;
	struct ept_walk walk = walk_to(gpa);
	enum mmu_fault result = mmu_fault(vm, map_now(), gpa, access, &walk, &range);

	if (result != MMU_CORRUPT)
		assert_int_equal(range->id, map_find(map_now(), gpa)->id);
	return result;
}

static void expect_leaf(gpa_t gpa, unsigned level, ept_entry_t rights, const uint8_t *host)
{
	struct ept_walk walk = walk_to(gpa);

	assert_false(walk.malformed);
	assert_int_equal(walk.level, level);
	assert_int_equal(walk.entry & ~EPT_ADDRESS, rights | EPT_TYPE_WB | (level > 1 ? EPT_LARGE : 0));
	assert_int_equal((walk.entry & EPT_ADDRESS) + (gpa & (EPT_SPAN(level) - 1)), host_to_phys(host));
}

static void ram_is_mapped_as_large_as_it_is_aligned(void **context)
{
	(void)context;
	/* From 2 MiB + 4 KiB below 1 GiB to as much above 2 GiB, in step with the host's addresses. */
	add(TL_RANGE_RAM, GIB - MIB2 - PAGE_SIZE, GIB + 2 * (MIB2 + PAGE_SIZE), hosted_memory(GIB - MIB2 - PAGE_SIZE));
	assert_int_equal(fault(GIB + 0x1234567, MMU_WRITE), MMU_MAPPED);
	expect_leaf(GIB + 0x1234567, 3, EPT_RWX, hosted_memory(GIB + 0x1234567));
	assert_int_equal(fault(GIB - 1, MMU_READ), MMU_MAPPED);
	expect_leaf(GIB - 1, 2, EPT_RWX, hosted_memory(GIB - 1));
	assert_int_equal(fault(GIB - MIB2 - 1, MMU_FETCH), MMU_MAPPED);
	expect_leaf(GIB - MIB2 - 1, 1, EPT_RWX, hosted_memory(GIB - MIB2 - 1));
	assert_int_equal(fault(2 * GIB, MMU_READ), MMU_MAPPED);
	expect_leaf(2 * GIB, 2, EPT_RWX, hosted_memory(2 * GIB));
	assert_int_equal(fault(2 * GIB + MIB2, MMU_READ), MMU_MAPPED);
	expect_leaf(2 * GIB + MIB2, 1, EPT_RWX, hosted_memory(2 * GIB + MIB2));
	/* The entry is right already. */
	assert_int_equal(fault(GIB, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_SPURIOUS);
	assert_int_equal(fault(GIB, MMU_FETCH), MMU_SPURIOUS);
	assert_int_equal(fault(GIB - MIB2 - PAGE_SIZE - 1, MMU_READ), MMU_SERVE);
}

static void host_memory_out_of_step(void **context)
{
	(void)context;
	/* Off by a page: never large. Off by 2 MiB: never 1 GiB. */
	add(TL_RANGE_RAM, GIB, 2 * GIB, hosted_memory(PAGE_SIZE));
	add(TL_RANGE_RAM, 4 * GIB, 2 * GIB, hosted_memory(MIB2));
	assert_int_equal(fault(GIB + 0x200000, MMU_READ), MMU_MAPPED);
	expect_leaf(GIB + 0x200000, 1, EPT_RWX, hosted_memory(PAGE_SIZE + 0x200000));
	assert_int_equal(fault(5 * GIB, MMU_READ), MMU_MAPPED);
	expect_leaf(5 * GIB, 2, EPT_RWX, hosted_memory(MIB2 + GIB));
}

static void the_cpus_largest_leaf(void **context)
{
	(void)context;
	add(TL_RANGE_RAM, 0, 4 * GIB, hosted_memory(0));
	for (unsigned level = 1; level <= 3; level++) {
		mmu_cpu.ept_level = level;
		assert_int_equal(fault(level * GIB + 0x765432, MMU_READ), MMU_MAPPED);
		expect_leaf(level * GIB + 0x765432, level, EPT_RWX, hosted_memory(level * GIB + 0x765432));
	}
	mmu_cpu.ept_level = 3;
}

/* INTEL-SA-00210: nothing is executed from a large leaf; the page fetched from is split off, and only that. */
static void a_fetch_splits_where_large_leaves_do_not_execute(void **context)
{
	(void)context;
	mmu_cpu.large_executable = false;
	add(TL_RANGE_RAM, 0, 4 * GIB, hosted_memory(0));
	assert_int_equal(fault(GIB + 0x5000, MMU_READ), MMU_MAPPED);
	expect_leaf(GIB + 0x5000, 3, EPT_READ | EPT_WRITE, hosted_memory(GIB + 0x5000));
	assert_int_equal(fault(GIB + 0x5000, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(GIB + 0x5000, MMU_FETCH), MMU_MAPPED);
	expect_leaf(GIB + 0x5000, 1, EPT_RWX, hosted_memory(GIB + 0x5000));
	expect_leaf(GIB + 0x4000, 1, EPT_READ | EPT_WRITE, hosted_memory(GIB + 0x4000));
	expect_leaf(GIB + MIB2, 2, EPT_READ | EPT_WRITE, hosted_memory(GIB + MIB2));
	assert_int_equal(fault(GIB + 0x4000, MMU_FETCH), MMU_MAPPED);
	expect_leaf(GIB + 0x4000, 1, EPT_RWX, hosted_memory(GIB + 0x4000));
	assert_int_equal(fault(GIB + 0x5000, MMU_FETCH), MMU_SPURIOUS);
	/* With nothing there, the first fetch makes a small one. */
	assert_int_equal(fault(2 * GIB, MMU_FETCH), MMU_MAPPED);
	expect_leaf(2 * GIB, 1, EPT_RWX, hosted_memory(2 * GIB));
	mmu_cpu.large_executable = true;
}

static void rom(void **context)
{
	tl_range_id id = add(TL_RANGE_ROM, 0, 2 * MIB2, hosted_memory(0));

	(void)context;
	assert_int_equal(fault(0x1000, MMU_WRITE), MMU_SERVE);
	assert_int_equal(walk_to(0x1000).entry, 0);
	assert_int_equal(fault(0x1000, MMU_READ), MMU_MAPPED);
	expect_leaf(0x1000, 2, EPT_READ | EPT_EXECUTE, hosted_memory(0x1000));
	assert_int_equal(fault(0x1000, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(0x1000, MMU_FETCH), MMU_SPURIOUS);
	assert_int_equal(fault(0x1000, MMU_WRITE), MMU_SERVE);
	expect_leaf(0x1000, 2, EPT_READ | EPT_EXECUTE, hosted_memory(0x1000));
	assert_int_equal(fault(MIB2, MMU_FETCH), MMU_MAPPED);
	assert_int_equal(commit_remove(id), TL_OK);
	assert_int_equal(walk_to(0).entry, 0);
	assert_int_equal(walk_to(MIB2).entry, 0);
}

/* Where a large MMIO entry stands and memory is added to a part of it. */
static void memory_under_a_large_mmio_entry(void **context)
{
	const struct map_range *range;
	struct ept_walk walk;

	(void)context;
	expect_mmio(9 * GIB + 0x234000, MMU_READ, TL_HOLE, TL_HOLE, 3);
	add(TL_RANGE_RAM, 9 * GIB + 0x234000, PAGE_SIZE, hosted_memory(0));
	walk = walk_to(9 * GIB + 0x234000);
	assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_INVALID);
	/* A misconfiguration does not say what kind of access it was: it is served as a read. */
	assert_int_equal(mmu_fault(vm, map_now(), 9 * GIB + 0x234000, MMU_READ, &walk, &range), MMU_MAPPED);
	expect_leaf(9 * GIB + 0x234000, 1, EPT_RWX, hosted_memory(0));
	expect_mmio(9 * GIB + 0x235000, MMU_READ, TL_HOLE, TL_HOLE, 1);
	expect_mmio(9 * GIB + 2 * MIB2, MMU_READ, TL_HOLE, TL_HOLE, 2);
	assert_int_equal(vm->nr_ept_pages, 4);
}

/* Rule 5. Memory that was removed in a callback is present until the commit is completed; a device there waits. */
static void no_mmio_entry_over_a_present_one(void **context)
{
	tl_range_id ram = add(TL_RANGE_RAM, 0, MIB2, hosted_memory(0));
	struct tl_range device = {.kind = TL_RANGE_MMIO, .start = 0, .size = MIB2};
	struct grace_reader reader = {.entry_round = 0};
	struct tl_edit *edit;
	tl_range_id id;

	(void)context;
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	grace_reader_add(&reader, vm);
	grace_enter(&reader);
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, ram), TL_OK);
	assert_int_equal(tl_map_add(edit, &device, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_PENDING);
	assert_int_equal(fault(0x5000, MMU_WRITE), MMU_SERVE);
	expect_leaf(0x5000, 2, EPT_RWX, hosted_memory(0x5000));
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader);
	grace_reader_remove(&reader);
	assert_int_equal(walk_to(0x5000).entry, 0);
	expect_mmio(0x5000, MMU_WRITE, id, id, 2);
}

static void nothing_is_stamped_while_off(void **context)
{
	tl_range_id id = add_mmio(0x1000, 0x1000);
	struct grace_reader reader = {.entry_round = 0};

	(void)context;
	add(TL_RANGE_RAM, 0x10000, PAGE_SIZE, hosted_memory(0));
	expect_mmio(0x1000, MMU_READ, id, id, 1);
	begin_wrap(&reader);
	for (gpa_t gpa = 0; gpa < 0x4000; gpa += PAGE_SIZE) {
		ept_entry_t before = walk_to(gpa).entry;

		assert_int_equal(fault(gpa, MMU_READ), MMU_SERVE);
		assert_int_equal(walk_to(gpa).entry, before);
	}
	/* Memory is mapped all the same. */
	assert_int_equal(fault(0x10000, MMU_READ), MMU_MAPPED);
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader);
	grace_reader_remove(&reader);
	assert_int_equal(ept_count_mmio(vm), 0);
	expect_mmio(0x1000, MMU_READ, id, id, 1);
}

static void out_of_pages(void **context)
{
	tl_range_id device = add_mmio(GIB + 0x1000, 0x1000);

	(void)context;
	add(TL_RANGE_RAM, 0x3000, 0x1000, hosted_memory(0));
	for (unsigned failing = 1; failing <= 3; failing++) {
		hosted_fail_at(failing);
		assert_int_equal(fault(0x3000, MMU_READ), MMU_NO_MEMORY);
		hosted_fail_at(1);
		assert_int_equal(walk_to(0x3000).entry, 0);
		hosted_fail_at(0);
		ept_destroy(vm);
		assert_true(ept_create(vm));
		hosted_fail_at(failing);
		assert_int_equal(fault(GIB + 0x1000, MMU_READ), MMU_NO_MEMORY);
		hosted_fail_at(0);
		expect_mmio(GIB + 0x1000, MMU_READ, device, device, 1);
		assert_int_equal(fault(0x3000, MMU_READ), MMU_MAPPED);
		ept_destroy(vm);
		assert_true(ept_create(vm));
	}
}

static void corrupted(void **context)
{
	struct ept_walk walk;

	(void)context;
	add(TL_RANGE_RAM, 0, PAGE_SIZE, hosted_memory(0));
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	walk = walk_to(0);
	atomic_fetch_and(walk.slot, ~EPT_READ);
	assert_int_equal(fault(0, MMU_READ), MMU_CORRUPT);
	assert_int_equal(fault(0, MMU_WRITE), MMU_CORRUPT);
	/* It is left as it is, to be looked at. */
	assert_int_equal(atomic_load(walk.slot) & EPT_RWX, EPT_WRITE | EPT_EXECUTE);
}

static ept_slot_t *raced_slot;
static ept_entry_t raced_entry;

static void race(void)
{
	atomic_store(raced_slot, raced_entry);
}

/* Another vCPU gets there first: the access is served all the same, and the other's entry stays. */
static void lost_races(void **context)
{
	tl_range_id device = add_mmio(0x1000, 0x1000);
	const struct map_range *range;
	struct ept_walk walk;

	(void)context;
	add(TL_RANGE_RAM, 0x3000, 0x1000, hosted_memory(0));
	for (unsigned i = 0; i < 2; i++) {
		gpa_t gpa = i ? 0x3000 : 0x1000;

		raced_slot = &vm->root[0];
		raced_entry = mmio_spte_make(TL_HOLE, 1);
		hosted.on_alloc = race;
		walk = walk_to(gpa);
		assert_int_equal(mmu_fault(vm, map_now(), gpa, MMU_READ, &walk, &range), i ? MMU_MAPPED : MMU_SERVE);
		hosted.on_alloc = NULL;
		assert_int_equal(range->id, map_find(map_now(), gpa)->id);
		assert_int_equal(atomic_load(&vm->root[0]), raced_entry);
		assert_int_equal(vm->nr_ept_pages, 1);
		atomic_store(&vm->root[0], 0);
	}
	/* At the last step: an entry of an older map in the place of ours. */
	expect_mmio(0x1000, MMU_READ, device, device, 1);
	walk = walk_to(0x1000);
	atomic_store(walk.slot, mmio_spte_make(TL_HOLE, 1));
	assert_int_equal(mmu_fault(vm, map_now(), 0x1000, MMU_READ, &walk, &range), MMU_SERVE);
	assert_int_equal(range->id, device);
	assert_int_equal(walk_to(0x1000).entry, mmio_spte_make(TL_HOLE, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_four_verdicts),
		TEST(one_bit_off_is_a_bug),
		TEST(the_compare_alone),
		cmocka_unit_test(mmio_at_every_level),
		TEST(shared_pages),
		TEST(ram_is_mapped_as_large_as_it_is_aligned),
		TEST(host_memory_out_of_step),
		TEST(the_cpus_largest_leaf),
		TEST(a_fetch_splits_where_large_leaves_do_not_execute),
		TEST(rom),
		TEST(memory_under_a_large_mmio_entry),
		TEST(no_mmio_entry_over_a_present_one),
		TEST(nothing_is_stamped_while_off),
		TEST(out_of_pages),
		TEST(corrupted),
		TEST(lost_races),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
