/* SPDX-License-Identifier: MIT */
/*
 * What is remembered between accesses of the same instruction, or to the same page: instructions, code pages, data
 * pages. None is ever flushed for what the guest does to its memory: each use compares the guest's own words with what
 * they were. All hold pointers into guest RAM, and are forgotten when the map's ram_generation changes.
 */
#ifndef VMX_DECODE_CACHE_H
#define VMX_DECODE_CACHE_H

#include "mmio/alu.h"
#include "mmio/emulate.h"
#include "mmio/fetch.h"
#include "vmx/vcpu.h"

/*
 * Added to a data page's CS access rights where an unaligned access may fault: at CPL 3 with CR0.AM, if RFLAGS.AC is
 * set, which the guest does without an exit. So the hot way does not find the page.
 */
#define CHECKS_ALIGNMENT BIT(63)

/* RBX, RBP, R12 to R15: C preserves them, so an exit that changes none leaves them in the CPU. */
#define PRESERVED_BY_C (BIT(TL_RBX) | BIT(TL_RBP) | BITS(TL_R15, TL_R12))

/* 64-bit guests loop over some dozens of MMIO instructions; a few low bits of RIP alone thrash. */
ALWAYS_INLINE struct decoded *decode_cache_find(struct tl_vcpu *vcpu, uint64_t rip)
{
	return &vcpu->decoded[(rip ^ rip >> 7) & (DECODE_CACHE_SIZE - 1)];
}

ALWAYS_INLINE struct translated *data_cache_find(struct tl_vcpu *vcpu, gva_t linear)
{
	return &vcpu->data[linear >> PAGE_SHIFT & (DATA_CACHE_SIZE - 1)];
}

ALWAYS_INLINE struct translated *code_cache_find(struct tl_vcpu *vcpu, uint64_t rip)
{
	return &vcpu->code[rip >> PAGE_SHIFT & (CODE_CACHE_SIZE - 1)];
}

/* A program's pages have at most one each. */
ALWAYS_INLINE struct straddling *straddling_find(struct tl_vcpu *vcpu, uint64_t rip)
{
	return &vcpu->straddling[rip >> PAGE_SHIFT & (STRADDLING_CACHE_SIZE - 1)];
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

ALWAYS_INLINE bool decoded_holds(const struct decoded *d, uint64_t rip, uint64_t cr3, uint64_t cs_access)
{
	return likely(d->rip == rip) && likely(d->cr3 == cr3) && likely(d->cs_access == cs_access) &&
	       likely(walk_holds(&d->walk)) && likely((code_word(d->words) & d->mask[0]) == d->bytes[0]) &&
	       likely(d->insn.length <= 8 || (code_word(d->words + 8) & d->mask[1]) == d->bytes[1]);
}

/* Whether two whole words are as they were, as far as the mask goes. */
ALWAYS_INLINE bool words_hold(const uint8_t *words, const uint64_t bytes[2], const uint64_t mask[2])
{
	return likely((code_word(words) & mask[0]) == bytes[0]) && likely((code_word(words + 8) & mask[1]) == bytes[1]);
}

/* The same as decoded_holds(), of two pages. */
ALWAYS_INLINE bool straddling_holds(const struct straddling *s, uint64_t rip, uint64_t cr3, uint64_t cs_access)
{
	const struct decoded *d = &s->decoded;

	return likely(d->rip == rip) && likely(d->cr3 == cr3) && likely(d->cs_access == cs_access) &&
	       likely(walk_holds(&d->walk)) && likely(walk_holds(&s->walk)) &&
	       words_hold(d->words, d->bytes, d->mask) && words_hold(s->words, s->bytes, s->mask);
}

/* Whether the page of `linear` is that of the entry, by what was walked before. */
ALWAYS_INLINE bool translated_holds(const struct translated *t, gva_t linear, uint64_t cr3, uint64_t cs_access)
{
	return likely(t->linear == (linear & ~(PAGE_SIZE - 1))) && likely(t->cr3 == cr3) &&
	       likely(t->cs_access == cs_access) && likely(walk_holds(&t->walk));
}

/* Whether two whole words can be read from `rip` on: what is behind its page need not be memory. */
ALWAYS_INLINE bool words_fit(uint64_t rip)
{
	return (rip & (PAGE_SIZE - 1)) <= PAGE_SIZE - 16;
}

/*
 * Remembers the instruction d->insn, just decoded from `bytes` (16, those from insn.length on do not matter) at `rip`
 * on the code page `page`. The second is for one that ends on its page, wherever.
 */
void decode_cache_fill(struct decoded *d, uint64_t rip, const struct translated *page, const uint8_t bytes[16]);
void decode_cache_fill_at_end(struct decoded *d, uint64_t rip, const struct translated *page, const uint8_t bytes[16]);

/*
 * Remember a translation of 64-bit code, or by it, if nothing but the tables and the key decides it. Of code that was
 * fetched, the instruction as well: in `d`, or with its two pages; NULL if it is not kept.
 */
struct decoded *fetched_keep(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip, uint64_t cr3, uint64_t cs_access,
			     const struct fetch *fetch, const struct insn *insn);
void data_cache_fill(struct tl_vcpu *vcpu, gva_t linear, uint64_t cr3, uint64_t cs_access, bool write,
		     const struct guest_walk *walk);

/* Of a store or a TEST. */
ALWAYS_INLINE uint64_t plain_store_value(const struct tl_vcpu *vcpu, const struct decoded *d)
{
	/* One of the two is 0: what has a register has no immediate, and the reverse. */
	return (vcpu->gpr[d->insn.reg] & d->mask_of_operand) | d->insn.imm;
}

/* A plain access to exit_gpa in exit_range, of kind MAP_MMIO: whether the device did its part. */
ALWAYS_INLINE bool plain_access_device(struct tl_vcpu *vcpu, const struct decoded *d, uint64_t data)
{
	const struct map_range *range = vcpu->exit_range;
	struct tl_mmio *access = &vcpu->access;

	access->gpa = vcpu->exit_gpa;
	access->offset = vcpu->exit_gpa - range->start;
	access->data = data;
	__builtin_memcpy((uint8_t *)access + offsetof(struct tl_mmio, size), &d->shape, sizeof(d->shape));
	access->context = range->context;
	return likely(range->access(access) == TL_OK);
}

/* What a PLAIN_ALU does with what was read. */
static inline void plain_alu_execute(struct tl_vcpu *vcpu, const struct decoded *d, uint64_t *rflags)
{
	uint64_t memory[2] = {vcpu->access.data & d->mask_of_operand, 0};

	alu_execute(&d->insn, vcpu->gpr, rflags, memory);
}

#endif
