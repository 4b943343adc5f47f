/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/engine_xstate.h"
#include <string.h>

enum {
	FXSAVE_BYTES = 512,
	AREA_BYTES = 2688, /* up to the end of HI16_ZMM */
	SSE_BYTES = 576,
	AVX_BYTES = 832,
	FCW = 0,
	FSW = 2,
	MXCSR = 24,
	MXCSR_MASK = 28,
	BV = 512,
};

static uint8_t kept[AREA_BYTES];

static size_t area_bytes(const struct xstate *xstate)
{
	if (xstate->fxsave)
		return FXSAVE_BYTES;
	return xstate->offset[XSTATE_HI16_ZMM] ? AREA_BYTES : xstate->offset[XSTATE_AVX] ? AVX_BYTES : SSE_BYTES;
}

/* One block of each size, made once. */
static uint8_t *area_of(size_t bytes)
{
	static uint8_t *areas[4];
	unsigned i = bytes == FXSAVE_BYTES ? 0 : bytes == SSE_BYTES ? 1 : bytes == AVX_BYTES ? 2 : 3;

	if (!areas[i])
		areas[i] = aligned_alloc(64, bytes);
	fuzz_require(areas[i]);
	return areas[i];
}

static void fill(struct fuzz_input *input, struct xstate *xstate)
{
	uint64_t seed = fuzz_take8(input), bv = fuzz_take8(input) & xstate->enabled;
	uint16_t fcw = (uint16_t)(0x340 | (fuzz_take16(input) & 0xf3f)), fsw = fuzz_take16(input);
	uint32_t mxcsr = 0x1f80, mask = seed & 1 ? 0xffff : seed & 2 ? 0xffbf : 0;
	uint8_t *at = xstate->area;

	for (size_t i = 0; i < area_bytes(xstate); i += 8) {
		uint64_t value = seed & 4 ? fuzz_hash(seed + i) : seed & 8 ? 0x8000000080000000 : 0;

		memcpy(at + i, &value, sizeof(value));
	}
	memcpy(at + FCW, &fcw, sizeof(fcw));
	memcpy(at + FSW, &fsw, sizeof(fsw));
	memcpy(at + MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(at + MXCSR_MASK, &mask, sizeof(mask));
	if (xstate->fxsave)
		return;
	memset(at + BV, 0, 64);
	memcpy(at + BV, &bv, sizeof(bv));
}

void engine_xstate_read(struct fuzz_input *input, struct xstate *xstate)
{
	uint8_t kind = fuzz_take8(input);

	*xstate = (struct xstate){.enabled = 3, .fxsave = (kind & 3) == 3};
	if ((kind & 3) < 2)
		xstate->offset[XSTATE_AVX] = SSE_BYTES;
	if ((kind & 3) == 0) {
		xstate->offset[XSTATE_OPMASK] = 1088;
		xstate->offset[XSTATE_ZMM_HI256] = 1152;
		xstate->offset[XSTATE_HI16_ZMM] = 1664;
	}
	if (kind & 4 && xstate->offset[XSTATE_AVX])
		xstate->enabled |= 1u << XSTATE_AVX;
	if (kind & 8 && xstate->enabled & 1u << XSTATE_AVX && xstate->offset[XSTATE_HI16_ZMM])
		xstate->enabled |= 7u << XSTATE_OPMASK;
	xstate->area = area_of(area_bytes(xstate));
	fill(input, xstate);
}

void engine_xstate_keep(const struct xstate *xstate)
{
	memcpy(kept, xstate->area, area_bytes(xstate));
}

bool engine_xstate_is_kept(const struct xstate *xstate)
{
	return memcmp(kept, xstate->area, area_bytes(xstate)) == 0;
}
