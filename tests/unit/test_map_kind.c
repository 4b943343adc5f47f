/* SPDX-License-Identifier: MIT */
/* What a range's description makes of it in the map, and the descriptions that are refused. */
#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { AT = 0x100000 };

static struct tl_doorbell_count counts[TL_MAX_CPUS];
static uint8_t flags[1], shadow[PAGE_SIZE];
static const struct tl_doorbell_match match;
static struct tl_ring *ring;

static enum tl_status device(struct tl_mmio *access)
{
	(void)access;
	return TL_OK;
}

static void call(void *context, uint64_t offset, struct tl_vcpu *vcpu)
{
	(void)context;
	(void)offset;
	(void)vcpu;
}

static const struct map_range *made(struct tl_range range)
{
	range.start = AT;
	range.size = PAGE_SIZE;
	range_add(range);
	return map_find(map_now(), AT);
}

static void expect_kind(struct tl_range range, enum map_kind kind, unsigned with_flags)
{
	const struct map_range *in_map = made(range);

	assert_int_equal(in_map->kind, kind);
	assert_int_equal(in_map->flags, with_flags);
	assert_ptr_equal(in_map->access, range.access);
	assert_int_equal(map_is_memory(in_map), range.host != NULL);
	assert_int_equal(map_is_doorbell(in_map), kind == MAP_DOORBELL || kind == MAP_DOORBELL_COUNT);
	if (range.host)
		assert_ptr_equal(in_map->host, range.host);
	else if (kind == MAP_RING || kind == MAP_SIZED)
		assert_ptr_equal(in_map->options, range.options);
	else
		assert_ptr_equal(in_map->doorbell, range.doorbell);
	assert_int_equal(range_remove(in_map->id), TL_OK);
}

static void memory(void **context)
{
	uint8_t *host = hosted_memory(0);

	(void)context;
	mmu_cpu.execute_only = true;
	expect_kind((struct tl_range){.kind = TL_RANGE_RAM, .host = host}, MAP_RAM, 0);
	expect_kind((struct tl_range){.kind = TL_RANGE_ROM, .host = host}, MAP_ROM, 0);
	expect_kind((struct tl_range){.kind = TL_RANGE_ROM, .host = host, .access = device}, MAP_ROM, 0);
	expect_kind((struct tl_range){.kind = TL_RANGE_EXECUTE_ONLY, .host = host}, MAP_EXECUTE_ONLY, 0);
	expect_kind((struct tl_range){.kind = TL_RANGE_EXECUTE_ONLY, .host = host, .access = device}, MAP_EXECUTE_ONLY,
		    0);
}

static struct tl_range mmio(tl_mmio_fn access, const struct tl_mmio_options *options)
{
	return (struct tl_range){.kind = TL_RANGE_MMIO, .access = access, .options = options};
}

/* Sizes and a ring make another kind of a device; the other option does not. */
static void devices(void **context)
{
	const struct tl_mmio_options nothing = {0}, sizes = {.sizes = 4}, with_ring = {.ring = ring},
				     alone = {.no_clustering = true}, both = {.sizes = 15, .no_clustering = true},
				     all = {.sizes = 15, .no_clustering = true, .ring = ring};

	(void)context;
	expect_kind(mmio(device, NULL), MAP_MMIO, MAP_CLUSTERS);
	expect_kind(mmio(NULL, NULL), MAP_EMBEDDER, MAP_CLUSTERS);
	expect_kind(mmio(device, &nothing), MAP_MMIO, MAP_CLUSTERS);
	expect_kind(mmio(NULL, &nothing), MAP_EMBEDDER, MAP_CLUSTERS);
	expect_kind(mmio(device, &sizes), MAP_SIZED, MAP_CLUSTERS);
	expect_kind(mmio(NULL, &sizes), MAP_SIZED, MAP_CLUSTERS);
	expect_kind(mmio(device, &with_ring), MAP_RING, MAP_CLUSTERS);
	expect_kind(mmio(device, &alone), MAP_MMIO, 0);
	expect_kind(mmio(NULL, &alone), MAP_EMBEDDER, 0);
	expect_kind(mmio(device, &both), MAP_SIZED, 0);
	expect_kind(mmio(device, &all), MAP_RING, 0);
}

static void expect_doorbell(struct tl_doorbell bell, enum map_kind kind)
{
	expect_kind((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell}, kind, 0);
	expect_kind((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell, .access = device}, kind, 0);
}

