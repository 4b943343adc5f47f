/* SPDX-License-Identifier: MIT */
/*
 * REP in one run against REP an element at a time: the batch of mmio/string_batch.c must make the same of memory,
 * devices and registers, end at the same fault, and ask no device twice. Segments begin and end anywhere.
 */
#include "mmio/decode.h"
#include "mmio/engine.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* RAM, then two devices of which the first ends within a page. */
enum { RAM_SIZE = 0x12000, FIRST_AT = RAM_SIZE, FIRST_SIZE = 0x1a34, SECOND_SIZE = 0x3000 - FIRST_SIZE };
enum { ALL_SIZE = FIRST_AT + FIRST_SIZE + SECOND_SIZE, CASES = 60000, MOST = 100000 };
enum { DATA = 0xc093, EXPAND_DOWN = 0x0004, CODE = 0xc09b, FLAG_DF = 1 << 10 };

struct outcome {
	enum mmio_progress progress;
	unsigned calls, again;
	struct mmio_cpu cpu;
	uint8_t memory[ALL_SIZE];
};

static struct grace_reader reader;
static struct vcpu_stats stats;
static uint8_t registers[ALL_SIZE - FIRST_AT];
static unsigned calls, fail_at, commit_at;
static unsigned long batches, ends[16];

static enum tl_status device(struct tl_mmio *access)
{
	uint8_t *at = registers + (access->gpa - FIRST_AT);

	if (++calls == fail_at)
		return TL_DEVICE_ERROR;
	if (calls == commit_at)
		range_add(mmio_range(0x900000, 0x1000));
	if (access->write)
		memcpy(at, &access->data, access->size);
	else
		memcpy(&access->data, at, access->size);
	return TL_OK;
}

static void run_to_the_end(const struct insn *insn, uint32_t limit, struct outcome *outcome)
{
	struct tl_mmio access;
	struct tl_exit_io port;
	struct mmio_environment env = {
		.map = map_now(), .vm = vm, .reader = &reader, .access = &access, .port = &port, .stats = &stats};
	struct mmio_operation op;

	calls = 0;
	outcome->again = 0;
	do {
		mmio_begin(&op, insn, MMIO_ANY_GPA, limit);
		outcome->progress = mmio_run(&op, &outcome->cpu, &env);
	} while (outcome->progress == MMIO_AGAIN && ++outcome->again < MOST);
	outcome->calls = calls;
	memcpy(outcome->memory, hosted_memory(0), RAM_SIZE);
	memcpy(outcome->memory + FIRST_AT, registers, sizeof(registers));
	ends[outcome->progress]++;
}

static void set_memory(const uint8_t memory[ALL_SIZE])
{
	memcpy(hosted_memory(0), memory, RAM_SIZE);
	memcpy(registers, memory + FIRST_AT, sizeof(registers));
}

static struct tl_segment random_segment(void)
{
	struct tl_segment segment = {.access = DATA, .limit = UINT32_MAX};

	if (random_below(2))
		segment.base = random_below(ALL_SIZE);
	if (random_below(2))
		segment.limit = (uint32_t)random_below(ALL_SIZE);
	if (random_below(8) == 0)
		segment.access |= EXPAND_DOWN;
	return segment;
}

/* Near an edge, or anywhere. */
static uint64_t random_offset(const struct tl_segment *segment)
{
	static const uint32_t edges[] = {0, 0x1000, RAM_SIZE, FIRST_AT + FIRST_SIZE, ALL_SIZE, 0x10000};
	uint64_t near = random_below(600) - 300;

	switch (random_below(4)) {
	case 0:
		return random_below(ALL_SIZE);
	case 1:
		return segment->limit + near;
	default:
		return edges[random_below(6)] - (random_below(2) ? segment->base : 0) + near;
	}
}

static void random_insn(unsigned code_bits, struct insn *insn)
{
	static const uint8_t opcodes[] = {0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xa6, 0xa7, 0xae, 0xaf};
	uint8_t bytes[15] = {0};
	unsigned at = 0;

	bytes[at++] = random_below(8) ? 0xf3 : 0xf2;
	if (random_below(3) == 0)
		bytes[at++] = 0x66;
	if (random_below(3) == 0)
		bytes[at++] = 0x67;
	if (code_bits == 64 && random_below(3) == 0)
		bytes[at++] = 0x48;
	bytes[at] = opcodes[random_below(random_below(8) ? 6 : 10)];
	assert_int_equal(insn_decode(bytes, sizeof(bytes), code_bits, insn), DECODE_OK);
}

