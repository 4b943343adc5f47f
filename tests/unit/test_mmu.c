/* SPDX-License-Identifier: MIT */
/* The verdict on an entry, and the MMIO entries that faults leave in the EPT. */
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIB2            EPT_SPAN(2)
#define GIB             EPT_SPAN(3)

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

static enum mmio_verdict verdict_now(gpa_t gpa)
{
	struct ept_walk walk = walk_to(gpa);
	const struct map_range *range;

	return mmu_examine(map_now(), &walk, &range);
}

static void the_four_verdicts(void **context)
{
	tl_range_id device = range_add(mmio_range(0x1000, 0x1000)), gone = range_add(mmio_range(0x5000, 0x1000));
	uint32_t gone_tag = tag_of(gone);

	(void)context;
	assert_int_equal(range_remove(gone), TL_OK);
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
	tl_range_id device = range_add(mmio_range(0x1000, 0x1000));
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
	tl_range_id device = range_add(mmio_range(0x1000, 0x1000));
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
	end_wrap(&reader);
}

static void mmio_at_every_level(void **context)
{
	(void)context;
	for (unsigned most = 0; most <= 3; most++) {
		unsigned limit = most ? most : 3;
		struct tl_vm_config config = {.mmio_level = most};
		tl_range_id small, two, one;

		vm_start(&config);
		small = range_add(mmio_range(0x1000, 0x3000));
		two = range_add(mmio_range(GIB + MIB2, 2 * MIB2));
		one = range_add(mmio_range(4 * GIB, 2 * GIB + MIB2 + PAGE_SIZE));
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
		vm_stop();
	}
}

static void shared_pages(void **context)
{
	tl_range_id a = range_add(mmio_range(0x1100, 0x20)), b = range_add(mmio_range(0x1800, 0x900)),
		    c = range_add(mmio_range(0x3000, 0x1000));

	(void)context;
	expect_mmio(0x1000, MMU_READ, TL_HOLE, MAP_SHARED_ID, 1);
	expect_mmio(0x111f, MMU_READ, a, MAP_SHARED_ID, 1);
	expect_mmio(0x1120, MMU_READ, TL_HOLE, MAP_SHARED_ID, 1);
	expect_mmio(0x1fff, MMU_WRITE, b, MAP_SHARED_ID, 1);
	expect_mmio(0x20ff, MMU_WRITE, b, MAP_SHARED_ID, 1);
	expect_mmio(0x2100, MMU_WRITE, TL_HOLE, MAP_SHARED_ID, 1);
	expect_mmio(0x3000, MMU_WRITE, c, c, 1);
	/* A page that ceases to be shared is not taken for one that is. */
	assert_int_equal(range_remove(a), TL_OK);
	assert_int_equal(range_remove(b), TL_OK);
	for (gpa_t gpa = 0x1000; gpa < 0x3000; gpa += PAGE_SIZE) {
		const struct map_range *range;
		struct ept_walk walk = walk_to(gpa);

		assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_INVALID);
		expect_mmio(gpa, MMU_READ, TL_HOLE, TL_HOLE, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

/* What both replace: a commit leaves no MMIO entry at all, and makes CPUs flush. Memory stays mapped. */
static void a_commit_that_zaps_leaves_no_entry(void **context)
{
	uint64_t flushes, zapped;
	tl_range_id changed, other;

	(void)context;
	vm_stop();
	vm_start(&(struct tl_vm_config){.invalidate = TL_INVALIDATE_ZAP});
	changed = range_add(mmio_range(0x1000, 0x1000));
	other = range_add(mmio_range(0x5000, 0x1000));
	range_add(ram_range(0x100000, 0x1000));
	assert_int_equal(fault(0x100000, MMU_READ), MMU_MAPPED);
	for (unsigned i = 0; i < 40; i++) {
		expect_mmio(0x5000, MMU_READ, other, other, 1);
		assert_int_equal(verdict_now(0x5000), MMIO_EMULATE);
		flushes = atomic_load(&vm->flush_number);
		zapped = atomic_load(&vm->zapped);
		if (i == 20)
			assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
		else
			assert_int_equal(range_move(changed, i & 1 ? 0x1000 : 0x9000), TL_OK);
		assert_int_equal(ept_count_mmio(vm), 0);
		expect_leaf(0x100000, 1, EPT_RWX, hosted_memory(0x100000));
		assert_int_equal(atomic_load(&vm->flush_number), flushes + 1);
		assert_int_equal(atomic_load(&vm->zapped), zapped + 1);
		assert_true(atomic_load(&vm->map)->stamping);
	}
	vm_stop();
	vm_start(NULL);
}

/* The policy of 2013, and ours: what else is stale after a change of one range. */
static void a_commit_makes_stale_what_the_policy_says(void **context)
{
	(void)context;
	for (unsigned all = 0; all < 2; all++) {
		tl_range_id changed, other, added;
		uint32_t tag;

		vm_stop();
		vm_start(&(struct tl_vm_config){.invalidate = all ? TL_INVALIDATE_ALL : TL_INVALIDATE_RANGE,
						.tag_bits = 4});
		changed = range_add(mmio_range(0x1000, 0x1000));
		other = range_add(mmio_range(0x5000, 0x1000));
		expect_mmio(0x5000, MMU_READ, other, other, 1);
		tag = tag_of(other);
		assert_int_equal(range_move(changed, 0x9000), TL_OK);
		assert_int_equal(tag_of(other) == tag, !all);
		assert_int_equal(verdict_now(0x5000), all ? MMIO_INVALID : MMIO_EMULATE);
		expect_mmio(0x5000, MMU_READ, other, other, 1);
		assert_int_equal(range_remove(changed), TL_OK);
		assert_int_equal(verdict_now(0x5000), all ? MMIO_INVALID : MMIO_EMULATE);
		expect_mmio(0x5000, MMU_READ, other, other, 1);
		added = range_add(mmio_range(0x20000, 0x1000));
		assert_int_equal(verdict_now(0x5000), all ? MMIO_INVALID : MMIO_EMULATE);
		assert_int_equal(tag_of(added) == tag_of(other), all);
		/* Across the wrap, too. */
		for (unsigned i = 0; i < 40; i++) {
			expect_mmio(0x5000, MMU_READ, other, other, 1);
			assert_int_equal(range_move(added, i & 1 ? 0x20000 : 0x30000), TL_OK);
			if (all)
				assert_int_not_equal(verdict_now(0x5000), MMIO_EMULATE);
		}
		assert_true(vm->wraps >= 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_four_verdicts),
		TEST(one_bit_off_is_a_bug),
		TEST(the_compare_alone),
		cmocka_unit_test(mmio_at_every_level),
		TEST(shared_pages),
		TEST(a_commit_makes_stale_what_the_policy_says),
		TEST(a_commit_that_zaps_leaves_no_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
