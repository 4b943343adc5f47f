/* SPDX-License-Identifier: MIT */
/* Words of guest memory as another CPU sees them while an instruction is emulated: before or after, never a part. */
#include "mmio/dispatch.h"
#include "tests/unit/hosted.h"
#include "tests/unit/stepping.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { AT = 0x1040 };

static const uint64_t patterns[] = {0x1122334455667788, 0xffeeddccbbaa9988};

static struct vcpu_stats stats;
static volatile unsigned steps, torn;
static volatile bool changed;
static volatile uint64_t before, after;
static unsigned size;
static bool other_writes;

static uint64_t memory_now(void)
{
	uint64_t value = 0;

	memcpy(&value, hosted_memory(AT), size);
	return value;
}

/* After each instruction the other CPU looks, or writes the whole word once more. */
static void step(int signal)
{
	(void)signal;
	steps++;
	if (other_writes) {
		uint64_t next = steps & 1 ? after : before;

		memcpy(hosted_memory(AT), &next, size);
		return;
	}
	changed |= memory_now() == after;
	torn += memory_now() != before && memory_now() != after;
}

static uint64_t dispatch_stepped(bool write, uint64_t data)
{
	const struct mmio_environment env = {.map = map_now(), .vm = vm, .stats = &stats};
	const struct map_range *range = map_find(env.map, AT);
	enum mmio_progress progress;

	assert_int_equal(mmio_piece(env.map, range, AT, size), size);
	steps = torn = 0;
	changed = false;
	STEPPING_BEGIN();
	progress = mmio_dispatch(&env, range, AT, size, write, &data);
	STEPPING_END();
	assert_int_equal(progress, MMIO_DONE);
	assert_true(steps > 5);
	return data;
}

static void start_word(unsigned bytes)
{
	struct sigaction action = {.sa_handler = step};

	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	size = bytes;
	before = patterns[0] & (~0ull >> (64 - 8 * size));
	after = patterns[1] & (~0ull >> (64 - 8 * size));
	memcpy(hosted_memory(AT), patterns, size);
}

static void a_store_is_seen_whole(void **context)
{
	(void)context;
	other_writes = false;
	for (unsigned bytes = 1; bytes <= 8; bytes *= 2) {
		start_word(bytes);
		dispatch_stepped(true, patterns[1]);
		assert_true(changed);
		assert_int_equal(torn, 0);
		assert_int_equal(memory_now(), after);
	}
}

static void a_load_sees_whole_words(void **context)
{
	(void)context;
	other_writes = true;
	for (unsigned bytes = 1; bytes <= 8; bytes *= 2) {
		uint64_t data;

		start_word(bytes);
		data = dispatch_stepped(false, 0);
		assert_true(data == before || data == after);
	}
}

/* What is no word of the CPU's goes byte by byte, each once. */
static void other_sizes_are_complete(void **context)
{
	(void)context;
	other_writes = false;
	for (unsigned bytes = 1; bytes <= 8; bytes++) {
		start_word(bytes);
		memset(hosted_memory(AT), 0x5a, 16);
		memcpy(hosted_memory(AT), patterns, bytes);
		assert_int_equal(dispatch_stepped(false, 0), before);
		dispatch_stepped(true, patterns[1]);
		assert_int_equal(memory_now(), after);
		assert_int_equal(*hosted_memory(AT + bytes), 0x5a);
	}
}

static int start(void **context)
{
	vm_setup(context);
	range_add(ram_range(0, 0x2000));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_is_seen_whole),
		cmocka_unit_test(a_load_sees_whole_words),
		cmocka_unit_test(other_sizes_are_complete),
	};

	return cmocka_run_group_tests(tests, start, vm_teardown);
}
