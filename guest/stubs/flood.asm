; SPDX-License-Identifier: MIT
; A guest that floods itself with interrupts and never does anything else: a PIT and a local timer of one tick, and
; interrupts and NMIs that it sends itself, from their handlers, too. Its time is up some day. A flat image for 1 MiB in
; protected mode of a PC.

%define APIC          0xfee00000
%define APIC_EOI      0xb0
%define APIC_SVR      0xf0
%define APIC_COMMAND  0x300
%define APIC_TIMER    0x320
%define APIC_COUNT    0x380
%define APIC_DIVIDE   0x3e0
%define TO_SELF       (1 << 18)
%define TO_ALL        (2 << 18)
%define NMI           (4 << 8)
%define PERIODIC      (1 << 17)
%define IO_APIC       0xfec00000
%define PIT_PIN       2
%define IDT           0x200000
%define VECTORS       256
%define INTERRUPT_GATE 0x8e00

bits 32
org 0x100000

start:
	mov esp, 0x90000
	lgdt [gdtr]
	jmp 8:.flat
.flat:	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov ss, eax
	cld
	mov edi, IDT			; each vector's gate is the same
	mov ecx, VECTORS
.gate:	mov eax, (handler - start) | 8 << 16
	stosd
	mov eax, INTERRUPT_GATE | 0x10 << 16
	stosd
	loop .gate
	lidt [idtr]

	mov edi, APIC
	mov dword [edi + APIC_SVR], 0x1ff
	mov dword [edi + APIC_DIVIDE], 0xb
	mov dword [edi + APIC_TIMER], PERIODIC | 0x40
	mov dword [edi + APIC_COUNT], 1
	mov esi, IO_APIC
	mov dword [esi], 0x10 + 2 * PIT_PIN + 1
	mov dword [esi + 0x10], 0
	mov dword [esi], 0x10 + 2 * PIT_PIN
	mov dword [esi + 0x10], 0x41
	mov al, 0x34			; counter 0 again and again, after one tick
	out 0x43, al
	mov al, 1
	out 0x40, al
	xor al, al
	out 0x40, al
	sti
.again:	mov dword [edi + APIC_COMMAND], TO_SELF | 0x42
	mov dword [edi + APIC_COMMAND], TO_ALL | NMI
	jmp .again

; Of NMIs, too, which end nothing.
handler:
	mov dword [APIC + APIC_COMMAND], TO_SELF | 0x43
	mov dword [APIC + APIC_EOI], 0
	iretd

align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt
idtr:	dw VECTORS * 8 - 1
	dd IDT
