; SPDX-License-Identifier: MIT
; The same accesses to a device in every mode of the processor: real, real with a 4 GiB segment, protected with 16 and
; with 32 bits, with 32-bit paging and with PAE, long, and compatibility with 32 and 16 bits. A flat image for 0x7c00,
; started in real mode. The exit code of a failure is the number of its step; the line before it names the mode.

%define HC_EXIT    1			; guest/abi.h
%define HC_PRINT   2
%define LOW_AT     0xd0000		; the device LOW
%define BANK_AT    0xd0000000		; the device BANK0
%define REGISTER   0x40			; where in a device

%define CODE32     0x08
%define DATA       0x10
%define CODE16     0x18
%define DATA_LOW   0x20			; base LOW_AT
%define CODE64     0x28
%define DATA_BANK  0x30			; base BANK_AT

%define CR0_PE     (1 << 0)
%define CR0_PG     (1 << 31)
%define CR4_PSE    (1 << 4)
%define CR4_PAE    (1 << 5)
%define MSR_EFER   0xc0000080
%define EFER_LME   (1 << 8)
%define PRESENT    0x03			; and writable
%define LARGE      0x83
%define PAE_PDPTE  0x01			; writable is reserved there

; Page tables, in memory that is zero and nobody else's.
%define DIRECTORY  0x20000		; 32-bit paging
%define TABLE      0x21000
%define PAE_PDPT   0x22000
%define PAE_LOW    0x23000
%define PAE_TABLE  0x24000
%define LONG_PML4  0x25000
%define LONG_PDPT  0x26000
%define ORIGIN     0x7c00
%define STACK_TOP  ORIGIN

; Where paging shows the bank: through a small and through a large page.
%define SMALL32    0x40000000
%define LARGE32    0x40400000
%define SMALL_PAE  0x00800000
%define LARGE_PAE  0x00a00000
%define HIGH_HALF  0xffff800000000000

; The value in EAX after a step, or the mode has failed.
%macro EXPECT 1
	%assign step step + 1
	mov edx, step
	cmp eax, %1
	jne near failed
%endmacro

; Loads and stores of every size at the operand %1, in the current mode.
%macro ACCESSES 1
	mov byte [%1], 0x11
	mov byte [%1 + 1], 0x82
	mov word [%1 + 2], 0xf3e4
	mov eax, [%1]
	EXPECT 0xf3e48211
	mov eax, -1
	mov ax, [%1 + 2]
	EXPECT 0xfffff3e4
	mov eax, -1
	mov ah, [%1 + 1]
	EXPECT 0xffff82ff
	movzx eax, byte [%1 + 1]
	EXPECT 0x82
	movsx eax, byte [%1 + 1]
	EXPECT 0xffffff82
	movzx eax, word [%1 + 2]
	EXPECT 0xf3e4
	movsx eax, word [%1 + 2]
	EXPECT 0xfffff3e4
	mov eax, 0x12345678
	movsx ax, byte [%1 + 1]
	EXPECT 0x1234ff82
	mov eax, 0x9abcdef0
	mov [%1 + 4], eax
	mov ecx, 0
	mov cx, [%1 + 4]
	mov eax, ecx
	EXPECT 0xdef0
	mov ax, 0x5544
	mov [%1 + 5], ah
	mov [%1 + 6], ax
	mov dword [%1 + 8], 0xcafebabe
	mov eax, [%1 + 4]
	EXPECT 0x554455f0
	mov eax, [%1 + 8]
	EXPECT 0xcafebabe
%endmacro

; A mode's name, its steps counted from 1, and what happens when one fails.
%macro MODE 1
	%assign step 0
	jmp %%begin
%%name:
	db %1
%%name_end:
%%failed:
	mov esi, edx
	mov eax, HC_PRINT
	mov ebx, %%name
	mov ecx, %%name_end - %%name
	vmcall
	mov eax, HC_EXIT
	mov ebx, esi
	vmcall
	%xdefine failed %%failed
%%begin:
%endmacro

org ORIGIN

bits 16
start:
	cli
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, STACK_TOP

	MODE "real mode"
	mov ax, LOW_AT >> 4
	mov es, ax
	mov di, REGISTER
	mov bx, REGISTER - 0x20
	mov si, 0x20
	mov bp, REGISTER
	ACCESSES es:di
	ACCESSES es:bx + si
	ACCESSES es:bp
	ACCESSES es:REGISTER			; the accumulator's forms have the address in them

	lgdt [gdt_pointer]
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	mov bx, DATA
	mov fs, bx
	and al, ~CR0_PE
	mov cr0, eax
	MODE "real mode with a 4 GiB segment"
	mov ebx, BANK_AT + REGISTER
	ACCESSES fs:ebx

	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	jmp CODE16:protected16
