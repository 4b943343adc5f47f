/* SPDX-License-Identifier: MIT */
/* The guest's own paging (SDM vol. 3, chapter 4), walked in software with the rights the guest's access would have. */
#ifndef MMU_GUEST_WALK_H
#define MMU_GUEST_WALK_H

#include "mmu/map.h"
#include "mmu/types.h"

/* Of the guest, taken when the exit was taken. */
struct guest_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4];   /* PAE only: as the CPU holds them, not as memory does */
	uint32_t pkru, pkrs; /* used where CR4.PKE, CR4.PKS is set */
	uint8_t cpl;
	bool rflags_ac;
	bool pages_1g;      /* the CPU has 1 GiB pages: CPUID 80000001H:EDX.Page1GB */
	uint8_t maxphyaddr; /* in bits, 32 to 52 */
};

/* How a linear address is used. The values are those of the page-fault error code, as far as that has them. */
enum guest_access {
	GUEST_READ = 0,
	GUEST_WRITE = 1 << 1,
	GUEST_FETCH = 1 << 4,
	GUEST_IMPLICIT = 1 << 16, /* a supervisor access whatever the CPL: descriptor tables, TSS. SDM vol. 3, 4.6 */
};

enum guest_walk_status {
	GUEST_WALK_OK,
	GUEST_WALK_FAULT,         /* #PF with .error_code, CR2 is the address */
	GUEST_WALK_NON_CANONICAL, /* #GP(0), or #SS(0) for an address in SS */
	GUEST_WALK_TABLE_NOT_RAM, /* a table lies in MMIO or in the hole; .gpa is that of the entry */
	GUEST_WALK_NOT_RAM,       /* guest_fetch() only: the code lies in MMIO or in the hole, at .gpa */
	GUEST_WALK_RETRY,         /* another CPU changed an entry during the walk: let the guest try again */
};

enum { GUEST_WALK_MAX = 5 };

struct guest_walk {
	gpa_t gpa;
	uint32_t error_code;
	uint32_t count; /* of the entries read */
	/*
	 * The trace of a walk that was GUEST_WALK_OK: the words of guest RAM it rests on, and what they held when it
	 * was done. As long as they hold the same, and map->ram_generation and the struct guest_paging are the same, so
	 * is the result. Slots from `count` on repeat the last (or name a constant), so that a verifier may compare a
	 * fixed number of them. Always whole aligned 8 bytes: with 4-byte entries the neighbour is in it, too.
	 */
	const uint64_t *entry[GUEST_WALK_MAX];
	uint64_t value[GUEST_WALK_MAX];
};

/*
 * Translates `linear` for `access` (GUEST_READ, _WRITE or _FETCH, with or without GUEST_IMPLICIT). Without paging, and
 * with 32-bit and PAE paging, its upper half is ignored. When the access is allowed the accessed flags are set, and for
 * a write the dirty flag, by compare-and-exchange; in ROM they stay as they are. A walk that fails changes nothing.
 * Each entry is read once. Concurrency: other CPUs may change the tables at any time.
 */
enum guest_walk_status guest_walk(const struct map *map, const struct guest_paging *paging, gva_t linear,
				  unsigned access, struct guest_walk *walk);

/* Whether the CPU loads them with CR3, and does not raise #GP(0): a present one has no reserved bit. SDM vol. 3, 4.4.1.
 */
static inline bool guest_pdptes_are_valid(const uint64_t pdpte[4], unsigned maxphyaddr)
{
	const uint64_t reserved = BITS(2, 1) | BITS(8, 5) | ~(BIT(maxphyaddr) - 1);
	bool valid = true;

	for (unsigned i = 0; i < 4; i++)
		valid &= !(pdpte[i] & BIT(0)) || !(pdpte[i] & reserved);
	return valid;
}

/* Whether the words a walk rests on still hold what they did. */
static inline bool guest_walk_holds(const struct guest_walk *walk)
{
	uint64_t changed = 0;

	for (unsigned i = 0; i < GUEST_WALK_MAX; i++)
		changed |= __atomic_load_n(walk->entry[i], __ATOMIC_RELAXED) ^ walk->value[i];
	return changed == 0;
}

#endif
