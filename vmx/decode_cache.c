/* SPDX-License-Identifier: MIT */
#include "vmx/decode_cache.h"
#include "vmx/cr.h"
#include "vmx/exit.h"

#define CS_CODE_CONFORMING (BIT(3) | BIT(2))
#define PTE_USER           BIT(2)

/* A conforming segment's DPL is not the CPL, which is part of the key. */
static bool cpl_is_in(uint64_t cs_access)
{
	return (cs_access & CS_CODE_CONFORMING) != CS_CODE_CONFORMING;
}

static void keep_walk(struct walk_check *check, const struct guest_walk *walk)
{
	for (unsigned i = 0; i < 4; i++) {
		check->entry[i] = walk->entry[i];
		check->value[i] = walk->value[i];
	}
}

/* Whether alu_execute() does all of it: one read of up to 8 bytes, at an address that ModRM gives, and no fault. */
static bool is_plain_alu(const struct insn *insn)
{
	if (insn_unit(insn) != UNIT_ALU || insn->access != INSN_READ || insn->memory_size > 8 || insn->reg2 == TL_RSP)
		return false;
	switch (insn->op) {
	case INSN_BT:
		return insn->source == SOURCE_IMMEDIATE;
	case INSN_DIV:
	case INSN_IDIV:
	case INSN_BOUND:
	case INSN_XLAT:
		return false;
	default:
		return true;
	}
}

/* Which short way the instruction may go: a flat segment, 64-bit addresses, no RSP. */
static enum decoded_plain plain_kind(const struct insn *insn)
{
	if (insn->segment == TL_FS || insn->segment == TL_GS || insn->address_size != 8 || insn->base == TL_RSP ||
	    insn->reg == TL_RSP)
		return PLAIN_NOT;
	switch (insn->op) {
	case INSN_LOAD:
		if (insn->register_size < 4)
			return PLAIN_ALU;
		return PRESERVED_BY_C >> insn->reg & 1 ? PLAIN_LOAD_RELOAD : PLAIN_LOAD;
	case INSN_LOAD_SX:
		return PLAIN_ALU;
	case INSN_STORE:
		return insn->high_byte ? PLAIN_NOT : PLAIN_STORE;
	case INSN_STORE_IMM:
		return PLAIN_STORE_IMM;
	case INSN_TEST:
		return insn->high_byte ? PLAIN_ALU : PLAIN_TEST;
	default:
		return is_plain_alu(insn) ? PLAIN_ALU : PLAIN_NOT;
	}
}

HOT void decode_cache_fill(struct decoded *d, uint64_t rip, const struct translated *page, const uint8_t bytes[16])
{
	const struct insn *insn = &d->insn;
	uint64_t mask = insn_mask[insn->length < 8 ? insn->length : 8];

	d->rip = rip;
	d->follows = FOLLOWS_UNSEEN;
	d->cr3 = page->cr3;
	d->cs_access = page->cs_access;
	d->host = page->host + (rip & (PAGE_SIZE - 1));
	d->words = d->host;
	d->walk = page->walk;
	__builtin_memcpy(d->code, bytes, sizeof(d->code));
	d->mask[0] = mask;
	d->bytes[0] = code_word(bytes) & mask;
	if (unlikely(insn->length > 8)) {
		d->mask[1] = insn_mask[insn->length - 8];
		d->bytes[1] = code_word(bytes + 8) & d->mask[1];
	}
	insn_bind(&d->insn, rip);
	d->plain = plain_kind(insn);
	d->end_offset = 0;
	if (unlikely(d->plain == PLAIN_NOT))
		return;
	d->end_offset = PAGE_SIZE - insn->memory_size + 1;
	d->mask_of_operand = insn_mask[insn->memory_size];
	d->index_factor = BIT(insn->scale);
	/* .write follows .size. */
	d->shape = insn->memory_size | (uint64_t)insn_is_write(insn) << 32;
}

/* Moves what is compared up by `count` bytes, 1 to 7, and with it the words down. */
static void move_words(struct decoded *d, unsigned count)
{
	unsigned shift = 8 * count;

	d->words = d->host - count;
	if (d->insn.length > 8) {
		d->mask[1] = d->mask[1] << shift | d->mask[0] >> (64 - shift);
		d->bytes[1] = d->bytes[1] << shift | d->bytes[0] >> (64 - shift);
	}
	d->mask[0] <<= shift;
	d->bytes[0] <<= shift;
}

void decode_cache_fill_at_end(struct decoded *d, uint64_t rip, const struct translated *page, const uint8_t bytes[16])
{
	unsigned left = (unsigned)(PAGE_SIZE - (rip & (PAGE_SIZE - 1)));
	unsigned compared = d->insn.length > 8 ? 16 : 8;

	decode_cache_fill(d, rip, page, bytes);
	if (left < compared)
		move_words(d, compared - left);
}

