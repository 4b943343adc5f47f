/* SPDX-License-Identifier: MIT */
#include "tests/unit/dirty_fixture.h"
#include "mmu/hooks.h"
#include "mmu/mmu.h"
#include <string.h>

unsigned guest_write(gpa_t gpa)
{
	unsigned exits = 0;

	for (; !may_write(gpa); exits++) {
		const struct map_range *range;
		struct ept_walk walk = walk_to(gpa);

		assert_int_equal(mmu_fault(vm, map_now(), gpa, MMU_WRITE, &walk, &range), MMU_MAPPED);
		assert_true(exits < 8);
	}
	/* Its vCPU is left. */
	drain_write_log();
	return exits;
}

bool protects(void)
{
	return dirty_by(vm) == DIRTY_BY_PROTECTION;
}

uint64_t log_words[HOSTED_MEMORY_GIB * 4096], fetched[HOSTED_MEMORY_GIB * 4096];

tl_range_id start_log(uint64_t start, uint64_t size)
{
	tl_range_id id = range_add(ram_range(start, size));

	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	/* Its CPU flushes as it enters. */
	flush_write_tlb(vm);
	return id;
}

bool is_fetched(uint64_t page)
{
	return fetched[page / 64] >> page % 64 & 1;
}

static int setup_by(enum dirty_by by)
{
	vm_start(NULL);
	atomic_store(&vm->dirty_by, by);
	hosted.on_flush = flush_write_tlb;
	for (hosted_cpu = 0; hosted_cpu < 3; hosted_cpu++)
		flush_write_tlb(vm);
	hosted_cpu = 0;
	return 0;
}

static int setup_protection(void **context)
{
	(void)context;
	return setup_by(DIRTY_BY_PROTECTION);
}

static int setup_flags(void **context)
{
	(void)context;
	return setup_by(DIRTY_BY_FLAGS);
}

static int setup_pml(void **context)
{
	(void)context;
	return setup_by(DIRTY_BY_PML);
}

struct CMUnitTest dirty_test(const char *name, CMUnitTestFunction test, enum dirty_by by)
{
	static const CMFixtureFunction setups[] = {
		[DIRTY_BY_PROTECTION] = setup_protection, [DIRTY_BY_FLAGS] = setup_flags, [DIRTY_BY_PML] = setup_pml};

	return (struct CMUnitTest){
		.name = name, .test_func = test, .setup_func = setups[by], .teardown_func = vm_teardown};
}
