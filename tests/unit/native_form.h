/* SPDX-License-Identifier: MIT */
/*
 * Every instruction that the decoder may accept, by brute force: prefixes, opcode maps, VEX and EVEX fields, ModRM.reg
 * and addressing forms. What a test gets to see grows by itself as the decoder does.
 */
#ifndef UNIT_NATIVE_FORM_H
#define UNIT_NATIVE_FORM_H

#include "mmio/decode.h"

enum { FORM_BYTES = 32, OP_SIZES = 65, ENCODINGS = 3 };

/* Bytes up to where an immediate would begin; those from there on are free. */
struct native_form {
	uint8_t bytes[FORM_BYTES];
	uint8_t opcode_at; /* of the opcode byte itself, behind prefixes and escapes */
	uint8_t disp_at;   /* where a displacement stands, if there is one */
	uint8_t disp_size; /* in bytes; 0: none */
	uint8_t free_at;
	uint8_t map; /* 0: one-byte opcodes, 1: 0F, 2: 0F38, 3: 0F3A */
	enum insn_encoding encoding;
	unsigned code_bits;
	enum decode_status status;
	struct insn insn; /* of these bytes, if status is DECODE_OK */
};

enum form_set { FORMS_LEGACY, FORMS_VEX, FORMS_EVEX, FORMS_LEGACY_32 };

/* Calls visit() for each form that the decoder accepts or calls invalid (#UD). */
void native_forms(enum form_set set, void (*visit)(const struct native_form *form));

/* Which (op, memory size, encoding) were run, and how often each op. */
struct form_count {
	uint8_t seen[INSN_NR_OPS][OP_SIZES][ENCODINGS];
	unsigned long runs[INSN_NR_OPS];
	unsigned long total, forms;
	unsigned distinct;
};

void form_count_add(struct form_count *count, const struct insn *insn);

/* The name of what this CPU lacks to execute a form as the decoder understands it; NULL: nothing. */
const char *native_lacks(const struct native_form *form);

/*
 * Whether CPUs that are not Intel's may execute something in the place of this form, which the decoder, as Intel's,
 * calls invalid. It is counted, and native_extensions_report() prints what there was, by name.
 */
bool native_extends(const struct native_form *form);
void native_extensions_report(void);

/* As the SDM calls it, or as mmio/insn.h does. */
const char *op_name(unsigned op);

#endif
