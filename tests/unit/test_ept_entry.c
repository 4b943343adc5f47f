/* SPDX-License-Identifier: MIT */
/* The MMIO entry: its fields, its marks, and what a CPU under L1TF would read through it. */
#include "mmu/ept.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint32_t some_ids[] = {0,      1,      2,      3,       0x7f,    0x80,    0x3ff,   0x400,
				    0x5555, 0xaaaa, 0xffff, 0x10000, 0x55555, 0xaaaaa, 0xffffe, MMIO_MAX_ID};
static const uint32_t some_tags[] = {0,     1,       0xff,    0x100,   0x1fe,   0x1ff,        0x200,
				     0x201, 0x2aaaa, 0x55555, 0x40000, 0x7fffe, MMIO_TAG_MASK};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The bits of the page's table, written down once more by hand. */
static ept_entry_t entry_by_hand(uint32_t id, uint32_t tag)
{
	ept_entry_t entry = 6;

	for (unsigned bit = 0; bit < 9; bit++)
		entry |= (uint64_t)(tag >> bit & 1) << (3 + bit);
	for (unsigned bit = 9; bit < 19; bit++)
		entry |= (uint64_t)(tag >> bit & 1) << (52 + bit - 9);
	for (unsigned bit = 0; bit < 20; bit++)
		entry |= (uint64_t)(id >> bit & 1) << (12 + bit);
	for (unsigned bit = 32; bit < 52; bit++)
		entry |= 1ull << bit;
	return entry | 1ull << 62 | 1ull << 63;
}

static void check_entry(uint32_t id, uint32_t tag)
{
	ept_entry_t entry = mmio_spte_make(id, tag);

	if (entry != entry_by_hand(id, tag) || mmio_spte_id(entry) != id || mmio_spte_tag(entry) != tag ||
	    !is_mmio_spte(entry) || ept_is_present(entry))
		fail_msg("id %x tag %x made %lx", id, tag, (unsigned long)entry);
	for (unsigned level = 1; level <= EPT_LEVELS; level++)
		if (ept_is_table(entry, level))
			fail_msg("id %x tag %x is a table at level %u", id, tag, level);
}

static void every_tag_comes_back(void **context)
{
	(void)context;
	for (size_t i = 0; i < COUNT_OF(some_ids); i++)
		for (uint32_t tag = 0; tag <= MMIO_TAG_MASK; tag++)
			check_entry(some_ids[i], tag);
}

static void every_id_comes_back(void **context)
{
	(void)context;
	for (size_t i = 0; i < COUNT_OF(some_tags); i++)
		for (uint32_t id = 0; id <= MMIO_MAX_ID; id++)
			check_entry(id, some_tags[i]);
}

/* A change of one field shows in that field alone, whatever the others hold. */
static void fields_are_disjoint(void **context)
{
	(void)context;
	for (size_t i = 0; i < COUNT_OF(some_ids); i++)
		for (size_t j = 0; j < COUNT_OF(some_tags); j++) {
			ept_entry_t entry = mmio_spte_make(some_ids[i], some_tags[j]);

			for (unsigned bit = 0; bit < MMIO_TAG_BITS; bit++) {
				ept_entry_t other = mmio_spte_make(some_ids[i], some_tags[j] ^ 1u << bit);

				assert_int_equal(__builtin_popcountll(entry ^ other), 1);
				assert_int_equal(mmio_spte_id(other), some_ids[i]);
			}
			for (unsigned bit = 0; bit < 20; bit++) {
				ept_entry_t other = mmio_spte_make(some_ids[i] ^ 1u << bit, some_tags[j]);

				assert_int_equal(__builtin_popcountll(entry ^ other), 1);
				assert_int_equal(mmio_spte_tag(other), some_tags[j]);
			}
		}
}

static void one_constant_bit_off_is_no_mmio_entry(void **context)
{
	unsigned constant_bits = 0;

	(void)context;
	for (size_t i = 0; i < COUNT_OF(some_ids); i++)
		for (size_t j = 0; j < COUNT_OF(some_tags); j++)
			for (unsigned bit = 0; bit < 64; bit++) {
				ept_entry_t entry = mmio_spte_make(some_ids[i], some_tags[j]) ^ 1ull << bit;
				bool is_field = (bit >= 3 && bit <= 31) || (bit >= 52 && bit <= 61);

				assert_int_equal(is_mmio_spte(entry), is_field);
				constant_bits += !is_field;
			}
	assert_int_equal(constant_bits, COUNT_OF(some_ids) * COUNT_OF(some_tags) * (3 + 20 + 2));
	/* Nor is anything that the EPT holds besides. */
	assert_false(is_mmio_spte(0));
	assert_false(is_mmio_spte(~0ull));
	assert_false(is_mmio_spte(EPT_RWX | EPT_ADDRESS));
	assert_false(is_mmio_spte(EPT_WRITE | EPT_EXECUTE));
}

