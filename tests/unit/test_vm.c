/* SPDX-License-Identifier: MIT */
/* A VM's life: creation, destruction, memory seen from outside, and every allocation that may fail on the way. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "mmu/vm.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tl_vm *vm;
static unsigned released[4];

static int setup(void **context)
{
	enum tl_status status;

	(void)context;
	hosted_start();
	memset(released, 0, sizeof(released));
	vm = tl_vm_create(NULL, &status);
	assert_int_equal(status, TL_OK);
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(hosted.pages_out, 0);
	return 0;
}

static void count_release(void *context)
{
	++*(unsigned *)context;
}

static tl_range_id add(enum tl_range_kind kind, uint64_t start, uint64_t size, uint8_t *host)
{
	struct tl_range range = {.kind = kind, .start = start, .size = size, .host = host};
	struct tl_edit *edit = tl_map_edit(vm);
	tl_range_id id;

	assert_int_equal(tl_map_add(edit, &range, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	return id;
}

static void refuses_a_wrong_configuration(void **context)
{
	static const struct tl_vm_config wrong[] = {{.tag_bits = 20}, {.tag_bits = ~0u}, {.mmio_level = 4}};
	enum tl_status status;

	(void)context;
	hosted_start();
	for (unsigned i = 0; i < 3; i++) {
		status = TL_OK;
		assert_null(tl_vm_create(&wrong[i], &status));
		assert_int_equal(status, TL_INVALID_ARGUMENT);
	}
	/* No CPU was brought up: nobody knows how wide its addresses are. */
	mmu_cpu.maxphyaddr = 0;
	assert_null(tl_vm_create(NULL, &status));
	assert_int_equal(status, TL_CPU_DOWN);
	mmu_cpu.maxphyaddr = 39;
	assert_int_equal(hosted.pages_out, 0);
}

static void creation_out_of_memory(void **context)
{
	(void)context;
	hosted_start();
	for (size_t failing = 1;; failing++) {
		enum tl_status status = TL_OK;
		struct tl_vm *new;

		hosted_fail_at(failing);
		new = tl_vm_create(NULL, &status);
		if (new) {
			assert_int_equal(status, TL_OK);
			assert_int_equal(tl_vm_destroy(new), TL_OK);
			break;
		}
		assert_int_equal(status, TL_NO_MEMORY);
		assert_int_equal(hosted.pages_out, 0);
	}
	assert_int_equal(hosted.failed, 0);
	assert_int_equal(hosted.pages_out, 0);
	hosted_fail_at(0);
}

/* 150 short of the wrap, as the seed was: the 150th change makes it. */
static void the_first_generation(void **context)
{
	struct tl_stats stats;

	(void)context;
	tl_stats(vm, &stats);
	assert_int_equal(stats.generation, BIT(19) - 150);
	for (unsigned i = 0; i < 149; i++)
		assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	tl_stats(vm, &stats);
	assert_int_equal(stats.wraps, 0);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	tl_stats(vm, &stats);
	assert_int_equal(stats.wraps, 1);
	assert_int_equal(stats.generation, BIT(19));
	assert_int_equal(stats.invalidations, 150);
}

static void a_chosen_generation(void **context)
{
	(void)context;
	hosted_start();
	for (unsigned tag_bits = 1; tag_bits <= 19; tag_bits++) {
		struct tl_vm_config config = {.tag_bits = tag_bits, .first_generation = BIT(tag_bits) * 5 - 1};
		enum tl_status status;
		struct tl_stats stats;

		vm = tl_vm_create(&config, &status);
		assert_int_equal(status, TL_OK);
		tl_stats(vm, &stats);
		assert_int_equal(stats.generation, config.first_generation);
		assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
		tl_stats(vm, &stats);
		assert_int_equal(stats.generation, config.first_generation + 1);
		assert_int_equal(stats.wraps, 1);
		assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
		tl_stats(vm, &stats);
		assert_int_equal(stats.wraps, 1);
		assert_int_equal(tl_vm_destroy(vm), TL_OK);
	}
	assert_int_equal(hosted.pages_out, 0);
}

