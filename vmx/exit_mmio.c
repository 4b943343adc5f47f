/* SPDX-License-Identifier: MIT */
/*
 * Serving an access to a range: which instruction, which operand, the device's callback.
 *
 * The hot way remembers what an instruction at this RIP was and where its page was, and verifies both at each use
 * against the guest's own words: the page-table entries, the instruction's bytes (rule 9). Whatever is not plain
 * goes the general way, through mmio/.
 */
#include "mmio/emulate.h"
#include "mmio/fetch.h"
#include "mmio/ring.h"
#include "vmx/decode_cache.h"
#include "vmx/exit.h"

static enum vcpu_action stop_with_bytes(struct tl_vcpu *vcpu, enum tl_stop why, const struct guest_code *code)
{
	enum vcpu_action action = exit_stop(vcpu, why, 0);
	struct tl_exit_stop *stop = &vcpu->exit->stop;

	stop->nr_bytes = code->available;
	__builtin_memcpy(stop->bytes, code->bytes, code->available);
	return action;
}

/* Runs the operation as far as it goes. */
static enum vcpu_action operate(struct tl_vcpu *vcpu, const struct map *map)
{
	struct mmio_move *op = &vcpu->operation;
	const struct mmio_environment env = {.map = map,
					     .vm = vcpu->vm,
					     .vcpu = vcpu,
					     .reader = &vcpu->reader,
					     .access = &vcpu->access,
					     .stats = &vcpu->reader.stats};

	switch (mmio_operation_run(op, &env)) {
	case MMIO_DRAIN:
		/* Nothing is pending: what is left is done when the ring is empty. */
		vcpu->pending = PENDING_MMIO;
		vcpu->exit->mmio = vcpu->access;
		return exit_leave(vcpu, TL_EXIT_DRAIN);
	case MMIO_EMBEDDER:
		vcpu->pending = PENDING_MMIO;
		vcpu->exit->mmio = vcpu->access;
		return exit_leave(vcpu, TL_EXIT_MMIO);
	case MMIO_DEVICE_ERROR:
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	default:
		break;
	}
	mmio_operation_finish(op, vcpu->gpr);
	if (op->insn.reg == TL_RSP && !insn_is_write(&op->insn))
		vmcs_write(VMCS_GUEST_RSP, vcpu->gpr[TL_RSP]);
	return exit_skip(vcpu, vcpu->operation_rip, op->insn.length);
}

enum vcpu_action mmio_resume(struct tl_vcpu *vcpu)
{
	mmio_operation_complete(&vcpu->operation, vcpu->exit->mmio.data);
	/* The exit to the embedder ended the instruction's hold on its snapshot; the rest sees the map of now. */
	return operate(vcpu, atomic_load_explicit(&vcpu->vm->map, memory_order_acquire));
}

/* What a failed walk of the data address is to the guest. */
static enum vcpu_action walk_failed(struct tl_vcpu *vcpu, enum guest_walk_status status, const struct guest_walk *walk,
				    gva_t linear, bool stack)
{
	switch (status) {
	case GUEST_WALK_FAULT:
		return exit_page_fault(vcpu, linear, walk->error_code);
	case GUEST_WALK_NON_CANONICAL:
		return exit_raise_error(vcpu, stack ? 12 : VECTOR_GP, 0);
	case GUEST_WALK_TABLE_NOT_RAM:
		vcpu->exit_gpa = walk->gpa;
		return exit_stop(vcpu, TL_STOP_PAGE_TABLE, 0);
	default:
		return vcpu_before_entry(vcpu);
	}
}

/*
 * The operand is not where the exit was: somebody rewrote the instruction or the tables since. The guest tries once
 * more; the same again is a guest that cannot be served.
 */
static enum vcpu_action operand_elsewhere(struct tl_vcpu *vcpu, const struct guest_code *code)
{
	struct last_retry *last = &vcpu->last_retry;
	bool again = vcpu->operand_retried && last->exits + 1 == vcpu->reader.stats.exits;

	last->exits = vcpu->reader.stats.exits;
	vcpu->operand_retried = true;
	vcpu->reader.stats.retried++;
	return again ? stop_with_bytes(vcpu, TL_STOP_OPERAND, code) : vcpu_before_entry(vcpu);
}