/* Whether what was walked depends on what is compared, and on nothing else. */
static bool is_kept(struct tl_vcpu *vcpu, uint64_t cs_access, const struct guest_walk *walk)
{
	return vcpu_code_bits(vcpu, cs_access) == 64 && walk->count <= 4 && cpl_is_in(cs_access);
}

/* Two words of which `count` bytes from `at` on are compared, with those at `code`. */
static void keep_words(uint64_t bytes[2], uint64_t mask[2], unsigned at, const uint8_t *code, unsigned count)
{
	uint8_t byte[16] = {0}, all[16] = {0};

	__builtin_memcpy(byte + at, code, count);
	__builtin_memset(all + at, 0xff, count);
	__builtin_memcpy(bytes, byte, sizeof(byte));
	__builtin_memcpy(mask, all, sizeof(all));
}

static void keep_code_page(struct translated *t, uint64_t rip, uint64_t cr3, uint64_t cs_access,
			   const struct fetch *fetch)
{
	*t = (struct translated){.linear = rip & ~(PAGE_SIZE - 1),
				 .cr3 = cr3,
				 .cs_access = cs_access,
				 .host = fetch->code.host - (rip & (PAGE_SIZE - 1))};
	keep_walk(&t->walk, &fetch->walk[0]);
}

static void keep_straddling(struct straddling *s, uint64_t rip, const struct translated *page, const uint8_t code[16],
			    const struct guest_walk *walk, const uint8_t *second)
{
	unsigned first = (unsigned)(PAGE_SIZE - (rip & (PAGE_SIZE - 1)));

	decode_cache_fill(&s->decoded, rip, page, code);
	s->decoded.words = s->decoded.host - (16 - first);
	keep_words(s->decoded.bytes, s->decoded.mask, 16 - first, code, first);
	s->words = second;
	keep_words(s->bytes, s->mask, 0, code + first, s->decoded.insn.length - first);
	keep_walk(&s->walk, walk);
}

struct decoded *fetched_keep(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip, uint64_t cr3, uint64_t cs_access,
			     const struct fetch *fetch, const struct insn *insn)
{
	struct straddling *s = straddling_find(vcpu, rip);
	struct translated *page = code_cache_find(vcpu, rip);
	const uint8_t *second;
	uint8_t code[16] = {0};

	if (!is_kept(vcpu, cs_access, &fetch->walk[0]))
		return NULL;
	keep_code_page(page, rip, cr3, cs_access, fetch);
	__builtin_memcpy(code, fetch->code.bytes, insn->length);
	if (fetch->nr_walks == 1) {
		d->insn = *insn;
		decode_cache_fill_at_end(d, rip, page, code);
		return d;
	}
	second = map_host(vcpu->exit_map, fetch->walk[1].gpa);
	if (!second || !is_kept(vcpu, cs_access, &fetch->walk[1]))
		return NULL;
	s->decoded.insn = *insn;
	keep_straddling(s, rip, page, code, &fetch->walk[1], second);
	return &s->decoded;
}

void data_cache_fill(struct tl_vcpu *vcpu, gva_t linear, uint64_t cr3, uint64_t cs_access, bool write,
		     const struct guest_walk *walk)
{
	struct translated *t = data_cache_find(vcpu, linear);
	bool cpl_3 = ACCESS_DPL(cs_access) == 3, user = true;

	for (unsigned i = 0; i < walk->count; i++)
		user = user && walk->value[i] & PTE_USER;
	/* A user page's rights hang on PKRU, and the supervisor's on RFLAGS.AC, which change without an exit. */
	if (!is_kept(vcpu, cs_access, walk) || (user && vcpu->mode.cr4 & (cpl_3 ? CR4_PKE : CR4_SMAP | CR4_PKE)))
		return;
	*t = (struct translated){.linear = linear & ~(PAGE_SIZE - 1),
				 .cr3 = cr3,
				 .cs_access = cs_access | (cpl_3 && vcpu->mode.cr0 & CR0_AM ? CHECKS_ALIGNMENT : 0),
				 .gpa = walk->gpa & ~(PAGE_SIZE - 1),
				 .allows = write ? PLAIN_STORE_IMM : PLAIN_TEST};
	keep_walk(&t->walk, walk);
}

void vcpu_forget_translations(struct tl_vcpu *vcpu)
{
	for (unsigned i = 0; i < BRIDGE_CACHE_SIZE; i++)
		vcpu->bridge[i].host = NULL;
	for (unsigned i = 0; i < DECODE_CACHE_SIZE; i++)
		vcpu->decoded[i].cr3 = NO_CR3;
	for (unsigned i = 0; i < STRADDLING_CACHE_SIZE; i++)
		vcpu->straddling[i].decoded.cr3 = NO_CR3;
	for (unsigned i = 0; i < DATA_CACHE_SIZE; i++)
		vcpu->data[i].cr3 = NO_CR3;
	for (unsigned i = 0; i < CODE_CACHE_SIZE; i++)
		vcpu->code[i].cr3 = NO_CR3;
}
