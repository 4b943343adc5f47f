/* SPDX-License-Identifier: MIT */
/*
 * Exit clustering: a plain access that was served is often followed by another one, as in a run of register stores.
 * Those that were decoded before are served from here, without going back into the guest in between.
 *
 * Each is verified as if it had an exit of its own, but for what a TLB may hold: the translations of the code page and
 * of a data page that was walked in this cluster. The map is that of the exit for as long as the round is the same:
 * then no commit has returned since (rule 11). Whatever would stop the guest between two instructions ends the
 * cluster: a round, a kick, an event, TF, a breakpoint.
 */
#include "mmu/mmu.h"
#include "vmx/decode_cache.h"
#include "vmx/exit.h"

enum { CLUSTER_MAX = 16 };

/* Where a cluster is: before the instruction at `rip`. */
struct cluster {
	const struct decoded *last;
	uint64_t rip, cr3, cs_access;
	const uint8_t *host;             /* where its bytes stand */
	const struct translated *walked; /* the last data page, which exit_range holds */
	bool failed;                     /* a device did not do its part */
};

/* The decoded instruction that comes next; NULL if it was not decoded or has changed. */
ALWAYS_INLINE const struct decoded *next_decoded(const struct cluster *c)
{
	const struct decoded *next = c->last->next;

	/* The same bytes at the same place of this very page: who ran them when they were decoded does not matter. */
	if (unlikely(!next) || unlikely(next->rip != c->rip) || unlikely(next->cr3 != c->cr3) ||
	    unlikely(next->host != c->host) || unlikely((code_word(next->words) & next->mask[0]) != next->bytes[0]) ||
	    unlikely(next->insn.length > 8 && (code_word(next->words + 8) & next->mask[1]) != next->bytes[1]))
		return NULL;
	return next;
}

/* Whether the data page is translated as remembered, and fresh under the map: exit_range is then what holds it. */
static bool enter_page(struct tl_vcpu *vcpu, const struct cluster *c, const struct translated *t)
{
	const struct ept_slot_cache *cached = &vcpu->slots[t->gpa >> PAGE_SHIFT & (SLOT_CACHE_SIZE - 1)];
	const struct map *map = vcpu->exit_map;
	const struct map_range *range;

	if (t->cr3 != c->cr3 || t->cs_access != c->cs_access || !walk_holds(&t->walk) ||
	    cached->gfn != t->gpa >> PAGE_SHIFT ||
	    check_mmio_spte(map, atomic_load_explicit(cached->slot, memory_order_relaxed), &range) != MMIO_EMULATE)
		return false;
	vcpu->exit_range = range;
	return range->kind == MAP_MMIO && range->flags & MAP_CLUSTERS && range->start <= t->gpa &&
	       t->gpa + (PAGE_SIZE - 1) <= range->last;
}

/* Whether the operand is an access to serve here: exit_gpa and exit_range say where it is. */
ALWAYS_INLINE bool find_operand(struct tl_vcpu *vcpu, struct cluster *c, const struct decoded *d)
{
	gva_t linear = vcpu->gpr[d->insn.base] + vcpu->gpr[d->insn.index] * d->index_factor + (uint64_t)d->insn.disp;
	const struct translated *t = data_cache_find(vcpu, linear);
	uint64_t in_page = linear - t->linear;

	if (unlikely(in_page >= d->end_offset) || unlikely(d->plain > t->allows))
		return false;
	if (unlikely(t != c->walked)) {
		if (!enter_page(vcpu, c, t))
			return false;
		c->walked = t;
	}
	vcpu->exit_gpa = t->gpa + in_page;
	return true;
}

ALWAYS_INLINE bool serve(struct tl_vcpu *vcpu, const struct decoded *d)
{
	bool load = d->plain < PLAIN_STORE;

	if (unlikely(!plain_access_device(vcpu, d, load ? 0 : plain_store_value(vcpu, d))))
		return false;
	if (load)
		vcpu->gpr[d->insn.reg] = vcpu->access.data & d->mask_of_operand;
	return true;
}

/*
 * Nothing is to be done before the guest's next instruction. acquire: as in vcpu_before_entry(). relaxed: a kick that
 * is missed here comes as an interrupt.
 */
ALWAYS_INLINE bool may_go_on(const struct tl_vcpu *vcpu)
{
	return likely(atomic_load_explicit(&vcpu->vm->round, memory_order_acquire) == vcpu->reader.entry_round) &&
	       likely(!atomic_load_explicit(&vcpu->reader.kicked, memory_order_relaxed));
}

/* With a breakpoint armed, it may be on any of what follows. */
static bool may_begin(const struct tl_vcpu *vcpu, const struct decoded *d)
{
	return skip_is_simple(d->rip + d->insn.length, d->insn.length, vmcs_read(VMCS_GUEST_RFLAGS) & vcpu->rflags_slow,
			      vmcs_read(VMCS_GUEST_INTERRUPTIBILITY)) &&
	       !(vcpu->rflags_slow & RFLAGS_RF) && !vcpu->event_queued && vcpu->exit_range->flags & MAP_CLUSTERS;
}

/* Serves what follows; the number of accesses. */
ALWAYS_INLINE unsigned serve_following(struct tl_vcpu *vcpu, struct cluster *c)
{
	unsigned served = 0;

	for (; served < CLUSTER_MAX - 1 && may_go_on(vcpu); served++) {
		const struct decoded *d = next_decoded(c);

		if (unlikely(!d) || unlikely(!find_operand(vcpu, c, d)))
			break;
		if (unlikely(!serve(vcpu, d))) {
			c->failed = true;
			break;
		}
		c->last = d;
		c->rip += d->insn.length;
		c->host += d->insn.length;
	}
	return served;
}

HOT enum vcpu_action exit_cluster(struct tl_vcpu *vcpu, struct decoded *first)
{
	struct cluster c = {.last = first,
			    .rip = first->rip + first->insn.length,
			    .cr3 = first->cr3,
			    .cs_access = first->cs_access,
			    .host = first->host + first->insn.length};
	unsigned served;

	if (unlikely(!may_begin(vcpu, first)))
		return exit_skip(vcpu, first->rip, first->insn.length) | VCPU_RELOAD;
	served = serve_following(vcpu, &c);
	vmcs_write(VMCS_GUEST_RIP, c.rip);
	vcpu->reader.stats.fresh += served + c.failed;
	vcpu->reader.stats.clustered += served;
	if (unlikely(c.failed))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	/* Not what came here before: no more of it until it is learned again. */
	if (unlikely(served == 0) && !next_decoded(&c))
		first->next = NULL;
	return vcpu_before_entry(vcpu) | VCPU_RELOAD;
}
