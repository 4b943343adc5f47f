/* SPDX-License-Identifier: MIT */
/* An access that does not go through at once: a device fails, or the embedder has a part of it to complete. */
#include "mmio/emulate.h"
#include "mmio/operation.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

/* Three devices of 3, 2 and 3 bytes side by side. */
enum { AT = 0x10000, NR_PARTS = 3 };
static const unsigned bounds[NR_PARTS + 1] = {0, 3, 5, 8};
static tl_range_id ids[NR_PARTS];

static struct tl_vm *vm;
static unsigned calls, fail_at;
static uint64_t stored[NR_PARTS];

static const struct insn load_8 = {
	.op = INSN_LOAD,
	.access = INSN_READ,
	.memory_size = 8,
	.register_size = 8,
	.base = INSN_NO_REGISTER,
	.index = INSN_NO_REGISTER,
};
static const struct insn store_8 = {
	.op = INSN_STORE,
	.access = INSN_WRITE,
	.memory_size = 8,
	.register_size = 8,
	.base = INSN_NO_REGISTER,
	.index = INSN_NO_REGISTER,
};

static enum tl_status device(struct tl_mmio *access)
{
	if (++calls == fail_at)
		return TL_DEVICE_ERROR;
	if (access->write)
		stored[(uintptr_t)access->context] = access->data;
	else
		access->data = 0x1111111111111111 * (1 + (uintptr_t)access->context);
	return TL_OK;
}

static void commit(struct tl_edit *edit)
{
	assert_int_equal(tl_map_commit(edit), TL_OK);
}

/* `embedder` is the part without a callback; NR_PARTS: none. */
static void lay_out(unsigned embedder)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	for (unsigned i = 0; i < NR_PARTS; i++) {
		struct tl_range range = {
			.kind = TL_RANGE_MMIO,
			.start = AT + bounds[i],
			.size = bounds[i + 1] - bounds[i],
			.context = (void *)(uintptr_t)i,
			.access = i == embedder ? NULL : device,
		};

		assert_int_equal(tl_map_add(edit, &range, &ids[i]), TL_OK);
	}
	commit(edit);
	calls = fail_at = 0;
}

static void clear(void)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_non_null(edit);
	for (unsigned i = 0; i < NR_PARTS; i++)
		assert_int_equal(tl_map_remove(edit, ids[i]), TL_OK);
	commit(edit);
}

static enum mmio_progress run(struct mmio_move *op, struct tl_mmio *access, struct tl_stats *stats)
{
	return mmio_operation_run(op, &(struct mmio_environment){.map = atomic_load(&vm->map),
								    .vcpu = NULL,
								    .access = access,
								    .stats = stats});
}

static void a_device_error_stops_it(void **context)
{
	uint64_t gpr[INSN_NR_GPRS] = {0};
	struct mmio_move op;
	struct tl_mmio access;
	struct tl_stats stats = {0};

	(void)context;
	lay_out(NR_PARTS);
	for (unsigned part = 0; part < NR_PARTS; part++) {
		calls = 0;
		fail_at = part + 1;
		mmio_operation_start(&op, &load_8, gpr, AT, 8, 0);
		assert_int_equal(run(&op, &access, &stats), MMIO_DEVICE_ERROR);
		assert_int_equal(calls, part + 1);
		assert_int_equal(access.gpa, AT + bounds[part]);
	}
	clear();
}

static void a_load_waits_for_the_embedder(void **context)
{
	(void)context;
	for (unsigned part = 0; part < NR_PARTS; part++) {
		uint64_t gpr[INSN_NR_GPRS] = {0};
		uint64_t wanted = 0x3333332222111111;
		struct mmio_move op;
		struct tl_mmio access;
		struct tl_stats stats = {0};

		lay_out(part);
		mmio_operation_start(&op, &load_8, gpr, AT, 8, 0);
		/* Nothing is completed yet. */
		mmio_operation_complete(&op, ~0ull);
		assert_int_equal(run(&op, &access, &stats), MMIO_EMBEDDER);
		assert_int_equal(calls, part);
		assert_int_equal(access.gpa, AT + bounds[part]);
		assert_int_equal(access.offset, 0);
		assert_int_equal(access.size, bounds[part + 1] - bounds[part]);
		assert_false(access.write);
		/* Bits above the size do not count, nor does completing twice. */
		mmio_operation_complete(&op, 0xaaaaaaaaaaaaaaaa);
		mmio_operation_complete(&op, ~0ull);
		assert_int_equal(run(&op, &access, &stats), MMIO_DONE);
		assert_int_equal(calls, NR_PARTS - 1);
		mmio_operation_finish(&op, gpr);
		for (unsigned i = bounds[part]; i < bounds[part + 1]; i++)
			wanted = (wanted & ~(0xffull << (8 * i))) | 0xaaull << (8 * i);
		assert_int_equal(gpr[TL_RAX], wanted);
		clear();
	}
}

static void a_store_waits_for_the_embedder(void **context)
{
	uint64_t gpr[INSN_NR_GPRS] = {0x8877665544332211};
	struct mmio_move op;
	struct tl_mmio access;
	struct tl_stats stats = {0};

	(void)context;
	lay_out(1);
	mmio_operation_start(&op, &store_8, gpr, AT, 8, 0);
	assert_int_equal(run(&op, &access, &stats), MMIO_EMBEDDER);
	assert_true(access.write);
	assert_int_equal(access.data, 0x5544);
	assert_int_equal(stored[0], 0x332211);
	mmio_operation_complete(&op, ~0ull);
	assert_int_equal(run(&op, &access, &stats), MMIO_DONE);
	assert_int_equal(stored[2], 0x887766);
	mmio_operation_finish(&op, gpr);
	assert_int_equal(gpr[TL_RAX], 0x8877665544332211);
	clear();
}

/* The embedder gets its part, the map changes, what is left goes by the new map. */
static void goes_on_with_a_new_map(void **context)
{
	uint64_t gpr[INSN_NR_GPRS] = {0};
	struct mmio_move op, moved;
	struct tl_mmio access;
	struct tl_stats stats = {0};

	(void)context;
	lay_out(1);
	mmio_operation_start(&op, &load_8, gpr, AT, 8, 0);
	assert_int_equal(run(&op, &access, &stats), MMIO_EMBEDDER);
	clear();
	/* Values only: it may be anywhere else by now. */
	moved = op;
	memset(&op, 0xa5, sizeof(op));
	mmio_operation_complete(&moved, 0x5544);
	assert_int_equal(run(&moved, &access, &stats), MMIO_DONE);
	mmio_operation_finish(&moved, gpr);
	assert_int_equal(gpr[TL_RAX], 0xffffff5544111111);
	assert_int_equal(calls, 1);
	assert_int_equal(stats.hole_reads, 1);
}

static int start(void **context)
{
	enum tl_status status;

	(void)context;
	hosted_start();
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
		cmocka_unit_test(a_device_error_stops_it),
		cmocka_unit_test(a_load_waits_for_the_embedder),
		cmocka_unit_test(a_store_waits_for_the_embedder),
		cmocka_unit_test(goes_on_with_a_new_map),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
