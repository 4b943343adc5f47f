/* SPDX-License-Identifier: MIT */
/*
 * The functions of the C library that boot/ uses, with the C library's own meaning: a hosted build of a file that
 * includes this links with the real ones.
 */
#ifndef BOOT_LIBC_H
#define BOOT_LIBC_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strchr(const char *text, int c);

#endif
