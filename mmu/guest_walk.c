/* SPDX-License-Identifier: MIT */
#include "mmu/guest_walk.h"
#include "mmu/dirty.h"

#define CR0_WP   BIT(16)
#define CR0_PG   BIT(31)
#define CR4_PSE  BIT(4)
#define CR4_PAE  BIT(5)
#define CR4_LA57 BIT(12)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE  BIT(22)
#define CR4_PKS  BIT(24)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define PTE_PRESENT  BIT(0)
#define PTE_WRITABLE BIT(1)
#define PTE_USER     BIT(2)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_NX       BIT(63)
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
	gva_t linear;
	unsigned access;
	bool user; /* a user-mode access */
	bool lma;
	unsigned size;     /* of an entry, 4 or 8 bytes */
	unsigned shift;    /* an entry of the first table maps BIT(shift) bytes */
	gpa_t table;       /* the first */
	uint64_t reserved; /* bits that are reserved in every entry */
	uint64_t all;      /* AND of the entries that carry rights */
	uint64_t any;      /* OR of them */
	uint64_t leaf;
};

/* The error code but for its P and PK bits. SDM vol. 3, 4.7. */
static COLD enum guest_walk_status fault(const struct walker *w, uint64_t error_code)
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
static inline bool key_forbids(const struct walker *w)
{
	bool user_page = w->all & PTE_USER;
	uint32_t rights = user_page ? w->paging->pkru : w->paging->pkrs;

	if (!w->lma || !(w->paging->cr4 & (user_page ? CR4_PKE : CR4_PKS)))
		return false;
	rights = rights >> (2 * (w->leaf >> 59 & 15)) & 3;
	if (rights & 1)
		return true;
	return rights & 2 && w->access & GUEST_WRITE && ((user_page && w->user) || w->paging->cr0 & CR0_WP);
}

/* Whether U/S, R/W and XD, with WP, SMEP and SMAP, forbid the access. SDM vol. 3, 4.6.1. */
static inline bool rights_forbid(const struct walker *w)
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

static inline enum guest_walk_status check_rights(const struct walker *w)
{
	bool key = !(w->access & GUEST_FETCH) && key_forbids(w);

	if (unlikely(key | rights_forbid(w)))
		return fault(w, FAULT_PRESENT | (key ? FAULT_KEY : 0));
	return GUEST_WALK_OK;
}

/* Where the entry for `linear` stands in the table at `table`. */
ALWAYS_INLINE gpa_t entry_gpa(gpa_t table, gva_t linear, unsigned shift, unsigned size)
{
	return table + (linear >> shift & (PAGE_SIZE / size - 1)) * size;
}

/* The entry at `gpa` in its aligned 8 bytes. */
ALWAYS_INLINE uint64_t entry_in_word(uint64_t word, gpa_t gpa, unsigned size)
{
	return size == 8 ? word : (uint32_t)(word >> (8 * (gpa & 4)));
}

/* The largest RAM range, where the tables are as a rule, in registers: map_host() with its look-up done once a walk. */
struct window {
	gpa_t start;
	uint64_t span;
	uint8_t *host;
};

ALWAYS_INLINE struct window window_of(const struct map *map)
{
	const struct map_range *ram = &map->ranges[map->ram_hint];

	/* No guest-physical address is in this one. */
	if (unlikely(ram->kind != MAP_RAM))
		return (struct window){.start = ~0ull};
	return (struct window){.start = ram->start, .span = ram->last - ram->start, .host = ram->host};
}

ALWAYS_INLINE const uint8_t *window_host(const struct window *window, const struct map *map, gpa_t gpa)
{
	if (likely(gpa - window->start <= window->span))
		return window->host + (gpa - window->start);
	return map_host_search(map, gpa);
}

/*
 * Whether an entry with PS set that maps BIT(shift) bytes is a leaf; what must be 0 in it is added to *reserved: the
 * address bits below its size, but for PAT (bit 12), or PS itself. SDM vol. 3, tables 4-4, 4-9, 4-14 to 4-18.
 */
ALWAYS_INLINE bool entry_is_large(const struct guest_paging *paging, unsigned shift, unsigned size, uint64_t *reserved)
{
	if (size == 4) {
		if (!(paging->cr4 & CR4_PSE))
			return false;
		/* PSE-36: bits 20:13 are address bits 39:32, as far as the CPU has them. */
		*reserved |= paging->maxphyaddr >= 40 ? BIT(21) : BITS(21, paging->maxphyaddr - 32 + 13);
		return true;
	}
	*reserved |= shift > 30 || (shift == 30 && !paging->pages_1g) ? PTE_LARGE : BIT(shift) - BIT(13);
	return true;
}

