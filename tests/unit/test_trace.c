/* SPDX-License-Identifier: MIT */
/* The trace rings: what a record says, what happens when one is full, and that each CPU has its own. */
#include "mmu/mmu.h"
#include "mmu/trace.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MARK = 1 << TL_TRACE_MARK_MMIO_SPTE, CHECK = 1 << TL_TRACE_CHECK_MMIO_SPTE };

static struct tl_vm *vm;
static struct tl_trace_record records[2 * TRACE_RING_RECORDS];

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
	uint64_t lost;

	(void)context;
	tl_trace_enable(0);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		tl_trace_read(cpu, records, 2 * TRACE_RING_RECORDS, &lost);
	return tl_vm_destroy(vm) == TL_OK ? 0 : -1;
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
	trace_record(TL_TRACE_CHECK_MMIO_SPTE, map_now(), gpa, 0, MMIO_RETRY);
}

/* First, while no ring has been made: without memory for one an event is dropped. */
static void without_memory(void **context)
{
	uint64_t lost;

	(void)context;
	hosted_fail_at(1);
	record_at(0x1000);
	assert_int_equal(hosted.failed, 1);
	hosted_fail_at(0);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 0);
	assert_int_equal(lost, 0);
	record_at(0x2000);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 1);
	assert_int_equal(records[0].gpa, 0x2000);
	assert_int_equal(tl_trace_read(1, records, 10, &lost), 0);
}

static void only_what_is_on(void **context)
{
	uint64_t lost;

	(void)context;
	assert_false(trace_is_on(TL_TRACE_MARK_MMIO_SPTE));
	fault_at(0x1000);
	tl_trace_enable(CHECK);
	assert_true(trace_is_on(TL_TRACE_CHECK_MMIO_SPTE));
	assert_false(trace_is_on(TL_TRACE_HANDLE_MMIO_PAGE_FAULT));
	fault_at(0x2000);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 0);
	tl_trace_enable(MARK);
	fault_at(0x3000);
	tl_trace_enable(0);
	fault_at(0x4000);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 1);
	assert_int_equal(records[0].gpa, 0x3000);
}

static void what_a_record_says(void **context)
{
	struct tl_range range = {.kind = TL_RANGE_MMIO, .start = 0x5000, .size = 0x1000};
	struct tl_edit *edit = tl_map_edit(vm);
	uint64_t before = __builtin_ia32_rdtsc(), lost;
	ept_entry_t entry;
	tl_range_id id;

	(void)context;
	assert_int_equal(tl_map_add(edit, &range, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	entry = map_now()->ranges[id].fresh;
	tl_trace_enable(MARK | CHECK);
	fault_at(0x5abc);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	trace_record(TL_TRACE_CHECK_MMIO_SPTE, map_now(), 0x5abc, entry, MMIO_INVALID);
	/* What is no MMIO entry has no tag, and an id past the end of the map is not looked up. */
	trace_record(TL_TRACE_CHECK_MMIO_SPTE, map_now(), 0x5abc, ~0ull, MMIO_BUG);
	trace_record(TL_TRACE_CHECK_MMIO_SPTE, map_now(), 0x5abc, mmio_spte_make(MMIO_MAX_ID, 5), MMIO_INVALID);
	assert_int_equal(tl_trace_read(0, records, 10, &lost), 4);
	assert_int_equal(lost, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(records[i].event, i ? TL_TRACE_CHECK_MMIO_SPTE : TL_TRACE_MARK_MMIO_SPTE);
		assert_int_equal(records[i].gpa, 0x5abc);
		assert_int_equal(records[i].spte, entry);
		assert_int_equal(records[i].range, id);
		assert_int_equal(records[i].spte_tag, mmio_spte_tag(entry));
		assert_int_equal(records[i].map_tag, (mmio_spte_tag(entry) + i) & MMIO_TAG_MASK);
		assert_true(records[i].tsc >= before);
	}
	assert_int_equal(records[1].verdict, MMIO_INVALID);
	assert_int_equal(records[2].verdict, MMIO_BUG);
	assert_int_equal(records[2].spte_tag, 0);
	assert_int_equal(records[2].map_tag, 0);
	assert_int_equal(records[3].range, MMIO_MAX_ID);
	assert_int_equal(records[3].spte_tag, 5);
	assert_int_equal(records[3].map_tag, 0);
}

/* The newest stay, in order; what was overwritten is counted, once. Every record is written to memory of the ring's. */
static void a_full_ring(void **context)
{
	(void)context;
	for (unsigned extra = 0; extra <= 2 * TRACE_RING_RECORDS; extra += 37) {
		unsigned count = TRACE_RING_RECORDS + extra;
		uint64_t lost;
		size_t taken;

		for (unsigned i = 0; i < count; i++)
			record_at(i * PAGE_SIZE);
		taken = tl_trace_read(0, records, 10, &lost);
		assert_int_equal(taken, 10);
		assert_int_equal(lost, extra);
		taken += tl_trace_read(0, records + 10, 2 * TRACE_RING_RECORDS - 10, &lost);
		assert_int_equal(lost, 0);
		assert_int_equal(taken, TRACE_RING_RECORDS);
		for (unsigned i = 0; i < taken; i++)
			assert_int_equal(records[i].gpa, (extra + i) * PAGE_SIZE);
		assert_int_equal(tl_trace_read(0, records, 10, &lost), 0);
		assert_int_equal(lost, 0);
	}
}

static void a_ring_per_cpu(void **context)
{
	uint64_t lost;

	(void)context;
	for (unsigned i = 0; i < 100; i++) {
		hosted_cpu = i % 3;
		record_at(i * PAGE_SIZE);
	}
	hosted_cpu = 0;
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		size_t taken = tl_trace_read(cpu, records, 100, &lost);

		assert_int_equal(taken, cpu ? 33 : 34);
		for (unsigned i = 0; i < taken; i++)
			assert_int_equal(records[i].gpa, (3 * i + cpu) * PAGE_SIZE);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_memory), TEST(only_what_is_on), TEST(what_a_record_says),
		TEST(a_full_ring),    TEST(a_ring_per_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
