/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that another CPU changes at the worst moment: right before an access of the code under test, the word
 * that it is about to read included. The same input gives the same changes at the same accesses: the address sanitizer
 * is asked to call a function for each access (the Makefile says how), and hostile_wrap.c stands in front of it.
 */
#ifndef FUZZ_HOSTILE_H
#define FUZZ_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOSTILE_MAX_CHANGES = 8, HOSTILE_HERE = 0xffff };

struct hostile_change {
	uint8_t after;        /* accesses, counted from the change before */
	uint16_t word;        /* which 8 bytes, modulo the memory; HOSTILE_HERE: those about to be accessed */
	uint64_t value, mask; /* the bits that are replaced */
};

struct hostile {
	uint8_t *memory;
	/* What is there according to the changes alone: where the code under test has written, the two differ. */
	uint8_t *shadow;
	size_t size;
	struct hostile_change change[HOSTILE_MAX_CHANGES];
	unsigned nr_changes;
	/* Counted since hostile_arm(). */
	unsigned long loads, stores, changes;
};

extern struct hostile hostile;

/* Watches accesses from now on, beginning with the first change; goes on after hostile_disarm() where it was. */
void hostile_arm(void);
void hostile_resume(void);
void hostile_disarm(void);

/* Changes bits of memory and shadow now; `word` is taken modulo the memory. */
void hostile_poke(size_t word, uint64_t value, uint64_t mask);

/* Calls `look` for each byte of the memory that is not what the shadow has. */
typedef void (*hostile_look_fn)(size_t at, uint8_t was, uint8_t is, void *context);
void hostile_each_difference(hostile_look_fn look, void *context);

#endif
