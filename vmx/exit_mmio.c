/* SPDX-License-Identifier: MIT */
/*
 * Serving an access to a range: which instruction, which operand, the device's callback.
 *
 * The hot way remembers what an instruction at this RIP was and where its page was, and verifies both at each use
 * against the guest's own words: the page-table entries, the instruction's bytes (rule 9). Whatever is not plain
 * goes the general way, through mmio/.
 */
#include "mmio/dispatch.h"
#include "mmio/doorbell.h"
#include "mmio/fetch.h"
#include "mmio/ring.h"
#include "vmx/decode_cache.h"
#include "vmx/exit.h"

static __attribute__((noinline)) enum vcpu_action serve_decoded(struct tl_vcpu *vcpu, const struct decoded *d)
{
	struct guest_code code = {.available = d->insn.length};

	__builtin_memcpy(code.bytes, d->code, d->insn.length);
	return engine_execute(vcpu, &d->insn, &code, d->rip, d->cs_access, vcpu->exit_gpa);
}

/* The same from functions that change no register that C preserves: called last, so that they need no frame. */
static __attribute__((noinline)) enum vcpu_action serve_decoded_reload(struct tl_vcpu *vcpu, const struct decoded *d)
{
	return serve_decoded(vcpu, d) | VCPU_RELOAD;
}

/*
 * The plain way, in functions that end in tail calls: split so that none needs more registers than a call may change,
 * and so hardly a stack frame. The decoded instruction holds, so its RIP is the guest's.
 */

static HOT __attribute__((noinline)) enum vcpu_action perform_load(struct tl_vcpu *vcpu, struct decoded *d)
{
	if (!plain_access_device(vcpu, d, 0))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	vcpu->gpr[d->insn.reg] = vcpu->access.data & d->mask_of_operand;
	if (unlikely(d->follows != FOLLOWS_NOTHING))
		return exit_cluster(vcpu, d);
	return exit_skip(vcpu, d->rip, d->insn.length);
}

static HOT __attribute__((noinline)) enum vcpu_action perform_load_reload(struct tl_vcpu *vcpu, struct decoded *d)
{
	return perform_load(vcpu, d) | VCPU_RELOAD;
}

/* A read with which the integer unit does more than put it into a register. */
static __attribute__((noinline)) enum vcpu_action perform_alu(struct tl_vcpu *vcpu, struct decoded *d)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	if (!plain_access_device(vcpu, d, 0))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	plain_alu_execute(vcpu, d, &rflags);
	vmcs_write(VMCS_GUEST_RFLAGS, rflags);
	if (d->follows != FOLLOWS_NOTHING)
		return exit_cluster(vcpu, d) | VCPU_RELOAD;
	return exit_skip(vcpu, d->rip, d->insn.length) | VCPU_RELOAD;
}

/* No register changes, and few flags are to be worked out. */
static HOT __attribute__((noinline)) enum vcpu_action perform_test(struct tl_vcpu *vcpu, struct decoded *d)
{
	uint64_t rflags;

	if (!plain_access_device(vcpu, d, 0))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	/* The value has no bit that the operand has not. */
	rflags = alu_test(vmcs_read(VMCS_GUEST_RFLAGS), vcpu->access.data & plain_store_value(vcpu, d),
			  d->mask_of_operand);
	vmcs_write(VMCS_GUEST_RFLAGS, rflags);
	if (d->follows != FOLLOWS_NOTHING)
		return exit_cluster(vcpu, d);
	return exit_skip_by(vcpu, d->rip, d->insn.length, rflags);
}

static HOT __attribute__((noinline)) enum vcpu_action perform_store(struct tl_vcpu *vcpu, struct decoded *d)
{
	if (!plain_access_device(vcpu, d, plain_store_value(vcpu, d)))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	if (unlikely(d->follows != FOLLOWS_NOTHING))
		return exit_cluster(vcpu, d);
	return exit_skip(vcpu, d->rip, d->insn.length);
}

