/* SPDX-License-Identifier: MIT */
/* Why something is refused: one sentence, for a user to read. Pure C. */
#ifndef BOOT_REFUSE_H
#define BOOT_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* Where the sentence goes. */
struct refusal {
	char *text;
	size_t size;
};

/* Writes it, cut to the size, and returns false: what a function that refuses returns. Conversions: print_format(). */
bool refuse(const struct refusal *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
