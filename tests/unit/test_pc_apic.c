/* SPDX-License-Identifier: MIT */
/*
 * Local APICs of a PC that the CPU serves: the page is the CPU's own only while it is that of every vCPU, and the mode
 * is the one that IA32_APIC_BASE says.
 */
#include "mmu/ept_table.h"
#include "mmu/map.h"
#include "mmu/mmu.h"
#include "mmu/vm.h"
#include "tests/unit/pc_guest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ELSEWHERE 0xd0000000ull
#define ON        (1ull << 11)
#define BSP       (1ull << 8)
#define X2APIC    (1ull << 10)

enum { NOTHING = -1 };
enum { ALL = TL_APIC_TPR | TL_APIC_ACCESSES | TL_APIC_MSRS | TL_APIC_INTERRUPTS | TL_APIC_REGISTERS | TL_APIC_POSTED };

/* What is there at each READY: the kinds of the ranges at both places, and the modes of both vCPUs. */
static const struct seen {
	int at_first, elsewhere;
	enum tl_apic_mode mode[2];
} wanted[] = {
	{TL_RANGE_APIC, NOTHING, {TL_APIC_XAPIC, TL_APIC_XAPIC}},
	/* The second one is elsewhere: for it the page would be memory. */
	{TL_RANGE_MMIO, TL_RANGE_MMIO, {TL_APIC_XAPIC, TL_APIC_XAPIC}},
	{TL_RANGE_APIC, NOTHING, {TL_APIC_XAPIC, TL_APIC_XAPIC}},
	{TL_RANGE_MMIO, NOTHING, {TL_APIC_XAPIC, TL_APIC_OFF}},
	{TL_RANGE_APIC, NOTHING, {TL_APIC_XAPIC, TL_APIC_XAPIC}},
	{TL_RANGE_MMIO, NOTHING, {TL_APIC_XAPIC, TL_APIC_X2APIC}},
	{NOTHING, NOTHING, {TL_APIC_X2APIC, TL_APIC_X2APIC}},
};

enum { STEPS = sizeof(wanted) / sizeof(wanted[0]) };

static int kind_at(struct pc *pc, uint64_t at)
{
	struct tl_range_info info;

	return tl_map_next(pc->vm, at, &info) && info.start == at ? (int)info.kind : NOTHING;
}

static unsigned nr_seen;

static void look(struct pc *pc, unsigned count)
{
	const struct seen *step = &wanted[count - 1];

	assert_in_range(count, 1, STEPS);
	nr_seen++;
	assert_int_equal(kind_at(pc, LOCAL_APIC_AT), pc_apic_features & TL_APIC_ACCESSES || step->at_first == NOTHING
							     ? step->at_first
							     : TL_RANGE_MMIO);
	assert_int_equal(kind_at(pc, ELSEWHERE), step->elsewhere);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pc_script[i].apic_mode, pc_apic_features ? step->mode[i] : TL_APIC_OFF);
		if (pc_apic_features && step->mode[i] == TL_APIC_XAPIC)
			assert_int_equal(pc_script[i].apic_at, pc->vcpu[i].apic.page);
	}
}