/* A plain access that the embedder completes. */
ALWAYS_INLINE enum vcpu_action leave_plain(struct tl_vcpu *vcpu, const struct map_range *range, const struct decoded *d)
{
	struct tl_mmio *access = &vcpu->exit->mmio;

	if (d->plain < PLAIN_ALU) {
		vcpu->pending = PENDING_PLAIN_READ;
		access->data = 0;
	} else {
		if (d->plain < PLAIN_STORE)
			return serve_decoded_reload(vcpu, d);
		vcpu->pending = PENDING_PLAIN_WRITE;
		access->data = plain_store_value(vcpu, d);
	}
	access->gpa = vcpu->exit_gpa;
	access->offset = vcpu->exit_gpa - range->start;
	__builtin_memcpy((uint8_t *)access + offsetof(struct tl_mmio, size), &d->shape, sizeof(d->shape));
	access->context = range->context;
	access->vcpu = vcpu;
	vcpu->plain.rip = d->rip;
	vcpu->plain.mask_of_operand = d->mask_of_operand;
	vcpu->plain.length = d->insn.length;
	vcpu->plain.reg = d->insn.reg;
	vcpu->exit->reason = TL_EXIT_MMIO;
	return VCPU_LEAVE;
}

ALWAYS_INLINE enum vcpu_action serve_plain(struct tl_vcpu *vcpu, struct decoded *d)
{
	if (d->plain >= PLAIN_STORE)
		return perform_store(vcpu, d);
	if (d->plain == PLAIN_LOAD)
		return perform_load(vcpu, d);
	if (d->plain == PLAIN_TEST)
		return perform_test(vcpu, d);
	return d->plain == PLAIN_LOAD_RELOAD ? perform_load_reload(vcpu, d) : perform_alu(vcpu, d);
}

/* The callback of a range that has more than that, or the embedder. */
static HOT __attribute__((noinline)) enum vcpu_action ask_device(struct tl_vcpu *vcpu, struct decoded *d)
{
	return likely(vcpu->exit_range->access) ? serve_plain(vcpu, d) : leave_plain(vcpu, vcpu->exit_range, d);
}

ALWAYS_INLINE unsigned cpu_of(const struct tl_vcpu *vcpu)
{
	/* relaxed: it is the calling CPU. */
	return atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed);
}

/* A plain access to a doorbell with matches or a shadow. */
static HOT __attribute__((noinline)) enum vcpu_action serve_bell(struct tl_vcpu *vcpu, struct decoded *d)
{
	const struct map_range *range = vcpu->exit_range;

	if (d->plain >= PLAIN_STORE && doorbell_write(range, vcpu->exit_gpa - range->start, plain_store_value(vcpu, d),
						      d->insn.memory_size, vcpu, cpu_of(vcpu)))
		return exit_skip(vcpu, d->rip, d->insn.length);
	return ask_device(vcpu, d);
}

/* A plain access to a range with sizes; what has to be split is the engine's. */
static HOT __attribute__((noinline)) enum vcpu_action serve_sized(struct tl_vcpu *vcpu, struct decoded *d)
{
	if (mmio_size_is_taken(vcpu->exit_range->options->sizes, vcpu->exit_gpa, d->insn.memory_size))
		return ask_device(vcpu, d);
	return serve_decoded_reload(vcpu, d);
}

/* A plain access to a range with a ring; what needs it empty, and what sizes may split, is the engine's. */
ALWAYS_INLINE enum vcpu_action serve_ring(struct tl_vcpu *vcpu, const struct decoded *d)
{
	const struct map_range *range = vcpu->exit_range;

	if (d->plain < PLAIN_STORE || range->options->sizes ||
	    !ring_put(range->options->ring, cpu_of(vcpu), vcpu->exit_gpa - range->start, plain_store_value(vcpu, d),
		      d->insn.memory_size))
		return serve_decoded_reload(vcpu, d);
	counter_add(&vcpu->reader.stats.coalesced, 1);
	return exit_skip(vcpu, d->rip, d->insn.length);
}

/* A plain access to a range that is no MMIO range with a callback. */
static HOT __attribute__((noinline)) enum vcpu_action serve_other_kind(struct tl_vcpu *vcpu, struct decoded *d)
{
	const struct map_range *range = vcpu->exit_range;

	if (likely(range->kind == MAP_EMBEDDER))
		return leave_plain(vcpu, range, d);
	if (likely(range->kind == MAP_RING))
		return serve_ring(vcpu, d);
	if (range->kind == MAP_APIC)
		return serve_plain(vcpu, d);
	if (range->kind == MAP_SIZED)
		return serve_sized(vcpu, d);
	if (range->kind == MAP_DOORBELL_DECODED)
		return serve_bell(vcpu, d);
	return serve_decoded_reload(vcpu, d);
}

