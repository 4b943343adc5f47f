/* SPDX-License-Identifier: MIT */
#include "guest/pc/pc_memory.h"
#include "guest/devices/local_apic.h"

/* The first of `pages` in [at, end), or `end`. */
static uint64_t next_page(const uint64_t *pages, unsigned nr_pages, uint64_t at, uint64_t end)
{
	uint64_t first = end;

	for (unsigned i = 0; i < nr_pages; i++)
		if (pages[i] >= at && pages[i] < first)
			first = pages[i];
	return first;
}

static void divide(struct pc_pieces *pieces, const struct tl_range *region, const uint64_t *pages, unsigned nr_pages)
{
	uint64_t at = region->start, end = region->start + region->size;

	while (at < end) {
		uint64_t stop = next_page(pages, nr_pages, at, end);

		if (stop > at)
			pieces->piece[pieces->count++] = (struct pc_piece){region, at, stop - at, TL_HOLE};
		at = stop + LOCAL_APIC_SIZE;
	}
}

static struct pc_piece *piece_at(struct pc_pieces *pieces, uint64_t start)
{
	for (unsigned i = 0; i < pieces->count; i++)
		if (pieces->piece[i].start == start)
			return &pieces->piece[i];
	return NULL;
}

/* A piece that begins where one began keeps its range; what becomes larger does so in come_back(). */
enum tl_status pc_memory_make_way(struct pc_memory *memory, struct tl_edit *edit, const uint64_t *pages,
				  unsigned nr_pages)
{
	enum tl_status status = TL_OK;

	memory->next.count = 0;
	for (unsigned i = 0; i < memory->nr_regions; i++)
		divide(&memory->next, &memory->region[i], pages, nr_pages);
	for (unsigned i = 0; i < memory->mapped.count && status == TL_OK; i++) {
		const struct pc_piece *old = &memory->mapped.piece[i];
		const struct pc_piece *new = piece_at(&memory->next, old->start);

		if (!new)
			status = tl_map_remove(edit, old->id);
		else if (new->size < old->size)
			status = tl_map_resize(edit, old->id, new->size);
	}
	return status;
}

static enum tl_status add_piece(struct tl_edit *edit, struct pc_piece *piece)
{
	struct tl_range range = *piece->region;

	range.start = piece->start;
	range.size = piece->size;
	range.host = (uint8_t *)range.host + (piece->start - piece->region->start);
	return tl_map_add(edit, &range, &piece->id);
}

enum tl_status pc_memory_come_back(struct pc_memory *memory, struct tl_edit *edit)
{
	enum tl_status status = TL_OK;

	for (unsigned i = 0; i < memory->next.count && status == TL_OK; i++) {
		struct pc_piece *new = &memory->next.piece[i];
		const struct pc_piece *old = piece_at(&memory->mapped, new->start);

		if (!old)
			status = add_piece(edit, new);
		else if (new->size > old->size)
			status = tl_map_resize(edit, old->id, new->size);
		if (old)
			new->id = old->id;
	}
	return status;
}

void pc_memory_settle(struct pc_memory *memory, bool committed)
{
	if (committed)
		memory->mapped = memory->next;
}

struct pc_piece pc_memory_piece(const struct pc_memory *memory, uint64_t gpa)
{
	for (unsigned i = 0; i < memory->mapped.count; i++)
		if (gpa - memory->mapped.piece[i].start < memory->mapped.piece[i].size)
			return memory->mapped.piece[i];
	return (struct pc_piece){0};
}

/* Each size is one instruction, so that no other vCPU sees a half of it. */
static void copy(void *to, const void *from, unsigned size)
{
	switch (size) {
	case 1:
		__builtin_memcpy(to, from, 1);
		break;
	case 2:
		__builtin_memcpy(to, from, 2);
		break;
	case 4:
		__builtin_memcpy(to, from, 4);
		break;
	case 8:
		__builtin_memcpy(to, from, 8);
		break;
	default:
		__builtin_memcpy(to, from, size);
	}
}

bool pc_memory_access(const struct pc_memory *memory, struct tl_mmio *access)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct tl_range *region = &memory->region[i];
		uint8_t *host = (uint8_t *)region->host + (access->gpa - region->start);

		if (access->gpa - region->start >= region->size)
			continue;
		if (!access->write)
			access->data = 0;
		if (!access->write)
			copy(&access->data, host, access->size);
		else if (region->kind == TL_RANGE_RAM)
			copy(host, &access->data, access->size);
		return true;
	}
	return false;
}
