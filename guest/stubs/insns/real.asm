; SPDX-License-Identifier: MIT
; Into a program of real mode, and out of it.
%include "guest/stubs/insns/enter.inc"

global real, machine_vectors16, machine_end16, machine_end16_end
extern to_long

section .low progbits alloc exec nowrite align=16
bits 32
; The bases of the segments stay when protection is turned off: they are the window's, though the selectors do not say so.
real:
	lidt [H_IVT]
	jmp CODE16_0:.protected
bits 16
.protected:
	mov ss, [cs:S_SS]
	mov es, [cs:S_ES]
	mov fs, [cs:S_FS]
	mov gs, [cs:S_GS]
	mov ds, [cs:S_DS]
	mov eax, cr0
	and al, ~CR0_PE
	mov cr0, eax
	jmp 0:.real
.real:
	; The flags, without a stack: DF, then OF by an addition, then the others.
	cld
	test byte [cs:S_RFLAGS + 1], 1 << 2
	jz .forward
	std
.forward:
	mov al, [cs:S_RFLAGS + 1]
	and al, 1 << 3
	add al, 0x78
	mov ah, [cs:S_RFLAGS]
	sahf
	mov eax, [cs:S_RAX]
	mov ecx, [cs:S_RCX]
	mov edx, [cs:S_RDX]
	mov ebx, [cs:S_RBX]
	mov esp, [cs:S_RSP]
	mov ebp, [cs:S_RBP]
	mov esi, [cs:S_RSI]
	mov edi, [cs:S_RDI]
	jmp word [cs:S_RIP]

align 16
machine_vectors16:
%assign n 0
%rep 32
	align 16
	push n
	jmp save16
	%assign n n + 1
%endrep

; What ends a program of real mode has left its stack, which may be a device's, for another.
machine_end16:
	mov [cs:S_RSP], esp
	mov [cs:S_SS], ss
	lss esp, [cs:H_REAL_STACK]
	int3
machine_end16_end:

save16:
	mov [cs:S_RAX], eax
	mov [cs:S_RCX], ecx
	mov [cs:S_RDX], edx
	mov [cs:S_RBX], ebx
	mov [cs:S_RBP], ebp
	mov [cs:S_RSI], esi
	mov [cs:S_RDI], edi
	pop word [cs:S_VECTOR]
	pop word [cs:S_RIP]
	pop word [cs:S_CS]
	pop word [cs:S_RFLAGS]
	cmp byte [cs:S_VECTOR], VECTOR_BP
	je .stack_is_saved
	mov [cs:S_RSP], esp
	mov [cs:S_SS], ss
.stack_is_saved:
	mov [cs:S_ES], es
	mov [cs:S_DS], ds
	mov [cs:S_FS], fs
	mov [cs:S_GS], gs
	o32 sgdt [cs:S_GDTR]
	o32 sidt [cs:S_IDTR]
	smsw [cs:S_MSW]
	o32 lgdt [cs:H_GDT]
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	jmp dword CODE32_0:.protected
bits 32
.protected:
	mov ax, DATA_0
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, LOW_STACK
	jmp to_long

section .note.GNU-stack noalloc noexec nowrite progbits
