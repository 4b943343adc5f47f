/* SPDX-License-Identifier: MIT */
#include "mmio/x87_image.h"

enum { AT_FCW = 0, AT_FSW = 2, AT_FTW = 4, AT_ST = 32, ST_STRIDE = 16, ST_EXPONENT = 8, INITIAL_FCW = 0x37f };

void x87_image_read(const struct xstate *xstate, struct x87_image *image)
{
	const uint8_t *from = xstate_read(xstate, XSTATE_X87);

	*image = (struct x87_image){.fcw = INITIAL_FCW};
	if (!from)
		return;
	__builtin_memcpy(&image->fcw, from + AT_FCW, sizeof(image->fcw));
	__builtin_memcpy(&image->fsw, from + AT_FSW, sizeof(image->fsw));
	image->valid = from[AT_FTW];
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++) {
		const uint8_t *st = from + AT_ST + ST_STRIDE * i;

		__builtin_memcpy(&image->st[i].significand, st, sizeof(image->st[i].significand));
		__builtin_memcpy(&image->st[i].sign_exponent, st + ST_EXPONENT, sizeof(image->st[i].sign_exponent));
	}
}

void x87_image_write(struct xstate *xstate, const struct x87_image *image)
{
	uint8_t *to = xstate_modify(xstate, XSTATE_X87);

	__builtin_memcpy(to + AT_FCW, &image->fcw, sizeof(image->fcw));
	__builtin_memcpy(to + AT_FSW, &image->fsw, sizeof(image->fsw));
	to[AT_FTW] = image->valid;
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++) {
		uint8_t *st = to + AT_ST + ST_STRIDE * i;

		__builtin_memcpy(st, &image->st[i].significand, sizeof(image->st[i].significand));
		__builtin_memcpy(st + ST_EXPONENT, &image->st[i].sign_exponent, sizeof(image->st[i].sign_exponent));
	}
}

/* The area holds the registers in the order of the stack, ST(0) first. */
void x87_set_top(struct x87_image *image, unsigned top)
{
	const struct x87_image before = *image;
	unsigned by = (top - x87_top(image)) & 7;

	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		image->st[i] = before.st[(i + by) & 7];
	image->fsw &= (uint16_t)~X87_TOP;
	image->fsw |= (uint16_t)((top & 7) << X87_TOP_SHIFT);
}

uint64_t x87_read_mmx(const struct xstate *xstate, unsigned reg)
{
	struct x87_image image;

	x87_image_read(xstate, &image);
	return image.st[(reg - x87_top(&image)) & 7].significand;
}

static void enter(struct x87_image *image)
{
	x87_set_top(image, 0);
	image->valid = 0xff;
}

void x87_write_mmx(struct xstate *xstate, unsigned reg, uint64_t value)
{
	struct x87_image image;

	x87_image_read(xstate, &image);
	enter(&image);
	image.st[reg & 7] = (struct f80){.significand = value, .sign_exponent = 0xffff};
	x87_image_write(xstate, &image);
}

void x87_enter_mmx(struct xstate *xstate)
{
	struct x87_image image;

	x87_image_read(xstate, &image);
	enter(&image);
	x87_image_write(xstate, &image);
}
