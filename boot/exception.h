/* SPDX-License-Identifier: MIT */
#ifndef BOOT_EXCEPTION_H
#define BOOT_EXCEPTION_H

#include <stdint.h>

/* As boot/start.asm pushes it, the last word pushed first. */
struct exception_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

_Static_assert(sizeof(struct exception_frame) == 22 * 8, "15 registers, 2 words of the stub, 5 of the processor");

/* Prints the exception, the registers and a backtrace, and ends the run: but for some machine checks
 * (boot/machine_check.h) the host has no exception it could survive. */
_Noreturn void exception_handle(const struct exception_frame *frame);

#endif
