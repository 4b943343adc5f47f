/* SPDX-License-Identifier: MIT */
/* mmu/map_commit.c, mmu/map_apply.c. The variables of a transaction are the process' own. */

byte commits_left = COMMITS, callback_commits_left = CALLBACK_COMMITS;
byte writers_done;

/* Rule 7: a commit that finds no page for the second half of its wrap owes it, and the next commit takes it over. */
#ifndef REFUSALS
#define REFUSALS 0
#endif
byte refusals_left = REFUSALS;
bit wrap_owed;

#define TRANSACTION \
	byte new, old, edit_round, removes, at, stage; \
	bit takes, zaps, wraps, again, abandoned

#ifdef RULE_3_REUSES_AT_ONCE
#define CAN_REUSE(index) true
#else
#define CAN_REUSE(index) (reader_passed(0, map[index].retired_round) && reader_passed(1, map[index].retired_round))
#endif

/* Rule 3: a retired map is reused after its grace period. NONE: too many wait (TL_AGAIN). */
inline map_reuse() {
	new = 0;
	do
	:: new == NR_MAPS -> new = NONE; break
	:: new < NR_MAPS && new != vm_map && CAN_REUSE(new) -> break
	:: else -> new++
	od;
	if
	:: new != NONE -> NEVER(map_in_use, holds[0] == new || holds[1] == new); map[new].retired_round = 0
	:: else
	fi
}

/* Rule 7: the commit whose generation has the tag 0 turns stamping off; while it is off none is taken. */
inline advance_generation() {
	wraps = false;
	if
	:: map[new].stamping ->
		generation++;
		if
		:: TAG(generation) == 0 ->
			wraps = true;
#ifdef RULE_7_STAMPS_ON
			map_retag_all(new);
#else
			map[new].stamping = false;
#endif
		:: else
		fi
#ifdef RULE_7_FORGETS_DEBT
	:: else
#else
	:: else -> wraps = wrap_owed
#endif
	fi
}

inline map_retag_all(at_map) {
	retag(at_map, HOLE);
	retag(at_map, DEVICE)
}

/* One edit, whichever is possible; what is taken away is noted. */
inline map_apply() {
	if
#ifdef EDIT_DEVICE
	:: map[new].page == HOLE && !map[new].elsewhere -> nr_made++; put_device(new); retag(new, HOLE)
	:: map[new].page == DEVICE || map[new].elsewhere ->
		takes = true;
		removes = map[new].device;
		map[new].device = 0;
		map[new].elsewhere = false;
		if
		:: map[new].page == DEVICE -> map[new].page = HOLE
		:: else
		fi;
		retag(new, DEVICE)
#endif
#ifdef EDIT_MOVE
	:: map[new].page == DEVICE ->
		takes = true;
		removes = map[new].device;
		nr_made++;
		put_device(new);
		map[new].page = HOLE;
		map[new].elsewhere = true;
		retag(new, HOLE)
	:: map[new].page == HOLE && map[new].elsewhere ->
		takes = true;
		removes = map[new].device;
		nr_made++;
		put_device(new);
		map[new].elsewhere = false;
		retag(new, HOLE)
#endif
#ifdef EDIT_MEMORY
	:: map[new].page == HOLE -> nr_made++; map[new].page = MEMORY; map[new].memory = nr_made; retag(new, HOLE)
	:: map[new].page == MEMORY -> take_memory(); map[new].page = HOLE
#endif
#ifdef EDIT_DEVICE_OVER_MEMORY
	:: map[new].page == MEMORY -> take_memory(); nr_made++; put_device(new)
#endif
#ifdef EDIT_INVALIDATES
	:: map_retag_all(new)
#endif
#ifdef EDIT_NOTHING
	:: skip /* something elsewhere: it takes a generation */
#endif
	fi
}

inline take_memory() {
	takes = true;
	zaps = true;
	removes = map[new].memory;
	map[new].memory = 0
}

/* Rule 2: the one store by which everything in the new map is seen. */
inline map_publish_pointer() {
	old = vm_map;
	vm_map = new;
	page_is = map[new].page;
	answers_since[0] = answers_since[0] | (1 << page_is);
	answers_since[1] = answers_since[1] | (1 << page_is);
	/* Set for good by the raise that follows, under the lock; nobody may reuse it before. */
	map[old].retired_round = NONE;
	forget_contents(old);
	wrap_owed = false
}

inline raise_and_unlock() {
	atomic {
		round++;
		edit_round = round;
		map[old].retired_round = round;
		writer_lock = false;
		old = 0;
		new = 0
	}
}

/* publish_edit(): copy, apply, publish under the lock. Nobody sees the new map before its pointer: one step. */
inline publish_edit() {
#ifdef RULE_2_PUBLISHES_FIRST
	atomic {
		!writer_lock ->
		writer_lock = true;
		map_reuse();
		again = (new == NONE);
		if
		:: again -> writer_lock = false
		:: else -> old = vm_map; at = old; vm_map = new
		fi
	};
	atomic {
		if
		:: again
		:: else ->
			map_copy_contents(at, new);
			advance_generation();
			map_apply();
			map_publish_pointer();
			old = at;
			map[old].retired_round = NONE;
			at = 0
		fi
	};
#else
#ifdef RULE_2_EDITS_IN_PLACE
	atomic {
		!writer_lock ->
		writer_lock = true;
		map_reuse();
		again = (new == NONE);
		if
		:: again -> writer_lock = false
		:: else ->
			/* The published map answers as the new one will, a moment before it has its tags. */
			map_copy_contents(vm_map, new);
			advance_generation();
			map_apply();
			map[vm_map].page = map[new].page;
			map[vm_map].device = map[new].device;
			map[vm_map].memory = map[new].memory;
			page_is = map[new].page;
			answers_since[0] = answers_since[0] | (1 << page_is);
			answers_since[1] = answers_since[1] | (1 << page_is)
		fi
	};
	atomic {
		if
		:: again
		:: else -> map_publish_pointer()
		fi
	};
#else
	atomic {
		!writer_lock ->
		writer_lock = true;
		map_reuse();
		again = (new == NONE);
		if
		:: again -> writer_lock = false
		:: else ->
			map_copy_contents(vm_map, new);
			advance_generation();
			map_apply();
#ifdef RULE_7_REPUBLISHES_OLD
			if
			:: wraps -> map_copy_contents(new, KEPT)
			:: else
			fi;
#endif
			map_publish_pointer()
		fi
	};
#endif
#endif
	if
	:: again -> new = 0
	:: else ->
#ifdef RULE_7_WAITS_LOCKED
		if
		:: wraps ->
			grace_raise(edit_round);
			grace_wait(edit_round)
		:: else
		fi;
#endif
		raise_and_unlock()
	fi
}

/* Under a full list of retired maps a writer waits, outside the lock; inside a callback it is refused. */
inline wait_for_retired() {
	atomic { edit_round = round };
	grace_wait(edit_round)
}