/* An instruction's operand in the general way: any mode, any segment, on one page or two. */
struct operand {
	const struct insn *insn;
	const struct guest_code *code; /* the instruction's bytes, to be shown */
	uint64_t rip, cr3, cs_access;
	gva_t linear;
	unsigned first; /* bytes on the first page */
	gpa_t gpa[2];   /* of the first byte on each page */
};

static void locate_operand(struct tl_vcpu *vcpu, struct operand *operand)
{
	unsigned code_bits = vcpu_code_bits(vcpu, operand->cs_access), size = operand->insn->memory_size;
	unsigned segment = operand->insn->segment, left;

	vcpu->gpr[TL_RSP] = vmcs_read(VMCS_GUEST_RSP);
	operand->linear = insn_effective_address(operand->insn, vcpu->gpr, operand->rip);
	if (code_bits != 64 || segment == TL_FS || segment == TL_GS)
		operand->linear += vmcs_read(VMCS_GUEST_BASE(segment));
	if (code_bits != 64)
		operand->linear = (uint32_t)operand->linear;
	left = (unsigned)(PAGE_SIZE - (operand->linear & (PAGE_SIZE - 1)));
	operand->first = left < size ? left : size;
}

/* What was walked before holds still, and leads to where the exit was. Only 64-bit code is remembered. */
static bool operand_is_remembered(struct tl_vcpu *vcpu, const struct operand *operand)
{
	const struct translated *t = data_cache_find(vcpu, operand->linear);

	return operand->first == operand->insn->memory_size &&
	       (t->allows == PLAIN_STORE_IMM || !insn_is_write(operand->insn)) &&
	       translated_holds(t, operand->linear, operand->cr3, operand->cs_access) &&
	       t->gpa + (operand->linear & (PAGE_SIZE - 1)) == vcpu->exit_gpa;
}

/* Walks to the operand's one or two pages. True: operand->gpa holds where they are; else *action ends the exit. */
static bool walk_operand(struct tl_vcpu *vcpu, struct operand *operand, enum vcpu_action *action)
{
	unsigned access = insn_is_write(operand->insn) ? GUEST_WRITE : GUEST_READ;
	bool stack = operand->insn->segment == TL_SS;
	enum guest_walk_status status;
	struct guest_paging paging;
	struct guest_walk walk;
	gva_t second;

	vcpu_paging(vcpu, &paging);
	status = guest_walk(vcpu->exit_map, &paging, operand->linear, access, &walk);
	if (status != GUEST_WALK_OK) {
		*action = walk_failed(vcpu, status, &walk, operand->linear, stack);
		return false;
	}
	operand->gpa[0] = walk.gpa;
	if (operand->first == operand->insn->memory_size) {
		data_cache_fill(vcpu, operand->linear, operand->cr3, operand->cs_access, access == GUEST_WRITE, &walk);
		return true;
	}
	second = operand->linear + operand->first;
	if (vcpu_code_bits(vcpu, operand->cs_access) != 64)
		second = (uint32_t)second;
	status = guest_walk(vcpu->exit_map, &paging, second, access, &walk);
	if (status != GUEST_WALK_OK) {
		*action = walk_failed(vcpu, status, &walk, second, stack);
		return false;
	}
	operand->gpa[1] = walk.gpa;
	return true;
}

static bool operand_contains(const struct operand *operand, gpa_t gpa)
{
	return gpa - operand->gpa[0] < operand->first ||
	       gpa - operand->gpa[1] < (uint64_t)(operand->insn->memory_size - operand->first);
}

static enum vcpu_action serve_general(struct tl_vcpu *vcpu, struct operand *operand)
{
	enum vcpu_action action;

	if (insn_unit(operand->insn) != UNIT_MOVE)
		return stop_with_bytes(vcpu, TL_STOP_UNDECODABLE, operand->code);
	locate_operand(vcpu, operand);
	if (operand_is_remembered(vcpu, operand))
		operand->gpa[0] = vcpu->exit_gpa;
	else if (!walk_operand(vcpu, operand, &action))
		return action;
	if (!operand_contains(operand, vcpu->exit_gpa))
		return operand_elsewhere(vcpu, operand->code);
	vcpu->operand_retried = false;
	mmio_operation_start(&vcpu->operation, operand->insn, vcpu->gpr, operand->gpa[0], operand->first,
			     operand->gpa[1]);
	vcpu->operation_rip = operand->rip;
	return operate(vcpu, vcpu->exit_map);
}

