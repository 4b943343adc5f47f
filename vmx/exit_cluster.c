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
#include "vmx/cluster.h"
#include "vmx/exit.h"

enum { CLUSTER_MAX = 16 };

/* The decoded instruction that comes next. */
ALWAYS_INLINE struct decoded *next_decoded(struct tl_vcpu *vcpu, struct cluster *c)
{
	struct decoded *last = c->last;

	if (likely(last->follows == FOLLOWS_ACCESS) && likely(decoded_is_here(last->next, c)))
		return last->next;
	return cluster_go_on(vcpu, c);
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

/* A comparison with a constant, as in a loop that polls, changes nothing but flags: they are worked out later. */
static void execute_alu(struct tl_vcpu *vcpu, struct cluster *c, const struct decoded *d)
{
	const struct insn *insn = &d->insn;
	uint64_t data = vcpu->access.data & d->mask_of_operand;

	if (insn->source == SOURCE_IMMEDIATE && (insn->op == INSN_TEST || insn->op == INSN_CMP)) {
		c->flags.last =
			(struct step_result){.kind = (uint16_t)(insn->op | insn->memory_size << 8),
					     .first = data,
					     .second = insn->imm,
					     .zero = insn->op == INSN_TEST ? !(data & insn->imm) : data == insn->imm};
		return;
	}
	step_settle(&c->flags);
	plain_alu_execute(vcpu, d, &c->flags.rflags);
}

ALWAYS_INLINE bool serve(struct tl_vcpu *vcpu, struct cluster *c, const struct decoded *d)
{
	if (d->plain >= PLAIN_STORE)
		return plain_access_device(vcpu, d, plain_store_value(vcpu, d));
	if (unlikely(!plain_access_device(vcpu, d, 0)))
		return false;
	if (unlikely(d->plain >= PLAIN_ALU))
		execute_alu(vcpu, c, d);
	else
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
static bool may_begin(const struct tl_vcpu *vcpu, const struct decoded *d, uint64_t rflags)
{
	return skip_is_simple(d->rip + d->insn.length, d->insn.length, rflags & vcpu->rflags_slow,
			      vmcs_read(VMCS_GUEST_INTERRUPTIBILITY)) &&
	       !(vcpu->rflags_slow & RFLAGS_RF) && !(vcpu->events & (EVENT_QUEUED | EVENT_WAITS));
}

/* Serves what follows; the number of accesses. */
ALWAYS_INLINE unsigned serve_following(struct tl_vcpu *vcpu, struct cluster *c)
{
	unsigned served = 0;

	for (; served < CLUSTER_MAX - 1 && may_go_on(vcpu); served++) {
		struct decoded *d = next_decoded(vcpu, c);

		if (unlikely(!d) || unlikely(!find_operand(vcpu, c, d)))
			break;
		if (unlikely(!serve(vcpu, c, d))) {
			c->failed = true;
			break;
		}
		c->last = d;
		c->rip += d->insn.length;
		c->host += d->insn.length;
	}
	return served;
}

static void write_state(const struct cluster *c, uint64_t rflags)
{
	vmcs_write(VMCS_GUEST_RIP, c->rip);
	if (c->flags.rflags != rflags)
		vmcs_write(VMCS_GUEST_RFLAGS, c->flags.rflags);
}

static HOT __attribute__((noinline)) enum vcpu_action begin(struct tl_vcpu *vcpu, struct decoded *first)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	struct cluster c = {.last = first,
			    .rip = first->rip + first->insn.length,
			    .cr3 = first->cr3,
			    .cs_access = first->cs_access,
			    .host = first->host + first->insn.length,
			    .flags = {.rflags = rflags},
			    .loops = vcpu->last_served == first && vcpu->last_cluster + 1 == vcpu_nr_exits(vcpu)};
	unsigned served;

	/* Of a range that is left out, nothing that it comes to is worth looking for again. */
	if (unlikely(!(vcpu->exit_range->flags & MAP_CLUSTERS)))
		first->follows = FOLLOWS_NOTHING;
	if (unlikely(first->follows == FOLLOWS_NOTHING) || unlikely(!may_begin(vcpu, first, rflags)))
		return exit_skip(vcpu, first->rip, first->insn.length) | VCPU_RELOAD;
	served = serve_following(vcpu, &c);
	step_settle(&c.flags);
	write_state(&c, rflags);
	vcpu->last_served = first;
	vcpu->last_cluster = vcpu_nr_exits(vcpu);
	counter_add(&vcpu->reader.stats.fresh, served + c.failed);
	counter_add(&vcpu->reader.stats.clustered, served);
	if (unlikely(c.failed))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	return vcpu_before_entry(vcpu) | VCPU_RELOAD;
}

HOT enum vcpu_action exit_cluster(struct tl_vcpu *vcpu, struct decoded *first)
{
	if (likely(first->follows != FOLLOWS_UNSEEN))
		return begin(vcpu, first);
	first->follows = FOLLOWS_UNKNOWN;
	return exit_skip(vcpu, first->rip, first->insn.length);
}