ALWAYS_INLINE gpa_t large_frame(uint64_t entry, unsigned shift, unsigned size)
{
	if (size == 8)
		return entry & PTE_ADDRESS & ~(BIT(shift) - 1);
	return (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19;
}

/*
 * Where a walk is on its way down: the table it is at, the rights so far, the slot of the next entry in the trace. Only
 * inlined functions see it, so that it lives in registers, with copies of what is needed at each level.
 */
struct descent {
	struct window window;
	struct guest_walk *walk;
	gva_t linear;
	uint64_t reserved;
	gpa_t table;
	uint64_t all, any;
	unsigned level;
	enum guest_walk_status status;
};

ALWAYS_INLINE bool end_descent(struct descent *d, enum guest_walk_status status)
{
	d->status = status;
	return false;
}

ALWAYS_INLINE bool reach_leaf(struct walker *w, struct descent *d, uint64_t entry, gpa_t frame, unsigned shift)
{
	d->walk->gpa = frame | (d->linear & (BIT(shift) - 1));
	d->walk->count = d->level;
	w->all = d->all;
	w->any = d->any;
	w->leaf = entry;
	return end_descent(d, GUEST_WALK_OK);
}

/*
 * Reads, once, the entry that maps BIT(shift) bytes. True: it names the next table. Inlined for each level, so that
 * what depends on the level is decided by the compiler: an instruction met for the first time costs a whole walk.
 */
ALWAYS_INLINE bool step_down(struct walker *w, struct descent *d, const unsigned shift, const unsigned size)
{
	gpa_t gpa = entry_gpa(d->table, d->linear, shift, size);
	const uint8_t *host = window_host(&d->window, w->map, gpa);
	uint64_t word, entry, reserved = d->reserved;

	if (unlikely(!host)) {
		d->walk->gpa = gpa;
		return end_descent(d, GUEST_WALK_TABLE_NOT_RAM);
	}
	host -= gpa & (8 - size);
	word = __atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_RELAXED);
	d->walk->entry[d->level] = (const uint64_t *)(const void *)host;
	d->walk->value[d->level] = word;
	d->level++;
	entry = entry_in_word(word, gpa, size);
	if (unlikely(!(entry & PTE_PRESENT)))
		return end_descent(d, fault(w, 0));
	d->all &= entry;
	d->any |= entry;
	if (shift > PAGE_SHIFT && unlikely(entry & PTE_LARGE) && entry_is_large(w->paging, shift, size, &reserved)) {
		if (unlikely(entry & reserved))
			return end_descent(d, fault(w, FAULT_PRESENT | FAULT_RESERVED));
		return reach_leaf(w, d, entry, large_frame(entry, shift, size), shift);
	}
	if (unlikely(entry & reserved))
		return end_descent(d, fault(w, FAULT_PRESENT | FAULT_RESERVED));
	d->table = entry & PTE_ADDRESS;
	return shift > PAGE_SHIFT || reach_leaf(w, d, entry, d->table, shift);
}

/*
 * Goes from the first table down to the leaf. Leaves the trace, the rights, the leaf and the address; sets no flag yet.
 */
ALWAYS_INLINE enum guest_walk_status descend(struct walker *w)
{
	struct descent d = {
		.window = window_of(w->map),
		.walk = w->walk,
		.linear = w->linear,
		.reserved = w->reserved,
		.table = w->table,
		.all = ~0ull,
	};

	if (unlikely(w->size == 4)) {
		(void)(step_down(w, &d, 22, 4) && step_down(w, &d, 12, 4));
		return d.status;
	}
	switch (w->shift) {
	case 48:
		if (!step_down(w, &d, 48, 8))
			break;
		/* fall through */
	case 39:
		if (!step_down(w, &d, 39, 8) || !step_down(w, &d, 30, 8))
			break;
		/* fall through */
	default:
		(void)(step_down(w, &d, 21, 8) && step_down(w, &d, 12, 8));
	}
	return d.status;
}

/*
 * Sets flags in the entry at `gpa`, slot `level` of the trace; false if its word is no longer what was read. Tables may
 * name each other (a guest that maps its tables into themselves), so a word can be in the trace twice: both slots
 * follow.
 */
