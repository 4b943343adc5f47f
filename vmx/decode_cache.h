/* SPDX-License-Identifier: MIT */
/*
 * What is remembered between accesses of the same instruction, or to the same page. Neither cache is ever flushed for
 * what the guest does: each use compares the guest's own words with what they were. They are keyed by the map's
 * ram_generation, since they hold pointers into guest RAM.
 */
#ifndef VMX_DECODE_CACHE_H
#define VMX_DECODE_CACHE_H

#include "mmio/emulate.h"
#include "mmio/fetch.h"
#include "vmx/vcpu.h"

/* 64-bit guests loop over some dozens of MMIO instructions; a few low bits of RIP alone thrash. */
ALWAYS_INLINE struct decoded *decode_cache_find(struct tl_vcpu *vcpu, uint64_t rip)
{
	return &vcpu->decoded[(rip ^ rip >> 7) & (DECODE_CACHE_SIZE - 1)];
}

ALWAYS_INLINE struct translated *data_cache_find(struct tl_vcpu *vcpu, gva_t linear)
{
	return &vcpu->data[linear >> PAGE_SHIFT & (DATA_CACHE_SIZE - 1)];
}

/* relaxed: guest memory, racing with the guest by nature; a torn walk is one that the guest itself could have seen. */
ALWAYS_INLINE bool walk_holds(const struct walk_check *walk)
{
	return likely(__atomic_load_n(walk->entry[0], __ATOMIC_RELAXED) == walk->value[0]) &&
	       likely(__atomic_load_n(walk->entry[1], __ATOMIC_RELAXED) == walk->value[1]) &&
	       likely(__atomic_load_n(walk->entry[2], __ATOMIC_RELAXED) == walk->value[2]) &&
	       likely(__atomic_load_n(walk->entry[3], __ATOMIC_RELAXED) == walk->value[3]);
}

/* 8 bytes of code, at any alignment. */
ALWAYS_INLINE uint64_t code_word(const uint8_t *host)
{
	uint64_t word;

	__builtin_memcpy(&word, host, sizeof(word));
	return word;
}

ALWAYS_INLINE bool decoded_holds(const struct decoded *d, const struct map *map, uint64_t rip, uint64_t cr3,
				 uint64_t cs_access)
{
	return likely(d->rip == rip) && likely(d->cr3 == cr3) && likely(d->ram_generation == map->ram_generation) &&
	       likely(d->cs_access == cs_access) && likely(walk_holds(&d->walk)) &&
	       likely((code_word(d->host) & d->mask[0]) == d->bytes[0]) &&
	       likely(d->insn.length <= 8 || (code_word(d->host + 8) & d->mask[1]) == d->bytes[1]);
}

/* Whether `linear` translates to `gpa`, by what was walked before. */
ALWAYS_INLINE bool translated_holds(const struct translated *t, const struct map *map, gva_t linear, gpa_t gpa,
				    uint64_t cr3, uint64_t cs_access)
{
	return likely(t->page == linear >> PAGE_SHIFT) && likely(t->linear_xor_gpa == (linear ^ gpa)) &&
	       likely(t->cr3 == cr3) && likely(t->ram_generation == map->ram_generation) &&
	       likely(t->cs_access == cs_access) && likely(walk_holds(&t->walk));
}

/* Remembers an instruction of 64-bit code, if it can be verified cheaply. */
void decode_cache_fill(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cr3, uint64_t cs_access, const struct fetch *fetch,
		       const struct insn *insn);

/* Remembers a translation, if nothing but the tables and the key decides it. */
void data_cache_fill(struct tl_vcpu *vcpu, gva_t linear, uint64_t cr3, uint64_t cs_access, bool write,
		     const struct guest_walk *walk);

#endif
