/* SPDX-License-Identifier: MIT */
#include "mmu/guest_walk.h"

#define CR0_WP	 BIT(16)
#define CR0_PG	 BIT(31)
#define CR4_PSE	 BIT(4)
#define CR4_PAE	 BIT(5)
#define CR4_LA57 BIT(12)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE	 BIT(22)
#define CR4_PKS	 BIT(24)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define PTE_PRESENT  BIT(0)
#define PTE_WRITABLE BIT(1)
#define PTE_USER     BIT(2)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_NX	     BIT(63)
#define PTE_ADDRESS  BITS(51, 12)

#define FAULT_PRESENT  BIT(0)
#define FAULT_WRITE    BIT(1)
#define FAULT_USER     BIT(2)
#define FAULT_RESERVED BIT(3)
#define FAULT_FETCH    BIT(4)
#define FAULT_KEY      BIT(5)

static const uint64_t no_entry;

/* A walk under way. */
struct walker {
	const struct map *map;
	const struct guest_paging *paging;
	struct guest_walk *walk;
	unsigned access;
	bool user; /* a user-mode access */
	bool lma;
	unsigned size;	   /* of an entry, 4 or 8 bytes */
	uint64_t reserved; /* bits that are reserved in every entry */
	uint64_t all;	   /* AND of the entries that carry rights */
	uint64_t any;	   /* OR of them */
	uint64_t leaf;
	gpa_t at[GUEST_WALK_MAX]; /* where the entries stand */
};

/* The error code but for its P and PK bits. SDM vol. 3, 4.7. */
static enum guest_walk_status fault(const struct walker *w, uint64_t error_code)
{
	bool fetch_is_told =
		(w->paging->cr4 & CR4_SMEP) || ((w->paging->cr4 & CR4_PAE) && (w->paging->efer & EFER_NXE));

	if (w->access & GUEST_WRITE)
		error_code |= FAULT_WRITE;
	if (w->user)
		error_code |= FAULT_USER;
	if (w->access & GUEST_FETCH && fetch_is_told)
		error_code |= FAULT_FETCH;
	w->walk->error_code = (uint32_t)error_code;
	return GUEST_WALK_FAULT;
}

/* Whether protection keys forbid the access. SDM vol. 3, 4.6.2. */
static bool key_forbids(const struct walker *w)
{
	bool user_page = w->all & PTE_USER;
	uint32_t rights = user_page ? w->paging->pkru : w->paging->pkrs;
	unsigned key = (unsigned)(w->leaf >> 59 & 15);

	if (!w->lma || !(w->paging->cr4 & (user_page ? CR4_PKE : CR4_PKS)) || w->access & GUEST_FETCH)
		return false;
	rights = rights >> (2 * key) & 3;
	if (rights & 1)
		return true;
	return rights & 2 && w->access & GUEST_WRITE && ((user_page && w->user) || w->paging->cr0 & CR0_WP);
}

/* Whether U/S, R/W and XD, with WP, SMEP and SMAP, forbid the access. SDM vol. 3, 4.6.1. */
static bool rights_forbid(const struct walker *w)
{
	const struct guest_paging *paging = w->paging;
	bool user_page = w->all & PTE_USER;

	if (w->user && !user_page)
		return true;
	if (w->access & GUEST_FETCH) {
		/* Without EFER.NXE the bit is reserved, and the walk has ended there. */
		return w->any & PTE_NX || (!w->user && user_page && paging->cr4 & CR4_SMEP);
	}
	if (!w->user && user_page && paging->cr4 & CR4_SMAP && (!paging->rflags_ac || w->access & GUEST_IMPLICIT))
		return true;
	return w->access & GUEST_WRITE && !(w->all & PTE_WRITABLE) && (w->user || paging->cr0 & CR0_WP);
}

static enum guest_walk_status check_rights(const struct walker *w)
{
	bool key = key_forbids(w);

	if (unlikely(key | rights_forbid(w)))
		return fault(w, FAULT_PRESENT | (key ? FAULT_KEY : 0));
	return GUEST_WALK_OK;
}

/* By how many bits the entry at `gpa` is shifted within its aligned 8 bytes. */
static inline unsigned half_shift(const struct walker *w, gpa_t gpa)
{
	return w->size == 4 ? 8 * (unsigned)(gpa & 4) : 0;
}

