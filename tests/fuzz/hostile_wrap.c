/* SPDX-License-Identifier: MIT */
/*
 * The linker's --wrap puts these in front of the sanitizer's own checks of an access. This file is compiled without the
 * sanitizers, or the functions would call themselves.
 */
#include "tests/fuzz/hostile_wrap.h"

static inline void look(uintptr_t at, bool store)
{
	if (at - hostile_watched.start < hostile_watched.size)
		hostile_accessed(at, store);
}

#define WRAP(name, store)                 \
	void __real_##name(uintptr_t at); \
	void __wrap_##name(uintptr_t at); \
	void __wrap_##name(uintptr_t at)  \
	{                                 \
		look(at, store);          \
		__real_##name(at);        \
	}

#define WRAP_SIZED(name, store)                        \
	void __real_##name(uintptr_t at, size_t size); \
	void __wrap_##name(uintptr_t at, size_t size); \
	void __wrap_##name(uintptr_t at, size_t size)  \
	{                                              \
		look(at, store);                       \
		__real_##name(at, size);               \
	}

WRAP(__asan_load1, false)
WRAP(__asan_load2, false)
WRAP(__asan_load4, false)
WRAP(__asan_load8, false)
WRAP(__asan_load16, false)
WRAP_SIZED(__asan_loadN, false)
WRAP(__asan_store1, true)
WRAP(__asan_store2, true)
WRAP(__asan_store4, true)
WRAP(__asan_store8, true)
WRAP(__asan_store16, true)
WRAP_SIZED(__asan_storeN, true)
