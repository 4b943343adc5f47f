/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging against a bitmap that the guest keeps itself: what it writes, in every way, is what the log says, no
 * page more and none less; while the range moves and the log begins anew; where more pages are written at once than the
 * CPU's buffer of them holds; and while the guest's page tables are in ROM. With several vCPUs all of them write at
 * once, and the log is fetched in their midst: what the fetches of a round say together is what was written in it.
 */
#include "guest/stubs/libsmp.h"

enum {
	DEFAULT_ROUNDS = 300,
	WRITES_A_ROUND = 40,
	WORDS = ABI_MEMORY_PAGES / 64,
	FETCHES_A_ROUND = 3,
	SWEEPS = 3,
	OTHER_AT = DEVICE_MEMORY1_AT + 2 * ABI_MEMORY_SIZE, /* of a second memory, beside both places of the first */
	PAGE_TABLE = 0x23,                                  /* present, writable, accessed */
	PAGE_DIRTY = 0x40,
};

static uint64_t written[WORDS], fetched[WORDS];
static uint64_t at = DEVICE_MEMORY0_AT;

static void mark(uint64_t offset, unsigned size)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t page = (offset + (i ? size - 1 : 0)) >> 12;

		written[page / 64] |= 1ull << page % 64;
	}
}

static void stosq(uint64_t to, uint64_t count)
{
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0x1234) : "memory");
}

/* From a device into the memory: the host does it, element by element. */
static void movsl_from_device(uint64_t to, uint64_t count)
{
	uint64_t from = DEVICE_BANK0_AT;

	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void write_somewhere(void)
{
	uint64_t offset = lib_random_below(ABI_MEMORY_SIZE - 4096) & ~7ull;
	unsigned size = 1u << lib_random_below(4);

	switch (lib_random_below(8)) {
	case 0: /* across two pages */
		offset = (offset & ~0xfffull) + 4096 - size / 2;
		lib_write(at + offset, 1, size);
		mark(offset, size);
		break;
	case 1:
		stosq(at + offset, 64);
		mark(offset, 64 * 8);
		break;
	case 2:
		movsl_from_device(at + offset, 16);
		mark(offset, 16 * 4);
		break;
	case 3: /* the host writes it, for a hypercall */
		CHECK_EQUAL(vmcall(HC_DEVICE, DEVICE_BANK0, at + offset, 0, 0), 0);
		mark(offset, sizeof(struct abi_device));
		break;
	case 4: /* read only */
		lib_read(at + offset, size);
		break;
	default:
		lib_write(at + offset, 2, size);
		mark(offset, size);
	}
}

static void check_fetch(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < WORDS; i++)
		for (uint64_t left = written[i]; left; left &= left - 1)
			count++;
	CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_FETCH, DEVICE_MEMORY0, (uint64_t)fetched, 0), count);
	for (unsigned i = 0; i < WORDS; i++) {
		CHECK_EQUAL(fetched[i], written[i]);
		written[i] = 0;
	}
}

/* The log goes on where the range goes, and begins anew where it ends. */
static void change(void)
{
	switch (lib_random_below(4)) {
	case 0:
		at = at == DEVICE_MEMORY0_AT ? DEVICE_MEMORY1_AT : DEVICE_MEMORY0_AT;
		CHECK_EQUAL(lib_edit(EDIT_MOVE, DEVICE_MEMORY0, at), 0);
		break;
	case 1:
		check_fetch();
		CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_STOP, DEVICE_MEMORY0, 0, 0), 0);
		write_somewhere();
		for (unsigned i = 0; i < WORDS; i++)
			written[i] = 0;
		CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_START, DEVICE_MEMORY0, 0, 0), 0);
		break;
	default:
		break;
	}
}

