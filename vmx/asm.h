/* SPDX-License-Identifier: MIT */
/*
 * Every instruction that C cannot express and vmx/ needs. No other C file of vmx/ holds assembly.
 *
 * Nothing here checks whether the CPU has the instruction: the callers ask vmx/capability.h first.
 */
#ifndef VMX_ASM_H
#define VMX_ASM_H

#include <stdbool.h>
#include <stdint.h>

#define VMX_INLINE static inline __attribute__((always_inline))

/* ---- The VMCS ---------------------------------------------------------------------------------------------------- */

/* A field's encoding (SDM vol. 3, appendix B); a type of its own so that it cannot be taken for a value. */
typedef struct {
	uint32_t encoding;
} vmcs_field_t;

/* Rule 10: a VMCS access that fails is a bug of ours. Dumps what can be read and panics. Defined in vmcs_dump.c. */
_Noreturn void vmcs_access_failed(vmcs_field_t field, bool write)
	__attribute__((cold, noinline, force_align_arg_pointer));

/*
 * Calls it behind the compiler's back: for a call that it knew of it would align the stack in each function of the fast
 * path, which otherwise need no frame at all.
 */
#define VMCS_ACCESS_FAILED(field, write)                                                                       \
	do {                                                                                                   \
		__asm__ volatile("call vmcs_access_failed" : : "D"((field).encoding), "S"((uint32_t)(write))); \
		__builtin_unreachable();                                                                       \
	} while (0)

/*
 * Reads a field of the current VMCS; VMfail of either kind (CF or ZF set: JNA) leaves for vmcs_access_failed().
 * On the path that succeeds: MOV, VMREAD, JNA.
 * "volatile" is needed: gcc 12 takes an asm goto that has outputs for a pure function of its inputs, and would merge or
 * drop reads. The empty asm keeps gcc before 12.4 from losing such an output (gcc's bug 113921); it emits nothing.
 */
VMX_INLINE uint64_t vmcs_read(vmcs_field_t field)
{
	uint64_t value;

	__asm__ volatile goto("vmread %1, %0\n\t"
			      "jna %l[failed]"
			      : "=r"(value)
			      : "r"((uint64_t)field.encoding)
			      : "cc"
			      : failed);
	__asm__ volatile("");
	return value;
failed:
	VMCS_ACCESS_FAILED(field, false);
}

/* Writes a field of the current VMCS; fails like vmcs_read(). */
VMX_INLINE void vmcs_write(vmcs_field_t field, uint64_t value)
{
	__asm__ volatile goto("vmwrite %1, %0\n\t"
			      "jna %l[failed]"
			      :
			      : "r"((uint64_t)field.encoding), "r"(value)
			      : "cc"
			      : failed);
	return;
failed:
	VMCS_ACCESS_FAILED(field, true);
}

/* The same for a dump: false if the field cannot be read, which is no error there. */
VMX_INLINE bool vmcs_try_read(vmcs_field_t field, uint64_t *value)
{
	bool good;
	uint64_t read;

	__asm__ volatile("vmread %2, %1" : "=@cca"(good), "=r"(read) : "r"((uint64_t)field.encoding));
	if (good)
		*value = read;
	return good;
}

/* How a VMX instruction ended (SDM vol. 3, 31.2). */
enum vmx_result {
	VMX_SUCCEED,
	VMX_FAIL_INVALID, /* CF: there is no current VMCS to hold an error number */
	VMX_FAIL_VALID,   /* ZF: the VM-instruction error field holds the number */
};

VMX_INLINE enum vmx_result vmx_result(bool carry, bool zero)
{
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_SUCCEED;
}

