/* SPDX-License-Identifier: MIT */
/* What the two halves of exit clustering share: the accesses (exit_cluster.c), and what stands between them. */
#ifndef VMX_CLUSTER_H
#define VMX_CLUSTER_H

#include "mmio/step.h"
#include "vmx/decode_cache.h"

/* Where a cluster is: before the instruction at `rip`. */
struct cluster {
	struct decoded *last;
	uint64_t rip, cr3, cs_access;
	const uint8_t *host;             /* where its bytes stand */
	const struct translated *walked; /* the last data page, which exit_range holds */
	struct step_flags flags;
	unsigned bridges; /* that led to another one */
	bool loops;       /* the access before the first one was by the same instruction: the guest polls */
	bool failed;      /* a device did not do its part */
};

/* The same bytes at the same place of this very page: who ran them when they were decoded does not matter. */
ALWAYS_INLINE bool decoded_is_here(const struct decoded *d, const struct cluster *c)
{
	return likely(d->rip == c->rip) && likely(d->cr3 == c->cr3) && likely(d->host == c->host) &&
	       likely((code_word(d->words) & d->mask[0]) == d->bytes[0]) &&
	       likely(d->insn.length <= 8 || (code_word(d->words + 8) & d->mask[1]) == d->bytes[1]);
}

/*
 * The next access, where it is not the one that followed last time: learned now, or reached by executing what stands
 * before it. NULL: there is none; what was executed up to here is done all the same.
 */
struct decoded *cluster_go_on(struct tl_vcpu *vcpu, struct cluster *c);

#endif
