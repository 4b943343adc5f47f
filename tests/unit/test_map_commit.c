/* SPDX-License-Identifier: MIT */
/*
 * What a commit does to the entries that stand: random transactions, from outside and inside a callback, against the
 * naive map. After each every tag and every entry in the EPT is checked. Narrow tags make it wrap all the time.
 */
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/naive_map.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NR_PROBES = 256, NR_KEPT = 256, MAX_DEFERRED = 64, COMMITS_PER_CALLBACK = 9 };

struct kept {
	ept_entry_t entry;
	gpa_t first, last;
};

static struct naive_map naive;
static gpa_t probes[NR_PROBES];

/* Entries that once stood somewhere, of the tags now in use: they may come back into sight through a late reader. */
static struct kept kept[NR_KEPT];
static unsigned nr_kept;

static struct grace_reader reader;
static bool in_callback;

/* Tokens of ranges removed in callbacks, not to be released yet. */
static unsigned deferred[MAX_DEFERRED], nr_deferred;

/* What the statistics are to be. */
static uint64_t expected_commits, expected_invalidations, expected_wraps, last_stamped;
/* What the run has seen. */
static uint64_t nr_fresh, nr_stale, nr_stamped, nr_unstamped, nr_mapped, nr_large;

static void check_translation(gpa_t gpa, const struct ept_walk *walk)
{
	const struct naive_range *range = &naive.range[naive_owner(&naive, gpa)];
	gpa_t first = gpa & ~(EPT_SPAN(walk->level) - 1);

	assert_true(range->used && range->kind != TL_RANGE_MMIO);
	assert_true(naive_is_one_range(&naive, first, first + (EPT_SPAN(walk->level) - 1)));
	assert_int_equal(walk->entry & EPT_ADDRESS, host_to_phys(range->host) + (first - range->start));
	assert_int_equal(!!(walk->entry & EPT_WRITE), range->kind == TL_RANGE_RAM);
	nr_large += walk->level > 1;
}

/* An entry that counts as fresh tells the truth about every byte it stands for. */
static bool check_entry(ept_entry_t entry, gpa_t first, gpa_t last)
{
	const struct map_range *range;

	if (check_mmio_spte(map_now(), entry, &range) != MMIO_EMULATE)
		return false;
	assert_true(map_now()->stamping);
	if (range->id == MAP_SHARED_ID) {
		assert_int_equal(last - first, PAGE_SIZE - 1);
		assert_false(naive_is_one_range(&naive, first, last));
	} else {
		assert_true(naive_is_one_range(&naive, first, last));
		assert_int_equal(range->id, naive_owner(&naive, first));
	}
	return true;
}

static void check_entries(void)
{
	for (unsigned i = 0; i < NR_PROBES; i++) {
		struct ept_walk walk = walk_to(probes[i]);
		gpa_t first = probes[i] & ~(EPT_SPAN(walk.level) - 1);

		assert_false(walk.malformed);
		if (is_mmio_spte(walk.entry)) {
			bool fresh = check_entry(walk.entry, first, first + (EPT_SPAN(walk.level) - 1));

			nr_fresh += fresh;
			nr_stale += !fresh;
		} else if (ept_is_present(walk.entry) && !reader.pending) {
			check_translation(probes[i], &walk);
		}
	}
	for (unsigned i = 0; i < nr_kept && i < NR_KEPT; i++)
		check_entry(kept[i].entry, kept[i].first, kept[i].last);
}

/* The entry that a search would make at `gpa`, at most at `level`. */
static ept_entry_t expected_entry(gpa_t gpa, unsigned *level, tl_range_id owner)
{
	tl_range_id id = owner;

	for (; *level > 0; --*level) {
		gpa_t first = gpa & ~(EPT_SPAN(*level) - 1);

		if (naive_is_one_range(&naive, first, first + (EPT_SPAN(*level) - 1)))
			break;
	}
	if (*level == 0) {
		*level = 1;
		id = MAP_SHARED_ID;
	}
	return map_now()->ranges[id].fresh;
}

static void check_stamp(gpa_t gpa, const struct ept_walk *before, tl_range_id owner)
{
	unsigned level = before->level < vm->mmio_level ? before->level : vm->mmio_level;
	struct ept_walk walk = walk_to(gpa);
	gpa_t first;

	if (!map_now()->stamping) {
		assert_int_equal(walk.entry, before->entry);
		assert_int_equal(walk.level, before->level);
		nr_unstamped++;
		return;
	}
	assert_int_equal(walk.entry, expected_entry(gpa, &level, owner));
	assert_int_equal(walk.level, level);
	first = gpa & ~(EPT_SPAN(level) - 1);
	assert_true(check_entry(walk.entry, first, first + (EPT_SPAN(level) - 1)));
	kept[nr_kept++ % NR_KEPT] = (struct kept){walk.entry, first, first + (EPT_SPAN(level) - 1)};
	nr_stamped++;
	nr_large += level > 1;
}

