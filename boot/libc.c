/* SPDX-License-Identifier: MIT */
#include "boot/libc.h"

#include <stdint.h>

/* Eight bytes of whatever they belong to, wherever they lie. */
typedef uint64_t any_word __attribute__((may_alias, aligned(1)));

/*
 * Upwards by string instructions: an emulator counts eight bytes of REP MOVSQ as one instruction. The empty asm
 * statements keep a compiler from seeing that a loop is the very function that it stands in, and calling that.
 */
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	void *d = to;
	const void *s = from;
	size_t count = size / 8;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
	count = size % 8;
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *d = (unsigned char *)to + size;
	const unsigned char *s = (const unsigned char *)from + size;

	/* Unsigned: also true when `to` lies below `from`. */
	if ((uintptr_t)to - (uintptr_t)from >= size)
		return memcpy(to, from, size);
	/* Downwards. Not by the string instructions, which silicon does a byte at a time in this direction. */
	for (; size >= 8; size -= 8) {
		uint64_t word;

		__asm__("" : "+r"(size));
		d -= 8;
		s -= 8;
		word = *(const any_word *)s;
		*(any_word *)d = word;
	}
	for (; size; size--) {
		__asm__("" : "+r"(size));
		*--d = *--s;
	}
	return to;
}

void *memset(void *to, int value, size_t size)
{
	void *d = to;
	size_t count = size / 8;
	uint64_t pattern = (uint8_t)value * 0x0101010101010101u;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(count) : "a"(pattern) : "memory");
	count = size % 8;
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(count) : "a"(pattern) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *p = a, *q = b;

	for (size_t i = 0; i < size; i++)
		if (p[i] != q[i])
			return p[i] - q[i];
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i])
			return (unsigned char)a[i] - (unsigned char)b[i];
		if (!a[i])
			break;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *text, int c)
{
	for (;; text++) {
		if (*text == (char)c)
			return (char *)(uintptr_t)text;
		if (!*text)
			return NULL;
	}
}