protected16:
	MODE "16-bit protected mode"
	mov ax, DATA_LOW
	mov ds, ax
	mov ax, DATA
	mov es, ax
	mov ss, ax
	mov di, REGISTER
	mov ebx, BANK_AT + REGISTER
	ACCESSES di
	ACCESSES es:ebx
	jmp dword CODE32:protected32

bits 32
protected32:
	MODE "32-bit protected mode"
	mov ax, DATA
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, STACK_TOP
	mov ax, DATA_BANK
	mov fs, ax
	mov ebx, BANK_AT
	mov ecx, REGISTER
	mov edi, REGISTER
	ACCESSES ebx + REGISTER
	mov ebp, REGISTER / 4
	ACCESSES ebx + ebp * 4
	ACCESSES fs:edi
	ACCESSES fs:REGISTER
	ACCESSES BANK_AT + REGISTER
	ACCESSES fs:di				; 16-bit addresses in a 32-bit segment

	MODE "32-bit paging"
	mov dword [DIRECTORY], LARGE		; the first 4 MiB, as they are
	mov dword [DIRECTORY + (SMALL32 >> 22) * 4], TABLE + PRESENT
	mov dword [DIRECTORY + (LARGE32 >> 22) * 4], BANK_AT + LARGE
	mov dword [TABLE], BANK_AT + PRESENT
	mov eax, cr4
	or eax, CR4_PSE
	mov cr4, eax
	mov eax, DIRECTORY
	mov cr3, eax
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp .paging
.paging:
	mov ebx, SMALL32 + REGISTER
	mov edi, LARGE32 + REGISTER
	ACCESSES ebx
	ACCESSES edi
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax

	MODE "PAE paging"
	mov dword [PAE_PDPT], PAE_LOW + PAE_PDPTE
	mov dword [PAE_LOW], LARGE		; the first 2 MiB, as they are
	mov dword [PAE_LOW + (SMALL_PAE >> 21) * 8], PAE_TABLE + PRESENT
	mov dword [PAE_LOW + (LARGE_PAE >> 21) * 8], BANK_AT + LARGE
	mov dword [PAE_TABLE], BANK_AT + PRESENT
	mov eax, CR4_PAE
	mov cr4, eax
	mov eax, PAE_PDPT
	mov cr3, eax
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp .pae
.pae:
	mov ebx, SMALL_PAE + REGISTER
	mov edi, LARGE_PAE + REGISTER
	ACCESSES ebx
	ACCESSES edi
	mov eax, cr0
	and eax, ~CR0_PG
	mov cr0, eax

	mov dword [LONG_PML4], LONG_PDPT + PRESENT
	mov dword [LONG_PML4 + 256 * 8], LONG_PDPT + PRESENT
	mov dword [LONG_PDPT], PAE_LOW + PRESENT
	mov eax, LONG_PML4
	mov cr3, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp compatibility32
compatibility32:
	MODE "32-bit compatibility mode"
	mov ebx, SMALL_PAE + REGISTER
	ACCESSES ebx
	jmp CODE16:compatibility16

bits 16
compatibility16:
	MODE "16-bit compatibility mode"
	mov ax, DATA
	mov es, ax
	mov ebx, LARGE_PAE + REGISTER
	ACCESSES es:ebx
	jmp dword CODE64:long_mode

bits 64
long_mode:
	MODE "long mode"
	mov rbx, HIGH_HALF + SMALL_PAE + REGISTER
	mov rdi, HIGH_HALF + LARGE_PAE + REGISTER
	ACCESSES rbx
	ACCESSES rdi
	ACCESSES abs SMALL_PAE + REGISTER
	ACCESSES rel start + (SMALL_PAE + REGISTER - ORIGIN)
	mov rax, 0x0123456789abcdef
	mov [rbx], rax
	mov rax, [rdi]
	ror rax, 32
	EXPECT 0x01234567
	movsxd rax, dword [rbx]
	ror rax, 32
	EXPECT 0xffffffff

	mov eax, HC_EXIT
	xor ebx, ebx
	vmcall

gdt:
	dq 0
	dq 0x00cf9b000000ffff			; CODE32
	dq 0x00cf93000000ffff			; DATA
	dq 0x00009b000000ffff			; CODE16
	dq 0x0000930d00000fff			; DATA_LOW
	dq 0x00af9b000000ffff			; CODE64
	dq 0xd000930000000fff			; DATA_BANK
gdt_pointer:
	dw gdt_pointer - gdt - 1
	dd gdt
