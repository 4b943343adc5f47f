/* SPDX-License-Identifier: MIT */
/* Any bytes as an instruction. The first byte says in which mode, the others are the instruction. */
#include "mmio/decode.h"
#include "tests/fuzz/fuzz.h"
#include <stdbool.h>
#include <string.h>
#include <trapline.h>

enum { MOST = INSN_MAX_LENGTH, BUFFER = 32 };

/* The bytes end where the memory does, so that the sanitizer sees a read beyond them. */
static enum decode_status decode(const uint8_t *bytes, unsigned available, unsigned bits, struct insn *insn)
{
	uint8_t *exact = malloc(available ? available : 1);
	enum decode_status status;

	memcpy(exact, bytes, available);
	memset(insn, 0xa5, sizeof(*insn));
	status = insn_decode(exact, available, bits, insn);
	free(exact);
	return status;
}

static bool is_size(unsigned size)
{
	return size == 2 || size == 4 || size == 8;
}

static void check_registers(const struct insn *insn, unsigned bits)
{
	unsigned most = bits == 64 ? 15 : 7;

	fuzz_require(insn->base <= most || insn->base == INSN_NO_REGISTER);
	fuzz_require(insn->index <= most || insn->index == INSN_NO_REGISTER);
	fuzz_require(insn->scale <= 3 && (insn->scale == 0 || insn->index != INSN_NO_REGISTER));
	fuzz_require(insn->reg <= INSN_NO_REGISTER || (insn_unit(insn) == UNIT_VECTOR && insn->reg < 32));
	fuzz_require(insn->reg2 <= INSN_NO_REGISTER || (insn_unit(insn) == UNIT_VECTOR && insn->reg2 < 32));
	fuzz_require(!insn->high_byte || (insn->reg < 4 && insn->register_size == 1));
	fuzz_require(insn->opmask < 8 && (insn->opmask == 0 || insn->element != 0));
	fuzz_require(!(insn->flags & INSN_ZEROING) || insn->opmask);
	if (insn->op == INSN_STORE_SEGMENT || insn->op == INSN_LOAD_SEGMENT)
		fuzz_require(insn->reg < TL_NR_SEGMENTS);
}

/* What the engine relies on without looking again. */
static void check_insn(const struct insn *insn, unsigned bits)
{
	fuzz_require(insn->op > INSN_NONE && insn->op < INSN_NR_OPS);
	fuzz_require(insn->length >= 1 && insn->length <= MOST);
	fuzz_require(is_size(insn->operand_size) && (insn->operand_size < 8 || bits == 64));
	fuzz_require(is_size(insn->address_size) &&
		     (insn->address_size < 8) == (bits != 64 || insn->address_size == 4));
	fuzz_require(bits != 64 || insn->address_size != 2);
	fuzz_require(insn->memory_size <= 64 && insn->register_size <= 8);
	fuzz_require(insn->segment <= TL_GS);
	fuzz_require(insn->access <= (INSN_READ | INSN_WRITE));
	/* Only what writes memory may be locked. SDM vol. 2, LOCK. */
	fuzz_require(!(insn->flags & INSN_LOCK) || insn_is_write(insn));
	fuzz_require(!(insn->flags & (INSN_REP | INSN_REPNE)) || insn_unit(insn) == UNIT_STRING);
	fuzz_require((insn->flags & (INSN_REP | INSN_REPNE)) != (INSN_REP | INSN_REPNE));
	fuzz_require(!insn->rip_relative || (bits == 64 && insn->base == INSN_NO_REGISTER));
	if (insn_unit(insn) == UNIT_STRING || insn_unit(insn) == UNIT_MOVE)
		fuzz_require(insn->memory_size && insn->memory_size <= 8);
	if (insn->vector_length)
		fuzz_require(insn->vector_length == 8 || insn->vector_length == 16 || insn->vector_length == 32 ||
			     insn->vector_length == 64);
	check_registers(insn, bits);
}

/*
 * An answer other than "more" is the answer whatever follows, and an instruction is known by its own bytes alone:
 * neither may hang on what happens to stand behind it.
 */
static void check_prefixes(const uint8_t bytes[MOST], unsigned bits, enum decode_status whole, const struct insn *insn)
{
	struct insn part;
	bool told = false;

	for (unsigned available = 0; available <= MOST; available++) {
		enum decode_status status = decode(bytes, available, bits, &part);

		if (status == DECODE_MORE) {
			fuzz_require(!told && available < MOST);
			continue;
		}
		told = true;
		fuzz_require(status == whole);
		if (status != DECODE_OK)
			continue;
		fuzz_require(available >= insn->length);
		fuzz_require(memcmp(&part, insn, sizeof(part)) == 0);
	}
}

static void check_tail(const uint8_t bytes[MOST], unsigned bits, const struct insn *insn)
{
	uint8_t other[BUFFER];
	struct insn again;

	for (unsigned fill = 0; fill < 3; fill++) {
		memcpy(other, bytes, insn->length);
		for (unsigned i = insn->length; i < BUFFER; i++)
			other[i] = fill == 0 ? 0 : fill == 1 ? 0xff : (uint8_t)~bytes[i % MOST];
		fuzz_require(decode(other, BUFFER, bits, &again) == DECODE_OK);
		fuzz_require(memcmp(&again, insn, sizeof(again)) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned modes[] = {16, 32, 64, 64};
	struct fuzz_input input = {data, size};
	unsigned bits = modes[fuzz_take8(&input) & 3];
	uint8_t bytes[MOST];
	enum decode_status status;
	struct insn insn;

	for (unsigned i = 0; i < MOST; i++)
		bytes[i] = fuzz_take8(&input);
	status = decode(bytes, MOST, bits, &insn);
	fuzz_require(status <= DECODE_UNSUPPORTED);
	check_prefixes(bytes, bits, status, &insn);
	if (status != DECODE_OK)
		return 0;
	check_insn(&insn, bits);
	check_tail(bytes, bits, &insn);
	return 0;
}
