/* SPDX-License-Identifier: MIT */
#include "mmio/vector.h"
#include "mmio/x87_image.h"

enum { GP_VECTOR = 13, LOADED = -1, MMX_BYTES = 8, XMM_BYTES = 16 };

static uint64_t first_bytes(unsigned count)
{
	return count >= 64 ? ~0ull : (1ull << count) - 1;
}

static bool is_mmx(const struct insn *insn)
{
	return insn->vector_length == MMX_BYTES;
}

/* A vector register, or an MMX register and zeros. */
static void read_register(const struct insn *insn, const struct xstate *xstate, unsigned reg, uint8_t value[64])
{
	uint64_t mmx;

	if (!is_mmx(insn)) {
		xstate_read_vector(xstate, reg, value);
		return;
	}
	mmx = x87_read_mmx(xstate, reg);
	__builtin_memset(value, 0, 64);
	__builtin_memcpy(value, &mmx, sizeof(mmx));
}

/* Each of the first `elements` bits of `bits` as `element` ones or zeros. */
static uint64_t spread(uint64_t bits, unsigned element, unsigned elements)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < elements; i++)
		mask |= bits >> i & 1 ? first_bytes(element) << (i * element) : 0;
	return mask;
}

static uint64_t sign_mask(const struct insn *insn, const struct xstate *xstate, unsigned element)
{
	uint8_t mask[64];
	uint64_t bits = 0;

	read_register(insn, xstate, insn->reg2, mask);
	for (unsigned i = 0; i < insn->memory_size / element; i++)
		bits |= (uint64_t)(mask[(i + 1) * element - 1] >> 7) << i;
	return spread(bits, element, insn->memory_size / element);
}

static uint64_t opmask_mask(const struct insn *insn, const struct xstate *xstate, unsigned bytes)
{
	return spread(xstate_read_opmask(xstate, insn->opmask), insn->element, bytes / insn->element);
}

/* A byte of memory is accessed if any of its copies is wanted. */
static uint64_t broadcast_mask(const struct insn *insn, const struct xstate *xstate)
{
	uint64_t wanted = opmask_mask(insn, xstate, insn->vector_length);
	uint64_t mask = 0;

	for (unsigned i = 0; i < insn->vector_length; i += insn->memory_size)
		mask |= wanted >> i;
	return mask & first_bytes(insn->memory_size);
}

uint64_t vector_mask(const struct insn *insn, const struct xstate *xstate)
{
	switch (insn->op) {
	case INSN_VECTOR_MASKED_LOAD:
	case INSN_VECTOR_MASKED_STORE:
		return sign_mask(insn, xstate, insn->element);
	case INSN_VECTOR_MASKMOV:
		return sign_mask(insn, xstate, 1);
	case INSN_VECTOR_LOAD:
	case INSN_VECTOR_STORE:
	case INSN_VECTOR_EXTRACT:
		if (insn->opmask)
			return opmask_mask(insn, xstate, insn->memory_size);
		break;
	case INSN_VECTOR_BROADCAST:
		if (insn->opmask)
			return broadcast_mask(insn, xstate);
		break;
	default: /* inserted and duplicated elements are read whether they are wanted or not: types E4NF to E9NF */
		break;
	}
	return first_bytes(insn->memory_size);
}

uint64_t vector_fault_mask(const struct insn *insn, const struct xstate *xstate)
{
	return insn->op == INSN_VECTOR_EXTRACT ? first_bytes(insn->memory_size) : vector_mask(insn, xstate);
}

/* Which part of a vector an insertion or extraction is about, in bytes. The CPU ignores the higher bits of imm. */
static unsigned place(const struct insn *insn)
{
	return ((unsigned)insn->imm * insn->memory_size) & (insn->vector_length - 1u);
}

void vector_store(const struct insn *insn, struct xstate *xstate, uint8_t data[64])
{
	uint8_t value[64];
	uint64_t opmask;
	uint32_t mxcsr;

	switch (insn->op) {
	case INSN_STMXCSR:
		mxcsr = xstate_read_mxcsr(xstate);
		__builtin_memcpy(data, &mxcsr, sizeof(mxcsr));
		return;
	case INSN_OPMASK_STORE:
		opmask = xstate_read_opmask(xstate, insn->reg);
		__builtin_memcpy(data, &opmask, sizeof(opmask));
		return;
	default:
		break;
	}
	read_register(insn, xstate, insn->reg, value);
	if (insn->op == INSN_VECTOR_STORE_HIGH)
		__builtin_memcpy(data, value + 8, 8);
	else if (insn->op == INSN_VECTOR_EXTRACT)
		__builtin_memcpy(data, value + place(insn), insn->memory_size);
	else
		__builtin_memcpy(data, value, sizeof(value));
	if (is_mmx(insn))
		x87_enter_mmx(xstate);
}

