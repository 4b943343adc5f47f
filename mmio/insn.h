/* SPDX-License-Identifier: MIT */
/* One decoded instruction: values only, no guest state. */
#ifndef MMIO_INSN_H
#define MMIO_INSN_H

#include <stdbool.h>
#include <stdint.h>

enum {
	INSN_MAX_LENGTH = 15, /* SDM vol. 2, 2.3.11 */
	/*
	 * "No register". A register file has INSN_NR_GPRS entries, in the hardware's numbering, and its last one is
	 * always 0, so that base and index are added without a test.
	 */
	INSN_NO_REGISTER = 16,
	INSN_NR_GPRS = 17,
};

/* What is done. The units of insn_unit() are runs of these. */
enum insn_op {
	INSN_NONE,

	/* Moves of 1 to 8 bytes between memory and a register, or of an immediate. */
	INSN_LOAD,    /* zero-extended where the register is wider */
	INSN_LOAD_SX, /* sign-extended to the register's size */
	INSN_STORE,   /* MOV, MOVNTI, MOVDIRI */
	INSN_STORE_IMM,

	/* Integer arithmetic: alu_execute(). The first eight in the order of their opcodes. */
	INSN_ADD,
	INSN_OR,
	INSN_ADC,
	INSN_SBB,
	INSN_AND,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP,
	INSN_TEST,
	INSN_INC,
	INSN_DEC,
	INSN_NOT,
	INSN_NEG,
	INSN_ROL, /* shifts and rotates in the order of ModRM.reg; 6 is SHL's other encoding, decoded as INSN_SHL */
	INSN_ROR,
	INSN_RCL,
	INSN_RCR,
	INSN_SHL,
	INSN_SHR,
	INSN_SAR,
	INSN_SHLD,
	INSN_SHRD,
	INSN_BT, /* with SOURCE_REGISTER the operand's address moves with the bit offset */
	INSN_BTS,
	INSN_BTR,
	INSN_BTC,
	INSN_BSF,
	INSN_BSR,
	INSN_TZCNT,
	INSN_LZCNT,
	INSN_POPCNT,
	INSN_MUL, /* the one-operand forms: rAX, rDX */
	INSN_IMUL,
	INSN_DIV,
	INSN_IDIV,
	INSN_IMUL_TO_REGISTER, /* reg * memory (SOURCE_REGISTER) or memory * imm (SOURCE_IMMEDIATE) to reg */
	INSN_SETCC,            /* condition in .detail */
	INSN_CMOVCC,
	INSN_XCHG,
	INSN_XADD,
	INSN_CMPXCHG,
	INSN_CMPXCHG_PAIR, /* CMPXCHG8B, CMPXCHG16B: memory_size 8 or 16 */
	INSN_MOVBE,        /* the direction is in .access */
	INSN_CRC32,
	INSN_ADCX,
	INSN_ADOX,
	INSN_ANDN, /* BMI1, BMI2: the second source, where there is one, in .reg2 */
	INSN_BEXTR,
	INSN_BLSI,
	INSN_BLSMSK,
	INSN_BLSR,
	INSN_BZHI,
	INSN_MULX,
	INSN_PDEP,
	INSN_PEXT,
	INSN_RORX,
	INSN_SARX,
	INSN_SHLX,
	INSN_SHRX,
	INSN_ARPL,
	INSN_BOUND, /* two operands side by side: memory_size is that of both */
	INSN_XLAT,  /* the index is AL */

	/* Strings: memory_size is that of an element. No ModRM; rSI and rDI are implied, .segment is the source's. */
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_CMPS,
	INSN_SCAS,
	INSN_INS,
	INSN_OUTS,

