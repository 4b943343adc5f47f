/* SPDX-License-Identifier: MIT */
/* What CPUs may lack, and the names of the operations. */
#include "tests/unit/native.h"
#include "tests/unit/native_form.h"
#include <stdio.h>
#include <string.h>

enum cpuid_register { EAX, EBX, ECX, EDX };
enum { ANY_ENCODING = 1 << ENCODING_LEGACY | 1 << ENCODING_VEX | 1 << ENCODING_EVEX, ANY_OPCODE = -1 };

/* Coarse where it does no harm: a CPU with AVX-512F alone runs no EVEX form here. */
static const struct {
	const char *name;
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint8_t bit;
	uint8_t first, last; /* enum insn_op */
	uint8_t encodings;
	int16_t opcode; /* in map 0F38, or ANY_OPCODE */
} features[] = {
	{"MOVBE", 1, 0, ECX, 22, INSN_MOVBE, INSN_MOVBE, ANY_ENCODING, ANY_OPCODE},
	{"SSE4.2", 1, 0, ECX, 20, INSN_CRC32, INSN_CRC32, ANY_ENCODING, ANY_OPCODE},
	{"SSE4.2", 1, 0, ECX, 20, INSN_VECTOR_LOAD, INSN_STMXCSR, ANY_ENCODING, ANY_OPCODE},
	{"POPCNT", 1, 0, ECX, 23, INSN_POPCNT, INSN_POPCNT, ANY_ENCODING, ANY_OPCODE},
	{"CMPXCHG16B", 1, 0, ECX, 13, INSN_CMPXCHG_PAIR, INSN_CMPXCHG_PAIR, ANY_ENCODING, ANY_OPCODE},
	{"LZCNT", 0x80000001, 0, ECX, 5, INSN_LZCNT, INSN_LZCNT, ANY_ENCODING, ANY_OPCODE},
	{"BMI1", 7, 0, EBX, 3, INSN_TZCNT, INSN_TZCNT, ANY_ENCODING, ANY_OPCODE},
	{"BMI1", 7, 0, EBX, 3, INSN_ANDN, INSN_BLSR, ANY_ENCODING, ANY_OPCODE},
	{"BMI2", 7, 0, EBX, 8, INSN_BZHI, INSN_SHRX, ANY_ENCODING, ANY_OPCODE},
	{"ADX", 7, 0, EBX, 19, INSN_ADCX, INSN_ADOX, ANY_ENCODING, ANY_OPCODE},
	{"MOVDIRI", 7, 0, ECX, 27, INSN_STORE, INSN_STORE, ANY_ENCODING, 0xf9},
	{"MOVDIR64B", 7, 0, ECX, 28, INSN_MOVDIR64B, INSN_MOVDIR64B, ANY_ENCODING, ANY_OPCODE},
	{"ENQCMD", 7, 0, ECX, 29, INSN_ENQCMD, INSN_ENQCMDS, ANY_ENCODING, ANY_OPCODE},
	{"AVX", 1, 0, ECX, 28, INSN_VECTOR_LOAD, INSN_STMXCSR, 1 << ENCODING_VEX, ANY_OPCODE},
	{"AVX2", 7, 0, EBX, 5, INSN_VECTOR_LOAD, INSN_STMXCSR, 1 << ENCODING_VEX, ANY_OPCODE},
	{"AVX512F", 7, 0, EBX, 16, INSN_VECTOR_LOAD, INSN_STMXCSR, 1 << ENCODING_EVEX, ANY_OPCODE},
	{"AVX512DQ", 7, 0, EBX, 17, INSN_VECTOR_LOAD, INSN_STMXCSR, 1 << ENCODING_EVEX, ANY_OPCODE},
	{"AVX512BW", 7, 0, EBX, 30, INSN_VECTOR_LOAD, INSN_STMXCSR, 1 << ENCODING_EVEX, ANY_OPCODE},
	{"AVX512VL", 7, 0, EBX, 31, INSN_VECTOR_LOAD, INSN_STMXCSR, 1 << ENCODING_EVEX, ANY_OPCODE},
	{"AVX512BW", 7, 0, EBX, 30, INSN_OPMASK_LOAD, INSN_OPMASK_STORE, ANY_ENCODING, ANY_OPCODE},
	{"AVX512DQ", 7, 0, EBX, 17, INSN_OPMASK_LOAD, INSN_OPMASK_STORE, ANY_ENCODING, ANY_OPCODE},
};
enum { NR_FEATURES = sizeof(features) / sizeof(features[0]) };

