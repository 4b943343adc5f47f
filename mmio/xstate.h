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

enum {
	XSTATE_VECTOR_BYTES = 64,
	XSTATE_FIRST_BYTES = 576, /* the legacy area and the XSAVE header */
};

struct xstate {
	uint8_t *area;    /* 64-byte aligned */
	uint64_t enabled; /* XCR0 of the guest; 3 without XSAVE */
	/* From the area's beginning, by component; CPUID.(0DH, n):EBX. 0: the CPU does not have it. */
	uint32_t offset[XSTATE_NR_COMPONENTS];
	bool fxsave; /* no XSAVE header: everything counts as in use */
	/* The x87 data pointer changes with exceptions that are not masked only: CPUID.(07H, 0):EBX[6],
	 * FDP_EXCPTN_ONLY. */
	bool dp_on_exceptions;
};

/*
 * Where a component lies in the area, to be read. NULL if it is in its initial configuration, is not enabled in XCR0 or
 * does not exist: it is all zeros then, but for FCW, which is 37FH. x87 and SSE count as enabled always.
 */
const uint8_t *xstate_read(const struct xstate *xstate, enum xstate_component component);

/* The same, to be written: brought into use first if need be. NULL if it is not enabled or does not exist. */
uint8_t *xstate_modify(struct xstate *xstate, enum xstate_component component);

/* Register 0 to 31, all 64 bytes; zeros for what the CPU does not have. */
void xstate_read_vector(const struct xstate *xstate, unsigned reg, uint8_t value[XSTATE_VECTOR_BYTES]);

/* Bits 127:0, and those above unless keep_above: the legacy SSE instructions leave them. */
void xstate_write_vector(struct xstate *xstate, unsigned reg, const uint8_t value[XSTATE_VECTOR_BYTES],
			 bool keep_above);

uint64_t xstate_read_opmask(const struct xstate *xstate, unsigned k);
void xstate_write_opmask(struct xstate *xstate, unsigned k, uint64_t value);

/* MXCSR lies outside the components: XSTATE_BV does not govern it (SDM vol. 1, 13.6 and 13.8.1). */
uint32_t xstate_read_mxcsr(const struct xstate *xstate);
/* False, and nothing done, if `value` has a bit that the CPU reserves: #GP. */
bool xstate_write_mxcsr(struct xstate *xstate, uint32_t value);

/*
 * Makes `copy` work on `area` (64-byte aligned, XSTATE_FIRST_BYTES long) instead of the guest's area, with the x87 and
 * SSE components in it only: for an instruction that changes the x87 state and may still be abandoned.
 * xstate_join_x87() then puts the x87 component into the guest's.
 */
void xstate_fork_x87(struct xstate *copy, const struct xstate *xstate, uint8_t *area);
void xstate_join_x87(struct xstate *xstate, const struct xstate *copy);

#endif
