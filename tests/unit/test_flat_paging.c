/* SPDX-License-Identifier: MIT */
/* Without "unrestricted guest": what the VMCS holds of a guest in protected mode without paging, and on its ways out.
 */
#include "tests/unit/vcpu_fixture.h"

#include "tests/unit/guest_memory.h"
#include "vmx/capability.h"
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/flat_paging.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { CR3_EXITS = PROC_CR3_LOAD_EXITING | PROC_CR3_STORE_EXITING, TABLE_AT = 0x5000, PDPT_PAE_AT = 0x6000 };
enum { PROTECTED = CR0_PE | CR0_ET | CR0_NE, TO = 0, FROM = 1 << 4, CODE_32 = 0xc09b };

/* The fixture's vCPU has been created with unrestricted guest, in 64-bit code. */
static int start(void **state)
{
	vcpu_start(state);
	vmx_controls.unrestricted_guest = false;
	vmx_capability.msr.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	assert_int_equal(flat_paging_create(), TL_OK);
	assert_int_equal(flat_paging_add(guest_vcpu->vm), TL_OK);
	return 0;
}

static int stop(void **state)
{
	vmx_controls.unrestricted_guest = false;
	vmx_controls.proc = 0;
	vmx_capability.msr.cr0_fixed0 = 0;
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_vcpu_destroy(guest_vcpu), TL_OK);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	(void)state;
	return 0;
}

static void go_protected(uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	struct tl_state s;

	assert_int_equal(tl_vcpu_get(guest_vcpu, &s), TL_OK);
	s.cr0 = PROTECTED;
	s.cr3 = cr3;
	s.cr4 = cr4;
	s.efer = efer;
	s.segment[TL_CS].access = CODE_32;
	assert_int_equal(tl_vcpu_set(guest_vcpu, &s), TL_OK);
}

/* MOV to or from a control register, with RBX. */
static enum vcpu_action move(unsigned cr, unsigned direction)
{
	set_field(VMCS_EXIT_REASON, EXIT_REASON_CR_ACCESS);
	set_field(VMCS_EXIT_QUALIFICATION, cr | direction | TL_RBX << 8);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 3);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	return vcpu_exit(guest_vcpu);
}

