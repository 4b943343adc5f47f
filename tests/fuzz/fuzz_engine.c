/* SPDX-License-Identifier: MIT */
/*
 * Any instruction on any processor, in memory and on devices that are hostile: see guest.h and hostile.h. It has to
 * end, in bounds, within the guest's memory (all around it is poisoned), and as engine_check.c says.
 */
#include "mmio/fetch.h"
#include "mmio/ring.h"
#include "tests/fuzz/engine_check.h"
#include "tests/fuzz/engine_state.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

enum {
	MOST_RUNS = 4,         /* of a string instruction: each ends after its limit at the latest */
	MOST_LOADS = 1u << 14, /* of guest memory: a few levels of tables for each of some elements */
	DRAIN = 4,
};

static struct mmio_operation op;
static struct tl_mmio mmio_access;
static struct tl_exit_io port;

/* What is in the ring, which then is empty: or the instruction could not go on. */
static void drain(void)
{
	struct tl_coalesced writes[DRAIN];
	const struct map_range *range = map_find(guest_map_now(), mmio_access.gpa);
	size_t taken = tl_ring_take(range->options->ring, writes, DRAIN);

	fuzz_require(taken > 0);
	for (size_t i = 0; i < taken; i++)
		fuzz_require(writes[i].size >= 1 && writes[i].size <= 8 && writes[i].offset < PAGE_SIZE);
}

static enum mmio_progress run_once(struct mmio_cpu *cpu)
{
	const struct mmio_environment env = {.map = guest_map_now(),
					     .vm = guest.vm,
					     .reader = &guest.reader,
					     .access = &mmio_access,
					     .port = &port,
					     .stats = &guest.stats};
	enum mmio_progress progress;

	hostile_resume();
	progress = mmio_run(&op, cpu, &env);
	hostile_disarm();
	return progress;
}

/* The embedder's part. False: the instruction has ended. */
static bool complete(enum mmio_progress progress, uint32_t limit)
{
	switch (progress) {
	case MMIO_EMBEDDER:
		fuzz_require(mmio_access.size >= 1 && mmio_access.size <= 8 && op.pending == mmio_access.size);
		mmio_complete(&op, guest_answer(&mmio_access));
		return true;
	case MMIO_PORT:
		fuzz_require(port.size == 1 || port.size == 2 || port.size == 4);
		mmio_complete(&op, fuzz_hash(port.port));
		return true;
	case MMIO_DRAIN:
		drain();
		return true;
	case MMIO_AGAIN:
		fuzz_require(insn_unit(&op.insn) == UNIT_STRING);
		mmio_begin(&op, &op.insn, MMIO_ANY_GPA, limit);
		return true;
	default:
		return false;
	}
}

/* How many accesses an instruction may make: each byte that it reads or writes is one at most. */
static unsigned long most_accesses(unsigned runs, uint32_t limit)
{
	if (insn_unit(&op.insn) == UNIT_STRING)
		return 16ul * runs * limit;
	return 2ul * MMIO_MAX_TRANSFERS * MMIO_SPAN_BYTES;
}

static void run(struct engine_case *c, const struct insn *insn)
{
	unsigned long embedder = 0;
	enum mmio_progress progress;
	unsigned runs = 1;

	mmio_begin(&op, insn, c->exit_gpa, c->limit);
	engine_check_begin(&c->cpu);
	memcpy(hostile.shadow, hostile.memory, hostile.size);
	do {
		progress = run_once(&c->cpu);
		fuzz_require(progress <= MMIO_REFUSED);
		/* A guest that nobody disturbs must not be told to try again: it would do so for ever. */
		fuzz_require(progress != MMIO_RACED || hostile.changes);
		/* Devices' errors end the instruction, and nothing else ends it so. */
		fuzz_require(guest.failed == (progress == MMIO_DEVICE_ERROR));
		engine_check(&op, &c->cpu, progress);
		guest_attention();
		embedder += progress == MMIO_EMBEDDER;
		runs += progress == MMIO_AGAIN;
		fuzz_require(guest.calls - guest.ring_calls + embedder <= most_accesses(runs, c->limit));
		fuzz_require(hostile.loads < MOST_LOADS);
	} while (runs <= MOST_RUNS && complete(progress, c->limit));
}

/* Through the guest's tables, as a vCPU reads it. */
static bool fetch(const struct engine_case *c, struct insn *insn)
{
	const struct tl_segment *cs = &c->cpu.segment[TL_CS];
	gva_t linear = c->cpu.code_bits == 64 ? c->cpu.rip : (uint32_t)(cs->base + c->cpu.rip);
	struct insn again;
	struct fetch fetched;
	enum fetch_status status;

	hostile_resume();
	status = insn_fetch(guest_map_now(), &c->cpu.paging, linear, INSN_MAX_LENGTH, c->cpu.code_bits, &fetched, insn);
	hostile_disarm();
	fuzz_require(status <= FETCH_RETRY && fetched.nr_walks <= 2);
	fuzz_require(fetched.code.available <= INSN_MAX_LENGTH);
	fuzz_require(status != FETCH_RETRY || hostile.changes);
	if (status != FETCH_OK)
		return false;
	/* The instruction is that of the bytes that are kept to be shown, whatever changed meanwhile. */
	fuzz_require(insn_decode(fetched.code.bytes, fetched.code.available, c->cpu.code_bits, &again) == DECODE_OK);
	fuzz_require(memcmp(&again, insn, sizeof(again)) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	static struct engine_case c;
	struct insn insn;
	bool known;

	guest_begin();
	engine_case_read(&input, &c);
	hostile_arm();
	hostile_disarm();
	if (c.fetched)
		known = fetch(&c, &insn);
	else
		known = insn_decode(c.code, ENGINE_CODE_BYTES, c.cpu.code_bits, &insn) == DECODE_OK;
	if (known)
		run(&c, &insn);
	guest_end();
	return 0;
}
