/* SPDX-License-Identifier: MIT */
/*
 * Instructions that touch nothing but registers, flags and RIP, of those that stand between a driver's accesses: moves,
 * LEA, simple arithmetic, comparisons, jumps, PAUSE. 64-bit code only, operands of 1, 4 and 8 bytes, never RSP.
 *
 * Flags are settled when somebody asks for them: most are overwritten soon.
 */
#ifndef MMIO_STEP_H
#define MMIO_STEP_H

#include "mmio/insn.h"
#include "mmu/types.h"

enum step_op {
	STEP_NOP, /* PAUSE, too */
	STEP_MOV, /* of a sum: LEA as well */
	STEP_MOVZX,
	STEP_ADD,
	STEP_SUB,
	STEP_AND,
	STEP_OR,
	STEP_XOR,
	STEP_CMP,
	STEP_TEST,
	STEP_INC,
	STEP_DEC,
	STEP_JMP,
	STEP_JCC,
};

enum { STEP_ZF = 6 /* the bit of RFLAGS */ };

/* When a step jumps. */
enum step_jump { STEP_GOES_ON, STEP_IF_NOT_ZERO, STEP_IF_ZERO, STEP_IF_OTHER };

/*
 * The second operand is gpr[source] + (gpr[index] << scale) + imm, of which those that are not there are
 * INSN_NO_REGISTER and 0. MOVZX: gpr[source] & imm.
 */
struct step {
	uint8_t op;   /* enum step_op */
	uint8_t jump; /* enum step_jump: of a JCC, or of one that was fused with what changes the flags before it */
	uint8_t condition; /* STEP_IF_OTHER */
	uint8_t length;    /* of the instruction, or of both */
	uint8_t reg;       /* the first operand */
	uint8_t source, index, scale;
	uint8_t size;    /* of the operands, in bytes */
	uint16_t kind;   /* of one that changes flags: enum insn_op, and the size << 8 */
	uint64_t imm;    /* of the second operand */
	uint64_t mask;   /* all ones over an operand */
	uint64_t keep;   /* what of the first operand's register a result leaves */
	uint64_t target; /* of a jump, from the next instruction */
};

/* An instruction that changes flags: what they are afterwards is worked out when somebody asks. */
struct step_result {
	uint16_t kind; /* as struct step's; 0: none */
	bool zero;     /* ZF */
	uint64_t first, second;
};

/* .rflags, then what .carry says, then what .last says. The former is of use where the latter leaves CF: INC, DEC. */
struct step_flags {
	uint64_t rflags;
	struct step_result last, carry;
};

/* Decodes one. Never reads at or past bytes + available. False: it is none of those, or not all there. */
bool step_decode(const uint8_t *bytes, unsigned available, struct step *step);

/* Makes one step of what changes flags and the JCC behind it. False: they are not that. */
bool step_fuse(struct step *step, const struct step *jump);

/* Makes .rflags what the instructions up to now have left. */
void step_settle(struct step_flags *flags);

/* Whether any condition holds; what step_execute() does not know at once. */
bool step_condition(struct step_flags *flags, unsigned condition);

ALWAYS_INLINE void step_set(const struct step *step, uint64_t gpr[INSN_NR_GPRS], uint64_t result)
{
	gpr[step->reg] = (gpr[step->reg] & step->keep) | (result & step->mask);
}

/* ZF. */
ALWAYS_INLINE bool step_zero(const struct step_flags *flags)
{
	return flags->last.kind ? flags->last.zero : flags->rflags >> STEP_ZF & 1;
}

/* Whether step_execute() needs step_condition() for it. */
static inline bool step_is_slow(const struct step *step)
{
	return step->jump == STEP_IF_OTHER;
}

/* Executes one; true: it jumps. `slow` is a constant; false: step_is_slow() does not hold. */
ALWAYS_INLINE bool step_execute(const struct step *step, uint64_t gpr[INSN_NR_GPRS], struct step_flags *flags,
				bool slow)
{
	uint64_t first = gpr[step->reg], second = gpr[step->source] + step->imm, result;

	switch (step->op) {
	case STEP_NOP:
		return false;
	case STEP_MOV:
		step_set(step, gpr, second + (gpr[step->index] << step->scale));
		return false;
	case STEP_MOVZX:
		step_set(step, gpr, gpr[step->source] & step->imm);
		return false;
	case STEP_JMP:
		return true;
	case STEP_JCC:
		if (slow && step->jump == STEP_IF_OTHER)
			return step_condition(flags, step->condition);
		return step_zero(flags) == step->jump - STEP_IF_NOT_ZERO;
	case STEP_TEST:
		result = first & second;
		break;
	case STEP_CMP:
		result = first - second;
		break;
	case STEP_INC:
	case STEP_DEC:
		if ((flags->last.kind & 0xff) != INSN_INC && (flags->last.kind & 0xff) != INSN_DEC)
			flags->carry = flags->last;
		/* fall through */
	case STEP_ADD:
		step_set(step, gpr, result = first + second);
		break;
	case STEP_SUB:
		step_set(step, gpr, result = first - second);
		break;
	case STEP_AND:
		step_set(step, gpr, result = first & second);
		break;
	case STEP_OR:
		step_set(step, gpr, result = first | second);
		break;
	default:
		step_set(step, gpr, result = first ^ second);
	}
	flags->last.kind = step->kind;
	flags->last.first = first;
	flags->last.second = second;
	flags->last.zero = (result & step->mask) == 0;
	if (step->jump == STEP_GOES_ON)
		return false;
	if (slow && step->jump == STEP_IF_OTHER)
		return step_condition(flags, step->condition);
	return flags->last.zero == step->jump - STEP_IF_NOT_ZERO;
}

#endif
