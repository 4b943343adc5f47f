/* SPDX-License-Identifier: MIT */
/*
 * The guest's x87, MMX and vector registers in an XSAVE area of the standard format (SDM vol. 1, 13.4), or in an
 * FXSAVE area on a CPU without XSAVE.
 */
#ifndef MMIO_XSTATE_H
#define MMIO_XSTATE_H

#include <stdbool.h>
#include <stdint.h>

/* State components by their bits in XCR0 and XSTATE_BV. SDM vol. 1, 13.1. */
enum xstate_component {
	XSTATE_X87,
	XSTATE_SSE,
	XSTATE_AVX,        /* bits 255:128 of 16 registers */
	XSTATE_OPMASK = 5, /* k0 to k7, 8 bytes each */
	XSTATE_ZMM_HI256,  /* bits 511:256 of registers 0 to 15 */
	XSTATE_HI16_ZMM,   /* registers 16 to 31, 64 bytes each */
	XSTATE_NR_COMPONENTS
};

struct xstate {
	uint8_t *area;    /* 64-byte aligned */
	uint64_t enabled; /* XCR0 of the guest; 3 without XSAVE */
	/* From the area's beginning, by component; CPUID.(0DH, n):EBX. 0: the CPU does not have it. */
	uint32_t offset[XSTATE_NR_COMPONENTS];
	bool fxsave; /* no XSAVE header: everything counts as in use */
};

#endif