/* All pages of two memories, without an exit of any other kind in between. */
static void sweep(void)
{
	uint64_t other[WORDS];

	check_fetch();
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY1, OTHER_AT), 0);
	CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_START, DEVICE_MEMORY1, 0, 0), 0);
	for (unsigned i = 0; i < SWEEPS; i++) {
		for (uint64_t offset = 0; offset < ABI_MEMORY_SIZE; offset += 4096) {
			write64(at + offset, offset);
			write64(OTHER_AT + offset, offset);
			mark(offset, 8);
		}
		CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_FETCH, DEVICE_MEMORY1, (uint64_t)other, 0), ABI_MEMORY_PAGES);
		check_fetch();
	}
	CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_STOP, DEVICE_MEMORY1, 0, 0), 0);
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_MEMORY1, 0), 0);
}

static uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static void write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

/* The upper two levels of the page tables, with all flags set that the CPU would set. */
static void copy_tables(uint64_t to)
{
	const uint64_t *pml4 = (const uint64_t *)read_cr3();
	const uint64_t *pdpt = (const uint64_t *)(pml4[0] & ~0xfffull);

	for (unsigned i = 0; i < 512; i++) {
		write64(to + 8 * i, i ? 0 : (to + 4096) | PAGE_TABLE);
		write64(to + 4096 + 8 * i, pdpt[i] ? pdpt[i] | PAGE_TABLE | PAGE_DIRTY : 0);
	}
}

static void write_and_check(void)
{
	for (uint64_t n = lib_random_below(WRITES_A_ROUND); n; n--)
		write_somewhere();
	check_fetch();
}

/* The CPU only reads these page tables, whatever the host has it count that as. */
static void walk_rom(uint64_t times)
{
	uint64_t tables = read_cr3();

	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY1, OTHER_AT), 0);
	copy_tables(OTHER_AT);
	CHECK_EQUAL(lib_edit(EDIT_PROTECT, DEVICE_MEMORY1, 1), 0);
	write_somewhere();
	write_cr3(OTHER_AT);
	while (times--)
		write_and_check();
	write_cr3(tables);
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_MEMORY1, 0), 0);
}

static uint64_t rounds;
static uint64_t written_by[ABI_VCPUS][WORDS];

static void write_page(unsigned index)
{
	uint64_t page = smp_random(index) % ABI_MEMORY_PAGES;

	/* Half of them where everybody writes. */
	if (page & 1)
		page %= 16;
	write64(at + page * 4096 + 8 * index, page);
	written_by[index][page / 64] |= 1ull << page % 64;
}

static void fetch_more(void)
{
	static uint64_t pages[WORDS];

	CHECK((int64_t)vmcall(HC_DIRTY, DIRTY_FETCH, DEVICE_MEMORY0, (uint64_t)pages, 0) >= 0);
	for (unsigned i = 0; i < WORDS; i++)
		fetched[i] |= pages[i];
}

/* When nobody writes. */
static void check_round(void)
{
	fetch_more();
	for (unsigned i = 0; i < WORDS; i++) {
		uint64_t all = 0;

		for (unsigned index = 0; index < ABI_VCPUS; index++) {
			all |= written_by[index][i];
			written_by[index][i] = 0;
		}
		CHECK_EQUAL(fetched[i], all);
		fetched[i] = 0;
	}
}

static void write_together(unsigned index)
{
	for (uint64_t i = 0; i < rounds; i++) {
		smp_barrier();
		for (unsigned n = 0; n < WRITES_A_ROUND; n++) {
			write_page(index);
			if (index == 0 && n % (WRITES_A_ROUND / FETCHES_A_ROUND) == 0)
				fetch_more();
		}
		smp_barrier();
		if (index == 0)
			check_round();
	}
}

int main(const struct mb1_info *info)
{
	rounds = lib_number(info, "rounds=", DEFAULT_ROUNDS);

	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY0, at), 0);
	/* Mapped as a whole, and written: it is the log that splits it. */
	write64(at, 1);
	CHECK_EQUAL(vmcall(HC_DIRTY, DIRTY_START, DEVICE_MEMORY0, 0, 0), 0);
	if (smp_vcpus() > 1) {
		smp_run(write_together);
		return 0;
	}
	for (uint64_t i = 0; i < rounds; i++) {
		write_and_check();
		change();
	}
	sweep();
	walk_rom(rounds / 10 + 1);
	return 0;
}
