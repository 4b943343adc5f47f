/* SPDX-License-Identifier: MIT */
/*
 * CR0, CR4, EFER, CR8. The bits that decide how accesses are translated and checked belong to the host, so that
 * vcpu->mode is always right without a VMREAD; the guest reads its own values of them from the shadows.
 */
#include "vmx/capability.h"
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/flat_paging.h"

#define CR0_HOST_OWNED (CR0_PE | CR0_NE | CR0_ET | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR4_GUEST_OWNED                                                                                     \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | \
	 CR4_FSGSBASE | CR4_OSXSAVE)

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW }; /* SDM vol. 3, table 28-3 */

/* What the guest may set in CR4: what the CPU has, of what mmu/guest_walk.c and the world switch know about. */
static uint64_t cr4_allowed(void)
{
	uint64_t known = CR4_GUEST_OWNED | CR4_PSE | CR4_PAE | CR4_UMIP | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE;

	if (!vmx_capability.xsave)
		known &= ~(uint64_t)CR4_OSXSAVE;
	return vmx_capability.msr.cr4_fixed1 & known;
}

uint64_t cr_read_cr0(void)
{
	uint64_t owned = CR0_HOST_OWNED;

	return (vmcs_read(VMCS_GUEST_CR0) & ~owned) | (vmcs_read(VMCS_CR0_READ_SHADOW) & owned);
}

uint64_t cr_read_cr4(void)
{
	uint64_t owned = ~(uint64_t)CR4_GUEST_OWNED;

	return (vmcs_read(VMCS_GUEST_CR4) & ~owned) | (vmcs_read(VMCS_CR4_READ_SHADOW) & owned);
}

uint64_t cr_read_cr3(const struct tl_vcpu *vcpu)
{
	return vcpu->flat ? vcpu->flat_cr3 : vmcs_read(VMCS_GUEST_CR3);
}

void cr_put_cr3(struct tl_vcpu *vcpu, uint64_t cr3)
{
	if (vcpu->flat)
		vcpu->flat_cr3 = cr3;
	else
		vmcs_write(VMCS_GUEST_CR3, cr3);
}

/* Without unrestricted guest the CPU insists on protection and paging (SDM vol. 3, A.7). */
static uint64_t cr0_for_cpu(uint64_t cr0)
{
	uint64_t fixed0 = vmx_capability.msr.cr0_fixed0;

	if (vmx_controls.unrestricted_guest)
		fixed0 &= ~(uint64_t)(CR0_PE | CR0_PG);
	/* A guest that turns its caches off must not turn off the memory type that EPT gives. */
	return ((cr0 & ~(uint64_t)(CR0_CD | CR0_NW)) | fixed0) & vmx_capability.msr.cr0_fixed1;
}

static void put_cr0(struct tl_vcpu *vcpu, uint64_t cr0)
{
	vmcs_write(VMCS_GUEST_CR0, cr0_for_cpu(cr0));
	vmcs_write(VMCS_CR0_READ_SHADOW, cr0);
	vcpu->mode.cr0 = cr0;
}

static void put_cr4(struct tl_vcpu *vcpu, uint64_t cr4)
{
	uint64_t for_cpu = flat_paging_is_needed(vcpu) ? flat_paging_cr4(cr4) : cr4;

	vmcs_write(VMCS_GUEST_CR4, for_cpu | vmx_capability.msr.cr4_fixed0);
	vmcs_write(VMCS_CR4_READ_SHADOW, cr4);
	vcpu->mode.cr4 = cr4;
}

static void put_efer(struct tl_vcpu *vcpu, uint64_t efer)
{
	uint64_t controls = vmcs_read(VMCS_ENTRY_CONTROLS) & ~(uint64_t)VM_ENTRY_IA32E_MODE_GUEST;

	vmcs_write(VMCS_ENTRY_CONTROLS, controls | (efer & EFER_LMA ? VM_ENTRY_IA32E_MODE_GUEST : 0));
	vmcs_write(VMCS_GUEST_EFER, flat_paging_is_needed(vcpu) ? flat_paging_efer(efer) : efer);
	vcpu->mode.efer = efer;
}

