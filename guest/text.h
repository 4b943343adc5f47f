/* SPDX-License-Identifier: MIT */
/* Small text work: sentences into a buffer, words and numbers out of a string. Pure C. */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes a sentence into `buffer` of `size` bytes (at least 1), cut off where it does not fit, always ended by NUL.
 * Conversions: %s %c %u %x %lu %lx %%, with a width, which '0' in front fills with zeros.
 */
void text_format(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

bool text_equal(const char *a, const char *b);

/* The rest of `text` after `prefix`; NULL if it does not begin so. */
const char *text_after(const char *text, const char *prefix);

/*
 * Copies the next word of *cursor (words are separated by blanks and control characters) into `word` and moves *cursor
 * behind it. False at the end of the text. A word that does not fit is cut to size - 1 bytes, which no known word has.
 */
bool text_next_word(const char **cursor, char *word, size_t size);

/* A whole string as a number, decimal or 0x hexadecimal. False, and *value unchanged, if it is none or too large. */
bool text_number(const char *text, uint64_t *value);

/* The same with K, M or G (times 1024, 1024^2, 1024^3) behind the digits. */
bool text_size(const char *text, uint64_t *value);

#endif
