/* SPDX-License-Identifier: MIT */
/*
 * A PC as guest/pc runs it, with its board and map, on vCPUs that are scripts: the library's functions of vCPUs are
 * this file's, and time is a number that passes only when a script computes or a CPU idles.
 */
#ifndef UNIT_PC_GUEST_H
#define UNIT_PC_GUEST_H

#include "guest/pc/pc.h"
#include <trapline.h>

enum pc_op_kind {
	OP_STOP,    /* the exit `reason`, with `value` for why */
	OP_COMPUTE, /* for `value` ticks; FOREVER */
	OP_OUT,     /* a byte */
	OP_IN,      /* a byte, which has to be `value` */
	OP_HLT,
	OP_STI,
	OP_CLI,
	OP_APIC_ON, /* software-enables it */
	OP_TIMER,   /* its timer once, after `value` ticks with the vector `where` */
	OP_SEND,    /* the interrupt command `value` to the APIC `where` */
	OP_APIC,    /* a store of `value` to the register at `where` */
	OP_IO_APIC, /* the same by its window */
	OP_MSR,     /* WRMSR */
	OP_READY,   /* counts pc_ready, which a script of another vCPU may await */
	OP_AWAIT,   /* computes until pc_ready is `value` */
	OP_VMCALL,
	OP_JUMP, /* to the op number `value` */
};

struct pc_op {
	enum pc_op_kind kind;
	uint64_t where, value;
};

#define FOREVER UINT64_MAX

enum { PC_EXIT = 0xF4, PIT_COUNTER = 0x40, PIT_CONTROL = 0x43 };
/* Of the local APIC: registers, what is written there, and a vector for tests. */
enum { TIMER = 0x320, LINT0 = 0x350, COUNT = 0x380, PERIODIC = 1 << 17, TSC_DEADLINE = 1 << 18, EXTINT = 7 << 8 };
enum { SEND_NMI = 4 << 8, SEND_INIT = 5 << 8, SEND_STARTUP = 6 << 8, VECTOR = 0x51 };

/* At most so many; the TSC's rate; the ticks that a script computes between looks at what it was kicked for. */
enum { PC_SCRIPTS = 4, PC_TAKEN = 64, PC_HZ = 1000000000, PC_STEP = 100 };

/* An interrupt or NMI that a vCPU took, and when, in guest time. */
struct pc_taken {
	unsigned vector;
	uint64_t at;
};

struct pc_script {
	const struct pc_op *ops; /* of the first vCPU; of others what `started` names: at vector << 4 */
	unsigned starts;         /* by SIPI, and */
	uint8_t vector;          /* the last one's */
	struct pc_taken taken[PC_TAKEN];
	unsigned nr_taken;
	unsigned turns;       /* how often it was left by a deadline, a budget or a kick */
	uint64_t ran;         /* ticks */
	uint64_t refuse_nmis; /* so many injections find an event queued */
	bool saw_vmcall;      /* it was answered as a call that there is none */
	/* What the library was told of its local APIC. */
	const struct tl_apic *apic;
	enum tl_apic_mode apic_mode;
	uint64_t apic_at;
};

extern struct pc_script pc_script[PC_SCRIPTS];
extern const struct pc_op *pc_started[256]; /* what a SIPI with this vector starts */
extern const struct pc_op *pc_reset;        /* what a reset does, of a guest that brings its firmware */
extern _Atomic unsigned pc_ready;
extern uint32_t pc_apic_features; /* what the CPU serves of local APICs; at first nothing */
/* Told of each OP_READY, before it counts; NULL: not. */
extern void (*pc_on_ready)(struct pc *pc, unsigned count);
extern _Atomic uint64_t pc_ticks; /* the host's TSC */
extern char pc_printed[256];
extern const char *pc_typed;
extern unsigned pc_idles; /* how often a CPU has halted until a time */

struct pc_case {
	unsigned vcpus, cpus;
	uint64_t timeout, slice;
	bool exits;                 /* the word */
	unsigned expect;            /* enum guest_ending */
	struct load_image firmware; /* instead of an image that is loaded; of size 0: none */
	const struct load_module *modules;
	unsigned nr_modules;
};

/* A setup: no script does anything. */
int pc_scripts_start(void **context);

/* Runs it to its end; the first vCPU's script is `ops`. */
struct guest_report pc_play(const struct pc_case *how, const struct pc_op *ops);

/* Fails with the reason unless it ended as expected. */
void pc_passes(const struct guest_report *report);

/* The fixture's own: who runs. */
void pc_vcpus_forget(void);

enum { MILLISECOND = PC_HZ / 1000, SHORTLY = 10000, PC_IMAGE_AT = 0x10000 };

#endif
