/* SPDX-License-Identifier: MIT */
/* The fields of a VMCS that a vCPU's life does not change, and those of the CPU that it runs on. */
#include "mmu/ept_table.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/guest_msr.h"
#include "vmx/mitigation.h"
#include "vmx/msr.h"

/* Shared by all vCPUs; all ones, since every port and nearly every MSR is served by software. */
static uint8_t *io_bitmaps, *msr_bitmap, *x2apic_bitmap;

/* An MSR bitmap is four of 1 KiB: reads of low and high MSRs, then writes (SDM vol. 3, 25.6.9). */
static void clear_bit(uint8_t *bitmap, uint32_t msr, bool write)
{
	uint32_t high = msr >> 31, bit = msr & 0x1fff;

	bitmap[high * 1024 + (write ? 2048 : 0) + bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

static void let_msr_pass(uint32_t msr)
{
	/* The CPU may have it, and the host's value in it. */
	if (msr == MSR_IA32_TSC_AUX && !vmx_controls.rdtscp)
		return;
	clear_bit(msr_bitmap, msr, false);
	clear_bit(msr_bitmap, msr, true);
}

static void let_msrs_pass(uint32_t first, uint32_t last)
{
	for (uint32_t msr = first; msr <= last; msr++)
		let_msr_pass(msr);
}

/* By numbers from 800h on: what is read without an exit is what has 32 bits, is in the page, and is no error to read.
 */
static bool x2apic_reads_pass(unsigned index)
{
	return index == 0x02 || index == 0x03 || index == 0x0D || index == 0x0F || (index >= 0x10 && index <= 0x28) ||
	       (index >= 0x32 && index <= 0x38) || index == 0x3E;
}

/* The TPR; with virtual-interrupt delivery EOI and SELF IPI, which have the CPU deliver what is next. */
void vmcs_fill_x2apic_bitmap(void)
{
	__builtin_memcpy(x2apic_bitmap, msr_bitmap, PAGE_SIZE);
	clear_bit(x2apic_bitmap, MSR_IA32_X2APIC_TPR, false);
	clear_bit(x2apic_bitmap, MSR_IA32_X2APIC_TPR, true);
	if (vmx_controls.virtual_interrupts) {
		clear_bit(x2apic_bitmap, MSR_IA32_X2APIC_EOI, true);
		clear_bit(x2apic_bitmap, MSR_IA32_X2APIC_SELF_IPI, true);
	}
	for (unsigned i = 0; i < 0x40 && vmx_controls.apic_registers; i++)
		if (x2apic_reads_pass(i))
			clear_bit(x2apic_bitmap, MSR_IA32_X2APIC_FIRST + i, false);
}

void vmcs_set_msr_bitmap(bool x2apic)
{
	if (vmx_controls.msr_bitmaps)
		vmcs_write(VMCS_MSR_BITMAPS, host_to_phys(x2apic ? x2apic_bitmap : msr_bitmap));
}

/* Called by the first CPU while the others wait for it. */
enum tl_status vmcs_bitmaps_create(void)
{
	if (io_bitmaps)
		return TL_OK;
	io_bitmaps = page_alloc(2);
	msr_bitmap = page_alloc(2);
	if (!io_bitmaps || !msr_bitmap) {
		page_free(io_bitmaps, 2);
		page_free(msr_bitmap, 2);
		io_bitmaps = msr_bitmap = NULL;
		return TL_NO_MEMORY;
	}
	x2apic_bitmap = msr_bitmap + PAGE_SIZE;
	__builtin_memset(io_bitmaps, 0xff, 2 * PAGE_SIZE);
	__builtin_memset(msr_bitmap, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < NR_GUEST_MSRS; i++)
		if (guest_msrs[i].passed)
			let_msrs_pass(guest_msrs[i].first, guest_msrs[i].last);
	vmcs_fill_x2apic_bitmap();
	return TL_OK;
}

uint64_t vm_eptp(const struct tl_vm *vm)
{
	/* Write-back tables, a walk of 4 (coded 3); accessed and dirty flags off: pml_follow() turns them on. */
	return host_to_phys((const void *)vm->root) | 6 | 3 << 3;
}

static void set_controls(const struct tl_vcpu *vcpu)
{
	const struct vmx_controls *c = &vmx_controls;

	/* The timer and its being saved come with a budget. */
	vmcs_write(VMCS_PIN_CONTROLS, c->pin & ~(uint64_t)PIN_PREEMPTION_TIMER);
	vmcs_write(VMCS_EXIT_CONTROLS, c->exit & ~(uint64_t)VM_EXIT_SAVE_PREEMPTION_TIMER);
	vmcs_write(VMCS_PROC_CONTROLS, c->proc);
	vmcs_write(VMCS_PROC2_CONTROLS, c->proc2);
	vmcs_write(VMCS_ENTRY_CONTROLS, c->entry);
	vmcs_write(VMCS_EXCEPTION_BITMAP, EXITING_EXCEPTIONS);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	if (c->io_bitmaps) {
		vmcs_write(VMCS_IO_BITMAP_A, host_to_phys(io_bitmaps));
		vmcs_write(VMCS_IO_BITMAP_B, host_to_phys(io_bitmaps + PAGE_SIZE));
	}
	vmcs_set_msr_bitmap(false);
	if (c->vpid)
		vmcs_write(VMCS_VPID, vcpu->vpid);
	/* None is a guest's: should the host have set one meanwhile, it is not saved there without an exit. */
	if (c->xsaves)
		vmcs_write(VMCS_XSS_EXITING_BITMAP, UINT64_MAX);
	vmcs_write(VMCS_EPT_POINTER, vcpu->eptp);
	vmcs_write(VMCS_TSC_OFFSET, vcpu->tsc_offset);
}

void vmcs_init(struct tl_vcpu *vcpu)
{
	set_controls(vcpu);
	vmcs_write(VMCS_LINK_POINTER, UINT64_MAX);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
	mtrr_init(&vcpu->mtrr);
	vcpu->msr_pat = 0x0007040600070406; /* SDM vol. 3, 12.12.4 */
	if (vmx_controls.pat)
		vmcs_write(VMCS_GUEST_PAT, vcpu->msr_pat);
	mitigations_set_msrs(vcpu);
	vmcs_write(VMCS_HOST_RIP, mitigations_exit_address(false));
}

/* A segment base from the descriptor, for TR: 16 bytes in 64-bit mode (SDM vol. 3, 8.2.3). */
static uint64_t tss_base(const struct table_register *gdtr, uint16_t selector)
{
	uint64_t low, high;

	__builtin_memcpy(&low, (const uint8_t *)(uintptr_t)gdtr->base + (selector & ~7u), 8);
	__builtin_memcpy(&high, (const uint8_t *)(uintptr_t)gdtr->base + (selector & ~7u) + 8, 8);
	return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
}

void vmcs_set_host_state(void)
{
	struct table_register gdtr = sgdt(), idtr = sidt();
	uint16_t rpl_and_ti = 7; /* selectors of the host state have neither (SDM vol. 3, 27.2.3) */

	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CR3, read_cr3());
	vmcs_write(VMCS_HOST_CR4, read_cr4());
	vmcs_write(VMCS_HOST_CS_SELECTOR, read_cs() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_SS_SELECTOR, read_ss() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_DS_SELECTOR, read_ds() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_ES_SELECTOR, read_es() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_FS_SELECTOR, read_fs() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_GS_SELECTOR, read_gs() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_TR_SELECTOR, read_tr() & ~rpl_and_ti);
	vmcs_write(VMCS_HOST_FS_BASE, rdmsr(MSR_IA32_FS_BASE));
	vmcs_write(VMCS_HOST_GS_BASE, rdmsr(MSR_IA32_GS_BASE));
	vmcs_write(VMCS_HOST_TR_BASE, tss_base(&gdtr, read_tr()));
	vmcs_write(VMCS_HOST_GDTR_BASE, gdtr.base);
	vmcs_write(VMCS_HOST_IDTR_BASE, idtr.base);
	vmcs_write(VMCS_HOST_SYSENTER_CS, rdmsr(MSR_IA32_SYSENTER_CS));
	vmcs_write(VMCS_HOST_SYSENTER_ESP, rdmsr(MSR_IA32_SYSENTER_ESP));
	vmcs_write(VMCS_HOST_SYSENTER_EIP, rdmsr(MSR_IA32_SYSENTER_EIP));
	vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_IA32_EFER));
	if (vmx_controls.pat)
		vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_IA32_PAT));
}
