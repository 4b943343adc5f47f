/* SPDX-License-Identifier: MIT */
/* What decode.c and decode_prefix.c share: where a decoding is. */
#ifndef MMIO_DECODER_H
#define MMIO_DECODER_H

#include "mmio/decode.h"
#include "mmio/decode_table.h"
#include "mmu/types.h"
#include <trapline.h>

/* Of REX, and of VEX and EVEX as REX would have them. */
enum rex { REX = 0x40, REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1 };

/* An index into form_sizes[]. */
enum operand_size { OPERAND_16, OPERAND_32, OPERAND_64 };

enum { NO_SEGMENT = 0xff };

/* Legacy prefixes that were met. */
enum seen_prefix { SEEN_LOCK = 1, SEEN_66 = 2, SEEN_F3 = 4, SEEN_F2 = 8, SEEN_SIMD = SEEN_66 | SEEN_F3 | SEEN_F2 };

/* What VEX and EVEX say beyond REX. */
struct vector_prefix {
	uint8_t encoding; /* enum insn_encoding */
	uint8_t map, prefix;
	uint8_t length; /* 0, 1, 2: 16, 32, 64 bytes; 3 does not exist */
	uint8_t vvvv;   /* 0 to 31 */
	uint8_t r_high; /* EVEX.R': 16, or 0 */
	uint8_t opmask;
	bool zeroing, broadcast;
	bool invalid; /* a reserved bit is set */
};

/*
 * A byte beyond the end counts as taken and reads as 0, so that nothing stops on the way: what was taken in all is
 * judged once, in finish(), before anything that those zeros decided.
 */
struct decoder {
	const uint8_t *bytes;
	unsigned available;
	unsigned taken;
	unsigned code_bits;
	enum operand_size operand_size;
	uint8_t address_size;
	uint8_t segment; /* the override, or NO_SEGMENT */
	uint8_t opcode;
	uint8_t mandatory; /* the last of F2 and F3, as a column of insn_prefixed[]; 0: none */
	unsigned rex;
	unsigned seen; /* enum seen_prefix */
	const struct insn_form *form;
	struct vector_prefix vector; /* of ENCODING_VEX and ENCODING_EVEX */
};

static inline uint8_t take_byte(struct decoder *d)
{
	unsigned at = d->taken++;

	return likely(at < d->available) ? d->bytes[at] : 0;
}

static inline uint8_t peek_byte(const struct decoder *d)
{
	return likely(d->taken < d->available) ? d->bytes[d->taken] : 0;
}

/*
 * Takes the operands of d->form: ModRM, SIB, displacement, immediate; fills in *insn but for its length and segment.
 * What it returns counts only if all that was taken exists.
 */
enum decode_status decode_operands(struct decoder *d, struct insn *insn);

/* Whether C4, C5 or 62, just taken, is VEX or EVEX here, and not LES, LDS or BOUND. */
static inline bool begins_vector_prefix(const struct decoder *d)
{
	return d->code_bits == 64 || peek_byte(d) >= 0xc0;
}

/*
 * Takes the rest of a VEX or EVEX prefix that begins with `first`, and the opcode. Leaves the row in d->form: one of
 * zeros if none is emulated, or one that is FORM_INVALID.
 */
COLD void decode_vector_prefix(struct decoder *d, uint8_t first);

/* Fills in what VEX or EVEX says about the operands of d->form. */
COLD void decode_vector_operands(const struct decoder *d, struct insn *insn);

#endif
