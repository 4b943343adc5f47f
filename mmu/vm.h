/* SPDX-License-Identifier: MIT */
/* A VM as its memory: the map, the EPT, the generation, the rounds. What VMX adds to it is per vCPU. */
#ifndef MMU_VM_H
#define MMU_VM_H

#include "mmu/ept_pages.h"
#include "mmu/grace.h"
#include "mmu/map.h"
#include <stdatomic.h>
#include <trapline.h>

/* How it is known which pages of a logged range were written (mmu/dirty.h). */
enum dirty_by {
	DIRTY_BY_PROTECTION, /* the first write to a page exits */
	DIRTY_BY_FLAGS,      /* the CPU sets the dirty flag in the page's entry */
	DIRTY_BY_PML,        /* and notes the page in a buffer of its vCPU's */
};

/* What mmu/ must know of the CPU, and what it has the CPU do. Set once, before the first VM. */
struct mmu_cpu {
	unsigned maxphyaddr;    /* bits */
	unsigned ept_level;     /* the largest leaf the CPU takes: 1, 2 or 3 */
	bool apic_accesses;     /* "virtualize APIC accesses": TL_RANGE_APIC */
	bool execute_only;      /* IA32_VMX_EPT_VPID_CAP bit 0: an entry may allow fetches alone */
	bool large_executable;  /* IA32_ARCH_CAPABILITIES.PSCHANGE_MC_NO: a large leaf may be executed from */
	enum dirty_by dirty_by; /* the best that it has */
	/* Drops what the calling CPU has cached of the VM's EPT (INVEPT). */
	void (*flush)(struct tl_vm *vm);
};

extern struct mmu_cpu mmu_cpu;

struct tl_vm {
	/* Read on every exit. */
	struct map *_Atomic map;
	_Atomic uint64_t round;
	ept_slot_t *root; /* the PML4 */

	_Atomic uint64_t flush_number;
	uint64_t flushed[TL_MAX_CPUS]; /* the number each CPU last flushed to; written by that CPU only */

	/* Writers: held over copy, edit and publish only, never over a wait. */
	atomic_flag writer_lock;
	struct grace_reader *readers;
	struct map *retired; /* newest first */
	unsigned nr_retired;
	uint64_t tag_mask;
	enum tl_invalidate invalidate;
	uint64_t ram_generation;
	_Atomic uint64_t publications;
	struct tl_edit *_Atomic spare_edit;

	/* Whoever walks the tables without being a reader: held over the walk only, never over a wait. */
	atomic_flag table_lock;
	gpa_t collect_hand; /* where ept_collect_mmio() goes on */

	/* How many tables may have been left behind where MMIO ranges went, since they were looked for. */
	_Atomic uint64_t gone_tables;

	_Atomic enum dirty_by dirty_by; /* of this VM; it goes over to protection at most once (rule 13) */
	_Atomic bool flags_on;          /* some range is logged by flags or PML: CPUs set accessed and dirty flags */
	unsigned logs_going; /* transactions that have taken logged pages from the map, but not their flags yet */

	uint64_t tsc_offset;
	bool decode_doorbells;
	unsigned mmio_level;
	_Atomic size_t max_ept_pages;
	_Atomic size_t nr_ept_pages; /* linked or about to be */
	unsigned ept_pages_at_hand;  /* for each CPU; EPT_PAGES_AT_HAND, and less in tests of what the hook does */
	struct ept_page_cache page_cache[TL_MAX_CPUS] __attribute__((aligned(64)));

	/* Counted under the writer lock, but for the atomic ones. */
	uint64_t commits, invalidations, wraps;
	bool wrap_owed; /* stamping is off and the commit that turned it off found no memory to finish */
	_Atomic uint64_t zapped, unlinked; /* MMIO entries; the latter with their tables */
	_Atomic uint64_t tables_freed;
	/* Of vCPUs that are gone. */
	struct tl_stats past;
};

enum { VM_DEFAULT_EPT_PAGES = 65536, VM_MOST_GONE_TABLES = 256 };

/* There may be more of them than may be: has also vCPUs that are outside look, by a flush number. */
COLD void vm_too_many_gone(struct tl_vm *vm);

/*
 * Notes that an MMIO range of `size` bytes goes. Precondition: the writer lock is held, and the publication comes after
 * it.
 */
ALWAYS_INLINE void vm_note_gone(struct tl_vm *vm, uint64_t size)
{
	/* Tables of 2 MiB, as many again for all those above them, and two more at the ends for each of three levels.
	 */
	uint64_t tables = atomic_load_explicit(&vm->gone_tables, memory_order_relaxed) + (size >> 20) + 6;

	/* relaxed: who sees the round of the publication sees it. */
	atomic_store_explicit(&vm->gone_tables, tables, memory_order_relaxed);
	if (unlikely(tables >= VM_MOST_GONE_TABLES))
		vm_too_many_gone(vm);
}

/* Whether a vCPU should call vm_collect_gone(). */
ALWAYS_INLINE bool vm_has_gone_tables(const struct tl_vm *vm)
{
	return atomic_load_explicit(&vm->gone_tables, memory_order_relaxed) >= VM_MOST_GONE_TABLES;
}

/*
 * Begins to unlink the tables that only MMIO ranges needed that are gone; `self` completes it before its next entry.
 * Without memory for that it is for the next vCPU to do. Context: a vCPU between two guests.
 */
COLD void vm_collect_gone(struct tl_vm *vm, struct grace_reader *self);

void vm_lock(struct tl_vm *vm);
void vm_unlock(struct tl_vm *vm);

/*
 * A reader's walk is safe by its round. Everybody else keeps tables from being unlinked under his walk by this lock,
 * as does who unlinks them. The writer lock may be taken under it, and not the other way round.
 */
void vm_lock_tables(struct tl_vm *vm);
void vm_unlock_tables(struct tl_vm *vm);

/*
 * A fault has found no page for a table. True: tables that can be made again are being given up, `self` completes it
 * before its next entry, and the access may be tried again. Context: an exit of `self`.
 */
bool vm_reclaim(struct tl_vm *vm, struct grace_reader *self);

/* Keeps the counts of a vCPU that goes away. */
void vm_keep_stats(struct tl_vm *vm, const struct vcpu_stats *stats);

/* Tells the VM's memory that table walks cached before may be stale (rules 4, 6): to be followed by grace_raise(). */
ALWAYS_INLINE void vm_request_flush(struct tl_vm *vm)
{
	/* seq_cst: ordered before the raise of the round that makes CPUs look at it. */
	atomic_fetch_add_explicit(&vm->flush_number, 1, memory_order_seq_cst);
}

/* The tag of a generation in this VM. */
ALWAYS_INLINE uint32_t vm_tag(const struct tl_vm *vm, uint64_t generation)
{
	return (uint32_t)(generation & vm->tag_mask);
}

#endif