ALWAYS_INLINE gva_t plain_linear(const struct tl_vcpu *vcpu, const struct decoded *d)
{
	return vcpu->gpr[d->insn.base] + vcpu->gpr[d->insn.index] * d->index_factor + (uint64_t)d->insn.disp;
}

/* Whether the operand of a plain instruction is where the exit was, by what was walked before. */
ALWAYS_INLINE bool operand_holds(struct tl_vcpu *vcpu, const struct decoded *d, uint64_t cr3, uint64_t cs_access)
{
	gva_t linear = plain_linear(vcpu, d);
	const struct translated *t = data_cache_find(vcpu, linear);
	const struct map_range *range = vcpu->exit_range;
	uint64_t in_page = linear - t->linear;

	/* A fresh entry that named another page's range would be a bug of ours; a callback must not see it. */
	return likely(in_page < d->end_offset) && likely(t->cr3 == cr3) && likely(t->cs_access == cs_access) &&
	       likely(walk_holds(&t->walk)) && likely(t->gpa + in_page == vcpu->exit_gpa) &&
	       likely(d->plain <= t->allows) && likely(vcpu->exit_gpa - range->start <= range->last - range->start);
}

ALWAYS_INLINE enum vcpu_action serve_found(struct tl_vcpu *vcpu, struct decoded *d)
{
	if (unlikely(vcpu->exit_range->kind != MAP_MMIO))
		return serve_other_kind(vcpu, d);
	return serve_plain(vcpu, d);
}

/* Whether the operand may be served by what was walked for it at CPL 3, where a page that checks alignment is kept. */
static bool user_operand_holds(struct tl_vcpu *vcpu, const struct decoded *d, uint64_t cr3, uint64_t cs_access)
{
	return operand_holds(vcpu, d, cr3, cs_access | CHECKS_ALIGNMENT) &&
	       (!(plain_linear(vcpu, d) & (d->insn.memory_size - 1u)) || !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_AC));
}

/* Walks to the operand's page and remembers it. What the walk ends in otherwise is the engine's, which walks again. */
static __attribute__((noinline)) enum vcpu_action serve_missed(struct tl_vcpu *vcpu, struct decoded *d, uint64_t cr3,
							       uint64_t cs_access)
{
	bool write = insn_is_write(&d->insn);
	gva_t linear = plain_linear(vcpu, d);
	struct guest_paging paging;
	struct guest_walk walk;

	if (d->plain == PLAIN_NOT)
		return serve_decoded(vcpu, d);
	if (user_operand_holds(vcpu, d, cr3, cs_access))
		return serve_found(vcpu, d);
	vcpu_paging(vcpu, &paging);
	if (guest_walk(vcpu->exit_map, &paging, linear, write ? GUEST_WRITE : GUEST_READ, &walk) != GUEST_WALK_OK)
		return serve_decoded(vcpu, d);
	data_cache_fill(vcpu, linear, cr3, cs_access, write, &walk);
	if (operand_holds(vcpu, d, cr3, cs_access) || user_operand_holds(vcpu, d, cr3, cs_access))
		return serve_found(vcpu, d);
	return serve_decoded(vcpu, d);
}

static HOT __attribute__((noinline)) enum vcpu_action serve_operand(struct tl_vcpu *vcpu, struct decoded *d,
								    uint64_t cr3, uint64_t cs_access)
{
	if (unlikely(!operand_holds(vcpu, d, cr3, cs_access)))
		return serve_missed(vcpu, d, cr3, cs_access) | VCPU_RELOAD;
	return serve_found(vcpu, d);
}

/* The instruction is on no page that is remembered: fetch, decode. Where it cannot be kept, the engine serves it. */
static __attribute__((noinline)) enum vcpu_action serve_fetched(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip,
								uint64_t cr3, uint64_t cs_access)
{
	enum vcpu_action action;
	struct fetch fetch;
	struct insn insn;

	if (!engine_fetch(vcpu, rip, cs_access, &fetch, &insn, &action))
		return action;
	d = fetched_keep(vcpu, d, rip, cr3, cs_access, &fetch, &insn);
	if (!d)
		return engine_execute(vcpu, &insn, &fetch.code, rip, cs_access, vcpu->exit_gpa);
	return serve_operand(vcpu, d, cr3, cs_access);
}