const char *native_lacks(const struct native_form *form)
{
	static enum { UNKNOWN, PRESENT, MISSING } known[NR_FEATURES];
	const struct insn *insn = &form->insn;

	for (unsigned i = 0; i < NR_FEATURES; i++) {
		if (insn->op < features[i].first || insn->op > features[i].last ||
		    !(features[i].encodings >> form->encoding & 1))
			continue;
		if (features[i].opcode != ANY_OPCODE &&
		    (form->map != 2 || form->bytes[form->opcode_at] != features[i].opcode))
			continue;
		if (known[i] == UNKNOWN)
			known[i] = native_has(features[i].leaf, features[i].subleaf, features[i].reg, features[i].bit)
					   ? PRESENT
					   : MISSING;
		if (known[i] == MISSING)
			return features[i].name;
	}
	return NULL;
}

enum { SSE4A_MOVES, LOCK_VERW, KMOV_OF_K8, Z_WITHOUT_OPMASK, NR_EXTENSIONS };

/* All measured on AMD's Zen 4. */
static struct {
	const char *name;
	unsigned long met;
} extensions[NR_EXTENSIONS] = {
	[SSE4A_MOVES] = {"MOVNTSS MOVNTSD (SSE4a)", 0},
	[LOCK_VERW] = {"LOCK VERW", 0},
	[KMOV_OF_K8] = {"KMOV with VEX.R, which is ignored", 0},
	[Z_WITHOUT_OPMASK] = {"EVEX.z without an opmask, which is ignored", 0},
};

static bool has_prefix(const struct native_form *form, uint8_t prefix)
{
	return memchr(form->bytes, prefix, form->opcode_at) != NULL;
}

/* An index into extensions[], or NR_EXTENSIONS. */
static unsigned find_extension(const struct native_form *form)
{
	enum { EVEX_Z_AAA = 0x87, EVEX_Z = 0x80, VEX_NOT_R = 0x80, REG = 7 << 3 };
	uint8_t opcode = form->bytes[form->opcode_at], modrm = form->bytes[form->opcode_at + 1];
	bool map_0f = form->map == 1;

	switch (form->encoding) {
	case ENCODING_EVEX:
		return (form->bytes[form->opcode_at - 1] & EVEX_Z_AAA) == EVEX_Z ? Z_WITHOUT_OPMASK : NR_EXTENSIONS;
	case ENCODING_VEX:
		if (map_0f && (opcode & 0xfe) == 0x90 && !(form->bytes[1] & VEX_NOT_R))
			return KMOV_OF_K8;
		return NR_EXTENSIONS;
	default:
		if (map_0f && opcode == 0x2b && !has_prefix(form, 0xf0))
			return SSE4A_MOVES;
		return map_0f && opcode == 0x00 && (modrm & REG) == 5 << 3 ? LOCK_VERW : NR_EXTENSIONS;
	}
}

bool native_extends(const struct native_form *form)
{
	unsigned found = native_is_intel() ? NR_EXTENSIONS : find_extension(form);

	if (found == NR_EXTENSIONS)
		return false;
	extensions[found].met++;
	return true;
}

void native_extensions_report(void)
{
	for (unsigned i = 0; i < NR_EXTENSIONS; i++) {
		if (extensions[i].met)
			printf("invalid, but perhaps not on this CPU: %s: %lu forms not run\n", extensions[i].name,
			       extensions[i].met);
	}
}

