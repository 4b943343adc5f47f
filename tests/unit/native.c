/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/unit/native.h"

#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* The code page: slots for instructions, then pads, then what 32-bit code enters and leaves through. */
enum {
	SLOT_BYTES = 64,
	POINTER_AT = 32, /* in a slot: where the jump out of it goes */
	NR_SLOTS = 40,
	PADS_AT = NR_SLOTS * SLOT_BYTES,
	LANDED_AT = PADS_AT + NATIVE_PADS * SLOT_BYTES
};
enum { ENTER_32_AT = LANDED_AT + 64, LEAVE_32_AT = ENTER_32_AT + 64, CODE_BYTES = 4096, STACK_BYTES = 65536 };
/* Linux' selectors for user code and data. SDM vol. 3, 3.4.5. */
enum { USER_CS_64 = 0x33, USER_CS_32 = 0x23, USER_DS = 0x2b, RFLAGS_FIXED = 2 };

/* Its offsets are those in the assembly below. */
struct native_context {
	uint64_t gpr[16];
	uint64_t rflags;          /* 128 */
	uint64_t host_rsp;        /* 136 */
	uint64_t target;          /* 144 */
	const void *xsave_before; /* 152 */
	void *xsave_after;        /* 160 */
	uint64_t xsave_mask;      /* 168 */
	uint64_t data_selector;   /* 176 */
};

extern struct native_context native_context;
struct native_context native_context;
void native_enter(void);
extern const uint8_t native_leave[], native_leave_fault[];

#define LOAD(reg, at)  "mov native_context+" #at "(%rip), %" #reg "\n\t"
#define STORE(reg, at) "mov %" #reg ", native_context+" #at "(%rip)\n\t"
#define EACH(op)                                                                                                \
	op(rax, 0) op(rcx, 8) op(rdx, 16) op(rbx, 24) op(rbp, 40) op(rsi, 48) op(rdi, 56) op(r8, 64) op(r9, 72) \
		op(r10, 80) op(r11, 88) op(r12, 96) op(r13, 104) op(r14, 112) op(r15, 120) op(rsp, 32)

__asm__(".pushsection .text\n"
	"native_enter:\n\t"
	"push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov %rsp, native_context+136(%rip)\n\t"
	"mov native_context+152(%rip), %rcx\n\t"
	"test %rcx, %rcx\n\tjz 1f\n\t"
	"mov native_context+168(%rip), %eax\n\txor %edx, %edx\n\txrstor64 (%rcx)\n"
	"1:\tmov native_context+176(%rip), %eax\n\tmov %eax, %ds\n\tmov %eax, %es\n\t"
	"push native_context+128(%rip)\n\tpopfq\n\t" EACH(
		LOAD) "jmp *native_context+144(%rip)\n"
		      "native_leave:\n\t" EACH(
			      STORE) "mov native_context+136(%rip), %rsp\n\t"
				     "pushfq\n\tpop native_context+128(%rip)\n"
				     "native_leave_fault:\n\t"
				     "push $2\n\tpopfq\n\t"
				     "xor %eax, %eax\n\tmov %eax, %ds\n\tmov %eax, %es\n\t"
				     "mov native_context+160(%rip), %rcx\n\t"
				     "test %rcx, %rcx\n\tjz 1f\n\t"
				     "mov native_context+168(%rip), %eax\n\txor %edx, %edx\n\txsave64 (%rcx)\n\t"
				     "fninit\n\tpush $0x1f80\n\tldmxcsr (%rsp)\n\tpop %rax\n"
				     "1:\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
				     "ret\n"
				     ".popsection");

uint8_t *native_memory;
static uint8_t *code;
static unsigned slot;
static volatile sig_atomic_t running;
static struct {
	int vector;
	uint64_t error_code, address, rip;
} fault;

