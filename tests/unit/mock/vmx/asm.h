/* SPDX-License-Identifier: MIT */
/*
 * Stands in the place of vmx/asm.h in the unit tests: the VMCS is an array, and no other instruction does anything.
 * What vmx/ does between an exit and the next entry is then a function of values, as that of mmio/ and mmu/.
 */
#ifndef VMX_ASM_H
#define VMX_ASM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
	uint32_t encoding;
} vmcs_field_t;

enum { MOCK_VMCS_FIELDS = 0x8000 };

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

enum vmx_result { VMX_SUCCEED, VMX_FAIL_INVALID, VMX_FAIL_VALID };
enum invept_type { INVEPT_SINGLE_CONTEXT = 1, INVEPT_ALL_CONTEXT = 2 };
enum invvpid_type { INVVPID_INDIVIDUAL_ADDRESS, INVVPID_SINGLE_CONTEXT, INVVPID_ALL_CONTEXT };

/*
 * The VMCS that is loaded. CR2, DR6 and CR4 of the CPU, of which each thread has one. How often the instructions of the
 * hot path were executed.
 */
struct mock_cpu {
	uint64_t vmcs[MOCK_VMCS_FIELDS];
	uint64_t cr2, cr4, dr6;
	uint32_t pkru;
	unsigned long nr_windows;                 /* of interrupts */
	unsigned long nr_taken;                   /* interrupts that an exit has acknowledged, */
	uint64_t taken;                           /* and the vector of the last one */
	unsigned long nr_nmis, nr_machine_checks; /* handed to the host */
	/* So often was an instruction executed, by all CPUs that the thread plays. */
	atomic_ulong nr_vmclears, nr_vmptrlds, nr_invvpids;
	/* What a test has these instructions do; NULL: nothing, and 0 is what they read. */
	uint64_t (*on_rdmsr)(uint32_t msr);
	void (*on_xsavec)(void *area, uint64_t components);
	void (*on_wrmsr)(uint32_t msr, uint64_t value);
	struct cpuid (*on_cpuid)(uint32_t leaf, uint32_t subleaf);
	uint64_t (*on_rdtsc)(void);
	void (*on_invept)(enum invept_type type, uint64_t eptp);
	void (*on_vmptrld)(uint64_t region);
	void (*on_vmclear)(uint64_t region);
	uint64_t (*on_vmptrst)(void);
};

extern _Thread_local struct mock_cpu mock_cpu;

_Noreturn void vmcs_access_failed(vmcs_field_t field, bool write);

static inline uint64_t vmcs_read(vmcs_field_t field)
{
	return mock_cpu.vmcs[field.encoding];
}

static inline void vmcs_write(vmcs_field_t field, uint64_t value)
{
	mock_cpu.vmcs[field.encoding] = value;
}

static inline bool vmcs_try_read(vmcs_field_t field, uint64_t *value)
{
	*value = vmcs_read(field);
	return true;
}

#define MOCK_REGION(name)                                   \
	static inline enum vmx_result name(uint64_t region) \
	{                                                   \
		(void)region;                               \
		return VMX_SUCCEED;                         \
	}

MOCK_REGION(vmx_on)

#undef MOCK_REGION

static inline enum vmx_result vmcs_clear(uint64_t region)
{
	atomic_fetch_add(&mock_cpu.nr_vmclears, 1);
	if (mock_cpu.on_vmclear)
		mock_cpu.on_vmclear(region);
	return VMX_SUCCEED;
}

static inline enum vmx_result vmcs_load(uint64_t region)
{
	atomic_fetch_add(&mock_cpu.nr_vmptrlds, 1);
	if (mock_cpu.on_vmptrld)
		mock_cpu.on_vmptrld(region);
	return VMX_SUCCEED;
}

static inline uint64_t vmcs_current(void)
{
	return mock_cpu.on_vmptrst ? mock_cpu.on_vmptrst() : 0;
}

static inline enum vmx_result vmx_off(void)
{
	return VMX_SUCCEED;
}

static inline enum vmx_result invept(enum invept_type type, uint64_t eptp)
{
	if (mock_cpu.on_invept)
		mock_cpu.on_invept(type, eptp);
	return VMX_SUCCEED;
}