static void play(uint32_t features)
{
	static const struct pc_op first[] = {
		{OP_APIC_ON, 0, 0},       {OP_SEND, 1, SEND_STARTUP | 0x10},
		{OP_AWAIT, 0, STEPS - 1}, {OP_MSR, MSR_APIC_BASE, LOCAL_APIC_AT | ON | BSP | X2APIC},
		{OP_READY, 0, 0},         {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op second[] = {{OP_READY, 0, 0}, {OP_MSR, MSR_APIC_BASE, ELSEWHERE | ON},
					      {OP_READY, 0, 0}, {OP_MSR, MSR_APIC_BASE, LOCAL_APIC_AT | ON},
					      {OP_READY, 0, 0}, {OP_MSR, MSR_APIC_BASE, LOCAL_APIC_AT},
					      {OP_READY, 0, 0}, {OP_MSR, MSR_APIC_BASE, LOCAL_APIC_AT | ON},
					      {OP_READY, 0, 0}, {OP_MSR, MSR_APIC_BASE, LOCAL_APIC_AT | ON | X2APIC},
					      {OP_READY, 0, 0}, {OP_COMPUTE, 0, FOREVER}};
	struct guest_report report;

	pc_apic_features = features;
	pc_on_ready = look;
	pc_started[0x10] = second;
	nr_seen = 0;
	report = pc_play(&(struct pc_case){.vcpus = 2, .slice = 20000}, first);
	pc_passes(&report);
	assert_int_equal(nr_seen, STEPS);
	pc_apic_features = 0;
	pc_on_ready = NULL;
}

static void with_all_of_it(void **context)
{
	(void)context;
	play(ALL);
	/* Each has a page of its own, all have the same to be accessed by. */
	assert_ptr_not_equal(pc_script[0].apic->registers, pc_script[1].apic->registers);
	assert_ptr_not_equal(pc_script[0].apic->posted, pc_script[1].apic->posted);
	assert_int_equal((uintptr_t)pc_script[1].apic->posted % 64, 0);
}

static void with_the_tpr_alone(void **context)
{
	(void)context;
	play(TL_APIC_TPR | TL_APIC_MSRS);
	assert_null(pc_script[0].apic->posted);
}

static void with_nothing_of_it(void **context)
{
	(void)context;
	play(0);
	assert_null(pc_script[0].apic);
}

static bool is_mapped(struct pc *pc, uint64_t gpa)
{
	struct tl_ept_entry entries[TL_EPT_LEVELS];
	unsigned count = tl_ept_describe(pc->vm, gpa, entries);

	return count && entries[count - 1].kind == TL_EPT_LEAF;
}

static void map_ram(struct pc *pc, uint64_t gpa)
{
	/* acquire: pairs with its publication. */
	const struct map *map = atomic_load_explicit(&pc->vm->map, memory_order_acquire);

	struct ept_walk walk;
	const struct map_range *range;

	ept_walk(pc->vm, gpa, &walk);
	assert_int_equal(mmu_fault(pc->vm, map, gpa, MMU_WRITE, &walk, &range), MMU_MAPPED);
	assert_true(is_mapped(pc, gpa));
}

static unsigned nr_flushed;

/* The translations of a piece of memory go, and nothing else changes; an address without memory is no matter. */
static void flush(struct pc *pc, unsigned count)
{
	struct tl_range_info before, after;

	(void)count;
	assert_true(tl_map_next(pc->vm, PC_HIGH_RAM, &before));
	map_ram(pc, 0x5000);
	map_ram(pc, PC_HIGH_RAM + 0x5000);
	pc_flush_page(pc, LOCAL_APIC_AT);
	assert_true(is_mapped(pc, 0x5000));
	pc_flush_page(pc, PC_HIGH_RAM + 0x9123);
	assert_false(is_mapped(pc, PC_HIGH_RAM + 0x5000));
	assert_true(is_mapped(pc, 0x5000));
	pc_flush_page(pc, 0);
	assert_false(is_mapped(pc, 0x5000));
	assert_true(tl_map_next(pc->vm, PC_HIGH_RAM, &after));
	assert_int_equal(after.id, before.id);
	assert_int_equal(after.start, before.start);
	assert_int_equal(after.size, before.size);
	map_ram(pc, PC_HIGH_RAM + 0x5000);
	nr_flushed++;
}

static void a_page_that_is_flushed_is_translated_anew(void **context)
{
	static const struct pc_op ops[] = {{OP_READY, 0, 0}, {OP_OUT, PC_EXIT, 0}};
	struct guest_report report;

	(void)context;
	pc_on_ready = flush;
	nr_flushed = 0;
	report = pc_play(&(struct pc_case){.vcpus = 1, .slice = 20000}, ops);
	pc_passes(&report);
	pc_on_ready = NULL;
	assert_int_equal(nr_flushed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(with_all_of_it, pc_scripts_start),
		cmocka_unit_test_setup(with_the_tpr_alone, pc_scripts_start),
		cmocka_unit_test_setup(with_nothing_of_it, pc_scripts_start),
		cmocka_unit_test_setup(a_page_that_is_flushed_is_translated_anew, pc_scripts_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
