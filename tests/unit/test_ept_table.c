/* SPDX-License-Identifier: MIT */
/* The EPT's tables: every level, every state on the way, lost races, missing pages, corrupted entries. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define GIB             EPT_SPAN(3)

static struct tl_vm *vm;

static int setup(void **context)
{
	enum tl_status status;

	(void)context;
	hosted_start();
	vm = tl_vm_create(NULL, &status);
	assert_int_equal(status, TL_OK);
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	hosted.on_alloc = NULL;
	hosted_fail_at(0);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(hosted.pages_out, 0);
	return 0;
}

/* What the hardware would see at an address: its own walk, by the SDM's figure 29-1. */
struct view {
	enum { VIEW_EMPTY, VIEW_MMIO, VIEW_MEMORY } kind;
	unsigned level;
	ept_entry_t entry; /* MMIO: the entry; memory: rights, type */
	hpa_t hpa;
};

static struct view view_of(gpa_t gpa)
{
	const _Atomic uint64_t *table = vm->root;

	for (unsigned level = 4;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		ept_entry_t entry = atomic_load(&table[gpa >> shift & 511]);

		if ((entry & 7) == 0)
			return (struct view){.kind = VIEW_EMPTY, .level = level, .entry = entry};
		if ((entry & 7) == 6)
			return (struct view){.kind = VIEW_MMIO, .level = level, .entry = entry};
		if (level == 1 || (entry & 1 << 7))
			return (struct view){.kind = VIEW_MEMORY,
					     .level = level,
					     .entry = entry & 0x3f,
					     .hpa = (entry & 0xffffffffff000) + (gpa & ((1ull << shift) - 1))};
		table = phys_to_host(entry & 0xffffffffff000);
	}
}

/* The same to the guest, whatever the level. */
static bool views_agree(struct view a, struct view b)
{
	return a.kind == b.kind && (a.kind == VIEW_EMPTY || (a.entry == b.entry && a.hpa == b.hpa));
}

static ept_entry_t leaf(hpa_t hpa, unsigned level)
{
	return hpa | EPT_RWX | EPT_TYPE_WB | (level > 1 ? EPT_LARGE : 0);
}

static enum ept_install install(gpa_t gpa, unsigned level, ept_entry_t entry)
{
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	return ept_install(vm, gpa, &walk, level, entry);
}

static void an_empty_ept(void **context)
{
	static const gpa_t gpas[] = {0, 0x1000, GIB - 1, BIT(39), BIT(47), BIT(48) - 1};

	(void)context;
	assert_int_equal(vm->nr_ept_pages, 1);
	for (size_t i = 0; i < COUNT_OF(gpas); i++) {
		struct ept_walk walk;

		ept_walk(vm, gpas[i], &walk);
		assert_ptr_equal(walk.slot, &vm->root[gpas[i] >> 39]);
		assert_int_equal(walk.entry, 0);
		assert_int_equal(walk.level, 4);
		assert_false(walk.malformed);
	}
	assert_int_equal(ept_count_mmio(vm), 0);
	ept_zap_mmio(vm);
	ept_zap_present(vm, 0, BIT(48) - 1);
}