static void duplicate(const struct insn *insn, const uint8_t *data, uint8_t value[64])
{
	unsigned element = insn->op == INSN_VECTOR_DUPLICATE ? 8 : 4;

	for (unsigned i = 0; i < insn->vector_length / element; i++) {
		unsigned from = insn->op == INSN_VECTOR_DUPLICATE_ODD ? i | 1 : i & ~1u;

		__builtin_memcpy(value + (unsigned long)i * element, data + (unsigned long)from * element, element);
	}
}

/* The instructions that change a part of a register: in the legacy encoding of reg itself, else of a copy of reg2. */
static void insert(const struct insn *insn, const struct xstate *xstate, const uint8_t *data, uint8_t value[64])
{
	unsigned at = 0;

	read_register(insn, xstate, insn->encoding == ENCODING_LEGACY ? insn->reg : insn->reg2, value);
	__builtin_memset(value + insn->vector_length, 0, 64u - insn->vector_length);
	if (insn->op == INSN_VECTOR_LOAD_HIGH)
		at = 8;
	else if (insn->op == INSN_VECTOR_INSERT)
		at = place(insn);
	__builtin_memcpy(value + at, data, insn->memory_size);
	for (unsigned i = 0; insn->op == INSN_VECTOR_INSERT && i < 4; i++) {
		if (insn->detail >> i & 1)
			__builtin_memset(value + i * 4ul, 0, 4);
	}
}

/* What the instruction makes of memory, before an opmask. */
static void make_value(const struct insn *insn, const struct xstate *xstate, const uint8_t *data, uint8_t value[64])
{
	__builtin_memset(value, 0, 64);
	switch (insn->op) {
	case INSN_VECTOR_LOAD_LOW:
	case INSN_VECTOR_LOAD_HIGH:
	case INSN_VECTOR_INSERT:
		insert(insn, xstate, data, value);
		break;
	case INSN_VECTOR_DUPLICATE:
	case INSN_VECTOR_DUPLICATE_EVEN:
	case INSN_VECTOR_DUPLICATE_ODD:
		duplicate(insn, data, value);
		break;
	case INSN_VECTOR_BROADCAST:
		for (unsigned i = 0; i < insn->vector_length; i += insn->memory_size)
			__builtin_memcpy(value + i, data, insn->memory_size);
		break;
	default:
		__builtin_memcpy(value, data, insn->memory_size);
		break;
	}
}

/* Elements whose bit is 0 keep what the register has, or become 0. Of a scalar only the first element has a bit. */
static void apply_opmask(const struct insn *insn, const struct xstate *xstate, uint8_t value[64])
{
	unsigned governed = insn->op == INSN_VECTOR_LOAD ? insn->memory_size : insn->vector_length;
	uint64_t mask = opmask_mask(insn, xstate, governed);
	uint8_t before[64];

	xstate_read_vector(xstate, insn->reg, before);
	for (unsigned i = 0; i < governed; i++) {
		if (!(mask >> i & 1))
			value[i] = insn->flags & INSN_ZEROING ? 0 : before[i];
	}
}

static void load_register(const struct insn *insn, struct xstate *xstate, const uint8_t *data)
{
	uint8_t value[64];
	uint64_t mmx;

	make_value(insn, xstate, data, value);
	if (is_mmx(insn)) {
		__builtin_memcpy(&mmx, value, sizeof(mmx));
		x87_write_mmx(xstate, insn->reg, mmx);
		return;
	}
	if (insn->opmask)
		apply_opmask(insn, xstate, value);
	xstate_write_vector(xstate, insn->reg, value, insn->encoding == ENCODING_LEGACY);
}

int vector_load(const struct insn *insn, struct xstate *xstate, const uint8_t data[64])
{
	uint64_t mask = vector_mask(insn, xstate);
	uint8_t accessed[64] = {0};
	uint64_t opmask;
	uint32_t mxcsr;

	for (unsigned i = 0; i < insn->memory_size; i++)
		accessed[i] = mask >> i & 1 ? data[i] : 0;
	switch (insn->op) {
	case INSN_LDMXCSR:
		__builtin_memcpy(&mxcsr, accessed, sizeof(mxcsr));
		return xstate_write_mxcsr(xstate, mxcsr) ? LOADED : GP_VECTOR;
	case INSN_OPMASK_LOAD:
		__builtin_memcpy(&opmask, accessed, sizeof(opmask));
		xstate_write_opmask(xstate, insn->reg, opmask);
		return LOADED;
	default:
		load_register(insn, xstate, accessed);
		return LOADED;
	}
}