const char *op_name(unsigned op)
{
	static const char *const names[INSN_NR_OPS] = {
#define NAME(op) [INSN_##op] = #op
		NAME(LOAD),
		NAME(LOAD_SX),
		NAME(STORE),
		NAME(STORE_IMM),
		NAME(ADD),
		NAME(OR),
		NAME(ADC),
		NAME(SBB),
		NAME(AND),
		NAME(SUB),
		NAME(XOR),
		NAME(CMP),
		NAME(TEST),
		NAME(INC),
		NAME(DEC),
		NAME(NOT),
		NAME(NEG),
		NAME(ROL),
		NAME(ROR),
		NAME(RCL),
		NAME(RCR),
		NAME(SHL),
		NAME(SHR),
		NAME(SAR),
		NAME(SHLD),
		NAME(SHRD),
		NAME(BT),
		NAME(BTS),
		NAME(BTR),
		NAME(BTC),
		NAME(BSF),
		NAME(BSR),
		NAME(TZCNT),
		NAME(LZCNT),
		NAME(POPCNT),
		NAME(MUL),
		NAME(IMUL),
		NAME(DIV),
		NAME(IDIV),
		NAME(IMUL_TO_REGISTER),
		NAME(SETCC),
		NAME(CMOVCC),
		NAME(XCHG),
		NAME(XADD),
		NAME(CMPXCHG),
		NAME(CMPXCHG_PAIR),
		NAME(MOVBE),
		NAME(CRC32),
		NAME(ADCX),
		NAME(ADOX),
		NAME(ANDN),
		NAME(BEXTR),
		NAME(BLSI),
		NAME(BLSMSK),
		NAME(BLSR),
		NAME(BZHI),
		NAME(MULX),
		NAME(PDEP),
		NAME(PEXT),
		NAME(RORX),
		NAME(SARX),
		NAME(SHLX),
		NAME(SHRX),
		NAME(ARPL),
		NAME(BOUND),
		NAME(XLAT),
		NAME(MOVS),
		NAME(STOS),
		NAME(LODS),
		NAME(CMPS),
		NAME(SCAS),
		NAME(INS),
		NAME(OUTS),
		NAME(PUSH),
		NAME(POP),
		NAME(PUSHA),
		NAME(POPA),
		NAME(PUSHF),
		NAME(POPF),
		NAME(CALL),
		NAME(JMP),
		NAME(RET),
		NAME(ENTER),
		NAME(LEAVE),
		NAME(STORE_SEGMENT),
		NAME(LOAD_SEGMENT),
		NAME(LOAD_FAR),
		NAME(JMP_FAR),
		NAME(CALL_FAR),
		NAME(SGDT),
		NAME(SIDT),
		NAME(LGDT),
		NAME(LIDT),
		NAME(SMSW),
		NAME(LMSW),
		NAME(VERR),
		NAME(VERW),
		NAME(LAR),
		NAME(LSL),
		NAME(VECTOR_LOAD),
		NAME(VECTOR_STORE),
		NAME(VECTOR_LOAD_LOW),
		NAME(VECTOR_LOAD_HIGH),
		NAME(VECTOR_STORE_HIGH),
		NAME(VECTOR_DUPLICATE),
		NAME(VECTOR_DUPLICATE_EVEN),
		NAME(VECTOR_DUPLICATE_ODD),
		NAME(VECTOR_BROADCAST),
		NAME(VECTOR_INSERT),
		NAME(VECTOR_EXTRACT),
		NAME(VECTOR_MASKED_LOAD),
		NAME(VECTOR_MASKED_STORE),
		NAME(VECTOR_MASKMOV),
		NAME(MMX_LOAD),
		NAME(MMX_STORE),
		NAME(OPMASK_LOAD),
		NAME(OPMASK_STORE),
		NAME(LDMXCSR),
		NAME(STMXCSR),
		NAME(X87_LOAD),
		NAME(X87_STORE),
		NAME(MOVDIR64B),
		NAME(ENQCMD),
		NAME(ENQCMDS),
#undef NAME
	};

	return op < INSN_NR_OPS && names[op] ? names[op] : "?";
}
