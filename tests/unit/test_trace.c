/* SPDX-License-Identifier: MIT */
/* The trace rings: what a record says, what happens when one is full, and that each CPU has its own. */
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "mmu/trace.h"
#include "tests/unit/hosted.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
	MARK = 1 << TL_TRACE_MARK_MMIO_SPTE,
	CHECK = 1 << TL_TRACE_CHECK_MMIO_SPTE,
	COMMIT = 1 << TL_TRACE_COMMIT,
	GRACE = 1 << TL_TRACE_GRACE,
	ZAP = 1 << TL_TRACE_ZAP,
	RECORDS = TL_TRACE_RING_RECORDS
};

static struct tl_vm *vm;
static struct tl_trace_record records[2 * RECORDS];

static void trace(uint32_t events, uint64_t first, uint64_t last)
{
	assert_int_equal(tl_trace_start(&(struct tl_trace_config){events, first, last, false}), TL_OK);
}

static void trace_everywhere(uint32_t events)
{
	trace(events, 0, UINT64_MAX);
}

static int setup(void **context)
{
	enum tl_status status;

	(void)context;
	hosted_start();
	vm = tl_vm_create(NULL, &status);
	assert_int_equal(status, TL_OK);
	trace_everywhere(0);
	return 0;
}

static int teardown(void **context)
{
	uint64_t lost;

	(void)context;
	tl_trace_stop();
	for (unsigned cpu = 0; cpu < 4; cpu++)
		tl_trace_read(cpu, records, 2 * RECORDS, &lost);
	tl_trace_release();
	return tl_vm_destroy(vm) == TL_OK && !hosted.pages_out ? 0 : -1;
}

static const struct map *map_now(void)
{
	return atomic_load_explicit(&vm->map, memory_order_relaxed);
}

static void fault_at(gpa_t gpa)
{
	const struct map_range *range;
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	assert_int_equal(mmu_fault(vm, map_now(), gpa, MMU_READ, &walk, &range), MMU_SERVE);
}

static void record_at(gpa_t gpa)
{
	trace_spte(TL_TRACE_CHECK_MMIO_SPTE, map_now(), gpa, 0, MMIO_RETRY);
}

static size_t taken_of(unsigned cpu)
{
	uint64_t lost;
	size_t taken = tl_trace_read(cpu, records, 2 * RECORDS, &lost);

	assert_int_equal(lost, 0);
	return taken;
}

static tl_range_id add(struct tl_range range)
{
	struct tl_edit *edit = tl_map_edit(vm);
	tl_range_id id;

	assert_int_equal(tl_map_add(edit, &range, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	return id;
}

/* First, while no ring has been made: without memory for one an event is lost, and counted. */
static void without_memory(void **context)
{
	uint64_t lost;

	(void)context;
	hosted_fail_at(1);
	record_at(0x1000);
	assert_int_equal(hosted.failed, 1);
	hosted_fail_at(0);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 0);
	assert_int_equal(lost, 1);
	record_at(0x2000);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 1);
	assert_int_equal(lost, 0);
	assert_int_equal(records[0].gpa, 0x2000);
	assert_int_equal(tl_trace_read(1, records, 10, &lost), 0);
}

static void only_what_is_on(void **context)
{
	(void)context;
	assert_false(trace_is_on(TL_TRACE_MARK_MMIO_SPTE));
	fault_at(0x1000);
	trace_everywhere(CHECK);
	assert_true(trace_is_on(TL_TRACE_CHECK_MMIO_SPTE));
	assert_false(trace_is_on(TL_TRACE_HANDLE_MMIO_PAGE_FAULT));
	fault_at(0x2000);
	assert_int_equal(taken_of(0), 0);
	trace_everywhere(MARK);
	fault_at(0x3000);
	tl_trace_stop();
	fault_at(0x4000);
	assert_int_equal(taken_of(0), 1);
	assert_int_equal(records[0].gpa, 0x3000);
}

