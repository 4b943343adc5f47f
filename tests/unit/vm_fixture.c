/* SPDX-License-Identifier: MIT */
#include "tests/unit/vm_fixture.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct tl_vm *vm;

void vm_start(const struct tl_vm_config *config)
{
	enum tl_status status;

	hosted_start();
	vm = tl_vm_create(config, &status);
	assert_int_equal(status, TL_OK);
	assert_non_null(vm);
	/* Each table asks the hook, where tests look at what stands and let it fail. */
	ept_pages_drain(vm);
	vm->ept_pages_at_hand = 0;
}

void vm_stop(void)
{
	hosted.on_alloc = NULL;
	hosted.on_kick = NULL;
	hosted.on_flush = NULL;
	hosted_fail_at(0);
	/* A test that failed in a hook may have left the lock held. */
	vm_unlock(vm);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(hosted.pages_out, 0);
}

int vm_setup(void **context)
{
	(void)context;
	vm_start(NULL);
	return 0;
}

int vm_teardown(void **context)
{
	(void)context;
	vm_stop();
	return 0;
}

const struct map *map_now(void)
{
	return atomic_load_explicit(&vm->map, memory_order_acquire);
}

struct tl_range mmio_range(uint64_t start, uint64_t size)
{
	return (struct tl_range){.kind = TL_RANGE_MMIO, .start = start, .size = size};
}

struct tl_range ram_range(uint64_t start, uint64_t size)
{
	return (struct tl_range){.kind = TL_RANGE_RAM, .start = start, .size = size, .host = hosted_memory(start)};
}

static enum tl_status try_add(struct tl_range range, tl_range_id *id)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	assert_int_equal(tl_map_add(edit, &range, id), TL_OK);
	return tl_map_commit(edit);
}

tl_range_id range_add(struct tl_range range)
{
	tl_range_id id = TL_HOLE;

	assert_int_equal(try_add(range, &id), TL_OK);
	return id;
}

enum tl_status range_try(struct tl_range range)
{
	return try_add(range, NULL);
}

enum tl_status range_remove(tl_range_id id)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	return tl_map_commit(edit);
}

enum tl_status range_move(tl_range_id id, uint64_t start)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	assert_int_equal(tl_map_move(edit, id, start), TL_OK);
	return tl_map_commit(edit);
}

enum tl_status range_resize(tl_range_id id, uint64_t size)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	assert_int_equal(tl_map_resize(edit, id, size), TL_OK);
	return tl_map_commit(edit);
}

struct ept_walk walk_to(gpa_t gpa)
{
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	return walk;
}

uint32_t tag_of(tl_range_id id)
{
	return mmio_spte_tag(map_now()->ranges[id].fresh);
}

void expect_mmio(gpa_t gpa, enum mmu_access access, tl_range_id server, tl_range_id id, unsigned level)
{
	const struct map_range *range = NULL;
	struct ept_walk walk = walk_to(gpa);

	assert_int_equal(mmu_fault(vm, map_now(), gpa, access, &walk, &range), MMU_SERVE);
	assert_int_equal(range->id, server);
	/* The walk went along. */
	assert_int_equal(walk.entry, mmio_spte_make(id, tag_of(id)));
	assert_int_equal(atomic_load(walk.slot), walk.entry);
	walk = walk_to(gpa);
	assert_int_equal(walk.entry, mmio_spte_make(id, tag_of(id)));
	assert_int_equal(walk.level, level);
	assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_EMULATE);
	assert_int_equal(range->id, id);
}

uint64_t mmio_entries_gone(void)
{
	return atomic_load(&vm->zapped) + atomic_load(&vm->unlinked);
}

enum mmu_fault fault(gpa_t gpa, enum mmu_access access)
{
	const struct map_range *range = NULL;
	struct ept_walk walk = walk_to(gpa);
	enum mmu_fault result = mmu_fault(vm, map_now(), gpa, access, &walk, &range);

	if (result != MMU_CORRUPT)
		assert_int_equal(range->id, map_find(map_now(), gpa)->id);
	return result;
}

void expect_leaf(gpa_t gpa, unsigned level, ept_entry_t rights, const uint8_t *host)
{
	struct ept_walk walk = walk_to(gpa);

	assert_false(walk.malformed);
	assert_int_equal(walk.level, level);
	assert_int_equal(walk.entry & ~EPT_ADDRESS, rights | EPT_TYPE_WB | EPT_FLAGS | (level > 1 ? EPT_LARGE : 0));
	assert_int_equal((walk.entry & EPT_ADDRESS) + (gpa & (EPT_SPAN(level) - 1)), host_to_phys(host));
}

void reader_enter(struct grace_reader *reader, unsigned cpu)
{
	unsigned here = hosted_cpu;

	hosted_cpu = cpu;
	grace_enter(reader, hooks->cpu_index());
	hosted_cpu = here;
}

void reader_leave(struct grace_reader *reader, unsigned cpu)
{
	unsigned here = hosted_cpu;

	hosted_cpu = cpu;
	grace_leave(reader, hooks->cpu_index());
	hosted_cpu = here;
}

void approach_wrap(void)
{
	while (vm_tag(vm, map_now()->generation) != vm->tag_mask)
		assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
}

void begin_wrap(struct grace_reader *reader)
{
	approach_wrap();
	grace_reader_add(reader, vm);
	reader_enter(reader, 0);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_PENDING);
	assert_false(map_now()->stamping);
}

void end_wrap(struct grace_reader *reader)
{
	assert_true(map_complete_pending(reader));
	reader_leave(reader, 0);
	grace_reader_remove(reader);
}
