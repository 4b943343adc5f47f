/* SPDX-License-Identifier: MIT */
/*
 * The EPT entry (SDM vol. 3, 29.3.2) and the MMIO entry, which is misconfigured on purpose.
 *
 *   63  62  61........52  51........32  31........12  11......3  2..0
 *   SVE  M   tag[18:9]     all ones      range id      tag[8:0]   110b
 *
 * 110b is write and execute without read: a misconfiguration on every CPU (29.3.3.1). SVE keeps the CPU from turning
 * the exit into a #VE. M is the layout's own mark. The ones in 51:32 put the frame that a CPU under L1TF would read
 * speculatively into the top 4 GiB below every MAXPHYADDR, where there is no memory: see ept_l1tf_target().
 */
#ifndef MMU_EPT_H
#define MMU_EPT_H

#include "mmu/types.h"
#include <stdatomic.h>

typedef uint64_t ept_entry_t;
typedef _Atomic uint64_t ept_slot_t; /* where one stands in a table: the CPU and other vCPUs read and write it too */

#define EPT_READ        BIT(0)
#define EPT_WRITE       BIT(1)
#define EPT_EXECUTE     BIT(2)
#define EPT_RWX         (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_MEMORY_TYPE BITS(5, 3)
#define EPT_TYPE_UC     (0ull << 3)
#define EPT_TYPE_WB     (6ull << 3)
#define EPT_IGNORE_PAT  BIT(6)
#define EPT_LARGE       BIT(7)
#define EPT_ACCESSED    BIT(8)
#define EPT_DIRTY       BIT(9)
/* Set beforehand: then the CPU changes no entry, but the dirty flags of logged pages. Ignored where they are off. */
#define EPT_FLAGS       (EPT_ACCESSED | EPT_DIRTY)
#define EPT_TABLE_FLAGS (EPT_RWX | EPT_ACCESSED)
#define EPT_ADDRESS     BITS(51, 12)
#define EPT_SUPPRESS_VE BIT(63)

#define EPT_NR_ENTRIES 512
#define EPT_LEVELS     4 /* 1: page table, 2: page directory, 3: PDPT, 4: PML4 */

/* How much one entry at `level` maps. */
#define EPT_SPAN(level) (1ull << (PAGE_SHIFT + 9 * ((level)-1)))

#define MMIO_SPTE_ACCESS_LOW  0
#define MMIO_SPTE_ACCESS_HIGH 2
#define MMIO_SPTE_TAG_LO_LOW  3
#define MMIO_SPTE_TAG_LO_HIGH 11
#define MMIO_SPTE_ID_LOW      12
#define MMIO_SPTE_ID_HIGH     31
#define MMIO_SPTE_L1TF_LOW    32
#define MMIO_SPTE_L1TF_HIGH   51
#define MMIO_SPTE_TAG_HI_LOW  52
#define MMIO_SPTE_TAG_HI_HIGH 61
#define MMIO_SPTE_MARK_BIT    62
#define MMIO_SPTE_SVE_BIT     63

#define MMIO_SPTE_FIELD(name) BITS(MMIO_SPTE_##name##_HIGH, MMIO_SPTE_##name##_LOW)
#define MMIO_SPTE_WIDTH(name) (MMIO_SPTE_##name##_HIGH - MMIO_SPTE_##name##_LOW + 1)

#define MMIO_TAG_BITS (MMIO_SPTE_WIDTH(TAG_LO) + MMIO_SPTE_WIDTH(TAG_HI))
#define MMIO_TAG_MASK (BIT(MMIO_TAG_BITS) - 1)
#define MMIO_MAX_ID   ((uint32_t)(BIT(MMIO_SPTE_WIDTH(ID)) - 1))

/* Every bit that is the same in all MMIO entries, and its value. */
#define MMIO_SPTE_CONSTANT_MASK \
	(BIT(MMIO_SPTE_SVE_BIT) | BIT(MMIO_SPTE_MARK_BIT) | MMIO_SPTE_FIELD(L1TF) | MMIO_SPTE_FIELD(ACCESS))
#define MMIO_SPTE_CONSTANT \
	(BIT(MMIO_SPTE_SVE_BIT) | BIT(MMIO_SPTE_MARK_BIT) | MMIO_SPTE_FIELD(L1TF) | EPT_WRITE | EPT_EXECUTE)

