/* SPDX-License-Identifier: MIT */
/* The EPT's dirty flags and page-modification logging in a vCPU's VMCS, on a CPU that is an array. */
#include "mmu/dirty.h"
#include "mmu/ept_dirty.h"
#include "tests/unit/vcpu_fixture.h"
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include "vmx/pml.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	HOST_CPU = 1,
	ROM_AT = 0x400000,
	RAM_PAGES = RAM_PAGE_LAST + 1,
	EPTP_FLAGS = 1 << 6,
	NMI_UNBLOCKED = 1 << 12,
	LAST = 511,
	/* A read for a page walk, as it shows with flags on: 0 and 1, 7, but not 8. */
	WALK = 0x83,
};

static uint64_t log_words[RAM_PAGES / 64], fetched[RAM_PAGES / 64];
static tl_range_id ram_id;

/* The exit that a kick makes. */
static void kicked(unsigned cpu)
{
	unsigned here = hosted_cpu;

	hosted_cpu = cpu;
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	hosted_cpu = here;
}

/* The fixture's vCPU is made anew, as of a CPU that logs so. It runs on CPU 0, and the embedder on another. */
static void start_by(enum dirty_by by)
{
	enum tl_status status;

	vcpu_start(NULL);
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_vcpu_destroy(guest_vcpu), TL_OK);
	atomic_store(&vm->dirty_by, by);
	guest_vcpu = tl_vcpu_create(vm, &status);
	assert_non_null(guest_vcpu);
	guest_vcpu->exit = &vcpu_left;
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	ram_id = map_find(map_now(), 0)->id;
	hosted.on_kick = kicked;
	hosted_cpu = HOST_CPU;
}

static int start_pml(void **context)
{
	(void)context;
	start_by(DIRTY_BY_PML);
	return 0;
}

static int start_flags(void **context)
{
	(void)context;
	start_by(DIRTY_BY_FLAGS);
	return 0;
}

static int start_protection(void **context)
{
	(void)context;
	start_by(DIRTY_BY_PROTECTION);
	return 0;
}

static int stop(void **context)
{
	hosted_cpu = 0;
	hosted.on_kick = NULL;
	return vcpu_stop(context);
}

static void start_log(void)
{
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, ram_id, log_words), TL_OK);
}

/* An exit of the vCPU. */
static enum vcpu_action exit_with(uint32_t reason, gpa_t gpa, uint64_t qualification)
{
	enum vcpu_action action;

	hosted_cpu = 0;
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_GUEST_PHYSICAL_ADDRESS, gpa);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	assert_int_equal(vcpu_exit_fast(guest_vcpu), VCPU_FULL);
	action = vcpu_exit(guest_vcpu);
	hosted_cpu = HOST_CPU;
	return action;
}

/* What the CPU does, and the exits before it. */
static void guest_writes(gpa_t gpa)
{
	uint64_t index = field(VMCS_PML_INDEX);
	struct ept_walk walk = walk_to(gpa);

	if (!(walk.entry & EPT_WRITE)) {
		assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, gpa, 0x182), VCPU_RESUME);
		walk = walk_to(gpa);
	}
	assert_int_equal(walk.level, 1);
	if (walk.entry & EPT_DIRTY)
		return;
	atomic_store(walk.slot, walk.entry | EPT_DIRTY);
	assert_in_range(index, 0, LAST);
	guest_vcpu->pml[index] = gpa;
	set_field(VMCS_PML_INDEX, (index - 1) & 0xffff);
}

static void expect_on(bool flags, bool pml)
{
	assert_int_equal(field(VMCS_EPT_POINTER), vm_eptp(vm) | (flags ? EPTP_FLAGS : 0));
	assert_int_equal(field(VMCS_PROC2_CONTROLS) & PROC2_ENABLE_PML, pml ? PROC2_ENABLE_PML : 0);
}

static void are_on_while_there_is_a_log(void **context)
{
	(void)context;
	assert_non_null(guest_vcpu->pml);
	for (unsigned i = 0; i < 2; i++) {
		expect_on(false, false);
		start_log();
		expect_on(true, true);
		assert_int_equal(field(VMCS_PML_ADDRESS), host_to_phys(guest_vcpu->pml));
		assert_int_equal(field(VMCS_PML_INDEX), LAST);
		assert_int_equal(tl_dirty_stop(vm, ram_id), TL_OK);
	}
	expect_on(false, false);
	/* And gone with the range. */
	start_log();
	expect_on(true, true);
	assert_int_equal(range_remove(ram_id), TL_OK);
	expect_on(false, false);
}

static void flags_alone(void **context)
{
	(void)context;
	assert_null(guest_vcpu->pml);
	start_log();
	expect_on(true, false);
	/* No buffer is looked into. */
	set_field(VMCS_PML_INDEX, 5);
	assert_int_equal(tl_dirty_fetch(vm, ram_id, fetched, NULL), TL_OK);
	assert_int_equal(field(VMCS_PML_INDEX), 5);
	assert_int_equal(tl_dirty_stop(vm, ram_id), TL_OK);
	expect_on(false, false);
}