static void on_fault(int number, siginfo_t *info, void *context)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	if (!running) { /* not the sandbox's: let it end the process where it stands */
		signal(number, SIG_DFL);
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		native_context.gpr[i] = (uint64_t)gregs[order[i]];
	native_context.rflags = (uint64_t)gregs[REG_EFL];
	fault.rip = (uint64_t)gregs[REG_RIP];
	fault.vector = (int)gregs[REG_TRAPNO];
	fault.error_code = (uint64_t)gregs[REG_ERR];
	fault.address = (uint64_t)gregs[REG_CR2];
	gregs[REG_RSP] = (greg_t)native_context.host_rsp;
	gregs[REG_RIP] = (greg_t)(uintptr_t)native_leave_fault;
	gregs[REG_EFL] = RFLAGS_FIXED;
	gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffLL) | USER_CS_64;
}

static uint8_t *map(size_t bytes, int protection, int where)
{
	void *memory = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | where, -1, 0);

	if (memory == MAP_FAILED) {
		perror("native: mmap");
		exit(1);
	}
	return memory;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t count)
{
	memcpy(at, bytes, count);
	return at + count;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	return put(at, &value, sizeof(value));
}

/* jmp *pointer(%rip). The pointer stands apart, aligned: RFLAGS.AC may be set. */
static void put_jump(uint8_t *at, uint8_t *pointer, const void *target)
{
	at = put(at, "\xff\x25", 2);
	put_u32(at, (uint32_t)(pointer - at - 4));
	put(pointer, &target, sizeof(target));
}

/* ljmp selector:offset, of 32-bit code. */
static void put_far_jump(uint8_t *at, uint32_t offset, uint16_t selector)
{
	at = put(at, "\xea", 1);
	at = put_u32(at, offset);
	put(at, &selector, sizeof(selector));
}

static uint32_t low_address(const uint8_t *at)
{
	return (uint32_t)(uintptr_t)at;
}

/* movl $its own address, landed. In 64-bit code the address needs a SIB byte. */
static void put_pads(bool is_64)
{
	for (unsigned i = 0; i < NATIVE_PADS; i++) {
		uint8_t *pad = code + PADS_AT + i * SLOT_BYTES;
		uint8_t *at = is_64 ? put(pad, "\xc7\x04\x25", 3) : put(pad, "\xc7\x05", 2);

		at = put_u32(at, low_address(code + LANDED_AT));
		at = put_u32(at, low_address(pad));
		if (is_64)
			put_jump(at, pad + POINTER_AT, native_leave);
		else
			put_far_jump(at, low_address(code + LEAVE_32_AT), USER_CS_64);
	}
}

void native_start(void)
{
	static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t stack = {.ss_size = STACK_BYTES};

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	if (code)
		return;
	/* Above 4 GiB: where a random ESP lies in it, the kernel takes the handler for one that is running already. */
	stack.ss_sp = map(STACK_BYTES, PROT_READ | PROT_WRITE, 0);
	code = map(CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_32BIT);
	native_memory = map(NATIVE_MEMORY_BYTES + 2 * 4096, PROT_NONE, MAP_32BIT) + 4096;
	if (mprotect(native_memory, NATIVE_MEMORY_BYTES, PROT_READ | PROT_WRITE) || sigaltstack(&stack, NULL)) {
		perror("native");
		exit(1);
	}
	/* A first touch is a page fault, after which the CPU begins again: ENTER then finds what it has pushed. */
	memset(native_memory, 0, NATIVE_MEMORY_BYTES);
	native_context.xsave_mask = native_xsave_mask();
	put_jump(code + LEAVE_32_AT, code + LEAVE_32_AT + POINTER_AT, native_leave);
}

uint64_t native_code(void)
{
	return (uintptr_t)code + slot * SLOT_BYTES;
}

uint64_t native_pad(unsigned i)
{
	return (uintptr_t)code + PADS_AT + i * SLOT_BYTES;
}

