/* SPDX-License-Identifier: MIT */
/*
 * Random transactions against CPUs that cache all they may (tlb.h): no access reaches memory after its removal has
 * returned, nor with a right that was taken away, and no walk goes through a table that was freed. vCPUs are anywhere
 * in their exits meanwhile: it is the kick hook that lets them go on while a commit waits. Then the same with an
 * ordering broken on purpose, which must be found.
 */
#include "mmu/ept_collect.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "tests/unit/hosted.h"
#include "tests/unit/tlb_guest.h"
#include "tests/unit/tlb_log.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)
#define GIB  EPT_SPAN(3)

enum { WRITER_CPU = TLB_CPUS, SEEDS = 24, TRANSACTIONS = 1000 };

/* ---- The linker puts these in the place of the library's: each does right, unless this process is a mutant ---- */

static gpa_t zap_first, zap_last;

/* Where what is wrong must show at a mapping, all tables stay. */
static bool tables_go(void)
{
	return mutation == NONE || mutation >= TABLES_NOT_FLUSHED;
}

bool __real_grace_wait(struct tl_vm *of, uint64_t round, struct grace_reader *self);
bool __wrap_grace_wait(struct tl_vm *of, uint64_t round, struct grace_reader *self);
void __real_ept_zap_present(struct tl_vm *of, gpa_t first, gpa_t last);
void __wrap_ept_zap_present(struct tl_vm *of, gpa_t first, gpa_t last);
bool __real_ept_collect(struct tl_vm *of, const struct ept_collect *what, struct ept_garbage *garbage);
bool __wrap_ept_collect(struct tl_vm *of, const struct ept_collect *what, struct ept_garbage *garbage);

bool __wrap_grace_wait(struct tl_vm *of, uint64_t round, struct grace_reader *self)
{
	if (mutation == ZAP_BEFORE_GRACE && zap_first <= zap_last) {
		__real_ept_zap_present(of, zap_first, zap_last);
		/* Not again before the second wait. */
		zap_first = zap_last + 1;
	}
	return mutation == NO_GRACE || __real_grace_wait(of, round, self);
}

void __wrap_ept_zap_present(struct tl_vm *of, gpa_t first, gpa_t last)
{
	if (mutation != NO_ZAP && mutation != ZAP_BEFORE_GRACE)
		__real_ept_zap_present(of, first, last);
}

bool __wrap_ept_collect(struct tl_vm *of, const struct ept_collect *what, struct ept_garbage *garbage)
{
	bool all;

	/* A table that is unlinked takes its memory along. */
	if (!tables_go())
		return true;
	all = __real_ept_collect(of, what, garbage);
	if (mutation == EARLY_FREE && garbage->nr) {
		ept_garbage_free(of, garbage);
		guest_looks_around();
	}
	return all;
}

/* ---- Transactions ---- */

static struct tl_range random_range(void)
{
	static const uint64_t sizes[] = {PAGE_SIZE, 16 * PAGE_SIZE, MIB2, 2 * MIB2, MIB2 + 3 * PAGE_SIZE, GIB};
	static const enum tl_range_kind kinds[] = {TL_RANGE_RAM, TL_RANGE_RAM, TL_RANGE_ROM, TL_RANGE_MMIO};
	uint64_t size = sizes[random_below(6)], chunk = size >= GIB ? GIB : MIB2;
	struct tl_range range = {.kind = kinds[random_below(4)], .size = size, .start = random_below(3) * GIB};

	if (chunk == MIB2)
		range.start += random_below(4) * MIB2;
	if (size < MIB2)
		range.start += random_below(4) * PAGE_SIZE;
	/* In step with the guest's addresses mostly, so that large leaves do. */
	if (range.kind != TL_RANGE_MMIO)
		range.host = hosted_memory(random_below(4) * GIB + range.start % GIB +
					   (random_below(4) ? 0 : random_below(64) * PAGE_SIZE));
	return range;
}

/* What a transaction may take away stays reachable until it has returned. */
static void may_go(const struct memory *memory)
{
	assert_true(nr_going < MOST_GOING);
	if (memory->id != TL_HOLE)
		going[nr_going++] = *memory;
}

static void note_zap(const struct memory *memory)
{
	zap_first = memory->start;
	zap_last = memory->start + (memory->size - 1);
}

static void add_step(struct tl_edit *edit, struct memory *memory, struct tl_range range)
{
	*memory = (struct memory){.kind = range.kind, .start = range.start, .size = range.size};
	if (range.host)
		memory->host = host_to_phys(range.host);
	assert_int_equal(tl_map_add(edit, &range, &memory->id), TL_OK);
}

/* One edit of a range that is there; two where something else comes to its place at once. */
static void change_step(struct tl_edit *edit, struct memory *memory)
{
	struct tl_range range = random_range();
	uint64_t size = (1 + random_below(memory->size / PAGE_SIZE)) * PAGE_SIZE;

	note_zap(memory);
	switch (random_below(5)) {
	case 0:
		tl_map_remove(edit, memory->id);
		memory->id = TL_HOLE;
		break;
	case 1:
		tl_map_move(edit, memory->id, range.start);
		memory->start = range.start;
		break;
	case 2:
		if (random_below(2))
			size = memory->size + random_below(600) * PAGE_SIZE;
		tl_map_resize(edit, memory->id, size);
		memory->size = size;
		break;
	case 3:
		if (memory->kind != TL_RANGE_MMIO) {
			memory->kind = memory->kind == TL_RANGE_RAM ? TL_RANGE_ROM : TL_RANGE_RAM;
			tl_map_protect(edit, memory->id, memory->kind, NULL);
			break;
		}
		/* fall through */
	default:
		tl_map_remove(edit, memory->id);
		range.start = memory->start;
		range.size = memory->size;
		if (range.host)
			range.host = hosted_memory(random_below(4) * GIB + range.start % GIB);
		add_step(edit, memory, range);
	}
}

