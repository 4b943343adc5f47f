/* SPDX-License-Identifier: MIT */
/* The walk's accessed and dirty flags while another CPU changes the same entry. */
#include "tests/unit/guest_memory.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <trapline.h>

#include <cmocka.h>

enum { PML4 = 0x1000, PT = 0x4000 };

static const struct guest_paging paging = {
	.cr0 = PG | WP,
	.cr3 = PML4,
	.cr4 = PAE,
	.efer = LMA | NXE,
	.maxphyaddr = 39,
};

static uint64_t *entry_at(uint64_t gpa)
{
	return (uint64_t *)(void *)(ram + gpa);
}

static uint64_t *leaf(void)
{
	return entry_at(PT);
}

/* Another CPU, which counts in the available bits of an entry and clears its flags, as a guest's kernel does. */
enum { ENOUGH = 300000 };
static _Atomic unsigned long updates;
static _Atomic bool stop;

static void *other_cpu(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop)) {
		__atomic_fetch_add(leaf(), BIT(52), __ATOMIC_RELAXED);
		__atomic_fetch_and(leaf(), ~(uint64_t)(A | D), __ATOMIC_RELAXED);
		atomic_fetch_add(&updates, 1);
	}
	return NULL;
}

/* A flag set by a plain read, change and write would take back what the other CPU did between the two. */
static void loses_no_update_of_another_cpu(void **context)
{
	unsigned long ok = 0, retries = 0;
	struct guest_walk walk;
	pthread_t thread;

	(void)context;
	for (unsigned table = PML4; table < PT; table += 4096)
		*entry_at(table) = (table + 4096) | ALL;
	*leaf() = ALL;
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
	while (ok + retries < ENOUGH || atomic_load(&updates) < ENOUGH) {
		enum guest_walk_status status = guest_walk(guest_map(), &paging, 0, GUEST_WRITE, &walk);

		assert_true(status == GUEST_WALK_OK || status == GUEST_WALK_RETRY);
		ok += status == GUEST_WALK_OK;
		retries += status == GUEST_WALK_RETRY;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(*leaf() >> 52, atomic_load(&updates) & 0xfff);
	/* With nobody in the way it succeeds. */
	assert_int_equal(guest_walk(guest_map(), &paging, 0, GUEST_WRITE, &walk), GUEST_WALK_OK);
	print_message("%lu walks, %lu to be tried again, against %lu updates\n", ok, retries, atomic_load(&updates));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(loses_no_update_of_another_cpu)};

	return cmocka_run_group_tests(tests, guest_memory_start, guest_memory_stop);
}