/* Where the CPU insists on paging the guest's CR0 decides about the rest, too. */
static void put_paging(struct tl_vcpu *vcpu)
{
	if (vmx_controls.unrestricted_guest)
		return;
	put_efer(vcpu, vcpu->mode.efer);
	put_cr4(vcpu, cr_read_cr4());
	if (flat_paging_is_needed(vcpu))
		flat_paging_use(vcpu);
	else
		flat_paging_leave(vcpu);
}

void cr_set_mode(struct tl_vcpu *vcpu, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	vmcs_write(VMCS_CR0_GUEST_HOST_MASK, CR0_HOST_OWNED);
	vmcs_write(VMCS_CR4_GUEST_HOST_MASK, ~(uint64_t)CR4_GUEST_OWNED);
	put_efer(vcpu, efer);
	put_cr0(vcpu, cr0);
	put_cr4(vcpu, cr4);
	put_paging(vcpu);
	vcpu_forget_translations(vcpu);
}

static bool is_pae(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* MOV to CR0, CR3 or CR4 loads the PDPTEs; here in place of the CPU. False: they are not what PAE allows (#GP). */
static bool load_pdptes(struct tl_vcpu *vcpu, uint64_t cr3)
{
	uint64_t pdpte[4];

	if (!tl_mem_read(vcpu->vm, cr3 & 0xffffffe0, pdpte, sizeof(pdpte)) ||
	    !guest_pdptes_are_valid(pdpte, vmx_capability.physical_bits))
		return false;
	for (unsigned i = 0; i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE(i), pdpte[i]);
	return true;
}

/* The guest's TLB under the old mode is no longer its TLB. */
static void mode_changed(struct tl_vcpu *vcpu)
{
	vcpu_forget_translations(vcpu);
	vcpu_flush_guest_tlb(vcpu);
}

/* Turning paging on with EFER.LME goes to IA-32e mode; off leaves it (SDM vol. 3, 10.8.5). */
static bool switch_paging(struct tl_vcpu *vcpu, bool on, uint64_t *efer)
{
	uint64_t cs_access = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS);

	*efer = vcpu->mode.efer;
	if (on && *efer & EFER_LME) {
		if (!(vcpu->mode.cr4 & CR4_PAE) || cs_access & CS_ACCESS_LONG)
			return false;
		*efer |= EFER_LMA;
	} else if (!on) {
		if (cs_access & CS_ACCESS_LONG && *efer & EFER_LMA)
			return false;
		*efer &= ~(uint64_t)EFER_LMA;
	}
	return true;
}

bool cr_write_cr0(struct tl_vcpu *vcpu, uint64_t value)
{
	uint64_t old = cr_read_cr0(), changed, efer = vcpu->mode.efer;

	if (value >> 32 || (value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return false;
	value = (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) |
		CR0_ET;
	changed = old ^ value;
	if (changed & CR0_PG && !switch_paging(vcpu, value & CR0_PG, &efer))
		return false;
	if (!(value & CR0_PG) && vcpu->mode.cr4 & CR4_PCIDE)
		return false;
	if (changed & (CR0_PG | CR0_CD | CR0_NW) && is_pae(value, vcpu->mode.cr4, efer) &&
	    !load_pdptes(vcpu, cr_read_cr3(vcpu)))
		return false;
	if (efer != vcpu->mode.efer)
		put_efer(vcpu, efer);
	put_cr0(vcpu, value);
	if (changed & (CR0_PG | CR0_PE))
		put_paging(vcpu);
	if (changed & (CR0_PG | CR0_WP | CR0_AM | CR0_PE))
		mode_changed(vcpu);
	return true;
}

bool cr_write_cr4(struct tl_vcpu *vcpu, uint64_t value)
{
	uint64_t old = cr_read_cr4(), changed = old ^ value;
	bool long_mode = vcpu->mode.efer & EFER_LMA;

	if (value & ~cr4_allowed() || (long_mode && !(value & CR4_PAE)))
		return false;
	if (changed & value & CR4_PCIDE && (!long_mode || cr_read_cr3(vcpu) & 0xfff))
		return false;
	if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) && is_pae(vcpu->mode.cr0, value, vcpu->mode.efer) &&
	    !load_pdptes(vcpu, cr_read_cr3(vcpu)))
		return false;
	put_cr4(vcpu, value);
	if (changed & ~(uint64_t)CR4_GUEST_OWNED)
		mode_changed(vcpu);
	return true;
}

bool cr_write_efer(struct tl_vcpu *vcpu, uint64_t value)
{
	uint64_t allowed = EFER_SCE | EFER_LME | EFER_LMA | (vmx_capability.nx ? EFER_NXE : 0);
	uint64_t old = vcpu->mode.efer;

	if (value & ~allowed || ((old ^ value) & EFER_LME && vcpu->mode.cr0 & CR0_PG))
		return false;
	/* LMA is the CPU's to set. */
	put_efer(vcpu, (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA));
	if ((old ^ value) & EFER_NXE)
		mode_changed(vcpu);
	return true;
}

static enum vcpu_action stop_without_unrestricted(struct tl_vcpu *vcpu)
{
	tl_log(TL_LOG_ERROR, "the guest goes to real mode, which this CPU runs only with \"unrestricted guest\": use a "
			     "guest that stays in protected mode, or a CPU of 2010 or later");
	return exit_stop(vcpu, TL_STOP_UNSUPPORTED, 0);
}

static uint8_t read_guest_cr8(struct tl_vcpu *vcpu)
{
	const struct tl_processor *processor = vcpu->processor;

	return processor && processor->read_cr8 ? processor->read_cr8(vcpu) & 15 : vcpu->cr8;
}

static void write_guest_cr8(struct tl_vcpu *vcpu, uint8_t value)
{
	const struct tl_processor *processor = vcpu->processor;

	vcpu->cr8 = value;
	if (processor && processor->write_cr8)
		processor->write_cr8(vcpu, value);
}

static enum vcpu_action move_to_cr(struct tl_vcpu *vcpu, unsigned cr, uint64_t value)
{
	if (!(vcpu->mode.efer & EFER_LMA) || vcpu_code_bits(vcpu, vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS)) != 64)
		value = (uint32_t)value;
	switch (cr) {
	case 0:
		if (!cr_write_cr0(vcpu, value))
			return exit_raise_error(vcpu, VECTOR_GP, 0);
		if (!vmx_controls.unrestricted_guest && !(value & CR0_PE))
			return stop_without_unrestricted(vcpu);
		return exit_skip_instruction(vcpu);
	case 3:
		if (is_pae(vcpu->mode.cr0, vcpu->mode.cr4, vcpu->mode.efer) && !load_pdptes(vcpu, value))
			return exit_raise_error(vcpu, VECTOR_GP, 0);
		cr_put_cr3(vcpu, value & ~BIT(63));
		vcpu_flush_guest_tlb(vcpu);
		return exit_skip_instruction(vcpu);
	case 4:
		if (!cr_write_cr4(vcpu, value))
			return exit_raise_error(vcpu, VECTOR_GP, 0);
		return exit_skip_instruction(vcpu);
	case 8:
		if (value & ~15ull)
			return exit_raise_error(vcpu, VECTOR_GP, 0);
		write_guest_cr8(vcpu, (uint8_t)value);
		return exit_skip_instruction(vcpu);
	default:
		return exit_raise(vcpu, VECTOR_UD);
	}
}

/* LMSW writes the low four bits and cannot clear PE. */
static enum vcpu_action load_machine_status(struct tl_vcpu *vcpu, uint64_t source)
{
	uint64_t old = cr_read_cr0();

	return move_to_cr(vcpu, 0, (old & ~0xeull) | (source & 0xf) | (old & CR0_PE));
}

enum vcpu_action exit_cr_access(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	unsigned cr = qualification & 15, gpr = qualification >> 8 & 15;

	switch (qualification >> 4 & 3) {
	case CR_MOV_TO:
		return move_to_cr(vcpu, cr, exit_read_gpr(vcpu, gpr));
	case CR_MOV_FROM:
		exit_write_gpr(vcpu, gpr, cr == 8 ? read_guest_cr8(vcpu) : cr_read_cr3(vcpu));
		return exit_skip_instruction(vcpu);
	case CR_CLTS:
		return move_to_cr(vcpu, 0, cr_read_cr0() & ~(uint64_t)CR0_TS);
	default:
		return load_machine_status(vcpu, qualification >> 16);
	}
}
