; SPDX-License-Identifier: MIT
;
; Where the other processors start. A start-up IPI makes one run real-mode code at a page below 1 MiB (SDM vol. 3,
; 9.4.4): boot/smp.c copies ap_trampoline there. The rest is ordinary code of the image: protected mode, long mode with
; the tables of boot/start.asm, then the host's own, and ap_main().
;
; A processor that answers late must not take what another one was meant to get: it takes the address of its struct
; host_cpu by an exchange, and stops for good where there is none any more.

default rel

%include "boot/cpu.inc"

EFER_NXE             equ 1 << 11
CODE64               equ 8
DATA                 equ 16
CODE32               equ 24

global ap_trampoline, ap_trampoline_end, ap_cpu, ap_stack, ap_tables
extern early_pml4, ap_main

section .rodata align=8

ap_gdt:
	dq 0
	dq 0x00AF9A000000FFFF           ; CODE64
	dq 0x00CF92000000FFFF           ; DATA
	dq 0x00CF9A000000FFFF           ; CODE32
ap_gdt_end:

; Runs at offset 0 of the page that CS says.
bits 16
ap_trampoline:
	cli
	cld
	mov ax, cs
	mov ds, ax
	o32 lgdt [ap_gdtr - ap_trampoline]
	mov eax, cr0
	and eax, ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW)
	or eax, CR0_PE
	mov cr0, eax
	jmp dword CODE32:ap_start32
align 4, db 0
ap_gdtr:
	dw ap_gdt_end - ap_gdt - 1
	dd ap_gdt
ap_trampoline_end:

section .text
bits 32

ap_start32:
	mov ax, DATA
	mov ds, ax
	mov es, ax
	mov ss, ax
	xor edi, edi
	xchg edi, [ap_cpu]              ; the argument of ap_main(); XCHG is locked by itself
	test edi, edi
	jz .late
	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, early_pml4
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME | EFER_NXE     ; boot/paging.c has seen that there is NX
	wrmsr
	mov eax, cr0
	or eax, CR0_PG | CR0_WP | CR0_NE | CR0_MP
	mov cr0, eax
	jmp CODE64:ap_start64
.late:
	cli
	hlt
	jmp .late

bits 64

ap_start64:
	xor eax, eax
	mov fs, ax
	mov gs, ax
	mov rax, [ap_tables]
	mov cr3, rax
	mov rsp, [ap_stack]
	mov edi, edi                    ; the upper half is undefined after the change of mode
	xor ebp, ebp
	call ap_main
	ud2

section .data align=8
ap_cpu:		dd 0                    ; the image lies below 4 GiB
		dd 0
ap_stack:	dq 0
ap_tables:	dq 0

section .note.GNU-stack noalloc noexec nowrite progbits
