/* SPDX-License-Identifier: MIT */
/*
 * Rules 14 to 18, for spin: interrupts that CPUs post to a vCPU while it enters its guest, exits, halts, sleeps and goes
 * to another CPU; and the CPU's own processing of what was posted.
 *
 * Each poster has a vector of its own, and so have the vCPU's own callback and a level-triggered line. A step that
 * others can see is one statement, or one `atomic`: PIR's words are taken one by one. The inlines have the names of the
 * functions they stand for; switches are as in trapline.pml. An interrupt is lost where nobody can go on, the vCPU in
 * its guest or asleep, and it is still requested.
 */
#define VECTORS 4 /* of both posters, of the callback, of the line */
#define OWN     2
#define LINE    3

#ifndef POSTS
#define POSTS 2 /* of the first poster, and of the other one */
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifndef EXITS
#define EXITS 2
#endif
#ifndef OWN_POSTS
#define OWN_POSTS 0
#endif
#ifndef LEVELS
#define LEVELS 0
#endif

/* Of what is not sent in a case nothing has to be taken. */
#if LEVELS > 0
#define SENT VECTORS
#elif OWN_POSTS > 0
#define SENT LINE
#else
#define SENT OWN
#endif

bit pir[VECTORS], on;   /* the descriptor */
bit irr[VECTORS];       /* what waits beside it: local_apic.irr */
bit tmr, page_tmr;      /* of the line's vector: for who sends, and in the page and the EOI-exit bitmap */
bit virr[VECTORS];      /* the page's */
bit in_run, asleep, woken;
byte runs_on;
bit notified[2], kicked[2]; /* interrupts that wait at a CPU's local APIC */
bit posts;                  /* the control, as the guest was entered with it */

bit interrupt_lost;  /* it is requested, and nobody will tell of it */
bit step_delivers;   /* in a step by the trap flag */
bit level_unnoticed; /* delivered before its EOI is known to exit */

#define NEVER(name, condition) name = (condition); assert(!name)

#define IS_PIR  (pir[0] || pir[1] || pir[OWN] || pir[LINE])
#define IS_IRR  (irr[LINE])
#define IS_VIRR (virr[0] || virr[1] || virr[OWN] || virr[LINE])

#ifdef RULE_17_PIR_NOT_COUNTED
#define PENDING (IS_IRR || IS_VIRR)
#else
#define PENDING (IS_PIR || IS_IRR || IS_VIRR)
#endif

/* ---- Who posts --------------------------------------------------------------------------------------------------- */

#ifdef RULE_14_REQUEST_AFTER_ON
#define REQUEST_FIRST(vector) skip
#define REQUEST_LAST(vector)  pir[vector] = true
#else
#define REQUEST_FIRST(vector) pir[vector] = true
#define REQUEST_LAST(vector)  skip
#endif

#ifdef RULE_14_LOOKS_BEFORE_ON
#define LOOK_FIRST runs = in_run
#define LOOK_LAST  skip
#else
#define LOOK_FIRST skip
#define LOOK_LAST  runs = in_run
#endif

#ifdef RULE_14_CPU_BEFORE_ON
#define CPU_FIRST to = runs_on
#define CPU_LAST  skip
#else
#define CPU_FIRST skip
#define CPU_LAST  to = runs_on
#endif

#ifdef RULE_17_WAKES_WITH_NOTIFICATION
#define WAKES(was_on) (asleep && !was_on)
#else
#define WAKES(was_on) asleep
#endif

inline wake(was_on) {
	if
	:: atomic { WAKES(was_on) -> woken = true }
	:: else
	fi
}

inline tl_vcpu_post(vector) {
	CPU_FIRST;
	REQUEST_FIRST(vector);
	LOOK_FIRST;
	atomic { was_on = on; on = true };
	REQUEST_LAST(vector);
	LOOK_LAST;
	if
	:: !was_on && runs -> CPU_LAST; notified[to] = true
	:: else
	fi
}

proctype poster(byte vector, left) {
	byte to;
	bit was_on, runs;

	do
	:: left > 0 ->
		left--;
		tl_vcpu_post(vector);
		wake(was_on)
	:: left == 0 -> break
	od
}

/* local_apic_accept() of a level, which is not posted: tl_vcpu_interrupt(). */
proctype line() {
	byte left = LEVELS, to;
	bit was_on, runs;

	do
	:: left > 0 ->
		left--;
		tmr = true;
#ifdef RULE_18_POSTS_LEVELS
		tl_vcpu_post(LINE);
#else
		irr[LINE] = true;
		if
		:: in_run -> to = runs_on; kicked[to] = true
		:: else
		fi;
#endif
		was_on = false;
		wake(was_on)
	:: left == 0 -> break
	od
}

