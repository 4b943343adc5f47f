/* SPDX-License-Identifier: MIT */
/* All that depends on the width of physical addresses, for each that a CPU may have: 36 to 52 bits. */
#include "tests/unit/vcpu_fixture.h"

#include "tests/unit/guest_memory.h"
#include "vmx/capability.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NARROWEST = 36, WIDEST = 52, EPT_WIDTH = 48, PAGE = 4096, PDPT_PAE_AT = 0x6000 };

static unsigned width;

static void be_wide(unsigned bits)
{
	width = bits;
	vmx_capability.physical_bits = (uint8_t)bits;
	mmu_cpu.maxphyaddr = bits;
}

static int stop(void **state)
{
	be_wide(39);
	return vcpu_stop(state);
}

static struct cpuid identify(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return (struct cpuid){.eax = leaf == 0x80000008 ? 48u << 8 | width : 0x80000008};
}

static enum tl_status note(uint64_t start, uint64_t size)
{
	const struct tl_range range = mmio_range(start, size);
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status = tl_map_add(edit, &range, NULL);

	tl_map_discard(edit);
	return status;
}

/* Guest-physical addresses end where the CPU's do, or where a walk of 4 levels does. */
static void ranges_end_there(void **state)
{
	(void)state;
	/* So that a commit is completed before it returns. */
	grace_leave(&guest_vcpu->reader, 0);
	for (unsigned bits = NARROWEST; bits <= WIDEST; bits++) {
		uint64_t end = BIT(bits < EPT_WIDTH ? bits : EPT_WIDTH);
		tl_range_id last;

		be_wide(bits);
		assert_int_equal(note(end, PAGE), TL_TOO_HIGH);
		assert_int_equal(note(end - PAGE, 2 * PAGE), TL_TOO_HIGH);
		last = range_add(mmio_range(end - PAGE, PAGE));
		assert_int_equal(fault(end - PAGE, MMU_READ), MMU_SERVE);
		assert_int_equal(walk_to(end - PAGE).entry & EPT_RWX, EPT_WRITE | EPT_EXECUTE);
		assert_int_equal(range_remove(last), TL_OK);
	}
	grace_enter(&guest_vcpu->reader, 0);
}

/* An entry with an address bit that the CPU has not is misconfigured; one with the highest that it has is not. */
static void entries_have_reserved_bits(void **state)
{
	ept_slot_t *slot;

	(void)state;
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	slot = walk_to(0).slot;
	for (unsigned bits = NARROWEST; bits <= WIDEST; bits++) {
		be_wide(bits);
		for (unsigned bit = 32; bit < WIDEST; bit++) {
			ept_entry_t before = atomic_load(slot);

			atomic_store(slot, before | BIT(bit));
			assert_int_equal(walk_to(0).malformed, bit >= bits);
			atomic_store(slot, before);
		}
	}
}

/* 110b is misconfigured by itself: where there are no reserved bits, too. */
static void an_mmio_entry_needs_none(void **state)
{
	(void)state;
	for (unsigned bits = NARROWEST; bits <= WIDEST; bits++) {
		ept_entry_t entry = mmio_spte_make(MMIO_MAX_ID, 1);

		be_wide(bits);
		assert_int_equal(entry & EPT_RWX, EPT_WRITE | EPT_EXECUTE);
		/* What a CPU under L1TF would make of it: the frame by its tags' width, in the top 4 GiB of that. */
		for (unsigned tags = bits < 46 ? bits : 46; tags <= 46; tags++)
			assert_true((entry & EPT_ADDRESS & (BIT(tags) - 1)) >= BIT(tags) - BIT(32));
		for (unsigned tags = bits; tags <= 46; tags++) {
			assert_true(ept_l1tf_target(BIT(tags) - PAGE, BIT(tags), bits));
			assert_false(ept_l1tf_target(BIT(tags) - BIT(32) - PAGE, BIT(tags) - BIT(32), bits));
		}
		assert_false(ept_l1tf_target(BIT(bits - 1) - BIT(33), BIT(bits - 1) - BIT(32), bits));
	}
}