	/* The stack, and near transfers. Without a memory operand memory_size is 0; operand_size is that of an item. */
	INSN_PUSH, /* of .source: memory, register, immediate, segment register */
	INSN_POP,  /* to the same: memory (access has INSN_WRITE), register, segment register */
	INSN_PUSHA,
	INSN_POPA,
	INSN_PUSHF,
	INSN_POPF,
	INSN_CALL,  /* .source: memory, register, or immediate (imm is the displacement) */
	INSN_JMP,   /* of memory */
	INSN_RET,   /* imm bytes are released as well */
	INSN_ENTER, /* imm: bits 15:0 the size, 20:16 the nesting level */
	INSN_LEAVE,

	/* Segment registers, far pointers (offset, then selector) and descriptor tables. */
	INSN_STORE_SEGMENT, /* MOV m16, Sreg; also SLDT and STR: .reg is an enum tl_segment_name */
	INSN_LOAD_SEGMENT,  /* MOV Sreg, m16; also LLDT and LTR */
	INSN_LOAD_FAR,      /* LES LDS LSS LFS LGS: the segment register in .detail */
	INSN_JMP_FAR,
	INSN_CALL_FAR,
	INSN_SGDT,
	INSN_SIDT,
	INSN_LGDT,
	INSN_LIDT,
	INSN_SMSW,
	INSN_LMSW,
	INSN_VERR,
	INSN_VERW,
	INSN_LAR,
	INSN_LSL,

	/*
	 * Vector registers: vector_load() and vector_store(). .reg and .reg2 are vector registers, 0 to 31. "Below" a
	 * vector: what of the register a load does not name is zeroed or kept by .encoding, see vector.h.
	 */
	INSN_VECTOR_LOAD,      /* memory_size bytes, the rest of the 128 bits zeroed */
	INSN_VECTOR_STORE,     /* the low memory_size bytes */
	INSN_VECTOR_LOAD_LOW,  /* MOVLPS, MOVLPD: bits 63:0; the others of reg (legacy) or reg2 (VEX, EVEX) */
	INSN_VECTOR_LOAD_HIGH, /* MOVHPS, MOVHPD: bits 127:64 */
	INSN_VECTOR_STORE_HIGH,
	INSN_VECTOR_DUPLICATE,      /* MOVDDUP of 64-bit elements; .element 8 */
	INSN_VECTOR_DUPLICATE_EVEN, /* MOVSLDUP */
	INSN_VECTOR_DUPLICATE_ODD,  /* MOVSHDUP */
	INSN_VECTOR_BROADCAST,   /* memory_size bytes to the whole vector_length; .element is what a mask bit governs */
	INSN_VECTOR_INSERT,      /* PINSR, VINSERTF128, ...: memory_size bytes at place imm of reg (legacy) or reg2 */
	INSN_VECTOR_EXTRACT,     /* PEXTR, EXTRACTPS, VEXTRACTF128, ...: memory_size bytes from place imm */
	INSN_VECTOR_MASKED_LOAD, /* VMASKMOV, VPMASKMOV: the sign bits of reg2's elements are the mask */
	INSN_VECTOR_MASKED_STORE,
	INSN_VECTOR_MASKMOV, /* MASKMOVQ, MASKMOVDQU: reg by the sign bits of the bytes of reg2, to DS:rDI */
	INSN_MMX_LOAD,       /* MOVD, MOVQ: memory_size 4 or 8 */
	INSN_MMX_STORE,
	INSN_OPMASK_LOAD, /* KMOV */
	INSN_OPMASK_STORE,
	INSN_LDMXCSR,
	INSN_STMXCSR,

	/* x87: x87_load() and x87_store(). .detail is (opcode & 7) << 3 | ModRM.reg. */
	INSN_X87_LOAD,  /* FLD, FILD, FLDCW */
	INSN_X87_STORE, /* FST, FSTP, FIST, FISTP, FISTTP, FNSTCW, FNSTSW */

	/* 64 bytes at once from memory to the address in .reg. */
	INSN_MOVDIR64B,
	INSN_ENQCMD,
	INSN_ENQCMDS,
	INSN_NR_OPS
};