static void run_at(struct native *native, const uint8_t *target, uint64_t next)
{
	uint32_t landed = 0;

	memcpy(code + LANDED_AT, &landed, sizeof(landed));
	memcpy(native_context.gpr, native->gpr, sizeof(native->gpr));
	native_context.rflags = native->rflags | RFLAGS_FIXED;
	native_context.target = (uintptr_t)target;
	native_context.xsave_before = native->xsave_before;
	native_context.xsave_after = native->xsave_after;
	fault.vector = NATIVE_NO_FAULT;
	running = 1;
	native_enter();
	running = 0;
	memcpy(native->gpr, native_context.gpr, sizeof(native->gpr));
	memcpy(&landed, code + LANDED_AT, sizeof(landed));
	native->rflags = native_context.rflags;
	native->fault = fault.vector;
	native->error_code = fault.error_code;
	native->fault_address = fault.address;
	native->rip = fault.vector != NATIVE_NO_FAULT ? fault.rip : landed ? landed : next;
}

/* Code that is changed where it has just run costs the CPU a flush of its pipeline: the slots take turns. */
static uint8_t *next_slot(void)
{
	uint8_t *at = code + slot * SLOT_BYTES;

	slot = (slot + 1) % NR_SLOTS;
	return at;
}

/* The pads are those of the last run's kind. */
static void set_mode(bool is_64)
{
	static int mode = -1;

	if (mode == is_64)
		return;
	mode = is_64;
	put_pads(is_64);
	native_context.data_selector = is_64 ? 0 : USER_DS;
}

void native_run(struct native *native, const uint8_t *bytes, unsigned length)
{
	uint8_t *at = next_slot();

	set_mode(true);
	put_jump(put(at, bytes, length), at + POINTER_AT, native_leave);
	run_at(native, at, (uintptr_t)at + length);
}

void native_run_32(struct native *native, const uint8_t *bytes, unsigned length)
{
	uint8_t *at = next_slot(), *enter = code + ENTER_32_AT;
	uint16_t selector = USER_CS_32;

	set_mode(false);
	put_far_jump(put(at, bytes, length), low_address(code + LEAVE_32_AT), USER_CS_64);
	/* ljmpl *pointer(%rip) */
	put_u32(put(enter, "\xff\x2d", 2), POINTER_AT - 6);
	put(put_u32(enter + POINTER_AT, low_address(at)), &selector, sizeof(selector));
	run_at(native, enter, (uintptr_t)at + length);
	for (unsigned i = 0; i < 16; i++)
		native->gpr[i] &= UINT32_MAX;
}

bool native_runs_32(void)
{
	struct native native = {.rflags = 0};

	native_run_32(&native, (const uint8_t[]){0x90}, 1);
	return native.fault == NATIVE_NO_FAULT;
}

uint64_t native_xsave_mask(void)
{
	enum { X87 = 1, SSE = 2, AVX = 4, AVX512 = 0xe0, CPUID_OSXSAVE = 27 };
	static uint32_t low, high;

	if (!low) {
		low = X87 | SSE;
		if (native_has(1, 0, 2, CPUID_OSXSAVE))
			__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
		low &= X87 | SSE | AVX | AVX512;
	}
	return low;
}

struct native_component native_xsave_component(unsigned i)
{
	static struct native_component known[8];
	uint32_t unused;

	/* Asked once: under a hypervisor CPUID is slow. */
	if (!known[i].size && native_xsave_mask() >> i & 1)
		__cpuid_count(0xd, i, known[i].size, known[i].offset, unused, unused);
	return known[i];
}

bool native_has(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
	uint32_t r[4] = {0};

	return __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && r[reg] >> bit & 1;
}

bool native_is_intel(void)
{
	static uint32_t ebx;
	uint32_t eax, ecx, edx;

	if (!ebx)
		__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_INTEL_ebx;
}

unsigned native_rounds(void)
{
	const char *rounds = getenv("TRAPLINE_ROUNDS");
	unsigned long n = rounds ? strtoul(rounds, NULL, 10) : 1;

	return n > 0 ? (unsigned)n : 1;
}
