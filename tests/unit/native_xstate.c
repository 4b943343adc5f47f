/* SPDX-License-Identifier: MIT */
#include "tests/unit/native_xstate.h"

#include "tests/unit/hosted.h"
#include <string.h>

/* The legacy area and the header. SDM vol. 1, 13.4.1 and 13.4.2. */
enum {
	AT_FCW = 0,
	AT_FSW = 2,
	AT_FTW = 4,
	AT_FOP = 6,
	AT_MXCSR = 24,
	AT_MXCSR_MASK = 28,
	AT_ST = 32,
	ST_STRIDE = 16,
	ST_BYTES = 10,
	AT_XMM = 160,
	XMM_BYTES = 256,
	AT_XSTATE_BV = 512,
	AT_EXTENDED = 576,
};
enum {
	DETAIL_FLDCW = 015,
	FCW_INITIAL = 0x37f,
	FCW_USED = 0xf3f,
	FCW_ONE = 0x40,
	EXCEPTIONS = 0x3f,
	FSW_ES = 0x80,
	FSW_B = 0x8000
};
enum { MXCSR_USED = 0xffff, FXSAVE_BYTES = 512 };

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

struct xstate native_xstate(struct native_image *image)
{
	struct xstate xstate = {.area = image->bytes, .enabled = native_xsave_mask()};

	for (unsigned i = XSTATE_AVX; i < XSTATE_NR_COMPONENTS; i++)
		xstate.offset[i] = native_xsave_component(i).offset;
	return xstate;
}

static void random_bytes(uint8_t *at, unsigned count)
{
	for (unsigned i = 0; i < count; i += 8) {
		uint64_t random = random_next();

		memcpy(at + i, &random, 8);
	}
}

/* The status word's ES and B say whether a flagged exception is not masked. */
static void random_x87(uint8_t *area)
{
	unsigned fcw = (unsigned)(random_next() & FCW_USED) | FCW_ONE, fsw = (unsigned)random_next() & 0x7f7f;

	if (random_below(16))
		fcw |= EXCEPTIONS;
	if (fsw & ~fcw & EXCEPTIONS)
		fsw |= FSW_ES | FSW_B;
	put16(area + AT_FCW, fcw);
	put16(area + AT_FSW, fsw);
	area[AT_FTW] = random_below(2) ? 0xff : (uint8_t)random_next();
	put16(area + AT_FOP, (unsigned)random_next() & 0x7ff);
	for (unsigned i = 0; i < 8; i++) {
		uint8_t *st = area + AT_ST + i * ST_STRIDE;

		random_bytes(st, 8);
		put16(st + 8, (unsigned)random_next());
	}
}

/* A mask is often of few bits, so that elements at the ends count. */
static void random_opmask(uint8_t *area)
{
	for (unsigned k = 0; k < 8; k++) {
		uint64_t mask = random_next();

		if (random_below(4) == 0)
			mask = random_below(2) ? 0 : ~0ull;
		memcpy(area + 8ul * k, &mask, 8);
	}
}

/* Which bits of MXCSR this CPU has: it is part of an image, so that the library knows what LDMXCSR refuses. */
static void put_mxcsr_mask(uint8_t *area)
{
	static _Alignas(16) uint8_t fxsave[FXSAVE_BYTES];

	if (!fxsave[AT_MXCSR])
		__asm__ volatile("fxsave64 %0" : "=m"(fxsave));
	memcpy(area + AT_MXCSR_MASK, fxsave + AT_MXCSR_MASK, 4);
}

void native_image_random(struct native_image *image)
{
	uint8_t *area = image->bytes;
	uint64_t in_use = native_xsave_mask() & (random_below(4) ? ~0ull : random_next());

	memset(area, 0, sizeof(image->bytes));
	random_x87(area);
	put16(area + AT_MXCSR, (unsigned)random_next() & MXCSR_USED);
	put_mxcsr_mask(area);
	random_bytes(area + AT_XMM, XMM_BYTES);
	for (unsigned i = XSTATE_AVX; i < XSTATE_NR_COMPONENTS; i++) {
		struct native_component component = native_xsave_component(i);

		if (!component.size)
			continue;
		random_bytes(area + component.offset, component.size);
		if (i == XSTATE_OPMASK)
			random_opmask(area + component.offset);
	}
	memcpy(area + AT_XSTATE_BV, &in_use, sizeof(in_use));
}

static bool in_use(const struct native_image *image, unsigned component)
{
	return image->bytes[AT_XSTATE_BV] >> component & 1;
}

bool native_image_has_pointers(const struct native_image *after, const struct insn *insn)
{
	bool fldcw = insn->op == INSN_X87_LOAD && insn->detail == DETAIL_FLDCW;

	return !fldcw && in_use(after, XSTATE_X87) && get16(after->bytes + AT_FSW) & FSW_ES;
}

/* Without the bytes that XSAVE reserves. */
static void take_x87(const struct native_image *image, bool pointers, uint8_t out[AT_MXCSR + 8 * ST_BYTES])
{
	const uint8_t *area = image->bytes;

	memset(out, 0, AT_MXCSR + 8 * ST_BYTES);
	if (!in_use(image, XSTATE_X87)) {
		put16(out, FCW_INITIAL);
		return;
	}
	memcpy(out, area, pointers ? AT_MXCSR : AT_FOP);
	out[AT_FTW + 1] = 0;
	for (unsigned i = 0; i < 8; i++)
		memcpy(out + AT_MXCSR + (size_t)i * ST_BYTES, area + AT_ST + (size_t)i * ST_STRIDE, ST_BYTES);
}

static bool same_component(const struct native_image *a, const struct native_image *b, unsigned component,
			   uint32_t offset, uint32_t size)
{
	static const uint8_t zeros[NATIVE_XSAVE_BYTES];
	const uint8_t *in_a = in_use(a, component) ? a->bytes + offset : zeros;
	const uint8_t *in_b = in_use(b, component) ? b->bytes + offset : zeros;

	return memcmp(in_a, in_b, size) == 0;
}

const char *native_image_difference(const struct native_image *a, const struct native_image *b, bool pointers)
{
	static const char *const names[XSTATE_NR_COMPONENTS] = {
		"the x87 state",
		"XMM",
		"bits 255:128 of a vector register",
		NULL,
		NULL,
		"an opmask register",
		"bits 511:256 of a vector register",
		"a vector register above 15",
	};
	uint8_t x87[2][AT_MXCSR + 8 * ST_BYTES];

	take_x87(a, pointers, x87[0]);
	take_x87(b, pointers, x87[1]);
	if (memcmp(x87[0], x87[1], sizeof(x87[0])))
		return names[XSTATE_X87];
	if (!same_component(a, b, XSTATE_SSE, AT_XMM, XMM_BYTES))
		return names[XSTATE_SSE];
	if (memcmp(a->bytes + AT_MXCSR, b->bytes + AT_MXCSR, 4))
		return "MXCSR";
	for (unsigned i = XSTATE_AVX; i < XSTATE_NR_COMPONENTS; i++) {
		struct native_component component = native_xsave_component(i);

		if (component.size && !same_component(a, b, i, component.offset, component.size))
			return names[i];
	}
	return NULL;
}
