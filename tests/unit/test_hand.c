/* SPDX-License-Identifier: MIT */
/* Ranges by hand: which are possible, and what is said of those that are not. */
#include "guest/hand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT  (1ull << 40)
#define MEMORY (16ull << 20)

static char why[256];

static bool check(const struct hand_range *ranges, size_t count)
{
	why[0] = '\0';
	return hand_check(ranges, count, LIMIT, why, sizeof(why)) &&
	       hand_check_memory(ranges, count, MEMORY, why, sizeof(why));
}

static void assert_refused_range(struct hand_range range, const char *words)
{
	assert_false(check(&range, 1));
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_int_equal(why[strlen(why) - 1], '.');
}

static void takes_what_is_possible(void **context)
{
	static const struct hand_range ranges[] = {
		{0xd0000000, 0x1000, ABI_HAND_RAM},
		{0xd0001000, 1, ABI_HAND_DOORBELL},
		{0xd0001001, 2, ABI_HAND_RING},
		{0xa0000, 0x60000, ABI_HAND_RAM}, /* between low RAM and 1 MiB */
		{16 << 20, 4096, ABI_HAND_DIRECT},
		{LIMIT - 4096, 4096, ABI_HAND_ROM},
		{1ull << 39, 1ull << 38, ABI_HAND_DOORBELL},
	};

	(void)context;
	assert_true(check(ranges, sizeof(ranges) / sizeof(ranges[0])));
	assert_true(check(NULL, 0));
}

static void refuses_what_is_impossible(void **context)
{
	(void)context;
	assert_refused_range((struct hand_range){0xd0000000, 0, ABI_HAND_RAM}, "0xd0000000 has a size of 0");
	assert_refused_range((struct hand_range){LIMIT, 1, ABI_HAND_DOORBELL}, "ends beyond 0x10000000000");
	assert_refused_range((struct hand_range){LIMIT - 1, 2, ABI_HAND_DOORBELL}, "ends beyond");
	assert_refused_range((struct hand_range){0xd0000000, UINT64_MAX, ABI_HAND_DOORBELL}, "ends beyond");
	assert_refused_range((struct hand_range){UINT64_MAX, 1, ABI_HAND_DOORBELL}, "ends beyond");
	assert_refused_range((struct hand_range){0xd0000001, 4096, ABI_HAND_ROM}, "multiples of 4K");
	assert_refused_range((struct hand_range){0xd0000000, 4097, ABI_HAND_DIRECT}, "multiples of 4K");
	assert_refused_range((struct hand_range){0xd0000000, (16 << 20) + 1, ABI_HAND_RAM}, "larger than the 16M");
	assert_refused_range((struct hand_range){0xd0000000, 32 << 20, ABI_HAND_DIRECT}, "larger than the 16M");
}

static void refuses_overlaps(void **context)
{
	static const struct hand_range at = {0xd0000000, 0x1000, ABI_HAND_RAM};
	static const struct hand_range others[] = {{0xd0000fff, 1, ABI_HAND_DOORBELL},
						   {0xcfffffff, 2, ABI_HAND_DOORBELL},
						   {0xd0000000, 0x1000, ABI_HAND_RAM},
						   {0xc0000000, 0x20000000, ABI_HAND_DOORBELL}};

	(void)context;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct hand_range both[] = {at, others[i]}, turned[] = {others[i], at};

		assert_false(check(both, 2));
		assert_non_null(strstr(why, "overlaps that of 0x1000 bytes at 0xd0000000"));
		assert_false(check(turned, 2));
		assert_non_null(strstr(why, "overlaps that of"));
	}
}

static void refuses_the_guests_memory(void **context)
{
	(void)context;
	assert_refused_range((struct hand_range){0, 4096, ABI_HAND_RAM}, "lies in the guest's memory");
	assert_refused_range((struct hand_range){0x9ffff, 2, ABI_HAND_DOORBELL}, "lies in the guest's memory");
	assert_refused_range((struct hand_range){0xfffff, 2, ABI_HAND_DOORBELL}, "lies in the guest's memory");
	assert_refused_range((struct hand_range){MEMORY - 1, 2, ABI_HAND_DOORBELL}, "ends at 0x1000000");
	/* A guest of less than 640 KiB has nothing above. */
	assert_true(hand_check_memory(&(struct hand_range){4096, 1, ABI_HAND_RAM}, 1, 4096, why, sizeof(why)));
	assert_false(hand_check_memory(&(struct hand_range){4095, 1, ABI_HAND_RAM}, 1, 4096, why, sizeof(why)));
	/* As the command line asks where it says nothing of memory. */
	assert_true(hand_check_memory(&(struct hand_range){0, 2 << 20, ABI_HAND_RAM}, 1, 0, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_possible),
		cmocka_unit_test(refuses_what_is_impossible),
		cmocka_unit_test(refuses_overlaps),
		cmocka_unit_test(refuses_the_guests_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
