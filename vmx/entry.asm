; SPDX-License-Identifier: MIT
; The world switch, and the loop around it.
;
; An exit saves the nine registers that a C call may change; the other six stay in the CPU, since C preserves them, and
; are saved only when a handler asks for it (VCPU_FULL, VCPU_MMIO), and loaded only when one of them has changed
; (VCPU_RELOAD, VCPU_RELOAD_RBX). So a fast exit moves nine registers, not fifteen.
;
; While the guest runs, [HOST_RSP] holds the vCPU's address.
bits 64
default rel

; struct tl_vcpu: registers in the hardware's numbering (vmx/vcpu.h asserts these).
%define RAX_AT 0
%define RCX_AT 8
%define RDX_AT 16
%define RBX_AT 24
%define RBP_AT 40
%define RSI_AT 48
%define RDI_AT 56
%define R8_AT 64
%define R9_AT 72
%define R10_AT 80
%define R11_AT 88
%define R12_AT 96
%define R13_AT 104
%define R14_AT 112
%define R15_AT 120
%define HOST_RSP_AT 136
%define LAUNCHED_AT 144
%define GUARDED_LAUNCHED_AT 152

; enum vcpu_action; VCPU_RESUME is 0, VCPU_MMIO alone is negative
%define VCPU_LEAVE 1
%define VCPU_FULL 2
%define VCPU_FAILED 4
%define VCPU_RELOAD 8
%define VCPU_RELOAD_RBX_BIT 4

%define VMCS_HOST_RSP 0x6c14

; The bits of vmx_guard (vmx/mitigation.h)
%define GUARD_VERW 1
%define GUARD_RSB 2
%define GUARD_BHI 4

%define RSB_ENTRIES 32
; More than any CPU keeps of taken branches that cannot leave them out of its predictions by itself (BHI_DIS_S).
%define HISTORY_BRANCHES 128

global vmx_run, vmx_exit_entry, vmx_exit_traced, vmx_exit_once, vmx_exit_guarded, vmx_exit_traced_guarded, vmx_take_interrupt
extern vmx_guard, vmx_guard_selector
extern vcpu_exit_fast, vcpu_exit, exit_mmio
extern vcpu_exit_traced, exit_mmio_traced, vcpu_trace_entry

section .text.hot progbits alloc exec nowrite align=16

%macro SAVE_PRESERVED 0
	mov [rdi + RBX_AT], rbx
	mov [rdi + RBP_AT], rbp
	mov [rdi + R12_AT], r12
	mov [rdi + R13_AT], r13
	mov [rdi + R14_AT], r14
	mov [rdi + R15_AT], r15
%endmacro

; The other nine, and RDI = the vCPU's address, as an exit finds the stack.
%macro SAVE_OTHERS 0
	push rdi
	mov rdi, [rsp + 8]
	mov [rdi + RAX_AT], rax
	mov [rdi + RCX_AT], rcx
	mov [rdi + RDX_AT], rdx
	mov [rdi + RSI_AT], rsi
	mov [rdi + R8_AT], r8
	mov [rdi + R9_AT], r9
	mov [rdi + R10_AT], r10
	mov [rdi + R11_AT], r11
	pop qword [rdi + RDI_AT]
%endmacro

%macro LOAD_PRESERVED 0
	mov rbx, [rdi + RBX_AT]
	mov rbp, [rdi + RBP_AT]
	mov r12, [rdi + R12_AT]
	mov r13, [rdi + R13_AT]
	mov r14, [rdi + R14_AT]
	mov r15, [rdi + R15_AT]
%endmacro

%macro LOAD_OTHERS 0
	mov rax, [rdi + RAX_AT]
	mov rcx, [rdi + RCX_AT]
	mov rdx, [rdi + RDX_AT]
	mov rsi, [rdi + RSI_AT]
	mov r8, [rdi + R8_AT]
	mov r9, [rdi + R9_AT]
	mov r10, [rdi + R10_AT]
	mov r11, [rdi + R11_AT]
	mov rdi, [rdi + RDI_AT]
%endmacro

; uint32_t vmx_run(struct tl_vcpu *vcpu)
vmx_run:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	push rdi
	cmp rsp, [rdi + HOST_RSP_AT]
	jne .set_host_rsp
.enter:
	cmp qword [rdi + LAUNCHED_AT], 0
	je .launch
.resume_full:
	LOAD_PRESERVED
.resume:
	LOAD_OTHERS
	vmresume
.failed:
	mov eax, VCPU_FAILED
.leave:
	pop rdi
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret
.set_host_rsp:
	mov [rdi + HOST_RSP_AT], rsp
	mov eax, VMCS_HOST_RSP
	vmwrite rax, rsp
	jbe .failed
	jmp .enter
.launch:
	cmp byte [vmx_guard], 0
	jne vmx_enter_guarded
	mov qword [rdi + LAUNCHED_AT], 1
	LOAD_PRESERVED
	LOAD_OTHERS
	vmlaunch
	jmp .failed

; After an exit. %1: the handler of fast ones, %2: that of accesses. %3, %4: where the guest is entered again from, with
; the preserved registers in the CPU or not. %5, if there is one: a macro that runs once the registers are saved.
%macro EXIT 4-5
	SAVE_OTHERS