/* What a fetch that gave no instruction is to the guest. */
static enum vcpu_action fetch_failed(struct tl_vcpu *vcpu, enum fetch_status status, const struct fetch *fetch)
{
	switch (status) {
	case FETCH_PAGE_FAULT:
		return exit_page_fault(vcpu, fetch->linear, fetch->error_code);
	case FETCH_PROTECTION:
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	case FETCH_INVALID:
		return exit_raise(vcpu, VECTOR_UD);
	case FETCH_UNSUPPORTED:
		return stop_with_bytes(vcpu, TL_STOP_UNDECODABLE, &fetch->code);
	case FETCH_TABLE_NOT_RAM:
	case FETCH_NOT_RAM:
		vcpu->exit_gpa = fetch->gpa;
		return exit_stop(vcpu, status == FETCH_NOT_RAM ? TL_STOP_FETCH : TL_STOP_PAGE_TABLE, 0);
	default:
		return vcpu_before_entry(vcpu);
	}
}

/* The instruction is on no page that is remembered, or cannot be kept: fetch, decode. */
static __attribute__((noinline)) enum vcpu_action serve_fetched(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cr3,
								uint64_t cs_access)
{
	unsigned code_bits = vcpu_code_bits(vcpu, cs_access);
	struct guest_paging paging;
	enum fetch_status status;
	unsigned limit = INSN_MAX_LENGTH;
	struct fetch fetch;
	gva_t linear = rip;
	struct insn insn;

	vcpu_paging(vcpu, &paging);
	if (code_bits != 64) {
		uint64_t cs_limit = vmcs_read(VMCS_GUEST_CS_LIMIT);

		if (rip > cs_limit)
			return exit_raise_error(vcpu, VECTOR_GP, 0);
		if (cs_limit - rip < INSN_MAX_LENGTH)
			limit = (unsigned)(cs_limit - rip + 1);
		linear = (uint32_t)(vmcs_read(VMCS_GUEST_CS_BASE) + rip);
	}
	status = insn_fetch(vcpu->exit_map, &paging, linear, limit, code_bits, &fetch, &insn);
	if (status != FETCH_OK)
		return fetch_failed(vcpu, status, &fetch);
	if (code_bits == 64)
		code_cache_fill(vcpu, rip, cr3, cs_access, &fetch);
	return serve_general(
		vcpu,
		&(struct operand){.insn = &insn, .code = &fetch.code, .rip = rip, .cr3 = cr3, .cs_access = cs_access});
}

static __attribute__((noinline)) enum vcpu_action serve_decoded(struct tl_vcpu *vcpu, const struct decoded *d)
{
	struct guest_code code = {.available = d->insn.length};
	struct insn insn = d->insn; /* a callback's commit may end in another use of the cache */

	__builtin_memcpy(code.bytes, d->bytes, d->insn.length);
	return serve_general(
		vcpu, &(struct operand){
			      .insn = &insn, .code = &code, .rip = d->rip, .cr3 = d->cr3, .cs_access = d->cs_access});
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
	vcpu->last_served = d;
	if (unlikely(d->next))
		return exit_cluster(vcpu, d);
	return exit_skip(vcpu, d->rip, d->insn.length);
}

static HOT __attribute__((noinline)) enum vcpu_action perform_load_reload(struct tl_vcpu *vcpu, struct decoded *d)
{
	return perform_load(vcpu, d) | VCPU_RELOAD;
}

static HOT __attribute__((noinline)) enum vcpu_action perform_store(struct tl_vcpu *vcpu, struct decoded *d)
{
	if (!plain_access_device(vcpu, d, plain_store_value(vcpu, d)))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	vcpu->last_served = d;
	if (unlikely(d->next))
		return exit_cluster(vcpu, d);
	return exit_skip(vcpu, d->rip, d->insn.length);
}

/* A plain access that the embedder completes. */
static enum vcpu_action leave_plain(struct tl_vcpu *vcpu, const struct decoded *d)
{
	struct tl_mmio *access = &vcpu->exit->mmio;

	access->gpa = vcpu->exit_gpa;
	access->offset = vcpu->exit_gpa - vcpu->exit_range->start;
	access->data = d->plain >= PLAIN_STORE ? plain_store_value(vcpu, d) : 0;
	__builtin_memcpy((uint8_t *)access + offsetof(struct tl_mmio, size), &d->shape, sizeof(d->shape));
	access->context = vcpu->exit_range->context;
	access->vcpu = vcpu;
	vcpu->plain.rip = d->rip;
	vcpu->plain.mask_of_operand = d->mask_of_operand;
	vcpu->plain.length = d->insn.length;
	vcpu->plain.reg = d->insn.reg;
	vcpu->pending = d->plain >= PLAIN_STORE ? PENDING_PLAIN_WRITE : PENDING_PLAIN_READ;
	vcpu->exit->reason = TL_EXIT_MMIO;
	return VCPU_LEAVE;
}