static inline enum vmx_result invvpid(enum invvpid_type type, uint16_t vpid, uint64_t linear_address)
{
	(void)type;
	(void)vpid;
	(void)linear_address;
	atomic_fetch_add(&mock_cpu.nr_invvpids, 1);
	return VMX_SUCCEED;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	return mock_cpu.on_rdmsr ? mock_cpu.on_rdmsr(msr) : 0;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	if (mock_cpu.on_wrmsr)
		mock_cpu.on_wrmsr(msr, value);
}

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	return mock_cpu.on_cpuid ? mock_cpu.on_cpuid(leaf, subleaf) : (struct cpuid){0};
}

static inline uint64_t rdtsc(void)
{
	return mock_cpu.on_rdtsc ? mock_cpu.on_rdtsc() : 0;
}

#define MOCK_REGISTER(name, kept)                \
	static inline uint64_t read_##name(void) \
	{                                        \
		return kept;                     \
	}                                        \
	static inline void write_##name(uint64_t value)

#define MOCK_NO_REGISTER(name) \
	MOCK_REGISTER(name, 0) \
	{                      \
		(void)value;   \
	}

#define MOCK_KEPT_REGISTER(name)           \
	MOCK_REGISTER(name, mock_cpu.name) \
	{                                  \
		mock_cpu.name = value;     \
	}

MOCK_NO_REGISTER(cr0)
MOCK_KEPT_REGISTER(cr2)
MOCK_NO_REGISTER(cr3)
MOCK_KEPT_REGISTER(cr4)
MOCK_NO_REGISTER(cr8)
MOCK_NO_REGISTER(dr0)
MOCK_NO_REGISTER(dr1)
MOCK_NO_REGISTER(dr2)
MOCK_NO_REGISTER(dr3)
MOCK_KEPT_REGISTER(dr6)
MOCK_NO_REGISTER(dr7)

#undef MOCK_KEPT_REGISTER
#undef MOCK_NO_REGISTER
#undef MOCK_REGISTER

static inline uint64_t xgetbv(uint32_t index)
{
	(void)index;
	return 0;
}

static inline void xsetbv(uint32_t index, uint64_t value)
{
	(void)index;
	(void)value;
}

static inline void xsave(void *area, uint64_t components)
{
	(void)area;
	(void)components;
}

static inline void xsavec(void *area, uint64_t components)
{
	if (mock_cpu.on_xsavec)
		mock_cpu.on_xsavec(area, components);
}

static inline void xrstor(const void *area, uint64_t components)
{
	(void)area;
	(void)components;
}

static inline void fxsave(void *area)
{
	(void)area;
}

static inline void fxrstor(const void *area)
{
	(void)area;
}

static inline uint32_t read_pkru(void)
{
	return mock_cpu.pkru;
}

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* The host's: one descriptor, which TR names. */
static inline struct table_register sgdt(void)
{
	static const uint64_t tss[2];

	return (struct table_register){.limit = sizeof(tss) - 1, .base = (uintptr_t)tss};
}

static inline struct table_register sidt(void)
{
	return (struct table_register){0};
}

static inline void lgdt(const struct table_register *gdtr)
{
	(void)gdtr;
}

static inline void lidt(const struct table_register *idtr)
{
	(void)idtr;
}

#define MOCK_SELECTOR(name)                      \
	static inline uint16_t read_##name(void) \
	{                                        \
		return 0;                        \
	}

MOCK_SELECTOR(es)
MOCK_SELECTOR(cs)
MOCK_SELECTOR(ss)
MOCK_SELECTOR(ds)
MOCK_SELECTOR(fs)
MOCK_SELECTOR(gs)
MOCK_SELECTOR(ldtr)
MOCK_SELECTOR(tr)

#undef MOCK_SELECTOR

static inline void interrupt_window(void)
{
	mock_cpu.nr_windows++;
}

static inline void raise_nmi(void)
{
	mock_cpu.nr_nmis++;
}

static inline void raise_machine_check(void)
{
	mock_cpu.nr_machine_checks++;
}

static inline void vmx_take_interrupt(uint64_t vector)
{
	mock_cpu.nr_taken++;
	mock_cpu.taken = vector;
}

static inline void cpu_halt(void)
{
}

static inline void cpu_pause(void)
{
}

static inline void counter_add(_Atomic uint64_t *counter, uint64_t more)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

#endif
