/* SPDX-License-Identifier: MIT */
#include "mmio/xstate.h"
#include <stddef.h>

/* SDM vol. 1, tables 10-2 and 13-1, and 13.4.2. */
enum {
	MXCSR = 24,
	MXCSR_MASK = 28,
	X87_REGISTERS = 32,
	X87_END = 160,
	SSE_REGISTERS = 160,
	XSTATE_BV = 512,
	INITIAL_FCW = 0x37f,
	MXCSR_MASK_OF_OLD = 0xffbf, /* where the mask reads 0: SDM vol. 1, 11.6.6 */
};

static const uint16_t component_bytes[XSTATE_NR_COMPONENTS] = {
	[XSTATE_SSE] = 256,       [XSTATE_AVX] = 256,       [XSTATE_OPMASK] = 64,
	[XSTATE_ZMM_HI256] = 512, [XSTATE_HI16_ZMM] = 1024,
};

static uint64_t read_bv(const struct xstate *xstate)
{
	uint64_t bv = ~0ull;

	if (!xstate->fxsave)
		__builtin_memcpy(&bv, xstate->area + XSTATE_BV, sizeof(bv));
	return bv;
}

static uint8_t *place(const struct xstate *xstate, enum xstate_component component)
{
	if (component == XSTATE_X87)
		return xstate->area;
	if (component == XSTATE_SSE)
		return xstate->area + SSE_REGISTERS;
	if (xstate->fxsave || !(xstate->enabled >> component & 1) || xstate->offset[component] == 0)
		return NULL;
	return xstate->area + xstate->offset[component];
}

const uint8_t *xstate_read(const struct xstate *xstate, enum xstate_component component)
{
	return read_bv(xstate) >> component & 1 ? place(xstate, component) : NULL;
}

static void initialise(uint8_t *at, enum xstate_component component)
{
	const uint16_t fcw = INITIAL_FCW;

	if (component != XSTATE_X87) {
		__builtin_memset(at, 0, component_bytes[component]);
		return;
	}
	__builtin_memset(at, 0, MXCSR);
	__builtin_memcpy(at, &fcw, sizeof(fcw));
	__builtin_memset(at + X87_REGISTERS, 0, X87_END - X87_REGISTERS);
}

uint8_t *xstate_modify(struct xstate *xstate, enum xstate_component component)
{
	uint64_t bv = read_bv(xstate);
	uint8_t *at = place(xstate, component);

	if (!at || bv >> component & 1)
		return at;
	initialise(at, component);
	bv |= 1ull << component;
	__builtin_memcpy(xstate->area + XSTATE_BV, &bv, sizeof(bv));
	return at;
}

/* Of a vector register, the bytes from `first` on that one component holds. */
struct piece {
	enum xstate_component component;
	uint8_t first, bytes;
	uint16_t at; /* in the component */
};

enum { MAX_PIECES = 3 };

static unsigned pieces_of(unsigned reg, struct piece pieces[MAX_PIECES])
{
	if (reg >= 16) {
		pieces[0] = (struct piece){XSTATE_HI16_ZMM, 0, 64, (uint16_t)((reg & 15) * 64)};
		return 1;
	}
	pieces[0] = (struct piece){XSTATE_SSE, 0, 16, (uint16_t)(reg * 16)};
	pieces[1] = (struct piece){XSTATE_AVX, 16, 16, (uint16_t)(reg * 16)};
	pieces[2] = (struct piece){XSTATE_ZMM_HI256, 32, 32, (uint16_t)(reg * 32)};
	return 3;
}

void xstate_read_vector(const struct xstate *xstate, unsigned reg, uint8_t value[XSTATE_VECTOR_BYTES])
{
	struct piece pieces[MAX_PIECES];
	unsigned nr = pieces_of(reg, pieces);

	__builtin_memset(value, 0, XSTATE_VECTOR_BYTES);
	for (unsigned i = 0; i < nr; i++) {
		const uint8_t *from = xstate_read(xstate, pieces[i].component);

		if (from)
			__builtin_memcpy(value + pieces[i].first, from + pieces[i].at, pieces[i].bytes);
	}
}

static bool is_zero(const uint8_t *bytes, unsigned count)
{
	uint8_t any = 0;

	for (unsigned i = 0; i < count; i++)
		any |= bytes[i];
	return any == 0;
}

void xstate_write_vector(struct xstate *xstate, unsigned reg, const uint8_t value[XSTATE_VECTOR_BYTES], bool keep_above)
{
	struct piece pieces[MAX_PIECES];
	unsigned nr = pieces_of(reg, pieces);

	for (unsigned i = 0; i < (keep_above ? 1 : nr); i++) {
		const uint8_t *from = value + pieces[i].first;
		uint8_t *to;

		/* Zeros do not bring a component into use: VEX.128 leaves AVX and ZMM as they are. */
		if (!xstate_read(xstate, pieces[i].component) && is_zero(from, pieces[i].bytes))
			continue;
		to = xstate_modify(xstate, pieces[i].component);
		if (to)
			__builtin_memcpy(to + pieces[i].at, from, pieces[i].bytes);
	}
}

uint64_t xstate_read_opmask(const struct xstate *xstate, unsigned k)
{
	const uint8_t *from = xstate_read(xstate, XSTATE_OPMASK);
	uint64_t value = 0;

	if (from)
		__builtin_memcpy(&value, from + 8ul * (k & 7), sizeof(value));
	return value;
}

void xstate_write_opmask(struct xstate *xstate, unsigned k, uint64_t value)
{
	uint8_t *to = xstate_modify(xstate, XSTATE_OPMASK);

	if (to)
		__builtin_memcpy(to + 8ul * (k & 7), &value, sizeof(value));
}

uint32_t xstate_read_mxcsr(const struct xstate *xstate)
{
	uint32_t value;

	__builtin_memcpy(&value, xstate->area + MXCSR, sizeof(value));
	return value;
}

bool xstate_write_mxcsr(struct xstate *xstate, uint32_t value)
{
	uint32_t mask;

	__builtin_memcpy(&mask, xstate->area + MXCSR_MASK, sizeof(mask));
	if (value & ~(mask ? mask : MXCSR_MASK_OF_OLD))
		return false;
	__builtin_memcpy(xstate->area + MXCSR, &value, sizeof(value));
	return true;
}

void xstate_fork_x87(struct xstate *copy, const struct xstate *xstate, uint8_t *area)
{
	__builtin_memcpy(area, xstate->area, xstate->fxsave ? XSTATE_BV : XSTATE_FIRST_BYTES);
	*copy = *xstate;
	copy->area = area;
	__builtin_memset(copy->offset, 0, sizeof(copy->offset));
}

void xstate_join_x87(struct xstate *xstate, const struct xstate *copy)
{
	uint8_t *to;

	if (!xstate_read(copy, XSTATE_X87))
		return;
	to = xstate_modify(xstate, XSTATE_X87);
	__builtin_memcpy(to, copy->area, MXCSR);
	__builtin_memcpy(to + X87_REGISTERS, copy->area + X87_REGISTERS, X87_END - X87_REGISTERS);
}
