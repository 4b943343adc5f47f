/* SPDX-License-Identifier: MIT */
/* mmu/map_commit.c, mmu/map_apply.c, mmu/map_complete.c. The variables of a transaction are the process' own. */

byte commits_left = COMMITS, callback_commits_left = CALLBACK_COMMITS;
byte writers_done;

#define TRANSACTION \
	byte new, old, edit_round, removes, at; \
	bit takes, zaps, wraps, again

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
	:: else
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
	forget_contents(old)
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

/* Rule 7, second half. */
inline finish_wrap() {
	do
	:: true ->
#ifndef RULE_7_NO_ZAP
#ifndef RULE_7_ZAPS_FIRST
		ept_zap_mmio();
#endif
#endif
		atomic {
			!writer_lock ->
			writer_lock = true;
			map_reuse();
			again = (new == NONE);
			if
			:: again -> writer_lock = false
			:: else ->
#ifdef RULE_7_REPUBLISHES_OLD
				map_copy_contents(KEPT, new);
#else
				map_copy_contents(vm_map, new);
#endif
				map[new].stamping = true;
				map_retag_all(new);
				map_publish_pointer()
			fi
		};
		if
		:: again -> new = 0; grace_raise(edit_round); grace_wait(edit_round)
		:: else -> raise_and_unlock(); break
		fi
	od
}

/* By compare-and-exchange in a loop: what is there is gone afterwards, at one moment. */
inline ept_zap_mmio() {
	atomic {
		if
		:: entry_kind == MMIO -> entry_kind = EMPTY; entry_id = 0; entry_tag = 0; entry_made_at = 0
		:: else
		fi
	}
}

inline ept_zap_present() {
	atomic {
		if
		:: entry_kind == PRESENT && entry_memory == removes -> entry_kind = EMPTY; entry_memory = 0
		:: else
		fi
	}
}

/* Rule 4: flush number, then round. */
inline request_flush() {
#ifdef RULE_4_ROUND_BEFORE_NUMBER
	grace_raise(edit_round);
	flush_number++
#else
#ifdef RULE_4_FLUSHES_IN_ONE_ROUND
	atomic { round++; edit_round = round; flush_round = round }
#else
	flush_number++;
	grace_raise(edit_round)
#endif
#endif
}

/* What of a commit has to wait; rules 3, 4 and 7 give the order. Then it returns, and releases what it removed. */
inline map_complete() {
#ifdef RULE_4_ZAPS_BEFORE_GRACE
	if
	:: zaps -> ept_zap_present()
	:: else
	fi;
#endif
#ifdef RULE_7_ZAPS_FIRST
	if
	:: wraps -> ept_zap_mmio()
	:: else
	fi;
#endif
#ifdef RULE_7_NO_GRACE
	if
	:: takes -> grace_wait(edit_round)
	:: else
	fi;
#else
#ifndef RULE_3_NO_GRACE
	if
	:: takes || wraps -> grace_wait(edit_round)
	:: else
	fi;
#endif
#endif
	if
	:: zaps ->
#ifndef RULE_4_ZAPS_BEFORE_GRACE
		ept_zap_present();
#endif
#ifndef RULE_4_NO_FLUSH
		request_flush();
#ifndef RULE_4_RETURNS_EARLY
		grace_wait(edit_round);
#endif
#endif
		zaps = false
	:: else
	fi;
	if
	:: wraps -> finish_wrap()
	:: else
	fi;
	release_steps()
}

inline release_steps() {
	atomic {
		if
		:: takes ->
			NEVER(callback_outlives, callback[0] == removes || callback[1] == removes);
			released[removes] = true
		:: else
		fi;
		takes = false;
		wraps = false;
		removes = 0;
		edit_round = 0
	}
}

/* A writer outside any callback. */
proctype writer() {
	TRANSACTION;
	byte v, cpu, announced, seen_round;
	bit is_vcpu;

	do
	:: atomic { commits_left > 0 -> commits_left-- };
		do
		:: true ->
			publish_edit();
			if
			:: again -> again = false; wait_for_retired()
			:: else -> break
			fi
		od;
		map_complete()
	:: atomic { commits_left == 0 -> writers_done++; break }
	od
}
