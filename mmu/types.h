/* SPDX-License-Identifier: MIT */
#ifndef MMU_TYPES_H
#define MMU_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest-physical address */
typedef uint64_t hpa_t; /* host-physical address */
typedef uint64_t gva_t; /* guest-virtual, that is linear, address */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull

#define BIT(n)           (1ull << (n))
#define BITS(high, low)  (((2ull << ((high) - (low))) - 1) << (low))
#define ALIGNED(x, size) (((x) & ((size)-1)) == 0)

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* On the path of a fresh access: the linker puts these functions side by side. */
#define HOT __attribute__((hot))

/* Kept out of line, so that what happens rarely costs the fast path neither a frame nor a cache line. */
#define COLD          __attribute__((cold, noinline))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
