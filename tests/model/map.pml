/* SPDX-License-Identifier: MIT */
/* mmu/map.h, mmu/ept.h: what is shared, and what must never be. */

#define HOLE   0 /* ids of ranges; MEMORY has no MMIO entries, so its id is in none */
#define DEVICE 1
#define MEMORY 2

#define EMPTY   0 /* kinds of EPT entries */
#define MMIO    1
#define PRESENT 2

#define NONE 255

#ifndef COMMITS
#define COMMITS 4
#endif
#ifndef CALLBACK_COMMITS
#define CALLBACK_COMMITS 0
#endif
#ifndef WRITERS
#define WRITERS 2
#endif

/* One bit: every second generation wraps, and four commits have a second wrap. */
#define TAG(of) ((of) & 1)

#define NR_MAPS 5

typedef map_t {
	byte page;       /* who answers at the page */
	bit elsewhere;   /* the device stands at its other place */
	byte tag_of[2];  /* of the hole and of the device: half of `fresh` of struct map_range */
	byte made_at[2]; /* ghost: the whole generation behind the tag */
	byte device;     /* what the device's and the memory's callback and host pointer lead to: a new number */
	byte memory;     /* for each that is added, or comes to another place */
	bit stamping;
	byte retired_round;
};

#ifdef RULE_7_REPUBLISHES_OLD
#define KEPT NR_MAPS /* the map with which the wrap began */
map_t map[NR_MAPS + 1];
#else
map_t map[NR_MAPS];
#endif
byte vm_map;         /* index of the published one */
byte generation = 1; /* of the published map; read and written under the lock only */
bit writer_lock;

/* The entry in the EPT; `entry_made_at` is a ghost. */
byte entry_kind, entry_id, entry_tag, entry_made_at, entry_memory;

byte tlb[2]; /* by CPU: the memory that the page leads to, 0: nothing is cached */

#define FORGET_CACHED tlb[cpu] = 0

/* Ghosts. */
byte holds[2];    /* the map that a vCPU has a pointer to */
byte callback[2]; /* the device whose callback a vCPU is in */
byte nr_made;
bit released[16];      /* devices and memory whose removal has returned, and whose release hook was called */
byte page_is;          /* who answers at the page, by the published map */
byte answers_since[2]; /* bit by bit, who did since the exit of a vCPU began */

/* What is asserted, by name. */
bit stale_dispatch;     /* a callback of a device is called after its removal returned */
bit callback_outlives;  /* one still runs when the removal returns */
bit stale_access;       /* the guest reaches memory after its removal returned */
bit wrong_answer;       /* an access is served by who did not answer at any moment of it */
bit null_dispatch;      /* the snapshot has no such device */
bit tag_repeats;        /* an entry counts as fresh that was made under an earlier generation with the same tag */
bit mmio_over_present;  /* rule 5 */
bit map_in_use;         /* a map is reused that a vCPU still holds */
bit enters_owing;       /* a vCPU is in its guest with a commit that it has not completed */
bit wrap_lost;          /* in the end stamping is off, and nobody owes the second half of a wrap */

#define NEVER(name, condition) name = (condition); assert(!name)

inline retag(at, id) {
	map[at].tag_of[id] = TAG(generation);
	map[at].made_at[id] = generation;
}

inline put_device(at) {
	map[at].page = DEVICE;
	map[at].device = nr_made;
	retag(at, DEVICE);
}

inline map_copy_contents(from, to) {
	map[to].page = map[from].page;
	map[to].elsewhere = map[from].elsewhere;
	map[to].tag_of[HOLE] = map[from].tag_of[HOLE];
	map[to].tag_of[DEVICE] = map[from].tag_of[DEVICE];
	map[to].made_at[HOLE] = map[from].made_at[HOLE];
	map[to].made_at[DEVICE] = map[from].made_at[DEVICE];
	map[to].device = map[from].device;
	map[to].memory = map[from].memory;
	map[to].stamping = map[from].stamping;
}

/* What a map holds that nobody can reach makes no difference: the search need not tell such states apart. */
inline forget_contents(at) {
	if
	:: at != vm_map && at != holds[0] && at != holds[1] ->
		map[at].page = 0;
		map[at].elsewhere = 0;
		map[at].tag_of[HOLE] = 0;
		map[at].tag_of[DEVICE] = 0;
		map[at].made_at[HOLE] = 0;
		map[at].made_at[DEVICE] = 0;
		map[at].device = 0;
		map[at].memory = 0;
		map[at].stamping = 0
	:: else
	fi
}
