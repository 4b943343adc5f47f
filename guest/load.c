/* SPDX-License-Identifier: MIT */
#include "guest/load.h"
#include "guest/text.h"

enum {
	LOAD_TABLE_FLAGS = 0x03,      /* present, writable */
	LOAD_LARGE_PAGE_FLAGS = 0x83, /* and a page of 2 MiB */
};

uint8_t *load_host(const struct load_memory *memory, uint64_t address, uint64_t size)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct load_region *region = &memory->region[i];

		if (address >= region->start && address - region->start <= region->size &&
		    size <= region->size - (address - region->start))
			return region->host + (address - region->start);
	}
	return NULL;
}

struct load_reserved load_reserve(const struct load_memory *memory, uint64_t pages)
{
	uint64_t size = pages * LOAD_PAGE, top = memory->region[0].size;

	return size <= top ? (struct load_reserved){top - size, size} : (struct load_reserved){0, top};
}

bool load_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* SDM vol. 3, 4.5. */
void load_identity_tables(const struct load_memory *memory, uint64_t at)
{
	uint64_t *pml4 = (uint64_t *)load_host(memory, at, LOAD_TABLE_PAGES * LOAD_PAGE);
	uint64_t *pdpt = pml4 + 512, *directories = pdpt + 512;
	uint64_t first_directory = at + 2 * LOAD_PAGE;

	__builtin_memset(pml4, 0, 2 * LOAD_PAGE);
	pml4[0] = (at + LOAD_PAGE) | LOAD_TABLE_FLAGS;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (first_directory + i * LOAD_PAGE) | LOAD_TABLE_FLAGS;
	for (uint64_t i = 0; i < 4 * 512; i++)
		directories[i] = i << 21 | LOAD_LARGE_PAGE_FLAGS;
}

bool load_flat(const struct load_image *image, const struct load_memory *memory, uint64_t address, enum state_mode mode,
	       struct tl_state *state, char *why, size_t size)
{
	bool is_long = mode == STATE_LONG;
	struct load_reserved tables = load_reserve(memory, LOAD_TABLE_PAGES);
	uint8_t *host = load_host(memory, address, image->size);
	const char *wrong = NULL;

	if (!image->size)
		wrong = "the image is empty";
	else if (!host)
		wrong = "the flat image lies outside guest memory: change flat= or give a larger mem=";
	else if (mode == STATE_REAL && address > 0xfffff)
		wrong = "a flat image for real mode starts below 1 MiB: change flat=";
	else if (is_long && tables.size < LOAD_TABLE_PAGES * LOAD_PAGE)
		wrong = "guest memory is too small for page tables: give a larger mem=";
	else if (is_long && load_overlap(address, image->size, tables.start, tables.size))
		wrong = "the flat image overlaps the page tables that long mode needs: change flat=";
	if (wrong) {
		text_format(why, size, "%s", wrong);
		return false;
	}
	__builtin_memcpy(host, image->data, image->size);
	if (is_long)
		load_identity_tables(memory, tables.start);
	state_start(state, mode, address, tables.start);
	return true;
}
