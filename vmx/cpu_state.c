/* SPDX-License-Identifier: MIT */
#include "vmx/cpu_state.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/extended_state.h"

static void load_segment(struct mmio_cpu *cpu, unsigned i)
{
	cpu->segment[i] = (struct tl_segment){.selector = (uint16_t)vmcs_read(VMCS_GUEST_SELECTOR(i)),
					      .limit = (uint32_t)vmcs_read(VMCS_GUEST_LIMIT(i)),
					      .access = (uint32_t)vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(i)),
					      .base = vmcs_read(VMCS_GUEST_BASE(i))};
}

static void store_segment(const struct mmio_cpu *cpu, unsigned i)
{
	vmcs_write(VMCS_GUEST_SELECTOR(i), cpu->segment[i].selector);
	vmcs_write(VMCS_GUEST_LIMIT(i), cpu->segment[i].limit);
	vmcs_write(VMCS_GUEST_ACCESS_RIGHTS(i), cpu->segment[i].access);
	vmcs_write(VMCS_GUEST_BASE(i), cpu->segment[i].base);
}

static void load_tables(struct mmio_cpu *cpu)
{
	cpu->gdtr.base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	cpu->gdtr.limit = (uint16_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
	cpu->idtr.base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	cpu->idtr.limit = (uint16_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
}

static void store_tables(const struct mmio_cpu *cpu)
{
	vmcs_write(VMCS_GUEST_GDTR_BASE, cpu->gdtr.base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, cpu->gdtr.limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, cpu->idtr.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, cpu->idtr.limit);
}

void cpu_state_load(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cs_access, unsigned parts, struct mmio_cpu *cpu)
{
	vcpu->gpr[TL_RSP] = vmcs_read(VMCS_GUEST_RSP);
	__builtin_memcpy(cpu->gpr, vcpu->gpr, sizeof(cpu->gpr));
	cpu->rip = rip;
	cpu->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	cpu->code_bits = (uint8_t)vcpu_code_bits(vcpu, cs_access);
	cpu->shadow = false;
	cpu->changed = 0;
	vcpu_paging(vcpu, &cpu->paging);
	cpu->paging.cr0 = cr_read_cr0(); /* with the guest's own bits: AM */
	if (unlikely(cpu->rflags & RFLAGS_VM))
		cpu->paging.cr4 = cr_read_cr4(); /* the same: VME */
	/* 64-bit code has no limits, and bases in FS and GS only. */
	if (cpu->code_bits != 64 || parts & CPU_SEGMENTS) {
		for (unsigned i = 0; i <= TL_GS; i++)
			load_segment(cpu, i);
	} else {
		load_segment(cpu, TL_FS);
		load_segment(cpu, TL_GS);
	}
	if (parts & CPU_TABLES) {
		load_segment(cpu, TL_LDTR);
		load_segment(cpu, TL_TR);
		load_tables(cpu);
	}
	if (parts & CPU_XSTATE)
		extended_state_borrow(vcpu, &cpu->xstate);
}

bool cpu_state_store(struct tl_vcpu *vcpu, const struct mmio_cpu *cpu)
{
	if (cpu->paging.cr0 != cr_read_cr0() && !cr_write_cr0(vcpu, cpu->paging.cr0))
		return false;
	__builtin_memcpy(vcpu->gpr, cpu->gpr, sizeof(vcpu->gpr));
	vmcs_write(VMCS_GUEST_RSP, cpu->gpr[TL_RSP]);
	vmcs_write(VMCS_GUEST_RFLAGS, cpu->rflags);
	if (cpu->changed & CPU_SEGMENTS)
		for (unsigned i = 0; i <= TL_TR; i++)
			store_segment(cpu, i);
	if (cpu->changed & CPU_TABLES)
		store_tables(cpu);
	if (cpu->changed & CPU_XSTATE)
		extended_state_return(vcpu);
	return true;
}
