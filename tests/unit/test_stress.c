/* SPDX-License-Identifier: MIT */
/*
 * As many threads as hurt: three vCPUs that fault, dispatch and commit in callbacks, two writers, small tags. Built for
 * the thread sanitizer as well; what a grace period orders is kept in plain variables, so that it sees one that is
 * missing. STRESS=n makes it n times as long.
 */
#include "mmio/dispatch.h"
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/stress_device.h"
#include "tests/unit/vm_fixture.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { NR_PIECES = 1024, LEAST_FAULTS = 1000000, LEAST_COMMITS = 5000, LEAST_WRAPS = 300 };

#define MIB2        EPT_SPAN(2)
#define RING_START  0x20000000ull
#define FIRST_PIECE BIT(32)

/* ---- Memory: the first writer moves it from piece to piece; a flush is what empties a CPU's TLB ---- */

/* The piece of host memory that a CPU's TLB leads to, counted from 1; 0: none. */
static _Atomic unsigned tlb[NR_VCPUS];
/* Pieces whose removal has returned. */
static _Atomic bool gone[NR_PIECES];

static void empty_tlb(struct tl_vm *of)
{
	(void)of;
	atomic_store(&tlb[hosted_cpu], 0);
}

static tl_range_id replace_memory(tl_range_id id, unsigned piece)
{
	struct tl_range range = {.kind = TL_RANGE_RAM,
				 .start = FIRST_PIECE + (piece % 512) * MIB2,
				 .size = MIB2,
				 .host = hosted_memory(piece * MIB2)};
	struct tl_edit *edit = tl_map_edit(vm);
	tl_range_id new;

	atomic_store(&gone[piece], false);
	if (id != TL_HOLE)
		tl_map_remove(edit, id);
	tl_map_add(edit, &range, &new);
	committed(edit);
	if (id != TL_HOLE)
		atomic_store(&gone[(piece + NR_PIECES - 1) % NR_PIECES], true);
	return new;
}

/* ---- A ring of coalesced writes: of each vCPU, all arrive, once, in order ---- */

static uint64_t written[NR_VCPUS], arrived[NR_VCPUS];

static enum tl_status take_write(struct tl_mmio *access)
{
	unsigned from = (unsigned)(access->data >> 32);

	if (!access->write)
		return TL_OK;
	require((access->data & UINT32_MAX) == ++arrived[from], "a coalesced write is lost, or out of order");
	return TL_OK;
}

/* ---- vCPUs ---- */

struct vcpu_thread {
	struct grace_reader reader;
	unsigned cpu;
	uint64_t accesses, fresh, faults, device_accesses, hole_accesses;
};

static _Atomic uint64_t faults;
static _Atomic bool done;
static _Atomic bool interrupted[NR_VCPUS];

static void interrupt(unsigned cpu)
{
	atomic_store(&interrupted[cpu], true);
}

/*
 * There are more threads than processors. Who waits for another looks again and again under the lock (grace_wait()),
 * and would use up its time slice doing so. The linker puts this in the place of vm_unlock().
 */
void __real_vm_unlock(struct tl_vm *of);
void __wrap_vm_unlock(struct tl_vm *of);

void __wrap_vm_unlock(struct tl_vm *of)
{
	static _Thread_local unsigned unlocks;

	__real_vm_unlock(of);
	if (++unlocks % 16 == 0)
		usleep(20);
}

/* What the exits do for a device's page: check, or search; then the callback. */
static const struct map_range *access_page(struct vcpu_thread *t, const struct map *map, gpa_t gpa, bool write,
					   uint64_t data)
{
	struct tl_mmio access;
	struct mmio_environment env = {
		.map = map, .vm = vm, .reader = &t->reader, .access = &access, .stats = &t->reader.stats};
	const struct map_range *range;
	struct ept_walk walk;
	enum mmio_verdict verdict;

	ept_walk(vm, gpa, &walk);
	verdict = mmu_examine(map, &walk, &range);
	if (verdict == MMIO_EMULATE) {
		t->fresh++;
	} else {
		require(mmu_fault(vm, map, gpa, MMU_READ, &walk, &range) == MMU_SERVE,
			"a device's page is no device's");
		t->faults++;
	}
	range = map_find(map, gpa);
	require(mmio_dispatch(&env, range, gpa, 4, write, &data) == MMIO_DONE, "an access was not completed");
	return range;
}