/* What is of an address only where it is asked for, to the byte; all else everywhere. */
static void only_where_it_is_on(void **context)
{
	(void)context;
	trace(CHECK | COMMIT, 0x5000, 0x5fff);
	record_at(0x4fff);
	record_at(0x5000);
	record_at(0x5fff);
	record_at(0x6000);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	assert_int_equal(taken_of(0), 3);
	assert_int_equal(records[0].gpa, 0x5000);
	assert_int_equal(records[1].gpa, 0x5fff);
	assert_int_equal(records[2].event, TL_TRACE_COMMIT);
}

static void what_cannot_be_traced(void **context)
{
	const struct tl_trace_config none = {.events = 1u << TL_NR_TRACE_EVENTS, .last = UINT64_MAX},
				     empty = {.events = CHECK, .first = 2, .last = 1};

	(void)context;
	assert_int_equal(tl_trace_start(&none), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_trace_start(&empty), TL_INVALID_ARGUMENT);
	assert_false(trace_is_on(TL_TRACE_CHECK_MMIO_SPTE));
	for (unsigned i = 0; i < TL_NR_TRACE_EVENTS; i++)
		assert_non_null(tl_trace_event_names[i]);
	assert_null(tl_trace_event_names[TL_NR_TRACE_EVENTS]);
}

static void what_a_record_says(void **context)
{
	uint64_t before = __builtin_ia32_rdtsc();
	ept_entry_t entry;
	tl_range_id id;

	(void)context;
	id = add((struct tl_range){.kind = TL_RANGE_MMIO, .start = 0x5000, .size = 0x1000});
	entry = map_now()->ranges[id].fresh;
	trace_everywhere(MARK | CHECK);
	fault_at(0x5abc);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	trace_spte(TL_TRACE_CHECK_MMIO_SPTE, map_now(), 0x5abc, entry, MMIO_INVALID);
	/* What is no MMIO entry has no tag, and an id past the end of the map is not looked up. */
	trace_spte(TL_TRACE_CHECK_MMIO_SPTE, map_now(), 0x5abc, ~0ull, MMIO_BUG);
	trace_spte(TL_TRACE_CHECK_MMIO_SPTE, map_now(), 0x5abc, mmio_spte_make(MMIO_MAX_ID, 5), MMIO_INVALID);
	assert_int_equal(taken_of(0), 4);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(records[i].event, i ? TL_TRACE_CHECK_MMIO_SPTE : TL_TRACE_MARK_MMIO_SPTE);
		assert_int_equal(records[i].gpa, 0x5abc);
		assert_int_equal(records[i].data, entry);
		assert_int_equal(records[i].range, id);
		assert_int_equal(mmio_spte_tag(records[i].other), (mmio_spte_tag(entry) + i) & MMIO_TAG_MASK);
		assert_int_equal(records[i].vcpu, 0);
		assert_true(records[i].tsc >= before);
	}
	assert_int_equal(records[1].detail, MMIO_INVALID);
	assert_int_equal(records[2].detail, MMIO_BUG);
	assert_int_equal(records[2].other, 0);
	assert_int_equal(records[3].range, MMIO_MAX_ID);
	assert_int_equal(records[3].other, 0);
}