/* From nothing to an entry at each level, memory and MMIO, anywhere in the address space. */
static void installs_at_every_level(void **context)
{
	static const gpa_t gpas[] = {0, 0x7fedcba98000, BIT(48) - PAGE_SIZE, BIT(39) + GIB + EPT_SPAN(2) + PAGE_SIZE};

	(void)context;
	for (size_t i = 0; i < COUNT_OF(gpas); i++)
		for (unsigned level = 1; level <= 3; level++)
			for (unsigned is_mmio = 0; is_mmio < 2; is_mmio++) {
				ept_entry_t entry = is_mmio ? mmio_spte_make(5, 77) : leaf(GIB, level);
				gpa_t first = gpas[i] & ~(EPT_SPAN(level) - 1);
				struct ept_walk walk, again;

				ept_walk(vm, gpas[i], &walk);
				assert_int_equal(ept_install(vm, gpas[i], &walk, level, entry), EPT_INSTALLED);
				/* The walk has moved along to where the entry is. */
				ept_walk(vm, gpas[i], &again);
				assert_ptr_equal(walk.slot, again.slot);
				assert_int_equal(walk.entry, again.entry);
				assert_int_equal(walk.level, again.level);
				assert_int_equal(again.entry, entry);
				assert_int_equal(again.level, level);
				assert_false(again.malformed);
				assert_int_equal(vm->nr_ept_pages, 1 + 4 - level);
				assert_int_equal(ept_count_mmio(vm), is_mmio);
				ept_walk(vm, first + (EPT_SPAN(level) - 1), &again);
				assert_ptr_equal(again.slot, walk.slot);
				ept_walk(vm, (first + EPT_SPAN(level)) & (BIT(48) - 1), &again);
				assert_ptr_not_equal(again.slot, walk.slot);
				assert_int_equal(again.entry, 0);
				/* An EPT as new for the next case. */
				ept_destroy(vm);
				assert_true(ept_create(vm));
			}
}

/* Addresses around the one that a change is about, and what may be seen there while it goes on. */
enum { NR_WATCHED = 9 };
static gpa_t watched[NR_WATCHED];
static struct view old_views[NR_WATCHED], new_views[NR_WATCHED];
static unsigned nr_looks;

static void watch(gpa_t target)
{
	const gpa_t gpas[NR_WATCHED] = {
		target,
		target - PAGE_SIZE,
		target + PAGE_SIZE,
		target | 0x1ff000,
		target & ~0x1fffffull,
		target ^ EPT_SPAN(2),
		target | 0x3ffff000,
		target & ~0x3fffffffull,
		target ^ GIB,
	};

	for (unsigned i = 0; i < NR_WATCHED; i++) {
		watched[i] = gpas[i];
		old_views[i] = view_of(gpas[i]);
	}
}

static void look(void)
{
	for (unsigned i = 0; i < NR_WATCHED; i++) {
		struct view now = view_of(watched[i]);
		/* An MMIO entry that is gone says nothing: the map is searched again. */
		bool forgotten = now.kind == VIEW_EMPTY && old_views[i].kind == VIEW_MMIO;

		assert_true(forgotten || views_agree(now, old_views[i]) || views_agree(now, new_views[i]));
	}
	nr_looks++;
}

/*
 * Changes one 4 KiB page under a large leaf and looks at every state on the way: before each table is linked, and after
 * the last one is, by an installation that changes nothing.
 */
static void splitting_keeps_every_other_page(void **context)
{
	const gpa_t target = 5 * GIB + 0x12345000;

	(void)context;
	for (unsigned from = 2; from <= 3; from++)
		for (unsigned to = 1; to < from; to++) {
			gpa_t first = target & ~(EPT_SPAN(to) - 1);
			hpa_t old_hpa = 3 * GIB + (first & (EPT_SPAN(from) - 1));
			ept_entry_t part = leaf(old_hpa, to);
			struct view changed = {VIEW_MEMORY, to, 0x35, GIB + (target & (EPT_SPAN(to) - 1))};

			assert_int_equal(install(target, from, leaf(3 * GIB, from)), EPT_INSTALLED);
			assert_int_equal(vm->nr_ept_pages, 1 + 4 - from);
			watch(target);
			for (unsigned i = 0; i < NR_WATCHED; i++)
				new_views[i] = old_views[i];
			nr_looks = 0;
			hosted.on_alloc = look;
			assert_int_equal(install(target, to, part), EPT_INSTALLED);
			hosted.on_alloc = NULL;
			assert_int_equal(nr_looks, from - to);
			look();
			assert_int_equal(view_of(target).level, to);
			/* And then the page itself: write and execute rights go, the address changes. */
			for (unsigned i = 0; i < NR_WATCHED; i++)
				if ((watched[i] & ~(EPT_SPAN(to) - 1)) == first) {
					new_views[i] = changed;
					new_views[i].hpa = GIB + (watched[i] & (EPT_SPAN(to) - 1));
				}
			assert_int_equal(install(target, to, (leaf(GIB, to) & ~EPT_WRITE)), EPT_INSTALLED);
			for (unsigned i = 0; i < NR_WATCHED; i++)
				assert_true(views_agree(view_of(watched[i]), new_views[i]));
			assert_int_equal(vm->nr_ept_pages, 1 + 4 - to);
			ept_destroy(vm);
			assert_true(ept_create(vm));
		}
}