/* What has to be compared or handed over has to be decoded. */
static void doorbells(void **context)
{
	(void)context;
	expect_doorbell((struct tl_doorbell){.signal = TL_SIGNAL_COUNT, .counts = counts}, MAP_DOORBELL_COUNT);
	expect_doorbell((struct tl_doorbell){.signal = TL_SIGNAL_FLAG, .flags = flags, .stride_shift = 63},
			MAP_DOORBELL);
	expect_doorbell((struct tl_doorbell){.signal = TL_SIGNAL_CALL, .call = call}, MAP_DOORBELL);
	expect_doorbell((struct tl_doorbell){.signal = TL_SIGNAL_COUNT, .counts = counts, .shadow = shadow},
			MAP_DOORBELL_DECODED);
	expect_doorbell(
		(struct tl_doorbell){.signal = TL_SIGNAL_CALL, .call = call, .matches = &match, .nr_matches = 1},
		MAP_DOORBELL_DECODED);
}

static void expect_refused(struct tl_range range, enum tl_status status)
{
	struct tl_edit *edit = tl_map_edit(vm);

	range.start = AT;
	range.size = PAGE_SIZE;
	assert_int_equal(tl_map_add(edit, &range, NULL), status);
	tl_map_discard(edit);
}

static void memory_that_is_refused(void **context)
{
	const struct tl_mmio_options options = {0};
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = call};
	static const enum tl_range_kind kinds[] = {TL_RANGE_RAM, TL_RANGE_ROM, TL_RANGE_EXECUTE_ONLY};
	uint8_t *host = hosted_memory(0);

	(void)context;
	mmu_cpu.execute_only = true;
	for (unsigned i = 0; i < 3; i++) {
		expect_refused((struct tl_range){.kind = kinds[i]}, TL_INVALID_ARGUMENT);
		expect_refused((struct tl_range){.kind = kinds[i], .host = host, .options = &options},
			       TL_INVALID_ARGUMENT);
		expect_refused((struct tl_range){.kind = kinds[i], .host = host, .doorbell = &bell},
			       TL_INVALID_ARGUMENT);
		expect_refused((struct tl_range){.kind = kinds[i], .host = host + 8}, TL_UNALIGNED);
	}
	/* RAM never asks a device. */
	expect_refused((struct tl_range){.kind = TL_RANGE_RAM, .host = host, .access = device}, TL_INVALID_ARGUMENT);
	mmu_cpu.execute_only = false;
	expect_refused((struct tl_range){.kind = TL_RANGE_EXECUTE_ONLY, .host = host}, TL_UNSUPPORTED);
}

static void devices_that_are_refused(void **context)
{
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = call};
	struct tl_range range = mmio(device, NULL);

	(void)context;
	for (unsigned bit = 4; bit < 8; bit++) {
		const struct tl_mmio_options options = {.sizes = (uint8_t)(1u << bit | 4)};

		expect_refused(mmio(device, &options), TL_INVALID_ARGUMENT);
	}
	range.doorbell = &bell;
	expect_refused(range, TL_INVALID_ARGUMENT);
	range = mmio(device, NULL);
	range.host = hosted_memory(0);
	expect_refused(range, TL_INVALID_ARGUMENT);
	range = mmio(device, NULL);
	range.kind = (enum tl_range_kind)(TL_RANGE_EXECUTE_ONLY + 1);
	expect_refused(range, TL_INVALID_ARGUMENT);
}

static void expect_bell_refused(struct tl_doorbell bell)
{
	expect_refused((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell}, TL_INVALID_ARGUMENT);
}

static void doorbells_that_are_refused(void **context)
{
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = call};
	const struct tl_mmio_options options = {0};

	(void)context;
	expect_refused((struct tl_range){.kind = TL_RANGE_DOORBELL}, TL_INVALID_ARGUMENT);
	expect_refused((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell, .host = hosted_memory(0)},
		       TL_INVALID_ARGUMENT);
	expect_refused((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell, .options = &options},
		       TL_INVALID_ARGUMENT);
	/* Nothing to signal with, or no such way. */
	expect_bell_refused((struct tl_doorbell){.signal = TL_SIGNAL_COUNT});
	expect_bell_refused((struct tl_doorbell){.signal = TL_SIGNAL_FLAG});
	expect_bell_refused((struct tl_doorbell){.signal = (enum tl_doorbell_signal)3, .counts = counts});
	expect_bell_refused((struct tl_doorbell){.signal = TL_SIGNAL_FLAG, .flags = flags, .stride_shift = 64});
	expect_bell_refused((struct tl_doorbell){.signal = TL_SIGNAL_CALL, .call = call, .nr_matches = 1});
	expect_bell_refused((struct tl_doorbell){.signal = TL_SIGNAL_CALL, .call = call, .matches = &match});
}

static int start(void **context)
{
	vm_setup(context);
	ring = tl_ring_create(1, 2);
	return 0;
}

static int stop(void **context)
{
	tl_ring_destroy(ring);
	return vm_teardown(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory),
		cmocka_unit_test(devices),
		cmocka_unit_test(doorbells),
		cmocka_unit_test(memory_that_is_refused),
		cmocka_unit_test(devices_that_are_refused),
		cmocka_unit_test(doorbells_that_are_refused),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
