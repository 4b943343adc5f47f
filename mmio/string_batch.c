/* SPDX-License-Identifier: MIT */
#include "mmio/string_batch.h"

#include "mmio/emulate.h"
#include "mmio/memory.h"
#include "mmio/unit.h"
#include "mmu/trace.h"
#include "mmu/vm.h"

#define RFLAGS_DF BIT(10)

/* One side of the instruction: memory or a device. */
struct side {
	const struct map_range *range;
	uint8_t *host;   /* of the range, of memory */
	uint64_t offset; /* of the next element, in the range */
	bool is_memory;
};

/* How many elements there are in first to last, from the one at `at` on in the direction. */
static uint64_t room(uint64_t first, uint64_t last, uint64_t at, unsigned size, bool down)
{
	if (last - at < size - 1)
		return 0;
	return (down ? at - first : last - at - (size - 1)) / size + 1;
}

/*
 * How many there are in a segment after the element that was done, which `reg` is one past. In 64-bit code too the
 * offset wraps at its width: what comes then lies elsewhere.
 */
static uint64_t room_in_segment(const struct mmio_cpu *cpu, unsigned segment, unsigned reg, const struct insn *insn,
				bool down)
{
	uint64_t mask = insn_mask[insn->address_size], size = insn->memory_size;
	struct offsets offsets = mmio_segment_offsets(cpu, segment);
	uint64_t at = (down ? cpu->gpr[reg] + size : cpu->gpr[reg] - size) & mask;
	uint64_t with_it = room(offsets.first, offsets.last < mask ? offsets.last : mask, at, insn->memory_size, down);

	return with_it ? with_it - 1 : 0;
}

static uint64_t room_in_range(const struct map_range *range, gpa_t gpa, unsigned size, bool down)
{
	gpa_t first = gpa & ~(PAGE_SIZE - 1), last = first | (PAGE_SIZE - 1);

	return room(first < range->start ? range->start : first, last > range->last ? range->last : last, gpa, size,
		    down);
}

/*
 * Whether the span's next element, at rSI or rDI, is on the same page and in a range that is served here; makes *most
 * no more than are there.
 */
static bool look_at(struct side *side, const struct mmio_span *span, unsigned reg, const struct mmio_cpu *cpu,
		    const struct map *map, const struct insn *insn, uint64_t *most)
{
	unsigned size = insn->memory_size;
	bool down = cpu->rflags & RFLAGS_DF;
	uint64_t left;
	gpa_t gpa;

	/* Accesses that are traced are done one by one. */
	if (span->first != span->size || trace_is_on(TL_TRACE_MMIO))
		return false;
	gpa = down ? span->gpa[0] - size : span->gpa[0] + size;
	if ((gpa ^ span->gpa[0]) >> PAGE_SHIFT)
		return false;
	side->range = map_find(map, gpa);
	/* Writes that are logged are done one by one. */
	side->is_memory = side->range->kind == MAP_RAM && !side->range->log;
	side->host = side->range->host;
	side->offset = gpa - side->range->start;
	left = room_in_range(side->range, gpa, size, down);
	*most = left < *most ? left : *most;
	left = room_in_segment(cpu, span->segment, reg, insn, down);
	*most = left < *most ? left : *most;
	return side->is_memory || side->range->kind == MAP_MMIO;
}

/* One element of one side; false: the device refuses. */
ALWAYS_INLINE bool access_side(const struct side *side, struct tl_mmio *access, unsigned size, bool write,
			       uint64_t *value)
{
	if (side->is_memory) {
		if (write)
			memory_store(side->host + side->offset, *value, size);
		else
			*value = memory_load(side->host + side->offset, size);
		return true;
	}
	access->gpa = side->range->start + side->offset;
	access->offset = side->offset;
	access->data = write ? *value & (~0ull >> (64 - 8 * size)) : 0;
	access->size = size;
	access->write = write;
	access->context = side->range->context;
	if (unlikely(side->range->access(access) != TL_OK))
		return false;
	/* What is beyond its size whoever takes it leaves away. */
	if (!write)
		*value = access->data;
	return true;
}

