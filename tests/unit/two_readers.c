/* SPDX-License-Identifier: MIT */
#include "tests/unit/two_readers.h"
#include "mmu/ept_table.h"
#include "mmu/mmu.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct grace_reader self, other;
unsigned nr_released;

int two_readers_setup(void **context)
{
	struct tl_vm_config config = {.tag_bits = 3};

	(void)context;
	vm_start(&config);
	self = other = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&self, vm);
	grace_reader_add(&other, vm);
	nr_released = 0;
	return 0;
}

int two_readers_teardown(void **context)
{
	(void)context;
	/* A test that failed in a hook has left the lock held. */
	vm_unlock(vm);
	assert_null(self.pending);
	assert_null(other.pending);
	/* Its vCPUs go first. */
	assert_int_equal(tl_vm_destroy(vm), TL_INVALID_ARGUMENT);
	grace_reader_remove(&self);
	grace_reader_remove(&other);
	vm_stop();
	return 0;
}

static void count_release(void *context)
{
	(void)context;
	nr_released++;
}

struct tl_range device_at(uint64_t start)
{
	struct tl_range range = mmio_range(start, 0x1000);

	range.release = count_release;
	return range;
}

struct tl_range memory_at(uint64_t start, uint64_t size)
{
	struct tl_range range = ram_range(start, size);

	range.release = count_release;
	return range;
}

ept_entry_t entry_at(gpa_t gpa)
{
	return walk_to(gpa).entry;
}

void touch_under(const struct map *map, gpa_t gpa)
{
	const struct map_range *range;
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	assert_in_range(mmu_fault(vm, map, gpa, MMU_READ, &walk, &range), MMU_SERVE, MMU_MAPPED);
}
