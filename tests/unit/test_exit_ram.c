/* SPDX-License-Identifier: MIT */
/* The fault on RAM in one go: it maps what the general way maps, and leaves everything else to that. */
#include "mmu/mmu.h"
#include "mmu/trace.h"
#include "tests/unit/vcpu_fixture.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	READ = 0x181,
	WRITE = 0x182,
	FETCH = 0x184,
	NMI_UNBLOCKED = 1 << 12,
	FIRST = 0,
	PAGE_AT = 5 * 4096,
	ROM_AT = 70 * 4096
};

static enum vcpu_action violation(gpa_t gpa, uint64_t qualification)
{
	set_field(VMCS_EXIT_REASON, EXIT_REASON_EPT_VIOLATION);
	set_field(VMCS_GUEST_PHYSICAL_ADDRESS, gpa);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	return vcpu_exit_fast(guest_vcpu);
}

static enum vcpu_action violation_whole(gpa_t gpa, uint64_t qualification)
{
	enum vcpu_action action = violation(gpa, qualification);

	return action == VCPU_FULL ? vcpu_exit(guest_vcpu) : action;
}

/* The first fault makes the tables, and the vCPU remembers its range. */
static int start(void **context)
{
	vcpu_start(context);
	mmu_cpu.ept_level = 1;
	assert_int_equal(violation(FIRST, READ), VCPU_FULL);
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	return 0;
}

static int stop(void **context)
{
	mmu_cpu.ept_level = 3;
	return vcpu_stop(context);
}

static void ram_is_mapped_at_once(void **context)
{
	uint64_t exits = atomic_load(&guest_vcpu->exits_by_reason[EXIT_REASON_EPT_VIOLATION]);

	(void)context;
	assert_int_equal(violation(PAGE_AT + 123, READ), VCPU_RESUME);
	expect_leaf(PAGE_AT, 1, EPT_RWX, guest_ram + PAGE_AT);
	assert_int_equal(violation(PAGE_AT + PAGE_SIZE, WRITE), VCPU_RESUME);
	expect_leaf(PAGE_AT + PAGE_SIZE, 1, EPT_RWX, guest_ram + PAGE_AT + PAGE_SIZE);
	assert_int_equal(violation(PAGE_AT + 2 * PAGE_SIZE, FETCH), VCPU_RESUME);
	assert_int_equal(atomic_load(&guest_vcpu->exits_by_reason[EXIT_REASON_EPT_VIOLATION]), exits + 3);
	/* A new round is looked at before the entry. */
	grace_raise(vm);
	assert_int_equal(violation(PAGE_AT + 3 * PAGE_SIZE, READ), VCPU_RESUME);
	assert_int_equal(atomic_load(&guest_vcpu->reader.word), atomic_load(&vm->round));
}

/* All that is left to the general way, which must find everything as it was. */
static void the_rest_is_not_touched(void **context)
{
	static uint64_t words[1];
	uint64_t exits = atomic_load(&guest_vcpu->exits_by_reason[EXIT_REASON_EPT_VIOLATION]);
	const struct map_range *ram = map_find(map_now(), FIRST);
	struct tl_range rom = {.kind = TL_RANGE_ROM, .start = ROM_AT, .size = PAGE_SIZE, .host = hosted_memory(ROM_AT)};
	uint32_t id = ram->id;
	struct map few;

	(void)context;
	/* It is mapped. */
	assert_int_equal(violation(FIRST, WRITE), VCPU_FULL);
	/* Another range, none, one that there is not, an address that no table reaches. */
	assert_int_equal(violation(DEVICE_AT, READ), VCPU_FULL);
	assert_int_equal(violation((RAM_PAGE_LAST + 1) * PAGE_SIZE, READ), VCPU_FULL);
	assert_int_equal(violation(1ull << 48 | PAGE_AT, READ), VCPU_FULL);
	guest_vcpu->last_mapped = device_id;
	assert_int_equal(violation(DEVICE_AT, READ), VCPU_FULL);
	guest_vcpu->last_mapped = range_add(rom);
	assert_int_equal(violation(ROM_AT, READ), VCPU_FULL);
	guest_vcpu->last_mapped = id;
	/* A slot that this snapshot does not have, whatever stands there. */
	few = *map_now();
	few.nr_slots = id;
	assert_false(mmu_map_ram(vm, &few, PAGE_AT, false, id));
	/* An event was being delivered, or an IRET has unblocked NMIs. */
	set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | 33);
	assert_int_equal(violation(PAGE_AT, READ), VCPU_FULL);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	assert_int_equal(violation(PAGE_AT, READ | NMI_UNBLOCKED), VCPU_FULL);
	/* It is logged. */
	assert_int_equal(walk_to(PAGE_AT).entry, 0);
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_dirty_start(vm, id, words), TL_OK);
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(violation(PAGE_AT, WRITE), VCPU_FULL);
	assert_int_equal(walk_to(PAGE_AT).entry, 0);
	assert_int_equal(atomic_load(&guest_vcpu->exits_by_reason[EXIT_REASON_EPT_VIOLATION]), exits);
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	grace_enter(&guest_vcpu->reader, 0);
}

