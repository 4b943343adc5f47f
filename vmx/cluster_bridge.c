/* SPDX-License-Identifier: MIT */
/*
 * Between two accesses of a cluster stand instructions in registers: a value is made, a status tested, a loop closed.
 * A row of them is a bridge. It is decoded once, when the access before it is met for the second time, and only if it
 * leads to an access that is known; it is compared with the guest's bytes at each use.
 *
 * An instruction costs some twenty times here what it costs in the guest. It pays because an exit costs more than all
 * of a bridge; so a bridge that leads back only, as in a poll loop, is taken only if the guest has just come that way.
 */
#include "vmx/cluster.h"

enum { BRIDGE_BYTES = 16 /* that are compared */ };
enum { BRIDGES_MAX = 32 /* of those in a cluster that lead to another */ };

/* A row of instructions, as it is scanned: where the next one stands. */
struct scan {
	uint64_t rip;
	const uint8_t *host;
};

ALWAYS_INLINE struct bridge *bridge_find(struct tl_vcpu *vcpu, uint64_t rip)
{
	return &vcpu->bridge[(rip >> 2 ^ rip >> 8) & (BRIDGE_CACHE_SIZE - 1)];
}

ALWAYS_INLINE bool bridge_is_here(const struct bridge *b, const struct cluster *c)
{
	return likely(b->rip == c->rip) && likely(b->host == c->host) &&
	       likely((code_word(b->host) & b->mask[0]) == b->bytes[0]) &&
	       likely(b->length <= 8 || (code_word(b->host + 8) & b->mask[1]) == b->bytes[1]);
}

static bool is_on_page(uint64_t rip, const struct decoded *d)
{
	return (rip ^ d->rip) < PAGE_SIZE;
}

/* An access that is known at a place of the page of `d`. */
static struct decoded *known_at(struct tl_vcpu *vcpu, const struct scan *at, const struct decoded *d)
{
	struct decoded *known = decode_cache_find(vcpu, at->rip);

	return is_on_page(at->rip, d) && known->rip == at->rip && known->host == at->host && known->cr3 == d->cr3 &&
			       known->plain != PLAIN_NOT
		       ? known
		       : NULL;
}

/* What is compared of a bridge's bytes. */
static void keep_bytes(struct bridge *b, const uint64_t bytes[2])
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned part = b->length < 8 * i ? 0 : b->length - 8 * i;

		b->mask[i] = insn_mask[part < 8 ? part : 8];
		b->bytes[i] = bytes[i] & b->mask[i];
	}
}

static bool jumps(const struct step *step)
{
	return step->op == STEP_JMP || step->jump != STEP_GOES_ON;
}

/* Only code under 4 levels of paging is kept. */
static bool is_canonical(uint64_t rip)
{
	return (uint64_t)((int64_t)(rip << 16) >> 16) == rip;
}

/* Decodes the next instruction of a bridge; false: it does not belong there, or there is no room. */
static bool add_step(struct bridge *b, const uint8_t *bytes)
{
	struct step step;

	if (!step_decode(bytes + b->length, BRIDGE_BYTES - b->length, &step))
		return false;
	step.target += b->length + step.length;
	/* A jump out of the address space faults. */
	if (jumps(&step) && !is_canonical(b->rip + step.target))
		return false;
	/* What does nothing is no step. */
	if (step.op != STEP_NOP && (!b->nr_steps || !step_fuse(&b->step[b->nr_steps - 1], &step))) {
		if (b->nr_steps == BRIDGE_STEPS)
			return false;
		b->step[b->nr_steps++] = step;
	}
	b->length += step.length;
	b->slow |= step.op != STEP_NOP && step_is_slow(&b->step[b->nr_steps - 1]);
	return true;
}

static bool ends_with_jump(const struct bridge *b)
{
	return b->nr_steps && b->step[b->nr_steps - 1].op == STEP_JMP;
}

/* Decodes the row at `at` into its place, as far as it goes or up to an access that is known; *at is then its end. */
static struct bridge *bridge_build(struct tl_vcpu *vcpu, struct scan *at, const struct decoded *d)
{
	struct bridge *b = bridge_find(vcpu, at->rip);
	uint64_t bytes[2];

	if (!words_fit(at->rip))
		return NULL;
	*b = (struct bridge){.rip = at->rip, .host = at->host};
	bytes[0] = code_word(at->host);
	bytes[1] = code_word(at->host + 8);
	while (!ends_with_jump(b) && !known_at(vcpu, at, d) && add_step(b, (const uint8_t *)bytes)) {
		at->rip = b->rip + b->length;
		at->host = b->host + b->length;
	}
	keep_bytes(b, bytes);
	return b->length ? b : NULL;
}

/* Whether a jump from the bridge `from` leads to a known access, over another bridge at most. */
static bool leads_on(struct tl_vcpu *vcpu, const struct bridge *from, uint64_t distance, const struct decoded *d)
{
	struct scan at = {from->rip + distance, from->host + (int64_t)distance};

	if (!is_on_page(at.rip, d))
		return false;
	if (known_at(vcpu, &at, d))
		return true;
	return bridge_find(vcpu, at.rip) != from && bridge_build(vcpu, &at, d) && known_at(vcpu, &at, d);
}

