/* SPDX-License-Identifier: MIT */
#include "mmio/string_batch.h"

#include "mmio/emulate.h"
#include "mmio/unit.h"
#include "mmu/vm.h"

#define RFLAGS_DF BIT(10)

/* One side of the instruction: memory or a device. */
struct side {
	const struct map_range *range;
	gpa_t gpa; /* of the next element */
	bool is_memory;
};

/* How many elements there are from `gpa` on to the end of its page and of its range, in the direction of `step`. */
static uint64_t room(const struct map_range *range, gpa_t gpa, unsigned size, bool down)
{
	gpa_t first = gpa & ~(PAGE_SIZE - 1), last = first | (PAGE_SIZE - 1);

	if (first < range->start)
		first = range->start;
	if (last > range->last)
		last = range->last;
	if (gpa < first || gpa > last || last - gpa < size - 1)
		return 0;
	return down ? (gpa - first) / size + 1 : (last - gpa + 1) / size;
}

/* Whether the span's next element is on the same page, and in a range that is served here. */
static bool look_at(struct side *side, const struct mmio_span *span, const struct map *map, unsigned size, bool down,
		    uint64_t *most)
{
	uint64_t left;

	if (span->first != span->size)
		return false;
	side->gpa = down ? span->gpa[0] - size : span->gpa[0] + size;
	if ((side->gpa ^ span->gpa[0]) >> PAGE_SHIFT)
		return false;
	side->range = map_find(map, side->gpa);
	side->is_memory = side->range->kind == MAP_RAM;
	left = room(side->range, side->gpa, size, down);
	*most = left < *most ? left : *most;
	return side->is_memory || side->range->kind == MAP_MMIO;
}

/* Whole words where the guest's are, so that another CPU sees them whole. */
ALWAYS_INLINE uint64_t load(const uint8_t *host, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)host;
	case 2: {
		uint16_t word;

		__builtin_memcpy(&word, host, sizeof(word));
		return word;
	}
	case 4: {
		uint32_t dword;

		__builtin_memcpy(&dword, host, sizeof(dword));
		return dword;
	}
	default: {
		uint64_t qword;

		__builtin_memcpy(&qword, host, sizeof(qword));
		return qword;
	}
	}
}

ALWAYS_INLINE void store(uint8_t *host, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)host = (uint8_t)value;
		break;
	case 2:
		__builtin_memcpy(host, &value, 2);
		break;
	case 4:
		__builtin_memcpy(host, &value, 4);
		break;
	default:
		__builtin_memcpy(host, &value, 8);
	}
}

/* One element of one side; false: the device refuses. */
ALWAYS_INLINE bool access_side(const struct side *side, struct tl_mmio *access, unsigned size, bool write,
			       uint64_t *value)
{
	uint64_t offset = side->gpa - side->range->start;

	if (side->is_memory) {
		if (write)
			store(side->range->host + offset, *value, size);
		else
			*value = load(side->range->host + offset, size);
		return true;
	}
	access->gpa = side->gpa;
	access->offset = offset;
	access->data = write ? *value & (~0ull >> (64 - 8 * size)) : 0;
	access->size = size;
	access->write = write;
	access->context = side->range->context;
	if (unlikely(side->range->access(access) != TL_OK))
		return false;
	*value = access->data & (~0ull >> (64 - 8 * size));
	return true;
}

struct batch {
	struct side *source, *destination; /* NULL: it has none */
	struct tl_mmio *access;
	const struct grace_reader *reader;
	uint64_t most, step;
};

/* How many elements were done. `size` is a constant where it is inlined. */
ALWAYS_INLINE uint64_t run_sized(unsigned size, struct batch b, uint64_t *value)
{
	struct side none = {0}, source = b.source ? *b.source : none,
		    destination = b.destination ? *b.destination : none;

	const _Atomic uint64_t *round = &b.reader->vm->round;
	uint64_t entry_round = b.reader->entry_round;

	for (uint64_t done = 0; done < b.most;) {
		if (b.source && !access_side(&source, b.access, size, false, value))
			return done;
		if (b.destination && !access_side(&destination, b.access, size, true, value))
			return done;
		source.gpa += b.step;
		destination.gpa += b.step;
		done++;
		/* acquire: as before an entry. A callback that commits ends it, too. */
		if (unlikely(atomic_load_explicit(round, memory_order_acquire) != entry_round))
			return done;
	}
	return b.most;
}

static uint64_t run_elements(unsigned size, struct batch b, uint64_t *value)
{
	switch (size) {
	case 1:
		return run_sized(1, b, value);
	case 2:
		return run_sized(2, b, value);
	case 4:
		return run_sized(4, b, value);
	default:
		return run_sized(8, b, value);
	}
}

uint64_t string_batch(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
		      uint64_t most)
{
	const struct insn *insn = &op->insn;
	const unsigned size = insn->memory_size;
	bool down = cpu->rflags & RFLAGS_DF, reads = insn->op != INSN_STOS, writes = insn->op != INSN_LODS;
	uint64_t value = cpu->gpr[TL_RAX], done, step = down ? 0 - (uint64_t)size : size;
	struct side source = {0}, destination = {0};

	if (insn->op != INSN_MOVS && insn->op != INSN_STOS && insn->op != INSN_LODS)
		return 0;
	most = most < op->limit - 1 ? most : op->limit - 1;
	if ((reads && !look_at(&source, &op->span[0], env->map, size, down, &most)) ||
	    (writes && !look_at(&destination, &op->span[op->nr_spans - 1], env->map, size, down, &most)))
		return 0;
	env->access->vcpu = env->vcpu;
	done = run_elements(size,
			    (struct batch){.source = reads ? &source : NULL,
					   .destination = writes ? &destination : NULL,
					   .access = env->access,
					   .reader = env->reader,
					   .most = most,
					   .step = step},
			    &value);
	if (done && insn->op == INSN_LODS)
		cpu_write_gpr(cpu, TL_RAX, size, false, value);
	return done;
}
