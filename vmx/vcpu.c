/* SPDX-License-Identifier: MIT */
#include "vmx/vcpu.h"
#include "mmu/dirty.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/extended_state.h"
#include "vmx/flat_paging.h"
#include "vmx/msr.h"

#define VCPU_PAGES ((sizeof(struct tl_vcpu) + PAGE_SIZE - 1) / PAGE_SIZE)

/* VPIDs in use: 1 to 65535, unique among all vCPUs (correction: never shared, never 0). */
static _Atomic uint64_t vpids[65536 / 64] = {1};

static uint16_t vpid_take(void)
{
	for (unsigned i = 0; i < 65536 / 64; i++) {
		uint64_t used = atomic_load_explicit(&vpids[i], memory_order_relaxed);

		/* relaxed: the number alone matters; what is cached under it is flushed when it is first loaded. */
		while (~used) {
			unsigned bit = (unsigned)__builtin_ctzll(~used);

			if (atomic_compare_exchange_weak_explicit(&vpids[i], &used, used | BIT(bit),
								  memory_order_relaxed, memory_order_relaxed))
				return (uint16_t)(i * 64 + bit);
		}
	}
	return 0;
}

static void vpid_give(uint16_t vpid)
{
	if (vpid)
		atomic_fetch_and_explicit(&vpids[vpid / 64], ~BIT(vpid % 64), memory_order_relaxed);
}

void vcpu_flush_guest_tlb(const struct tl_vcpu *vcpu)
{
	enum vmx_result result = VMX_SUCCEED;

	/* Without VPIDs every entry and exit flushes by itself. */
	if (vmx_controls.vpid)
		result = vmx_capability.invvpid_single ? invvpid(INVVPID_SINGLE_CONTEXT, vcpu->vpid, 0)
						       : invvpid(INVVPID_ALL_CONTEXT, 0, 0);
	if (result != VMX_SUCCEED)
		tl_panic("INVVPID failed for VPID %u", vcpu->vpid);
}

unsigned vcpu_code_bits(const struct tl_vcpu *vcpu, uint64_t cs_access)
{
	if (vcpu->mode.efer & EFER_LMA && cs_access & CS_ACCESS_LONG)
		return 64;
	return cs_access & CS_ACCESS_DEFAULT ? 32 : 16;
}

/* Exits leave the guest's value in the register, but not the right to read it. */
static uint32_t guest_pkru(void)
{
	uint64_t cr4 = read_cr4();
	uint32_t pkru;

	write_cr4(cr4 | CR4_PKE);
	pkru = read_pkru();
	write_cr4(cr4);
	return pkru;
}

void vcpu_paging(const struct tl_vcpu *vcpu, struct guest_paging *paging)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	*paging = (struct guest_paging){
		.cr0 = vcpu->mode.cr0,
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = vcpu->mode.cr4,
		.efer = vcpu->mode.efer,
		/* The CPL is SS.DPL, also in conforming code and in virtual-8086 mode (SDM vol. 3, 25.4.1). */
		.cpl = (uint8_t)ACCESS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)),
		.rflags_ac = rflags & RFLAGS_AC,
		.pages_1g = vmx_capability.page_1g,
		.maxphyaddr = vmx_capability.physical_bits,
	};
	if (vcpu->mode.cr4 & CR4_PKE)
		paging->pkru = guest_pkru();
	if (vcpu->mode.cr0 & CR0_PG && vcpu->mode.cr4 & CR4_PAE && !(vcpu->mode.efer & EFER_LMA)) {
		for (unsigned i = 0; i < 4; i++)
			paging->pdpte[i] = vmcs_read(VMCS_GUEST_PDPTE(i));
	}
}

static void free_vcpu(struct tl_vcpu *vcpu)
{
	page_free(vcpu->fpu, extended_state_pages());
	page_free(vcpu->vmcs_region, 1);
	page_free(vcpu->pml, 1);
	vpid_give(vcpu->vpid);
	page_free(vcpu, VCPU_PAGES);
}

static struct tl_vcpu *alloc_vcpu(struct tl_vm *vm)
{
	struct tl_vcpu *vcpu = page_alloc(VCPU_PAGES);

	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->eptp = vm_eptp(vm);
	vcpu->vpid = vpid_take();
	vcpu->fpu = page_alloc(extended_state_pages());
	vcpu->vmcs_region = page_alloc(1);
	if (dirty_by(vm) == DIRTY_BY_PML)
		vcpu->pml = page_alloc(1);
	if (!vcpu->fpu || !vcpu->vmcs_region || !vcpu->vpid || (dirty_by(vm) == DIRTY_BY_PML && !vcpu->pml)) {
		free_vcpu(vcpu);
		return NULL;
	}
	*(uint32_t *)vcpu->vmcs_region = vmx_capability.revision;
	vcpu->vmcs = host_to_phys(vcpu->vmcs_region);
	vcpu->access.vcpu = vcpu;
	vcpu->reader.number = vcpu->vpid;
	vcpu->rflags_slow = RFLAGS_TF;
	vcpu->tsc_offset = vm->tsc_offset;
	/* A guest whose CPU has them off is better off without REP MOVSB, and Linux asks here. */
	vcpu->no_fast_strings = !(rdmsr(MSR_IA32_MISC_ENABLE) & MISC_ENABLE_FAST_STRINGS);
	extended_state_init(vcpu);
	return vcpu;
}

struct tl_vcpu *tl_vcpu_create(struct tl_vm *vm, enum tl_status *status)
{
	struct tl_vcpu *vcpu;
	struct tl_state state;

	*status = TL_CPU_DOWN;
	if (!cpu_this()->up)
		return NULL;
	if (!vmx_controls.unrestricted_guest) {
		*status = flat_paging_add(vm);
		if (*status != TL_OK)
			return NULL;
	}
	vcpu = alloc_vcpu(vm);
	if (!vcpu) {
		*status = TL_NO_MEMORY;
		return NULL;
	}
	vcpu_clear_vmcs(vcpu);
	*status = vcpu_load(vcpu);
	if (*status != TL_OK) {
		free_vcpu(vcpu);
		return NULL;
	}
	vmcs_init(vcpu);
	grace_reader_add(&vcpu->reader, vm);
	state_after_reset(&state);
	tl_vcpu_set(vcpu, &state);
	return vcpu;
}

enum tl_status tl_vcpu_destroy(struct tl_vcpu *vcpu)
{
	enum tl_status status;

	if (atomic_load_explicit(&vcpu->reader.in_run, memory_order_relaxed))
		return TL_INVALID_ARGUMENT;
	status = vcpu_load(vcpu);
	if (status != TL_OK)
		return status;
	/* What its callbacks committed is completed without it. */
	while (vcpu->reader.pending) {
		struct tl_edit *edit = vcpu->reader.pending;

		vcpu->reader.pending = edit->next;
		map_complete(edit, NULL);
	}
	grace_reader_remove(&vcpu->reader);
	vm_keep_stats(vcpu->vm, &vcpu->reader.stats);
	vcpu_unload(vcpu);
	free_vcpu(vcpu);
	return TL_OK;
}

void tl_vcpu_set_context(struct tl_vcpu *vcpu, void *context)
{
	vcpu->context = context;
}

void *tl_vcpu_context(const struct tl_vcpu *vcpu)
{
	return vcpu->context;
}
