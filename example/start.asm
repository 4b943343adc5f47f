; SPDX-License-Identifier: MIT
;
; What a kernel that embeds Trapline has anyway: 64-bit mode with memory mapped one to one, a GDT with a TSS, an IDT in
; which an NMI returns. And the guest: 32-bit code without paging.

MULTIBOOT_MAGIC   equ 0x1BADB002
MULTIBOOT_FLAGS   equ 0
CODE64            equ 8
DATA              equ 16
TSS               equ 24
MSR_EFER          equ 0xC0000080
LED               equ 0xD0000000
CALL_MOVE_LED     equ 1
CALL_DONE         equ 2

section .multiboot progbits alloc noexec nowrite align=4
	dd MULTIBOOT_MAGIC
	dd MULTIBOOT_FLAGS
	dd -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .data align=16
gdt:	dq 0
	dq 0x00AF9B000000FFFF           ; 64-bit code
	dq 0x00CF93000000FFFF           ; data
	dq 0x0000890000000067           ; the TSS, its base filled in below
	dq 0
gdtr:	dw $ - gdt - 1
	dd gdt
	dd 0
idtr:	dw 3 * 16 - 1
	dq idt
align 16
idt:	times 6 dq 0                    ; of three gates, the last is the NMI's: filled in below

section .bss nobits alloc noexec write align=4096
pml4:	resb 4096
pdpt:	resb 4096
pd:	resb 4 * 4096
tss:	resb 104
stack:	resb 16384
stack_end:

section .text
global start
extern kernel_main
bits 32
start:
	mov esp, stack_end
	; The first 4 GiB, one to one, in pages of 2 MiB.
	mov dword [pml4], pdpt + 3
	mov edi, pdpt
	mov eax, pd + 3
.directory:
	mov [edi], eax
	add edi, 8
	add eax, 4096
	cmp edi, pdpt + 4 * 8
	jne .directory
	mov edi, pd
	mov eax, 0x83
.page:
	mov [edi], eax
	add edi, 8
	add eax, 0x200000
	jnc .page
	mov eax, cr4
	or eax, 1 << 5                  ; PAE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, 1 << 8                  ; LME
	wrmsr
	mov eax, cr0
	or eax, 1 << 31 | 1 << 5        ; PG; NE, which VMX asks for
	mov cr0, eax
	lgdt [gdtr]
	jmp CODE64:start64

bits 64
start64:
	mov eax, DATA
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov eax, tss
	mov [gdt + TSS + 2], ax         ; its base, in three pieces (SDM vol. 3, figure 8-4)
	shr eax, 16
	mov [gdt + TSS + 4], al
	mov [gdt + TSS + 7], ah
	mov eax, TSS
	ltr ax
	mov eax, nmi
	mov [idt + 2 * 16], ax
	mov word [idt + 2 * 16 + 2], CODE64
	mov word [idt + 2 * 16 + 4], 0x8E00
	shr eax, 16
	mov [idt + 2 * 16 + 6], ax
	lidt [idtr]
	call kernel_main
.halt:
	cli
	hlt
	jmp .halt

nmi:
	iretq

; The guest. It blinks a LED, asks that the LED be moved, and blinks it at its new place.
bits 32
global guest_code, guest_code_end
guest_code:
	mov edi, LED
	call .blink
	mov eax, CALL_MOVE_LED
	vmcall
	mov edi, eax                    ; where it is now
	call .blink
	mov ebx, [edi + 4]              ; how often it was written
	mov eax, CALL_DONE
	vmcall
	hlt
.blink:
	mov ecx, 1000
.write:
	mov [edi], ecx
	dec ecx
	jnz .write
	ret
guest_code_end:
