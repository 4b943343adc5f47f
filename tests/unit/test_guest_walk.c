/* SPDX-License-Identifier: MIT */
/* The walk of the guest's page tables, case by case: each right, each bit of the error code, each mode, the flags. */
#include "tests/unit/guest_memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Tables of a guest, and the page they lead to. */
enum { PML5 = 0x6000, PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, FRAME = 0x5000 };
enum { LINEAR = 0x123456, PT_INDEX = 0x123 };

enum { READ = GUEST_READ, WRITE = GUEST_WRITE, FETCH = GUEST_FETCH, IMPLICIT = GUEST_IMPLICIT };

static uint64_t *entry_at(uint64_t gpa)
{
	return (uint64_t *)(void *)(ram + gpa);
}

static uint32_t *entry_32_at(uint64_t gpa)
{
	return (uint32_t *)(void *)(ram + gpa);
}

static enum guest_walk_status walk_to(const struct guest_paging *p, uint64_t linear, unsigned access,
				      struct guest_walk *walk)
{
	memset(walk, 0xa5, sizeof(*walk));
	return guest_walk(guest_map(), p, linear, access, walk);
}

/* Five levels that lead from LINEAR to FRAME; all rights, nothing accessed. */
static void make_tables(void)
{
	memset(ram, 0, RAM_SIZE);
	*entry_at(PML5) = PML4 | ALL;
	*entry_at(PML4) = PDPT | ALL;
	*entry_at(PDPT) = PD | ALL;
	*entry_at(PD) = PT | ALL;
	*entry_at(PT + 8 * PT_INDEX) = FRAME | ALL;
}

static const struct guest_paging four_levels = {
	.cr0 = PG | WP,
	.cr3 = PML4,
	.cr4 = PAE,
	.efer = LMA | NXE,
	.pages_1g = true,
	.maxphyaddr = 39,
};

/* Changes to four_levels and to two entries, and what comes of it: the error code of a page fault, or OK. */
enum { OK = -1 };
struct right {
	unsigned access;
	uint8_t cpl;
	bool ac;
	uint64_t cr0_clear, cr4, efer_clear;
	uint32_t pkru, pkrs;
	uint64_t pd_flags, pt_flags; /* in the place of ALL */
	int error_code;
};

/* clang-format off */
#define RIGHT(how, ring, pd, pt, error, ...) \
	{.access = (how), .cpl = (ring), .pd_flags = (pd), .pt_flags = (pt), .error_code = (error), __VA_ARGS__}

