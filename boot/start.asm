; SPDX-License-Identifier: MIT
;
; Where the loader enters, and where interrupts enter. The loader gives 32-bit protected mode without paging, its magic
; in EAX and the physical address of its information in EBX (Multiboot 1, 3.2; Multiboot 2, 3.3). boot_main() gets both
; in 64-bit mode with the first 4 GiB mapped one to one; boot/paging.c replaces these tables.

default rel

MULTIBOOT1_MAGIC     equ 0x1BADB002
MULTIBOOT1_FLAGS     equ 0x3            ; bit 0: modules on page boundaries, bit 1: a memory map
MULTIBOOT2_MAGIC     equ 0xE85250D6
MULTIBOOT2_OPTIONAL  equ 1              ; header tag flag: boot on if the loader does not know the tag

TAG_END              equ 0
TAG_INFO_REQUEST     equ 1
TAG_FRAMEBUFFER      equ 5
TAG_MODULE_ALIGN     equ 6
INFO_COMMAND_LINE    equ 1
INFO_MODULE          equ 3
INFO_MEMORY_MAP      equ 6
INFO_ACPI_OLD        equ 14
INFO_ACPI_NEW        equ 15
INFO_EFI_MAP         equ 17

%include "boot/cpu.inc"

EFLAGS_ID            equ 1 << 21
CPUID_LONG_MODE      equ 1 << 29        ; leaf 0x80000001, EDX

PTE_PRESENT_WRITE    equ 0x3
PDE_LARGE            equ 0x83
CODE64               equ 8
DATA64               equ 16

BOOT_STACK_SIZE      equ 32768
IST_STACK_SIZE       equ 8192

; ---- Headers: both must stand in the first 8 KiB of the file -----------------------------------------------

section .multiboot progbits alloc noexec nowrite align=8

multiboot2_header:
	dd MULTIBOOT2_MAGIC
	dd 0                            ; architecture: 32-bit protected mode of i386
	dd multiboot2_end - multiboot2_header
	dd -(MULTIBOOT2_MAGIC + (multiboot2_end - multiboot2_header))
align 8, db 0
.needed:
	dw TAG_INFO_REQUEST, 0
	dd .wanted - .needed
	dd INFO_COMMAND_LINE, INFO_MODULE, INFO_MEMORY_MAP
align 8, db 0
.wanted:
	dw TAG_INFO_REQUEST, MULTIBOOT2_OPTIONAL
	dd .wanted_end - .wanted
	dd INFO_ACPI_OLD, INFO_ACPI_NEW, INFO_EFI_MAP
.wanted_end:
align 8, db 0
.module_align:
	dw TAG_MODULE_ALIGN, 0
	dd 8
	; A screen of pixels will do, of any size; UEFI has no other. GRUB on a BIOS gives one if gfxpayload asks for it.
	dw TAG_FRAMEBUFFER, MULTIBOOT2_OPTIONAL
	dd 20
	dd 0, 0, 32
align 8, db 0
	dw TAG_END, 0
	dd 8
multiboot2_end:

align 4, db 0
	dd MULTIBOOT1_MAGIC
	dd MULTIBOOT1_FLAGS
	dd -(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS)

; ---- The TSC at the start --------------------------------------------------------------------------------

section .data align=8
global boot_first_tsc
boot_first_tsc:	dq 0

; ---- Stacks and the first page tables ----------------------------------------------------------------------

section .bss align=4096

; One stack: name_guard (a page that boot/paging.c unmaps), name, name_end. All sizes in this section are whole pages.
%macro STACK 2
global %1_guard, %1, %1_end
%1_guard:
	resb 4096
%1:
	resb %2
%1_end:
%endmacro

STACK boot_stack, BOOT_STACK_SIZE
STACK double_fault_stack, IST_STACK_SIZE
STACK nmi_stack, IST_STACK_SIZE
STACK machine_check_stack, IST_STACK_SIZE

global early_pml4
early_pml4:	resb 4096
early_pdpt:	resb 4096
early_pd:	resb 4 * 4096

section .rodata align=8

early_gdt:
	dq 0
	dq 0x00AF9A000000FFFF           ; CODE64
	dq 0x00CF92000000FFFF           ; DATA64
early_gdt_end:
early_gdtr:
	dw early_gdt_end - early_gdt - 1
	dd early_gdt

no_long_mode:
	db "trapline: cannot run: this CPU has no 64-bit mode; use an Intel CPU with VMX and EPT (2010 or later).", 0

; ---- 32 bits -----------------------------------------------------------------------------------------------

section .text
bits 32

global start
extern boot_main

start:
	cli
	cld
	mov esp, boot_stack_end
	mov edi, eax                    ; the first two arguments of boot_main()
	mov esi, ebx
	call has_long_mode
	mov ebp, no_long_mode
	jz refuse
	rdtsc                           ; not before: what has no 64-bit mode may have no TSC
	mov [boot_first_tsc], eax
	mov [boot_first_tsc + 4], edx
	call map_first_4gib
	mov eax, cr4
	; UEFI may have had 5-level paging, and its loader leaves the bit.
	and eax, ~CR4_LA57
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, early_pml4
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	; Some firmware leaves the caches off (CD, NW).
	and eax, ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW)
	or eax, CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE
	mov cr0, eax
	lgdt [early_gdtr]
	jmp CODE64:start64

