; SPDX-License-Identifier: MIT
; The start of a bundled guest: Multiboot 1 header, 32-bit entry, long mode with memory mapped to itself, then main().
; Mapped are the first 4 GiB and, for the device HUGE of guest/abi.h, 2 GiB from 32 GiB on.

%define MULTIBOOT_MAGIC  0x1badb002
%define MULTIBOOT_LOADER 0x2badb002
%define MULTIBOOT_FLAGS  0x00000003	; modules page-aligned, memory sizes wanted
%define HC_EXIT          1		; guest/abi.h
%define PAGE_TABLE       0x03		; present, writable
%define PAGE_LARGE       0x83		; and 2 MiB or 1 GiB
%define CPUID_EXTENDED   0x80000001
%define CPUID_PAGE_1G    26		; EDX
%define HIGH_GIGABYTE    32
%define CR4_PAE          (1 << 5)
%define MSR_EFER         0xc0000080
%define EFER_LME         (1 << 8)
%define CR0_WP           (1 << 16)
%define CR0_PG           (1 << 31)
%define STACK_SIZE       0x4000

extern main
global start

section .multiboot align=4
	dd MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .text
bits 32
start:
	mov esp, stack_top
	mov esi, ebx			; the Multiboot information
	cmp eax, MULTIBOOT_LOADER
	jne .not_multiboot

	mov dword [pml4], pdpt + PAGE_TABLE
	mov ecx, 4
	mov eax, directories + PAGE_TABLE
	mov edi, pdpt
.low_tables:
	mov [edi], eax
	add eax, 4096
	add edi, 8
	loop .low_tables
	mov [pdpt + 8 * HIGH_GIGABYTE], eax
	add eax, 4096
	mov [pdpt + 8 * (HIGH_GIGABYTE + 1)], eax

	mov edi, directories
	xor eax, eax			; EDX:EAX is the page mapped next
	xor edx, edx
	mov ecx, 4 * 512
	call fill_directories
	xor eax, eax
	mov edx, HIGH_GIGABYTE / 4
	mov ecx, 2 * 512
	call fill_directories

	; Pages of 1 GiB where the CPU has them, in place of the directories: shorter walks, in an emulator above all.
	mov eax, CPUID_EXTENDED
	cpuid
	bt edx, CPUID_PAGE_1G
	jnc .tables_done
	mov eax, PAGE_LARGE
	mov edi, pdpt
	mov ecx, 4
.low_pages:
	mov [edi], eax
	add eax, 1 << 30
	add edi, 8
	loop .low_pages
	mov dword [pdpt + 8 * HIGH_GIGABYTE], PAGE_LARGE
	mov dword [pdpt + 8 * HIGH_GIGABYTE + 4], HIGH_GIGABYTE / 4
	mov dword [pdpt + 8 * (HIGH_GIGABYTE + 1)], PAGE_LARGE | 1 << 30
	mov dword [pdpt + 8 * (HIGH_GIGABYTE + 1) + 4], HIGH_GIGABYTE / 4
.tables_done:
	mov eax, pml4
	mov cr3, eax
	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG | CR0_WP
	mov cr0, eax
	lgdt [gdt_pointer]
	jmp 0x08:start_long
.not_multiboot:
	mov eax, HC_EXIT
	mov ebx, 2
	vmcall

; ECX entries at EDI for the large pages from EDX:EAX on.
fill_directories:
	mov ebx, eax
	or ebx, PAGE_LARGE
	mov [edi], ebx
	mov [edi + 4], edx
	add eax, 0x200000
	adc edx, 0
	add edi, 8
	loop fill_directories
	ret

bits 64
start_long:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov edi, esi
	xor ebp, ebp
	call main
	mov ebx, eax
	mov eax, HC_EXIT
	vmcall
	ud2

section .data align=8
gdt:
	dq 0
	dq 0x00af9b000000ffff		; 0x08: 64-bit code
	dq 0x00cf93000000ffff		; 0x10: data
gdt_pointer:
	dw $ - gdt - 1
	dq gdt

section .bss align=4096
pml4:        resb 4096
pdpt:        resb 4096
directories: resb 6 * 4096
stack:       resb STACK_SIZE
stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
