/* SPDX-License-Identifier: MIT */
/* What walks all tables: zaps and counts, also where entries are malformed. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "tests/unit/ept_view.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define GIB             EPT_SPAN(3)

static void zaps_what_meets_the_span(void **context)
{
	const gpa_t base = BIT(45);
	const ept_entry_t mmio = mmio_spte_make(2, 1);

	(void)context;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(install(base + i * PAGE_SIZE, 1, i == 4 ? mmio : leaf(i * PAGE_SIZE, 1)),
				 EPT_INSTALLED);
	assert_int_equal(install(base + EPT_SPAN(2), 2, leaf(EPT_SPAN(2), 2)), EPT_INSTALLED);
	assert_int_equal(install(base + GIB, 3, leaf(GIB, 3)), EPT_INSTALLED);
	assert_int_equal(install(base + 2 * GIB, 3, mmio), EPT_INSTALLED);
	ept_zap_present(vm, base + 2 * PAGE_SIZE, base + 6 * PAGE_SIZE - 1);
	for (unsigned i = 0; i < 8; i++) {
		struct view view = view_of(base + i * PAGE_SIZE);

		assert_int_equal(view.kind, i == 4 ? VIEW_MMIO : i < 2 || i > 5 ? VIEW_MEMORY : VIEW_EMPTY);
	}
	assert_int_equal(view_of(base + EPT_SPAN(2)).kind, VIEW_MEMORY);
	/* One byte is enough, and a large leaf goes as a whole. */
	ept_zap_present(vm, base + 2 * EPT_SPAN(2) - 1, base + 2 * EPT_SPAN(2) - 1);
	assert_int_equal(view_of(base + EPT_SPAN(2)).kind, VIEW_EMPTY);
	assert_int_equal(view_of(base + GIB).kind, VIEW_MEMORY);
	ept_zap_present(vm, base + 2 * GIB - 1, base + 4 * GIB);
	assert_int_equal(view_of(base + GIB).kind, VIEW_EMPTY);
	assert_int_equal(view_of(base + 2 * GIB).kind, VIEW_MMIO);
	assert_int_equal(view_of(base).kind, VIEW_MEMORY);
	ept_zap_present(vm, 0, BIT(48) - 1);
	assert_int_equal(view_of(base).kind, VIEW_EMPTY);
	/* Tables stay, also empty ones. */
	assert_int_equal(vm->nr_ept_pages, 4);
	assert_int_equal(ept_count_mmio(vm), 2);
	assert_int_equal(atomic_load(&vm->zapped), 0);
}

static void zaps_mmio_entries_alone(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(install(0x7654321000 + i * 0x23000ull, 1,
					 i % 3 ? mmio_spte_make(i, i) : leaf(i * PAGE_SIZE, 1)),
				 EPT_INSTALLED);
	assert_int_equal(install(BIT(42), 2, mmio_spte_make(MMIO_MAX_ID, MMIO_TAG_MASK)), EPT_INSTALLED);
	assert_int_equal(install(BIT(43), 3, mmio_spte_make(0, 0)), EPT_INSTALLED);
	assert_int_equal(ept_count_mmio(vm), 666 + 2);
	ept_zap_mmio(vm);
	assert_int_equal(ept_count_mmio(vm), 0);
	assert_int_equal(atomic_load(&vm->zapped), 666 + 2);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(view_of(0x7654321000 + i * 0x23000ull).kind, i % 3 ? VIEW_EMPTY : VIEW_MEMORY);
}