/* In the guest's own tables such a bit is reserved: #PF with that bit of the error code. */
static void guest_walks_have_reserved_bits(void **state)
{
	(void)state;
	for (unsigned bits = NARROWEST; bits <= WIDEST; bits++) {
		struct guest_paging paging;

		be_wide(bits);
		vcpu_paging(guest_vcpu, &paging);
		assert_int_equal(paging.maxphyaddr, bits);
		for (unsigned bit = 32; bit < WIDEST; bit++) {
			struct guest_walk walk;
			uint64_t before = guest_ptes[1];
			enum guest_walk_status status;

			guest_ptes[1] |= BIT(bit);
			status = guest_walk(map_now(), &paging, PAGE, GUEST_READ, &walk);
			assert_int_equal(status, bit < bits ? GUEST_WALK_OK : GUEST_WALK_FAULT);
			if (status == GUEST_WALK_FAULT)
				assert_int_equal(walk.error_code & 8, 8);
			else
				assert_int_equal(walk.gpa, PAGE | BIT(bit));
			guest_ptes[1] = before;
		}
	}
}

static bool turns_pae_paging_on(uint64_t pdpte)
{
	struct tl_state s;

	memcpy(guest_ram + PDPT_PAE_AT, &pdpte, sizeof(pdpte));
	assert_int_equal(tl_vcpu_get(guest_vcpu, &s), TL_OK);
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	s.cr3 = PDPT_PAE_AT;
	s.cr4 = CR4_PAE;
	s.efer = 0;
	s.segment[TL_CS].access = 0xc09b;
	s.delivery = (struct tl_delivery){0};
	assert_int_equal(tl_vcpu_set(guest_vcpu, &s), TL_OK);
	guest_vcpu->gpr[TL_RBX] = s.cr0 | CR0_PG;
	set_field(VMCS_EXIT_REASON, EXIT_REASON_CR_ACCESS);
	set_field(VMCS_EXIT_QUALIFICATION, TL_RBX << 8);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 3);
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	return !field(VMCS_ENTRY_INTERRUPTION_INFORMATION);
}

/* The PDPTEs that the CPU would load, and that are loaded here in its place. */
static void pdptes_have_reserved_bits(void **state)
{
	(void)state;
	memset(guest_ram + PDPT_PAE_AT, 0, 32);
	for (unsigned bits = NARROWEST; bits <= WIDEST; bits++) {
		be_wide(bits);
		assert_true(turns_pae_paging_on(0x7001 | BIT(bits - 1)));
		if (bits < WIDEST)
			assert_false(turns_pae_paging_on(0x7001 | BIT(bits)));
		assert_false(turns_pae_paging_on(0x7001 | BIT(52)));
	}
}

/* The guest is told the width that its tables are walked by. */
static void the_guest_is_told(void **state)
{
	(void)state;
	mock_cpu.on_cpuid = identify;
	for (unsigned bits = NARROWEST; bits <= WIDEST; bits++) {
		struct vmx_capability c;

		be_wide(bits);
		capability_read(&c);
		assert_int_equal(c.physical_bits, bits);
		guest_vcpu->gpr[TL_RAX] = 0x80000008;
		guest_vcpu->gpr[TL_RCX] = 0;
		set_field(VMCS_EXIT_REASON, EXIT_REASON_CPUID);
		set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
		assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
		assert_int_equal(guest_vcpu->gpr[TL_RAX] & 0xff, bits);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vcpu_start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ranges_end_there),          TEST(entries_have_reserved_bits),
		TEST(an_mmio_entry_needs_none),  TEST(guest_walks_have_reserved_bits),
		TEST(pdptes_have_reserved_bits), TEST(the_guest_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
