; SPDX-License-Identifier: MIT
; The programs: a row an instruction, three times, for 16-, 32- and 64-bit code. struct row of rows.h.

%define T_CPL0      (1 << 0)		; enum row_traits
%define T_STACK     (1 << 1)
%define T_PUSHES    (1 << 2)
%define T_COUNT     (1 << 3)
%define T_BITS      (1 << 4)
%define T_STATE     (1 << 5)
%define T_TABLE     (1 << 6)
%define T_DIVIDES   (1 << 7)
%define T_STRING    (1 << 8)
%define T_NO_DEVICE (1 << 9)
%define T_NOT_REAL  (1 << 10)
%define T_PARTIAL   (1 << 11)
%define T_NO_AC     (1 << 12)
%define T_MASKED    (1 << 13)
%define T_ENDS      (1 << 14)

%macro NUMBERED 1-*			; enum row_fill, enum row_feature
	%assign number 0
	%rep %0
	%1 equ number
	%assign number number + 1
	%rotate 1
	%endrep
%endmacro
NUMBERED FILL_NONE, FILL_CODE, FILL_FAR_CODE, FILL_FAR_DATA, FILL_SELECTOR, FILL_GDT, FILL_IDT, FILL_LDT, FILL_TSS, \
	FILL_MSW, FILL_FLAGS, FILL_EQUAL, FILL_SAME, FILL_BOUNDS, FILL_MXCSR, FILL_FLOAT
NUMBERED ANY_CPU, SSE3, SSE41, SSE42, HAS_MOVBE, HAS_POPCNT, AVX, AVX2, BMI1, BMI2, HAS_LZCNT, ADX, AVX512F, AVX512BW, \
	AVX512DQ, HAS_MOVDIRI, HAS_MOVDIR64B

%define CF 0x001
%define PF 0x004
%define AF 0x010
%define ZF 0x040
%define SF 0x080
%define OF 0x800

%include "guest/stubs/insns/rows_macros.inc"

section .rodata.names
section .rodata.programs
default abs
section .rodata.rows align=32
global rows16, rows16_end, rows32, rows32_end, rows64, rows64_end

%define BITS 16
bits 16
%define M di
%define S si
%define B bx
%define C cx
%define WINDOW 0		; where it is, from the segment's base on
rows16:
%include "guest/stubs/insns/rows_all.inc"
section .rodata.rows
rows16_end:

%define BITS 32
bits 32
%define M edi
%define S esi
%define B ebx
%define C ecx
rows32:
%include "guest/stubs/insns/rows_all.inc"
section .rodata.rows
rows32_end:

%define BITS 64
bits 64
default abs
%define M rdi
%define S rsi
%define B rbx
%define C rcx
%define WINDOW 0x40000000
rows64:
%include "guest/stubs/insns/rows_all.inc"
%include "guest/stubs/insns/rows_avx512.inc"
section .rodata.rows
rows64_end:

section .note.GNU-stack noalloc noexec nowrite progbits