/* All 512 parts, at both levels: address, rights, type, and the large bit where it belongs. */
static void splitting_makes_the_right_parts(void **context)
{
	const ept_entry_t rights = EPT_READ | EPT_EXECUTE | EPT_TYPE_UC | EPT_IGNORE_PAT;

	(void)context;
	assert_int_equal(install(0, 3, (2 * GIB) | EPT_LARGE | rights), EPT_INSTALLED);
	assert_int_equal(install(EPT_SPAN(2), 1, leaf(0, 1)), EPT_INSTALLED);
	for (gpa_t gpa = 0; gpa < GIB; gpa += EPT_SPAN(2)) {
		struct ept_walk walk;

		ept_walk(vm, gpa, &walk);
		if (gpa == EPT_SPAN(2))
			continue;
		assert_int_equal(walk.level, 2);
		assert_int_equal(walk.entry, (2 * GIB + gpa) | EPT_LARGE | rights);
	}
	for (gpa_t gpa = EPT_SPAN(2) + PAGE_SIZE; gpa < 2 * EPT_SPAN(2); gpa += PAGE_SIZE) {
		struct ept_walk walk;

		ept_walk(vm, gpa, &walk);
		assert_int_equal(walk.level, 1);
		assert_int_equal(walk.entry, (2 * GIB + gpa) | rights);
	}
}

/* Below a large MMIO entry the rest becomes empty, and is searched again: no MMIO entry is multiplied. */
static void mmio_entries_are_not_split(void **context)
{
	const gpa_t target = 7 * GIB + 0x23456000;

	(void)context;
	assert_int_equal(install(target, 3, mmio_spte_make(9, 9)), EPT_INSTALLED);
	watch(target);
	for (unsigned i = 0; i < NR_WATCHED; i++)
		new_views[i] = (struct view){.kind = VIEW_EMPTY};
	new_views[0] = (struct view){VIEW_MEMORY, 1, 0x37, GIB};
	nr_looks = 0;
	hosted.on_alloc = look;
	assert_int_equal(install(target, 1, leaf(GIB, 1)), EPT_INSTALLED);
	assert_int_equal(nr_looks, 2);
	look();
	assert_int_equal(ept_count_mmio(vm), 0);
	assert_true(views_agree(view_of(target), new_views[0]));
}

/* Somebody else's entry, put where the walk ended before the installation gets there. */
static ept_slot_t *raced_slot;
static ept_entry_t raced_entry;
static size_t race_at;

static void race(void)
{
	if (++nr_looks == race_at)
		atomic_store(raced_slot, raced_entry);
}

