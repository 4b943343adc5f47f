/* SPDX-License-Identifier: MIT */
/* Which word was meant. Pure C. */
#ifndef GUEST_NEAREST_H
#define GUEST_NEAREST_H

#include <stddef.h>

enum { NEAREST_LENGTH = 24 /* longer words are near nothing */ };

/* The letters to change, put in, leave out, or swap with the next one, to make `to` of the first `length` of `from`. */
unsigned nearest_distance(const char *from, size_t length, const char *to);

/* So many changes make another word of one of `length` letters: more than half of them. */
unsigned nearest_limit(size_t length);

#endif
