/* SPDX-License-Identifier: MIT */
#include "mmu/vm.h"
#include "mmu/dirty.h"
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"

struct mmu_cpu mmu_cpu;

enum { FIRST_CAPACITY = 64, SHORT_OF_THE_WRAP = 150 };

#define VM_PAGES ((sizeof(struct tl_vm) + PAGE_SIZE - 1) / PAGE_SIZE)

static void lock(atomic_flag *flag)
{
	/* acquire: what the last holder wrote. */
	while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire))
		__builtin_ia32_pause();
}

void vm_lock(struct tl_vm *vm)
{
	lock(&vm->writer_lock);
}

void vm_unlock(struct tl_vm *vm)
{
	atomic_flag_clear_explicit(&vm->writer_lock, memory_order_release);
}

void vm_lock_tables(struct tl_vm *vm)
{
	lock(&vm->table_lock);
}

void vm_unlock_tables(struct tl_vm *vm)
{
	atomic_flag_clear_explicit(&vm->table_lock, memory_order_release);
}

/* The first map: the hole, and the slot that stands for shared pages. */
static bool publish_first_map(struct tl_vm *vm, uint64_t generation)
{
	unsigned width = mmu_cpu.maxphyaddr < 48 ? mmu_cpu.maxphyaddr : 48;
	bool again;
	struct map *map = map_copy(vm, NULL, FIRST_CAPACITY, &again);

	if (!map)
		return false;
	map->ranges[MAP_HOLE_ID] = (struct map_range){.last = BIT(width) - 1, .id = MAP_HOLE_ID, .kind = MAP_HOLE};
	/* It stands at no place: nothing is found in it, and map_host() must not either. */
	map->ranges[MAP_SHARED_ID] = (struct map_range){.id = MAP_SHARED_ID, .kind = MAP_SHARED};
	map->nr_slots = MAP_FIRST_ID;
	map->places[0] = (struct map_place){.start = 0, .id = MAP_HOLE_ID};
	map->nr_places = 1;
	map->free_slot = MAP_NO_SLOT;
	map->generation = generation;
	map->ram_generation = ++vm->ram_generation;
	map->ram_hint = MAP_HOLE_ID;
	map->stamping = true;
	map_retag_all(vm, map);
	atomic_store_explicit(&vm->map, map, memory_order_release);
	return true;
}

static bool vm_init(struct tl_vm *vm, const struct tl_vm_config *config)
{
	unsigned tag_bits = config->tag_bits ? config->tag_bits : MMIO_TAG_BITS;
	uint64_t generation = config->first_generation;

	vm->tag_mask = BIT(tag_bits) - 1;
	if (!generation)
		generation = tag_bits > 8 ? vm->tag_mask + 1 - SHORT_OF_THE_WRAP : 1;
	vm->tsc_offset = config->tsc_offset;
	vm->decode_doorbells = config->decode_doorbells;
	vm->invalidate = config->invalidate;
	/* A tag of no bits wraps at every generation, and a wrap is what zaps: no commit pays for the choice. */
	if (vm->invalidate == TL_INVALIDATE_ZAP)
		vm->tag_mask = 0;
	atomic_store_explicit(&vm->dirty_by, mmu_cpu.dirty_by, memory_order_relaxed);
	vm->mmio_level = config->mmio_level ? config->mmio_level : 3;
	tl_vm_limit_ept_pages(vm, config->ept_pages);
	atomic_flag_clear(&vm->writer_lock);
	atomic_flag_clear(&vm->table_lock);
	atomic_store_explicit(&vm->round, GRACE_FIRST_ROUND, memory_order_relaxed);
	/* Ahead of every CPU's record, so that the first entry on each flushes what an earlier VM's EPT left there. */
	atomic_store_explicit(&vm->flush_number, 1, memory_order_relaxed);
	if (!ept_create(vm))
		return false;
	vm->ept_pages_at_hand = EPT_PAGES_AT_HAND;
	return publish_first_map(vm, generation);
}

struct tl_vm *tl_vm_create(const struct tl_vm_config *config, enum tl_status *status)
{
	static const struct tl_vm_config defaults;
	struct tl_vm *vm;