/* ---- The vCPU ---------------------------------------------------------------------------------------------------- */

inline take_pir() {
	at = 0;
	do
	:: at < SENT -> atomic { virr[at] = virr[at] || pir[at]; pir[at] = false; at++ }
	:: at == SENT -> at = 0; break
	od
}

/* apic_settle(): tl_posted_collect(), then what waits beside PIR, and its trigger mode. */
inline collect() {
#ifdef RULE_15_PIR_BEFORE_ON
	if
	:: on -> take_pir(); on = false
	:: else
	fi;
#else
	if
	:: on -> on = false; take_pir()
	:: else
	fi;
#endif
	atomic { virr[LINE] = virr[LINE] || irr[LINE]; irr[LINE] = false; page_tmr = tmr }
}

/* A notification in the guest (SDM vol. 3, 30.6); the CPU does nothing else meanwhile. */
inline process_posted() {
	notified[cpu] = false;
	on = false;
	take_pir()
}

inline deliver() {
	atomic {
		NEVER(step_delivers, !posts);
		NEVER(level_unnoticed, virr[LINE] && !page_tmr);
		virr[0] = false;
		virr[1] = false;
		virr[OWN] = false;
		virr[LINE] = false
	}
}

inline own_callback() {
	if
	:: own_left > 0 ->
		own_left--;
		pir[OWN] = true;
		on = true;
#ifndef RULE_14_CALLBACK_GOES_ON
		attention = true
#endif
	:: true
	fi
}

/* exit_external_interrupt(): the host's handlers take what there is. */
inline interrupt_window() {
	atomic { notified[cpu] = false; kicked[cpu] = false };
#ifndef RULE_16_WINDOW_NOT_COLLECTED
	collect()
#endif
}

#ifdef RULE_16_STEPS_POSTED
#define PROCESSES true
#else
#define PROCESSES posts
#endif

proctype vcpu() {
	byte exits_left = EXITS, own_left = OWN_POSTS, cpu = 0, at;
	bit attention;

begin:
	/* grace_enter(): the CPU's number before in_run. */
#ifdef RULE_16_COLLECTS_BEFORE_IN_RUN
	collect();
#endif
	runs_on = cpu;
	in_run = true;
#ifndef RULE_16_NOT_COLLECTED
#ifndef RULE_16_COLLECTS_BEFORE_IN_RUN
	collect();
#endif
#endif
enter:
	posts = true;
#ifdef STEPS
	if
	:: posts = false
	:: true
	fi;
#endif
guest:
end_guest:
	do
	:: kicked[cpu] || (notified[cpu] && !PROCESSES) -> interrupt_window(); goto enter
	:: notified[cpu] && PROCESSES -> process_posted()
	/* RVI says that there is nothing in a step. */
	:: IS_VIRR && PROCESSES -> deliver()
	:: !posts -> collect(); goto enter
	:: exits_left > 0 -> exits_left--; break
	od;
	if
	/* Served with interrupts off. */
	:: own_callback();
		if
		:: attention -> attention = false; collect()
		:: else
		fi;
		goto enter
	:: interrupt_window(); goto enter
	/* To the embedder, and back here or on another CPU. */
	:: in_run = false; goto outside
	/* exit_hlt() */
	:: true ->
		if
		:: PENDING -> collect(); goto enter
		:: else -> in_run = false; goto sleep
		fi
	fi;
sleep:
#ifdef RULE_17_LOOKS_BEFORE_ASLEEP
	if
	:: PENDING -> goto outside
	:: else -> asleep = true
	fi;
#else
	asleep = true;
	if
	:: PENDING -> asleep = false; goto outside
	:: else
	fi;
#endif
end_asleep:
	woken;
	woken = false;
	asleep = false;
outside:
#ifdef MIGRATES
	if
	:: cpu = 1 - cpu
	:: true
	fi;
#endif
	goto begin
}

/* Interrupts that come to a CPU which does not run the vCPU are the host's, whose handler ends them. */
proctype host() {
end:
	do
	:: atomic { notified[0] && !(in_run && runs_on == 0) -> notified[0] = false }
	:: atomic { notified[1] && !(in_run && runs_on == 1) -> notified[1] = false }
	:: atomic { kicked[0] && !(in_run && runs_on == 0) -> kicked[0] = false }
	:: atomic { kicked[1] && !(in_run && runs_on == 1) -> kicked[1] = false }
	od
}

init {
	atomic {
		run vcpu();
		run host();
		run poster(0, POSTS);
		run poster(1, OTHERS);
#if LEVELS > 0
		run line();
#endif
	};
	timeout;
	atomic {
		NEVER(interrupt_lost, IS_PIR || IS_IRR || IS_VIRR)
	}
}
