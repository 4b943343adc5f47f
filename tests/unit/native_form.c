/* SPDX-License-Identifier: MIT */
#include "tests/unit/native_form.h"

#include <string.h>

enum { RM_SIB = 4, RM_DISP32 = 5, SIB_NO_INDEX = 4, NO_SIB = 0xff };

/* An addressing form: mod and r/m, a SIB byte, the size of the displacement. */
struct addressing {
	uint8_t mod, rm, sib, disp_size;
};

/* With rm 7 the base is rDI or r15, with a SIB base of 4 rSP or r12; the index is rCX or r9. */
static const struct addressing forms_64[] = {
	{0, 7, NO_SIB, 0},                     /* [rdi] */
	{1, 7, NO_SIB, 1},                     /* [rdi + disp8] */
	{2, RM_SIB, 2 << 6 | 1 << 3 | 7, 4},   /* [rdi + rcx * 4 + disp32] */
	{1, RM_SIB, SIB_NO_INDEX << 3 | 4, 1}, /* [rsp + disp8] */
	{1, RM_DISP32, NO_SIB, 1},             /* [rbp + disp8] */
	{0, RM_DISP32, NO_SIB, 4},             /* [rip + disp32] */
	{0, RM_SIB, SIB_NO_INDEX << 3 | 5, 4}, /* [disp32] */
	{0, RM_SIB, 3 << 6 | 1 << 3 | 5, 4},   /* [rcx * 8 + disp32] */
	{3, 5, NO_SIB, 0},                     /* a second register: MASKMOVQ and MASKMOVDQU, memory is at rDI */
};

/* Prefixes before an opcode of the legacy maps. */
static const char *const prefixes_64[] = {
	"",
	"\x66",
	"\x67",
	"\xf2",
	"\xf3",
	"\xf0",
	"\x40",
	"\x48",
	"\x44",
	"\x43",
	"\x4f",
	"\x66\x48",
	"\xf2\x48",
	"\xf3\x48",
	"\xf0\x48",
	"\xf0\x66",
	"\x66\xf2",
	"\xf3\x66",
	"\x67\x48",
	"\xf2\xf0",
	"\xf0\xf3\x44",
	"\x66\xf0\x4c",
	"\x2e\x66\x45",
	"\x36\x3e",
	"\xf3\x66\x48",
	"\x66\xf2\x4c",
	"\xf2\x67\x44",
	"\x48\x66",
};
static const char *const prefixes_32[] = {
	"", "\x66", "\xf0", "\xf2", "\xf3", "\xf0\x66", "\x66\xf3", "\x36",
};

/* Opcodes without ModRM among those that access memory, by map. The moffs are followed by an address. */
static bool has_modrm(unsigned map, uint8_t opcode)
{
	static const uint8_t none[] = {0x60, 0x61, 0x68, 0x6a, 0x6c, 0x6d, 0x6e, 0x6f, 0x9a, 0x9c,
				       0x9d, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae,
				       0xaf, 0xc2, 0xc3, 0xc8, 0xc9, 0xca, 0xcb, 0xcf, 0xd7, 0xe8};

	if (map == 1)
		return opcode != 0xa0 && opcode != 0xa1 && opcode != 0xa8 && opcode != 0xa9;
	if (map != 0)
		return true;
	return (opcode & 0xf0) != 0x50 && (opcode & 0xe7) != 0x06 && !memchr(none, opcode, sizeof(none));
}

static bool is_moffs(unsigned map, uint8_t opcode)
{
	return map == 0 && (opcode & 0xfc) == 0xa0;
}

/* Bytes that the loops below go over themselves. */
static bool is_prefix(unsigned map, uint8_t opcode, unsigned code_bits)
{
	if (map != 0)
		return false;
	if (code_bits == 64 && ((opcode & 0xf0) == 0x40 || opcode == 0x62 || opcode == 0xc4 || opcode == 0xc5))
		return true;
	return (opcode & 0xe7) == 0x26 || (opcode >= 0x64 && opcode <= 0x67) || opcode == 0x0f || opcode == 0xf0 ||
	       opcode == 0xf2 || opcode == 0xf3;
}

static void put(struct native_form *form, uint8_t byte)
{
	form->bytes[form->free_at++] = byte;
}

static void visit_if_decoded(struct native_form *form, void (*visit)(const struct native_form *form))
{
	form->status = insn_decode(form->bytes, INSN_MAX_LENGTH, form->code_bits, &form->insn);
	if (form->status == DECODE_OK || form->status == DECODE_INVALID)
		visit(form);
}

static void put_address(struct native_form *form, const struct addressing *a, unsigned reg)
{
	put(form, (uint8_t)((unsigned)a->mod << 6 | reg << 3 | a->rm));
	if (a->sib != NO_SIB)
		put(form, a->sib);
	form->disp_at = form->free_at;
	form->disp_size = a->disp_size;
	for (unsigned i = 0; i < a->disp_size; i++)
		put(form, 0x10);
}

/* In 64-bit code, and all of these exist in 32-bit code with the same meaning but for the RIP-relative one. */
static void for_each_address(const struct native_form *start, unsigned regs,
			     void (*visit)(const struct native_form *form))
{
	for (unsigned i = 0; i < sizeof(forms_64) / sizeof(forms_64[0]); i++) {
		for (unsigned reg = 0; reg < 8; reg++) {
			struct native_form form = *start;

			if (!(regs >> reg & 1))
				continue;
			put_address(&form, &forms_64[i], reg);
			visit_if_decoded(&form, visit);
		}
	}
}

