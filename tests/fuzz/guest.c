/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/guest.h"
#include "mmio/ring.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "mmu/vm.h"
#include "tests/fuzz/guest_tables.h"
#include "tests/fuzz/hostile.h"
#include "tests/unit/hosted.h"
#include <sanitizer/asan_interface.h>
#include <string.h>

enum {
	PAGE = 4096,
	READ_ONLY_PAGES = 3,
	/* In hosted memory, with pages between them that nobody may touch. */
	RAM_OFFSET = 16 * PAGE,
	READ_ONLY_OFFSET = RAM_OFFSET + GUEST_RAM_BYTES + 4 * PAGE,
	OTHER_RAM_OFFSET = READ_ONLY_OFFSET + (READ_ONLY_PAGES + 4) * PAGE,
	ALL_BYTES = OTHER_RAM_OFFSET + 16 * PAGE,
	RING_ENTRIES = 4,
};

struct guest guest;
static struct tl_doorbell_count counts[TL_MAX_CPUS];
static uint8_t shadow[PAGE];
static uint64_t read_only[READ_ONLY_PAGES * PAGE / 8];

/* What stands there, by turns: data that was never loaded, an entry that was never used. */
#define READ_ONLY_DESCRIPTOR 0x00cff2000000ffff
#define READ_ONLY_ENTRY      (PAGE_PT * PAGE | 7)
static tl_range_id wanderer, other_ram;
static bool other_ram_is_out;

const struct map *guest_map_now(void)
{
	return atomic_load_explicit(&guest.vm->map, memory_order_acquire);
}

uint64_t guest_answer(const struct tl_mmio *access)
{
	uint64_t answer = fuzz_hash(access->gpa + access->size);

	/* As a selector it names a descriptor more often than not. */
	return answer & 1 ? answer : answer & 0x7f007f007f007f;
}

/* Each access is as the range declared it. */
static void check_access(const struct tl_mmio *access)
{
	const struct map_range *range = map_find(guest_map_now(), access->gpa);

	fuzz_require(access->size >= 1 && access->size <= 8);
	fuzz_require(!access->write || access->size == 8 || access->data >> (8 * access->size) == 0);
	fuzz_require(access->context == &guest);
	/* A commit of this very instruction may have moved it. */
	if (guest.committed)
		return;
	fuzz_require(range->access && access->gpa - access->offset == range->start);
	fuzz_require(access->gpa + access->size - 1 <= range->last);
	if (map_has_options(range) && range->options->sizes)
		fuzz_require(access->size == 4 && access->gpa % 4 == 0);
}

/* Whether it was done: too many commits at once are refused, and change nothing. */
static bool commit(struct tl_edit *edit)
{
	enum tl_status status = tl_map_commit(edit);

	fuzz_require(status == TL_OK || status == TL_PENDING || status == TL_AGAIN);
	guest.committed = true;
	return status != TL_AGAIN;
}

static void move_wanderer(void)
{
	struct tl_edit *edit = tl_map_edit(guest.vm);
	const struct map_range *range = &guest_map_now()->ranges[wanderer];
	uint64_t page = range->start / PAGE == PAGE_WANDERER ? PAGE_WANDERER + 1 : PAGE_WANDERER;

	fuzz_require(edit && tl_map_move(edit, wanderer, page * PAGE) == TL_OK);
	(void)commit(edit);
}

static void remove_other_ram(void)
{
	struct tl_edit *edit;

	if (other_ram_is_out)
		return;
	edit = tl_map_edit(guest.vm);
	fuzz_require(edit && tl_map_remove(edit, other_ram) == TL_OK);
	other_ram_is_out = commit(edit);
}

/* From now on whoever touches it is caught. */
static void other_ram_released(void *context)
{
	(void)context;
	ASAN_POISON_MEMORY_REGION(hosted_memory(OTHER_RAM_OFFSET), PAGE);
}

static enum tl_status take_step(void)
{
	const struct guest_step *step;

