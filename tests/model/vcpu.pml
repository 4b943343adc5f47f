/* SPDX-License-Identifier: MIT */
/* vmx/run.c, vmx/exit.c, vmx/exit_ept.c, mmu/mmu.c: a vCPU, its guest, and its exits. */

/* Rule 1: the exit's only load of the pointer. */
inline exit_reads_map() {
	NEVER(enters_owing, pending);
	holds[v] = vm_map;
	answers_since[v] = 1 << page_is
}

#define SNAPSHOT map[holds[v]]

#ifdef RULE_7_FRESH_WHILE_OFF
#define HAS_TAGS true
#else
#define HAS_TAGS SNAPSHOT.stamping
#endif

/*
 * The entry is read once and is a value. Fresh: its tag says who answers. Otherwise the snapshot is searched. (A slot
 * without a device has the tag that no entry has, MAP_NO_SPTE.)
 */
inline check_mmio_spte() {
	seen_kind = entry_kind;
	seen_id = entry_id;
	seen_tag = entry_tag;
	seen_memory = entry_memory;
	if
	:: seen_kind == MMIO && HAS_TAGS && SNAPSHOT.tag_of[seen_id] == seen_tag &&
		(seen_id == HOLE || SNAPSHOT.device != 0) ->
		NEVER(tag_repeats, SNAPSHOT.made_at[seen_id] != entry_made_at);
		fresh = true;
		answer = seen_id
	:: else -> answer = SNAPSHOT.page
	fi
}

#define UNCHANGED \
	(entry_kind == seen_kind && entry_id == seen_id && entry_tag == seen_tag && entry_memory == seen_memory)

#ifdef RULE_1_REREADS_TAG
#define STAMP map[vm_map]
#else
#define STAMP SNAPSHOT
#endif

/* Rule 5: by compare-and-exchange, and no MMIO entry over a present one. The tag is the snapshot's (rule 1). */
inline mark_mmio_spte() {
	if
#ifdef RULE_5_PLAIN_STORE
	:: seen_kind != PRESENT -> install_mmio()
#else
#ifdef RULE_5_OVER_PRESENT
	:: UNCHANGED -> install_mmio()
#else
	:: seen_kind != PRESENT && UNCHANGED -> install_mmio()
#endif
#endif
	:: else
	fi
}

inline install_mmio() {
	NEVER(mmio_over_present, entry_kind == PRESENT);
	entry_kind = MMIO;
	entry_id = answer;
	entry_tag = STAMP.tag_of[answer];
	entry_made_at = STAMP.made_at[answer];
	entry_memory = 0
}

inline map_memory() {
	if
	:: UNCHANGED ->
		entry_kind = PRESENT;
		entry_id = 0;
		entry_tag = 0;
		entry_made_at = 0;
		entry_memory = SNAPSHOT.memory
	:: else
	fi
}

/* Searches; leaves what it found in the EPT, unless a wrap is under way (rule 7). */
inline mmu_fault() {
	if
	:: answer == MEMORY -> map_memory()
	:: answer != MEMORY && SNAPSHOT.stamping -> mark_mmio_spte()
	:: else
	fi
}

/* The callback has returned, and nothing of the snapshot is used any more. */
inline let_go() {
	callback[v] = 0;
	at = holds[v];
	holds[v] = NONE;
	answers_since[v] = 0;
	fresh = false;
	seen_kind = 0;
	seen_id = 0;
	seen_tag = 0;
	seen_memory = 0;
	answer = 0;
	forget_contents(at);
	at = 0
}

#ifdef RULE_1_REREADS_MAP
#define DISPATCHED map[vm_map]
#else
#define DISPATCHED SNAPSHOT
#endif

/* Rule 8: a callback may change the map. The commit is published, and completed after the instruction (rule 3). */
inline callback_commits() {
	publish_edit();
	again = false;
	pending = takes || wraps;
#ifdef RULE_3_WAITS_IN_CALLBACK
	if
	:: pending -> is_vcpu = false; map_complete(); is_vcpu = true; pending = false
	:: else
	fi
#endif
}