/* Reads the entry at `gpa` once, as part of its aligned 8 bytes, and keeps those as slot `level` of the trace. */
static inline bool read_entry(struct walker *w, unsigned level, gpa_t gpa, uint64_t *entry)
{
	const uint8_t *host = map_host(w->map, gpa);
	const uint64_t *word;
	uint64_t value;

	if (unlikely(!host)) {
		w->walk->gpa = gpa;
		return false;
	}
	word = (const uint64_t *)((uintptr_t)host & ~7ull);
	value = __atomic_load_n(word, __ATOMIC_RELAXED);
	w->at[level] = gpa;
	w->walk->entry[level] = word;
	w->walk->value[level] = value;
	if (w->size == 4)
		value = (uint32_t)(value >> half_shift(w, gpa));
	*entry = value;
	return true;
}

/* Reserved in a leaf that is larger than 4 KiB: the address bits below its size, but for PAT (bit 12). */
static uint64_t reserved_in_large(const struct walker *w, unsigned shift)
{
	if (w->size == 8)
		return BITS(shift - 1, 13);
	/* PSE-36: bits 20:13 are address bits 39:32, as far as the CPU has them. SDM vol. 3, table 4-4. */
	return w->paging->maxphyaddr >= 40 ? BIT(21) : BITS(21, w->paging->maxphyaddr - 32 + 13);
}