	if (guest.calls > guest.nr_steps)
		return TL_OK;
	step = &guest.step[guest.calls - 1];
	switch (step->kind % NR_STEPS) {
	case STEP_ERROR:
		guest.failed = true;
		return TL_NO_MEMORY;
	case STEP_POKE:
		hostile_poke(step->word, step->value, ~0ull);
		break;
	case STEP_MOVE:
		move_wanderer();
		break;
	case STEP_REMOVE_RAM:
		remove_other_ram();
		break;
	case STEP_INVALIDATE:
		(void)tl_vm_invalidate_mmio(guest.vm);
		guest.committed = true;
		break;
	case STEP_ROUND:
		grace_raise(guest.vm);
		break;
	default:
		break;
	}
	return TL_OK;
}

static enum tl_status device(struct tl_mmio *access)
{
	enum tl_status status;

	hostile_disarm();
	guest.calls++;
	guest.writes += access->write;
	if (access->gpa / PAGE == PAGE_RING && access->write)
		guest.ring_calls++;
	check_access(access);
	status = take_step();
	if (!access->write)
		access->data = guest_answer(access);
	hostile_resume();
	return status;
}

static void rung(void *context, uint64_t offset, struct tl_vcpu *vcpu)
{
	(void)vcpu;
	hostile_disarm();
	fuzz_require(context == &guest && offset < PAGE);
	guest.calls++;
	(void)take_step();
	guest.failed = false;
	hostile_resume();
}

static tl_range_id add(struct tl_range range)
{
	struct tl_edit *edit = tl_map_edit(guest.vm);
	tl_range_id id = TL_HOLE;

	range.context = &guest;
	if (range.size == 0)
		range.size = PAGE;
	fuzz_require(edit && tl_map_add(edit, &range, &id) == TL_OK && tl_map_commit(edit) == TL_OK);
	return id;
}

static void add_other_ram(void)
{
	other_ram = add((struct tl_range){.kind = TL_RANGE_RAM,
					  .start = PAGE_OTHER_RAM * PAGE,
					  .host = hosted_memory(OTHER_RAM_OFFSET),
					  .release = other_ram_released});
	other_ram_is_out = false;
}

static void add_memory(void)
{
	add((struct tl_range){.kind = TL_RANGE_RAM, .size = GUEST_RAM_BYTES, .host = hosted_memory(RAM_OFFSET)});
	add((struct tl_range){.kind = TL_RANGE_ROM, .start = PAGE_ROM * PAGE, .host = hosted_memory(READ_ONLY_OFFSET)});
	add((struct tl_range){.kind = TL_RANGE_ROM,
			      .start = PAGE_ROM_DEVICE * PAGE,
			      .host = hosted_memory(READ_ONLY_OFFSET + PAGE),
			      .access = device});
	add((struct tl_range){.kind = TL_RANGE_EXECUTE_ONLY,
			      .start = PAGE_EXECUTE_ONLY * PAGE,
			      .host = hosted_memory(READ_ONLY_OFFSET + 2 * PAGE),
			      .access = device});
	add_other_ram();
}

static void add_devices(void)
{
	static struct tl_mmio_options sizes = {.sizes = 4}, ring, embedder_ring;
	const uint64_t at = PAGE_PARTS * PAGE;

	ring.ring = tl_ring_create(1, RING_ENTRIES);
	embedder_ring.ring = tl_ring_create(1, RING_ENTRIES);
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = PAGE_DEVICE * PAGE, .access = device});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = at, .size = 3, .access = device});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = at + 3, .size = 10});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = at + 16, .size = 1, .access = device});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = PAGE_SIZES * PAGE, .access = device, .options = &sizes});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = PAGE_EMBEDDER * PAGE});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = PAGE_RING * PAGE, .access = device, .options = &ring});
	add((struct tl_range){.kind = TL_RANGE_MMIO, .start = PAGE_EMBEDDER_RING * PAGE, .options = &embedder_ring});
	wanderer = add((struct tl_range){.kind = TL_RANGE_MMIO, .start = PAGE_WANDERER * PAGE, .access = device});
}

static void add_doorbells(void)
{
	static const struct tl_doorbell_match matches[] = {{0, 1, 1, 0}, {8, 0x12345678, ~0u, 4}};
	static const struct tl_doorbell count = {.signal = TL_SIGNAL_COUNT, .counts = counts};
	static const struct tl_doorbell call = {.signal = TL_SIGNAL_CALL, .call = rung};
	static const struct tl_doorbell decoded = {
		.signal = TL_SIGNAL_COUNT, .counts = counts, .matches = matches, .nr_matches = 2, .shadow = shadow};

	add((struct tl_range){.kind = TL_RANGE_DOORBELL, .start = PAGE_BELL_COUNT * PAGE, .doorbell = &count});
	add((struct tl_range){.kind = TL_RANGE_DOORBELL, .start = PAGE_BELL_CALL * PAGE, .doorbell = &call});
	add((struct tl_range){
		.kind = TL_RANGE_DOORBELL, .start = PAGE_BELL_DECODED * PAGE, .access = device, .doorbell = &decoded});
}

static void make_guest(void)
{
	static uint8_t copy[GUEST_RAM_BYTES] __attribute__((aligned(8)));
	enum tl_status status;

	hosted_start();
	ASAN_POISON_MEMORY_REGION(hosted_memory(0), ALL_BYTES);
	ASAN_UNPOISON_MEMORY_REGION(hosted_memory(RAM_OFFSET), GUEST_RAM_BYTES);
	ASAN_UNPOISON_MEMORY_REGION(hosted_memory(READ_ONLY_OFFSET), READ_ONLY_PAGES * PAGE);
	ASAN_UNPOISON_MEMORY_REGION(hosted_memory(OTHER_RAM_OFFSET), PAGE);
	for (unsigned i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++)
		read_only[i] = i & 1 ? READ_ONLY_DESCRIPTOR : READ_ONLY_ENTRY;
	memcpy(hosted_memory(READ_ONLY_OFFSET), read_only, sizeof(read_only));
	hostile.memory = hosted_memory(RAM_OFFSET);
	hostile.shadow = copy;
	hostile.size = GUEST_RAM_BYTES;
	mmu_cpu.execute_only = true;
	guest.vm = tl_vm_create(NULL, &status);
	fuzz_require(guest.vm);
	add_memory();
	add_devices();
	add_doorbells();
	grace_reader_add(&guest.reader, guest.vm);
}

static void put_back(void)
{
	struct tl_coalesced left[RING_ENTRIES];
	const struct map_range *range = &guest_map_now()->ranges[wanderer];

	if (range->start / PAGE != PAGE_WANDERER)
		move_wanderer();
	if (other_ram_is_out) {
		ASAN_UNPOISON_MEMORY_REGION(hosted_memory(OTHER_RAM_OFFSET), PAGE);
		add_other_ram();
	}
	for (unsigned page = PAGE_RING; page <= PAGE_EMBEDDER_RING; page++)
		while (tl_ring_take(map_find(guest_map_now(), page * PAGE)->options->ring, left, RING_ENTRIES))
			;
	memset(hosted_memory(OTHER_RAM_OFFSET), 0, PAGE);
	memset(shadow, 0, sizeof(shadow));
}

void guest_begin(void)
{
	if (!guest.vm)
		make_guest();
	put_back();
	guest_tables_write(hostile.memory);
	guest.calls = guest.writes = guest.ring_calls = 0;
	guest.nr_steps = 0;
	guest.failed = guest.committed = false;
	grace_enter(&guest.reader, hooks->cpu_index());
}

void guest_attention(void)
{
	fuzz_require(map_complete_pending(&guest.reader));
	grace_announce(&guest.reader);
	guest.committed = false;
}

void guest_end(void)
{
	guest_attention();
	grace_leave(&guest.reader, hooks->cpu_index());
}

void guest_check_read_only(void)
{
	fuzz_require(memcmp(hosted_memory(READ_ONLY_OFFSET), read_only, sizeof(read_only)) == 0);
}
