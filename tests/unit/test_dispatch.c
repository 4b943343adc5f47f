/* SPDX-License-Identifier: MIT */
/* What each kind of range does with one access: mmio/dispatch.c. */
#include "mmio/dispatch.h"

#include "mmio/emulate.h"
#include "tests/unit/engine_guest.h"

enum {
	FLASH_AT = 0x500000,          /* ROM with a callback */
	SHADOWED_AT = 0x501000,       /* execute-only, a callback */
	SHADOWED_ALONE_AT = 0x502000, /* execute-only, the embedder */
	COUNTED_AT = 0x503000,
	DECODED_AT = 0x504000,
	DECODED_ALONE_AT = 0x505000,
	FLAGGED_AT = 0x506000,
	SIZED_AT = 0x508000,
	ODD_AT = 0x50a003, /* a range of 5 bytes */
	PAGE = 0x1000,
};

static uint8_t bytes[PAGE];
static struct tl_mmio asked[64];
static unsigned calls, fail_at;
static int contexts[16];

static enum tl_status device(struct tl_mmio *access)
{
	asked[calls++] = *access;
	if (calls == fail_at)
		return TL_DEVICE_ERROR;
	if (access->write)
		memcpy(bytes + access->offset, &access->data, access->size);
	else
		/* What is above the size is noise. */
		memcpy(&access->data, bytes + access->offset, 8);
	return TL_OK;
}

static struct tl_doorbell_count counts[TL_MAX_CPUS];
static const struct tl_doorbell_match match = {.offset = 0x10, .value = 5, .mask = 0xff, .size = 4};
static const struct tl_doorbell counted = {.signal = TL_SIGNAL_COUNT, .counts = counts};
static uint8_t flags[PAGE >> 2];
static const struct tl_doorbell flagged = {.signal = TL_SIGNAL_FLAG, .flags = flags, .stride_shift = 2};
static const struct tl_doorbell decoded = {
	.signal = TL_SIGNAL_COUNT, .counts = counts, .matches = &match, .nr_matches = 1};
static struct tl_mmio_options with_sizes;

static void add(enum tl_range_kind kind, uint64_t start, uint64_t size, bool callback, const struct tl_range *more)
{
	struct tl_range range = more ? *more : (struct tl_range){0};

	range.kind = kind;
	range.start = start;
	range.size = size;
	range.access = callback ? device : NULL;
	range.context = &contexts[start >> 12 & 15];
	if (kind == TL_RANGE_ROM || kind == TL_RANGE_EXECUTE_ONLY)
		range.host = hosted_memory(start);
	range_add(range);
}

static int start(void **context)
{
	engine_guest_start(context);
	mmu_cpu.execute_only = true;
	with_sizes.sizes = 1 | 2 | 4 | 8;
	add(TL_RANGE_ROM, FLASH_AT, PAGE, true, NULL);
	add(TL_RANGE_EXECUTE_ONLY, SHADOWED_AT, PAGE, true, NULL);
	add(TL_RANGE_EXECUTE_ONLY, SHADOWED_ALONE_AT, PAGE, false, NULL);
	add(TL_RANGE_DOORBELL, COUNTED_AT, PAGE, false, &(struct tl_range){.doorbell = &counted});
	add(TL_RANGE_DOORBELL, FLAGGED_AT, PAGE, false, &(struct tl_range){.doorbell = &flagged});
	add(TL_RANGE_DOORBELL, DECODED_AT, PAGE, true, &(struct tl_range){.doorbell = &decoded});
	add(TL_RANGE_DOORBELL, DECODED_ALONE_AT, PAGE, false, &(struct tl_range){.doorbell = &decoded});
	add(TL_RANGE_MMIO, SIZED_AT, PAGE, true, &(struct tl_range){.options = &with_sizes});
	add(TL_RANGE_MMIO, ODD_AT, 5, true, NULL);
	return 0;
}

