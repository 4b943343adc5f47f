; SPDX-License-Identifier: MIT
; Into a program of long and of protected mode, and out of it by the exception that ends it. Its state is at STATE, before
; and after.
%include "guest/stubs/insns/enter.inc"

global machine_enter_long, machine_enter_legacy, to_long
global machine_vectors64, machine_vectors32
extern real

; Whether the CPU pushes an error code with exception %1. SDM vol. 3, table 6-1.
%define HAS_ERROR(n) ((n) == 8 || ((n) >= 10 && (n) <= 14) || (n) == 17 || (n) == 21 || (n) == 29 || (n) == 30)

; What a C function must keep, and where to come back to.
%macro KEEP 0
	pushfq
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [H_STACK], rsp
%endmacro

section .text
bits 64
default abs
machine_enter_long:
	KEEP
	; To a stack of 16 bits IRET gives the upper half of this one's address.
	mov esp, LOW_STACK
	movzx eax, word [S_SS]
	push rax
	push qword [S_RSP]
	push qword [S_RFLAGS]
	movzx eax, word [S_CS]
	push rax
	push qword [S_RIP]
	xor eax, eax
	mov cr2, rax
	mov es, [S_ES]
	mov ds, [S_DS]
	mov fs, [S_FS]
	mov gs, [S_GS]
	mov rax, [S_RAX]
	mov rcx, [S_RCX]
	mov rdx, [S_RDX]
	mov rbx, [S_RBX]
	mov rbp, [S_RBP]
	mov rsi, [S_RSI]
	mov rdi, [S_RDI]
%assign n 8
%rep 8
	mov r%+n, [S_R8 + 8 * (n - 8)]
	%assign n n + 1
%endrep
	iretq

align 16
machine_vectors64:
%assign n 0
%rep 32
	align 16
	%if !HAS_ERROR(n)
	push 0
	%endif
	push n
	jmp save64
	%assign n n + 1
%endrep

; On the stack, one of the TSS: the vector, then what the CPU pushed, with an error code.
save64:
	mov [S_RAX], rax
	mov [S_RCX], rcx
	mov [S_RDX], rdx
	mov [S_RBX], rbx
	mov [S_RBP], rbp
	mov [S_RSI], rsi
	mov [S_RDI], rdi
%assign n 8
%rep 8
	mov [S_R8 + 8 * (n - 8)], r%+n
	%assign n n + 1
%endrep
	pop qword [S_VECTOR]
	pop qword [S_ERROR]
	pop qword [S_RIP]
	pop rax
	mov [S_CS], ax
	pop qword [S_RFLAGS]
	pop qword [S_RSP]
	pop rax
	mov [S_SS], ax
	mov rax, cr2
	mov [S_CR2], rax
	mov [S_ES], es
	mov [S_DS], ds
	mov [S_FS], fs
	mov [S_GS], gs
	sldt [S_LDTR]
	str [S_TR]
	sgdt [S_GDTR]
	sidt [S_IDTR]
	smsw [S_MSW]
	lgdt [H_GDT]

back_in_long:
	mov eax, DATA_0
	mov ds, ax
	mov es, ax
	mov ss, ax
	lidt [H_IDT]
	xor eax, eax
	lldt ax
	mov rax, [H_TSS64]
	and byte [rax], ~TSS_BUSY
	mov eax, TSS64
	ltr ax
	smsw ax
	cmp ax, [H_CR0]
	je .cr0_is_right
	mov rax, [H_CR0]
	mov cr0, rax
.cr0_is_right:
	mov rsp, [H_STACK]
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	popfq
	ret

machine_enter_legacy:
	KEEP
	mov esp, LOW_STACK
	push CODE32_0
	push legacy
	retfq

; What real mode reaches.
section .low progbits alloc exec nowrite align=16
bits 32
legacy:
	mov ax, DATA_0
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax
	mov ecx, MSR_EFER
	rdmsr
	and eax, ~EFER_LME
	wrmsr
	xor eax, eax
	mov cr2, eax
	cmp byte [H_KIND], MACHINE_REAL
	je real
	lidt [H_IDT32]
	mov eax, [H_TSS32]
	and byte [eax], ~TSS_BUSY
	mov ax, TSS32
	ltr ax
	cmp byte [H_KIND], MACHINE_PAGING
	jne .enter
	mov eax, [H_CR3_LEGACY]
	mov cr3, eax
	mov eax, cr4
	and eax, ~CR4_PAE
	or eax, CR4_PSE
	mov cr4, eax
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
.enter:
	movzx eax, word [S_SS]
	push eax
	push dword [S_RSP]
	push dword [S_RFLAGS]
	movzx eax, word [S_CS]
	push eax
	push dword [S_RIP]
	mov es, [S_ES]
	mov fs, [S_FS]
	mov gs, [S_GS]
	mov ds, [S_DS]
	mov eax, [cs:S_RAX]
	mov ecx, [cs:S_RCX]
	mov edx, [cs:S_RDX]
	mov ebx, [cs:S_RBX]
	mov ebp, [cs:S_RBP]
	mov esi, [cs:S_RSI]
	mov edi, [cs:S_RDI]
	iretd

align 16
machine_vectors32:
%assign n 0
%rep 32
	align 16
	%if !HAS_ERROR(n)
	push 0
	%endif
	push n
	jmp save32
	%assign n n + 1
%endrep

save32:
	push ds
	push eax
	mov ax, DATA_0
	mov ds, ax
	pop dword [S_RAX]
	pop eax
	mov [S_DS], ax
	mov [S_RCX], ecx
	mov [S_RDX], edx
	mov [S_RBX], ebx
	mov [S_RBP], ebp
	mov [S_RSI], esi
	mov [S_RDI], edi
	pop dword [S_VECTOR]
	pop dword [S_ERROR]
	pop dword [S_RIP]
	pop eax
	mov [S_CS], ax
	pop dword [S_RFLAGS]
	pop dword [S_RSP]
	pop eax
	mov [S_SS], ax
	mov eax, cr2
	mov [S_CR2], eax
	mov [S_ES], es
	mov [S_FS], fs
	mov [S_GS], gs
	mov eax, cr0
	mov [S_MSW], ax
	and eax, ~CR0_PG
	mov cr0, eax

to_long:
	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, [H_CR3]
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp CODE64_0:back_in_long

section .note.GNU-stack noalloc noexec nowrite progbits
