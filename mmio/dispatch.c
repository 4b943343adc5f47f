/* SPDX-License-Identifier: MIT */
#include "mmio/dispatch.h"

#include "mmio/doorbell.h"
#include "mmio/emulate.h"
#include "mmio/memory.h"
#include "mmio/ring.h"
#include "mmu/dirty.h"
#include "mmu/trace.h"

unsigned mmio_piece(const struct map *map, const struct map_range *range, gpa_t gpa, unsigned most)
{
	unsigned count = 1;

	if (range->id == MAP_HOLE_ID) {
		/* The hole has no end of its own: it goes on until something begins. */
		while (count < most && map_find(map, gpa + count)->id == MAP_HOLE_ID)
			count++;
		return count;
	}
	if (range->last - gpa < most - 1)
		most = (unsigned)(range->last - gpa) + 1;
	if (!map_has_options(range) || !range->options->sizes)
		return most;
	for (count = 8; count > 1; count /= 2)
		if (count <= most && mmio_size_is_taken(range->options->sizes, gpa, count))
			break;
	return count;
}

static void fill_access(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa, unsigned count,
			bool write, uint64_t data)
{
	*env->access = (struct tl_mmio){
		.gpa = gpa,
		.offset = gpa - range->start,
		.data = write ? data & insn_mask[count] : 0,
		.size = count,
		.write = write,
		.context = range->context,
		.vcpu = env->vcpu,
	};
}

/* The range's callback, or the embedder. */
static enum mmio_progress ask_device(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa,
				     unsigned count, bool write, uint64_t *data)
{
	fill_access(env, range, gpa, count, write, *data);
	if (!range->access)
		return MMIO_EMBEDDER;
	if (range->access(env->access) != TL_OK)
		return MMIO_DEVICE_ERROR;
	if (!write)
		*data = env->access->data & insn_mask[count];
	return MMIO_DONE;
}

/* What nobody takes reads as ones. */
static enum mmio_progress no_device(_Atomic uint64_t *counter, unsigned by, bool write, unsigned count, uint64_t *data)
{
	stats_add(counter, by);
	if (!write)
		*data = insn_mask[count];
	return MMIO_DONE;
}

static unsigned cpu_of(const struct mmio_environment *env)
{
	/* relaxed: it is the calling CPU. */
	return atomic_load_explicit(&env->reader->cpu, memory_order_relaxed);
}

/* Empties the ring, so that an access may follow. MMIO_DONE, or what ends the instruction for now. */
static enum mmio_progress drain(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa)
{
	struct tl_ring *ring = range->options->ring;

	if (ring_is_empty(ring))
		return MMIO_DONE;
	fill_access(env, range, gpa, 0, false, 0);
	if (!range->access)
		return MMIO_DRAIN;
	return ring_drain(ring, range, env->access) == TL_OK ? MMIO_DONE : MMIO_DEVICE_ERROR;
}

static enum mmio_progress dispatch_special(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa,
					   unsigned count, bool write, uint64_t *data)
{
	const struct tl_mmio_options *options = range->options;
	enum mmio_progress progress;

	if (options->sizes && !mmio_size_is_taken(options->sizes, gpa, count))
		return no_device(&env->stats->refused_sizes, count, write, count, data);
	if (!options->ring)
		return ask_device(env, range, gpa, count, write, data);
	if (write && ring_put(options->ring, cpu_of(env), gpa - range->start, *data & insn_mask[count], count)) {
		stats_add(&env->stats->coalesced, 1);
		return MMIO_DONE;
	}
	progress = drain(env, range, gpa);
	if (progress != MMIO_DONE)
		return progress;
	return ask_device(env, range, gpa, count, write, data);
}

static enum mmio_progress dispatch_doorbell(const struct mmio_environment *env, const struct map_range *range,
					    gpa_t gpa, unsigned count, bool write, uint64_t *data)
{
	uint64_t offset = gpa - range->start;

	if (range->kind != MAP_DOORBELL_DECODED) {
		doorbell_ring(range, offset, env->vcpu, cpu_of(env));
		if (!write)
			*data = insn_mask[count];
		return MMIO_DONE;
	}
	if (write && doorbell_write(range, offset, *data & insn_mask[count], count, env->vcpu, cpu_of(env)))
		return MMIO_DONE;
	return ask_device(env, range, gpa, count, write, data);
}

static enum mmio_progress dispatch(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa,
				   unsigned count, bool write, uint64_t *data)
{
	switch (range->kind) {
	case MAP_RAM:
		if (write) {
			dirty_write(range, gpa, count);
			memory_store(range->host + (gpa - range->start), *data, count);
		} else {
			*data = memory_load(range->host + (gpa - range->start), count);
		}
		return MMIO_DONE;
	case MAP_ROM:
		if (!write)
			*data = memory_load(range->host + (gpa - range->start), count);
		else if (range->access)
			return ask_device(env, range, gpa, count, write, data);
		else
			stats_add(&env->stats->rom_writes, 1);
		return MMIO_DONE;
	case MAP_EXECUTE_ONLY:
	case MAP_APIC:
	case MAP_MMIO:
	case MAP_EMBEDDER:
		return ask_device(env, range, gpa, count, write, data);
	case MAP_RING:
	case MAP_SIZED:
		return dispatch_special(env, range, gpa, count, write, data);
	case MAP_DOORBELL:
	case MAP_DOORBELL_COUNT:
	case MAP_DOORBELL_DECODED:
		return dispatch_doorbell(env, range, gpa, count, write, data);
	default:
		return no_device(write ? &env->stats->hole_writes : &env->stats->hole_reads, 1, write, count, data);
	}
}

static COLD void trace_dispatched(enum mmio_progress progress, const struct map_range *range, gpa_t gpa, unsigned count,
				  bool write, uint64_t data, uint64_t begin)
{
	enum tl_trace_access how = write ? TL_TRACE_WRITE : TL_TRACE_READ;

	/* Memory is no device, but for the writes to ROM. What has to be drained first will be dispatched again. */
	if (range->kind == MAP_RAM || (range->kind == MAP_ROM && !write) || progress == MMIO_DRAIN)
		return;
	if (progress == MMIO_EMBEDDER && !write)
		how = TL_TRACE_UNSATISFIED;
	trace_access(how, range, gpa, count, how == TL_TRACE_UNSATISFIED ? 0 : data & insn_mask[count], begin);
}

enum mmio_progress mmio_dispatch(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa,
				 unsigned count, bool write, uint64_t *data)
{
	enum mmio_progress progress;
	uint64_t begin;

	if (!trace_is_on(TL_TRACE_MMIO))
		return dispatch(env, range, gpa, count, write, data);
	begin = __builtin_ia32_rdtsc();
	progress = dispatch(env, range, gpa, count, write, data);
	trace_dispatched(progress, range, gpa, count, write, *data, begin);
	return progress;
}
