; SPDX-License-Identifier: MIT
; Task switches of 32-bit protected mode: by CALL, JMP, IRET and through gates, to and from TSSs of 32 and of 16 bits, to
; virtual-8086 mode, with other page tables and an LDT; by events, with their error codes; and with each fault that the
; new task's segments can have. SDM vol. 3, chapter 8. A flat image for 1 MiB in protected mode, and a kernel that GRUB
; boots: on a bare processor, where no exit is made of any of it, the same must hold. The exit code of a failure is the
; number of its step.

%include "guest/stubs/tasks/machine.inc"

bits 32
org 0x100000

	jmp start
align 4
header:					; Multiboot 1, with the addresses in it
	dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
	dd header, $$, 0, 0, start

align 8
gdt:	dq 0
CODE equ $ - gdt
	descriptor 0, 0xfffff, 0x9b, 0xc
DATA equ $ - gdt
	descriptor 0, 0xfffff, 0x93, 0xc
MAIN equ $ - gdt
	descriptor T_MAIN, 0x67, 0x89, 0
OTHER equ $ - gdt
	descriptor T_OTHER, 0x67, 0x89, 0
HANDLER equ $ - gdt
	descriptor T_HANDLER, 0x67, 0x89, 0
NARROW equ $ - gdt
	descriptor T_NARROW, 0x2b, 0x81, 0
GATE equ $ - gdt			; a task gate
	dw 0, OTHER, 0x8500, 0
TABLE equ $ - gdt
	descriptor LDT, 0x0f, 0x82, 0
NARROW_CODE equ $ - gdt
	descriptor 0x100000, 0xffff, 0x9b, 4
NARROW_DATA equ $ - gdt
	descriptor MEMORY, 0xffff, 0x93, 0
ABSENT equ $ - gdt
	descriptor 0, 0xfffff, 0x13, 0xc
ABSENT_CODE equ $ - gdt
	descriptor 0, 0xfffff, 0x1b, 0xc
READ_ONLY equ $ - gdt
	descriptor 0, 0xfffff, 0x91, 0xc
SHORT_CODE equ $ - gdt
	descriptor 0, 0xf, 0x9b, 4
PROGRAM_DATA equ $ - gdt		; of DPL 3
	descriptor 0, 0xfffff, 0xf3, 0xc
END equ $ - gdt
LOCAL equ 0x0c				; the second one of the LDT

gdtr:	dw END - 1
	dd gdt
idtr:	dw 0x1ff
	dd IDT

start:	cli
	cld
	mov esp, 0x90000
	lgdt [gdtr]
	mov ax, DATA
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	jmp CODE:.here
.here:	mov edi, MEMORY
	mov ecx, (MEMORY_END - MEMORY) / 4
	xor eax, eax
	rep stosd
	mov dword [LDT + 8], 0xffff		; LOCAL: data at 0
	mov dword [LDT + 12], 0x00cf9300
	xor ecx, ecx
.idt:	mov eax, unexpected
	mov [IDT + 8 * ecx], ax
	mov word [IDT + 8 * ecx + 2], CODE
	mov word [IDT + 8 * ecx + 4], 0x8e00
	shr eax, 16
	mov [IDT + 8 * ecx + 6], ax
	inc ecx
	cmp ecx, 64
	jb .idt
	lidt [idtr]
	mov edi, T_HANDLER
	mov eax, handle
	mov edx, HANDLER_STACK
	call make_tss
	mov ax, MAIN
	ltr ax
	call all
	; Once more with paging.
	mov eax, cr4
	or eax, CR4_PSE
	mov cr4, eax
	mov dword [DIRECTORY], 0x87
	mov dword [DIRECTORY + 4], 0x400083
	mov dword [DIRECTORY + 8], 0x83		; at SHOWN the first 4 MiB
	mov dword [OTHER_DIRECTORY], 0x87
	mov dword [OTHER_DIRECTORY + 4], 0x400083
	mov dword [OTHER_DIRECTORY + 8], 0x400083
	mov eax, DIRECTORY
	mov cr3, eax
	mov [T_MAIN + CR3], eax
	mov [T_HANDLER + CR3], eax
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	call all
	call page_tables
	mov esi, passed
	xor ebx, ebx
	jmp end

unexpected:
fail:	mov ebx, [current]
	mov eax, ebx
	mov edi, number
	call decimal
	mov esi, failed