	if (!config)
		config = &defaults;
	if (config->tag_bits > MMIO_TAG_BITS || config->mmio_level > 3 || config->invalidate > TL_INVALIDATE_ZAP) {
		*status = TL_INVALID_ARGUMENT;
		return NULL;
	}
	if (!mmu_cpu.maxphyaddr) {
		*status = TL_CPU_DOWN;
		return NULL;
	}
	vm = hooks->alloc_pages(VM_PAGES);
	if (vm && vm_init(vm, config)) {
		*status = TL_OK;
		return vm;
	}
	if (vm && vm->root)
		ept_destroy(vm);
	if (vm)
		hooks->free_pages(vm, VM_PAGES);
	*status = TL_NO_MEMORY;
	return NULL;
}

enum tl_status tl_vm_destroy(struct tl_vm *vm)
{
	struct map *map = atomic_load_explicit(&vm->map, memory_order_acquire);
	struct tl_edit *spare = atomic_load_explicit(&vm->spare_edit, memory_order_acquire);

	if (vm->readers)
		return TL_INVALID_ARGUMENT;
	for (uint32_t id = MAP_FIRST_ID; id < map->nr_slots; id++)
		if (map->ranges[id].kind != MAP_FREE && map->ranges[id].release)
			map->ranges[id].release(map->ranges[id].context);
	map_free(map);
	while (vm->retired) {
		map = vm->retired;
		vm->retired = map->next;
		map_free(map);
	}
	if (spare)
		hooks->free_pages(spare, 1);
	ept_destroy(vm);
	hooks->free_pages(vm, VM_PAGES);
	return TL_OK;
}

/*
 * An aligned word of 1, 2, 4 or 8 bytes is copied by one load and one store, so that a vCPU that runs meanwhile sees it
 * whole: devices keep indices there. A call to memcpy() promises nothing of the kind.
 */
static void copy_bytes(uint8_t *to, const uint8_t *from, size_t size, uint64_t gpa)
{
	bool aligned = (gpa & (size - 1)) == 0;

	if (size == 2 && aligned)
		__builtin_memcpy(to, from, 2);
	else if (size == 4 && aligned)
		__builtin_memcpy(to, from, 4);
	else if (size == 8 && aligned)
		__builtin_memcpy(to, from, 8);
	else
		__builtin_memcpy(to, from, size);
}

static bool copy_memory(const struct map *map, uint64_t gpa, uint8_t *buffer, size_t size, bool write)
{
	while (size) {
		size_t here = PAGE_SIZE - (gpa & (PAGE_SIZE - 1));
		const struct map_range *range = map_find(map, gpa);
		uint8_t *host = map_host(map, gpa);

		if (!host || (write && range->kind == MAP_ROM))
			return false;
		if (here > size)
			here = size;
		if (write)
			dirty_write(range, gpa, here);
		copy_bytes(write ? host : buffer, write ? buffer : host, here, gpa);
		gpa += here;
		buffer += here;
		size -= here;
	}
	return true;
}

/* A vCPU's own CPU holds off writers by its round; everybody else keeps them out by the lock. */
static bool access_memory(struct tl_vm *vm, uint64_t gpa, uint8_t *buffer, size_t size, bool write)
{
	struct grace_reader *reader = grace_current();
	bool locked = !reader || reader->vm != vm;
	bool done;

	if (locked)
		vm_lock(vm);
	done = copy_memory(atomic_load_explicit(&vm->map, memory_order_acquire), gpa, buffer, size, write);
	if (locked)
		vm_unlock(vm);
	return done;
}

bool tl_mem_read(struct tl_vm *vm, uint64_t gpa, void *buffer, size_t size)
{
	return access_memory(vm, gpa, buffer, size, false);
}

bool tl_mem_write(struct tl_vm *vm, uint64_t gpa, const void *buffer, size_t size)
{
	/* The buffer is only read; the two directions share the loop over pages. */
	return access_memory(vm, gpa, (uint8_t *)(uintptr_t)buffer, size, true);
}
