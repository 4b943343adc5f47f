; SPDX-License-Identifier: MIT
; The least that an exit handler can do: it saves the registers that it uses, skips the instruction, restores them and
; resumes. There is no map, no device and no check; what a real handler costs beyond this is its own. Linked into the image
; of the nested figures only.
bits 64
default rel

%define VMCS_EXIT_REASON 0x4402
%define VMCS_EXIT_INSTRUCTION_LENGTH 0x440c
%define VMCS_GUEST_RIP 0x681e
%define EXIT_REASON_EPT_MISCONFIGURATION 49

global test_bare_entry
extern vmx_exit_entry

section .text.hot progbits alloc exec nowrite align=16

; HOST_RIP while it is measured. The exits that end the measurement, and interrupts, are the ordinary handler's.
test_bare_entry:
	push rax
	push rcx
	push rdx
	mov eax, VMCS_EXIT_REASON
	vmread rcx, rax
	cmp ecx, EXIT_REASON_EPT_MISCONFIGURATION
	jne .other
	mov eax, VMCS_EXIT_INSTRUCTION_LENGTH
	vmread rcx, rax
	mov eax, VMCS_GUEST_RIP
	vmread rdx, rax
	add rdx, rcx
	vmwrite rax, rdx
	pop rdx
	pop rcx
	pop rax
	vmresume
	ud2
.other:
	pop rdx
	pop rcx
	pop rax
	jmp vmx_exit_entry