static void destruction_releases_each_range_once(void **context)
{
	struct tl_edit *edit;
	tl_range_id ids[4];
	enum tl_status status;

	(void)context;
	hosted_start();
	memset(released, 0, sizeof(released));
	vm = tl_vm_create(NULL, &status);
	edit = tl_map_edit(vm);
	for (unsigned i = 0; i < 4; i++) {
		struct tl_range range = {.kind = i == 3 ? TL_RANGE_ROM : TL_RANGE_MMIO,
					 .start = 0x1000 * i,
					 .size = 0x1000,
					 .host = i == 3 ? hosted_memory(0) : NULL,
					 .context = &released[i],
					 .release = i == 1 ? NULL : count_release};

		assert_int_equal(tl_map_add(edit, &range, &ids[i]), TL_OK);
	}
	assert_int_equal(tl_map_commit(edit), TL_OK);
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, ids[2]), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(released[2], 1);
	/* What a discarded transaction would have removed is still there. */
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, ids[0]), TL_OK);
	tl_map_discard(edit);
	assert_int_equal(released[0], 0);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(released[0], 1);
	assert_int_equal(released[1], 0);
	assert_int_equal(released[2], 1);
	assert_int_equal(released[3], 1);
	assert_int_equal(hosted.pages_out, 0);
}

static void memory_from_outside(void **context)
{
	static uint8_t buffer[0x6000], back[0x6000];
	uint8_t *low = hosted_memory(0), *high = hosted_memory(0x100000), *rom = hosted_memory(0x200000);

	(void)context;
	/* Two pieces of RAM that join in the guest, not in the host; ROM behind them, then a device, then nothing. */
	add(TL_RANGE_RAM, 0x1000, 0x2000, low);
	add(TL_RANGE_RAM, 0x3000, 0x2000, high);
	add(TL_RANGE_ROM, 0x5000, 0x1000, rom);
	add(TL_RANGE_MMIO, 0x6000, 0x1000, NULL);
	for (unsigned i = 0; i < sizeof(buffer); i++)
		buffer[i] = (uint8_t)(i * 7 + i / 256);
	assert_true(tl_mem_write(vm, 0x1000, buffer, 0x4000));
	assert_memory_equal(low, buffer, 0x2000);
	assert_memory_equal(high, buffer + 0x2000, 0x2000);
	assert_true(tl_mem_read(vm, 0x1000, back, 0x5000));
	assert_memory_equal(back, buffer, 0x4000);
	assert_memory_equal(back + 0x4000, rom, 0x1000);
	/* Every place and size around the joint. */
	for (uint64_t gpa = 0x2ff0; gpa < 0x3010; gpa++)
		for (size_t size = 0; size <= 32; size++) {
			memset(back, 0xee, 64);
			assert_true(tl_mem_read(vm, gpa, back, size));
			assert_memory_equal(back, buffer + (gpa - 0x1000), size);
			assert_int_equal(back[size], 0xee);
		}
	assert_true(tl_mem_write(vm, 0x2fff, "ab", 2));
	assert_int_equal(low[0x1fff], 'a');
	assert_int_equal(high[0], 'b');
	/* One byte elsewhere is enough to refuse. */
	assert_false(tl_mem_read(vm, 0xfff, back, 1));
	assert_false(tl_mem_read(vm, 0xfff, back, 2));
	assert_true(tl_mem_read(vm, 0x5fff, back, 1));
	assert_false(tl_mem_read(vm, 0x5fff, back, 2));
	assert_false(tl_mem_read(vm, 0x6000, back, 1));
	assert_true(tl_mem_write(vm, 0x4fff, "x", 1));
	assert_false(tl_mem_write(vm, 0x4fff, "xy", 2));
	assert_false(tl_mem_write(vm, 0x5000, "y", 1));
	assert_false(tl_mem_write(vm, 0x6000, "y", 1));
	assert_false(tl_mem_read(vm, ~0ull, back, 1));
	assert_false(tl_mem_read(vm, ~0ull, back, 0x2000));
	assert_false(tl_mem_read(vm, BIT(48), back, 1));
	assert_true(tl_mem_read(vm, ~0ull, back, 0));
}

/* A callback of this VM's vCPU must not wait for the lock, one of another VM's must not read without. */
static void memory_from_callbacks(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	enum tl_status status;
	struct tl_vm *another = tl_vm_create(NULL, &status);
	uint8_t byte = 0;

	(void)context;
	add(TL_RANGE_RAM, 0, 0x1000, hosted_memory(0));
	hosted_memory(0)[5] = 55;
	grace_reader_add(&reader, vm);
	grace_enter(&reader, hooks->cpu_index());
	vm_lock(vm);
	assert_true(tl_mem_read(vm, 5, &byte, 1));
	assert_int_equal(byte, 55);
	vm_unlock(vm);
	assert_false(tl_mem_read(another, 5, &byte, 1));
	grace_leave(&reader, hooks->cpu_index());
	grace_reader_remove(&reader);
	assert_int_equal(tl_vm_destroy(another), TL_OK);
}

