/* SPDX-License-Identifier: MIT */
/*
 * One instruction on this machine's CPU: registers, flags and, if wanted, the XSAVE state are loaded, the instruction
 * is executed, and everything is stored again. What faults is caught, with the CPU's vector. It sees ordinary memory:
 * native_memory, below 2 GiB so that every addressing form reaches it, with pages around it that no access may touch.
 */
#ifndef UNIT_NATIVE_H
#define UNIT_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NATIVE_MEMORY_BYTES = 6 * 4096,
	NATIVE_NO_FAULT = -1,
	NATIVE_XSAVE_BYTES = 4096, /* room for the components of native_xsave_mask() */
	NATIVE_PADS = 16,
};

struct native {
	uint64_t gpr[16]; /* in the hardware's numbering; RSP is loaded too */
	uint64_t rflags;
	uint64_t rip; /* out: the instruction's own if it faulted, else where it went */
	/* In XSAVE's standard format, 64-byte aligned; NULL: the state is what it happens to be. */
	const uint8_t *xsave_before;
	uint8_t *xsave_after;
	/* Out: the vector of the exception or NATIVE_NO_FAULT; the error code and CR2 that Linux tells. */
	int fault;
	uint64_t error_code, fault_address;
};

extern uint8_t *native_memory;

/*
 * Makes the sandbox, and takes the signals. Ends the process if the machine refuses. To be called at the beginning of
 * each test: cmocka takes the signals before it.
 */
void native_start(void);

/* The address that the next native_run() executes from. */
uint64_t native_code(void);

/* An address that an instruction may jump to: rip is then this. */
uint64_t native_pad(unsigned i);

/* Executes `length` bytes at native_code(). A run costs about half a microsecond, a fault several. */
void native_run(struct native *native, const uint8_t *bytes, unsigned length);

/* The same for 32-bit code: only the low halves of the first 8 registers count. */
void native_run_32(struct native *native, const uint8_t *bytes, unsigned length);
/* Whether the kernel has a segment for it. */
bool native_runs_32(void);

/* XCR0, as far as the library knows the components. */
uint64_t native_xsave_mask(void);

/* A component's place in the XSAVE area and its size; 0: this CPU has none. */
struct native_component {
	uint32_t offset, size;
};
struct native_component native_xsave_component(unsigned i);

/* Bit `bit` of a register (0 EAX, 1 EBX, 2 ECX, 3 EDX) of a CPUID leaf. */
bool native_has(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit);
bool native_is_intel(void);

/* TRAPLINE_ROUNDS of the environment, 1 without: how many times as long a test runs. */
unsigned native_rounds(void);

#endif