%if %0 > 4
	%5
%endif
	call %1
	mov rdi, [rsp]
	test eax, eax
	jz %3
	js .mmio
	btr eax, VCPU_RELOAD_RBX_BIT
	jnc .rbx_is_right
	mov rbx, [rdi + RBX_AT]
	test eax, eax
	jz %3
.rbx_is_right:
	SAVE_PRESERVED
	cmp eax, VCPU_FULL
	jne vmx_run.leave
	call vcpu_exit
	mov rdi, [rsp]
	test eax, eax
	jz %4
	jmp vmx_run.leave
.mmio:
	SAVE_PRESERVED
	call %2
	mov rdi, [rsp]
	test eax, eax
	jz %3
	cmp eax, VCPU_RELOAD
	je %4
	jmp vmx_run.leave
%endmacro

align 16
vmx_exit_entry:
	EXIT vcpu_exit_fast, exit_mmio, vmx_run.resume, vmx_run.resume_full

align 16
vmx_exit_traced:
	EXIT vcpu_exit_traced, exit_mmio_traced, .resume, .resume_full
.resume:
	call vcpu_trace_entry
	mov rdi, [rsp]
	jmp vmx_run.resume
.resume_full:
	call vcpu_trace_entry
	mov rdi, [rsp]
	jmp vmx_run.resume_full

; ---- Where vmx_guard is not 0: LAUNCHED stays 0, so that vmx_run comes here ---------------------------------

; The last thing before the guest: what is in the CPU's buffers is overwritten. Only the form with a memory operand does.
%macro GUARD_ENTRY 0
	test byte [vmx_guard], GUARD_VERW
	jz %%done
	verw word [vmx_guard_selector]
%%done:
%endmacro

; Calls whose returns are never used: what the guest left in the return stack buffer is pushed out. Changes RAX. The LFENCE
; keeps the host's first return from being predicted before the calls are done (PBRSB).
%macro FILL_RSB 0
	test byte [vmx_guard], GUARD_RSB
	jz %%done
	mov eax, RSB_ENTRIES / 2
%%fill:
	call %%first
%%caught_first:
	pause
	lfence
	jmp %%caught_first
%%first:
	call %%second
%%caught_second:
	pause
	lfence
	jmp %%caught_second
%%second:
	dec eax
	jnz %%fill
	add rsp, RSB_ENTRIES * 8
	lfence
%%done:
%endmacro

; Taken branches, always the same: what the guest left in the branch history is pushed out. Changes RAX. The LFENCE keeps
; the loop from being left early by prediction.
%macro FILL_HISTORY 0
	test byte [vmx_guard], GUARD_BHI
	jz %%done
	mov eax, HISTORY_BRANCHES / 2
%%next:
	jmp %%taken
%%taken:
	dec eax
	jnz %%next
	lfence
%%done:
%endmacro

%macro GUARD_EXIT 0
	FILL_RSB
	FILL_HISTORY
%endmacro

vmx_enter_guarded:
	cmp qword [rdi + GUARDED_LAUNCHED_AT], 0
	jne .resume_full
	mov qword [rdi + GUARDED_LAUNCHED_AT], 1
	LOAD_PRESERVED
	LOAD_OTHERS
	GUARD_ENTRY
	vmlaunch
	jmp vmx_run.failed
.resume_full:
	LOAD_PRESERVED
.resume:
	LOAD_OTHERS
	GUARD_ENTRY
	vmresume
	jmp vmx_run.failed

align 16
vmx_exit_guarded:
	EXIT vcpu_exit_fast, exit_mmio, vmx_enter_guarded.resume, vmx_enter_guarded.resume_full, GUARD_EXIT

align 16
vmx_exit_traced_guarded:
	EXIT vcpu_exit_traced, exit_mmio_traced, .resume, .resume_full, GUARD_EXIT
.resume:
	call vcpu_trace_entry
	mov rdi, [rsp]
	jmp vmx_enter_guarded.resume
.resume_full:
	call vcpu_trace_entry
	mov rdi, [rsp]
	jmp vmx_enter_guarded.resume_full

section .text progbits alloc exec nowrite align=16

; HOST_RIP of a vCPU whose exits all end vmx_run(), with nothing done about them: the self-test's.
vmx_exit_once:
	SAVE_OTHERS
	mov rdi, [rsp]
	SAVE_PRESERVED
	mov eax, VCPU_LEAVE
	jmp vmx_run.leave

; void vmx_take_interrupt(uint64_t vector): the host's handler is entered as by its gate (SDM vol. 3, 6.14), with interrupts off and
; a frame for its IRETQ; but on the stack in use, whatever the gate says of the IST.
vmx_take_interrupt:
	sub rsp, 16
	sidt [rsp]
	mov rdx, [rsp + 2]
	add rsp, 16
	shl edi, 4
	add rdx, rdi
	movzx eax, word [rdx]
	mov ecx, [rdx + 4]
	and ecx, 0xffff0000
	or eax, ecx
	mov ecx, [rdx + 8]
	shl rcx, 32
	or rax, rcx
	mov rdx, rsp
	and rsp, -16
	mov ecx, ss
	push rcx
	push rdx
	pushfq
	mov ecx, cs
	push rcx
	call rax
	ret