static gpa_t large_frame(const struct walker *w, uint64_t entry, unsigned shift)
{
	if (w->size == 8)
		return entry & PTE_ADDRESS & ~(BIT(shift) - 1);
	return (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19;
}

/* Whether an entry that maps BIT(shift) bytes is a leaf by its PS bit; *reserved tells what must be 0 in it. */
static bool entry_is_large(const struct walker *w, uint64_t entry, unsigned shift, uint64_t *reserved)
{
	*reserved = w->reserved;
	if (!(entry & PTE_LARGE))
		return false;
	if (w->size == 4 && !(w->paging->cr4 & CR4_PSE))
		return false;
	if (shift > 30 || (shift == 30 && !w->paging->pages_1g)) {
		*reserved |= PTE_LARGE;
		return false;
	}
	*reserved |= reserved_in_large(w, shift);
	return true;
}

/*
 * Goes from the table at `table`, whose entries map BIT(shift) bytes, down to the leaf. Leaves the trace, the rights,
 * the leaf and the address; sets no flag yet.
 */
static enum guest_walk_status descend(struct walker *w, gpa_t table, unsigned shift, gva_t linear)
{
	unsigned index_bits = w->size == 8 ? 9 : 10;
	unsigned level = 0;

	for (;;) {
		gpa_t gpa = table + (linear >> shift & (BIT(index_bits) - 1)) * w->size;
		uint64_t entry, reserved = w->reserved;
		bool large = false;

		if (unlikely(!read_entry(w, level, gpa, &entry)))
			return GUEST_WALK_TABLE_NOT_RAM;
		if (unlikely(!(entry & PTE_PRESENT)))
			return fault(w, 0);
		if (shift > PAGE_SHIFT && entry & PTE_LARGE)
			large = entry_is_large(w, entry, shift, &reserved);
		if (unlikely(entry & reserved))
			return fault(w, FAULT_PRESENT | FAULT_RESERVED);
		w->all &= entry;
		w->any |= entry;
		w->walk->count = ++level;
		if (shift == PAGE_SHIFT || large) {
			w->leaf = entry;
			w->walk->gpa = (large ? large_frame(w, entry, shift) : entry & PTE_ADDRESS) |
				       (linear & (BIT(shift) - 1));
			return GUEST_WALK_OK;
		}
		table = entry & PTE_ADDRESS;
		shift -= index_bits;
	}
}

/*
 * Sets flags in one entry of the trace; false if its word is no longer what was read. Tables may name each other (a
 * guest that maps its tables into themselves), so a word can be in the trace twice: both slots follow.
 */
static bool set_flags(struct walker *w, unsigned level, uint64_t flags)
{
	struct guest_walk *walk = w->walk;
	gpa_t gpa = w->at[level] & ~7ull;
	const struct map_range *range = map_find(w->map, gpa);
	uint64_t *word = (uint64_t *)(void *)(range->host + (gpa - range->start));
	uint64_t seen = walk->value[level];
	uint64_t wanted = seen | flags << half_shift(w, w->at[level]);

	/* Read-only for the CPU's own walk as well: that drops the flags. */
	if (wanted == seen || range->kind == MAP_ROM)
		return true;
	/* Relaxed: the flags order nothing else; the CPU's own updates are as atomic as this. SDM vol. 3, 4.8. */
	if (!__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	for (unsigned i = 0; i < walk->count; i++) {
		if (walk->entry[i] == word)
			walk->value[i] = wanted;
	}
	return true;
}

static COLD enum guest_walk_status mark_used(struct walker *w)
{
	unsigned leaf = w->walk->count - 1;
	uint64_t flags = PTE_ACCESSED | (w->access & GUEST_WRITE ? PTE_DIRTY : 0);

	for (unsigned level = 0; level < leaf; level++) {
		if (!set_flags(w, level, PTE_ACCESSED))
			return GUEST_WALK_RETRY;
	}
	return set_flags(w, leaf, flags) ? GUEST_WALK_OK : GUEST_WALK_RETRY;
}

/* What depends on the paging mode; then down the tables. SDM vol. 3, 4.1.1. */
static enum guest_walk_status walk_tables(struct walker *w, gva_t linear)
{
	const struct guest_paging *paging = w->paging;
	uint64_t pdpte;

	if (!w->lma && !(paging->cr4 & CR4_PAE)) {
		w->size = 4;
		return descend(w, paging->cr3 & BITS(31, 12), 22, linear);
	}
	w->size = 8;
	w->reserved = (BIT(52) - BIT(paging->maxphyaddr)) | (paging->efer & EFER_NXE ? 0 : PTE_NX);
	if (w->lma)
		return descend(w, paging->cr3 & PTE_ADDRESS, paging->cr4 & CR4_LA57 ? 48 : 39, linear);
	w->reserved |= BITS(62, 52);
	pdpte = paging->pdpte[linear >> 30];
	if (!(pdpte & PTE_PRESENT))
		return fault(w, 0);
	return descend(w, pdpte & PTE_ADDRESS, 21, linear);
}

enum guest_walk_status guest_walk(const struct map *map, const struct guest_paging *paging, gva_t linear,
				  unsigned access, struct guest_walk *walk)
{
	struct walker w = {
		.map = map,
		.paging = paging,
		.walk = walk,
		.access = access,
		.user = paging->cpl == 3 && !(access & GUEST_IMPLICIT),
		.lma = paging->efer & EFER_LMA,
		.all = ~0ull,
	};
	enum guest_walk_status status = GUEST_WALK_OK;
	unsigned unused_bits = paging->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	walk->count = 0;
	if (!w.lma)
		linear = (uint32_t)linear;
	else if (unlikely((uint64_t)((int64_t)(linear << unused_bits) >> unused_bits) != linear))
		return GUEST_WALK_NON_CANONICAL;

	if (paging->cr0 & CR0_PG) {
		status = walk_tables(&w, linear);
		if (likely(status == GUEST_WALK_OK))
			status = check_rights(&w);
		if (likely(status == GUEST_WALK_OK) &&
		    unlikely(!(w.all & PTE_ACCESSED) || (access & GUEST_WRITE && !(w.leaf & PTE_DIRTY))))
			status = mark_used(&w);
	} else {
		walk->gpa = linear;
	}
	for (unsigned i = walk->count; i < GUEST_WALK_MAX; i++) {
		walk->entry[i] = i ? walk->entry[i - 1] : &no_entry;
		walk->value[i] = i ? walk->value[i - 1] : 0;
	}
	return status;
}

struct unaligned {
	uint64_t value;
} __attribute__((packed, may_alias));

enum guest_walk_status guest_fetch(const struct map *map, const struct guest_paging *paging, gva_t linear,
				   unsigned limit, struct guest_code *code, struct guest_walk *walk)
{
	enum guest_walk_status status = guest_walk(map, paging, linear, GUEST_FETCH, walk);
	unsigned left = (unsigned)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
	const uint8_t *host;

	if (unlikely(status != GUEST_WALK_OK))
		return status;
	host = map_host(map, walk->gpa);
	if (unlikely(!host))
		return GUEST_WALK_NOT_RAM;
	if (code->available == 0)
		code->host = host;
	if (likely(code->available == 0 && limit >= GUEST_CODE_MAX && left >= GUEST_CODE_MAX)) {
		uint64_t low = ((const volatile struct unaligned *)host)->value;
		uint64_t high = ((const volatile struct unaligned *)(host + 7))->value;

		__builtin_memcpy(code->bytes, &low, 8);
		__builtin_memcpy(code->bytes + 7, &high, 8);
		code->available = GUEST_CODE_MAX;
		return GUEST_WALK_OK;
	}
	for (; left && code->available < limit && code->available < GUEST_CODE_MAX; left--)
		code->bytes[code->available++] = *(const volatile uint8_t *)host++;
	return GUEST_WALK_OK;
}