static void write_cr(unsigned cr, uint64_t value)
{
	guest_vcpu->gpr[TL_RBX] = value;
	assert_int_equal(move(cr, TO), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
}

static uint64_t read_cr3_by_exit(void)
{
	guest_vcpu->gpr[TL_RBX] = 0;
	assert_int_equal(move(3, FROM), VCPU_RESUME);
	return guest_vcpu->gpr[TL_RBX];
}

static void expect_flat(uint64_t own_cr3)
{
	assert_int_equal(field(VMCS_GUEST_CR3), TL_FLAT_PAGING_AT);
	assert_int_equal(field(VMCS_GUEST_CR0) & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
	assert_int_equal(field(VMCS_CR0_READ_SHADOW) & CR0_PG, 0);
	assert_int_equal(field(VMCS_GUEST_CR4) & (CR4_PSE | CR4_PAE | CR4_SMEP), CR4_PSE);
	assert_int_equal(field(VMCS_GUEST_EFER) & (EFER_LME | EFER_LMA), 0);
	assert_int_equal(field(VMCS_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE_GUEST, 0);
	assert_int_equal(field(VMCS_PROC_CONTROLS) & CR3_EXITS, CR3_EXITS);
	assert_int_equal(read_cr3_by_exit(), own_cr3);
}

static void expect_own(uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	assert_int_equal(field(VMCS_GUEST_CR3), cr3);
	assert_int_equal(field(VMCS_GUEST_CR4) & (CR4_PSE | CR4_PAE | CR4_SMEP), cr4);
	assert_int_equal(field(VMCS_GUEST_EFER) & (EFER_LME | EFER_LMA), efer);
	assert_int_equal(field(VMCS_PROC_CONTROLS) & CR3_EXITS, 0);
}

/* Each 4 GiB address is its own; the CPU finds the directory by a fault on a ROM page. */
static void the_directory_is_one_to_one(void **state)
{
	uint32_t entries[1024], more;

	(void)state;
	assert_true(tl_mem_read(vm, TL_FLAT_PAGING_AT, entries, sizeof(entries)));
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(entries[i], i << 22 | P | W | U | A | D | 0x80);
	assert_false(tl_mem_write(vm, TL_FLAT_PAGING_AT, entries, 4));
	assert_false(tl_mem_read(vm, TL_FLAT_PAGING_AT + 4096, &more, 4));
	/* Once, however many vCPUs there are. */
	assert_int_equal(flat_paging_add(vm), TL_OK);
}

static void protected_mode_has_it(void **state)
{
	struct tl_state s;

	(void)state;
	go_protected(0x1000, CR4_SMEP, EFER_LME);
	expect_flat(0x1000);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &s), TL_OK);
	assert_int_equal(s.cr3, 0x1000);
	assert_int_equal(s.cr4, CR4_SMEP);
	assert_int_equal(s.efer, EFER_LME);
	assert_int_equal(s.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	/* Loads of CR3 go to the guest's own. */
	write_cr(3, 0x2000);
	expect_flat(0x2000);
}

static void to_32_bit_paging_and_back(void **state)
{
	(void)state;
	go_protected(0, 0, 0);
	write_cr(3, TABLE_AT);
	write_cr(4, CR4_PSE);
	write_cr(0, PROTECTED | CR0_PG);
	expect_own(TABLE_AT, CR4_PSE, 0);
	write_cr(0, PROTECTED);
	expect_flat(TABLE_AT);
	write_cr(4, 0);
	expect_flat(TABLE_AT);
	write_cr(0, PROTECTED | CR0_PG);
	expect_own(TABLE_AT, 0, 0);
}

/* The PDPTEs are read at the guest's CR3, which is not the one in the VMCS. */
static void to_pae_paging(void **state)
{
	uint64_t pdpte[4] = {0x7001, 0x8001, 0, 0x9001};

	(void)state;
	memcpy(guest_ram + PDPT_PAE_AT, pdpte, sizeof(pdpte));
	go_protected(PDPT_PAE_AT, CR4_PAE, 0);
	expect_flat(PDPT_PAE_AT);
	write_cr(0, PROTECTED | CR0_PG);
	expect_own(PDPT_PAE_AT, CR4_PAE, 0);
	assert_int_equal(field(VMCS_GUEST_PDPTE0), pdpte[0]);
	assert_int_equal(field(VMCS_GUEST_PDPTE3), pdpte[3]);
}

static void to_ia_32e_mode_and_back(void **state)
{
	(void)state;
	go_protected(0, CR4_PAE, EFER_LME);
	write_cr(3, TABLE_AT);
	write_cr(0, PROTECTED | CR0_PG);
	expect_own(TABLE_AT, CR4_PAE, EFER_LME | EFER_LMA);
	assert_true(field(VMCS_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE_GUEST);
	write_cr(0, PROTECTED);
	expect_flat(TABLE_AT);
	assert_int_equal(guest_vcpu->mode.efer & (EFER_LME | EFER_LMA), EFER_LME);
}

static void real_mode_is_refused(void **state)
{
	(void)state;
	go_protected(0, 0, 0);
	guest_vcpu->gpr[TL_RBX] = CR0_ET | CR0_NE;
	assert_int_equal(move(0, TO), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_UNSUPPORTED);
}

/* What the CPU fixes to 1 stays. */
static void fixed_controls_stay(void **state)
{
	(void)state;
	vmx_controls.proc = PROC_CR3_STORE_EXITING;
	go_protected(0, 0, 0);
	write_cr(0, PROTECTED | CR0_PG);
	assert_int_equal(field(VMCS_PROC_CONTROLS) & CR3_EXITS, PROC_CR3_STORE_EXITING);
}

/* With unrestricted guest nothing of all this happens. */
static void it_is_not_had_for_nothing(void **state)
{
	(void)state;
	vmx_controls.unrestricted_guest = true;
	go_protected(0x1000, CR4_SMEP, EFER_LME);
	assert_int_equal(field(VMCS_GUEST_CR3), 0x1000);
	assert_int_equal(field(VMCS_GUEST_CR0) & CR0_PG, 0);
	assert_int_equal(field(VMCS_GUEST_CR4) & CR4_SMEP, CR4_SMEP);
	assert_int_equal(field(VMCS_PROC_CONTROLS) & CR3_EXITS, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_directory_is_one_to_one), TEST(protected_mode_has_it),
		TEST(to_32_bit_paging_and_back),   TEST(to_pae_paging),
		TEST(to_ia_32e_mode_and_back),     TEST(real_mode_is_refused),
		TEST(fixed_controls_stay),         TEST(it_is_not_had_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
