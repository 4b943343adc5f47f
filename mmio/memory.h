/* SPDX-License-Identifier: MIT */
/*
 * Guest memory, as an instruction of the guest accesses it. 2, 4 and 8 bytes go in one access of the CPU, so that an
 * aligned word is whole to whoever looks at it meanwhile (SDM vol. 3, 9.1.1); each byte is accessed once.
 */
#ifndef MMIO_MEMORY_H
#define MMIO_MEMORY_H

#include "mmu/types.h"

struct memory_word {
	uint16_t value;
} __attribute__((packed, may_alias));

struct memory_dword {
	uint32_t value;
} __attribute__((packed, may_alias));

struct memory_qword {
	uint64_t value;
} __attribute__((packed, may_alias));

/* `size`: 1 to 8; the bytes lie on one page. */
ALWAYS_INLINE uint64_t memory_load(const volatile uint8_t *host, unsigned size)
{
	uint64_t value = 0;

	switch (size) {
	case 1:
		return *host;
	case 2:
		return ((const volatile struct memory_word *)host)->value;
	case 4:
		return ((const volatile struct memory_dword *)host)->value;
	case 8:
		return ((const volatile struct memory_qword *)host)->value;
	default:
		for (unsigned i = 0; i < size; i++)
			value |= (uint64_t)host[i] << (8 * i);
		return value;
	}
}

ALWAYS_INLINE void memory_store(volatile uint8_t *host, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		*host = (uint8_t)value;
		break;
	case 2:
		((volatile struct memory_word *)host)->value = (uint16_t)value;
		break;
	case 4:
		((volatile struct memory_dword *)host)->value = (uint32_t)value;
		break;
	case 8:
		((volatile struct memory_qword *)host)->value = value;
		break;
	default:
		for (unsigned i = 0; i < size; i++)
			host[i] = (uint8_t)(value >> (8 * i));
	}
}

#endif