/* A removal of memory: published, waited for, zapped, waited for again. */
static void what_a_removal_does(void **context)
{
	static const unsigned events[] = {TL_TRACE_COMMIT, TL_TRACE_ZAP, TL_TRACE_GRACE};
	tl_range_id id = add(
		(struct tl_range){.kind = TL_RANGE_RAM, .start = 0x100000, .size = 0x2000, .host = hosted_memory(0)});
	struct tl_edit *edit = tl_map_edit(vm);

	(void)context;
	trace_everywhere(COMMIT | GRACE | ZAP);
	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(taken_of(0), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(records[i].event, events[i]);
	assert_int_equal(records[0].data, map_now()->generation);
	assert_int_equal(records[0].range, map_now()->nr_places);
	assert_int_equal(records[1].gpa, 0x100000);
	assert_int_equal(records[1].data, 0x101fff);
	assert_int_equal(records[2].data, atomic_load_explicit(&vm->round, memory_order_relaxed));
}

/* The oldest stay, in order; those without room are counted, once. What was taken makes room. */
static void a_full_ring(void **context)
{
	(void)context;
	for (unsigned extra = 0; extra <= RECORDS; extra += 1237) {
		uint64_t lost;
		size_t taken;

		for (unsigned i = 0; i < RECORDS + extra; i++)
			record_at(i * PAGE_SIZE);
		taken = tl_trace_read(0, records, 10, &lost);
		assert_int_equal(taken, 10);
		assert_int_equal(lost, extra);
		record_at(0xabc);
		taken += tl_trace_read(0, records + 10, 2 * RECORDS - 10, &lost);
		assert_int_equal(lost, 0);
		assert_int_equal(taken, RECORDS + 1);
		for (unsigned i = 0; i < RECORDS; i++)
			assert_int_equal(records[i].gpa, i * PAGE_SIZE);
		assert_int_equal(records[RECORDS].gpa, 0xabc);
		assert_int_equal(taken_of(0), 0);
	}
}

static void a_ring_per_cpu(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 100; i++) {
		hosted_cpu = i % 3;
		record_at(i * PAGE_SIZE);
	}
	hosted_cpu = 0;
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		size_t taken = taken_of(cpu);

		assert_int_equal(taken, cpu ? 33 : 34);
		for (unsigned i = 0; i < taken; i++)
			assert_int_equal(records[i].gpa, (3 * i + cpu) * PAGE_SIZE);
	}
}

/* A vCPU leaves when half of the ring is full, and not before, and only if that was asked for. */
static void leaves_after_half(void **context)
{
	struct grace_reader reader = {.number = 7};

	(void)context;
	assert_int_equal(tl_trace_start(&(struct tl_trace_config){CHECK, 0, UINT64_MAX, true}), TL_OK);
	/* Half is reached outside of a run, where no vCPU can leave. */
	for (unsigned i = 0; i < RECORDS / 2 + 10; i++)
		record_at(i);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	record_at(0);
	assert_int_equal(reader.kicked, 1);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
	assert_int_equal(taken_of(0), RECORDS / 2 + 11);
}

static void leaves_at_half(void **context)
{
	struct grace_reader reader = {.number = 7};

	(void)context;
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	for (unsigned asked = 0; asked < 2; asked++) {
		assert_int_equal(tl_trace_start(&(struct tl_trace_config){CHECK, 0, UINT64_MAX, asked}), TL_OK);
		for (unsigned i = 1; i < RECORDS / 2; i++)
			record_at(i);
		assert_int_equal(reader.kicked, 0);
		record_at(0);
		assert_int_equal(reader.kicked, 0);
		record_at(0);
		assert_int_equal(reader.kicked, asked);
		assert_int_equal(reader.entry_round == GRACE_ATTENTION, asked);
		assert_int_equal(taken_of(0), RECORDS / 2 + 1);
		assert_int_equal(records[0].vcpu, 7);
	}
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
}

enum { THREADED = 300000 };

static void *write_many(void *unused)
{
	(void)unused;
	hosted_cpu = 1;
	for (unsigned i = 0; i < THREADED; i++)
		record_at(i * PAGE_SIZE);
	return NULL;
}

/* The reader is another CPU: each record comes whole and once, or is counted. */
static void read_while_written(void **context)
{
	uint64_t lost = 0, all = 0;
	gpa_t next = 0;
	pthread_t thread;

	(void)context;
	assert_int_equal(pthread_create(&thread, NULL, write_many, NULL), 0);
	while (all < THREADED) {
		size_t taken = tl_trace_read(1, records, 2 * RECORDS, &lost);

		for (size_t i = 0; i < taken; i++) {
			assert_true(records[i].gpa >= next);
			assert_int_equal(records[i].detail, MMIO_RETRY);
			next = records[i].gpa + PAGE_SIZE;
		}
		all += taken + lost;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(all, THREADED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_memory),        TEST(only_what_is_on),    TEST(only_where_it_is_on),
		TEST(what_cannot_be_traced), TEST(what_a_record_says), TEST(what_a_removal_does),
		TEST(a_full_ring),           TEST(a_ring_per_cpu),     TEST(leaves_after_half),
		TEST(leaves_at_half),        TEST(read_while_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
