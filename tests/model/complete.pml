/* SPDX-License-Identifier: MIT */
/* mmu/map_complete.c: what of a commit has to wait; and who commits outside any callback. */

#define WAIT_GRACE 0 /* the stages */
#define WAIT_FLUSH 1
#define FINISH     2

/* Rule 7, second half. A kick leaves all of it to the next time. */
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
			:: !again && refusals_left > 0 ->
				refusals_left--;
				new = 0;
				wrap_owed = true;
				writer_lock = false;
				break
			:: !again ->
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
		:: again ->
			new = 0;
			grace_raise(edit_round);
			grace_wait(edit_round);
			if
			:: abandoned -> break
			:: else
			fi
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

#ifdef RULE_7_NO_GRACE
#define WAITS takes
#else
#ifdef RULE_3_NO_GRACE
#define WAITS (stage == WAIT_FLUSH)
#else
#define WAITS (takes || wraps)
#endif
#endif

#ifdef RULE_4_ZAPS_BEFORE_GRACE
#define ZAPS_NOW skip
#else
#define ZAPS_NOW ept_zap_present()
#endif

#ifdef RULE_4_RETURNS_EARLY
#define AFTER_ZAP FINISH
#else
#define AFTER_ZAP WAIT_FLUSH
#endif

#ifdef RULE_3_KICK_COMPLETES
#define KICKED false
#else
#define KICKED abandoned
#endif

/* Once its round has passed. */
inline next_stage() {
	if
	:: stage == WAIT_GRACE && zaps && !KICKED ->
		ZAPS_NOW;
#ifdef RULE_4_NO_FLUSH
		stage = FINISH
#else
		request_flush();
		stage = AFTER_ZAP
#endif
	:: atomic { !(stage == WAIT_GRACE && zaps) && !KICKED -> stage = FINISH }
	:: KICKED
	fi
}

/*
 * What of a commit has to wait; rules 3, 4 and 7 give the order. Then it returns, and releases what it removed. A kick
 * ends the wait: when it is called again, it goes on with the stage that it was in.
 */
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
	do
	:: stage != FINISH && !KICKED && WAITS -> grace_wait(edit_round); next_stage()
	:: stage != FINISH && !KICKED && !WAITS -> next_stage()
	:: stage == FINISH || KICKED -> break
	od;
	if
	:: wraps && !KICKED -> finish_wrap()
	:: else
	fi;
	release_steps()
}

inline release_steps() {
	atomic {
		if
		:: takes && !KICKED ->
			NEVER(callback_outlives, callback[0] == removes || callback[1] == removes);
			released[removes] = true
		:: else
		fi;
		if
		:: KICKED
		:: else ->
			takes = false;
			zaps = false;
			wraps = false;
			removes = 0;
			stage = WAIT_GRACE;
			edit_round = 0
		fi
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