/* The instruction is not in the cache, and begins so near the end of its page that it may go on on the next one. */
static __attribute__((noinline)) enum vcpu_action serve_at_page_end(struct tl_vcpu *vcpu, struct decoded *d,
								    uint64_t rip, uint64_t cr3, uint64_t cs_access)
{
	struct straddling *straddling = straddling_find(vcpu, rip);
	const struct translated *page = code_cache_find(vcpu, rip);
	unsigned left = (unsigned)(PAGE_SIZE - (rip & (PAGE_SIZE - 1)));
	uint64_t last[4] = {0};
	const uint8_t *bytes = (const uint8_t *)last + (16 - left);

	if (likely(straddling_holds(straddling, rip, cr3, cs_access)))
		return serve_operand(vcpu, &straddling->decoded, cr3, cs_access);
	if (unlikely(!translated_holds(page, rip, cr3, cs_access)))
		return serve_fetched(vcpu, d, rip, cr3, cs_access);
	last[0] = code_word(page->host + PAGE_SIZE - 16);
	last[1] = code_word(page->host + PAGE_SIZE - 8);
	d->cr3 = NO_CR3;
	if (insn_decode(bytes, left, 64, &d->insn) != DECODE_OK)
		return serve_fetched(vcpu, d, rip, cr3, cs_access);
	decode_cache_fill_at_end(d, rip, page, bytes);
	return serve_operand(vcpu, d, cr3, cs_access);
}

enum vcpu_action exit_mmio_keep(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip, uint64_t cr3, uint64_t cs_access)
{
	const struct translated *page = code_cache_find(vcpu, rip);
	uint64_t bytes[2] = {code_word(page->host + (rip & (PAGE_SIZE - 1))),
			     code_word(page->host + (rip & (PAGE_SIZE - 1)) + 8)};

	d->cr3 = NO_CR3;
	if (unlikely(insn_decode((const uint8_t *)bytes, INSN_MAX_LENGTH, 64, &d->insn) != DECODE_OK))
		return serve_fetched(vcpu, d, rip, cr3, cs_access) | VCPU_RELOAD;
	decode_cache_fill(d, rip, page, (const uint8_t *)bytes);
	return serve_operand(vcpu, d, cr3, cs_access);
}

/* The instruction is not in the cache, or has changed. On a page that is remembered it is decoded where it stands. */
static HOT __attribute__((noinline)) enum vcpu_action serve_undecoded(struct tl_vcpu *vcpu, struct decoded *d,
								      uint64_t rip, uint64_t cr3, uint64_t cs_access)
{
	const struct translated *page = code_cache_find(vcpu, rip);

	if (unlikely(!words_fit(rip)))
		return serve_at_page_end(vcpu, d, rip, cr3, cs_access) | VCPU_RELOAD;
	if (unlikely(!translated_holds(page, rip, cr3, cs_access)))
		return serve_fetched(vcpu, d, rip, cr3, cs_access) | VCPU_RELOAD;
	if (d->once == rip)
		return exit_mmio_keep(vcpu, d, rip, cr3, cs_access);
	d->once = rip;
	return exit_mmio_once(vcpu, d, rip, cr3, cs_access, code_word(page->host + (rip & (PAGE_SIZE - 1))));
}

/* An MMIO access, with all registers saved: exit_gpa, exit_map and exit_range say where. */
HOT enum vcpu_action exit_mmio(struct tl_vcpu *vcpu)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	uint64_t cr3 = vmcs_read(VMCS_GUEST_CR3);
	uint64_t cs_access = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS);
	struct decoded *d = decode_cache_find(vcpu, rip);

	if (unlikely(vcpu->exit_map->ram_generation != vcpu->ram_generation)) {
		vcpu_forget_translations(vcpu);
		vcpu->ram_generation = vcpu->exit_map->ram_generation;
	}
	if (unlikely(!decoded_holds(d, rip, cr3, cs_access)))
		return serve_undecoded(vcpu, d, rip, cr3, cs_access);
	return serve_operand(vcpu, d, cr3, cs_access);
}
