/* SPDX-License-Identifier: MIT */
/* The x87 component of an XSAVE or FXSAVE area as registers. SDM vol. 1, 10.5.1, and 9.6 for MMX. */
#ifndef MMIO_X87_IMAGE_H
#define MMIO_X87_IMAGE_H

#include "mmio/xstate.h"

enum { X87_NR_REGISTERS = 8 };

/* FSW. SDM vol. 1, 8.1.3. The exceptions have the same bits in FCW, where they mask. */
enum {
	X87_IE = 1 << 0,
	X87_DE = 1 << 1,
	X87_OE = 1 << 3,
	X87_UE = 1 << 4,
	X87_PE = 1 << 5,
	X87_EXCEPTIONS = 0x3f,
	X87_SF = 1 << 6,
	X87_ES = 1 << 7,
	X87_C1 = 1 << 9,
	X87_TOP_SHIFT = 11,
	X87_TOP = 7 << X87_TOP_SHIFT,
	X87_B = 1 << 15,
};

/* An 80-bit floating-point number. */
struct f80 {
	uint64_t significand;   /* bit 63 is the integer bit */
	uint16_t sign_exponent; /* bit 15 is the sign */
};

/* All of it but the pointers, as values. */
struct x87_image {
	uint16_t fcw, fsw;
	uint8_t valid; /* bit i for R(i): not empty; FXSAVE's abridged tag word */
	struct f80 st[X87_NR_REGISTERS];
};

void x87_image_read(const struct xstate *xstate, struct x87_image *image);
/* Brings the component into use; the pointers stay as they are. */
void x87_image_write(struct xstate *xstate, const struct x87_image *image);

static inline unsigned x87_top(const struct x87_image *image)
{
	return image->fsw >> X87_TOP_SHIFT & 7;
}

/* Makes R(top) ST(0): the registers stay what they are, and get other names. */
void x87_set_top(struct x87_image *image, unsigned top);

/* MMX register 0 to 7. Every MMX instruction, a store too, makes TOP 0 and all registers valid: x87_enter_mmx(). */
uint64_t x87_read_mmx(const struct xstate *xstate, unsigned reg);
void x87_write_mmx(struct xstate *xstate, unsigned reg, uint64_t value);
void x87_enter_mmx(struct xstate *xstate);

#endif