static int reset(void **context)
{
	engine_reset(context);
	memset(counts, 0, sizeof(counts));
	for (unsigned i = 0; i < PAGE; i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	calls = fail_at = 0;
	return 0;
}

static enum mmio_progress dispatch(gpa_t gpa, unsigned count, bool write, uint64_t *data)
{
	struct mmio_environment env = engine_environment();

	/* Only handed on. */
	env.vcpu = (struct tl_vcpu *)(void *)contexts;
	return mmio_dispatch(&env, map_find(env.map, gpa), gpa, count, write, data);
}

static uint64_t dispatch_read(gpa_t gpa, unsigned count)
{
	uint64_t data = 0x5a5a5a5a5a5a5a5a;

	assert_int_equal(dispatch(gpa, count, false, &data), MMIO_DONE);
	return data;
}

static void dispatch_write(gpa_t gpa, unsigned count, uint64_t data)
{
	assert_int_equal(dispatch(gpa, count, true, &data), MMIO_DONE);
}

static void expect_device(unsigned number, gpa_t gpa, gpa_t start_at, unsigned size, bool write)
{
	assert_true(number < calls);
	assert_int_equal(asked[number].gpa, gpa);
	assert_int_equal(asked[number].offset, gpa - start_at);
	assert_int_equal(asked[number].size, size);
	assert_int_equal(asked[number].write, write);
	assert_ptr_equal(asked[number].context, &contexts[start_at >> 12 & 15]);
	assert_ptr_equal(asked[number].vcpu, contexts);
}

/* Every size at every alignment, with what is around left alone. */
static void memory_is_read_and_written(void **context)
{
	uint8_t expected[32];

	(void)context;
	for (unsigned count = 1; count <= 8; count++)
		for (unsigned at = 8; at < 16; at++) {
			uint64_t value = 0x8877665544332211 * count, read = 0;

			for (unsigned i = 0; i < sizeof(expected); i++)
				expected[i] = engine_ram(DATA_AT)[i] = (uint8_t)(i + 0xa0);
			memcpy(&read, expected + at, count);
			assert_int_equal(dispatch_read(DATA_AT + at, count), read);
			memcpy(expected + at, &value, count);
			dispatch_write(DATA_AT + at, count, value);
			assert_memory_equal(engine_ram(DATA_AT), expected, sizeof(expected));
		}
}

static void rom_is_read_and_drops_writes(void **context)
{
	(void)context;
	engine_put(ROM_AT + 8, 0x1122334455667788, 8);
	assert_int_equal(dispatch_read(ROM_AT + 8, 8), 0x1122334455667788);
	assert_int_equal(dispatch_read(ROM_AT + 9, 2), 0x6677);
	dispatch_write(ROM_AT + 8, 4, 1);
	assert_int_equal(engine_get(ROM_AT + 8, 8), 0x1122334455667788);
	assert_int_equal(guest.stats.rom_writes, 1);
	/* With a command interface. */
	engine_put(FLASH_AT + 0x20, 0x90, 1);
	assert_int_equal(dispatch_read(FLASH_AT + 0x20, 1), 0x90);
	assert_int_equal(calls, 0);
	dispatch_write(FLASH_AT + 0x20, 2, 0xff0070);
	expect_device(0, FLASH_AT + 0x20, FLASH_AT, 2, true);
	assert_int_equal(asked[0].data, 0x70);
	assert_int_equal(engine_get(FLASH_AT + 0x20, 1), 0x90);
	assert_int_equal(guest.stats.rom_writes, 1);
}

static void execute_only_is_a_device_to_data(void **context)
{
	uint64_t data = 0x1234;

	(void)context;
	assert_int_equal(dispatch_read(SHADOWED_AT + 4, 4), 0x322b241d);
	expect_device(0, SHADOWED_AT + 4, SHADOWED_AT, 4, false);
	dispatch_write(SHADOWED_AT + 4, 2, data);
	expect_device(1, SHADOWED_AT + 4, SHADOWED_AT, 2, true);
	assert_int_equal(dispatch(SHADOWED_ALONE_AT, 2, true, &data), MMIO_EMBEDDER);
	assert_int_equal(guest.access.data, 0x1234);
	assert_int_equal(dispatch(SHADOWED_ALONE_AT, 2, false, &data), MMIO_EMBEDDER);
	assert_int_equal(guest.access.data, 0);
}

/* Zero-extended to the device, cut to the size from it; and the other fields. */
static void a_device_sees_its_bytes_only(void **context)
{
	uint64_t data = 0x99aabbccddeeff11;

	(void)context;
	assert_int_equal(dispatch_read(ODD_AT + 1, 3), 0x160f08);
	expect_device(0, ODD_AT + 1, ODD_AT, 3, false);
	assert_int_equal(asked[0].data, 0);
	dispatch_write(ODD_AT + 2, 3, data);
	expect_device(1, ODD_AT + 2, ODD_AT, 3, true);
	assert_int_equal(asked[1].data, 0xeeff11);
	fail_at = 3;
	assert_int_equal(dispatch(ODD_AT, 1, false, &data), MMIO_DEVICE_ERROR);
	assert_int_equal(data, 0x99aabbccddeeff11);
	assert_int_equal(dispatch(EMBEDDER_AT + 8, 4, true, &data), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + 8, 4, true, 0xddeeff11);
	assert_int_equal(dispatch(EMBEDDER_AT + 8, 4, false, &data), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + 8, 4, false, 0);
	assert_int_equal(guest.access.data, 0);
}

static void the_hole_reads_as_ones(void **context)
{
	(void)context;
	for (unsigned count = 1; count <= 8; count++)
		assert_int_equal(dispatch_read(HOLE_AT, count), insn_mask[count]);
	assert_int_equal(guest.stats.hole_reads, 8);
	assert_int_equal(guest.stats.hole_writes, 0);
	dispatch_write(HOLE_AT, 8, 1);
	assert_int_equal(guest.stats.hole_writes, 1);
	assert_int_equal(guest.stats.hole_reads, 8);
}

/* Up to the end of a range, and of the hole. */
static void pieces_end_where_ranges_do(void **context)
{
	const struct map *map = map_now();
	const struct map_range *hole = map_find(map, HOLE_AT), *odd = map_find(map, ODD_AT);

	(void)context;
	assert_int_equal(mmio_piece(map, odd, ODD_AT, 8), 5);
	assert_int_equal(mmio_piece(map, odd, ODD_AT + 4, 8), 1);
	assert_int_equal(mmio_piece(map, odd, ODD_AT + 1, 4), 4);
	assert_int_equal(mmio_piece(map, odd, ODD_AT + 1, 3), 3);
	assert_int_equal(mmio_piece(map, hole, HOLE_AT, 8), 8);
	assert_int_equal(mmio_piece(map, hole, ODD_AT - 3, 8), 3);
	assert_int_equal(mmio_piece(map, hole, ODD_AT - 3, 2), 2);
	assert_int_equal(mmio_piece(map, hole, ODD_AT - 1, 8), 1);
	assert_int_equal(mmio_piece(map, map_find(map, 0), RAM_SIZE - 2, 8), 2);
}

/* Whether an aligned access of one of the sizes holds the byte and lies in first to end - 1. */
static bool some_size_fits(unsigned sizes, unsigned first, unsigned end, unsigned byte)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		unsigned block = byte / size * size;

		if (sizes & size && block >= first && block + size <= end)
			return true;
	}
	return false;
}

