/* SPDX-License-Identifier: MIT */
/* What a word of the command line is, and what can be said of it. For cmdline.c, which reads them. */
#ifndef BOOT_CMDLINE_WORDS_H
#define BOOT_CMDLINE_WORDS_H

#include <stddef.h>
#include <stdint.h>

/*
 * What it stores in its field of struct boot_options: a bool, a uint64_t; names go to guests and nr_guests, ranges to
 * ranges and nr_ranges.
 */
enum word_kind {
	WORD_FLAG,   /* name */
	WORD_NUMBER, /* name=N, decimal or 0x and hexadecimal, from low to high */
	WORD_SIZE,   /* the same, a multiple of low, and K, M or G may follow */
	WORD_CHOICE, /* name=one of the choices; stores 1 for the first */
	WORD_EITHER, /* a choice, or a number from low to high, which lies above the choices */
	/* name=CHOICE[,CHOICE...]; stores a mask, bit 0 for the first. Without a value: high, if it is not 0. */
	WORD_SET,
	WORD_NAMES, /* name=NAME[,NAME...]; may be repeated */
	WORD_RANGE, /* name=ADDRESS,SIZE,CHOICE; may be repeated */
};

struct word {
	const char *name;
	enum word_kind kind;
	size_t field;
	uint64_t low, high;
	const char *const *choices; /* NULL behind the last */
	const char *help;
};

/* A piece of the line. */
struct span {
	const char *text;
	size_t length;
};

/* The word with this index; NULL: there are no more. */
const struct word *word_at(size_t index);

/* The word whose name takes the fewest changed letters to become `name`, or NULL: none is near. */
const struct word *word_nearest(struct span name);

/* The same among the choices of a word. */
const char *word_nearest_choice(const struct word *word, struct span name);

/* Prints behind the first `at` characters of a text and returns its new length; what does not fit is cut. */
size_t word_append(char *text, size_t size, size_t at, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* How the word is written. */
size_t word_append_usage(char *text, size_t size, size_t at, const struct word *word);

/* ": " and the choices of a word whose usage is too short for them, or nothing. */
size_t word_append_choices(char *text, size_t size, size_t at, const struct word *word);

#endif
