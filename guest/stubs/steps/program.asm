; SPDX-License-Identifier: MIT
; The program that is stepped through, and the list of where each step ends: in the order of execution, which is that of
; the text, since every handler stands behind the instruction that ends in it.
bits 64
default rel

%define DEVICE      0xd0000000		; BANK0 of guest/abi.h
%define NOT_MAPPED  0x123456789000
%define RFLAGS_USER 0x202		; IF
%define DR6_NONE    0xffff0ff0
%define DR7_NONE    0x400
%define DR7_WRITE_4 0xd0402

global steps_program, steps_syscall, steps_debug, steps_wanted, steps_wanted_end
global steps_bp, steps_int, steps_ud_at, steps_ud, steps_pf_at, steps_pf, steps_own_tf, steps_tf, steps_watch
global steps_interrupt, steps_after_ss, steps_after_sti
extern steps_frame, steps_pushed, steps_r11, steps_dr6, steps_cr2, steps_watched, steps_copied, steps_ss

section .rodata
align 8
steps_wanted:

section .text

; A step ends at this address.
%macro ENDS_AT 1
	[section .rodata]
	dq %1
	__SECT__
%endmacro

; A step ends here.
%macro ENDS 0
%%here:
	ENDS_AT %%here
%endmacro

; An instruction; the step before it ends there.
%macro S 1+
	ENDS
	%1
%endmacro

; %1: an enum frame. Keeps the return address and the flags that were pushed.
%macro FRAME 1
	S push qword [rsp]
	S pop qword [steps_frame + 16 * %1]
	S push qword [rsp + 16]
	S pop qword [steps_frame + 16 * %1 + 8]
%endmacro

; Returns to what is behind it.
%macro LEAVE_HANDLER 0
	S lea rax, [%%behind]
	S mov [rsp], rax
	S iretq
%%behind:
%endmacro

%macro RESET_DR6 0
	S mov eax, DR6_NONE
	S mov dr6, rax
%endmacro

; uint64_t steps_program(uint64_t step_call, uint64_t count, struct abi_step *steps, uint64_t interrupt_call): the answer to
; the first call
steps_program:
	push rbx
	push r12
	push r13
	push r14
	mov rax, rdi
	mov rbx, rsi
	mov r12, rcx
	mov rcx, rdx
	vmcall
	S mov r14, rax

	; Flags on the stack.
	S pushfq
	S pop qword [steps_pushed]
	S push 0x203
	S popfq
	S cli

	; Shadows.
	S mov ss, [steps_ss]
steps_after_ss:
	S nop
	S sti
steps_after_sti:
	S nop
	S cli

	; A branch to itself; repetitions, in memory and at a device.
	S mov ecx, 3
	ENDS
	ENDS
.again:
	S loop .again
	S lea rsi, [steps_watched]
	S lea rdi, [steps_copied]
	S mov ecx, 4
	ENDS
	ENDS
	ENDS
	S rep movsb
	S mov edi, DEVICE
	S mov ecx, 2
	ENDS
	S rep stosd

	; Instructions that the hypervisor does.
	S mov eax, [rdi]
	S xor eax, eax
	S cpuid
	S rdtsc
	S in al, 0x80

	; Exceptions, and an interrupt by software.
	S int3
steps_bp:
	FRAME 0
	LEAVE_HANDLER
	S int 0x80
steps_int:
	FRAME 1
	LEAVE_HANDLER
steps_ud_at:
	S ud2
steps_ud:
	FRAME 2
	LEAVE_HANDLER
	S mov rdi, NOT_MAPPED
steps_pf_at:
	S mov eax, [rdi]
steps_pf:
	S add rsp, 8
	S mov rax, cr2
	S mov [steps_cr2], rax
	FRAME 3
	LEAVE_HANDLER

	; The program's own TF traps behind the instruction after POPF, and its breakpoint behind the one that writes.
	S pushfq
	S or dword [rsp], 0x100
	S lea r13, [steps_tf]
	S popfq
steps_own_tf:
	S nop
	ENDS
	ENDS_AT steps_debug
steps_tf:
	FRAME 4
	S and dword [rsp + 16], ~0x100
	S mov rax, dr6
	S mov [steps_dr6], rax
	RESET_DR6
	LEAVE_HANDLER
	S lea rax, [steps_watched]
	S mov dr0, rax
	S mov eax, DR7_WRITE_4
	S mov dr7, rax
	S lea r13, [steps_watch]
	S mov dword [steps_watched], 5
	ENDS
	ENDS_AT steps_debug
steps_watch:
	FRAME 5
	S mov rax, dr6
	S mov [steps_dr6 + 8], rax
	RESET_DR6
	S mov eax, DR7_NONE
	S mov dr7, rax
	LEAVE_HANDLER

	; An interrupt, which the shadow of STI holds back for one instruction.
	S mov eax, r12d
	S xor ebx, ebx
	S mov ecx, 0x40
	S vmcall
	S sti
	S nop
	ENDS
steps_interrupt:
	FRAME 6
	S and dword [rsp + 16], ~0x200
	LEAVE_HANDLER

	; Into the kernel, to a process, and back.
	S lea r13, [.in_kernel]
	S syscall
	ENDS_AT steps_syscall
.in_kernel:
	S mov [steps_r11], r11
	S lea rcx, [.in_process]
	S mov r11d, RFLAGS_USER
	S lea r13, [.in_kernel_again]
	S o64 sysret
.in_process:
	S pushfq
	S pop qword [steps_pushed + 8]
	S syscall
	ENDS_AT steps_syscall
.in_kernel_again:
	S mov [steps_r11 + 8], r11
	S nop
	ENDS

	mov rax, r14
	pop r14
	pop r13
	pop r12
	pop rbx
	ret

; Where one address is all that the processor is told.
steps_syscall:
	jmp r13
steps_debug:
	jmp r13

section .rodata
steps_wanted_end:
