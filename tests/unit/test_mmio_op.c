/* SPDX-License-Identifier: MIT */
/*
 * One instruction's access against a model that knows each byte of a few pages: RAM, ROM, devices that begin and end at
 * any byte, with and without a callback, holes.
 */
#include "mmio/emulate.h"
#include "mmio/operation.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { PAGES = 8, SPACE = PAGES * 4096, FIRST_PAGE = 16, MAX_RANGES = 40, ROUNDS = 400, ACCESSES = 400, NEAR = 64 };
#define SPACE_AT ((uint64_t)FIRST_PAGE * 4096)

/* The model: what owns each byte (an index into owners[]), and what it should hold. */
struct owner {
	enum tl_range_kind kind;
	bool hole, callback;
	uint64_t start;
};

static struct owner owners[MAX_RANGES];
static unsigned nr_owners;
static uint8_t owner_of[SPACE], value_of[SPACE];
/* What it does hold: memory behind RAM and ROM, and the devices' as well. 0xff in holes. */
static uint8_t *memory;

/* What the devices saw. */
static struct {
	unsigned calls;
	unsigned long total, of_embedder, split, crossing;
} seen;

static struct tl_vm *vm;

static uint64_t little_endian(const uint8_t *bytes, unsigned size)
{
	uint64_t data = 0;

	for (unsigned i = 0; i < size; i++)
		data |= (uint64_t)bytes[i] << (8 * i);
	return data;
}

/* Serves an access as a device that is so many bytes of memory; checks that it is what one range may see. */
static void serve(struct tl_mmio *access, bool callback)
{
	uint64_t at = access->gpa - SPACE_AT;
	const struct owner *owner = &owners[owner_of[at]];

	assert_in_range(access->size, 1, 8);
	assert_false(owner->hole);
	assert_int_equal(owner->kind, TL_RANGE_MMIO);
	assert_int_equal(owner->callback, callback);
	assert_ptr_equal(access->context, (void *)owner);
	assert_ptr_equal(access->vcpu, &seen);
	assert_int_equal(access->offset, access->gpa - owner->start);
	for (unsigned i = 0; i < access->size; i++)
		assert_int_equal(owner_of[at + i], owner_of[at]);
	if (access->write) {
		assert_int_equal(access->data & ~insn_mask[access->size], 0);
		for (unsigned i = 0; i < access->size; i++)
			memory[at + i] = (uint8_t)(access->data >> (8 * i));
	} else {
		assert_int_equal(access->data, 0);
		/* What is above the size must be ignored. */
		access->data = little_endian(memory + at, access->size);
		if (access->size < 8)
			access->data |= random_next() << (8 * access->size);
	}
}

static enum tl_status device(struct tl_mmio *access)
{
	seen.calls++;
	serve(access, true);
	return TL_OK;
}

static void add_owner(struct tl_edit *edit, enum tl_range_kind kind, uint64_t from, uint64_t to)
{
	unsigned number = nr_owners++;
	struct tl_range range = {
		.kind = kind,
		.start = SPACE_AT + from,
		.size = to - from,
		.context = &owners[number],
	};

	owners[number] = (struct owner){.kind = kind, .start = range.start, .callback = random_below(3) != 0};
	if (kind != TL_RANGE_MMIO)
		range.host = memory + from;
	else if (owners[number].callback)
		range.access = device;
	assert_int_equal(tl_map_add(edit, &range, NULL), TL_OK);
	memset(owner_of + from, (int)number, to - from);
}

/* Cuts a page into devices and holes of 1 to 24 bytes at its ends, where the accesses go, and one in the middle. */
static void cut_page(struct tl_edit *edit, unsigned page)
{
	uint64_t at = page * 4096ull, end = at + 4096;

	while (at < end && nr_owners < MAX_RANGES - 1) {
		uint64_t size = 1 + random_below(24), into = at % 4096;

		if (into >= 32 && into < 4000)
			size = 4072 - into;
		if (size > end - at)
			size = end - at;
		if (random_below(3))
			add_owner(edit, TL_RANGE_MMIO, at, at + size);
		at += size;
	}
}

/* Away with all ranges: owner 0 is the hole, which reads all ones. */
static struct tl_edit *clear_layout(void)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	for (tl_range_id id = MAP_FIRST_ID; id < atomic_load(&vm->map)->nr_slots; id++) {
		if (atomic_load(&vm->map)->ranges[id].kind != MAP_FREE)
			assert_int_equal(tl_map_remove(edit, id), TL_OK);
	}
	memset(owner_of, 0, sizeof(owner_of));
	owners[0] = (struct owner){.hole = true};
	nr_owners = 1;
	memset(memory, 0xff, SPACE);
	return edit;
}

static void lay_out(void)
{
	struct tl_edit *edit = clear_layout();

	for (unsigned page = 0; page < PAGES; page++) {
		switch (random_below(5)) {
		case 0:
			add_owner(edit, TL_RANGE_RAM, page * 4096ull, (page + 1) * 4096ull);
			break;
		case 1:
			add_owner(edit, TL_RANGE_ROM, page * 4096ull, (page + 1) * 4096ull);
			break;
		case 2:
			break;
		default:
			cut_page(edit, page);
		}
	}
	assert_int_equal(tl_map_commit(edit), TL_OK);
	for (unsigned i = 0; i < SPACE; i++)
		memory[i] = value_of[i] = owner_of[i] ? (uint8_t)random_next() : 0xff;
}

/* What the access of `size` bytes at `gpa`, on one page, must count; how many accesses devices must see. */
static unsigned model_access(uint64_t gpa, unsigned size, bool write, uint64_t data, struct tl_stats *stats)
{
	unsigned calls = 0;

	for (unsigned i = 0; i < size; i++) {
		uint64_t at = gpa + i - SPACE_AT;
		const struct owner *owner = &owners[owner_of[at]];
		bool begins = i == 0 || owner_of[at - 1] != owner_of[at];
		bool takes = !owner->hole && owner->kind != TL_RANGE_ROM;

		if (begins && owner->hole)
			*(write ? &stats->hole_writes : &stats->hole_reads) += 1;
		if (begins && write && !owner->hole && owner->kind == TL_RANGE_ROM)
			stats->rom_writes++;
		calls += begins && !owner->hole && owner->kind == TL_RANGE_MMIO;
		if (write && takes)
			value_of[at] = (uint8_t)(data >> (8 * i));
	}
	return calls;
}

static struct insn random_insn(void)
{
	static const uint8_t sizes[] = {1, 2, 4, 8};
	struct insn insn = {
		.op = (uint8_t)(INSN_LOAD + random_below(4)),
		.reg = (uint8_t)random_below(16),
		.memory_size = sizes[random_below(4)],
		.base = INSN_NO_REGISTER,
		.index = INSN_NO_REGISTER,
	};

	insn.register_size = insn.memory_size;
	insn.imm = random_next() & insn_mask[insn.memory_size];
	return insn;
}

static enum mmio_progress run_once(struct mmio_move *op, struct tl_mmio *access, struct tl_stats *stats)
{
	return mmio_operation_run(op, &(struct mmio_environment){.map = atomic_load(&vm->map),
								    .vcpu = (struct tl_vcpu *)&seen,
								    .access = access,
								    .stats = stats});
}

/* Runs the operation to its end, completing what the embedder is asked to. Returns the accesses of devices. */
static unsigned run_to_the_end(struct mmio_move *op, struct tl_stats *stats)
{
	unsigned of_embedder = 0;
	struct tl_mmio access;
	enum mmio_progress progress;

	seen.calls = 0;
	while ((progress = run_once(op, &access, stats)) == MMIO_EMBEDDER) {
		serve(&access, false);
		of_embedder++;
		mmio_operation_complete(op, access.data);
		/* Not twice. */
		mmio_operation_complete(op, random_next());
	}
	assert_int_equal(progress, MMIO_DONE);
	seen.of_embedder += of_embedder;
	return seen.calls + of_embedder;
}