; ZF clear if CPUID exists and reports long mode. Changes EAX, EBX, ECX, EDX.
has_long_mode:
	pushfd
	pop eax
	mov ecx, eax
	xor eax, EFLAGS_ID
	push eax
	popfd
	pushfd
	pop eax
	push ecx
	popfd
	xor eax, ecx
	test eax, EFLAGS_ID
	jz .done
	mov eax, 0x80000000
	cpuid
	xor edx, edx
	cmp eax, 0x80000001
	jb .test
	mov eax, 0x80000001
	cpuid
.test:
	test edx, CPUID_LONG_MODE
.done:
	ret

; 2 MiB pages: not every CPU with VMX has larger ones. Changes EAX, ECX, EDX.
map_first_4gib:
	mov dword [early_pml4], early_pdpt + PTE_PRESENT_WRITE
	xor ecx, ecx
	mov eax, early_pd + PTE_PRESENT_WRITE
.directory:
	mov [early_pdpt + ecx * 8], eax
	add eax, 4096
	inc ecx
	cmp ecx, 4
	jne .directory
	xor ecx, ecx
	mov eax, PDE_LARGE
.page:
	mov [early_pd + ecx * 8], eax
	add eax, 0x200000
	inc ecx
	cmp ecx, 2048
	jne .page
	ret

; Writes the line at EBP to COM1 and to the screen's top, and ends the machine like boot/halt.c with status 2.
refuse:
	mov dx, 0x3FB
	mov al, 0x80                    ; the divisor latch: 115200 baud, then 8N1
	out dx, al
	mov dx, 0x3F8
	mov al, 1
	out dx, al
	mov dx, 0x3F9
	mov al, 0
	out dx, al
	mov dx, 0x3FB
	mov al, 3
	out dx, al
	mov edi, 0xB8000
.next:
	mov bl, [ebp]
	inc ebp
	test bl, bl
	jz .end
	mov [edi], bl
	mov byte [edi + 1], 0x07
	add edi, 2
	call serial_put
	jmp .next
.end:
	mov bl, 13
	call serial_put
	mov bl, 10
	call serial_put
	mov ecx, 1000000
.drain:
	mov dx, 0x3FD
	in al, dx
	test al, 0x40                   ; transmitter empty
	loopz .drain
	mov esi, shutdown_word
	mov ecx, 8
	mov dx, 0x8900
	rep outsb
	mov al, 16 + 2
	out 0xF4, al
.halt:
	hlt
	jmp .halt

; Sends BL. The count bounds the wait where no UART is. Changes EAX, ECX, EDX.
serial_put:
	mov ecx, 100000
	mov dx, 0x3FD
.wait:
	in al, dx
	test al, 0x20                   ; holding register empty
	loopz .wait
	mov dx, 0x3F8
	mov al, bl
	out dx, al
	ret

section .rodata
shutdown_word:	db "Shutdown"

; ---- 64 bits -----------------------------------------------------------------------------------------------

section .text
bits 64

start64:
	mov ax, DATA64
	mov ds, ax
	mov es, ax
	mov ss, ax
	xor eax, eax
	mov fs, ax
	mov gs, ax
	lea rsp, [boot_stack_end]
	mov edi, edi                    ; the upper halves are undefined after the change of mode
	mov esi, esi
	xor ebp, ebp
	call boot_main
	ud2

; ---- Interrupts and exceptions -----------------------------------------------------------------------------

extern exception_handle

; Builds struct exception_frame (boot/exception.h); never comes back.
exception_common:
	push rax
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	cld
	mov rdi, rsp
	and rsp, -16
	call exception_handle
	ud2

%define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

%assign vector 0
%rep 32
exception_ %+ vector:
%if !HAS_ERROR_CODE(vector)
	push 0
%endif
	push vector
	jmp exception_common
%assign vector vector + 1
%endrep

global idt_nmi, idt_interrupt, idt_kick, idt_machine_check
extern idt_nmis, idt_interrupts, apic_end_interrupt, machine_check_survived

; An NMI is a part of a kick (boot/smp.c) or somebody's watchdog: having left the guest is all that it had to do.
idt_nmi:
	lock inc qword [idt_nmis]
	iretq

; What a C function may change, around the call of one. The processor has aligned the stack by 16 and pushed 5 words (SDM
; vol. 3, 6.14.2), and these are 9.
%macro CALL_C 1
	push rax
	push rcx
	push rdx
	push rsi
	push rdi
	push r8
	push r9
	push r10
	push r11
	cld
	call %1
%endmacro
%macro LOAD_CHANGED 0
	pop r11
	pop r10
	pop r9
	pop r8
	pop rdi
	pop rsi
	pop rdx
	pop rcx
	pop rax
%endmacro

; Another CPU's kick: as an NMI, but the local APIC has to be told.
idt_kick:
	CALL_C apic_end_interrupt
	LOAD_CHANGED
	iretq

; A machine check that is not survived is an exception like others.
idt_machine_check:
	CALL_C machine_check_survived
	test al, al
	LOAD_CHANGED
	jz exception_18
	iretq

; The PIC is masked, and so are the pins of the I/O APICs: what comes is spurious, or was on its way to firmware's drivers.
; Unended it would hold back kicks; the end of one that the APIC does not have in service is nothing to it.
idt_interrupt:
	lock inc qword [idt_interrupts]
	CALL_C apic_end_interrupt
	LOAD_CHANGED
	iretq

section .rodata
global idt_exceptions

; The entry points of vectors 0 to 31.
align 8, db 0
idt_exceptions:
%assign vector 0
%rep 32
	dq exception_ %+ vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