static void for_each_operand(struct native_form *form, unsigned regs, void (*visit)(const struct native_form *form))
{
	uint8_t opcode = form->bytes[form->opcode_at];

	if (has_modrm(form->map, opcode) && !is_moffs(form->map, opcode)) {
		for_each_address(form, regs, visit);
		return;
	}
	form->disp_at = form->free_at;
	form->disp_size = 0;
	visit_if_decoded(form, visit);
	if (form->status == DECODE_OK && is_moffs(form->map, opcode)) {
		form->disp_size = form->insn.address_size;
		form->free_at = (uint8_t)(form->free_at + form->disp_size);
		visit_if_decoded(form, visit);
	}
}

static void legacy_opcodes(const char *prefix, unsigned map, unsigned code_bits,
			   void (*visit)(const struct native_form *form))
{
	static const char *const escapes[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct native_form form = {.map = (uint8_t)map, .code_bits = code_bits};

		if (is_prefix(map, (uint8_t)opcode, code_bits) || (map == 1 && (opcode == 0x38 || opcode == 0x3a)))
			continue;
		for (const char *p = prefix; *p; p++)
			put(&form, (uint8_t)*p);
		for (const char *p = escapes[map]; *p; p++)
			put(&form, (uint8_t)*p);
		form.opcode_at = form.free_at;
		put(&form, (uint8_t)opcode);
		for_each_operand(&form, 0xff, visit);
	}
}

static void legacy(const char *const *prefixes, unsigned nr_prefixes, unsigned code_bits,
		   void (*visit)(const struct native_form *form))
{
	for (unsigned i = 0; i < nr_prefixes; i++) {
		for (unsigned map = 0; map < 4; map++)
			legacy_opcodes(prefixes[i], map, code_bits, visit);
	}
}

/* `fields`: bits 1:0 pp, 2 L, 3 W, 4 not-R, 5 which of two vvvv. */
static void vex_opcodes(unsigned map, unsigned fields, void (*visit)(const struct native_form *form))
{
	unsigned vvvv = fields & 1 << 5 ? 0xf : 0x9, payload = vvvv << 3 | (fields >> 2 & 1) << 2 | (fields & 3);

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct native_form form = {.map = (uint8_t)map, .code_bits = 64, .encoding = ENCODING_VEX};

		put(&form, 0xc4);
		put(&form, (uint8_t)((fields >> 4 & 1) << 7 | 0x60 | map));
		put(&form, (uint8_t)((fields >> 3 & 1) << 7 | payload));
		form.opcode_at = form.free_at;
		put(&form, (uint8_t)opcode);
		for_each_operand(&form, 0xff, visit);
		if (map != 1 || fields & 1 << 3)
			continue;
		form = (struct native_form){.map = 1, .code_bits = 64, .encoding = ENCODING_VEX};
		put(&form, 0xc5);
		put(&form, (uint8_t)((fields >> 4 & 1) << 7 | payload));
		form.opcode_at = form.free_at;
		put(&form, (uint8_t)opcode);
		for_each_operand(&form, 0x81, visit);
	}
}

/* `fields`: bits 1:0 pp, 3:2 L'L, 4 W, 5 z, 7:6 which aaa, 8 which vvvv, 9 b. */
static void evex_opcodes(unsigned map, unsigned fields, void (*visit)(const struct native_form *form))
{
	static const uint8_t aaa[4] = {0, 1, 5, 7};
	unsigned vvvv = fields & 1 << 8 ? 0xf : 0x6;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct native_form form = {.map = (uint8_t)map, .code_bits = 64, .encoding = ENCODING_EVEX};

		put(&form, 0x62);
		/* Not-R and not-R' by the opcode, so that registers of all four kinds occur. */
		put(&form, (uint8_t)((opcode & 1) << 7 | 0x60 | (opcode & 2) << 3 | map));
		put(&form, (uint8_t)((fields >> 4 & 1) << 7 | vvvv << 3 | 4 | (fields & 3)));
		put(&form, (uint8_t)((fields >> 5 & 1) << 7 | (fields >> 2 & 3) << 5 | (fields >> 9 & 1) << 4 | 8 |
				     aaa[fields >> 6 & 3]));
		form.opcode_at = form.free_at;
		put(&form, (uint8_t)opcode);
		for_each_operand(&form, 0x21, visit);
	}
}

void native_forms(enum form_set set, void (*visit)(const struct native_form *form))
{
	switch (set) {
	case FORMS_LEGACY:
		legacy(prefixes_64, sizeof(prefixes_64) / sizeof(prefixes_64[0]), 64, visit);
		break;
	case FORMS_LEGACY_32:
		legacy(prefixes_32, sizeof(prefixes_32) / sizeof(prefixes_32[0]), 32, visit);
		break;
	case FORMS_VEX:
		for (unsigned map = 1; map <= 3; map++) {
			for (unsigned fields = 0; fields < 1 << 6; fields++)
				vex_opcodes(map, fields, visit);
		}
		break;
	case FORMS_EVEX:
		for (unsigned map = 1; map <= 3; map++) {
			for (unsigned fields = 0; fields < 1 << 10; fields++)
				evex_opcodes(map, fields, visit);
		}
		break;
	}
}

void form_count_add(struct form_count *count, const struct insn *insn)
{
	uint8_t *seen = &count->seen[insn->op][insn->memory_size][insn->encoding];

	count->distinct += !*seen;
	*seen = 1;
	count->runs[insn->op]++;
	count->total++;
}
