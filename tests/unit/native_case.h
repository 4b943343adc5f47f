/* SPDX-License-Identifier: MIT */
/*
 * One form with one set of operands, executed by the CPU and by an emulation, and compared: registers, flags, memory,
 * the exception.
 */
#ifndef UNIT_NATIVE_CASE_H
#define UNIT_NATIVE_CASE_H

#include "tests/unit/native.h"
#include "tests/unit/native_form.h"

struct native_case {
	const struct native_form *form;
	uint8_t bytes[FORM_BYTES];
	struct insn insn;
	uint64_t rip;     /* of the instruction */
	uint64_t operand; /* the memory operand's address, in native_memory */
	/* The state before; the emulation's after; the CPU's after. */
	uint64_t gpr[INSN_NR_GPRS], rflags;
	uint64_t emulated_gpr[INSN_NR_GPRS], emulated_rflags;
	uint64_t emulated_rip;
	int emulated_fault; /* a vector or NATIVE_NO_FAULT */
	uint32_t emulated_error;
	struct native cpu;
};

/* What native_memory holds in the emulation's world. NULL if the bytes are not all in it. */
uint8_t *native_mirror(uint64_t address, unsigned size);
/* Makes it NATIVE_MEMORY_BYTES at `memory` from now on. */
void native_mirror_at(uint8_t *memory);
/* Whether all of native_memory is what the emulation made of it. */
bool native_mirror_holds(void);
/* Makes it so, where the emulation need not do what the CPU did. */
void native_mirror_take(void);

/* 0, 1, -1, the least and the greatest of some size, a number of bits, a small number, or anything. */
uint64_t random_operand(void);

/*
 * Makes random registers, flags, immediate and operand, and the registers or the displacement such that the operand is
 * in native_memory. false: these bytes cannot reach it.
 */
bool native_case_begin(struct native_case *c, const struct native_form *form);

/* Gives the operand, or what is at an address, other bytes, in both worlds. */
void native_case_set_memory(const struct native_case *c, const void *value, unsigned size);
void native_set_memory(uint64_t address, const void *value, unsigned size);

/* Gives the instruction another immediate, of `size` bytes. */
void native_case_set_immediate(struct native_case *c, uint64_t value, unsigned size);

/* Executes it on the CPU. */
void native_case_run(struct native_case *c);

/*
 * Executes a form that the decoder calls invalid, with all registers pointing at memory, unless native_extends(). A
 * failure if it was not #UD; true if it was.
 */
bool native_invalid_run(const struct native_form *form);

/*
 * Compares, without what is undefined (native_undefined.h). Differences are printed, the first few of each operation.
 * At the end native_case_failures() must be 0.
 */
void native_case_compare(struct native_case *c);
/* The same of an emulation that knows RIP and error codes, and with all of memory. */
void native_case_compare_all(struct native_case *c);
void native_case_fail(const struct native_case *c, const char *what);
/* Since the last call. */
unsigned long native_case_failures(void);

#endif