/* SDM vol. 3, 4.6 and 4.7. */
static const struct right rights[] = {
	/* R/W and WP */
	RIGHT(READ, 0, ALL, P, OK),
	RIGHT(WRITE, 0, ALL, P, 3),
	RIGHT(WRITE, 0, ALL, P, OK, .cr0_clear = WP),
	RIGHT(WRITE, 0, ALL, P | U, OK, .cr0_clear = WP),
	RIGHT(WRITE, 3, ALL, P | U, 7, .cr0_clear = WP),
	RIGHT(WRITE, 3, P | U, ALL, 7),
	RIGHT(WRITE, 3, ALL, ALL, OK),
	/* U/S */
	RIGHT(READ, 3, ALL, P | W, 5),
	RIGHT(READ, 3, P | W, ALL, 5),
	RIGHT(READ, 2, ALL, P | W, OK),
	RIGHT(READ | IMPLICIT, 3, ALL, P | W, OK),
	RIGHT(WRITE | IMPLICIT, 3, ALL, P, 3),
	RIGHT(FETCH, 3, ALL, P | W, 0x15),
	/* not present, at both ends */
	RIGHT(READ, 0, ALL, W | U, 0),
	RIGHT(WRITE, 3, W | U, ALL, 6),
	RIGHT(FETCH, 3, 0, ALL, 0x14),
	/* XD; the I/D bit needs NXE (with PAE) or SMEP */
	RIGHT(FETCH, 0, ALL, ALL | NX, 0x11),
	RIGHT(FETCH, 3, ALL | NX, ALL, 0x15),
	RIGHT(READ, 3, ALL, ALL | NX, OK),
	RIGHT(FETCH, 0, ALL, 0, 0, .efer_clear = NXE),
	RIGHT(FETCH, 0, ALL, 0, 0x10, .efer_clear = NXE, .cr4 = SMEP),
	RIGHT(READ, 0, ALL, ALL | NX, 9, .efer_clear = NXE),
	RIGHT(FETCH, 3, ALL | NX, ALL, 0xd, .efer_clear = NXE),
	/* SMEP */
	RIGHT(FETCH, 0, ALL, ALL, OK),
	RIGHT(FETCH, 0, ALL, ALL, 0x11, .cr4 = SMEP),
	RIGHT(FETCH, 0, ALL, P | W, OK, .cr4 = SMEP),
	RIGHT(FETCH, 3, ALL, ALL, OK, .cr4 = SMEP),
	/* SMAP */
	RIGHT(READ, 0, ALL, ALL, 1, .cr4 = SMAP),
	RIGHT(WRITE, 1, ALL, ALL, 3, .cr4 = SMAP, .cr0_clear = WP),
	RIGHT(READ, 0, ALL, ALL, OK, .cr4 = SMAP, .ac = true),
	RIGHT(READ | IMPLICIT, 0, ALL, ALL, 1, .cr4 = SMAP, .ac = true),
	RIGHT(READ | IMPLICIT, 3, ALL, ALL, 1, .cr4 = SMAP, .ac = true),
	RIGHT(READ, 0, ALL, P | W, OK, .cr4 = SMAP),
	RIGHT(READ, 3, ALL, ALL, OK, .cr4 = SMAP),
	RIGHT(FETCH, 0, ALL, ALL, OK, .cr4 = SMAP),
	/* reserved bits: above MAXPHYADDR (39) in either entry; PAT of the table entry is none */
	RIGHT(READ, 0, ALL, ALL | BIT(39), 9),
	RIGHT(WRITE, 3, ALL | BIT(51), ALL, 0xf),
	RIGHT(READ, 0, ALL, ALL | BIT(38), OK),
	RIGHT(READ, 0, ALL, ALL | BIT(52), OK),
	RIGHT(READ, 0, ALL, ALL | PS, OK),
	RIGHT(FETCH, 3, ALL | PS | BIT(13), 0, 0x1d),
	RIGHT(READ, 0, ALL | PS | BIT(20), 0, 9),
	/* protection keys: user pages by PKRU, at any CPL; fetches are free; WD binds supervisors only with WP */
	RIGHT(READ, 3, ALL, ALL | KEY(5), 0x25, .cr4 = PKE, .pkru = 1 << 10),
	RIGHT(READ, 3, ALL, ALL | KEY(4), OK, .cr4 = PKE, .pkru = 1 << 10),
	RIGHT(READ, 3, ALL, ALL | KEY(5), OK, .pkru = 1 << 10),
	RIGHT(READ, 0, ALL, ALL | KEY(5), 0x21, .cr4 = PKE, .pkru = 1 << 10),
	RIGHT(READ, 3, ALL, ALL | KEY(5), OK, .cr4 = PKE, .pkru = 2 << 10),
	RIGHT(WRITE, 3, ALL, ALL | KEY(5), 0x27, .cr4 = PKE, .pkru = 2 << 10),
	RIGHT(WRITE, 0, ALL, ALL | KEY(5), 0x23, .cr4 = PKE, .pkru = 2 << 10),
	RIGHT(WRITE, 0, ALL, ALL | KEY(5), OK, .cr0_clear = WP, .cr4 = PKE, .pkru = 2 << 10),
	RIGHT(FETCH, 3, ALL, ALL | KEY(5), OK, .cr4 = PKE, .pkru = ~0u),
	RIGHT(READ, 0, ALL, P | W | KEY(5), OK, .cr4 = PKE, .pkru = ~0u),
	RIGHT(READ, 0, ALL, P | W | KEY(5), 0x21, .cr4 = PKS, .pkrs = 1 << 10),
	RIGHT(WRITE, 0, ALL, P | W | KEY(5), 0x23, .cr4 = PKS, .pkrs = 2 << 10),
	RIGHT(READ, 3, ALL, ALL | KEY(5), OK, .cr4 = PKS, .pkrs = ~0u),
};
/* clang-format on */