/* One access as the engine makes it: piece after piece. */
static uint64_t access_in_pieces(unsigned first, unsigned end, bool write, uint64_t value)
{
	const struct map *map = map_now();
	uint64_t result = 0;

	for (unsigned at = first; at < end;) {
		unsigned count = mmio_piece(map, map_find(map, SIZED_AT), SIZED_AT + at, end - at);
		uint64_t data = value >> (8 * (at - first));

		assert_true(count >= 1 && count <= end - at);
		assert_int_equal(dispatch(SIZED_AT + at, count, write, &data), MMIO_DONE);
		result |= data << (8 * (at - first));
		at += count;
	}
	return result;
}

static void check_sizes(unsigned sizes, unsigned first, unsigned end)
{
	uint8_t before[16], value[8];
	uint64_t read;

	with_sizes.sizes = (uint8_t)sizes;
	guest.stats.refused_sizes = calls = 0;
	memcpy(before, bytes, sizeof(before));
	read = access_in_pieces(first, end, false, 0);
	memcpy(value, &read, 8);
	for (unsigned i = 0, seen = 0; i < calls; i++) {
		assert_true(asked[i].size & sizes);
		assert_int_equal(asked[i].offset % asked[i].size, 0);
		/* In ascending order, none twice. */
		assert_true(asked[i].offset >= seen);
		seen = (unsigned)asked[i].offset + asked[i].size;
	}
	(void)access_in_pieces(first, end, true, 0);
	for (unsigned i = 0; i < sizeof(before); i++) {
		bool in = i >= first && i < end, fits = in && some_size_fits(sizes, first, end, i);

		assert_int_equal(bytes[i], fits ? 0 : before[i]);
		if (in)
			assert_int_equal(value[i - first], fits ? before[i] : 0xff);
		if (in && !fits)
			guest.stats.refused_sizes -= 2;
	}
	assert_int_equal(guest.stats.refused_sizes, 0);
	memcpy(bytes, before, sizeof(before));
}