static enum decoded_follows bridge_leads(struct tl_vcpu *vcpu, const struct bridge *b, const struct scan *end,
					 const struct decoded *d)
{
	if (!ends_with_jump(b) && known_at(vcpu, end, d))
		return FOLLOWS_BRIDGE;
	for (unsigned i = 0; i < b->nr_steps; i++)
		if (jumps(&b->step[i]) && leads_on(vcpu, b, b->step[i].target, d))
			return FOLLOWS_LOOP;
	return FOLLOWS_NOTHING;
}

/* What follows `d`, of what has been decoded up to now. */
static void learn(struct tl_vcpu *vcpu, struct decoded *d)
{
	struct scan at = {d->rip + d->insn.length, d->host + d->insn.length};
	struct decoded *next = known_at(vcpu, &at, d);
	enum decoded_follows nothing = d->follows == FOLLOWS_UNKNOWN ? FOLLOWS_AGAIN : FOLLOWS_NOTHING;

	d->follows = nothing;
	if (next) {
		d->next = next;
		d->follows = FOLLOWS_ACCESS;
	} else if (is_on_page(at.rip, d)) {
		d->bridge = bridge_build(vcpu, &at, d);
		if (d->bridge)
			d->follows = bridge_leads(vcpu, d->bridge, &at, d);
		if (d->follows == FOLLOWS_NOTHING)
			d->follows = nothing;
	}
}

static __attribute__((noinline)) struct decoded *cross_next(struct tl_vcpu *vcpu, struct cluster *c);

/* Executes a bridge; true: it ends with a jump. The first step of one without any is a NOP. */
ALWAYS_INLINE bool execute(struct tl_vcpu *vcpu, struct cluster *c, const struct bridge *b, bool slow)
{
	const struct step *step = b->step, *end = step + b->nr_steps;
	uint64_t distance = b->length;
	bool jumped = false;

	do {
		if (step_execute(step, vcpu->gpr, &c->flags, slow)) {
			distance = step->target;
			jumped = true;
			break;
		}
	} while (++step < end);
	c->rip = b->rip + distance;
	c->host = b->host + (int64_t)distance;
	return jumped;
}

/* The bridge was crossed: the access there, or, after a jump, another bridge. */
ALWAYS_INLINE struct decoded *land(struct tl_vcpu *vcpu, struct cluster *c, bool jumped)
{
	struct decoded *d = c->last;

	if (d->rip != c->rip) {
		if (unlikely(!is_on_page(c->rip, d)))
			return NULL;
		d = decode_cache_find(vcpu, c->rip);
	}
	if (likely(decoded_is_here(d, c)))
		return d;
	return jumped ? cross_next(vcpu, c) : NULL;
}

static __attribute__((noinline)) struct decoded *cross_slow(struct tl_vcpu *vcpu, struct cluster *c,
							    const struct bridge *b)
{
	return land(vcpu, c, execute(vcpu, c, b, true));
}

/* From a bridge that was verified. */
ALWAYS_INLINE struct decoded *cross(struct tl_vcpu *vcpu, struct cluster *c, const struct bridge *b)
{
	if (unlikely(b->slow))
		return cross_slow(vcpu, c, b);
	return land(vcpu, c, execute(vcpu, c, b, false));
}

static struct decoded *cross_next(struct tl_vcpu *vcpu, struct cluster *c)
{
	const struct bridge *b = bridge_find(vcpu, c->rip);

	if (c->bridges++ == BRIDGES_MAX || !bridge_is_here(b, c))
		return NULL;
	if (b->nr_steps)
		return cross(vcpu, c, b);
	/* NOPs, or the PAUSE that a loop begins with. */
	c->rip += b->length;
	c->host += b->length;
	return land(vcpu, c, false);
}

static __attribute__((noinline)) struct decoded *learn_and_go_on(struct tl_vcpu *vcpu, struct cluster *c)
{
	learn(vcpu, c->last);
	return c->last->follows == FOLLOWS_AGAIN ? NULL : cluster_go_on(vcpu, c);
}

/* Whether a bridge that led back only leads to an access behind it, too, by now. */
static bool leads_forward(struct tl_vcpu *vcpu, struct decoded *d)
{
	const struct bridge *b = d->bridge;
	const struct scan end = {b->rip + b->length, b->host + b->length};

	if (b->rip != d->rip + d->insn.length || ends_with_jump(b) || !known_at(vcpu, &end, d))
		return false;
	d->follows = FOLLOWS_BRIDGE;
	return true;
}

HOT struct decoded *cluster_go_on(struct tl_vcpu *vcpu, struct cluster *c)
{
	struct decoded *last = c->last;

	switch (last->follows) {
	case FOLLOWS_LOOP:
		if (!c->loops && !leads_forward(vcpu, last))
			return NULL;
		/* fall through */
	case FOLLOWS_BRIDGE:
		if (likely(bridge_is_here(last->bridge, c)))
			return cross(vcpu, c, last->bridge);
		last->follows = FOLLOWS_NOTHING;
		return NULL;
	case FOLLOWS_UNKNOWN:
	case FOLLOWS_AGAIN:
		return learn_and_go_on(vcpu, c);
	case FOLLOWS_ACCESS:
		if (decoded_is_here(last->next, c))
			return last->next;
		last->follows = FOLLOWS_UNKNOWN;
		return NULL;
	default:
		return NULL;
	}
}