static void assert_near(uint64_t gpa)
{
	uint64_t at = gpa - SPACE_AT, from = at < NEAR ? 0 : at - NEAR, to = at + NEAR < SPACE ? at + NEAR : SPACE;

	assert_memory_equal(memory + from, value_of + from, to - from);
}

static void check_access(void)
{
	struct insn insn = random_insn();
	struct mmio_move op;
	struct tl_stats stats = {0}, wanted = {0};
	uint64_t gpr[INSN_NR_GPRS], wanted_gpr[INSN_NR_GPRS], data = 0, gpa[2];
	unsigned size = insn.memory_size, first = size, calls;
	bool write = insn_is_write(&insn);

	for (unsigned i = 0; i < 16; i++)
		gpr[i] = random_next();
	gpr[INSN_NO_REGISTER] = 0;
	memcpy(wanted_gpr, gpr, sizeof(gpr));

	/* Near a page's start; near its end; across it, and then going on at any page. */
	gpa[0] = SPACE_AT + random_below(PAGES) * 4096;
	gpa[1] = SPACE_AT + random_below(PAGES) * 4096;
	if (size > 1 && random_below(2)) {
		first = 1 + (unsigned)random_below(size - 1);
		gpa[0] += 4096 - first;
	} else {
		gpa[0] += random_below(2) ? random_below(40) : 4096 - size - random_below(40);
	}
	if (write)
		data = insn_store_value(&insn, gpr);

	calls = model_access(gpa[0], first, write, data, &wanted);
	if (first < size)
		calls += model_access(gpa[1], size - first, write, data >> (8 * first), &wanted);
	if (!write) {
		data = little_endian(value_of + (gpa[0] - SPACE_AT), first);
		if (first < size)
			data |= little_endian(value_of + (gpa[1] - SPACE_AT), size - first) << (8 * first);
		insn_load_result(&insn, wanted_gpr, data);
	}

	mmio_operation_start(&op, &insn, gpr, gpa[0], first, gpa[1]);
	/* From here on the registers count no more. */
	if (write)
		memset(gpr, 0x5a, sizeof(gpr));
	assert_int_equal(run_to_the_end(&op, &stats), calls);
	if (write)
		memcpy(gpr, wanted_gpr, sizeof(gpr));
	mmio_operation_finish(&op, gpr);

	assert_memory_equal(gpr, wanted_gpr, sizeof(gpr));
	assert_memory_equal(&stats, &wanted, sizeof(stats));
	assert_near(gpa[0]);
	assert_near(gpa[1]);
	seen.total++;
	seen.crossing += first < size;
	seen.split += calls > 1;
}

static void splits_at_every_boundary(void **context)
{
	(void)context;
	for (unsigned i = 0; i < ROUNDS; i++) {
		lay_out();
		for (unsigned j = 0; j < ACCESSES; j++)
			check_access();
		assert_memory_equal(memory, value_of, SPACE);
	}
	print_message("%lu accesses, %lu over a page boundary, %lu by several devices, %lu parts by the embedder\n",
		      seen.total, seen.crossing, seen.split, seen.of_embedder);
	assert_true(seen.crossing > 1000 && seen.split > 1000 && seen.of_embedder > 1000);
}

static int start(void **context)
{
	enum tl_status status;

	(void)context;
	hosted_start();
	random_seed(3);
	memory = hosted_memory(0);
	vm = tl_vm_create(NULL, &status);
	return vm ? 0 : -1;
}

static int stop(void **context)
{
	(void)context;
	return tl_vm_destroy(vm) == TL_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits_at_every_boundary),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
