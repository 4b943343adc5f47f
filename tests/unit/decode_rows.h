/* SPDX-License-Identifier: MIT */
/* Instructions as text for the assembler, and what decoding them must give. */
#ifndef UNIT_DECODE_ROWS_H
#define UNIT_DECODE_ROWS_H

#include "mmio/decode.h"
#include <trapline.h>

/* A row is a line. */
/* clang-format off */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R12 = 12, R13, R14, R15, NONE = INSN_NO_REGISTER };

/* Operation, memory size, register size, register; the address: base, index, scale, disp. */
#define OP(what, m, r, reg_) .op = INSN_##what, .memory_size = (m), .register_size = (r), .reg = (reg_)
#define AT(b, i, s, d)	     .base = (b), .index = (i), .scale = (s), .disp = (d)
#define IMM(m, value)	     .op = INSN_STORE_IMM, .memory_size = (m), .reg = NONE, .imm = (value)
#define A64		     .segment = TL_DS, .address_size = 8
#define S64		     .segment = TL_SS, .address_size = 8
#define A32		     .segment = TL_DS, .address_size = 4
#define S32		     .segment = TL_SS, .address_size = 4
#define A16		     .segment = TL_DS, .address_size = 2
#define S16		     .segment = TL_SS, .address_size = 2

