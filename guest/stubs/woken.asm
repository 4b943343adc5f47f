; SPDX-License-Identifier: MIT
; A processor halts until its timer, and an interrupt of another one's wakes it before. What it then does has no exits, and
; its timer interrupts it all the same: the host's processor had halted with it, by the timer that it needs now. A flat
; image for 8000h in real mode of a PC with two processors; its exit code is 0, or 1 if the timer does not come.

%define EXIT_PORT    0xf4
%define MSR_BASE     0x1b
%define X2APIC_ON    0xc00
%define APIC_EOI     0x80b
%define APIC_SVR     0x80f
%define APIC_COMMAND 0x830
%define APIC_TIMER   0x832
%define APIC_COUNT   0x838
%define APIC_DIVIDE  0x83e
%define INIT         0x4500
%define STARTUP      0x4600
%define FIXED        0x4000
%define WAKE         0x40		; the vectors of the interrupt and of the timer
%define TIMER        0x41
%define OTHER        1			; the other processor's APIC ID
%define OTHER_PAGE   9			; where it starts
%define COUNT        4000000		; of the timer
%define UNTIL_HALTED 200000		; ticks of the TSC
%define PATIENCE     100000000

bits 16
org 0x8000

%macro write 2				; an MSR with 32 bits
	mov ecx, %1
	mov eax, %2
	xor edx, edx
	wrmsr
%endmacro
%macro send 1
	mov ecx, APIC_COMMAND
	mov eax, %1
	mov edx, OTHER
	wrmsr
%endmacro

start:	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7000
	mov dword [WAKE * 4], woken
	mov dword [TIMER * 4], timer
	call apic_on
	send INIT
	send STARTUP | OTHER_PAGE
.ready:	pause
	cmp byte [halts], 1
	jne .ready
	mov ebx, UNTIL_HALTED
	call wait_for
	send FIXED | WAKE
	mov ebx, PATIENCE
	call wait_for
	mov al, [in_time]
	xor al, 1
	out EXIT_PORT, al

; EBX ticks, or until the timer came.
wait_for:
	rdtsc
	mov esi, eax
.again:	cmp byte [in_time], 1
	je .over
	rdtsc
	sub eax, esi
	cmp eax, ebx
	jb .again
.over:	ret

apic_on:
	mov ecx, MSR_BASE
	rdmsr
	or eax, X2APIC_ON
	wrmsr
	write APIC_SVR, 0x1ff
	ret

woken:	write APIC_EOI, 0
	iret

timer:	mov byte [in_time], 1
	write APIC_EOI, 0
	iret

halts:	db 0
in_time: db 0

times OTHER_PAGE * 4096 - 0x8000 - ($ - $$) db 0
other:	jmp 0:.flat
.flat:	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x6000
	call apic_on
	write APIC_DIVIDE, 0xb
	write APIC_TIMER, TIMER
	write APIC_COUNT, COUNT
	mov byte [halts], 1
	sti
	hlt
.busy:	jmp .busy
