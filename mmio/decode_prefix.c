/* SPDX-License-Identifier: MIT */
/* VEX and EVEX: SDM vol. 2, 2.3.5 and 2.7. */
#include "mmio/decoder.h"

static const struct insn_form not_emulated, invalid = {.flags = FORM_MODRM | FORM_INVALID};

/* The two bytes after C4, or what the one after C5 stands for. */
static void take_vex(struct decoder *d, uint8_t first)
{
	struct vector_prefix *v = &d->vector;
	uint8_t byte = take_byte(d), last = byte;

	v->encoding = ENCODING_VEX;
	v->map = 1;
	d->rex = byte & 0x80 ? 0 : REX_R;
	if (first == 0xc4) {
		d->rex = (unsigned)(~byte >> 5 & 7);
		v->map = byte & 31;
		last = take_byte(d);
		d->rex |= last & 0x80 ? REX_W : 0;
	}
	v->vvvv = (uint8_t)(~last >> 3 & 15);
	v->length = last >> 2 & 1;
	v->prefix = last & 3;
}

static void take_evex(struct decoder *d)
{
	struct vector_prefix *v = &d->vector;
	uint8_t p0 = take_byte(d), p1 = take_byte(d), p2 = take_byte(d);

	v->encoding = ENCODING_EVEX;
	v->map = p0 & 7;
	v->r_high = p0 & 0x10 ? 0 : 16;
	d->rex = (unsigned)(~p0 >> 5 & 7) | (p1 & 0x80 ? REX_W : 0);
	v->vvvv = (uint8_t)((~p1 >> 3 & 15) | (p2 & 8 ? 0 : 16));
	v->prefix = p1 & 3;
	v->length = p2 >> 5 & 3;
	v->opmask = p2 & 7;
	v->zeroing = p2 & 0x80;
	v->broadcast = p2 & 0x10;
	v->invalid = p0 & 8 || !(p1 & 4) || (d->code_bits != 64 && !(p2 & 8));
}

/* Whether W and the length are among those that the row names. Outside 64-bit mode W counts as 0 for general registers.
 */
static bool fits(const struct decoder *d, const struct insn_form *form)
{
	static const uint32_t lengths[] = {FORM_L0, FORM_L1, FORM_L2, 0};
	uint32_t width = d->rex & REX_W ? FORM_W1 : FORM_W0;

	if (form->flags & (FORM_W0 | FORM_W1) && !(form->flags & width))
		return false;
	return !(form->flags & (FORM_L0 | FORM_L1 | FORM_L2)) || form->flags & lengths[d->vector.length];
}

/* The row; `known` says whether there is one but for W and the length. */
static const struct insn_form *find(const struct decoder *d, bool *known)
{
	bool evex = d->vector.encoding == ENCODING_EVEX;
	const struct insn_vector_form *row = evex ? insn_evex : insn_vex;
	const struct insn_vector_form *end = row + (evex ? insn_nr_evex : insn_nr_vex);
	uint8_t reg = peek_byte(d) >> 3 & 7;

	*known = false;
	for (; row < end; row++) {
		if (row->opcode != d->opcode || row->map != d->vector.map || row->prefix != d->vector.prefix ||
		    (row->reg != ANY_REG && row->reg != reg))
			continue;
		*known = true;
		if (fits(d, &row->form))
			return &row->form;
	}
	return NULL;
}

/* Whether fields that the row does not use hold anything. */
static bool has_unused(const struct decoder *d, const struct insn_form *form)
{
	const struct vector_prefix *v = &d->vector;
	bool vvvv_counts = form->flags & FORM_VVVV;

	/* Outside 64-bit mode there are registers 0 to 7 only, and bit 3 is ignored in VEX. */
	if (!vvvv_counts && v->vvvv != 0)
		return true;
	/* There are eight opmask registers. */
	if (form->op == INSN_OPMASK_LOAD || form->op == INSN_OPMASK_STORE)
		return d->rex & REX_R;
	if (v->encoding == ENCODING_VEX)
		return false;
	if (v->length == 3 || v->broadcast || (v->opmask && !(form->flags & FORM_MASKED)))
		return true;
	return v->zeroing && (!v->opmask || form->access & INSN_WRITE);
}

COLD void decode_vector_prefix(struct decoder *d, uint8_t first)
{
	bool known, bad = d->seen & (SEEN_LOCK | SEEN_SIMD) || d->rex;
	const struct insn_form *form;

	d->vector = (struct vector_prefix){0};
	if (first == 0x62)
		take_evex(d);
	else
		take_vex(d, first);
	if (d->code_bits != 64) {
		/* REX's bits but for W do not exist there. */
		d->rex &= REX_W;
		d->vector.r_high = 0;
	}
	d->opcode = take_byte(d);
	/* ModRM decides as well: without it there is no answer. */
	if (d->taken == d->available)
		d->taken++;
	form = find(d, &known);
	if (form && form->flags & FORM_MEMORY_ONLY && peek_byte(d) >= 0xc0)
		bad = true;
	/* With a register in the place of the memory operand the fields may mean something else. */
	if (peek_byte(d) >= 0xc0 && !(form && form->flags & FORM_IMPLIED_RDI))
		form = NULL, known = false;
	if (bad || d->vector.invalid || (known && (!form || has_unused(d, form))))
		form = &invalid;
	d->form = form ? form : &not_emulated;
	if (d->code_bits != 64)
		d->rex &= ~(unsigned)REX_W;
	d->operand_size = d->rex & REX_W ? OPERAND_64 : OPERAND_32;
}

COLD void decode_vector_operands(const struct decoder *d, struct insn *insn)
{
	static const uint8_t lengths[] = {16, 32, 64, 0};
	const struct insn_form *form = d->form;
	const struct vector_prefix *v = &d->vector;

	insn->encoding = v->encoding;
	if (form->flags & FORM_VVVV)
		insn->reg2 = d->code_bits == 64 ? v->vvvv : v->vvvv & 7;
	if (form->flags & FORM_VECTOR) {
		insn->reg = (uint8_t)(insn->reg | v->r_high);
		insn->vector_length = lengths[v->length];
		insn->element = form->element;
		insn->opmask = v->opmask;
		insn->flags |= v->zeroing ? INSN_ZEROING : 0;
	}
	if (form->memory == SIZE_X)
		insn->memory_size = insn->vector_length;
	else if (form->memory == SIZE_U)
		insn->memory_size = insn->vector_length > 16 ? insn->vector_length : 8;
	/* A scalar's register is an XMM register whatever L says; KMOV has none. */
	if (form->flags & FORM_VECTOR && form->op == INSN_VECTOR_LOAD && form->memory != SIZE_X)
		insn->vector_length = 16;
	if (form->flags & FORM_VECTOR && form->op == INSN_VECTOR_STORE && form->memory != SIZE_X)
		insn->vector_length = 16;
}
