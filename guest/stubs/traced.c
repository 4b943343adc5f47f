/* SPDX-License-Identifier: MIT */
/* The host traces what this guest does, and it reads the trace and compares. */
#include "guest/stubs/lib.h"
#include <trapline.h>

enum { RECORDS = 64, ROUNDS = 50 };

static struct tl_trace_record record[RECORDS];

static const uint32_t all = (1u << TL_NR_TRACE_EVENTS) - 1;

static void trace(uint32_t events)
{
	CHECK_EQUAL(vmcall(HC_TRACE, events, 0, 0, 0), 0);
}

/* What was recorded since trace(), which this ends. */
static uint64_t taken(void)
{
	uint64_t count;

	trace(0);
	count = vmcall(HC_TRACE_TAKE, (uint64_t)record, RECORDS, 0, 0);
	CHECK(count <= RECORDS);
	for (uint64_t i = 1; i < count; i++)
		CHECK(record[i].tsc >= record[i - 1].tsc);
	return count;
}

static void check_event(const struct tl_trace_record *r, enum tl_trace_event event, uint64_t gpa, uint64_t data)
{
	CHECK_EQUAL(r->event, event);
	CHECK_EQUAL(r->gpa, gpa);
	CHECK_EQUAL(r->data, data);
	CHECK(r->vcpu != 0);
}

/* Between the two hypercalls: one access, and each step of its way. Its instruction is `length` bytes. */
static void check_access(uint64_t gpa, enum tl_trace_access how, unsigned size, uint64_t data)
{
	uint64_t count = taken();

	CHECK_EQUAL(count, 6);
	CHECK_EQUAL(record[0].event, TL_TRACE_ENTRY);
	check_event(&record[1], TL_TRACE_EXIT, gpa, 49);
	CHECK_EQUAL(record[2].event, TL_TRACE_CHECK_MMIO_SPTE);
	CHECK_EQUAL(record[2].gpa, gpa);
	CHECK_EQUAL(record[2].detail, 0);
	check_event(&record[3], TL_TRACE_MMIO, gpa, data);
	CHECK_EQUAL(record[3].detail, how);
	CHECK_EQUAL(record[3].size, size);
	CHECK_EQUAL(record[3].range, record[2].range);
	CHECK_EQUAL(record[4].event, TL_TRACE_ENTRY);
	CHECK(record[4].rip > record[1].rip && record[4].rip <= record[1].rip + 15);
	CHECK_EQUAL(record[5].event, TL_TRACE_EXIT);
	CHECK_EQUAL(record[5].data, 18);
}

static void check_accesses(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t value = (uint32_t)lib_random();
		uint64_t at = DEVICE_BANK0_AT + 8 * lib_random_below(64);

		write32(at, 0);
		trace(all);
		write32(at, value);
		check_access(at, TL_TRACE_WRITE, 4, value);
		trace(all);
		CHECK_EQUAL(read32(at), value);
		check_access(at, TL_TRACE_READ, 4, value);
		trace(all);
		CHECK_EQUAL(read8(at + 1), value >> 8 & 0xff);
		check_access(at + 1, TL_TRACE_READ, 1, value >> 8 & 0xff);
	}
}

/* One whose way is searched for again, and the commit that made it so. */
static void check_stale(void)
{
	uint64_t count;

	read32(DEVICE_BANK0_AT);
	trace(1u << TL_TRACE_COMMIT | 1u << TL_TRACE_CHECK_MMIO_SPTE | 1u << TL_TRACE_MARK_MMIO_SPTE |
	      1u << TL_TRACE_HANDLE_MMIO_PAGE_FAULT);
	CHECK_EQUAL(lib_edit(EDIT_INVALIDATE, DEVICE_BANK0, 0), 0);
	read32(DEVICE_BANK0_AT);
	read32(DEVICE_BANK0_AT);
	count = taken();
	CHECK_EQUAL(count, 5);
	check_event(&record[4], TL_TRACE_CHECK_MMIO_SPTE, DEVICE_BANK0_AT, record[2].data);
	CHECK_EQUAL(record[0].event, TL_TRACE_COMMIT);
	CHECK_EQUAL(record[1].event, TL_TRACE_CHECK_MMIO_SPTE);
	CHECK_EQUAL(record[1].detail, 1);
	CHECK(record[1].data != record[2].data);
	check_event(&record[2], TL_TRACE_MARK_MMIO_SPTE, DEVICE_BANK0_AT, record[2].data);
	CHECK_EQUAL(record[3].event, TL_TRACE_HANDLE_MMIO_PAGE_FAULT);
	CHECK_EQUAL(record[4].detail, 0);
}

/* Without tracing nothing is recorded, and runs of accesses are served together again. */
static void check_off(void)
{
	CHECK_EQUAL(vmcall(HC_TRACE_TAKE, (uint64_t)record, RECORDS, 0, 0), 0);
	read32(DEVICE_BANK0_AT);
	CHECK_EQUAL(vmcall(HC_TRACE_TAKE, (uint64_t)record, RECORDS, 0, 0), 0);
	CHECK_EQUAL(vmcall(HC_TRACE, UINT32_MAX, 0, 0, 0), HC_FAILED);
}

int main(const struct mb1_info *info)
{
	(void)info;
	check_accesses();
	check_stale();
	check_off();
	return 0;
}