end:	push ebx
	mov eax, 1
	cpuid
	pop ebx
	test ecx, ecx
	js .guest				; who says it there is the row of the guest
	call print
.guest:	mov eax, ebx
	mov edx, EXIT_PORT
	out dx, eax
	mov esi, shutdown
	mov edx, BOCHS_PORT
	mov ecx, 8
	rep outsb
	hlt

; Every switch that needs no paging.
all:	step 1				; CALL, and IRET back
	other called
	mov dword [T_OTHER + LDTR], TABLE
	mov dword [T_OTHER + GS], LOCAL
	mov ebx, 0x11223344
	stc
	call OTHER:0x12345678
.called:
	jnc near fail
	expect ebx, 0x11223344
	expect dword [T_MAIN + EIP], .called
	expect dword [T_OTHER + EIP], called.end
	expect dword [T_OTHER + EBX], 0x55667788
	expect_clear dword [T_OTHER + EFLAGS], RFLAGS_NT
	expect word [T_OTHER + GS], LOCAL
	expect_busy MAIN, 1
	expect_busy OTHER, 0
	str ax
	expect ax, MAIN
	pushfd
	pop eax
	expect_clear eax, RFLAGS_NT
	sldt ax
	expect ax, 0
	clts

	step 2				; JMP there and back, which nests nothing
	other jumped
	jmp OTHER:0
.jumped:
	expect_busy MAIN, 1
	expect_busy OTHER, 0
	expect word [T_OTHER + LINK], 0
	clts

	step 3				; CALL by a task gate
	other gated
	call GATE:0
.gated:	expect dword [T_MAIN + EIP], .gated
	clts

	step 4				; INT n by a task gate
	other gated
	task_gate 0x30, OTHER
	int 0x30
.interrupted:
	expect dword [T_MAIN + EIP], .interrupted
	expect_busy OTHER, 0
	clts

	step 5				; a fault with an error code by one
	task_gate 13, HANDLER
	mov dword [handled], 0
	mov ax, 0xfff8
.faults:
	mov es, ax
.faulted:
	expect dword [handled], 1
	expect dword [error], 0xfff8
	expect dword [place], .faults
	expect word [from], MAIN
	expect_busy HANDLER, 0
	clts

	step 6				; a double fault by one
	mov dword [IDT + 8 * 13 + 4], 0
	task_gate 8, HANDLER
	mov ax, 0xfff8
.faults_twice:
	mov es, ax
.faulted_twice:
	expect dword [handled], 2
	expect dword [error], 0
	expect dword [place], .faults_twice
	clts

	step 7				; T, and the breakpoints that are local to a task
	other trapped
	mov word [T_OTHER + TRAP], 1
	gate 1, CODE, debug
	mov eax, V86_AT
	mov dr0, eax
	mov eax, 0x703
	mov dr7, eax
	call OTHER:0
	mov eax, dr7
	expect eax, 0x602
	mov eax, 0x400
	mov dr7, eax
	xor eax, eax
	mov dr6, eax
	clts

	step 8				; a TSS of 16 bits, across the end of nothing
	mov edi, T_NARROW
	mov ecx, 0x2c / 4
	xor eax, eax
	rep stosd
	mov word [T_NARROW + 0x0e], narrow - $$
	mov word [T_NARROW + 0x10], 2
	mov word [T_NARROW + 0x12], 0xa3a4
	mov word [T_NARROW + 0x1a], NARROW_STACK
	mov word [T_NARROW + 0x22], DATA
	mov word [T_NARROW + 0x24], NARROW_CODE
	mov word [T_NARROW + 0x26], NARROW_DATA
	mov word [T_NARROW + 0x28], DATA
	call NARROW:0
	expect word [T_NARROW + 0x0e], narrow.end - $$
	expect word [T_NARROW + 0x12], 0x7788
	expect word [T_NARROW + 0x1a], NARROW_STACK
	expect_busy NARROW, 0
	clts

	step 9				; virtual-8086 mode, whose INT 31h ends it
	other 0
	mov dword [T_OTHER + EFLAGS], 2 | RFLAGS_VM | RFLAGS_IOPL
	mov word [T_OTHER + CS], V86_AT >> 4
	mov word [T_OTHER + SS], V86_AT >> 4
	mov dword [T_OTHER + ESP], 0x100
	mov dword [V86_AT], 0xcdc88c		; MOV AX, CS; INT 31h
	mov byte [V86_AT + 3], 0x31
	gate 0x31, CODE, virtual
	call OTHER:0
	expect_busy OTHER, 0
	free MAIN				; virtual came by JMP
	or byte [gdt + MAIN + 5], BUSY
	clts

	step 10				; the timer's interrupt by a task gate
	call timer
	task_gate 0x38, OTHER
	other ticked
	sti
	hlt
	cli
	expect dword [ticks], 1
	mov al, 0xff
	out 0x21, al
	mov dword [ticks], 0
	clts