/* A plain access to a range that is no MMIO range with a callback. */
static HOT __attribute__((noinline)) enum vcpu_action serve_other_kind(struct tl_vcpu *vcpu, const struct decoded *d)
{
	const struct map_range *range = vcpu->exit_range;

	if (range->kind == MAP_EMBEDDER)
		return leave_plain(vcpu, d);
	if (range->kind == MAP_SPECIAL && d->plain >= PLAIN_STORE && !range->options->sizes &&
	    ring_put(range->options->ring, atomic_load_explicit(&vcpu->reader.cpu, memory_order_relaxed),
		     vcpu->exit_gpa - range->start, plain_store_value(vcpu, d), d->insn.memory_size)) {
		vcpu->reader.stats.coalesced++;
		return exit_skip(vcpu, d->rip, d->insn.length);
	}
	return serve_decoded(vcpu, d) | VCPU_RELOAD;
}

/* The operand of a decoded instruction: where it is, and whether that is where the exit was. */
static HOT __attribute__((noinline)) enum vcpu_action serve_operand(struct tl_vcpu *vcpu, struct decoded *d,
								    uint64_t cr3, uint64_t cs_access)
{
	gva_t linear = vcpu->gpr[d->insn.base] + vcpu->gpr[d->insn.index] * d->index_factor + (uint64_t)d->insn.disp;
	const struct translated *t = data_cache_find(vcpu, linear);
	const struct map_range *range = vcpu->exit_range;
	uint64_t in_page = linear - t->linear;

	/* A fresh entry that named another page's range would be a bug of ours; a callback must not see it. */
	if (unlikely(in_page >= d->end_offset) || unlikely(t->cr3 != cr3) || unlikely(t->cs_access != cs_access) ||
	    unlikely(!walk_holds(&t->walk)) || unlikely(t->gpa + in_page != vcpu->exit_gpa) ||
	    unlikely(d->plain > t->allows) || unlikely(vcpu->exit_gpa - range->start > range->last - range->start))
		return serve_decoded(vcpu, d) | VCPU_RELOAD;
	if (unlikely(range->kind != MAP_MMIO))
		return serve_other_kind(vcpu, d);
	if (d->plain >= PLAIN_STORE)
		return perform_store(vcpu, d);
	return d->plain == PLAIN_LOAD ? perform_load(vcpu, d) : perform_load_reload(vcpu, d);
}

/* An access that follows on another is met first when it is decoded: from then on the two make a cluster. */
ALWAYS_INLINE void learn_successor(struct tl_vcpu *vcpu, struct decoded *d)
{
	struct decoded *last = vcpu->last_served;

	if (last && last->rip + last->insn.length == d->rip && (last->rip ^ d->rip) < PAGE_SIZE)
		last->next = d;
}

/* The instruction is not in the cache, or has changed. On a page that is remembered it is decoded where it stands. */
static HOT __attribute__((noinline)) enum vcpu_action serve_undecoded(struct tl_vcpu *vcpu, struct decoded *d,
								      uint64_t rip, uint64_t cr3, uint64_t cs_access)
{
	const struct translated *page = code_cache_find(vcpu, rip);
	uint64_t bytes[2];

	if (unlikely(!decode_cache_takes(rip)) || unlikely(!translated_holds(page, rip, cr3, cs_access)))
		return serve_fetched(vcpu, rip, cr3, cs_access) | VCPU_RELOAD;
	bytes[0] = code_word(page->host + (rip & (PAGE_SIZE - 1)));
	bytes[1] = code_word(page->host + (rip & (PAGE_SIZE - 1)) + 8);
	d->cr3 = NO_CR3;
	if (unlikely(insn_decode((const uint8_t *)bytes, INSN_MAX_LENGTH, 64, &d->insn) != DECODE_OK))
		return serve_fetched(vcpu, rip, cr3, cs_access) | VCPU_RELOAD;
	decode_cache_fill(d, rip, page, (const uint8_t *)bytes);
	learn_successor(vcpu, d);
	return serve_operand(vcpu, d, cr3, cs_access);
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
