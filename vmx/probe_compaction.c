/* SPDX-License-Identifier: MIT */
/*
 * Whether a compacted area is as SDM vol. 1, 13.4.3, has it: behind its header, AVX state first. Bochs 2.7 begins at
 * byte 416, in the legacy region, so that the AVX state goes over the header, and no guest could load it again.
 */
#include "mmu/hooks.h"
#include "vmx/asm.h"
#include "vmx/cpu.h"
#include "vmx/extended_state.h"
#include "vmx/feature.h"
#include "vmx/probe.h"

enum {
	XSAVE_MXCSR = 24,
	XSAVE_HEADER = 512,
	XSAVE_HEADER_RESERVED = XSAVE_HEADER + 16,
	XSAVE_EXTENDED = 576,
	AVX_BYTES = 256,
	MXCSR = 0x1f80,
	PATTERN = 0x5a,
	X87_AND_SSE = 3,
	AVX = 4,
};

static bool is_all(const uint8_t *bytes, size_t count, uint8_t value)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* Loads the three components, AVX as of the pattern or initial, from an area that is not compacted. */
static void load(uint8_t *area, bool with_avx)
{
	const uint32_t mxcsr = MXCSR;

	for (unsigned i = 0; i < XSAVE_EXTENDED + AVX_BYTES; i++)
		area[i] = with_avx && i >= XSAVE_EXTENDED ? PATTERN : 0;
	__builtin_memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	area[XSAVE_HEADER] = with_avx ? AVX : 0;
	xrstor(area, X87_AND_SSE | AVX);
}

static bool is_right(uint8_t *area)
{
	xsetbv(0, vmx_capability.xcr0);
	load(area, true);
	for (unsigned i = 0; i < XSAVE_EXTENDED + AVX_BYTES; i++)
		area[i] = 0;
	xsavec(area, AVX);
	return is_all(area + XSAVE_HEADER_RESERVED, XSAVE_EXTENDED - XSAVE_HEADER_RESERVED, 0) &&
	       is_all(area + XSAVE_EXTENDED, AVX_BYTES, PATTERN);
}

enum tl_status probe_compaction(void)
{
	uint8_t *area;

	if (!vmx_controls.xsavec || !(vmx_capability.xcr0 & AVX) || features_trusted(TL_FEATURE_XSAVES))
		return TL_OK;
	area = page_alloc(1);
	if (!area)
		return TL_NO_MEMORY;
	if (!is_right(area)) {
		tl_log(TL_LOG_INFO,
		       "VMX: guests have neither XSAVEC nor XSAVES: what this CPU compacts lies over the header "
		       "of its area");
		vmx_controls.xsavec = vmx_controls.xsaves = false;
		vmx_controls.proc2 &= ~(uint32_t)PROC2_ENABLE_XSAVES;
	}
	load(area, false);
	page_free(area, 1);
	return TL_OK;
}