static void protection_needs_neither(void **context)
{
	(void)context;
	start_log();
	expect_on(false, false);
}

/* Two logs: what ends last turns them off. */
static void are_counted(void **context)
{
	tl_range_id other = range_add(ram_range(ROM_AT, PAGE_SIZE));
	uint64_t other_log = 0;

	(void)context;
	start_log();
	assert_int_equal(tl_dirty_start(vm, other, &other_log), TL_OK);
	assert_int_equal(tl_dirty_stop(vm, ram_id), TL_OK);
	expect_on(true, true);
	assert_int_equal(range_remove(other), TL_OK);
	expect_on(false, false);
}

static void a_fetch_takes_what_is_in_the_buffer(void **context)
{
	size_t count;

	(void)context;
	start_log();
	guest_writes(0x5000);
	guest_writes(0x6008);
	guest_writes(0x5010);
	assert_int_equal(field(VMCS_PML_INDEX), LAST - 2);
	assert_int_equal(tl_dirty_fetch(vm, ram_id, fetched, &count), TL_OK);
	assert_int_equal(count, 2);
	assert_int_equal(fetched[0], 3 << 5);
	assert_int_equal(field(VMCS_PML_INDEX), LAST);
	assert_int_equal(tl_dirty_fetch(vm, ram_id, fetched, &count), TL_OK);
	assert_int_equal(count, 0);
	/* The flag was taken: the CPU notes the page again. */
	guest_writes(0x5000);
	assert_int_equal(field(VMCS_PML_INDEX), LAST - 1);
	/* What the log has not been asked for is in it at its end. */
	assert_int_equal(tl_dirty_stop(vm, ram_id), TL_OK);
	assert_int_equal(log_words[0], 1 << 5);
}

static void a_full_buffer_is_emptied(void **context)
{
	(void)context;
	start_log();
	guest_writes(0x7000);
	for (unsigned i = 0; i <= LAST; i++)
		guest_vcpu->pml[i] = 0x7000;
	set_field(VMCS_PML_INDEX, 0xffff);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(exit_with(EXIT_REASON_PML_FULL, 0, NMI_UNBLOCKED), VCPU_RESUME);
	assert_int_equal(field(VMCS_PML_INDEX), LAST);
	assert_int_equal(log_words[0], 1 << 7);
	/* IRET had unblocked NMIs, and is executed again. */
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(exit_with(EXIT_REASON_PML_FULL, 0, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* Page tables in ROM: a walk stops the guest where it really writes, and with flags on it seems to. */
static void page_tables_in_rom(void **context)
{
	struct tl_range rom = ram_range(ROM_AT, PAGE_SIZE);
	size_t count;

	(void)context;
	rom.kind = TL_RANGE_ROM;
	range_add(rom);
	start_log();
	guest_writes(0x3000);
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, ROM_AT + 8, WALK), VCPU_RESUME);
	assert_int_equal(dirty_by(vm), DIRTY_BY_PROTECTION);
	/* At its next entry, that is. */
	hosted_cpu = 0;
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	hosted_cpu = HOST_CPU;
	expect_on(false, false);
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, ROM_AT + 8, 0x81), VCPU_RESUME);
	assert_true(walk_to(ROM_AT).entry & EPT_READ);
	/* What was written before is in the log, and what is written now. */
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, 0x4000, 0x182), VCPU_RESUME);
	assert_int_equal(tl_dirty_fetch(vm, ram_id, fetched, &count), TL_OK);
	assert_int_equal(fetched[0], 3 << 3);
	/* And a walk that writes after all. */
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, ROM_AT + 8, WALK), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_PAGE_TABLE);
}

/* Page tables where a device is: that stops the guest whether flags are on or not. */
static void page_tables_in_a_device(void **context)
{
	(void)context;
	start_log();
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, OTHER_AT, WALK), VCPU_LEAVE);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_PAGE_TABLE);
	assert_int_equal(dirty_by(vm), DIRTY_BY_PML);
}

static void without_memory_the_embedder_is_asked(void **context)
{
	struct tl_range rom = ram_range(ROM_AT, PAGE_SIZE);
	struct tl_edit *edit;

	(void)context;
	rom.kind = TL_RANGE_ROM;
	range_add(rom);
	start_log();
	edit = tl_map_edit(vm);
	hosted_fail_at(1);
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, ROM_AT, WALK), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_NO_MEMORY);
	tl_map_discard(edit);
	assert_int_equal(exit_with(EXIT_REASON_EPT_VIOLATION, ROM_AT, WALK), VCPU_RESUME);
}

#define BY(how, name) cmocka_unit_test_setup_teardown(name, start_##how, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY(pml, are_on_while_there_is_a_log),
		BY(flags, flags_alone),
		BY(protection, protection_needs_neither),
		BY(pml, are_counted),
		BY(pml, a_fetch_takes_what_is_in_the_buffer),
		BY(pml, a_full_buffer_is_emptied),
		BY(pml, page_tables_in_rom),
		BY(pml, page_tables_in_a_device),
		BY(pml, without_memory_the_embedder_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