/* By what the snapshot says, and nothing else. */
inline dispatch() {
	NEVER(wrong_answer, !(answers_since[v] & (1 << answer)));
	if
	:: answer == DEVICE ->
		callback[v] = DISPATCHED.device;
		NEVER(null_dispatch, callback[v] == 0);
		NEVER(stale_dispatch, released[callback[v]])
	:: else
	fi
}

/* The CPU translates by what it has cached, else by the EPT, and may cache that. */
inline guest_accesses() {
	if
	:: tlb[cpu] != 0
	:: else -> tlb[cpu] = entry_memory
	fi;
	NEVER(enters_owing, pending);
	NEVER(stale_access, released[tlb[cpu]])
}

/* With MIGRATES a vCPU may run on either CPU, another one each time. */
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

/* Without ACCESSES the guest makes as many as it likes. */
#ifdef ACCESSES
#define MAY_ACCESS (accesses_left > 0)
#define COUNT      accesses_left--
#define IS_DONE    (writers_done == WRITERS && !pending && accesses_left == 0)
#else
#define MAY_ACCESS true
#define COUNT      skip
#define IS_DONE    (writers_done == WRITERS && !pending)
#endif

#ifdef LEAVES
#define MAY_LEAVE true
#else
#define MAY_LEAVE IS_DONE
#endif

#ifdef RULE_3_KICK_FORGETS
#define OWES false
#else
#define OWES abandoned
#endif

/* Nothing is called for the hole, nor for memory that was mapped. */
#define SERVED \
	if \
	:: callback[v] != 0 -> goto in_callback \
	:: else -> let_go(); goto guest \
	fi

proctype vcpu(byte v) {
	TRANSACTION;
	byte cpu, announced, seen_round;
	byte seen_kind, seen_id, seen_tag, seen_memory, answer;
	bit fresh, pending, is_vcpu = true;
#ifdef ACCESSES
	byte accesses_left = ACCESSES;
#endif

enter: /* tl_vcpu_run() */
	atomic {
		if
		:: IS_DONE -> goto done
		:: else -> take_cpu()
		fi
	};
	grace_enter();
#ifndef RULE_3_ENTERS_OWING
	if
	:: pending -> goto attention
	:: else
	fi;
#endif

guest:
	STORE_IN_GUEST(1);
	if
	:: atomic { MAY_ACCESS && (tlb[cpu] != 0 || entry_kind == PRESENT) -> COUNT; guest_accesses(); goto guest }
	/* An EPT misconfiguration or violation; of a present entry, one of its rights. */
	:: atomic { MAY_ACCESS && tlb[cpu] == 0 -> COUNT; STORE_IN_GUEST(0); exit_reads_map() }
	/* A kick, or the compare of vcpu_before_entry(). */
	:: announced != round -> grace_announce(); goto guest
	:: atomic { MAY_LEAVE -> goto leave }
	fi;

	/* exit_ept_misconfig(), exit_ept_violation() */
	atomic {
		check_mmio_spte();
		if
		:: fresh -> dispatch(); SERVED
		/* It was mapped meanwhile: the guest runs again. */
		:: seen_kind == PRESENT && answer == MEMORY -> let_go(); goto guest
		:: else
		fi
	};
	atomic {
		mmu_fault();
		if
		:: answer == MEMORY
		:: else -> dispatch()
		fi;
		SERVED
	};

in_callback:
	if
	:: atomic { callback_commits_left > 0 && !pending -> callback_commits_left-- };
		callback_commits();
		atomic {
			let_go();
			if
			:: pending
			:: else -> goto guest
			fi
		}
	:: atomic {
			true -> let_go();
			if
			:: pending
			:: else -> goto guest
			fi
		}
	fi;

attention: /* vcpu_attention(): a kick that ended the wait leaves to the embedder, and the next run goes on with it */
	map_complete();
	pending = OWES;
	grace_announce();
	if
	:: abandoned -> abandoned = false; goto leave
	:: else -> goto guest
	fi;

leave:
	grace_leave();
	goto enter;

done:
	skip
}