_Static_assert(MMIO_TAG_BITS == 19, "the tag keeps the 19 bits of 2013");
_Static_assert(MMIO_SPTE_WIDTH(ID) == 20, "2^20 range ids");
_Static_assert((MMIO_SPTE_CONSTANT_MASK & (MMIO_SPTE_FIELD(TAG_LO) | MMIO_SPTE_FIELD(TAG_HI) | MMIO_SPTE_FIELD(ID))) ==
			       0 &&
		       (MMIO_SPTE_FIELD(TAG_LO) & (MMIO_SPTE_FIELD(TAG_HI) | MMIO_SPTE_FIELD(ID))) == 0 &&
		       (MMIO_SPTE_FIELD(TAG_HI) & MMIO_SPTE_FIELD(ID)) == 0,
	       "the fields of an MMIO entry are disjoint");
_Static_assert((MMIO_SPTE_CONSTANT_MASK | MMIO_SPTE_FIELD(TAG_LO) | MMIO_SPTE_FIELD(TAG_HI) | MMIO_SPTE_FIELD(ID)) ==
		       ~0ull,
	       "an MMIO entry has no bit without a meaning");
_Static_assert((MMIO_SPTE_CONSTANT & EPT_RWX) == (EPT_WRITE | EPT_EXECUTE), "write and execute without read");

/* The MMIO entry of range `id` at `tag`. Preconditions: id <= MMIO_MAX_ID, tag <= MMIO_TAG_MASK. */
ALWAYS_INLINE ept_entry_t mmio_spte_make(uint32_t id, uint32_t tag)
{
	uint64_t tag_lo = tag & (BIT(MMIO_SPTE_WIDTH(TAG_LO)) - 1);
	uint64_t tag_hi = tag >> MMIO_SPTE_WIDTH(TAG_LO);

	return MMIO_SPTE_CONSTANT | (uint64_t)id << MMIO_SPTE_ID_LOW | tag_lo << MMIO_SPTE_TAG_LO_LOW |
	       tag_hi << MMIO_SPTE_TAG_HI_LOW;
}

ALWAYS_INLINE bool is_mmio_spte(ept_entry_t entry)
{
	return (entry & MMIO_SPTE_CONSTANT_MASK) == MMIO_SPTE_CONSTANT;
}

/* The range id in an MMIO entry; of any other entry 20 meaningless bits. */
ALWAYS_INLINE uint32_t mmio_spte_id(ept_entry_t entry)
{
	return (uint32_t)(entry & MMIO_SPTE_FIELD(ID)) >> MMIO_SPTE_ID_LOW;
}

ALWAYS_INLINE uint32_t mmio_spte_tag(ept_entry_t entry)
{
	uint64_t tag_lo = (entry & MMIO_SPTE_FIELD(TAG_LO)) >> MMIO_SPTE_TAG_LO_LOW;
	uint64_t tag_hi = (entry & MMIO_SPTE_FIELD(TAG_HI)) >> MMIO_SPTE_TAG_HI_LOW;

	return (uint32_t)(tag_hi << MMIO_SPTE_WIDTH(TAG_LO) | tag_lo);
}

/* The CPU translates through it: some access is allowed (and it is no misconfiguration of ours). */
ALWAYS_INLINE bool ept_is_present(ept_entry_t entry)
{
	return (entry & EPT_RWX) != 0 && !is_mmio_spte(entry);
}

/* Present and a pointer to the next table. Level 1 entries have no large bit: there everything present is a leaf. */
ALWAYS_INLINE bool ept_is_table(ept_entry_t entry, unsigned level)
{
	return level > 1 && (entry & (EPT_READ | EPT_LARGE)) == EPT_READ;
}

ALWAYS_INLINE unsigned ept_index(gpa_t gpa, unsigned level)
{
	return (unsigned)(gpa >> (PAGE_SHIFT + 9 * (level - 1))) & (EPT_NR_ENTRIES - 1);
}

/*
 * Whether [start, end) of host memory meets what an MMIO entry shows to a CPU that ignores its misconfiguration
 * speculatively (L1TF). Which bits of 51:12 such a CPU uses depends on the width of its L1 tags, so every width from
 * maxphyaddr to 46 counts: the top 4 GiB of each. Preconditions: start < end.
 */
bool ept_l1tf_target(hpa_t start, hpa_t end, unsigned maxphyaddr);

#endif