static void random_cpu(struct mmio_cpu *cpu)
{
	static const uint8_t modes[] = {16, 32, 64};

	memset(cpu, 0, sizeof(*cpu));
	cpu->code_bits = modes[random_below(3)];
	cpu->paging.cr0 = 1;
	cpu->paging.maxphyaddr = 39;
	cpu->rflags = 2 | (random_below(2) ? FLAG_DF : 0);
	cpu->segment[TL_CS] = (struct tl_segment){.access = CODE, .limit = UINT32_MAX};
	cpu->segment[TL_DS] = random_segment();
	cpu->segment[TL_ES] = random_segment();
	cpu->gpr[TL_RAX] = random_next();
	cpu->gpr[TL_RSI] = random_offset(&cpu->segment[TL_DS]);
	cpu->gpr[TL_RDI] = random_offset(&cpu->segment[TL_ES]);
	cpu->gpr[TL_RCX] = random_below(random_below(4) ? 40 : 700);
}

static void compare(const struct outcome *one, const struct outcome *rep)
{
	assert_int_equal(one->progress, rep->progress);
	assert_int_equal(one->calls, rep->calls);
	assert_int_equal(one->cpu.rip, rep->cpu.rip);
	assert_int_equal(one->cpu.rflags, rep->cpu.rflags);
	assert_memory_equal(one->cpu.gpr, rep->cpu.gpr, sizeof(one->cpu.gpr));
	assert_memory_equal(one->memory, rep->memory, ALL_SIZE);
	batches += rep->again < one->again;
}

static void is_what_single_elements_are(void **context)
{
	static struct outcome one, rep;
	static uint8_t memory[ALL_SIZE];

	(void)context;
	random_seed(77);
	for (unsigned i = 0; i < ALL_SIZE; i++)
		memory[i] = (uint8_t)random_next();
	for (unsigned i = 0; i < CASES; i++) {
		struct insn insn;

		random_cpu(&one.cpu);
		random_insn(one.cpu.code_bits, &insn);
		fail_at = random_below(16) ? 0 : 1 + (unsigned)random_below(60);
		rep.cpu = one.cpu;
		set_memory(memory);
		run_to_the_end(&insn, 1, &one);
		set_memory(memory);
		run_to_the_end(&insn, 1 + (uint32_t)random_below(2000), &rep);
		compare(&one, &rep);
	}
	fail_at = 0;
	print_message("%lu ran as batches; %lu done, %lu faults, %lu device errors\n", batches, ends[MMIO_DONE],
		      ends[MMIO_FAULT], ends[MMIO_DEVICE_ERROR]);
	assert_true(batches > CASES / 4 && ends[MMIO_FAULT] > 2000 && ends[MMIO_DEVICE_ERROR] > 200);
}

/* A callback that changes the map: the element is completed, and the vCPU looks at its rounds before the next. */
static void ends_when_a_callback_commits(void **context)
{
	static const uint8_t rep_stosb[15] = {0xf3, 0xaa};
	struct tl_exit_io port;
	struct tl_mmio access;
	struct mmio_operation op;
	struct mmio_cpu cpu;
	struct insn insn;

	(void)context;
	random_cpu(&cpu);
	cpu.code_bits = 32;
	cpu.rflags = 2;
	cpu.segment[TL_ES] = (struct tl_segment){.access = DATA, .limit = UINT32_MAX};
	cpu.gpr[TL_RDI] = FIRST_AT;
	cpu.gpr[TL_RCX] = 100;
	assert_int_equal(insn_decode(rep_stosb, sizeof(rep_stosb), 32, &insn), DECODE_OK);
	grace_leave(&reader, 0);
	grace_enter(&reader, 0);
	calls = 0;
	commit_at = 7;
	mmio_begin(&op, &insn, FIRST_AT, 1000);
	assert_int_equal(mmio_run(&op, &cpu,
				  &(struct mmio_environment){.map = map_now(),
							     .vm = vm,
							     .reader = &reader,
							     .access = &access,
							     .port = &port,
							     .stats = &stats}),
			 MMIO_AGAIN);
	commit_at = 0;
	assert_int_equal(calls, 7);
	assert_int_equal(cpu.gpr[TL_RCX], 93);
	assert_int_equal(cpu.gpr[TL_RDI], FIRST_AT + 7);
}

static int start(void **context)
{
	struct tl_range first = mmio_range(FIRST_AT, FIRST_SIZE);
	struct tl_range second = mmio_range(FIRST_AT + FIRST_SIZE, SECOND_SIZE);

	(void)context;
	vm_start(NULL);
	first.access = second.access = device;
	range_add(ram_range(0, RAM_SIZE));
	range_add(first);
	range_add(second);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	return 0;
}

static int stop(void **context)
{
	(void)context;
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
	vm_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_what_single_elements_are),
		cmocka_unit_test(ends_when_a_callback_commits),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
