/* SPDX-License-Identifier: MIT */
#include "guest/state.h"
#include "guest/multiboot.h"

/* Access rights in the VMCS' format, SDM vol. 3, table 25-2: type, S, P, L, D/B, G. */
enum {
	ACCESS_CODE16 = 0x009b,
	ACCESS_DATA16 = 0x0093,
	ACCESS_CODE32 = 0xc09b,
	ACCESS_CODE64 = 0xa09b,
	ACCESS_DATA32 = 0xc093,
	ACCESS_TSS_BUSY = 0x008b,
	ACCESS_UNUSABLE = 0x10000,
};

enum {
	CR0_PE = 1u << 0,
	CR0_ET = 1u << 4,
	CR0_NE = 1u << 5,
	CR4_PAE = 1u << 5,
	EFER_LME = 1u << 8,
	EFER_LMA = 1u << 10,
	RFLAGS_FIXED = 1u << 1,
};

#define CR0_PG (1u << 31)

enum { SELECTOR_CODE = 0x08, SELECTOR_DATA = 0x10 };

static void state_segments(struct tl_state *state, const struct tl_segment *code, const struct tl_segment *data)
{
	for (unsigned i = TL_ES; i <= TL_GS; i++)
		state->segment[i] = i == TL_CS ? *code : *data;
	state->segment[TL_LDTR] = (struct tl_segment){.access = ACCESS_UNUSABLE};
	state->segment[TL_TR] = (struct tl_segment){.limit = 0xffff, .access = ACCESS_TSS_BUSY};
}

static void state_real(struct tl_state *state, uint64_t entry)
{
	/* An address below 64 KiB is all offset, as a boot sector expects it; a higher one takes CS along. */
	uint16_t cs = entry < 0x10000 ? 0 : (uint16_t)(entry >> 4);
	struct tl_segment code = {.selector = cs, .base = (uint64_t)cs << 4, .limit = 0xffff, .access = ACCESS_CODE16};
	struct tl_segment data = {.limit = 0xffff, .access = ACCESS_DATA16};

	state_segments(state, &code, &data);
	state->rip = entry - code.base;
	state->cr0 = CR0_ET | CR0_NE;
	state->idtr.limit = 0x3ff;
}

static void state_flat(struct tl_state *state, uint32_t code_access)
{
	struct tl_segment code = {.selector = SELECTOR_CODE, .limit = UINT32_MAX, .access = code_access};
	struct tl_segment data = {.selector = SELECTOR_DATA, .limit = UINT32_MAX, .access = ACCESS_DATA32};

	state_segments(state, &code, &data);
	state->cr0 = CR0_PE | CR0_ET | CR0_NE;
}

void state_start(struct tl_state *state, enum state_mode mode, uint64_t entry, uint64_t cr3)
{
	*state = (struct tl_state){.rflags = RFLAGS_FIXED, .dr7 = 0x400};
	if (mode == STATE_REAL) {
		state_real(state, entry);
		return;
	}
	state_flat(state, mode == STATE_LONG ? ACCESS_CODE64 : ACCESS_CODE32);
	state->rip = entry;
	if (mode == STATE_LONG) {
		state->cr0 |= CR0_PG;
		state->cr3 = cr3;
		state->cr4 = CR4_PAE;
		state->efer = EFER_LME | EFER_LMA;
	}
}

void state_multiboot(struct tl_state *state, unsigned multiboot, uint32_t entry, uint32_t info)
{
	state_start(state, STATE_PROTECTED, entry, 0);
	state->gpr[TL_RAX] = multiboot == 1 ? MULTIBOOT1_BOOTED : MULTIBOOT2_BOOTED;
	state->gpr[TL_RBX] = info;
}
