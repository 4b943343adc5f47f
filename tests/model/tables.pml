/* SPDX-License-Identifier: MIT */
/*
 * Rule 6, for spin: tables that are given up while CPUs go on by pointers to them that they have cached, while vCPUs
 * walk them in their exits and link others below, and while somebody walks them who is no reader.
 *
 * One page is watched, so that each table has one slot: the root's leads to a table, that one's to a lowest one, and
 * that one's to memory. A table's number is not used again, so that it shows when one is read that was freed. The inlines
 * and switches are as in trapline.pml.
 */
#define ROOT 0
#define LEAF 1

#ifndef VCPUS
#define VCPUS 2
#endif
#ifndef TRIMS
#define TRIMS 0
#endif
#ifndef RECLAIMS
#define RECLAIMS 0
#endif
#ifndef ZAPS
#define ZAPS 0
#endif
#ifndef NR_TABLES
#define NR_TABLES 3
#endif

byte slot[NR_TABLES + 1]; /* of each table: the number of the one below, or LEAF */
bit is_lowest[NR_TABLES + 1];
bit freed[NR_TABLES + 1];
byte nr_made;
bit table_lock;
byte trims_left = TRIMS, reclaims_left = RECLAIMS, zaps_left = ZAPS;
byte writers_done;

byte cached_upper[2], cached_lowest[2]; /* by CPU: pointers that its paging-structure caches hold */
byte slots[2];                          /* by vCPU: the slot cache, `slots` of struct tl_vcpu */
byte slots_flushed[2];

bit table_in_use; /* a table is read, by whomever, that was freed */
bit table_leaks;  /* one is neither linked nor freed in the end */
bit enters_owing; /* a vCPU is in its guest with a commit that it has not completed */

#define NEVER(name, condition) name = (condition); assert(!name)

#define FORGET_CACHED \
	cached_upper[cpu] = 0; \
	cached_lowest[cpu] = 0

#include "grace.pml"

inline read_slot(table, into) {
	NEVER(table_in_use, freed[table]);
	into = slot[table]
}

#define GARBAGE byte walked, upper, lowest, below, edit_round

#ifdef RULE_6_WALKS_UNLOCKED
#define LOCK_TABLES   skip
#define UNLOCK_TABLES skip
#else
#define LOCK_TABLES   atomic { !table_lock -> table_lock = true }
#define UNLOCK_TABLES table_lock = false
#endif

/* Unlinks the lowest table, the one above, both, or none. */
inline ept_collect() {
	LOCK_TABLES;
	read_slot(ROOT, walked);
	if
	:: walked == 0
	:: else ->
		atomic {
			if
			:: read_slot(walked, lowest);
				slot[walked] = 0
			:: true
			fi
		};
		atomic {
			if
			:: slot[ROOT] == walked ->
				upper = walked;
				slot[ROOT] = 0;
#ifdef RULE_6_NOTES_BELOW
				below = slot[upper]
#endif
			:: true
			fi;
			walked = 0
		}
	fi;
	UNLOCK_TABLES
}

inline request_flush() {
#ifdef RULE_6_ROUND_BEFORE_NUMBER
	grace_raise(edit_round);
	flush_number++
#else
#ifndef RULE_6_NO_FLUSH
	flush_number++;
#endif
	grace_raise(edit_round)
#endif
}

inline give_up_tables() {
#ifdef RULE_6_FLUSHES_FIRST
	request_flush();
	ept_collect()
#else
	ept_collect();
	request_flush()
#endif
}

inline ept_page_free(table) {
	freed[table] = true;
	slot[table] = 0;
	is_lowest[table] = false
}

/* What hangs below by now goes as well. */
inline ept_garbage_free() {
	atomic {
		if
		:: lowest != 0 -> ept_page_free(lowest); lowest = 0
		:: else
		fi;
		if
		:: upper != 0 ->
#ifndef RULE_6_NOTES_BELOW
			below = slot[upper];
#endif
			ept_page_free(upper);
			upper = 0
		:: else
		fi;
		if
		:: below != 0 -> ept_page_free(below); below = 0
		:: else
		fi;
		edit_round = 0
	}
}

#ifdef RULE_3_KICK_COMPLETES
#define KICKED false
#else
#define KICKED abandoned
#endif

inline map_complete() {
	abandoned = false;
#ifndef RULE_6_NO_GRACE
	grace_wait(edit_round);
#endif
	if
	:: !KICKED -> ept_garbage_free()
	:: else
	fi
}

#ifdef RULE_3_KICK_FORGETS
#define OWES false
#else
#define OWES abandoned
#endif

