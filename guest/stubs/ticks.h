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

/* A device's set-up: 16 registers stored one after the other. */
#define STORE(at)      "mov %%r9d, " #at "(%%rsi)\n\t"
#define STORE_ROW(row) STORE(row##0) "" STORE(row##4) "" STORE(row##8) "" STORE(row##c)
#define STORES         STORE_ROW(0x0) "" STORE_ROW(0x1) "" STORE_ROW(0x2) "" STORE_ROW(0x3)

/* The same with a value made for each: as many instructions in between. */
#define MADE(at)      "mov $0x1234, %%r9d\n\t" STORE(at)
#define MADE_ROW(row) MADE(row##0) "" MADE(row##4) "" MADE(row##8) "" MADE(row##c)
#define MADE_STORES   MADE_ROW(0x0) "" MADE_ROW(0x1) "" MADE_ROW(0x2) "" MADE_ROW(0x3)

/* Loops of as many reads: a plain one; one that waits for a bit that never comes, and gives up; the same on memory. */
#define TURNS 64
#define LOOP(body)                  \
	"mov $64, %%ecx\n\t"        \
	"1:\t" body "dec %%ecx\n\t" \
	"jnz 1b\n"                  \
	"2:"
#define READ_LOOP   LOOP(READ "\n\t")
#define POLL_LOOP   LOOP(READ "\n\ttest $1, %%r9b\n\tjnz 2f\n\t")
#define POLL_MEMORY LOOP("pause\n\t" TEST "\n\tjnz 2f\n\t")

/* Reads that are more than a move. */
#define READ8 "movb 0x10(%%rsi), %%r9b"
#define TEST  "testl $1, 0x10(%%rsi)"

/* 64 bytes at once. */
#define STORE_64_BYTES "vmovdqu64 %%zmm0, (%%rsi)"

/* `elements` sent to a device, and received from it. */
#define REP_MOVSD(count, from, to)       \
	"mov %%rsi, %%r9\n\t"            \
	"mov %%rdi, %%rbx\n\t"           \
	"lea elements(%%rip), %%rdx\n\t" \
	"mov %%" from ", %%rsi\n\t"      \
	"mov %%" to ", %%rdi\n\t"        \
	"mov $" #count ", %%ecx\n\t"     \
	"cld\n\t"                        \
	"rep movsl\n\t"                  \
	"mov %%r9, %%rsi\n\t"            \
	"mov %%rbx, %%rdi"
#define SEND(count)    REP_MOVSD(count, "rdx", "r9")
#define RECEIVE(count) REP_MOVSD(count, "r9", "rdx")

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