; What is wrong with the new task it finds itself: #TS, #NP, #SS and #GP come by task gates, whose link says who it was.
	task_gate 10, HANDLER
	task_gate 11, HANDLER
	task_gate 12, HANDLER
	task_gate 13, HANDLER
%macro wrong 4-5 0			; step, field, selector, error code; vectors that it is not
	step %1
	other 0x1234
	mov word [T_OTHER + %2], %3
	mov dword [handled], 0
	mov byte [is_wrong], 1
	call OTHER:0
	expect dword [handled], 1
	expect dword [error], %4
	expect word [from], OTHER
	expect dword [place], 0x1234
	expect word [T_OTHER + %2], %3
	clts
%endmacro
	wrong 11, LDTR, LOCAL, LOCAL
	wrong 12, LDTR, DATA, DATA
	wrong 13, SS, 0, 0
	wrong 14, SS, READ_ONLY, READ_ONLY
	wrong 15, SS, PROGRAM_DATA, PROGRAM_DATA
	wrong 16, SS, DATA + 3, DATA
	wrong 17, SS, ABSENT, ABSENT
	wrong 18, DS, ABSENT, ABSENT
	wrong 19, ES, END, END
	wrong 20, GS, MAIN, MAIN
	wrong 21, CS, 0, 0
	wrong 22, CS, DATA, DATA
	wrong 23, CS, ABSENT_CODE, ABSENT_CODE
	wrong 24, CS, SHORT_CODE, 0
	wrong 25, DS, 0x14, 0x14
	mov byte [is_wrong], 0
	step 26				; what is not there, or too short, the old task finds
	other 0
	mov byte [gdt + OTHER], 0x66
	call .too_short
	mov byte [gdt + OTHER], 0x67
	expect dword [error], OTHER
	expect word [from], MAIN
	expect_busy OTHER, 0
	and byte [gdt + OTHER + 5], 0x7f
	call .too_short
	or byte [gdt + OTHER + 5], 0x80
	expect dword [error], OTHER
	expect word [from], MAIN
	; And a TSS that is busy.
	or byte [gdt + OTHER + 5], BUSY
	call .too_short
	free OTHER
	expect dword [error], OTHER
	clts
	mov eax, unexpected
	mov ecx, 10
.restore:
	mov [IDT + 8 * ecx], ax
	mov word [IDT + 8 * ecx + 2], CODE
	mov dword [IDT + 8 * ecx + 4], 0x108e00
	inc ecx
	cmp ecx, 14
	jb .restore
	ret
.too_short:
	mov dword [handled], 0
.faults_at:
	call OTHER:0
	expect dword [handled], 1
	expect dword [place], .faults_at
	ret

; With paging on: another CR3, and a page fault by a task gate, with CR2.
page_tables:
	step 30
	mov dword [IN_OTHER], 0
	other shown
	mov dword [T_OTHER + CR3], OTHER_DIRECTORY
	call OTHER:0
	expect dword [IN_OTHER], 0x600df00d
	mov eax, cr3
	expect eax, DIRECTORY
	mov eax, [T_MAIN + ESP]
	expect [SHOWN + ESP], eax
	clts
	step 31
	task_gate 14, HANDLER
	mov dword [handled], 0
	mov edx, NOWHERE
.faults:
	mov [edx], eax
	expect dword [handled], 1
	expect dword [error], 2
	expect dword [place], .faults
	mov eax, cr2
	expect eax, NOWHERE
	clts
	ret

%include "guest/stubs/tasks/others.inc"
%include "guest/stubs/tasks/building.inc"

current: dd 0
handled: dd 0
error:	dd 0
place:	dd 0
ticks:	dd 0
from:	dw 0
is_wrong: db 0
shutdown: db "Shutdown"
passed:	db "trapline: 1 guests passed, 0 failed", 10, 0
failed:	db "step "
number:	db "00 failed", 10, "trapline: 0 guests passed, 1 failed", 10, 0