static void a_lost_race_leaks_nothing(void **context)
{
	const ept_entry_t others[] = {leaf(2 * GIB, 1), mmio_spte_make(3, 4)};

	(void)context;
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		struct ept_walk walk;
		size_t pages;

		/* Between the walk and the last compare-and-exchange. */
		assert_int_equal(install(0, 1, leaf(GIB, 1)), EPT_INSTALLED);
		ept_walk(vm, 0, &walk);
		atomic_store(walk.slot, others[i]);
		pages = vm->nr_ept_pages;
		assert_int_equal(ept_install(vm, 0, &walk, 1, leaf(4 * GIB, 1)), EPT_RACED);
		assert_int_equal(atomic_load(walk.slot), others[i]);
		assert_int_equal(vm->nr_ept_pages, pages);
		/* While a table is made, at each level: it goes back, and the other's entry stays. */
		for (unsigned level = 4; level > 1; level--) {
			gpa_t gpa = BIT(40) + GIB * level;
			ept_entry_t other = others[i] | (is_mmio_spte(others[i]) ? 0 : EPT_LARGE);

			if (level < 4)
				assert_int_equal(install(gpa, level, level == 2 ? 0 : mmio_spte_make(1, 1)),
						 EPT_INSTALLED);
			ept_walk(vm, gpa, &walk);
			assert_int_equal(walk.level, level);
			raced_slot = walk.slot;
			raced_entry = other;
			race_at = 1;
			nr_looks = 0;
			hosted.on_alloc = race;
			pages = vm->nr_ept_pages;
			assert_int_equal(ept_install(vm, gpa, &walk, 1, leaf(0, 1)), EPT_RACED);
			hosted.on_alloc = NULL;
			assert_int_equal(vm->nr_ept_pages, pages);
			assert_int_equal(atomic_load(raced_slot), other);
			atomic_store(raced_slot, 0);
		}
		ept_destroy(vm);
		assert_true(ept_create(vm));
	}
}

/* The CPU sets accessed and dirty flags by itself: an entry that is a little different is a race, too. */
static void a_dirty_flag_is_a_race(void **context)
{
	struct ept_walk walk;

	(void)context;
	assert_int_equal(install(0, 1, leaf(GIB, 1)), EPT_INSTALLED);
	ept_walk(vm, 0, &walk);
	atomic_fetch_or(walk.slot, EPT_DIRTY | EPT_ACCESSED);
	assert_int_equal(ept_install(vm, 0, &walk, 1, leaf(2 * GIB, 1)), EPT_RACED);
	ept_zap_present(vm, 0, 0);
	assert_int_equal(atomic_load(walk.slot), 0);
}

static void out_of_pages(void **context)
{
	const gpa_t target = 3 * GIB + 0x3ff000;

	(void)context;
	for (unsigned from = 2; from <= 4; from++)
		for (unsigned failing = 1; failing < from; failing++) {
			if (from < 4)
				assert_int_equal(install(target, from, leaf(2 * GIB, from)), EPT_INSTALLED);
			watch(target);
			for (unsigned i = 0; i < NR_WATCHED; i++)
				new_views[i] = old_views[i];
			hosted_fail_at(failing);
			assert_int_equal(install(target, 1, leaf(GIB, 1)), EPT_NO_MEMORY);
			assert_int_equal(hosted.failed, 1);
			hosted_fail_at(0);
			look();
			/* What was made stays and serves the next attempt. */
			assert_int_equal(vm->nr_ept_pages, 1 + 4 - from + failing - 1);
			assert_int_equal(install(target, 1, leaf(GIB, 1)), EPT_INSTALLED);
			assert_int_equal(vm->nr_ept_pages, 4);
			ept_destroy(vm);
			assert_true(ept_create(vm));
		}
}

static void the_limit_of_pages(void **context)
{
	(void)context;
	vm->max_ept_pages = 6;
	assert_int_equal(install(0, 1, leaf(GIB, 1)), EPT_INSTALLED);
	assert_int_equal(install(GIB, 1, leaf(GIB, 1)), EPT_INSTALLED);
	assert_int_equal(vm->nr_ept_pages, 6);
	assert_int_equal(install(2 * GIB, 1, leaf(GIB, 1)), EPT_NO_MEMORY);
	assert_int_equal(vm->nr_ept_pages, 6);
	assert_int_equal(install(2 * GIB, 3, leaf(GIB, 3)), EPT_INSTALLED);
	vm->max_ept_pages = 7;
	assert_int_equal(install(2 * GIB, 1, leaf(GIB, 1)), EPT_NO_MEMORY);
	assert_int_equal(vm->nr_ept_pages, 7);
	assert_int_equal(view_of(2 * GIB).level, 2);
	assert_int_equal(view_of(2 * GIB + 0x123456).hpa, GIB + 0x123456);
}

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
			ept_destroy(vm);
			assert_true(ept_create(vm));
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
			ept_destroy(vm);
			assert_true(ept_create(vm));
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

/* ---- A leaf is split by one CPU while another zaps it ---- */

enum { MOST_RACES = 20000 };

/* The number of the race that may begin, that has begun, that is over. */
static _Atomic unsigned race_ready, race_begun, race_over;
static _Atomic bool split_first;

/* The splitter has its walk, and asks for a page to put the parts into. */
static void begin_race(void)
{
	atomic_store(&race_begun, atomic_load(&race_ready));
}

static void *split_leaves(void *context)
{
	(void)context;
	for (unsigned i = 1; i <= MOST_RACES; i++) {
		gpa_t gpa = i * EPT_SPAN(2) + PAGE_SIZE;
		struct ept_walk walk;

		while (atomic_load(&race_ready) < i)
			;
		if (atomic_load(&race_ready) > MOST_RACES)
			break;
		ept_walk(vm, gpa, &walk);
		ept_install(vm, gpa, &walk, 1, leaf(0, 1));
		atomic_store(&split_first, walk.level == 1);
		atomic_store(&race_over, i);
	}
	return NULL;
}

static size_t count_tables(ept_slot_t *table, unsigned level)
{
	size_t count = 1;

	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++) {
		ept_entry_t entry = atomic_load(&table[i]);

		if (ept_is_table(entry, level))
			count += count_tables(phys_to_host(entry & EPT_ADDRESS), level - 1);
	}
	return count;
}

/* Whoever is first: nothing is left that translates, and no table is lost. */
static void a_zap_meets_a_split(void **context)
{
	unsigned nr_split = 0, races = 0;
	uint64_t aim = 1000;
	time_t end = time(NULL) + 3;
	pthread_t splitter;

	(void)context;
	vm->max_ept_pages = 2 * MOST_RACES;
	assert_int_equal(pthread_create(&splitter, NULL, split_leaves, NULL), 0);
	for (unsigned i = 1; i <= MOST_RACES && time(NULL) < end; i++) {
		gpa_t gpa = i * EPT_SPAN(2);
		uint64_t start, wait = aim + random_below(64);

		assert_int_equal(install(gpa, 2, leaf(gpa, 2)), EPT_INSTALLED);
		hosted.on_alloc = begin_race;
		atomic_store(&race_ready, i);
		while (atomic_load(&race_begun) != i)
			;
		for (start = __builtin_ia32_rdtsc(); __builtin_ia32_rdtsc() - start < wait;)
			;
		ept_zap_present(vm, gpa, gpa + (EPT_SPAN(2) - 1));
		while (atomic_load(&race_over) != i)
			;
		hosted.on_alloc = NULL;
		assert_int_equal(view_of(gpa).kind, VIEW_EMPTY);
		assert_int_equal(view_of(gpa + PAGE_SIZE).kind, VIEW_EMPTY);
		/* Nearer to where it was decided this time. */
		aim += atomic_load(&split_first) ? (aim < 32 ? 0 : -32ull) : 32;
		nr_split += atomic_load(&split_first);
		races++;
	}
	atomic_store(&race_ready, MOST_RACES + 1);
	pthread_join(splitter, NULL);
	print_message("%u races, %u leaves split first\n", races, nr_split);
	assert_int_equal(count_tables(vm->root, EPT_LEVELS), vm->nr_ept_pages);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_ept),
		TEST(installs_at_every_level),
		TEST(splitting_keeps_every_other_page),
		TEST(splitting_makes_the_right_parts),
		TEST(mmio_entries_are_not_split),
		TEST(a_lost_race_leaks_nothing),
		TEST(a_dirty_flag_is_a_race),
		TEST(out_of_pages),
		TEST(the_limit_of_pages),
		TEST(zaps_what_meets_the_span),
		TEST(zaps_mmio_entries_alone),
		TEST(finds_malformed_entries),
		TEST(leaves_the_cpu_has_not),
		TEST(all_address_bits),
		TEST(a_corrupted_pointer_is_not_followed),
		TEST(a_zap_meets_a_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