static void fault_all(void)
{
	const struct map *map = atomic_load_explicit(&vm->map, memory_order_relaxed);

	for (gpa_t gpa = 0; gpa < BIT(36); gpa = gpa * 2 + PAGE_SIZE) {
		const struct map_range *range;
		struct ept_walk walk;
		enum mmu_fault result;

		ept_walk(vm, gpa, &walk);
		result = mmu_fault(vm, map, gpa, MMU_READ, &walk, &range);
		assert_true(result == MMU_SERVE || result == MMU_MAPPED || result == MMU_NO_MEMORY ||
			    result == MMU_SPURIOUS);
	}
}

/* One transaction with both kinds of range; false: no memory, and nothing happened. */
static bool add_two(tl_range_id *ids)
{
	const struct tl_range device = {.kind = TL_RANGE_MMIO,
					.start = 0x10000,
					.size = 0x123,
					.context = &released[0],
					.release = count_release};
	const struct tl_range ram = {.kind = TL_RANGE_RAM,
				     .start = 0,
				     .size = 0x10000,
				     .host = hosted_memory(0),
				     .context = &released[1],
				     .release = count_release};
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit)
		return false;
	assert_int_equal(tl_map_add(edit, &device, &ids[0]), TL_OK);
	assert_int_equal(tl_map_add(edit, &ram, &ids[1]), TL_OK);
	return tl_map_commit(edit) == TL_OK;
}

static bool remove_two(const tl_range_id *ids)
{
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status;

	if (!edit)
		return false;
	assert_int_equal(tl_map_remove(edit, ids[0]), TL_OK);
	assert_int_equal(tl_map_remove(edit, ids[1]), TL_OK);
	status = tl_map_commit(edit);
	assert_true(status == TL_OK || status == TL_PENDING || status == TL_NO_MEMORY);
	return status >= 0;
}

/* The whole of a VM's life, each allocation failing in turn: nothing is lost, and nothing is released twice. */
static void a_life_out_of_memory(void **context)
{
	(void)context;
	hosted_start();
	for (size_t failing = 1;; failing++) {
		struct tl_vm_config config = {.tag_bits = 1};
		struct grace_reader reader = {.entry_round = 0};
		tl_range_id ids[2];
		bool added;
		enum tl_status status;

		memset(released, 0, sizeof(released));
		hosted_fail_at(failing);
		vm = tl_vm_create(&config, &status);
		if (!vm) {
			assert_int_equal(hosted.pages_out, 0);
			continue;
		}
		added = add_two(ids);
		fault_all();
		if (added && remove_two(ids)) {
			assert_int_equal(released[0] + released[1], 2);
			released[0] = released[1] = 0;
			added = add_two(ids);
		}
		grace_reader_add(&reader, vm);
		grace_enter(&reader, hooks->cpu_index());
		status = tl_vm_invalidate_mmio(vm);
		assert_true(status >= 0 || status == TL_NO_MEMORY);
		fault_all();
		if (added && remove_two(ids)) {
			assert_int_equal(released[0] + released[1], 0);
			added = false;
			assert_true(map_complete_pending(&reader));
			assert_int_equal(released[0] + released[1], 2);
		}
		assert_true(map_complete_pending(&reader));
		grace_leave(&reader, hooks->cpu_index());
		grace_reader_remove(&reader);
		fault_all();
		assert_int_equal(tl_vm_destroy(vm), TL_OK);
		if (added)
			assert_int_equal(released[0] + released[1], 2);
		assert_int_equal(hosted.pages_out, 0);
		if (!hosted.failed)
			break;
	}
	hosted_fail_at(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_a_wrong_configuration),
		cmocka_unit_test(creation_out_of_memory),
		TEST(the_first_generation),
		cmocka_unit_test(a_chosen_generation),
		cmocka_unit_test(destruction_releases_each_range_once),
		TEST(memory_from_outside),
		TEST(memory_from_callbacks),
		cmocka_unit_test(a_life_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