/* Every set of sizes, every alignment, every length. */
static void accesses_are_split_by_the_sizes_a_device_takes(void **context)
{
	(void)context;
	for (unsigned sizes = 1; sizes < 16; sizes++)
		for (unsigned first = 0; first < 8; first++)
			for (unsigned count = 1; count <= 8; count++)
				check_sizes(sizes, first, first + count);
	with_sizes.sizes = 15;
}

static void a_doorbell_is_rung_by_any_access(void **context)
{
	(void)context;
	dispatch_write(COUNTED_AT + 4, 4, 1);
	assert_int_equal(counts[0].count, 1);
	/* A read cannot be told from it: ones. */
	assert_int_equal(dispatch_read(COUNTED_AT + 4, 2), 0xffff);
	assert_int_equal(counts[0].count, 2);
	assert_int_equal(calls, 0);
	dispatch_write(FLAGGED_AT + 5, 1, 0);
	assert_memory_equal(flags, "\0\1", 2);
}

static void a_decoded_doorbell_is_a_device_to_what_does_not_match(void **context)
{
	uint64_t data = 6;

	(void)context;
	/* The upper bytes of the register are not part of the write. */
	dispatch_write(DECODED_AT + 0x10, 4, 0x700000005);
	assert_int_equal(counts[0].count, 1);
	assert_int_equal(calls, 0);
	dispatch_write(DECODED_AT + 0x10, 4, 6);
	expect_device(0, DECODED_AT + 0x10, DECODED_AT, 4, true);
	assert_int_equal(dispatch_read(DECODED_AT + 0x10, 4), 6);
	expect_device(1, DECODED_AT + 0x10, DECODED_AT, 4, false);
	assert_int_equal(dispatch(DECODED_ALONE_AT + 0x10, 4, true, &data), MMIO_EMBEDDER);
	assert_int_equal(counts[0].count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory_is_read_and_written, reset),
		cmocka_unit_test_setup(rom_is_read_and_drops_writes, reset),
		cmocka_unit_test_setup(execute_only_is_a_device_to_data, reset),
		cmocka_unit_test_setup(a_device_sees_its_bytes_only, reset),
		cmocka_unit_test_setup(the_hole_reads_as_ones, reset),
		cmocka_unit_test_setup(pieces_end_where_ranges_do, reset),
		cmocka_unit_test_setup(accesses_are_split_by_the_sizes_a_device_takes, reset),
		cmocka_unit_test_setup(a_doorbell_is_rung_by_any_access, reset),
		cmocka_unit_test_setup(a_decoded_doorbell_is_a_device_to_what_does_not_match, reset),
	};

	return cmocka_run_group_tests(tests, start, engine_guest_stop);
}
