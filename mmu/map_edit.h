/* SPDX-License-Identifier: MIT */
/* A transaction: a list of edits, applied to a copy of the map, then what is left to do once it is published. */
#ifndef MMU_MAP_EDIT_H
#define MMU_MAP_EDIT_H

#include "mmu/ept_collect.h"
#include "mmu/map.h"
#include "mmu/vm.h"

enum edit_kind { EDIT_ADD, EDIT_REMOVE, EDIT_MOVE, EDIT_RESIZE, EDIT_PROTECT, EDIT_LOG };

struct edit_step {
	enum edit_kind kind;
	tl_range_id id;
	union {
		struct tl_range range; /* add; protect: its kind and callback */
		uint64_t start;        /* move */
		uint64_t size;         /* resize */
		_Atomic uint64_t *log; /* log: begins, or with NULL ends */
	};
	tl_range_id *id_out; /* add; may be NULL */

	/*
	 * Written when the step is applied: where memory goes (or by EDIT_LOG the right to write) and where it comes
	 * (first > last: nowhere), and who wants to know that the range is gone.
	 */
	gpa_t gone_first, gone_last;
	gpa_t new_first, new_last;
	hpa_t gone_host;            /* the memory of the range that goes, from its first page on */
	uint64_t gone_size;         /* 0: none */
	_Atomic uint64_t *gone_log; /* of the writes to it, or NULL */
	void (*release)(void *context);
	void *context;
};

enum { EDIT_STEPS_PER_PAGE = (PAGE_SIZE - sizeof(struct ept_garbage) - 128) / sizeof(struct edit_step) };

/* Steps are noted in page-sized pieces; the first piece is the transaction itself. */
struct edit_page {
	struct edit_page *next;
	unsigned nr_steps;
	struct edit_step step[EDIT_STEPS_PER_PAGE];
};

enum edit_stage { EDIT_WAIT_GRACE, EDIT_WAIT_FLUSH, EDIT_FINISH };

struct tl_edit {
	struct edit_page first; /* at offset 0: a page is freed as what it is */
	struct edit_page *last;
	struct tl_vm *vm;
	struct tl_edit *next; /* in a reader's list of commits to complete */
	uint32_t nr_adds;
	uint64_t base;  /* publications of the VM when the transaction began */
	uint64_t round; /* what completion waits for */
	enum edit_stage stage;
	bool passed;   /* the round has passed already */
	bool removes;  /* some range is gone */
	bool takes;    /* takes an address away from a range, so the commit waits */
	bool zaps;     /* some of it was present in the EPT */
	bool unlogs;   /* some of that was logged: its flags are to be taken */
	bool protects; /* the VM's logs go over to protection */
	bool wraps;    /* this commit started a wrap, and finishes it */
	bool settles;  /* memory came, perhaps to where tables stand that it does not need */
	bool cleared;  /* nothing is left to be zapped and unlinked */
	bool collects; /* tables in the hole */
	struct ept_garbage garbage;
};

_Static_assert(sizeof(struct tl_edit) <= PAGE_SIZE, "a transaction of few edits is one page");

/* Notes that the writes of a range are logged from now on, or with NULL not any more. */
enum tl_status map_note_log(struct tl_edit *edit, tl_range_id id, _Atomic uint64_t *log);

/* Applies one step to a map that nobody else sees yet; a refusal leaves the map unusable, to be thrown away. */
enum tl_status map_apply(struct map *map, struct tl_edit *edit, struct edit_step *step);

/* Lets later transactions use the slots that this one freed; within it an id names what it named at the beginning. */
void map_free_slots(struct map *map, const struct edit_page *page);

/* Gives a range the map's generation: entries that name it are stale from the publication on. */
void map_retag(const struct tl_vm *vm, struct map *map, uint32_t id);
void map_retag_all(const struct tl_vm *vm, struct map *map);

/* The hint of map_host(): the largest RAM range. */
void map_choose_ram_hint(struct map *map);

/*
 * A map with room for `capacity` slots and a copy of `from` in it, or an empty one if `from` is NULL. Reuses retired
 * maps whose grace period has passed. Precondition: the writer lock is held. NULL: no memory, or (*again) too many
 * maps wait for their grace period.
 */
struct map *map_copy(struct tl_vm *vm, const struct map *from, uint32_t capacity, bool *again);

/* Publishes `map`, retires the one before. Precondition: the writer lock is held. Returns the round to wait for. */
uint64_t map_publish(struct tl_vm *vm, struct map *map);

/* Frees a map that nobody can reach. */
void map_free(struct map *map);

/* Leaves what of a commit has to wait to its vCPU, which completes it before its next entry. */
void map_defer(struct grace_reader *reader, struct tl_edit *edit);

/*
 * Unlinks the tables under which memory now stands that one entry could map; true: some are to be freed once every CPU
 * has flushed. Context: after the publication, no lock held.
 */
bool map_settle(struct tl_edit *edit);

/*
 * Does what of a commit has to wait: grace period, zap, flush, the second half of a wrap, release. Frees the edit.
 * `self` as for grace_wait(); false if kicked: call again later.
 */
bool map_complete(struct tl_edit *edit, struct grace_reader *self);

/* Completes the commits that this reader's callbacks made. Precondition: it holds no map. False if kicked. */
bool map_complete_pending(struct grace_reader *reader);

#endif
