/* SPDX-License-Identifier: MIT */
#include "vmx/decode_cache.h"
#include "vmx/exit.h"

#define CS_CODE_CONFORMING (BIT(3) | BIT(2))
#define PTE_USER           BIT(2)
#define CR4_SMAP           BIT(21)
#define CR4_PKE            BIT(22)

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

/* Which short way the instruction may go: a flat segment, 64-bit addresses, no RSP, plain register semantics. */
static enum decoded_plain plain_kind(const struct insn *insn)
{
	if (insn->segment == TL_FS || insn->segment == TL_GS || insn->address_size != 8 || insn->base == TL_RSP ||
	    insn->reg == TL_RSP || insn->high_byte)
		return PLAIN_NOT;
	switch (insn->op) {
	case INSN_LOAD:
		return insn->register_size >= 4 ? PLAIN_LOAD : PLAIN_NOT;
	case INSN_STORE:
		return PLAIN_STORE;
	case INSN_STORE_IMM:
		return PLAIN_STORE_IMM;
	default:
		return PLAIN_NOT;
	}
}

void decode_cache_fill(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cr3, uint64_t cs_access, const struct fetch *fetch,
		       const struct insn *insn)
{
	struct decoded *d = decode_cache_find(vcpu, rip);
	uint8_t bytes[16] = {0};

	/* Two whole words are compared, so both have to lie on the page. */
	if (fetch->nr_walks != 1 || fetch->walk[0].count > 4 || (rip & (PAGE_SIZE - 1)) > PAGE_SIZE - 16 ||
	    !cpl_is_in(cs_access))
		return;
	__builtin_memcpy(bytes, fetch->code.bytes, insn->length);
	*d = (struct decoded){.rip = rip,
			      .cr3 = cr3,
			      .ram_generation = vcpu->exit_map->ram_generation,
			      .cs_access = cs_access,
			      .host = fetch->code.host,
			      .bytes = {code_word(bytes), code_word(bytes + 8)},
			      .insn = *insn};
	keep_walk(&d->walk, &fetch->walk[0]);
	__builtin_memset(bytes, 0xff, insn->length);
	d->mask[0] = code_word(bytes);
	d->mask[1] = code_word(bytes + 8);
	insn_bind(&d->insn, rip);
	d->plain = plain_kind(insn);
	d->mask_of_operand = insn_mask[insn->memory_size];
	d->index_factor = BIT(insn->scale);
	d->end_offset = d->plain == PLAIN_NOT ? 0 : PAGE_SIZE - insn->memory_size + 1;
}

void data_cache_fill(struct tl_vcpu *vcpu, gva_t linear, uint64_t cr3, uint64_t cs_access, bool write,
		     const struct guest_walk *walk)
{
	struct translated *t = data_cache_find(vcpu, linear);
	bool user = true;

	for (unsigned i = 0; i < walk->count; i++)
		user = user && walk->value[i] & PTE_USER;
	/* A user page's rights hang on RFLAGS.AC and PKRU as well, which change without an exit. */
	if (vcpu_code_bits(vcpu, cs_access) != 64 || walk->count > 4 || !cpl_is_in(cs_access) ||
	    (user && cr_read_cr4() & (CR4_SMAP | CR4_PKE)))
		return;
	*t = (struct translated){.page = linear >> PAGE_SHIFT,
				 .cr3 = cr3,
				 .ram_generation = vcpu->exit_map->ram_generation,
				 .cs_access = cs_access,
				 .linear_xor_gpa = linear ^ walk->gpa,
				 .allows = write ? PLAIN_STORE_IMM : PLAIN_LOAD};
	keep_walk(&t->walk, walk);
}

void vcpu_forget_translations(struct tl_vcpu *vcpu)
{
	/* No map has RAM generation 0. */
	for (unsigned i = 0; i < DECODE_CACHE_SIZE; i++)
		vcpu->decoded[i].ram_generation = 0;
	for (unsigned i = 0; i < DATA_CACHE_SIZE; i++)
		vcpu->data[i].ram_generation = 0;
}
