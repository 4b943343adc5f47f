/* SPDX-License-Identifier: MIT */
/*
 * The guest's MTRRs, which kernels read and write and which do nothing: the memory types of a guest are those of the
 * EPT and of its PAT (SDM vol. 3, 29.3.7.2).
 */
#ifndef VMX_MTRR_H
#define VMX_MTRR_H

#include <stdbool.h>
#include <stdint.h>

struct tl_vcpu;

enum { MTRR_NR_VARIABLE = 8, MTRR_NR_FIXED = 11 };

struct guest_mtrr {
	uint64_t def_type;
	uint64_t variable[2 * MTRR_NR_VARIABLE]; /* bases and masks, as the MSRs are numbered */
	uint64_t fixed[MTRR_NR_FIXED];
};

/* On, all memory write-back: as a kernel finds them that firmware has started. */
void mtrr_init(struct guest_mtrr *mtrr);

/* Of guest_msrs[]. */
bool mtrr_read(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value);
bool mtrr_write(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value);

#endif
