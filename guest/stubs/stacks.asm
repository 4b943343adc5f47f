; SPDX-License-Identifier: MIT
; A guest each of whose interrupts finds a stack in a page that was not touched before, so that its delivery exits on the
; way and begins again. It is taken once, and pushes what it interrupts. A flat image for 1 MiB in protected mode of a PC.

%define APIC           0xfee00000
%define APIC_EOI       0xb0
%define APIC_SVR       0xf0
%define APIC_COMMAND   0x300
%define TO_SELF        (1 << 18)
%define VECTOR         0x42
%define IDT            0x200000
%define INTERRUPT_GATE 0x8e00
%define FIRST_STACK    0x10000		; up to 640 KiB pages are mapped one by one
%define LAST_STACK     0x90000
%define PAGE           0x1000
%define FRAME          12
%define DEBUG_EXIT     0xf4

bits 32
org 0x100000

start:
	lgdt [gdtr]
	jmp 8:.flat
.flat:	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov dword [IDT + VECTOR * 8], (handler - start) | 8 << 16
	mov dword [IDT + VECTOR * 8 + 4], INTERRUPT_GATE | 0x10 << 16
	lidt [idtr]
	mov dword [APIC + APIC_SVR], 0x1ff
	xor esi, esi			; taken
	xor edi, edi			; sent
	mov ebp, FIRST_STACK
.next:	lea esp, [ebp + PAGE]
	inc edi
	mov dword [APIC + APIC_COMMAND], TO_SELF | VECTOR
	sti
.wait:	cmp esi, edi			; one that is lost is waited for until the guest's time is up
	jb .wait
	cli
	ja failed
	mov eax, [ebp + PAGE - FRAME]
	sub eax, .wait
	cmp eax, .end - .wait
	ja failed
	cmp dword [ebp + PAGE - FRAME + 4], 8
	jne failed
	add ebp, PAGE
	cmp ebp, LAST_STACK
	jb .next
	xor al, al
	out DEBUG_EXIT, al
.end:	hlt
failed:	mov al, 1
	out DEBUG_EXIT, al
	hlt

handler:
	inc esi
	mov dword [APIC + APIC_EOI], 0
	iretd

align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt
idtr:	dw 256 * 8 - 1
	dd IDT