#define ROWS_64(ROW) \
	ROW("movb %al, (%rbx)", OP(STORE, 1, 1, RAX), AT(RBX, NONE, 0, 0), A64) \
	ROW("movb %bh, (%rbx)", OP(STORE, 1, 1, RBX), .high_byte = 1, AT(RBX, NONE, 0, 0), A64) \
	ROW("movb %dil, (%rbx)", OP(STORE, 1, 1, RDI), AT(RBX, NONE, 0, 0), A64) \
	ROW("movb %r15b, 8(%r12)", OP(STORE, 1, 1, R15), AT(R12, NONE, 0, 8), A64) \
	ROW("movw %dx, (%rsi)", OP(STORE, 2, 2, RDX), AT(RSI, NONE, 0, 0), A64) \
	ROW("movl %edx, (%rsp)", OP(STORE, 4, 4, RDX), AT(RSP, NONE, 0, 0), S64) \
	ROW("movq %rdx, (%rbp)", OP(STORE, 8, 8, RDX), AT(RBP, NONE, 0, 0), S64) \
	ROW("movq %rdx, (%r13)", OP(STORE, 8, 8, RDX), AT(R13, NONE, 0, 0), A64) \
	ROW("movb (%rax), %ah", OP(LOAD, 1, 1, RAX), .high_byte = 1, AT(RAX, NONE, 0, 0), A64) \
	ROW("movb (%rax), %spl", OP(LOAD, 1, 1, RSP), AT(RAX, NONE, 0, 0), A64) \
	ROW("movw -1(%rax), %r9w", OP(LOAD, 2, 2, R9), AT(RAX, NONE, 0, -1), A64) \
	ROW("movl 0x12345678(%rax), %ecx", OP(LOAD, 4, 4, RCX), AT(RAX, NONE, 0, 0x12345678), A64) \
	ROW("movq -0x12345678(%r8,%r12,8), %r14", OP(LOAD, 8, 8, R14), AT(R8, R12, 3, -0x12345678), A64) \
	ROW("movl (,%rcx,4), %ecx", OP(LOAD, 4, 4, RCX), AT(NONE, RCX, 2, 0), A64) \
	ROW("movl 0x1000, %ecx", OP(LOAD, 4, 4, RCX), AT(NONE, NONE, 0, 0x1000), A64) \
	ROW("movl 0x1000(%rip), %ecx", OP(LOAD, 4, 4, RCX), AT(NONE, NONE, 0, 0x1000), .rip_relative = 1, A64) \
	ROW("movl -8(%eip), %ecx", OP(LOAD, 4, 4, RCX), AT(NONE, NONE, 0, -8), .rip_relative = 1, A32) \
	ROW("movl (%ebx,%esi,2), %ecx", OP(LOAD, 4, 4, RCX), AT(RBX, RSI, 1, 0), A32) \
	ROW("movl %fs:(%rbx), %ecx", OP(LOAD, 4, 4, RCX), AT(RBX, NONE, 0, 0), .segment = TL_FS, .address_size = 8) \
	ROW("movl %gs:8, %ecx", OP(LOAD, 4, 4, RCX), AT(NONE, NONE, 0, 8), .segment = TL_GS, .address_size = 8) \
	ROW("movabsb 0x1122334455667788, %al", OP(LOAD, 1, 1, RAX), AT(NONE, NONE, 0, 0x1122334455667788), A64) \
	ROW("movabsl 0x1122334455667788, %eax", OP(LOAD, 4, 4, RAX), AT(NONE, NONE, 0, 0x1122334455667788), A64) \
	ROW("movabsq %rax, 0x1122334455667788", OP(STORE, 8, 8, RAX), AT(NONE, NONE, 0, 0x1122334455667788), A64) \
	ROW("movabsw %ax, %gs:0xfedcba9876543210", OP(STORE, 2, 2, RAX), \
	    AT(NONE, NONE, 0, (int64_t)0xfedcba9876543210), .segment = TL_GS, .address_size = 8) \
	ROW(".byte 0x67, 0xa3, 0x98, 0xba, 0xdc, 0xfe", OP(STORE, 4, 4, RAX), AT(NONE, NONE, 0, 0xfedcba98), A32) \
	ROW("movb $0x80, (%rdi)", IMM(1, 0x80), AT(RDI, NONE, 0, 0), A64) \
	ROW("movw $0x8001, 1(%rdi)", IMM(2, 0x8001), AT(RDI, NONE, 0, 1), A64) \
	ROW("movl $0x80000001, 1(%rdi)", IMM(4, 0x80000001), AT(RDI, NONE, 0, 1), A64) \
	ROW("movq $-2, 0x100(%rdi)", IMM(8, ~1ull), AT(RDI, NONE, 0, 0x100), A64) \
	ROW("movl $7, 0x100(%rip)", IMM(4, 7), AT(NONE, NONE, 0, 0x100), .rip_relative = 1, A64) \
	ROW("movzbw (%rax), %cx", OP(LOAD, 1, 2, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movzbl (%rax), %ecx", OP(LOAD, 1, 4, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movzbq (%rax), %rsp", OP(LOAD, 1, 8, RSP), AT(RAX, NONE, 0, 0), A64) \
	ROW("movzwl (%rax), %ecx", OP(LOAD, 2, 4, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movzwq (%rax), %r9", OP(LOAD, 2, 8, R9), AT(RAX, NONE, 0, 0), A64) \
	ROW("movsbw (%rax), %cx", OP(LOAD_SX, 1, 2, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movsbl (%rax), %esi", OP(LOAD_SX, 1, 4, RSI), AT(RAX, NONE, 0, 0), A64) \
	ROW("movsbq (%rax), %rcx", OP(LOAD_SX, 1, 8, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movswl (%rax), %ecx", OP(LOAD_SX, 2, 4, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movswq (%rax), %rcx", OP(LOAD_SX, 2, 8, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movslq (%rax), %rcx", OP(LOAD_SX, 4, 8, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movntil %ecx, (%rax)", OP(STORE, 4, 4, RCX), AT(RAX, NONE, 0, 0), A64) \
	ROW("movntiq %r8, (%rax)", OP(STORE, 8, 8, R8), AT(RAX, NONE, 0, 0), A64)

#define ROWS_32(ROW) \
	ROW("movb %ch, (%ebx)", OP(STORE, 1, 1, RCX), .high_byte = 1, AT(RBX, NONE, 0, 0), A32) \
	ROW("movw %di, 4(%ebp)", OP(STORE, 2, 2, RDI), AT(RBP, NONE, 0, 4), S32) \
	ROW("movl %edi, (%esp,%eax,2)", OP(STORE, 4, 4, RDI), AT(RSP, RAX, 1, 0), S32) \
	ROW("movl %edi, %ds:(%esp)", OP(STORE, 4, 4, RDI), AT(RSP, NONE, 0, 0), A32) \
	ROW("movl %es:0x10(,%ebp,8), %esi", OP(LOAD, 4, 4, RSI), AT(NONE, RBP, 3, 0x10), .segment = TL_ES, \
	    .address_size = 4) \
	ROW("movl %cs:0x87654321, %esi", OP(LOAD, 4, 4, RSI), AT(NONE, NONE, 0, (int32_t)0x87654321), \
	    .segment = TL_CS, .address_size = 4) \
	ROW("movl 0x87654321, %eax", OP(LOAD, 4, 4, RAX), AT(NONE, NONE, 0, 0x87654321), A32) \
	ROW("movw %ax, %ss:0x10", OP(STORE, 2, 2, RAX), AT(NONE, NONE, 0, 0x10), S32) \
	ROW("movl (%bx,%si), %ecx", OP(LOAD, 4, 4, RCX), AT(RBX, RSI, 0, 0), A16) \
	ROW("movl $-1, 0x10(%bp)", IMM(4, 0xffffffff), AT(RBP, NONE, 0, 0x10), S16) \
	ROW("movsbl (%eax), %ebx", OP(LOAD_SX, 1, 4, RBX), AT(RAX, NONE, 0, 0), A32) \
	ROW("movzwl (%eax), %ebx", OP(LOAD, 2, 4, RBX), AT(RAX, NONE, 0, 0), A32) \
	ROW("movnti %ebx, (%eax)", OP(STORE, 4, 4, RBX), AT(RAX, NONE, 0, 0), A32)

#define ROWS_16(ROW) \
	ROW("movb %dh, (%bx)", OP(STORE, 1, 1, RDX), .high_byte = 1, AT(RBX, NONE, 0, 0), A16) \
	ROW("movw %di, (%bx,%si)", OP(STORE, 2, 2, RDI), AT(RBX, RSI, 0, 0), A16) \
	ROW("movw %di, 1(%bx,%di)", OP(STORE, 2, 2, RDI), AT(RBX, RDI, 0, 1), A16) \
	ROW("movw %di, -1(%bp,%si)", OP(STORE, 2, 2, RDI), AT(RBP, RSI, 0, -1), S16) \
	ROW("movw %di, 0x1234(%bp,%di)", OP(STORE, 2, 2, RDI), AT(RBP, RDI, 0, 0x1234), S16) \
	ROW("movw (%si), %di", OP(LOAD, 2, 2, RDI), AT(RSI, NONE, 0, 0), A16) \
	ROW("movw %es:(%di), %di", OP(LOAD, 2, 2, RDI), AT(RDI, NONE, 0, 0), .segment = TL_ES, .address_size = 2) \
	ROW("movl 0x1234, %ecx", OP(LOAD, 4, 4, RCX), AT(NONE, NONE, 0, 0x1234), A16) \
	ROW("movw 0xfffe, %ax", OP(LOAD, 2, 2, RAX), AT(NONE, NONE, 0, 0xfffe), A16) \
	ROW("movl %eax, %gs:0xfffe", OP(STORE, 4, 4, RAX), AT(NONE, NONE, 0, 0xfffe), .segment = TL_GS, \
	    .address_size = 2) \
	ROW("movl %ecx, 4(%ebp,%edx,4)", OP(STORE, 4, 4, RCX), AT(RBP, RDX, 2, 4), S32) \
	ROW("movw $0x1234, (%bp)", IMM(2, 0x1234), AT(RBP, NONE, 0, 0), S16) \
	ROW("movl $0x12345678, (%si)", IMM(4, 0x12345678), AT(RSI, NONE, 0, 0), A16) \
	ROW("movb $0x12, -2(%di)", IMM(1, 0x12), AT(RDI, NONE, 0, -2), A16) \
	ROW("movzbw (%si), %bx", OP(LOAD, 1, 2, RBX), AT(RSI, NONE, 0, 0), A16) \
	ROW("movswl (%si), %ebx", OP(LOAD_SX, 2, 4, RBX), AT(RSI, NONE, 0, 0), A16) \
	ROW("movnti %ebx, (%si)", OP(STORE, 4, 4, RBX), AT(RSI, NONE, 0, 0), A16)

#endif