/* What may be done to a range that is logged; the log ends with it. */
static void change_logged(struct tl_edit *edit, struct memory *memory)
{
	note_zap(memory);
	switch (random_below(4)) {
	case 0:
		tl_map_remove(edit, memory->id);
		memory->id = TL_HOLE;
		break;
	case 1:
		memory->size = (1 + random_below(memory->size / PAGE_SIZE)) * PAGE_SIZE;
		tl_map_resize(edit, memory->id, memory->size);
		break;
	default:
		memory->start = random_range().start;
		tl_map_move(edit, memory->id, memory->start);
	}
}

static uint64_t nr_committed, nr_pending;

static void commit_something(void)
{
	struct memory *memory = &ranges[random_below(NR_RANGES)], before = *memory;
	enum tl_status status;
	struct tl_edit *edit;

	/* That of a log changes where nobody fetches it, and not from callbacks. */
	if (log_is_of(memory) && (grace_current() || fetching))
		return;
	edit = tl_map_edit(vm);

	zap_last = 0;
	zap_first = 1;
	if (memory->id == TL_HOLE) {
		add_step(edit, memory, random_range());
	} else {
		may_go(memory);
		if (log_is_of(memory))
			change_logged(edit, memory);
		else
			change_step(edit, memory);
	}
	/* Until it is published, and if it is refused, what was there is there. */
	status = tl_map_commit(edit);
	if (status < 0) {
		assert_true(status == TL_OVERLAP || status == TL_TOO_HIGH || status == TL_AGAIN);
		*memory = before;
		if (before.id != TL_HOLE)
			nr_going--;
		return;
	}
	log_follow();
	nr_committed++;
	nr_pending += status == TL_PENDING;
	/* Inside a callback it is the vCPU that completes it. */
	if (status == TL_OK && !grace_current())
		nr_going = 0;
}

static void random_transactions(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		hosted_cpu = WRITER_CPU;
		if (random_below(16) == 0)
			assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
		else if (tables_go() && random_below(16) == 0)
			assert_int_equal(tl_vm_trim(vm), TL_OK);
		else if (random_below(4) == 0 && (mutation == NONE || mutation == LOG_NOT_FLUSHED))
			log_something();
		else
			commit_something();
		guest_steps((unsigned)random_below(40));
	}
}

static void start(void)
{
	struct tl_vm_config config = {.tag_bits = 3};

	vm_start(&config);
	atomic_store(&vm->dirty_by, mutation == LOG_NOT_FLUSHED ? DIRTY_BY_FLAGS : (enum dirty_by)random_below(3));
	mmu_cpu.large_executable = random_below(2);
	guest_callback = commit_something;
	log_start();
	guest_start();
}

static void stop(void)
{
	guest_stop();
	vm_stop();
}

static void nothing_is_reached_after_its_removal(void **context)
{
	(void)context;
	nr_accesses = nr_committed = nr_pending = 0;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		random_seed(seed);
		start();
		random_transactions(TRANSACTIONS);
		assert_true(vm->wraps > 10);
		stop();
	}
	print_message("%lu accesses; translations used: %lu of 4 KiB, %lu of 2 MiB, %lu of 1 GiB; %lu commits, %lu in "
		      "callbacks\n",
		      (unsigned long)nr_accesses, (unsigned long)tlb_used[1], (unsigned long)tlb_used[2],
		      (unsigned long)tlb_used[3], (unsigned long)nr_committed, (unsigned long)nr_pending);
	assert_true(tlb_used[1] > 1000 && tlb_used[2] > 1000 && tlb_used[3] > 1000);
	assert_true(nr_committed > 1000 && nr_pending > 50);
	print_message("%lu fetches of logs, %lu pages in them\n", (unsigned long)log_fetches, (unsigned long)log_pages);
	assert_true(log_fetches > 500 && log_pages > 500);
}

/* The error that the mutant's process ends with. */
static enum error error_of(enum mutation mutant)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		mutation = mutant;
		alarm(60);
		random_seed((uint64_t)mutant + 10);
		start();
		random_transactions(TRANSACTIONS);
		_exit(NO_ERROR);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (enum error)WEXITSTATUS(status);
}

static void a_broken_ordering_is_found(void **context)
{
	static const enum error found[] = {[NONE] = NO_ERROR,
					   [NO_FLUSH] = STALE_ACCESS,
					   [LATE_FLUSH] = STALE_ACCESS,
					   [NO_ZAP] = STALE_ACCESS,
					   [ZAP_BEFORE_GRACE] = STALE_ACCESS,
					   [NO_GRACE] = STALE_ACCESS,
					   [TABLES_NOT_FLUSHED] = FREED_TABLE,
					   [EARLY_FREE] = FREED_TABLE,
					   [LOG_NOT_FLUSHED] = WRONG_LOG};

	(void)context;
	for (enum mutation mutant = NONE; mutant < NR_MUTATIONS; mutant++) {
		enum error error = error_of(mutant);

		if (error != found[mutant])
			fail_msg("mutation %d ends with error %d, not %d", (int)mutant, (int)error, (int)found[mutant]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_reached_after_its_removal),
		cmocka_unit_test(a_broken_ordering_is_found),
	};

	/* A wait that never ends is a failure, too. */
	alarm(400);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