static void access_device(struct vcpu_thread *t, unsigned place, gpa_t gpa)
{
	uint64_t before = atomic_load(&certain[place]);
	const struct map_range *range = access_page(t, map_now(), gpa, false, 0);

	t->accesses++;
	if (range->id != MAP_HOLE_ID) {
		t->device_accesses++;
		return;
	}
	t->hole_accesses++;
	if (gpa - place_start(place) < PLACE_SIZE)
		require(before == 0 || atomic_load(&certain[place]) != before, "a device was there all the time");
}

static void access_ring(struct vcpu_thread *t, bool write)
{
	uint64_t data = write ? (uint64_t)t->cpu << 32 | ++written[t->cpu] : 0;
	const struct map *map = map_now();
	struct tl_mmio access;
	struct mmio_environment env = {
		.map = map, .vm = vm, .reader = &t->reader, .access = &access, .stats = &t->reader.stats};

	require(mmio_dispatch(&env, map_find(map, RING_START), RING_START, 8, write, &data) == MMIO_DONE, "the ring");
}

static void access_memory(struct vcpu_thread *t, unsigned page, enum mmu_access access)
{
	const struct map *map = map_now();
	gpa_t gpa = map->ranges[map->ram_hint].start + page * PAGE_SIZE;
	unsigned cached = atomic_load(&tlb[t->cpu]);
	const struct map_range *range;
	struct ept_walk walk;

	/* The guest uses what the CPU has cached before anything new. */
	require(!cached || !atomic_load(&gone[cached - 1]), "memory is reached after its removal returned");
	ept_walk(vm, gpa, &walk);
	if (!ept_is_present(walk.entry) || access == MMU_FETCH) {
		mmu_fault(vm, map, gpa, access, &walk, &range);
		t->faults++;
	} else {
		uint8_t *host = phys_to_host(walk.entry & EPT_ADDRESS);

		atomic_store(&tlb[t->cpu], (unsigned)((uint64_t)(host - hosted_memory(0)) / MIB2) + 1);
	}
}

/* vcpu_before_entry() and vcpu_attention(). */
static void before_entry(struct vcpu_thread *t)
{
	while (atomic_load_explicit(&vm->round, memory_order_acquire) != t->reader.entry_round) {
		map_complete_pending(&t->reader);
		grace_announce(&t->reader);
	}
}

/* The guest does nothing that exits: only a kick ends it. */
static void sit_in_guest(const struct vcpu_thread *t)
{
	while (!atomic_exchange(&interrupted[t->cpu], false) && !atomic_load(&done))
		usleep(20);
}

static void run_once(struct vcpu_thread *t)
{
	struct agent *agent = &agents[t->cpu];
	unsigned place = agent_random(agent, NR_PLACES);

	before_entry(t);
	access_device(t, place, place_start(place) + 4 * agent_random(agent, 0x200));
	before_entry(t);
	access_memory(t, agent_random(agent, 512), agent_random(agent, 4) ? MMU_READ : MMU_FETCH);
	before_entry(t);
	access_ring(t, agent_random(agent, 16));
	if (agent_random(agent, 4096) == 0) {
		before_entry(t);
		sit_in_guest(t);
	}
}

static void *run_vcpu(void *context)
{
	struct vcpu_thread *t = context;

	hosted_cpu = t->cpu;
	while (!atomic_load(&done)) {
		uint64_t before = t->faults;

		grace_enter(&t->reader, hooks->cpu_index());
		for (unsigned i = 0; i < 200; i++)
			run_once(t);
		/* The vCPU has no other way to the guest than past its own commits. */
		map_complete_pending(&t->reader);
		grace_leave(&t->reader, hooks->cpu_index());
		atomic_fetch_add(&faults, t->faults - before);
	}
	return NULL;
}

static void *run_writer(void *context)
{
	unsigned index = *(const unsigned *)context;
	unsigned piece = 0;
	tl_range_id memory = TL_HOLE;

	hosted_cpu = index;
	while (!atomic_load(&done)) {
		agent_changes(index);
		if (index == NR_VCPUS) {
			memory = replace_memory(memory, piece);
			piece = (piece + 1) % NR_PIECES;
		} else if (agent_random(&agents[index], 8) == 0) {
			require(tl_vm_invalidate_mmio(vm) == TL_OK, "the invalidation");
		}
	}
	return NULL;
}