/* Each way to be misconfigured (SDM vol. 3, 29.3.3.1), at the levels where it is one. */
static void finds_malformed_entries(void **context)
{
	/* Bit n of the two masks: in the leaf at level n; bit n + 8: in the pointer to a table at level n. */
	enum { LEAVES = 0x0e, LARGE = 0x0c, TABLES = 0x1c00, ALL = LEAVES | TABLES };
	static const struct {
		ept_entry_t set, clear;
		unsigned tried, malformed;
	} cases[] = {
		{0, EPT_READ, ALL, ALL},               /* write and execute without read, not ours */
		{0, EPT_READ | EPT_EXECUTE, ALL, ALL}, /* write alone */
		{0, EPT_READ | EPT_WRITE, ALL, ALL},   /* execute alone: nobody here makes one */
		{BIT(39), 0, ALL, ALL},                /* address bits that the CPU lacks */
		{BIT(51), 0, ALL, ALL},
		{2ull << 3, EPT_MEMORY_TYPE, ALL, ALL}, /* reserved memory types; of a table reserved bits */
		{3ull << 3, EPT_MEMORY_TYPE, ALL, ALL},
		{7ull << 3, EPT_MEMORY_TYPE, ALL, ALL},
		{1ull << 3, EPT_MEMORY_TYPE, ALL, TABLES}, /* a leaf's types that a table has not */
		{6ull << 3, EPT_MEMORY_TYPE, ALL, TABLES},
		{EPT_IGNORE_PAT, 0, ALL, TABLES},
		{BIT(12), 0, LEAVES, LARGE}, /* a large leaf on an odd address */
		{BIT(20), 0, LEAVES, LARGE},
		{BIT(29), 0, LEAVES, 0x08},
		{EPT_LARGE, 0, 0x1000, 0x1000}, /* a PML4 entry has no large bit */
		{0, EPT_WRITE, ALL, 0},
		{0, EPT_EXECUTE, ALL, 0},
		{EPT_ACCESSED | EPT_DIRTY | BIT(10) | BIT(11) | BIT(52) | BIT(62) | BIT(63), 0, ALL, 0},
	};

	(void)context;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (unsigned bit = 1; bit < 13; bit++) {
			unsigned level = bit & 7;
			bool is_table = bit & 8;
			gpa_t gpa = 0x40 * GIB + 0x654321000;
			ept_slot_t *slot;
			ept_entry_t right;
			struct ept_walk walk;

			if (!(cases[i].tried >> bit & 1))
				continue;
			assert_int_equal(install(gpa, is_table ? level - 1 : level, leaf(0, is_table ? 2 : level)),
					 EPT_INSTALLED);
			ept_walk(vm, gpa, &walk);
			assert_false(walk.malformed);
			slot = walk.slot;
			if (is_table) { /* the entry one level up */
				slot = vm->root;
				for (unsigned up = 4; up > level; up--)
					slot = phys_to_host(atomic_load(&slot[ept_index(gpa, up)]) & EPT_ADDRESS);
				slot = &slot[ept_index(gpa, level)];
			}
			right = atomic_load(slot);
			atomic_store(slot, (right & ~cases[i].clear) | cases[i].set);
			ept_walk(vm, gpa, &walk);
			if (walk.malformed != (cases[i].malformed >> bit & 1))
				fail_msg("case %zu, level %u, table %d", i, level, is_table);
			/* Whatever it is, the tables can be counted, zapped and freed. */
			assert_int_equal(ept_count_mmio(vm), 0);
			ept_zap_mmio(vm);
			ept_zap_present(vm, gpa + GIB, gpa + GIB);
			atomic_store(slot, right);
			start_over();
		}
}

static void leaves_the_cpu_has_not(void **context)
{
	(void)context;
	for (unsigned ept_level = 1; ept_level <= 3; ept_level++)
		for (unsigned level = 1; level <= 3; level++) {
			struct ept_walk walk;

			mmu_cpu.ept_level = ept_level;
			assert_int_equal(install(0, level, leaf(0, level)), EPT_INSTALLED);
			ept_walk(vm, 0, &walk);
			assert_int_equal(walk.malformed, level > ept_level);
			/* An MMIO entry is never malformed, at whatever level. */
			assert_int_equal(install(0, level, mmio_spte_make(2, 2)), EPT_INSTALLED);
			ept_walk(vm, 0, &walk);
			assert_false(walk.malformed);
			start_over();
		}
	mmu_cpu.ept_level = 3;
}

/* A machine with 52 address bits has no reserved ones. */
static void all_address_bits(void **context)
{
	struct ept_walk walk;

	(void)context;
	mmu_cpu.maxphyaddr = 52;
	assert_int_equal(install(0, 1, leaf(BIT(52) - PAGE_SIZE, 1)), EPT_INSTALLED);
	ept_walk(vm, 0, &walk);
	assert_false(walk.malformed);
	mmu_cpu.maxphyaddr = 51;
	ept_walk(vm, 0, &walk);
	assert_true(walk.malformed);
	mmu_cpu.maxphyaddr = 39;
}

/* A pointer that was corrupted leads anywhere: who walks all tables must not follow it. */
static void a_corrupted_pointer_is_not_followed(void **context)
{
	struct ept_walk walk;
	ept_slot_t *pml4e = &vm->root[0], right;
	struct tl_stats stats;

	(void)context;
	assert_int_equal(install(0, 1, mmio_spte_make(2, 2)), EPT_INSTALLED);
	atomic_store(&right, atomic_load(pml4e));
	atomic_store(pml4e, 0x000dead0beef000 | EPT_RWX);
	ept_walk(vm, 0, &walk);
	assert_true(walk.malformed);
	assert_int_equal(walk.level, 4);
	ept_zap_mmio(vm);
	tl_stats(vm, &stats);
	assert_int_equal(stats.live_mmio_entries, 0);
	atomic_store(pml4e, atomic_load(&right));
	assert_int_equal(ept_count_mmio(vm), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zaps_what_meets_the_span), TEST(zaps_mmio_entries_alone),
		TEST(finds_malformed_entries),  TEST(leaves_the_cpu_has_not),
		TEST(all_address_bits),         TEST(a_corrupted_pointer_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
