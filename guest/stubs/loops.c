/* SPDX-License-Identifier: MIT */
/*
 * A driver's code between its accesses: values made for registers, loops that poll and give up. Whatever of it is
 * served without going back into the guest, registers, flags and the device are as if every instruction had been
 * executed here. The same code runs on ordinary memory, and the ends are compared.
 */
#include "guest/stubs/lib.h"

enum { ROUNDS = 50, STATUS_AT = 0x40, READY = 0x80, SHADOW_SIZE = 0x1000 };

static uint8_t memory[SHADOW_SIZE] __attribute__((aligned(4096)));

struct end {
	uint64_t rax, rcx, rdx, r8, r9, flags;
};

/* Runs `code` with RSI = at and the registers of `end`; they are then what it left. */
#define RUN(code, at, end)                                                                          \
	do {                                                                                        \
		register uint64_t r8_ __asm__("r8") = (end)->r8, r9_ __asm__("r9") = (end)->r9;     \
                                                                                                    \
		__asm__ volatile("push %[flags]\n\tpopfq\n\t" code "\n\tpushfq\n\tpop %[flags]"     \
				 : "+a"((end)->rax), "+c"((end)->rcx), "+d"((end)->rdx), "+r"(r8_), \
				   "+r"(r9_), [flags] "+D"((end)->flags)                            \
				 : "S"(at)                                                          \
				 : "memory", "cc");                                                 \
		(end)->r8 = r8_;                                                                    \
		(end)->r9 = r9_;                                                                    \
	} while (0)

#define SET_UP                                \
	"mov %%eax, (%%rsi)\n\t"              \
	"mov $0x12345678, %%eax\n\t"          \
	"mov %%eax, 4(%%rsi)\n\t"             \
	"add %%ecx, %%eax\n\t"                \
	"mov %%eax, 8(%%rsi)\n\t"             \
	"lea 0x10(%%rdx, %%rcx, 4), %%r8\n\t" \
	"mov %%r8, 16(%%rsi)\n\t"             \
	"xor %%r9d, %%r9d\n\t"                \
	"inc %%cl\n\t"                        \
	"movb %%cl, 24(%%rsi)\n\t"            \
	"movzbl %%dl, %%edx\n\t"              \
	"cmp %%rdx, %%r8\n\t"                 \
	"mov %%rdx, 32(%%rsi)\n\t"            \
	"movl $0x55aa, 40(%%rsi)"

/* Until the status has a bit that is not there, at most ECX times. */
#define POLL                             \
	"1:\tmov 0x40(%%rsi), %%eax\n\t" \
	"test $0x80, %%al\n\t"           \
	"jnz 2f\n\t"                     \
	"add $3, %%r8\n\t"               \
	"dec %%ecx\n\t"                  \
	"jnz 1b\n"                       \
	"2:\tmov %%eax, 0x44(%%rsi)"

#define POLL_MEMORY                      \
	"1:\tpause\n\t"                  \
	"testb $0x80, 0x40(%%rsi)\n\t"   \
	"jnz 2f\n\t"                     \
	"sub $1, %%r9\n\t"               \
	"cmpl %%r9d, 0x48(%%rsi)\n\t"    \
	"jb 1b\n"                        \
	"2:\tmovw 0x40(%%rsi), %%dx\n\t" \
	"addl 0x44(%%rsi), %%ecx\n\t"    \
	"movsbl 0x41(%%rsi), %%eax"

static void randomize(struct end *end)
{
	const uint64_t status_flags = 0x8d5;

	*end = (struct end){lib_random(), lib_random_below(60) + 1, lib_random(),
			    lib_random(), lib_random_below(60) + 2, 2 | (lib_random() & status_flags)};
}

static void check_same(const struct end *device, const struct end *ram)
{
	CHECK_EQUAL(device->rax, ram->rax);
	CHECK_EQUAL(device->rcx, ram->rcx);
	CHECK_EQUAL(device->rdx, ram->rdx);
	CHECK_EQUAL(device->r8, ram->r8);
	CHECK_EQUAL(device->r9, ram->r9);
	CHECK_EQUAL(device->flags, ram->flags);
	for (unsigned at = 0; at < 0x50; at += 8)
		CHECK_EQUAL(read64(DEVICE_BANK0_AT + at), lib_peek(memory + at, 8));
}

static void put_status(uint32_t status)
{
	write32(DEVICE_BANK0_AT + STATUS_AT, status);
	lib_poke(memory + STATUS_AT, status, 4);
	write32(DEVICE_BANK0_AT + STATUS_AT + 8, 0);
	lib_poke(memory + STATUS_AT + 8, 0, 4);
}

/* Both in one function, so that the code is the same instructions. */
#define CHECK_ROUND(code)                               \
	do {                                            \
		struct end ends[2];                     \
                                                        \
		randomize(&ends[0]);                    \
		ends[1] = ends[0];                      \
		for (unsigned i = 0; i < 2; i++)        \
			RUN(code, places[i], &ends[i]); \
		check_same(&ends[0], &ends[1]);         \
	} while (0)

int main(const struct mb1_info *info)
{
	const uint64_t places[] = {DEVICE_BANK0_AT, (uint64_t)memory};

	(void)info;
	for (unsigned at = 0; at < 0x50; at += 8)
		write64(DEVICE_BANK0_AT + at, 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		put_status(round % 3 ? lib_random_below(READY) | 0x7700 : (uint32_t)lib_random() | READY);
		CHECK_ROUND(SET_UP);
		CHECK_ROUND(POLL);
		CHECK_ROUND(POLL_MEMORY);
	}
	CHECK(lib_stats().clustered > ROUNDS * 20);
	return 0;
}