static void presence(void **context)
{
	(void)context;
	assert_false(ept_is_present(0));
	assert_false(ept_is_present(EPT_ADDRESS | EPT_LARGE | EPT_SUPPRESS_VE));
	assert_true(ept_is_present(EPT_READ));
	assert_true(ept_is_present(EPT_EXECUTE));
	/* A misconfiguration that is not ours counts as present: nothing of ours may be put over it. */
	assert_true(ept_is_present(EPT_WRITE | EPT_EXECUTE));
	for (unsigned level = 1; level <= EPT_LEVELS; level++) {
		assert_int_equal(ept_is_table(EPT_RWX | 0x1000, level), level > 1);
		assert_false(ept_is_table(EPT_RWX | EPT_LARGE, level));
		assert_false(ept_is_table(0x1000, level));
	}
}

static void indices(void **context)
{
	gpa_t gpa = 0x0000a5c3f1e2d7b8;

	(void)context;
	assert_int_equal(ept_index(gpa, 1), gpa >> 12 & 511);
	assert_int_equal(ept_index(gpa, 2), gpa >> 21 & 511);
	assert_int_equal(ept_index(gpa, 3), gpa >> 30 & 511);
	assert_int_equal(ept_index(gpa, 4), gpa >> 39 & 511);
	assert_int_equal(EPT_SPAN(1), 4096);
	assert_int_equal(EPT_SPAN(2), 2ull << 20);
	assert_int_equal(EPT_SPAN(3), 1ull << 30);
	assert_int_equal(EPT_SPAN(4), 512ull << 30);
}

/* Whatever width of the frame a CPU uses speculatively, an MMIO entry points it to what counts as the target. */
static void entries_point_to_the_l1tf_target(void **context)
{
	(void)context;
	for (unsigned maxphyaddr = 36; maxphyaddr <= 46; maxphyaddr++)
		for (unsigned width = maxphyaddr; width <= 46; width++)
			for (size_t i = 0; i < COUNT_OF(some_ids); i++) {
				hpa_t frame = mmio_spte_make(some_ids[i], 0) & EPT_ADDRESS & (BIT(width) - 1);

				assert_true(ept_l1tf_target(frame, frame + PAGE_SIZE, maxphyaddr));
			}
}

static void l1tf_target_bounds(void **context)
{
	const hpa_t four_gib = BIT(32);

	(void)context;
	for (unsigned maxphyaddr = 32; maxphyaddr <= 46; maxphyaddr++) {
		unsigned least = maxphyaddr < 36 ? 36 : maxphyaddr;

		for (unsigned width = 36; width <= 46; width++) {
			hpa_t top = BIT(width);
			bool counts = width >= least;

			assert_int_equal(ept_l1tf_target(top - four_gib, top - four_gib + 1, maxphyaddr), counts);
			assert_int_equal(ept_l1tf_target(top - 1, top, maxphyaddr), counts);
			assert_int_equal(ept_l1tf_target(0, top - four_gib + 1, maxphyaddr), width >= least);
			/* One byte before and one after are no target. */
			assert_false(ept_l1tf_target(top - four_gib - PAGE_SIZE, top - four_gib, maxphyaddr));
			assert_false(ept_l1tf_target(top, top + PAGE_SIZE, maxphyaddr));
		}
		assert_false(ept_l1tf_target(0, BIT(least) - four_gib, maxphyaddr));
		assert_true(ept_l1tf_target(0, BIT(52), maxphyaddr));
	}
	/* CPUs with wider addresses than 46 bits have no such bug. */
	assert_false(ept_l1tf_target(0, BIT(52), 52));
	assert_false(ept_l1tf_target(BIT(52) - four_gib, BIT(52), 52));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_tag_comes_back),
		cmocka_unit_test(every_id_comes_back),
		cmocka_unit_test(fields_are_disjoint),
		cmocka_unit_test(one_constant_bit_off_is_no_mmio_entry),
		cmocka_unit_test(presence),
		cmocka_unit_test(indices),
		cmocka_unit_test(entries_point_to_the_l1tf_target),
		cmocka_unit_test(l1tf_target_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
