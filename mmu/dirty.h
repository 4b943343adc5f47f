/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a RAM range were written. A logged range has a bit for each page. By protection the EPT lets a page be
 * written only once its bit is set; by flags the CPU notes the write in the page's entry, from where a fetch takes it;
 * by PML it also says where to look. See docs/how-it-works.md, "Dirty logging".
 */
#ifndef MMU_DIRTY_H
#define MMU_DIRTY_H

#include "mmu/map.h"
#include "mmu/vm.h"

/* The writes' log of a range, NULL if it has none. */
ALWAYS_INLINE _Atomic uint64_t *dirty_log(const struct map_range *range)
{
	return range->kind == MAP_RAM ? range->log : NULL;
}

/* relaxed: it changes once, and who goes by what it was has passed a round before that matters (rule 13). */
ALWAYS_INLINE enum dirty_by dirty_by(const struct tl_vm *vm)
{
	return atomic_load_explicit(&vm->dirty_by, memory_order_relaxed);
}

/* Copies the range as it is; false: there is none. Context: the writer lock is not held. */
bool dirty_find_range(struct tl_vm *vm, tl_range_id id, struct map_range *range);

/* Marks the page at `offset` of a logged range. */
void dirty_mark(_Atomic uint64_t *log, uint64_t offset);

/* The same of `count` pages from there on. */
void dirty_mark_some(_Atomic uint64_t *log, uint64_t offset, uint64_t count);

/*
 * The bits that any of the first `nr` words has: of a log or a table nearly all of which has nothing to take. relaxed:
 * hints, what is taken is looked at again. `nr` is a constant, of 32 at most.
 */
ALWAYS_INLINE uint64_t any_of_words(const _Atomic uint64_t *words, unsigned nr)
{
	uint64_t any = 0;

#pragma GCC unroll 32
	for (unsigned i = 0; i < nr; i++)
		any |= atomic_load_explicit(&words[i], memory_order_relaxed);
	return any;
}

/*
 * A vCPU's buffer says that the page at `gpa` was written: marks it if it is logged and its flag says so, too. Context:
 * a reader, before it announces a round.
 */
void dirty_note(struct tl_vm *vm, gpa_t gpa);

/*
 * The log of a range begins, which is in [first, last]: closes it, and has the CPUs set flags where they are used.
 * Context: no lock held. The caller flushes.
 */
void dirty_begin(struct tl_vm *vm, tl_range_id id, gpa_t first, gpa_t last);

/* A transaction that took logged pages from the map has their flags, too: without logs the CPUs set none. Same context
 * and duty. */
void dirty_ended(struct tl_vm *vm);

/*
 * `entry` is about to give way to one of another page: if it says that its page was written, marks that in the log of
 * the range that the page is of, wherever in `map` that range is by now.
 */
void dirty_replace(const struct tl_vm *vm, const struct map *map, ept_entry_t entry);

/* The same of one at `gpa` that is zapped, by the map of now. Context: the writer lock is not held. */
void dirty_zap(struct tl_vm *vm, gpa_t gpa, ept_entry_t entry);

/*
 * Whether a table that stands in [first, last] may hold flags of logged pages: such a range is there now, or somewhere
 * are pages of one that has gone. Stays so for as long as both locks are held, which is a precondition.
 */
bool dirty_is_logged(struct tl_vm *vm, gpa_t first, gpa_t last);

/*
 * Flags are no good for this VM, since its guest has page tables in memory that must not be written: with flags on, the
 * CPU's reads of them count as writes (SDM vol. 3, 29.3.5). Goes over to protection, for good; `self` completes that
 * before its next entry. False: no memory for it. Context: an exit of `self`.
 */
bool dirty_give_up_flags(struct tl_vm *vm, struct grace_reader *self);

/* Its second half, once everybody knows that writes are marked again. The caller flushes. */
void dirty_protect(struct tl_vm *vm);

/*
 * The library is about to write `size` bytes at `gpa` of the range itself. Context: an exit of a vCPU, or under the
 * writer lock: either way a fetch that takes the mark returns after the write.
 */
ALWAYS_INLINE void dirty_write(const struct map_range *range, gpa_t gpa, uint64_t size)
{
	_Atomic uint64_t *log = dirty_log(range);

	if (unlikely(log)) {
		dirty_mark(log, gpa - range->start);
		dirty_mark(log, gpa + (size - 1) - range->start);
	}
}

#endif