static void grants_and_refuses(void **context)
{
	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
		const struct right *right = &rights[i];
		struct guest_paging p = four_levels;
		struct guest_walk walk;
		enum guest_walk_status status;

		make_tables();
		*entry_at(PD) = PT | right->pd_flags;
		*entry_at(PT + 8 * PT_INDEX) = FRAME | right->pt_flags;
		p.cr0 &= ~right->cr0_clear;
		p.cr4 |= right->cr4;
		p.efer &= ~right->efer_clear;
		p.pkru = right->pkru;
		p.pkrs = right->pkrs;
		p.cpl = right->cpl;
		p.rflags_ac = right->ac;
		status = walk_to(&p, LINEAR, right->access, &walk);
		if (status != (right->error_code == OK ? GUEST_WALK_OK : GUEST_WALK_FAULT) ||
		    (right->error_code != OK && (int)walk.error_code != right->error_code))
			print_message("case %zu: status %d, error code %#x\n", i, status, walk.error_code);
		if (right->error_code == OK) {
			assert_int_equal(status, GUEST_WALK_OK);
			continue;
		}
		assert_int_equal(status, GUEST_WALK_FAULT);
		assert_int_equal(walk.error_code, right->error_code);
		/* A refused access leaves no trace in the tables. */
		assert_int_equal(*entry_at(PML4), PDPT | ALL);
		assert_int_equal(*entry_at(PD), PT | right->pd_flags);
		assert_int_equal(*entry_at(PT + 8 * PT_INDEX), FRAME | right->pt_flags);
	}
}

static void assert_address(const struct guest_paging *p, uint64_t linear, uint64_t gpa, unsigned count)
{
	struct guest_walk walk;

	assert_int_equal(walk_to(p, linear, READ, &walk), GUEST_WALK_OK);
	assert_int_equal(walk.gpa, gpa);
	assert_int_equal(walk.count, count);
	assert_true(guest_walk_holds(&walk));
}

static void assert_fault(const struct guest_paging *p, uint64_t linear, unsigned error_code)
{
	struct guest_walk walk;

	assert_int_equal(walk_to(p, linear, READ, &walk), GUEST_WALK_FAULT);
	assert_int_equal(walk.error_code, error_code);
}

static void translates_in_every_long_mode(void **context)
{
	struct guest_paging p = four_levels;
	struct guest_walk walk;

	(void)context;
	make_tables();
	assert_address(&p, LINEAR, FRAME + 0x456, 4);
	*entry_at(PD) = 0x40000000 | ALL | PS | BIT(12); /* PAT is no address bit */
	assert_address(&p, LINEAR, 0x40000000 + LINEAR, 3);
	*entry_at(PDPT) = 0x7fc0000000 | ALL | PS;
	assert_address(&p, 0x3fffffff, 0x7fffffffff, 2);
	p.pages_1g = false;
	assert_fault(&p, LINEAR, 9);
	p.pages_1g = true;
	*entry_at(PDPT) |= BIT(29);
	assert_fault(&p, LINEAR, 9);
	*entry_at(PML4) |= PS;
	assert_fault(&p, LINEAR, 9);

	make_tables();
	*entry_at(PML4 + 8 * 511) = *entry_at(PML4);
	*entry_at(PML4 + 8 * 256) = *entry_at(PML4);
	assert_address(&p, 0xffffff8000000000 + LINEAR, FRAME + 0x456, 4);
	assert_address(&p, 0xffff800000000000 + LINEAR, FRAME + 0x456, 4);
	assert_fault(&p, 0x7fffffffffff, 0);
	assert_int_equal(walk_to(&p, 0x800000000000, READ, &walk), GUEST_WALK_NON_CANONICAL);
	assert_int_equal(walk_to(&p, 0xffff7fffffffffff, READ, &walk), GUEST_WALK_NON_CANONICAL);

	p.cr3 = PML5;
	p.cr4 |= LA57;
	assert_address(&p, LINEAR, FRAME + 0x456, 5);
	*entry_at(PML5 + 8 * 256) = *entry_at(PML5);
	assert_address(&p, 0xff00000000000000 + LINEAR, FRAME + 0x456, 5);
	assert_fault(&p, 0x00ffffffffffffff, 0);
	assert_int_equal(walk_to(&p, 0x0100000000000000, READ, &walk), GUEST_WALK_NON_CANONICAL);
	*entry_at(PML5) |= PS;
	assert_fault(&p, LINEAR, 9);
}