/* Which part of mmio/ executes it. */
enum insn_unit { UNIT_MOVE, UNIT_ALU, UNIT_STRING, UNIT_STACK, UNIT_SEGMENT, UNIT_VECTOR, UNIT_X87, UNIT_DIRECT };

/* What an instruction does to its memory operand (struct insn's access). */
enum insn_access { INSN_READ = 1, INSN_WRITE = 2 };

/* Where the operand that is neither memory nor implied comes from. */
enum insn_source { SOURCE_NONE, SOURCE_REGISTER, SOURCE_IMMEDIATE, SOURCE_CL, SOURCE_SEGMENT, SOURCE_MEMORY };

enum insn_flags {
	INSN_LOCK = 1 << 0,
	INSN_REP = 1 << 1,         /* F3 before a string instruction: REP, REPE */
	INSN_REPNE = 1 << 2,       /* F2 before a string instruction */
	INSN_TO_REGISTER = 1 << 3, /* of two operands the register is the destination: ADD Gv, Ev */
	INSN_ZEROING = 1 << 4,     /* EVEX.z */
	INSN_ALIGNED = 1 << 5,     /* #GP(0) unless the operand is aligned to its size: MOVAPS, MOVNTDQ, CMPXCHG16B */
};

enum insn_encoding { ENCODING_LEGACY, ENCODING_VEX, ENCODING_EVEX };

struct insn {
	uint8_t length;
	uint8_t op;            /* enum insn_op */
	uint8_t access;        /* enum insn_access, of the memory operand */
	uint8_t memory_size;   /* of the memory operand, in bytes, 0 to 64 */
	uint8_t register_size; /* of the general register operand, in bytes; 0 without one */
	uint8_t reg;           /* INSN_NO_REGISTER without one */
	uint8_t high_byte;     /* reg is 0 to 3 and means AH, CH, DH, BH */
	uint8_t base, index;
	uint8_t scale;         /* the index is shifted left by this, 0 to 3 */
	uint8_t segment;       /* enum tl_segment_name: the override, else SS or DS by the base */
	uint8_t address_size;  /* 2, 4 or 8 bytes */
	uint8_t rip_relative;  /* disp counts from the next instruction; base and index are none */
	uint8_t operand_size;  /* the effective one: 2, 4 or 8 bytes */
	uint8_t flags;         /* enum insn_flags */
	uint8_t source;        /* enum insn_source */
	uint8_t reg2;          /* VEX.vvvv, or a second register; INSN_NO_REGISTER without one */
	uint8_t detail;        /* of the op: a condition, a segment register, an x87 form */
	uint8_t encoding;      /* enum insn_encoding */
	uint8_t vector_length; /* 8 (MMX), 16, 32, 64; 0: no vector instruction */
	uint8_t element;       /* bytes that one bit of a mask governs; 0: never masked */
	uint8_t opmask;        /* EVEX.aaa: k1 to k7, 0: none */
	uint8_t modrm;         /* x87 only: FSTENV shows it */
	int64_t disp;          /* sign-extended, but for moffs: there it is the whole address; EVEX: disp8 * N done */
	uint64_t imm;          /* truncated to the operand's size; 0 without one */
};

static inline bool insn_is_write(const struct insn *insn)
{
	return insn->access & INSN_WRITE;
}

static inline enum insn_unit insn_unit(const struct insn *insn)
{
	if (insn->op <= INSN_STORE_IMM)
		return UNIT_MOVE;
	if (insn->op <= INSN_XLAT)
		return UNIT_ALU;
	if (insn->op <= INSN_OUTS)
		return UNIT_STRING;
	if (insn->op <= INSN_LEAVE)
		return UNIT_STACK;
	if (insn->op <= INSN_LSL)
		return UNIT_SEGMENT;
	if (insn->op <= INSN_STMXCSR)
		return UNIT_VECTOR;
	return insn->op <= INSN_X87_STORE ? UNIT_X87 : UNIT_DIRECT;
}

#endif
