/* SPDX-License-Identifier: MIT */
#include "mmio/operation.h"

#include "mmio/emulate.h"

void mmio_operation_start(struct mmio_operation *op, const struct insn *insn, const uint64_t gpr[INSN_NR_GPRS],
			  gpa_t gpa0, unsigned first, gpa_t gpa1)
{
	*op = (struct mmio_operation){
		.insn = *insn,
		.gpa = {gpa0, gpa1},
		.data = insn_is_write(insn) ? insn_store_value(insn, gpr) : 0,
		.first = (uint8_t)first,
	};
}

/* How many of up to `most` bytes from `gpa` on lie in the range that holds it. */
static unsigned bytes_in_range(const struct map *map, const struct map_range *range, gpa_t gpa, unsigned most)
{
	unsigned count = 1;

	if (range->id != MAP_HOLE_ID)
		return range->last - gpa < most - 1 ? (unsigned)(range->last - gpa) + 1 : most;
	/* The hole has no end of its own: it goes on until something begins. */
	while (count < most && map_find(map, gpa + count)->id == MAP_HOLE_ID)
		count++;
	return count;
}

/* Takes `count` bytes that were read as the next ones of the operand. */
static void take_read(struct mmio_operation *op, uint64_t data, unsigned count)
{
	op->data |= (data & insn_mask[count]) << (8 * op->next);
}

/* Each byte once: another CPU may change them meanwhile. */
static void copy_memory(struct mmio_operation *op, volatile uint8_t *host, unsigned count)
{
	uint64_t data = op->data >> (8 * op->next);

	if (insn_is_write(&op->insn)) {
		for (unsigned i = 0; i < count; i++)
			host[i] = (uint8_t)(data >> (8 * i));
		return;
	}
	data = 0;
	for (unsigned i = 0; i < count; i++)
		data |= (uint64_t)host[i] << (8 * i);
	take_read(op, data, count);
}

static enum mmio_progress call_device(struct mmio_operation *op, const struct map_range *range, struct tl_vcpu *vcpu,
				      gpa_t gpa, unsigned count, struct tl_mmio *access)
{
	bool write = insn_is_write(&op->insn);

	*access = (struct tl_mmio){
		.gpa = gpa,
		.offset = gpa - range->start,
		.data = write ? op->data >> (8 * op->next) & insn_mask[count] : 0,
		.size = count,
		.write = write,
		.context = range->context,
		.vcpu = vcpu,
	};
	if (!range->access) {
		op->pending = (uint8_t)count;
		return MMIO_EMBEDDER;
	}
	if (range->access(access) != TL_OK)
		return MMIO_DEVICE_ERROR;
	if (!write)
		take_read(op, access->data, count);
	return MMIO_DONE;
}

/* Does `count` bytes, all in `range`. */
static enum mmio_progress run_piece(struct mmio_operation *op, const struct map_range *range, struct tl_vcpu *vcpu,
				    gpa_t gpa, unsigned count, struct tl_mmio *access, struct tl_stats *stats)
{
	bool write = insn_is_write(&op->insn);

	switch (range->kind) {
	case MAP_MMIO:
		return call_device(op, range, vcpu, gpa, count, access);
	case MAP_ROM:
		if (write) {
			stats->rom_writes++;
			return MMIO_DONE;
		}
		copy_memory(op, range->host + (gpa - range->start), count);
		return MMIO_DONE;
	case MAP_RAM:
		copy_memory(op, range->host + (gpa - range->start), count);
		return MMIO_DONE;
	default:
		if (write) {
			stats->hole_writes++;
		} else {
			stats->hole_reads++;
			take_read(op, ~0ull, count);
		}
		return MMIO_DONE;
	}
}

enum mmio_progress mmio_operation_run(struct mmio_operation *op, const struct map *map, struct tl_vcpu *vcpu,
				      struct tl_mmio *access, struct tl_stats *stats)
{
	unsigned size = op->insn.memory_size;

	while (op->next < size) {
		bool second = op->next >= op->first;
		unsigned end = second ? size : op->first;
		gpa_t gpa = second ? op->gpa[1] + (op->next - op->first) : op->gpa[0] + op->next;
		const struct map_range *range = map_find(map, gpa);
		unsigned count = bytes_in_range(map, range, gpa, end - op->next);
		enum mmio_progress progress = run_piece(op, range, vcpu, gpa, count, access, stats);

		if (progress != MMIO_DONE)
			return progress;
		op->next = (uint8_t)(op->next + count);
	}
	return MMIO_DONE;
}

void mmio_operation_complete(struct mmio_operation *op, uint64_t data)
{
	if (!op->pending)
		return;
	if (!insn_is_write(&op->insn))
		take_read(op, data, op->pending);
	op->next = (uint8_t)(op->next + op->pending);
	op->pending = 0;
}

void mmio_operation_finish(const struct mmio_operation *op, uint64_t gpr[INSN_NR_GPRS])
{
	if (!insn_is_write(&op->insn))
		insn_load_result(&op->insn, gpr, op->data);
}