static void translates_without_paging_and_with_pae(void **context)
{
	struct guest_paging p = {.cr0 = 1, .maxphyaddr = 36};

	(void)context;
	make_tables();
	assert_address(&p, 0xffffffff00000000 + LINEAR, LINEAR, 0);

	p = (struct guest_paging){.cr0 = PG | WP, .cr4 = PAE, .pdpte = {PD | P, 0, 0, PD | P}, .maxphyaddr = 36};
	assert_address(&p, LINEAR, FRAME + 0x456, 2);
	assert_address(&p, 0xffffffffc0000000 + LINEAR, FRAME + 0x456, 2);
	assert_fault(&p, 0x40000000 + LINEAR, 0);
	*entry_at(PD) = 0xfffe00000 | ALL | PS;
	assert_address(&p, 0x1fffff, 0xfffffffff, 1);
	*entry_at(PD) |= BIT(36);
	assert_fault(&p, LINEAR, 9);
	/* Ignored with 4 levels, reserved here. */
	*entry_at(PD) = PT | ALL | BIT(52);
	assert_fault(&p, LINEAR, 9);
}

static void translates_32_bit_paging(void **context)
{
	struct guest_paging p = {.cr0 = PG | WP, .maxphyaddr = 36};
	struct guest_walk walk;

	(void)context;
	memset(ram, 0, RAM_SIZE);
	p.cr3 = PML4 | 0x18; /* PCD and PWT are no address bits */
	for (unsigned odd = 0; odd < 2; odd++) {
		uint64_t linear = 0x80000000 + odd * 0x400000 + 0x1000 * (6 + odd) + 0x123;

		/* The neighbour in the same 8 bytes must neither matter nor change. */
		*entry_32_at(PML4 + 4 * (512 + odd)) = PT | ALL;
		*entry_32_at(PT + 4 * (6 + odd)) = 0xfffff000 | ALL;
		assert_int_equal(walk_to(&p, 0xabcd00000000 + linear, WRITE, &walk), GUEST_WALK_OK);
		assert_int_equal(walk.gpa, 0xfffff123);
		assert_int_equal(walk.count, 2);
		assert_true(guest_walk_holds(&walk));
		assert_int_equal(*entry_32_at(PML4 + 4 * (512 + odd)), PT | ALL | A);
		assert_int_equal(*entry_32_at(PML4 + 4 * (513 - odd)), odd ? PT | ALL | A : 0);
		assert_int_equal(*entry_32_at(PT + 4 * (6 + odd)), 0xfffff000 | ALL | A | D);
		assert_int_equal(*entry_32_at(PT + 4 * (7 - odd)), odd ? 0xfffff000 | ALL | A | D : 0);
	}
	/* 4 MiB pages only with PSE; PSE-36 as far as the address width goes. */
	*entry_32_at(PML4) = PT | ALL | PS;
	*entry_32_at(PT + 4 * 5) = FRAME | ALL;
	assert_address(&p, 0x5123, FRAME + 0x123, 2);
	p.cr4 = PSE;
	*entry_32_at(PML4) = 0xffc00000 | ALL | PS;
	assert_address(&p, 0x3fffff, 0xffffffff, 1);
	*entry_32_at(PML4) |= 0xfu << 13;
	assert_address(&p, 0x3fffff, 0xfffffffff, 1);
	*entry_32_at(PML4) |= BIT(17);
	assert_fault(&p, 0, 9);
	p.maxphyaddr = 46;
	*entry_32_at(PML4) |= 0xffu << 13;
	assert_address(&p, 0x3fffff, 0xffffffffff, 1);
	*entry_32_at(PML4) |= BIT(21);
	assert_fault(&p, 0, 9);
	p.maxphyaddr = 32;
	*entry_32_at(PML4) = 0xffc00000 | ALL | PS | BIT(13);
	assert_fault(&p, 0, 9);
}

