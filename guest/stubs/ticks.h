/* SPDX-License-Identifier: MIT */
/* What is measured, and how its time is taken: of Trapline by the guest bench, of KVM by the one of tools/kvm_bench/.
 */
#ifndef GUEST_STUBS_TICKS_H
#define GUEST_STUBS_TICKS_H

#include <stdint.h>

/* The first WARM_UP samples are not counted. TRACED times an exit is traced. */
enum { SAMPLES = 2000, WARM_UP = 64, TRACED = 6 };

/* What is measured. The address is in RSI; ZERO makes RAX 0, which both VMCALL and CPUID want. */
#define EMPTY  ""
#define ZERO   "xor %%eax, %%eax"
#define VMCALL ZERO "\n\tvmcall"
#define CPUID  ZERO "\n\tcpuid"
#define READ   "mov 0x10(%%rsi), %%r9d"
#define WRITE  "mov %%r9d, 0x10(%%rsi)"

#define TICKS(instructions, address)                                                 \
	({                                                                           \
		uint32_t ticks_;                                                     \
                                                                                     \
		__asm__ volatile(".balign 128\n\t"                                   \
				 "rdtsc\n\t"                                         \
				 "mov %%eax, %%r8d\n\t" instructions "\n\t"          \
				 "rdtsc\n\t"                                         \
				 "sub %%r8d, %%eax"                                  \
				 : "=&a"(ticks_)                                     \
				 : "S"(address)                                      \
				 : "rbx", "rcx", "rdx", "r8", "r9", "memory", "cc"); \
		ticks_;                                                              \
	})

/* TICKS(READ, address) as a function, to be copied: each copy is an instruction that was never executed before. */
__asm__(".pushsection .rodata\n"
	"read_site: rdtsc\n\t"
	"mov %eax, %r8d\n\t"
	"mov 0x10(%rsi), %r9d\n"
	"read_site_access_end: rdtsc\n\t"
	"sub %r8d, %eax\n\t"
	"ret\n"
	"read_site_end: .popsection");
extern const uint8_t read_site[], read_site_access_end[], read_site_end[];
enum { SITE_SIZE = 32 };

static inline uint32_t ticks_at(const uint8_t *site, uint64_t address)
{
	uint32_t ticks;

	__asm__ volatile("call *%1" : "=&a"(ticks) : "b"(site), "S"(address) : "rdx", "r8", "r9", "memory", "cc");
	return ticks;
}

#endif
