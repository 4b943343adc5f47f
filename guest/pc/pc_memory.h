/* SPDX-License-Identifier: MIT */
/*
 * The memory of a PC in its map. A local APIC's page lies over it, as on hardware: the memory is in the map but for the
 * pages of APICs, and comes back when they go. What a vCPU does to another one's page reaches the memory all the same.
 */
#ifndef GUEST_PC_PC_MEMORY_H
#define GUEST_PC_PC_MEMORY_H

#include "guest/devices/local_apic_bus.h"
#include <trapline.h>

/* Each page divides one piece in two at most. */
enum { PC_REGIONS = 4, PC_PIECES = PC_REGIONS + LOCAL_APICS_MOST };

struct pc_piece {
	const struct tl_range *region;
	uint64_t start, size;
	tl_range_id id;
};

struct pc_pieces {
	struct pc_piece piece[PC_PIECES];
	unsigned count;
};

/* All zeros but for the regions, which have a host address each and do not overlap. */
struct pc_memory {
	struct tl_range region[PC_REGIONS];
	unsigned nr_regions;
	struct pc_pieces mapped, next;
};

/*
 * A transaction that changes which pages are APICs': make_way() notes what memory goes, come_back() what comes, and
 * between them stands what else takes pages away. `pages` holds where APICs will be, with or without memory below.
 * settle() says whether it was committed. Errors: those of tl_map_add(). Context: one transaction at a time.
 */
enum tl_status pc_memory_make_way(struct pc_memory *memory, struct tl_edit *edit, const uint64_t *pages,
				  unsigned nr_pages);
enum tl_status pc_memory_come_back(struct pc_memory *memory, struct tl_edit *edit);
void pc_memory_settle(struct pc_memory *memory, bool committed);

/* The piece at `gpa`, by value; of size 0 where there is none. */
struct pc_piece pc_memory_piece(const struct pc_memory *memory, uint64_t gpa);

/* Makes an access to what memory lies at its address; false: none does. */
bool pc_memory_access(const struct pc_memory *memory, struct tl_mmio *access);

#endif