static void sets_the_flags(void **context)
{
	struct guest_paging p = four_levels;
	struct guest_walk walk;

	(void)context;
	make_tables();
	assert_int_equal(walk_to(&p, LINEAR, READ, &walk), GUEST_WALK_OK);
	assert_int_equal(*entry_at(PML4), PDPT | ALL | A);
	assert_int_equal(*entry_at(PDPT), PD | ALL | A);
	assert_int_equal(*entry_at(PD), PT | ALL | A);
	assert_int_equal(*entry_at(PT + 8 * PT_INDEX), FRAME | ALL | A);
	assert_int_equal(walk_to(&p, LINEAR, WRITE, &walk), GUEST_WALK_OK);
	assert_int_equal(*entry_at(PD), PT | ALL | A);
	assert_int_equal(*entry_at(PT + 8 * PT_INDEX), FRAME | ALL | A | D);
	assert_ptr_equal(walk.entry[3], entry_at(PT + 8 * PT_INDEX));
	assert_int_equal(walk.value[3], FRAME | ALL | A | D);
	assert_true(guest_walk_holds(&walk));

	/* A table that is its own, four times: one entry is all levels. The flags are set, and the trace holds. */
	make_tables();
	*entry_at(PML4 + 8 * 8) = PML4 | ALL;
	assert_int_equal(walk_to(&p, 0x040201008123, WRITE, &walk), GUEST_WALK_OK);
	assert_int_equal(walk.gpa, PML4 + 0x123);
	assert_int_equal(*entry_at(PML4 + 8 * 8), PML4 | ALL | A | D);
	assert_true(guest_walk_holds(&walk));

	/* In ROM they stay as they are. */
	make_tables();
	memcpy(rom, ram + PT, 4096);
	*entry_at(PD) = ROM_AT | ALL;
	assert_int_equal(walk_to(&p, LINEAR, WRITE, &walk), GUEST_WALK_OK);
	assert_int_equal(walk.gpa, FRAME + 0x456);
	assert_memory_equal(rom, ram + PT, 4096);
	assert_true(guest_walk_holds(&walk));
}

static void tells_tables_outside_memory(void **context)
{
	struct guest_paging p = four_levels;
	struct guest_walk walk;
	enum tl_status status;
	struct tl_vm *empty = tl_vm_create(NULL, &status);

	(void)context;
	make_tables();
	p.cr3 = 0x7ffffff000;
	assert_int_equal(walk_to(&p, LINEAR, READ, &walk), GUEST_WALK_TABLE_NOT_RAM);
	assert_int_equal(walk.gpa, 0x7ffffff000);
	p.cr3 = PML4;
	*entry_at(PD) = RAM_SIZE | ALL;
	assert_int_equal(walk_to(&p, LINEAR, READ, &walk), GUEST_WALK_TABLE_NOT_RAM);
	assert_int_equal(walk.gpa, RAM_SIZE + 8 * PT_INDEX);

	/* A guest without any memory. */
	assert_non_null(empty);
	assert_int_equal(guest_walk(atomic_load(&empty->map), &p, LINEAR, READ, &walk), GUEST_WALK_TABLE_NOT_RAM);
	assert_int_equal(tl_vm_destroy(empty), TL_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grants_and_refuses),
		cmocka_unit_test(translates_in_every_long_mode),
		cmocka_unit_test(translates_without_paging_and_with_pae),
		cmocka_unit_test(translates_32_bit_paging),
		cmocka_unit_test(sets_the_flags),
		cmocka_unit_test(tells_tables_outside_memory),
	};

	return cmocka_run_group_tests(tests, guest_memory_start, guest_memory_stop);
}
