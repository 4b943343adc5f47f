/* SPDX-License-Identifier: MIT */
/* Exits while they are traced: the same is done as otherwise, and each step of it is recorded, once, in its order. */
#include "tests/unit/vcpu_fixture.h"

#include "mmu/trace.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	EXITS = 1 << TL_TRACE_EXIT | 1 << TL_TRACE_ENTRY,
	CHECKS = 1 << TL_TRACE_CHECK_MMIO_SPTE | 1 << TL_TRACE_MARK_MMIO_SPTE | 1 << TL_TRACE_HANDLE_MMIO_PAGE_FAULT,
	ACCESSES = 1 << TL_TRACE_MMIO,
	RECORDS = 64,
	STORES = 6,
	INSN = 3,
};

static struct tl_trace_record records[RECORDS];

static const uint8_t store_eax[] = {0x89, 0x07}; /* mov [rdi], eax */
static const uint8_t load_ecx[] = {0x8b, 0x0f};  /* mov ecx, [rdi] */
static const uint8_t add_eax[] = {0x01, 0x07};   /* add [rdi], eax */
static const uint8_t rep_stosd[] = {0xf3, 0xab};
static const uint8_t store_imm[] = {0xc7, 0x07, 1, 2, 3, 4}; /* mov [rdi], 0x04030201 */

static void trace(uint32_t events)
{
	assert_int_equal(tl_trace_start(&(struct tl_trace_config){.events = events, .last = UINT64_MAX}), TL_OK);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
}

static void trace_off(void)
{
	tl_trace_stop();
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
}

static size_t taken(void)
{
	uint64_t lost;
	size_t count = tl_trace_read(0, records, RECORDS, &lost);

	assert_int_equal(lost, 0);
	return count;
}

static int start(void **context)
{
	vcpu_start(context);
	guest_vcpu->gpr[TL_RAX] = 0x1122334455667788;
	return 0;
}

static int stop(void **context)
{
	tl_trace_stop();
	tl_trace_release();
	return vcpu_stop(context);
}

/* The events, up to the first that is none. */
static void expect_events(const int *events)
{
	size_t count = taken(), i;

	for (i = 0; events[i] >= 0; i++) {
		assert_true(i < count);
		assert_int_equal(records[i].event, events[i]);
		assert_int_equal(records[i].vcpu, guest_vcpu->vpid);
	}
	assert_int_equal(count, i);
}

static void run(const uint8_t *code, size_t length, gva_t linear)
{
	put_code(CODE, code, length);
	guest_vcpu->gpr[TL_RDI] = linear;
	expect_served(CODE, linear, CODE + length);
}

static void first_access(void **context)
{
	static const int events[] = {TL_TRACE_EXIT, TL_TRACE_MARK_MMIO_SPTE, TL_TRACE_HANDLE_MMIO_PAGE_FAULT,
				     TL_TRACE_MMIO, TL_TRACE_ENTRY,          -1};

	(void)context;
	trace(EXITS | CHECKS | ACCESSES);
	run(store_eax, sizeof(store_eax), DEVICE_LINEAR + 8);
	expect_events(events);
	assert_int_equal(records[0].data, EXIT_REASON_EPT_VIOLATION);
	assert_int_equal(records[0].gpa, DEVICE_AT + 8);
	assert_int_equal(records[0].rip, CODE);
	assert_int_equal(records[2].data, walk_to(DEVICE_AT).entry);
	assert_int_equal(records[3].detail, TL_TRACE_WRITE);
	assert_int_equal(records[3].gpa, DEVICE_AT + 8);
	assert_int_equal(records[3].size, 4);
	assert_int_equal(records[3].data, 0x55667788);
	assert_int_equal(records[3].range, device_id);
	assert_int_equal(records[4].rip, CODE + sizeof(store_eax));
	assert_int_equal(device_log.count, 1);
}

static void fresh_and_stale_access(void **context)
{
	static const int fresh[] = {TL_TRACE_EXIT, TL_TRACE_CHECK_MMIO_SPTE, TL_TRACE_MMIO, TL_TRACE_ENTRY, -1};
	static const int stale[] = {TL_TRACE_EXIT,
				    TL_TRACE_CHECK_MMIO_SPTE,
				    TL_TRACE_MARK_MMIO_SPTE,
				    TL_TRACE_HANDLE_MMIO_PAGE_FAULT,
				    TL_TRACE_MMIO,
				    TL_TRACE_ENTRY,
				    -1};
	uint64_t before;

	(void)context;
	run(load_ecx, sizeof(load_ecx), DEVICE_LINEAR);
	trace(EXITS | CHECKS | ACCESSES);
	device_log.answer = 0xaabbccdd99887766;
	/* Twice: found by a walk, and at once. */
	for (unsigned i = 0; i < 2; i++) {
		before = guest_vcpu->reader.stats.fresh;
		run(load_ecx, sizeof(load_ecx), DEVICE_LINEAR);
		assert_int_equal(guest_vcpu->reader.stats.fresh, before + 1);
		assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x99887766);
		expect_events(fresh);
		assert_int_equal(records[0].data, EXIT_REASON_EPT_MISCONFIGURATION);
		assert_int_equal(records[1].detail, MMIO_EMULATE);
		assert_int_equal(records[1].range, device_id);
		assert_int_equal(records[1].data, walk_to(DEVICE_AT).entry);
		assert_int_equal(records[2].detail, TL_TRACE_READ);
		assert_int_equal(records[2].data, 0x99887766);
	}
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	before = guest_vcpu->reader.stats.stale;
	run(load_ecx, sizeof(load_ecx), DEVICE_LINEAR);
	assert_int_equal(guest_vcpu->reader.stats.stale, before + 1);
	expect_events(stale);
	assert_int_equal(records[1].detail, MMIO_INVALID);
}

