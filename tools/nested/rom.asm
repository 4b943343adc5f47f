; SPDX-License-Identifier: MIT
;
; The whole firmware of the machine that tools/nested boots: 64 KiB below 4 GiB that take the CPU from reset to Linux'
; 64-bit entry (Linux' Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"). No BIOS, no boot loader, no compressed
; kernel: Bochs has put kernel and initramfs into memory, and what is left to do takes less than a million instructions.
;
; Defined by tools/nested/payload.py: PAYLOAD_AT and PAYLOAD_BLOCKS, where kernel and initramfs lie; ENTRY, the kernel's
; entry; BOOT_PARAMS and COMMAND_LINE, files that hold struct boot_params and the command line.

ROM_BASE     equ 0xffff0000
TABLES_AT    equ 0x10000		; a PML4, a page-directory-pointer table, four page directories
PARAMS_AT    equ 0x20000
LINE_AT      equ 0x21000		; as boot_params says
STACK_TOP    equ 0x30000
BLOCK        equ 0x20000		; how Bochs gives out its memory

MSR_IA32_FEATURE_CONTROL equ 0x3a
MSR_IA32_MISC_ENABLE     equ 0x1a0
MSR_IA32_MTRR_DEF_TYPE   equ 0x2ff
MSR_IA32_EFER            equ 0xc0000080

	org 0
	bits 16
start:
	cli
	cld
	o32 lgdt [cs:gdt_early_pointer]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 8:(ROM_BASE + protected_mode)

	bits 32
protected_mode:
	mov ax, 16
	mov ds, ax
	mov es, ax
	mov ss, ax

	; Bochs loads the payload into one run of its own memory, but gives that memory to the machine block by block, in
	; the order of first touch. So these are touched first, and in order, before the machine uses any other memory.
	mov esi, PAYLOAD_AT
	mov ecx, PAYLOAD_BLOCKS
.touch:
	mov eax, [esi]
	add esi, BLOCK
	dec ecx
	jnz .touch

	in al, 0x92			; A20 on, no reset
	or al, 2
	and al, 0xfe
	out 0x92, al

	; 4 GiB mapped one to one by pages of 2 MiB: some models have no larger ones.
	mov edi, TABLES_AT
	mov ecx, 0x6000 / 4
	xor eax, eax
	rep stosd
	mov dword [TABLES_AT], TABLES_AT + 0x1003
	mov edi, TABLES_AT + 0x1000
	mov eax, TABLES_AT + 0x2003
	mov ecx, 4
.directory:
	mov [edi], eax
	add eax, 0x1000
	add edi, 8
	loop .directory
	mov edi, TABLES_AT + 0x2000
	mov eax, 0x83
	mov ecx, 4 * 512
.page:
	mov [edi], eax
	add eax, 0x200000
	add edi, 8
	loop .page

	; What a BIOS leaves: memory is write-back, VMX is on and locked, string instructions are fast. Linux copies and
	; clears slowly without the last.
	mov ecx, MSR_IA32_MTRR_DEF_TYPE
	mov eax, 0x806
	xor edx, edx
	wrmsr
	mov ecx, MSR_IA32_FEATURE_CONTROL
	rdmsr
	test al, 1
	jnz .locked
	mov eax, 5
	xor edx, edx
	wrmsr
.locked:
	mov ecx, MSR_IA32_MISC_ENABLE
	rdmsr
	or al, 1
	wrmsr
	mov eax, cr0
	and eax, 0x9fffffff		; caches on
	mov cr0, eax

	mov esi, ROM_BASE + boot_params
	mov edi, PARAMS_AT
	mov ecx, 4096 / 4
	rep movsd
	mov esi, ROM_BASE + command_line
	mov edi, LINE_AT
	mov ecx, 2048 / 4
	rep movsd

	mov eax, 0x20			; PAE
	mov cr4, eax
	mov eax, TABLES_AT
	mov cr3, eax
	mov ecx, MSR_IA32_EFER
	rdmsr
	or eax, 0x100			; LME
	wrmsr
	mov eax, cr0
	or eax, 0x80000000		; PG
	mov cr0, eax
	jmp 24:(ROM_BASE + long_mode)

	bits 64
long_mode:
	mov esp, STACK_TOP
	lgdt [rel gdt_linux_pointer]
	mov esi, PARAMS_AT
	mov eax, ENTRY
	jmp rax

	align 16
gdt_early:
	dq 0
	dq 0x00cf9b000000ffff		; 8: 32-bit code
	dq 0x00cf93000000ffff		; 16: data
	dq 0x00af9b000000ffff		; 24: 64-bit code
gdt_early_pointer:
	dw 31
	dd ROM_BASE + gdt_early
	align 16
gdt_linux:				; code at 10H and data at 18H, as the protocol asks
	dq 0, 0
	dq 0x00af9b000000ffff
	dq 0x00cf93000000ffff
gdt_linux_pointer:
	dw 31
	dq ROM_BASE + gdt_linux

	align 4096
boot_params:
	incbin BOOT_PARAMS
	times 4096 - ($ - boot_params) db 0
command_line:
	incbin COMMAND_LINE
	times 2048 - ($ - command_line) db 0

	times 0xfff0 - ($ - $$) db 0
	bits 16
	jmp near start			; the reset vector, 16 bytes below 4 GiB
	times 0x10000 - ($ - $$) db 0