/* One access of a guest, as a vCPU would serve it. */
static void access_probe(gpa_t gpa)
{
	tl_range_id owner = naive_owner(&naive, gpa);
	struct ept_walk walk = walk_to(gpa), before = walk;
	const struct map_range *range;

	if (ept_is_present(walk.entry))
		return;
	if (is_mmio_spte(walk.entry) && mmu_examine(map_now(), &walk, &range) == MMIO_EMULATE)
		return;
	if (owner && naive.range[owner].kind != TL_RANGE_MMIO) {
		assert_int_equal(mmu_fault(vm, map_now(), gpa, MMU_READ, &walk, &range), MMU_MAPPED);
		walk = walk_to(gpa);
		assert_true(ept_is_present(walk.entry));
		check_translation(gpa, &walk);
		nr_mapped++;
		return;
	}
	assert_int_equal(mmu_fault(vm, map_now(), gpa, MMU_READ, &walk, &range), MMU_SERVE);
	assert_int_equal(range->id, owner);
	check_stamp(gpa, &before, owner);
}

/* The generation at which each range last changed. */
static uint64_t generations[NAIVE_MAX_IDS];

static void all_changed(uint64_t generation)
{
	for (tl_range_id id = 0; id < NAIVE_MAX_IDS; id++)
		generations[id] = generation;
}

/* After a publication: exactly the ranges that were touched have the new generation. */
static void check_tags(const struct map *before, uint64_t touched)
{
	const struct map *map = map_now();

	for (tl_range_id id = 0; id < map->nr_slots; id++) {
		if (touched >> id & 1)
			generations[id] = map->generation;
		if (map->ranges[id].kind == MAP_FREE)
			continue;
		assert_int_equal(map->ranges[id].fresh,
				 map->stamping ? mmio_spte_make(id, vm_tag(vm, generations[id])) : MAP_NO_SPTE);
	}
	assert_int_equal(map->generation, before->generation + before->stamping);
	if (map->stamping) {
		assert_true(map->generation > last_stamped);
		last_stamped = map->generation;
	}
}

/* Takes what is in the map before a commit, and says what it will do to the generation. */
struct expectation {
	struct map before;
	bool wraps;
	uint64_t live, zapped, gone;
};

static void expect(struct expectation *e)
{
	e->before = *map_now();
	e->wraps = e->before.stamping && vm_tag(vm, e->before.generation + 1) == 0;
	e->live = ept_count_mmio(vm);
	e->zapped = atomic_load(&vm->zapped);
	e->gone = mmio_entries_gone();
}

static void check_published(const struct expectation *e, uint64_t touched, enum tl_status status)
{
	expected_wraps += e->wraps;
	if (e->wraps) {
		touched = ~0ull;
		nr_kept = 0;
		/* From outside a wrap is over when the commit returns: every entry was zapped, and stamping is on. */
		assert_int_equal(map_now()->stamping, !in_callback);
		assert_int_equal(in_callback ? atomic_load(&vm->zapped) - e->zapped
					     : mmio_entries_gone() - e->gone - e->live,
				 0);
		assert_int_equal(status, in_callback ? TL_PENDING : TL_OK);
	}
	check_tags(&e->before, touched);
}

/* What `was` had and the map has not any more is to be released: at once, or when the callback is over. */
static void check_released(const struct naive_map *was)
{
	if (!in_callback) {
		naive_check_released(was, &naive);
		return;
	}
	for (tl_range_id id = MAP_FIRST_ID; id < NAIVE_MAX_IDS; id++)
		if (was->range[id].used && !(naive.range[id].used && naive.range[id].token == was->range[id].token)) {
			assert_int_equal(naive_released[was->range[id].token], 0);
			assert_true(nr_deferred < MAX_DEFERRED);
			deferred[nr_deferred++] = was->range[id].token;
		}
}

static void commit_random(void)
{
	struct naive_map next, was = naive;
	struct expectation e;
	struct naive_edit edit;
	enum tl_status status, expected;
	bool waits;

	naive_random_edit(&naive, vm, &edit);
	next = naive;
	next.touched = 0;
	expected = naive_apply(&next, &edit);
	expect(&e);
	status = tl_map_commit(edit.edit);
	if (expected != TL_OK) {
		assert_int_equal(status, expected);
		assert_memory_equal(map_now(), &e.before, sizeof(e.before));
		return;
	}
	waits = naive_takes(&was, &edit) || e.wraps;
	/* One that only resizes may resize twice: what waits is told apart in test_grace.c. */
	if (status != TL_PENDING)
		assert_int_equal(status, TL_OK);
	assert_true(status == TL_OK || (in_callback && (waits || edit.nr_steps > 1)));
	assert_true(status == TL_PENDING || !(in_callback && waits));
	naive = next;
	naive_place_additions(&naive, &edit);
	expected_commits++;
	check_published(&e, naive.touched, status);
	check_released(&was);
	naive_compare(&naive, map_now());
}

static void invalidate(void)
{
	struct expectation e;
	enum tl_status status;

	expect(&e);
	status = tl_vm_invalidate_mmio(vm);
	expected_invalidations++;
	check_published(&e, ~0ull, status);
	/* Only the wrap has anything to wait for. */
	assert_int_equal(status, in_callback && e.wraps ? TL_PENDING : TL_OK);
	for (unsigned i = 0; i < NR_PROBES; i++) {
		struct ept_walk walk = walk_to(probes[i]);
		const struct map_range *range;

		if (is_mmio_spte(walk.entry))
			assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_INVALID);
	}
}

/* The wrap's second half: the edited map again, everything under its generation. */
static void check_second_half(void)
{
	const struct map *map = map_now();

	nr_kept = 0;
	assert_true(map->generation > last_stamped);
	last_stamped = map->generation;
	all_changed(last_stamped);
	for (tl_range_id id = 0; id < map->nr_slots; id++)
		if (map->ranges[id].kind != MAP_FREE)
			assert_int_equal(map->ranges[id].fresh, mmio_spte_make(id, vm_tag(vm, last_stamped)));
}

/* The commits of one callback, then the top of that vCPU's loop. */
static void leave_callback(void)
{
	bool wraps = !map_now()->stamping;
	struct expectation e;

	expect(&e);
	assert_true(map_complete_pending(&reader));
	assert_null(reader.pending);
	assert_true(map_now()->stamping);
	assert_int_equal(wraps ? mmio_entries_gone() - e.gone - e.live : atomic_load(&vm->zapped) - e.zapped, 0);
	if (wraps)
		check_second_half();
	for (unsigned i = 0; i < nr_deferred; i++)
		assert_int_equal(naive_released[deferred[i]], 1);
	nr_deferred = 0;
	naive_compare(&naive, map_now());
	grace_leave(&reader, hooks->cpu_index());
	in_callback = false;
}

static void check_stats(void)
{
	struct tl_stats stats;

	tl_stats(vm, &stats);
	assert_int_equal(stats.commits, expected_commits);
	assert_int_equal(stats.invalidations, expected_invalidations);
	assert_int_equal(stats.wraps, expected_wraps);
	assert_int_equal(stats.generation, map_now()->generation);
	assert_int_equal(stats.live_mmio_entries, ept_count_mmio(vm));
}

static void run_vm(const struct tl_vm_config *config, unsigned nr_commits)
{
	struct naive_map last;
	unsigned in_this_callback = 0;

	vm_start(config);
	naive = (struct naive_map){.nr_ranges = 0};
	nr_kept = 0;
	expected_commits = expected_invalidations = expected_wraps = 0;
	last_stamped = map_now()->generation;
	all_changed(last_stamped);
	grace_reader_add(&reader, vm);
	naive_choose_probes(probes, NR_PROBES);
	for (unsigned i = 0; i < nr_commits; i++) {
		if (!in_callback && random_below(12) == 0) {
			grace_enter(&reader, hooks->cpu_index());
			in_callback = true;
			in_this_callback = 0;
		}
		if (random_below(16) == 0)
			invalidate();
		else
			commit_random();
		check_entries();
		for (unsigned j = 0; j < 24; j++)
			access_probe(probes[random_below(NR_PROBES)]);
		if (in_callback && (++in_this_callback == COMMITS_PER_CALLBACK || random_below(4) == 0)) {
			leave_callback();
			check_entries();
		}
	}
	if (in_callback)
		leave_callback();
	check_stats();
	grace_reader_remove(&reader);
	last = naive;
	naive = (struct naive_map){.nr_ranges = 0};
	vm_stop();
	naive_check_released(&last, &naive);
}

static void entries_and_tags(void **context)
{
	uint64_t wraps = 0;

	(void)context;
	random_seed(1913);
	for (unsigned tag_bits = 1; tag_bits <= 7; tag_bits++)
		for (unsigned round = 0; round < 6; round++) {
			struct tl_vm_config config = {
				.tag_bits = tag_bits == 7 ? 19 : tag_bits,
				.first_generation = round % 2 ? random_next() >> 8 : 0,
				.mmio_level = round % 4,
			};

			run_vm(&config, 600);
			wraps += expected_wraps;
		}
	print_message("%lu wraps; %lu fresh, %lu stale; %lu stamped, %lu served while off, %lu mapped; %lu large\n",
		      wraps, nr_fresh, nr_stale, nr_stamped, nr_unstamped, nr_mapped, nr_large);
	assert_true(wraps > 2000 && nr_fresh > 100000 && nr_stale > 10000 && nr_stamped > 100000);
	assert_true(nr_unstamped > 1000 && nr_mapped > 5000 && nr_large > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(entries_and_tags)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
