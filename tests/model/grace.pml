/* SPDX-License-Identifier: MIT */
/* mmu/grace.c, mmu/running.h: rounds, flushes, and the store buffer that a fence is for. */

#define FIRST_ROUND 1

byte round = FIRST_ROUND;
bit cpu_taken[2];
byte flush_number = 1;
byte flushed[2]; /* by CPU */
byte word[2];
bit in_run[2];
bit in_guest[2]; /* what nobody may rely on */

#ifndef KICKS
#define KICKS 0
#endif
byte kicks_left = KICKS; /* of vCPUs that wait in a commit of theirs */

/*
 * x86 keeps the order of a CPU's stores, but its loads overtake them. With STORE_BUFFERS what a vCPU stores for others to
 * read waits here, and locked instructions wait until it is empty.
 */
#ifdef STORE_BUFFERS
#define WORD     0
#define IN_RUN   1
#define IN_GUEST 2
chan buffer[2] = [2] of { byte, byte };

proctype store_buffer(byte v) {
	byte value;
end:
	do
	:: atomic { buffer[v]?WORD(value) -> word[v] = value; value = 0 }
	:: atomic { buffer[v]?IN_RUN(value) -> in_run[v] = value; value = 0 }
	:: atomic { buffer[v]?IN_GUEST(value) -> in_guest[v] = value; value = 0 }
	od
}

#define STORE_WORD(value)   buffer[v]!WORD(value)
#define STORE_IN_RUN(value) buffer[v]!IN_RUN(value)
#define FENCE               empty(buffer[v])
#define CAN_STORE           nfull(buffer[v])
#else
#define STORE_WORD(value)   word[v] = value
#define STORE_IN_RUN(value) in_run[v] = value
#define FENCE               true
#define CAN_STORE           true
#endif

#ifdef RULE_3_GUEST_IS_QUIESCENT
#define reader_passed(u, of_round) (!in_run[u] || word[u] >= of_round || in_guest[u])
#define STORE_IN_GUEST(value)      buffer[v]!IN_GUEST(value)
#else
#define reader_passed(u, of_round) (!in_run[u] || word[u] >= of_round)
#define STORE_IN_GUEST(value)      skip
#endif

#ifdef RULE_4_FLUSHES_IN_ONE_ROUND
byte flush_round;
#endif

#ifdef RULE_4_FLUSHES_PER_VCPU
byte vcpu_flushed[2];
#define BEHIND (vcpu_flushed[v] != flush_number)
#else
#ifdef RULE_4_FLUSHES_IN_ONE_ROUND
#define BEHIND (flush_round == seen_round)
#else
#define BEHIND (flushed[cpu] != flush_number)
#endif
#endif

/* Each CPU keeps the number that it flushed to, for vCPUs migrate. */
inline flush_if_behind() {
	if
	:: BEHIND ->
		FORGET_CACHED;
		flushed[cpu] = flush_number;
#ifdef RULE_4_FLUSHES_PER_VCPU
		vcpu_flushed[v] = flush_number
#endif
	:: else
	fi
}

/*
 * Rule 4: to announce a round means to have flushed to the number that was raised before it. That the word is stored a
 * little later in truth only keeps writers waiting, so it is stored with the flush.
 */
inline grace_announce() {
#ifdef TLB
	seen_round = round;
#endif
	atomic {
		CAN_STORE ->
#ifndef TLB
		seen_round = round;
#endif
		flush_if_behind();
		STORE_WORD(seen_round);
		announced = seen_round;
		seen_round = 0
	}
}

inline grace_enter() {
#ifdef RULE_3_NO_FENCE
	STORE_IN_RUN(1);
#else
	atomic { FENCE -> in_run[v] = true };
#endif
	grace_announce()
}

inline grace_leave() {
	atomic {
		CAN_STORE ->
		STORE_IN_RUN(0);
		announced = 0;
		cpu_taken[cpu] = false;
		cpu = 0
	}
}

inline grace_raise(to) {
	atomic { round++; to = round }
}

#ifdef RULE_3_WAITS_SILENTLY
#define PASSED(u, of_round) (reader_passed(u, of_round) || (is_vcpu && u == v))
#else
#define PASSED(u, of_round) reader_passed(u, of_round)
#endif

/*
 * A vCPU that waits goes on announcing (rule 3), so that two do not wait for each other; a kick ends its wait. In one
 * look: a reader that has passed fails again only between entering and announcing, where it holds nothing.
 */
inline grace_wait(of_round) {
	do
	:: PASSED(0, of_round) && PASSED(1, of_round) -> break
#ifndef RULE_3_WAITS_SILENTLY
	:: is_vcpu && announced != round -> grace_announce()
#endif
	:: atomic { is_vcpu && kicks_left > 0 -> kicks_left--; abandoned = true; break }
	od
}