static bool set_flags(struct walker *w, unsigned level, gpa_t gpa, uint64_t flags)
{
	struct guest_walk *walk = w->walk;
	const struct map_range *range = map_find(w->map, gpa);
	uint64_t *word = (uint64_t *)(void *)(range->host + ((gpa & ~7ull) - range->start));
	uint64_t seen = walk->value[level];
	uint64_t wanted = seen | (w->size == 8 ? flags : flags << (8 * (gpa & 4)));

	/* ROM is read-only for the CPU's own walk as well: that drops the flags. */
	if (wanted == seen || range->kind == MAP_ROM)
		return true;
	dirty_write(range, gpa & ~7ull, 8);
	/* Relaxed: the flags order nothing else; the CPU's own updates are as atomic as this. SDM vol. 3, 4.8. */
	if (!__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	for (unsigned i = 0; i < walk->count; i++) {
		if (walk->entry[i] == word)
			walk->value[i] = wanted;
	}
	return true;
}

/* Goes down again, by the entries that were read. */
static COLD enum guest_walk_status mark_used(struct walker *w)
{
	uint64_t leaf_flags = PTE_ACCESSED | (w->access & GUEST_WRITE ? PTE_DIRTY : 0);
	unsigned shift = w->shift, leaf = w->walk->count - 1;
	gpa_t table = w->table;

	for (unsigned level = 0; level <= leaf; level++) {
		gpa_t gpa = entry_gpa(table, w->linear, shift, w->size);

		if (!set_flags(w, level, gpa, level == leaf ? leaf_flags : PTE_ACCESSED))
			return GUEST_WALK_RETRY;
		table = entry_in_word(w->walk->value[level], gpa, w->size) & PTE_ADDRESS;
		shift -= w->size == 8 ? 9 : 10;
	}
	return GUEST_WALK_OK;
}

/* What depends on the paging mode; then down the tables. SDM vol. 3, 4.1.1. */
static inline enum guest_walk_status walk_tables(struct walker *w)
{
	const struct guest_paging *paging = w->paging;
	uint64_t pdpte;

	w->size = 8;
	w->reserved = (BIT(52) - BIT(paging->maxphyaddr)) | (paging->efer & EFER_NXE ? 0 : PTE_NX);
	if (likely(w->lma)) {
		w->table = paging->cr3 & PTE_ADDRESS;
		w->shift = paging->cr4 & CR4_LA57 ? 48 : 39;
		return descend(w);
	}
	if (paging->cr4 & CR4_PAE) {
		pdpte = paging->pdpte[w->linear >> 30];
		if (!(pdpte & PTE_PRESENT))
			return fault(w, 0);
		w->reserved |= BITS(62, 52);
		w->table = pdpte & PTE_ADDRESS;
		w->shift = 21;
		return descend(w);
	}
	w->size = 4;
	w->reserved = 0;
	w->table = paging->cr3 & BITS(31, 12);
	w->shift = 22;
	return descend(w);
}

static inline bool is_canonical(const struct guest_paging *paging, gva_t linear)
{
	unsigned unused_bits = paging->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(linear << unused_bits) >> unused_bits) == linear;
}

static inline void fill_trace(struct guest_walk *walk)
{
	unsigned i = walk->count;

	if (unlikely(i == 0)) {
		walk->entry[0] = &no_entry;
		walk->value[0] = 0;
		i = 1;
	}
	for (; i < GUEST_WALK_MAX; i++) {
		walk->entry[i] = walk->entry[i - 1];
		walk->value[i] = walk->value[i - 1];
	}
}

enum guest_walk_status guest_walk(const struct map *map, const struct guest_paging *paging, gva_t linear,
				  unsigned access, struct guest_walk *walk)
{
	struct walker w;
	enum guest_walk_status status;

	walk->count = 0;
	w.lma = paging->efer & EFER_LMA;
	if (!w.lma)
		linear = (uint32_t)linear;
	else if (unlikely(!is_canonical(paging, linear)))
		return GUEST_WALK_NON_CANONICAL;
	if (unlikely(!(paging->cr0 & CR0_PG))) {
		walk->gpa = linear;
		fill_trace(walk);
		return GUEST_WALK_OK;
	}

	w.map = map;
	w.paging = paging;
	w.walk = walk;
	w.linear = linear;
	w.access = access;
	w.all = w.any = w.leaf = 0;
	w.user = paging->cpl == 3 && !(access & GUEST_IMPLICIT);
	status = walk_tables(&w);
	if (likely(status == GUEST_WALK_OK))
		status = check_rights(&w);
	if (unlikely(status != GUEST_WALK_OK))
		return status;
	if (unlikely(!(w.all & PTE_ACCESSED) || (access & GUEST_WRITE && !(w.leaf & PTE_DIRTY))))
		status = mark_used(&w);
	fill_trace(walk);
	return status;
}
