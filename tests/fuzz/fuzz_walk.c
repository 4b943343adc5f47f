/* SPDX-License-Identifier: MIT */
/*
 * Any page tables, in any paging mode, changed by another CPU at any access of the walk. Undisturbed it has to agree
 * with the SDM's own words (tests/unit/guest_walk_model.c); disturbed it may end in any way, but reads each table once,
 * sets accessed and dirty flags and nothing else, and its trace tells the truth.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hostile.h"
#include "tests/unit/guest_walk_model.h"
#include <sanitizer/asan_interface.h>
#include <string.h>

enum { PAGE = 4096, MARGIN = 16 * PAGE, USED_RAM = 8 * PAGE };

static uint8_t shadow[USED_RAM] __attribute__((aligned(8))), rom_before[PAGE];

static void start(void)
{
	fuzz_require(guest_memory_start(NULL) == 0);
	/* What follows the guest's memory; before it stands what the library allocates. */
	ASAN_POISON_MEMORY_REGION(rom + PAGE, MARGIN);
	hostile.memory = ram;
	hostile.shadow = shadow;
	hostile.size = USED_RAM;
}

static struct guest_paging take_paging(struct fuzz_input *input)
{
	static const uint64_t cr4[] = {PSE, PAE, LA57, SMEP, SMAP, PKE, PKS};
	unsigned options = (unsigned)fuzz_take(input, 4);
	struct guest_paging paging = {
		.cr0 = (options & 1 ? 0 : PG) | (options & 2 ? WP : 0),
		.efer = (options & 4 ? LMA : 0) | (options & 8 ? NXE : 0),
		.cpl = options >> 4 & 3,
		.rflags_ac = options & 0x40,
		.pages_1g = options & 0x80,
		.maxphyaddr = (uint8_t)(32 + (options >> 8) % 21),
	};

	for (unsigned i = 0; i < sizeof(cr4) / sizeof(cr4[0]); i++)
		paging.cr4 |= options >> (16 + i) & 1 ? cr4[i] : 0;
	if (paging.efer & LMA)
		paging.cr4 |= PAE;
	paging.cr3 = fuzz_take(input, 3);
	if (fuzz_take8(input) & 1)
		paging.cr3 = fuzz_take(input, 8);
	for (unsigned i = 0; i < 4; i++)
		paging.pdpte[i] = fuzz_take(input, 3);
	paging.pkru = (uint32_t)fuzz_take(input, 4);
	paging.pkrs = (uint32_t)fuzz_take(input, 4);
	return paging;
}

/* An entry: mostly a page of the first few, with any flags. */
static uint64_t take_entry(struct fuzz_input *input)
{
	uint8_t kind = fuzz_take8(input);

	if (kind & 1)
		return fuzz_take(input, 8);
	return (uint64_t)(kind >> 1 & 15) * PAGE | (fuzz_take16(input) & 0xfff) |
	       (kind & 0x20 ? (uint64_t)fuzz_take8(input) << 56 : 0) | (kind & 0x40 ? ROM_AT : 0) |
	       (kind & 0x80 ? MMIO_AT : 0);
}

static void take_tables(struct fuzz_input *input)
{
	unsigned count = fuzz_take8(input) % 16;

	memset(ram, 0, USED_RAM);
	memset(rom, 0, PAGE);
	for (unsigned i = 0; i < count; i++) {
		unsigned at = fuzz_take16(input) % (USED_RAM / 8 + PAGE / 8);
		uint64_t entry = take_entry(input);

		memcpy(at < USED_RAM / 8 ? ram + at * 8 : rom + (at - USED_RAM / 8) * 8, &entry, sizeof(entry));
	}
	hostile.nr_changes = 0;
	while (input->left && hostile.nr_changes < HOSTILE_MAX_CHANGES) {
		struct hostile_change *change = &hostile.change[hostile.nr_changes++];
		uint8_t kind = fuzz_take8(input);

		change->after = kind & 7;
		change->word = kind & 8 ? fuzz_take16(input) : HOSTILE_HERE;
		change->value = take_entry(input);
		change->mask = kind & 16 ? 0xfff : ~0ull;
	}
}

/* By the model, before the walk itself sets flags. */
static void check_against_model(const struct model *model, enum guest_walk_status status, const struct guest_walk *walk)
{
	fuzz_require(status == model->status);
	if (status == GUEST_WALK_FAULT)
		fuzz_require(walk->error_code == model->error_code);
	if (status == GUEST_WALK_OK || status == GUEST_WALK_TABLE_NOT_RAM)
		fuzz_require(walk->gpa == model->gpa);
	if (status == GUEST_WALK_OK)
		fuzz_require(walk->count == model->count && guest_walk_holds(walk));
}

/* The guest's memory is what the other CPU made of it, but for flags that were set. */
static void check_difference(size_t at, uint8_t was, uint8_t is, void *status)
{
	uint8_t set = is & ~was;

	fuzz_require((was & ~is) == 0 && at % 4 == 0 && (set & ~(A | D)) == 0);
	/* A walk that is to be tried again may have set some already, as a CPU's may. */
	fuzz_require(*(enum guest_walk_status *)status == GUEST_WALK_OK ||
		     *(enum guest_walk_status *)status == GUEST_WALK_RETRY);
}

static void check_trace(const struct guest_walk *walk)
{
	fuzz_require(walk->count <= GUEST_WALK_MAX);
	for (unsigned i = 0; i < walk->count; i++) {
		const uint8_t *at = (const uint8_t *)walk->entry[i];

		fuzz_require((at >= ram && at + 8 <= ram + RAM_SIZE) || (at >= rom && at + 8 <= rom + PAGE));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned accesses[] = {GUEST_READ, GUEST_WRITE, GUEST_FETCH, GUEST_READ | GUEST_IMPLICIT,
					    GUEST_WRITE | GUEST_IMPLICIT};
	struct fuzz_input input = {data, size};
	struct guest_paging paging;
	struct guest_walk walk = {0};
	enum guest_walk_status status;
	struct model model;
	unsigned access;
	gva_t linear;

	if (!ram)
		start();
	access = accesses[fuzz_take8(&input) % 5];
	linear = fuzz_take(&input, 8);
	paging = take_paging(&input);
	take_tables(&input);
	memcpy(shadow, ram, USED_RAM);
	memcpy(rom_before, rom, PAGE);
	model_walk(&model, &paging, linear, access);
	hostile_arm();
	status = guest_walk(guest_map(), &paging, linear, access, &walk);
	hostile_disarm();
	fuzz_require(status <= GUEST_WALK_RETRY && status != GUEST_WALK_NOT_RAM);
	fuzz_require(hostile.loads <= GUEST_WALK_MAX && hostile.stores <= GUEST_WALK_MAX);
	fuzz_require(status != GUEST_WALK_RETRY || hostile.changes);
	hostile_each_difference(check_difference, &status);
	fuzz_require(memcmp(rom, rom_before, PAGE) == 0);
	if (status == GUEST_WALK_OK)
		check_trace(&walk);
	if (hostile.nr_changes == 0)
		check_against_model(&model, status, &walk);
	return 0;
}