/* A record is made of each, while they are wanted. */
static void traced_ones_are_not(void **context)
{
	(void)context;
	atomic_store(&trace_events, BIT(TL_TRACE_HANDLE_MMIO_PAGE_FAULT));
	assert_int_equal(violation(PAGE_AT, READ), VCPU_FULL);
	atomic_store(&trace_events, 0);
	assert_int_equal(walk_to(PAGE_AT).entry, 0);
}

static void an_event_is_delivered_again(void **context)
{
	(void)context;
	set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | 33);
	assert_int_equal(violation_whole(PAGE_AT, READ), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | 33);
	expect_leaf(PAGE_AT, 1, EPT_RWX, guest_ram + PAGE_AT);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(violation_whole(PAGE_AT + PAGE_SIZE, READ | NMI_UNBLOCKED), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

/* What is remembered is of the last fault on memory, and no more than a guess. */
static void another_range_is_learned(void **context)
{
	tl_range_id other = range_add(ram_range(0x400000, 8 * PAGE_SIZE));
	uint32_t first = guest_vcpu->last_mapped;

	(void)context;
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	assert_int_equal(violation_whole(0x400000, READ), VCPU_RESUME);
	assert_int_equal(guest_vcpu->last_mapped, other);
	assert_int_equal(violation(0x401000, READ), VCPU_RESUME);
	expect_leaf(0x401000, 1, EPT_RWX, hosted_memory(0x401000));
	assert_int_equal(violation(PAGE_AT, READ), VCPU_FULL);
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	assert_int_equal(guest_vcpu->last_mapped, first);
}

/* At each level, whatever lies how: the entry is the one that the general way makes. */
static void both_ways_map_the_same(void **context)
{
	static const uint64_t hosts[] = {0, PAGE_SIZE, EPT_SPAN(2), EPT_SPAN(3)};
	static const uint64_t sizes[] = {3 * PAGE_SIZE, EPT_SPAN(2), EPT_SPAN(2) + PAGE_SIZE, 2 * EPT_SPAN(3)};
	unsigned mapped[EPT_LEVELS + 1] = {0};

	(void)context;
	random_seed(3);
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t start = 32 * EPT_SPAN(3) + random_below(2) * EPT_SPAN(2), size = sizes[random_below(4)];
		struct tl_range range = {.kind = TL_RANGE_RAM,
					 .start = start + random_below(2) * PAGE_SIZE,
					 .size = size,
					 .host = hosted_memory(hosts[random_below(4)])};
		enum mmu_access access = (enum mmu_access)random_below(3);
		const struct map_range *found;
		struct ept_walk walk;
		ept_entry_t entry;
		tl_range_id id;
		gpa_t gpa;

		mmu_cpu.ept_level = 1 + (unsigned)random_below(3);
		mmu_cpu.large_executable = random_below(2);
		id = range_add(range);
		gpa = range.start + random_below(size);
		/* Tables down to some level, by a fault beside it. */
		fault(range.start + random_below(size), MMU_READ);
		walk = walk_to(gpa);
		entry = walk.entry;
		if (mmu_map_ram(vm, map_now(), gpa, access == MMU_FETCH, id)) {
			assert_int_equal(entry, 0);
			entry = walk_to(gpa).entry;
			mapped[walk.level]++;
			atomic_store(walk.slot, 0);
			assert_int_equal(mmu_fault(vm, map_now(), gpa, access, &walk, &found), MMU_MAPPED);
			assert_int_equal(walk_to(gpa).entry, entry);
			assert_ptr_equal(walk_to(gpa).slot, walk.slot);
		} else {
			assert_int_equal(walk_to(gpa).entry, entry);
		}
		assert_int_equal(range_remove(id), TL_OK);
	}
	assert_true(mapped[1] > 20 && mapped[2] > 20 && mapped[3] > 20);
	mmu_cpu.large_executable = true;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_ways_map_the_same, vm_setup, vm_teardown),
		TEST(ram_is_mapped_at_once),
		TEST(the_rest_is_not_touched),
		TEST(traced_ones_are_not),
		TEST(an_event_is_delivered_again),
		TEST(another_range_is_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