/* tl_vm_trim(), and commits that zap: ept_zap_present(). */
proctype writer() {
	GARBAGE;
	byte v, cpu, announced, seen_round;
	bit is_vcpu, abandoned;

	do
	:: atomic { trims_left > 0 -> trims_left-- };
		give_up_tables();
		map_complete()
	:: atomic { zaps_left > 0 -> zaps_left-- };
		LOCK_TABLES;
		read_slot(ROOT, walked);
		if
		:: walked != 0 -> read_slot(walked, walked)
		:: else
		fi;
		atomic {
			if
			:: walked != 0 -> NEVER(table_in_use, freed[walked]); slot[walked] = 0; walked = 0
			:: else
			fi
		};
		UNLOCK_TABLES
	:: atomic { trims_left == 0 && zaps_left == 0 -> writers_done++; break }
	od
}

#define IS_DONE (writers_done == WRITERS && reclaims_left == 0 && !pending)

/* With the CPU's caches goes the vCPU's own. */
inline flush_slots() {
	atomic {
		if
		:: slots_flushed[v] != flush_number ->
#ifndef RULE_6_SLOTS_KEPT
			slots[v] = 0;
#endif
			slots_flushed[v] = flush_number
		:: else
		fi
	}
}

/* One step of the CPU's walk; it keeps what it reads. */
inline cpu_step() {
	NEVER(table_in_use, freed[at]);
	if
	:: slot[at] == 0 -> at = 0; goto exit
	:: is_lowest[at] && slot[at] == LEAF -> at = 0; goto guest
	:: else ->
		at = slot[at];
		if
		:: is_lowest[at] -> cached_lowest[cpu] = at
		:: else -> cached_upper[cpu] = at
		fi
	fi
}

/* One of the vCPU's. In the lowest table it puts a leaf, and remembers where. */
inline ept_step() {
	NEVER(table_in_use, freed[at]);
	if
	:: is_lowest[at] -> slot[at] = LEAF; slots[v] = at; at = 0; goto guest
	:: !is_lowest[at] && slot[at] == 0 -> goto install
	:: else -> at = slot[at]
	fi
}

#ifdef LEAVES
#define MAY_LEAVE true
#else
#define MAY_LEAVE IS_DONE
#endif

/* A vCPU stays on its CPU or, with MIGRATES, takes one that is free. */
inline take_cpu() {
#ifdef MIGRATES
	if
	:: !cpu_taken[0] -> cpu = 0
	:: !cpu_taken[1] -> cpu = 1
	fi;
	cpu_taken[cpu] = true
#else
	cpu = v
#endif
}

proctype vcpu(byte v) {
	GARBAGE;
	byte cpu, announced, seen_round, at;
	bit is_vcpu = true, pending, abandoned;

enter: /* tl_vcpu_run() */
	atomic {
		if
		:: IS_DONE -> goto done
		:: else -> take_cpu()
		fi
	};
	grace_enter();
	if
	:: pending -> goto attention
	:: else -> flush_slots()
	fi;

guest: /* The CPU walks from the root, or goes on from a pointer that it has cached. */
	NEVER(enters_owing, pending);
	if
	:: atomic { true -> cpu_step() }
	:: atomic { cached_upper[cpu] != 0 -> at = cached_upper[cpu]; cpu_step() }
	:: atomic { cached_lowest[cpu] != 0 -> at = cached_lowest[cpu]; cpu_step() }
	:: announced != round -> goto attention
	:: MAY_LEAVE -> goto leave
	fi;
	do
	:: atomic { true -> cpu_step() }
	od;

exit: /* exit_ept_misconfig() by the slot cache, or ept_walk() */
	if
	:: atomic { slots[v] != 0 -> at = slots[v]; ept_step() }
	:: atomic { true -> ept_step() }
	fi;
	do
	:: atomic { true -> ept_step() }
	od;

install: /* descend(): by compare-and-exchange, from what was read; or vm_reclaim(), for want of a page */
	atomic {
		NEVER(table_in_use, freed[at]);
		if
		:: slot[at] == 0 && nr_made < NR_TABLES ->
			nr_made++;
			is_lowest[nr_made] = (at != ROOT);
			slot[at] = nr_made;
			at = 0;
			goto guest
		:: slot[at] == 0 && reclaims_left > 0 -> reclaims_left--; at = 0
		:: slot[at] == 0 && nr_made == NR_TABLES && reclaims_left == 0 -> at = 0; goto leave
		:: slot[at] != 0 -> at = 0; goto guest
		fi
	};
	give_up_tables();
	pending = true;

attention: /* vcpu_attention() */
	if
	:: pending ->
		map_complete();
		pending = OWES
	:: else
	fi;
	grace_announce();
	if
	:: abandoned -> abandoned = false; goto leave
	:: else -> flush_slots()
	fi;
	goto guest;

leave:
	grace_leave();
	goto enter;

done:
	skip
}

#define IS_LINKED(table) (slot[ROOT] == table || slot[slot[ROOT]] == table)

init {
	byte i;

	atomic {
		run vcpu(0);
#if VCPUS > 1
		run vcpu(1);
#endif
#if WRITERS > 0
		run writer();
#endif
#if WRITERS > 1
		run writer();
#endif
	};
	_nr_pr == 1;
	for (i : 1 .. nr_made) {
		NEVER(table_leaks, !freed[i] && !IS_LINKED(i))
	}
}
