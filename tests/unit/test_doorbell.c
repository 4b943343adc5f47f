/* SPDX-License-Identifier: MIT */
/* Doorbells: which writes ring, how it is told, and what is handed over. */
#include "mmio/doorbell.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 64, CPU = 3 };

static struct tl_doorbell_count counts[TL_MAX_CPUS];
static uint8_t flags[SIZE], shadow[SIZE + 8];
static int rung;
static struct {
	void *context;
	uint64_t offset;
	struct tl_vcpu *vcpu;
} last;

static void call(void *context, uint64_t offset, struct tl_vcpu *vcpu)
{
	last.context = context;
	last.offset = offset;
	last.vcpu = vcpu;
	rung++;
}

static int reset(void **context)
{
	(void)context;
	memset(counts, 0, sizeof(counts));
	memset(flags, 0, sizeof(flags));
	memset(shadow, 0xee, sizeof(shadow));
	rung = 0;
	return 0;
}

static struct map_range range_of(const struct tl_doorbell *bell)
{
	return (struct map_range){.last = SIZE - 1, .doorbell = bell, .context = &rung, .kind = MAP_DOORBELL};
}

static struct tl_vcpu *vcpu(void)
{
	/* Only handed on. */
	return (struct tl_vcpu *)(void *)&last;
}

static void counts_are_of_each_cpu(void **context)
{
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_COUNT, .counts = counts};
	const struct map_range range = range_of(&bell);

	(void)context;
	for (unsigned i = 0; i < 5; i++)
		doorbell_ring(&range, 8, vcpu(), CPU);
	doorbell_ring(&range, 0, vcpu(), TL_MAX_CPUS - 1);
	doorbell_count(&range, 0);
	for (unsigned i = 0; i < TL_MAX_CPUS; i++)
		assert_int_equal(counts[i].count, i == CPU ? 5 : i == 0 || i == TL_MAX_CPUS - 1 ? 1 : 0);
	/* No two on a cache line. */
	assert_int_equal(sizeof(counts[0]), 64);
}

/* One for each queue: the offset over the stride. */
static void flags_are_of_each_stride(void **context)
{
	(void)context;
	for (unsigned shift = 0; shift < 7; shift++) {
		const struct tl_doorbell bell = {
			.signal = TL_SIGNAL_FLAG, .stride_shift = (uint8_t)shift, .flags = flags};
		const struct map_range range = range_of(&bell);

		for (unsigned offset = 0; offset < SIZE; offset++) {
			reset(NULL);
			doorbell_ring(&range, offset, vcpu(), CPU);
			for (unsigned i = 0; i < SIZE; i++)
				assert_int_equal(flags[i], i == offset >> shift);
		}
	}
}

static void a_call_is_told_where(void **context)
{
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = call};
	const struct map_range range = range_of(&bell);

	(void)context;
	doorbell_ring(&range, 0x18, vcpu(), CPU);
	assert_int_equal(rung, 1);
	assert_ptr_equal(last.context, &rung);
	assert_int_equal(last.offset, 0x18);
	assert_ptr_equal(last.vcpu, &last);
}

static bool write_matches(const struct tl_doorbell *bell, uint64_t offset, uint64_t data, unsigned size)
{
	const struct map_range range = range_of(bell);
	int before = rung;
	bool matched = doorbell_write(&range, offset, data, size, vcpu(), CPU);

	/* It rings if it matches, and only then. */
	assert_int_equal(rung - before, matched);
	return matched;
}

static void matches_by_offset_size_and_datum(void **context)
{
	const struct tl_doorbell_match matches[] = {
		{.offset = 0, .value = 0, .mask = 0, .size = 2},       /* any datum of two bytes */
		{.offset = 8, .value = 0x10, .mask = 0xf0, .size = 0}, /* any size */
		{.offset = 8, .value = 7, .mask = ~0ull, .size = 4},   /* a second one at the same place */
		{.offset = 16, .value = 0, .mask = ~0ull, .size = 8},
	};
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = call, .matches = matches, .nr_matches = 4};

	(void)context;
	for (unsigned size = 1; size <= 8; size *= 2) {
		assert_int_equal(write_matches(&bell, 0, 0x1234, size), size == 2);
		assert_true(write_matches(&bell, 8, 0x1f, size));
		assert_false(write_matches(&bell, 8, 0x2f, size));
		assert_int_equal(write_matches(&bell, 8, 7, size), size == 4);
		assert_int_equal(write_matches(&bell, 16, 0, size), size == 8);
		assert_false(write_matches(&bell, 24, 0, size));
		assert_false(write_matches(&bell, 1, 0x1234, size));
	}
	assert_true(write_matches(&bell, 8, 0xffffff1f, 4));
	assert_false(write_matches(&bell, 16, BIT(63), 8));
	/* A value outside its mask is one that nothing has. */
	assert_false(write_matches(&(struct tl_doorbell){.signal = TL_SIGNAL_CALL,
							 .call = call,
							 .matches = &(struct tl_doorbell_match){.value = 2, .mask = 1},
							 .nr_matches = 1},
				   0, 2, 1));
}

/* Every size at every alignment; without matches every write rings. */
static void what_is_written_is_handed_over(void **context)
{
	const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = call, .shadow = shadow};
	uint8_t expected[sizeof(shadow)];

	(void)context;
	for (unsigned size = 1; size <= 8; size++)
		for (unsigned offset = 0; offset < 16; offset++) {
			uint64_t data = 0x8877665544332211 & ~0ull >> (64 - 8 * size);

			reset(NULL);
			memset(expected, 0xee, sizeof(expected));
			memcpy(expected + offset, &data, size);
			assert_true(write_matches(&bell, offset, data, size));
			assert_memory_equal(shadow, expected, sizeof(shadow));
		}
}

static void see_the_shadow(void *context, uint64_t offset, struct tl_vcpu *by)
{
	call(context, offset, by);
	assert_int_equal(shadow[offset], 0x42);
}

static void the_shadow_is_there_before_the_signal(void **context)
{
	const struct tl_doorbell_match match = {.offset = 4, .value = 0x42, .mask = 0xff};
	const struct tl_doorbell bell = {
		.signal = TL_SIGNAL_CALL, .call = see_the_shadow, .shadow = shadow, .matches = &match, .nr_matches = 1};

	(void)context;
	assert_true(write_matches(&bell, 4, 0x42, 4));
	/* What does not match is not handed over: it goes to the device. */
	assert_false(write_matches(&bell, 4, 0x43, 4));
	assert_int_equal(shadow[4], 0x42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(counts_are_of_each_cpu, reset),
		cmocka_unit_test_setup(flags_are_of_each_stride, reset),
		cmocka_unit_test_setup(a_call_is_told_where, reset),
		cmocka_unit_test_setup(matches_by_offset_size_and_datum, reset),
		cmocka_unit_test_setup(what_is_written_is_handed_over, reset),
		cmocka_unit_test_setup(the_shadow_is_there_before_the_signal, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
