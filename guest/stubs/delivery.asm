; SPDX-License-Identifier: MIT
; How events reach a PC's processor: each kind while neither the IDT nor the stack nor the handler has a translation, so that
; its delivery meets EPT violations; NMIs that come together, and in a handler; the order of what waits; a timer whose mode
; is changed. A flat image for 1 MiB in protected mode. The exit code of a failure is the number of its step.

%include "guest/stubs/step.inc"

%define FLUSH_PORT  0xe4		; the test device's
%define PIC_MASKS   0xff

; Each in 2 MiB of its own, and so is the code.
%define IDT_AT      0x400000
%define STACK_TOP   0x603000

%define APIC        0xfee00000
%define TASK_PRIORITY (APIC + 0x80)
%define EOI         (APIC + 0xb0)
%define SPURIOUS    (APIC + 0xf0)
%define COMMAND     (APIC + 0x300)
%define TIMER       (APIC + 0x320)
%define INITIAL     (APIC + 0x380)
%define CURRENT     (APIC + 0x390)
%define DIVIDE      (APIC + 0x3e0)
%define TO_SELF     0x44000
%define NMI_TO_0    0x4400
%define PERIODIC    0x20000
%define MASKED      0x10000

%define CODE        0x08
%define DATA        0x10
%define ABSENT      0x18		; code that is not present
%define LOW         0x41		; vectors, of two priority classes
%define HIGH        0x51

bits 32
org 0x100000

; From here on nothing of the memory above 1 MiB is translated.
%macro flush 0
	mov eax, IDT_AT
	out FLUSH_PORT, eax
%endmacro
%macro gate 2				; a vector, its handler
	mov eax, %2
	mov ecx, %1
	call set_gate
%endmacro
%macro forget 0
	mov dword [seen], 0
	mov dword [count], 0
%endmacro

start:
	mov esp, STACK_TOP
	cld
	lgdt [gdtr]
	jmp CODE:.here
.here:	lidt [idtr]
	mov al, PIC_MASKS
	out 0x21, al
	out 0xa1, al
	mov dword [SPURIOUS], 0x1ff
	gate 0, divide
	gate 2, nmi
	gate 3, note
	gate 4, note
	gate 11, absent
	gate LOW, low
	gate HIGH, high
	gate 0x61, note

	step 1				; a fault: its instruction runs again
	forget
	flush
	mov eax, 1500
	xor edx, edx
	div dword [divisor]
	expect eax, 150
	expect dword [count], 1

	step 2				; traps and a software interrupt: it goes on behind them
	forget
	flush
	int3
	flush
	int 0x61
	flush
	mov al, 0x7f
	add al, 1
	into
	expect dword [count], 3

	step 3				; a fault with an error code, on the way to a software interrupt
	forget
	mov word [IDT_AT + 8 * 0x61 + 2], ABSENT
	flush
	int 0x61
	expect dword [count], 2
	expect dword [error], ABSENT

	step 4				; an interrupt
	forget
	sti
	flush
	mov dword [COMMAND], TO_SELF + LOW
	nop
	cli
	expect dword [seen], LOW

	step 5				; two: the higher one first, and the lower one when that has ended
	forget
	mov dword [COMMAND], TO_SELF + LOW
	mov dword [COMMAND], TO_SELF + HIGH
	flush
	sti
	nop
	cli
	expect dword [seen], HIGH << 8 | LOW

	step 6				; behind STI a software interrupt goes before one that waits
	forget
	mov dword [COMMAND], TO_SELF + LOW
	flush
	sti
	int 0x61
	cli
	expect dword [seen], 0x61 << 8 | LOW

	step 7				; the task priority holds back the lower one alone
	forget
	mov dword [TASK_PRIORITY], 0xf0
	sti
	mov dword [COMMAND], TO_SELF + LOW
	mov dword [COMMAND], TO_SELF + HIGH
	flush
	mov dword [TASK_PRIORITY], 0x40
	nop
	expect dword [seen], HIGH
	mov dword [TASK_PRIORITY], 0
	nop
	cli
	expect dword [seen], HIGH << 8 | LOW

	step 8				; an NMI, and ten in its handler, which are one: it comes behind the handler's IRET
	forget
	mov dword [more], 10
	flush
	mov dword [COMMAND], NMI_TO_0
	nop
	expect dword [count], 2
	expect dword [depth], 0
	expect dword [deepest], 1

	step 9				; and once more: none was left
	forget
	mov dword [COMMAND], NMI_TO_0
	nop
	expect dword [count], 1

	step 10				; a count that has ended is not started again by periodic mode
	mov dword [DIVIDE], 0xb
	mov dword [TIMER], MASKED + LOW
	mov dword [INITIAL], 5000
.ended:	cmp dword [CURRENT], 0
	jne .ended
	mov dword [TIMER], MASKED + PERIODIC + LOW
	mov ecx, 10000
.wait:	loop .wait
	expect dword [CURRENT], 0

	step 11				; one that has not goes on, and starts again
	mov dword [TIMER], MASKED + LOW
	mov dword [INITIAL], 1000000
	mov dword [TIMER], MASKED + PERIODIC + LOW
.first:	mov eax, [CURRENT]
	cmp eax, 500000
	ja .first
.again:	mov eax, [CURRENT]
	cmp eax, 500000
	jbe .again

	end_of_steps

; EAX handles vector ECX.
set_gate:
	mov [IDT_AT + 8 * ecx], ax
	mov word [IDT_AT + 8 * ecx + 2], CODE
	mov word [IDT_AT + 8 * ecx + 4], 0x8e00
	shr eax, 16
	mov [IDT_AT + 8 * ecx + 6], ax
	ret

divide:
	mov dword [divisor], 10
	inc dword [count]
	iret

note:
	shl dword [seen], 8
	mov byte [seen], 0x61
	inc dword [count]
	iret

; The gate's segment comes, and its instruction runs again.
absent:
	pop dword [error]
	and dword [error], 0xffff & ~7
	mov word [IDT_AT + 8 * 0x61 + 2], CODE
	inc dword [count]
	iret

low:
	shl dword [seen], 8
	mov byte [seen], LOW
	mov dword [EOI], 0
	iret

high:
	shl dword [seen], 8
	mov byte [seen], HIGH
	mov dword [EOI], 0
	iret

; IRET finds its frame without a translation, and has let NMIs in again by then.
nmi:
	push eax
	inc dword [count]
	inc dword [depth]
	mov eax, [depth]
	cmp eax, [deepest]
	jbe .less
	mov [deepest], eax
.less:	cmp dword [more], 0
	je .last
	mov dword [COMMAND], NMI_TO_0
	dec dword [more]
	jmp .less
.last:	dec dword [depth]
	flush
	pop eax
	iret

align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cf1b000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt
idtr:	dw 0x7ff
	dd IDT_AT

divisor: dd 0
seen:	dd 0				; the vectors of the last four, the last one lowest
count:	dd 0
error:	dd 0
more:	dd 0				; NMIs to be sent by the handler
depth:	dd 0
deepest: dd 0
