/* SPDX-License-Identifier: MIT */
/* What the bundled guests share. Each of them is one C file with a main(), started by start.asm. */
#ifndef GUEST_STUBS_LIB_H
#define GUEST_STUBS_LIB_H

#include "guest/abi.h"
#include "guest/multiboot.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The guest's program: 0 if all its checks held. */
int main(const struct mb1_info *info);

/* Where a check fails the guest says so and ends. */
#define CHECK(condition)                                            \
	do {                                                        \
		if (!(condition))                                   \
			lib_failed(__FILE__, __LINE__, #condition); \
	} while (0)
#define CHECK_EQUAL(value, wanted) lib_check_equal((value), (wanted), __FILE__, __LINE__, #value)

_Noreturn void lib_failed(const char *file, unsigned line, const char *condition);
_Noreturn void lib_differs(uint64_t value, uint64_t wanted, const char *file, unsigned line, const char *expression);

static inline void lib_check_equal(uint64_t value, uint64_t wanted, const char *file, unsigned line,
				   const char *expression)
{
	if (__builtin_expect(value != wanted, 0))
		lib_differs(value, wanted, file, line, expression);
}

/* One line for the console. */
void lib_print(const char *text);

/* The same in pieces: {.length = 0} is an empty one; what is too much is cut off. */
struct lib_line {
	char text[ABI_TEXT];
	size_t length;
};
void lib_line_text(struct lib_line *line, const char *text);
void lib_line_number(struct lib_line *line, uint64_t value, unsigned base);
void lib_line_print(const struct lib_line *line);

/* The number behind `name` (with its '=') among the guest's words, or `otherwise`. */
uint64_t lib_number(const struct mb1_info *info, const char *name, uint64_t otherwise);

/* Whether `word` is among the guest's words. */
bool lib_word(const struct mb1_info *info, const char *word);

/* Pseudo-random numbers, the same in every run (xorshift64). */
uint64_t lib_random(void);
/* Below `limit`, which is below 2^32. */
uint32_t lib_random_below(uint32_t limit);

static inline uint64_t vmcall(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t result;

	__asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return result;
}

static inline struct abi_stats lib_stats(void)
{
	struct abi_stats stats;

	CHECK(vmcall(HC_STATS, (uint64_t)&stats, 0, 0, 0) == 0);
	return stats;
}

static inline struct abi_device lib_device(enum abi_device_id id)
{
	struct abi_device device;

	CHECK(vmcall(HC_DEVICE, id, (uint64_t)&device, 0, 0) == 0);
	return device;
}

/* Commits now, outside of any callback. */
static inline uint64_t lib_edit(enum abi_edit edit, enum abi_device_id device, uint64_t operand)
{
	return vmcall(HC_EDIT, edit, device, operand, 0);
}

/* One MOV of each size. What hammer.c does in every form is here in the plainest one. */
#define LIB_ACCESSORS(bits, suffix)                                                            \
	static inline uint##bits##_t read##bits(uint64_t at)                                   \
	{                                                                                      \
		uint##bits##_t value;                                                          \
                                                                                               \
		__asm__ volatile("mov" suffix " (%1), %0" : "=q"(value) : "r"(at) : "memory"); \
		return value;                                                                  \
	}                                                                                      \
	static inline void write##bits(uint64_t at, uint##bits##_t value)                      \
	{                                                                                      \
		__asm__ volatile("mov" suffix " %0, (%1)" : : "q"(value), "r"(at) : "memory"); \
	}

LIB_ACCESSORS(8, "b")
LIB_ACCESSORS(16, "w")
LIB_ACCESSORS(32, "l")
LIB_ACCESSORS(64, "q")

/* The same by size in bytes: 1, 2, 4 or 8. */
uint64_t lib_read(uint64_t at, unsigned size);
void lib_write(uint64_t at, uint64_t value, unsigned size);

/* All ones of a size in bytes. */
static inline uint64_t lib_mask(unsigned size)
{
	return UINT64_MAX >> (64 - 8 * size);
}

/* `size` bytes of ordinary memory as a number, and back. */
uint64_t lib_peek(const uint8_t *memory, unsigned size);
void lib_poke(uint8_t *memory, uint64_t value, unsigned size);

/* A compiler may call these by itself. */
void *memset(void *to, int byte, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t count);

#endif