static struct tl_ring *add_ring(void)
{
	static struct tl_mmio_options options;
	struct tl_range range = {.kind = TL_RANGE_MMIO,
				 .start = RING_START,
				 .size = PAGE_SIZE,
				 .access = take_write,
				 .options = &options};

	options.ring = tl_ring_create(NR_VCPUS, 16);
	assert_non_null(options.ring);
	range_add(range);
	return options.ring;
}

static bool long_enough(void)
{
	const char *word = getenv("STRESS");
	uint64_t factor = word ? strtoull(word, NULL, 10) : 1;
	uint64_t wraps;

	vm_lock(vm);
	wraps = vm->wraps;
	vm_unlock(vm);
	return atomic_load(&faults) >= factor * LEAST_FAULTS && atomic_load(&nr_commits) >= factor * LEAST_COMMITS &&
	       wraps >= factor * LEAST_WRAPS;
}

/* They are read while the vCPUs count. */
static void look_at_stats(struct tl_stats *seen)
{
	struct tl_stats before = *seen;

	tl_stats(vm, seen);
	assert_true(seen->hole_reads >= before.hole_reads);
	assert_true(seen->commits >= before.commits);
}

static void check_counts(const struct vcpu_thread vcpus[NR_VCPUS])
{
	uint64_t calls = 0, accesses = 0, holes = 0, fresh = 0, reads_of_hole = 0;

	for (unsigned i = 0; i < NR_AGENTS; i++)
		if (agents[i].device)
			agent_removes(&agents[i]);
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		calls += vcpus[i].device_accesses;
		accesses += vcpus[i].accesses;
		holes += vcpus[i].hole_accesses;
		fresh += vcpus[i].fresh;
		reads_of_hole += vcpus[i].reader.stats.hole_reads;
		assert_null(vcpus[i].reader.pending);
	}
	print_message("%lu accesses, %lu fresh; %lu faults; %lu commits, %lu refused; %lu devices; %lu wraps\n",
		      (unsigned long)accesses, (unsigned long)fresh, (unsigned long)atomic_load(&faults),
		      (unsigned long)atomic_load(&nr_commits), (unsigned long)atomic_load(&nr_refused),
		      (unsigned long)atomic_load(&nr_made), (unsigned long)vm->wraps);
	assert_int_equal(atomic_load(&nr_stress_released), atomic_load(&nr_made));
	assert_int_equal(atomic_load(&released_calls), calls);
	assert_int_equal(calls + holes, accesses);
	assert_int_equal(reads_of_hole, holes);
	assert_true(map_now()->stamping);
	assert_true(fresh > 0);
}

static void stress(void **context)
{
	static const unsigned writer_index[NR_WRITERS] = {NR_VCPUS, NR_VCPUS + 1};
	static struct vcpu_thread vcpus[NR_VCPUS];
	struct tl_stats stats = {.commits = 0};
	pthread_t threads[NR_AGENTS];
	struct tl_ring *ring;

	(void)context;
	mmu_cpu.large_executable = false;
	hosted.on_flush = empty_tlb;
	hosted.on_kick = interrupt;
	ring = add_ring();
	for (unsigned i = 0; i < NR_AGENTS; i++)
		agents[i] = (struct agent){.random = 99 + i};
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = (struct vcpu_thread){.cpu = i};
		grace_reader_add(&vcpus[i].reader, vm);
		assert_int_equal(pthread_create(&threads[i], NULL, run_vcpu, &vcpus[i]), 0);
	}
	for (unsigned i = 0; i < NR_WRITERS; i++)
		assert_int_equal(
			pthread_create(&threads[NR_VCPUS + i], NULL, run_writer, (void *)(uintptr_t)&writer_index[i]),
			0);
	while (!long_enough()) {
		look_at_stats(&stats);
		usleep(10000);
	}
	atomic_store(&done, true);
	for (unsigned i = 0; i < NR_AGENTS; i++)
		pthread_join(threads[i], NULL);
	hosted_cpu = NR_AGENTS;
	assert_true(stats.hole_reads > 0);
	check_counts(vcpus);
	for (unsigned i = 0; i < NR_VCPUS; i++)
		grace_reader_remove(&vcpus[i].reader);
	tl_ring_destroy(ring);
	mmu_cpu.large_executable = true;
}

static int setup(void **context)
{
	struct tl_vm_config config = {.tag_bits = 3};

	(void)context;
	vm_start(&config);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(stress, setup, vm_teardown)};

	/* A wait that never ends is a failure, too. */
	if (!getenv("STRESS"))
		alarm(500);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
