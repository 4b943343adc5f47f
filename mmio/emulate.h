/* SPDX-License-Identifier: MIT */
/*
 * What a decoded instruction does with registers. A register file `gpr` has INSN_NR_GPRS entries, the last one 0.
 * Everything here is on the path of each access.
 */
#ifndef MMIO_EMULATE_H
#define MMIO_EMULATE_H

#include "mmio/decode.h"
#include <stdbool.h>
#include <stdint.h>

/* All ones over an operand of so many bytes, 0 to 8. */
extern const uint64_t insn_mask[9];

/* The memory operand's offset in its segment. rip is that of the instruction itself. */
static inline uint64_t insn_effective_address(const struct insn *insn, const uint64_t gpr[INSN_NR_GPRS], uint64_t rip)
{
	uint64_t offset = gpr[insn->base] + (gpr[insn->index] << insn->scale) + (uint64_t)insn->disp;

	if (insn->rip_relative)
		offset += rip + insn->length;
	return offset & insn_mask[insn->address_size];
}

/*
 * Makes a RIP-relative operand absolute, for keeping the instruction with its address: insn_effective_address()
 * then takes the shorter way, and its rip is not used.
 */
static inline void insn_bind(struct insn *insn, uint64_t rip)
{
	if (!insn->rip_relative)
		return;
	insn->disp = (int64_t)((uint64_t)insn->disp + rip + insn->length);
	insn->rip_relative = 0;
}

/* What an instruction that writes memory (insn_is_write()) stores there, zero-extended. */
static inline uint64_t insn_store_value(const struct insn *insn, const uint64_t gpr[INSN_NR_GPRS])
{
	uint64_t value;

	if (insn->op == INSN_STORE_IMM)
		return insn->imm;
	value = gpr[insn->reg];
	if (insn->high_byte)
		value >>= 8;
	return value & insn_mask[insn->memory_size];
}

/* The registers after a load of `data`; its bits above the memory operand's size are ignored. */
static inline void insn_load_result(const struct insn *insn, uint64_t gpr[INSN_NR_GPRS], uint64_t data)
{
	uint64_t mask = insn_mask[insn->memory_size];
	uint64_t written = insn_mask[insn->register_size];

	data &= mask;
	if (insn->op == INSN_LOAD_SX) {
		uint64_t sign = mask & ~(mask >> 1);

		data = ((data ^ sign) - sign) & written;
	}
	/* A 32-bit result clears the upper half; smaller ones leave the rest alone. SDM vol. 1, 3.4.1.1. */
	if (insn->register_size < 4) {
		if (insn->high_byte) {
			written <<= 8;
			data <<= 8;
		}
		data |= gpr[insn->reg] & ~written;
	}
	gpr[insn->reg] = data;
}

#endif