/* What the engine does, piece by piece: also where it would go on by itself. */
static void access_in_the_general_way(void **context)
{
	(void)context;
	run(store_eax, sizeof(store_eax), DEVICE_LINEAR);
	trace(ACCESSES);
	device_log.answer = 0x10;
	run(add_eax, sizeof(add_eax), DEVICE_LINEAR);
	assert_int_equal(taken(), 2);
	assert_int_equal(records[0].detail, TL_TRACE_READ);
	assert_int_equal(records[0].data, 0x10);
	assert_int_equal(records[1].detail, TL_TRACE_WRITE);
	assert_int_equal(records[1].data, 0x55667798);
	guest_vcpu->gpr[TL_RCX] = 20;
	run(rep_stosd, sizeof(rep_stosd), DEVICE_LINEAR);
	assert_int_equal(taken(), 20);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(records[i].gpa, DEVICE_AT + 4 * i);
		assert_int_equal(records[i].data, 0x55667788);
	}
}

static void a_doorbell(void **context)
{
	(void)context;
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, sizeof(store_imm));
	run(store_imm, sizeof(store_imm), BELL_LINEAR);
	trace(ACCESSES);
	for (unsigned i = 0; i < 2; i++) {
		run(store_imm, sizeof(store_imm), BELL_LINEAR + 4);
		assert_int_equal(taken(), 1);
		assert_int_equal(records[0].detail, TL_TRACE_RING);
		assert_int_equal(records[0].gpa, BELL_AT + 4);
		assert_int_equal(records[0].range, bell_id);
	}
	/* By a length that no instruction has it is decoded, and so more is known of it. */
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 0);
	run(store_imm, sizeof(store_imm), BELL_LINEAR + 4);
	assert_int_equal(taken(), 1);
	assert_int_equal(records[0].detail, TL_TRACE_WRITE);
	assert_int_equal(records[0].data, 0x04030201);
	assert_int_equal(bell_counts[0].count, 4);
}

/* The embedder's: a read is recorded when it is left, and with its data when it is completed. */
static void the_embedders(void **context)
{
	static const struct tl_range range = {.kind = TL_RANGE_MMIO, .start = 0x300000, .size = 4096};
	gva_t linear = 110 * 4096;

	(void)context;
	grace_leave(&guest_vcpu->reader, 0);
	range_add(range);
	grace_enter(&guest_vcpu->reader, 0);
	guest_ptes[110] = range.start | 0x67;
	trace(ACCESSES);
	put_code(CODE, load_ecx, sizeof(load_ecx));
	guest_vcpu->gpr[TL_RDI] = linear;
	for (unsigned i = 0; i < 2; i++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(linear), VCPU_LEAVE);
		assert_int_equal(vcpu_left.reason, TL_EXIT_MMIO);
		assert_int_equal(taken(), 1);
		assert_int_equal(records[0].detail, TL_TRACE_UNSATISFIED);
		assert_int_equal(records[0].gpa, range.start);
		vcpu_trace_completed(guest_vcpu, 0xaaaaaaaa12345678);
		assert_int_equal(mmio_resume(guest_vcpu, 0xaaaaaaaa12345678), VCPU_RESUME);
		assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x12345678);
		assert_int_equal(taken(), 1);
		assert_int_equal(records[0].detail, TL_TRACE_READ);
		assert_int_equal(records[0].data, 0x12345678);
	}
}

static void put_stores(void)
{
	for (unsigned i = 0; i < STORES; i++) {
		const uint8_t insn[INSN] = {0x89, 0x47, (uint8_t)(4 * i)};

		put_code(CODE + INSN * i, insn, sizeof(insn));
	}
	guest_vcpu->gpr[TL_RDI] = DEVICE_LINEAR;
}

/* How many exits the run of stores takes. */
static unsigned exits_of_run(void)
{
	unsigned exits = 0;

	device_log.count = 0;
	set_field(VMCS_GUEST_RIP, CODE);
	for (; field(VMCS_GUEST_RIP) < CODE + INSN * STORES; exits++)
		assert_int_equal(exit_at(DEVICE_LINEAR + 4 * (field(VMCS_GUEST_RIP) - CODE) / INSN), VCPU_RESUME);
	return exits;
}

/* Every access has an exit of its own while exits are traced, and is clustered again when they are not. */
static void a_run(void **context)
{
	(void)context;
	put_stores();
	for (unsigned i = 0; i < 4; i++)
		exits_of_run();
	assert_int_equal(exits_of_run(), 1);
	trace(EXITS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(exits_of_run(), STORES);
	assert_int_equal(taken(), 2 * 3 * STORES);
	trace_off();
	for (unsigned i = 0; i < 4; i++)
		exits_of_run();
	assert_int_equal(exits_of_run(), 1);
	assert_int_equal(taken(), 0);
}

static void off_is_off(void **context)
{
	(void)context;
	trace(EXITS | CHECKS | ACCESSES);
	assert_int_equal(field(VMCS_HOST_RIP), (uintptr_t)vmx_exit_traced);
	trace(1 << TL_TRACE_COMMIT);
	assert_int_equal(field(VMCS_HOST_RIP), (uintptr_t)vmx_exit_entry);
	run(store_eax, sizeof(store_eax), DEVICE_LINEAR);
	assert_int_equal(taken(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_access), TEST(fresh_and_stale_access), TEST(access_in_the_general_way),
		TEST(a_doorbell),   TEST(the_embedders),          TEST(a_run),
		TEST(off_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