/* The operand is the physical address of a 4 KiB region that starts with the VMCS revision identifier. */
VMX_INLINE enum vmx_result vmx_on(uint64_t region)
{
	bool carry, zero;

	__asm__ volatile("vmxon %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region) : "memory");
	return vmx_result(carry, zero);
}

VMX_INLINE enum vmx_result vmx_off(void)
{
	bool carry, zero;

	__asm__ volatile("vmxoff" : "=@ccc"(carry), "=@ccz"(zero) : : "memory");
	return vmx_result(carry, zero);
}

VMX_INLINE enum vmx_result vmcs_clear(uint64_t region)
{
	bool carry, zero;

	__asm__ volatile("vmclear %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region) : "memory");
	return vmx_result(carry, zero);
}

VMX_INLINE enum vmx_result vmcs_load(uint64_t region)
{
	bool carry, zero;

	__asm__ volatile("vmptrld %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region) : "memory");
	return vmx_result(carry, zero);
}

/* VMPTRST: the physical address of the current VMCS, all ones if there is none. */
VMX_INLINE uint64_t vmcs_current(void)
{
	uint64_t region;

	__asm__ volatile("vmptrst %0" : "=m"(region) : : "cc");
	return region;
}

/* SDM vol. 3, 31.3, INVEPT. */
enum invept_type { INVEPT_SINGLE_CONTEXT = 1, INVEPT_ALL_CONTEXT = 2 };

VMX_INLINE enum vmx_result invept(enum invept_type type, uint64_t eptp)
{
	const struct {
		uint64_t eptp, reserved;
	} descriptor = {eptp, 0};
	bool carry, zero;

	__asm__ volatile("invept %2, %3"
			 : "=@ccc"(carry), "=@ccz"(zero)
			 : "m"(descriptor), "r"((uint64_t)type)
			 : "memory");
	return vmx_result(carry, zero);
}

/* SDM vol. 3, 31.3, INVVPID. */
enum invvpid_type {
	INVVPID_INDIVIDUAL_ADDRESS = 0,
	INVVPID_SINGLE_CONTEXT = 1,
	INVVPID_ALL_CONTEXT = 2,
	INVVPID_SINGLE_CONTEXT_RETAINING_GLOBALS = 3,
};

VMX_INLINE enum vmx_result invvpid(enum invvpid_type type, uint16_t vpid, uint64_t linear_address)
{
	const struct {
		uint64_t vpid, linear_address;
	} descriptor = {vpid, linear_address};
	bool carry, zero;

	__asm__ volatile("invvpid %2, %3"
			 : "=@ccc"(carry), "=@ccz"(zero)
			 : "m"(descriptor), "r"((uint64_t)type)
			 : "memory");
	return vmx_result(carry, zero);
}

/* ---- MSRs, CPUID, time ------------------------------------------------------------------------------------------- */

VMX_INLINE uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

VMX_INLINE void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

VMX_INLINE struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid out;

	__asm__ volatile("cpuid"
			 : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx), "=d"(out.edx)
			 : "a"(leaf), "c"(subleaf));
	return out;
}

VMX_INLINE uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* ---- Control and debug registers --------------------------------------------------------------------------------- */

#define VMX_REGISTER(name)                                                          \
	VMX_INLINE uint64_t read_##name(void)                                       \
	{                                                                           \
		uint64_t value;                                                     \
                                                                                    \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value) : : "memory"); \
		return value;                                                       \
	}                                                                           \
	VMX_INLINE void write_##name(uint64_t value)                                \
	{                                                                           \
		__asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");     \
	}

VMX_REGISTER(cr0)
VMX_REGISTER(cr2)
VMX_REGISTER(cr3)
VMX_REGISTER(cr4)
VMX_REGISTER(cr8)
VMX_REGISTER(dr0)
VMX_REGISTER(dr1)
VMX_REGISTER(dr2)
VMX_REGISTER(dr3)
VMX_REGISTER(dr6)
VMX_REGISTER(dr7)

#undef VMX_REGISTER

/* ---- FPU and extended state -------------------------------------------------------------------------------------- */

VMX_INLINE uint64_t xgetbv(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

/* Precondition: the value was checked; a wrong one raises #GP in the host. */
VMX_INLINE void xsetbv(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* `area`: 64-byte aligned and as large as CPUID leaf 0DH says; XSAVE's header zero before the first use. */
VMX_INLINE void xsave(void *area, uint64_t components)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(components), "d"(components >> 32) : "memory");
}

/* The same with a compacted area. The CPU has it where CPUID says so. */
VMX_INLINE void xsavec(void *area, uint64_t components)
{
	__asm__ volatile("xsavec64 (%0)" : : "r"(area), "a"(components), "d"(components >> 32) : "memory");
}

VMX_INLINE void xrstor(const void *area, uint64_t components)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(components), "d"(components >> 32) : "memory");
}

/* `area`: 512 bytes, 16-byte aligned. */
VMX_INLINE void fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

VMX_INLINE void fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* Precondition: CR4.PKE is set. */
VMX_INLINE uint32_t read_pkru(void)
{
	uint32_t value, high;

	__asm__ volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0));
	return value;
}

/* ---- Descriptor tables and selectors ----------------------------------------------------------------------------- */

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

VMX_INLINE struct table_register sgdt(void)
{
	struct table_register gdtr;

	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	return gdtr;
}

VMX_INLINE struct table_register sidt(void)
{
	struct table_register idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	return idtr;
}

VMX_INLINE void lgdt(const struct table_register *gdtr)
{
	__asm__ volatile("lgdt %0" : : "m"(*gdtr) : "memory");
}

VMX_INLINE void lidt(const struct table_register *idtr)
{
	__asm__ volatile("lidt %0" : : "m"(*idtr) : "memory");
}

#define VMX_SELECTOR(name, instruction)                         \
	VMX_INLINE uint16_t read_##name(void)                   \
	{                                                       \
		uint16_t selector;                              \
                                                                \
		__asm__ volatile(instruction : "=r"(selector)); \
		return selector;                                \
	}

VMX_SELECTOR(es, "mov %%es, %0")
VMX_SELECTOR(cs, "mov %%cs, %0")
VMX_SELECTOR(ss, "mov %%ss, %0")
VMX_SELECTOR(ds, "mov %%ds, %0")
VMX_SELECTOR(fs, "mov %%fs, %0")
VMX_SELECTOR(gs, "mov %%gs, %0")
VMX_SELECTOR(ldtr, "sldt %0")
VMX_SELECTOR(tr, "str %0")

#undef VMX_SELECTOR

/* ---- Interrupts -------------------------------------------------------------------------------------------------- */

/*
 * Lets the host's handlers take what is pending, then turns interrupts off again. STI holds interrupts back for one
 * instruction more (SDM vol. 3, 6.8.3): the NOP is that one.
 */
VMX_INLINE void interrupt_window(void)
{
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory", "cc");
}

/* Runs the host's NMI handler for an NMI that a VM exit has consumed. */
VMX_INLINE void raise_nmi(void)
{
	__asm__ volatile("int $2" : : : "memory", "cc");
}

/* The same for a machine check. */
VMX_INLINE void raise_machine_check(void)
{
	__asm__ volatile("int $18" : : : "memory", "cc");
}

/* The same for an interrupt that a VM exit has acknowledged; in entry.asm. */
void vmx_take_interrupt(uint64_t vector);

VMX_INLINE void cpu_halt(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

VMX_INLINE void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/*
 * Adds to a number that only this CPU writes and others read meanwhile (stats_add() of mmu/): gcc makes three
 * instructions of a relaxed load, an addition and a relaxed store, and each exit counts.
 */
VMX_INLINE void counter_add(_Atomic uint64_t *counter, uint64_t more)
{
	__asm__("addq %1, %0" : "+m"(*(uint64_t *)counter) : "er"(more) : "cc");
}

#endif