struct batch {
	struct side *source, *destination; /* NULL: it has none */
	struct tl_mmio *access;
	const struct grace_reader *reader;
	uint64_t most, step;
	uint64_t value, done;
};

/* What both sides are: a MOVS from memory to a device, or the reverse, needs to ask neither. */
enum sides { SIDES_ANY, SIDES_SEND, SIDES_RECEIVE };

/* `size` and `sides` are constants where it is inlined. */
ALWAYS_INLINE enum mmio_progress run_sized(unsigned size, enum sides sides, struct batch *b)
{
	const struct grace_reader *reader = b->reader;
	const _Atomic uint64_t *round = &reader->vm->round;
	const uint64_t step = b->step, most = b->most;
	const bool reads = sides != SIDES_ANY || b->source, writes = sides != SIDES_ANY || b->destination;
	struct side none = {0}, source = reads ? *b->source : none, destination = writes ? *b->destination : none;
	enum mmio_progress progress = MMIO_DONE;
	uint64_t value = b->value, done = 0;

	if (sides != SIDES_ANY) {
		source.is_memory = sides == SIDES_SEND;
		destination.is_memory = sides == SIDES_RECEIVE;
	}
	while (done < most) {
		if ((reads && !access_side(&source, b->access, size, false, &value)) ||
		    (writes && !access_side(&destination, b->access, size, true, &value))) {
			progress = MMIO_DEVICE_ERROR;
			break;
		}
		source.offset += step;
		destination.offset += step;
		done++;
		/* acquire: as before an entry. A callback that commits ends it, too, or one that has an event for us.
		 */
		if (unlikely(atomic_load_explicit(round, memory_order_acquire) != reader->entry_round))
			break;
	}
	b->value = value;
	b->done = done;
	return progress;
}

ALWAYS_INLINE enum mmio_progress run_sides(unsigned size, struct batch *b)
{
	if (!b->source || !b->destination || b->source->is_memory == b->destination->is_memory)
		return run_sized(size, SIDES_ANY, b);
	return b->source->is_memory ? run_sized(size, SIDES_SEND, b) : run_sized(size, SIDES_RECEIVE, b);
}

static enum mmio_progress run_elements(unsigned size, struct batch *b)
{
	switch (size) {
	case 1:
		return run_sides(1, b);
	case 2:
		return run_sides(2, b);
	case 4:
		return run_sides(4, b);
	default:
		return run_sides(8, b);
	}
}

enum mmio_progress string_batch(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				uint64_t most, uint64_t *done)
{
	const struct insn *insn = &op->insn;
	const unsigned size = insn->memory_size;
	bool reads = insn->op != INSN_STOS, writes = insn->op != INSN_LODS;
	struct side source = {0}, destination = {0};
	struct batch batch = {.source = reads ? &source : NULL,
			      .destination = writes ? &destination : NULL,
			      .access = env->access,
			      .reader = env->reader,
			      .most = most < op->limit - 1 ? most : op->limit - 1,
			      .step = cpu->rflags & RFLAGS_DF ? 0 - (uint64_t)size : size,
			      .value = cpu->gpr[TL_RAX]};
	enum mmio_progress progress;

	*done = 0;
	if (insn->op != INSN_MOVS && insn->op != INSN_STOS && insn->op != INSN_LODS)
		return MMIO_DONE;
	if ((reads && !look_at(&source, &op->span[0], TL_RSI, cpu, env->map, insn, &batch.most)) ||
	    (writes && !look_at(&destination, &op->span[op->nr_spans - 1], TL_RDI, cpu, env->map, insn, &batch.most)))
		return MMIO_DONE;
	env->access->vcpu = env->vcpu;
	progress = run_elements(size, &batch);
	*done = batch.done;
	if (batch.done && insn->op == INSN_LODS)
		cpu_write_gpr(cpu, TL_RAX, size, batch.value);
	return progress;
}
