; SPDX-License-Identifier: MIT
; What a read of 4 KiB from a virtio disk costs: from the write to QueueNotify, with the request made, until the driver
; sees it served and has acknowledged the interrupt. The disk is whatever module the guest has, 64 KiB at least. A flat
; image for 1 MiB in long mode of a PC; the exit code of a failure is the number of its step.

%include "guest/stubs/step.inc"

%define DEBUG_PORT  0x402

%define DISK        0xfeb00000
%define DESCRIPTORS 0x200000		; memory that is zero and nobody else's
%define DRIVER      0x201000
%define DEVICE      0x202000
%define HEADER      0x203000
%define DONE        0x203100		; the status of a request
%define BUFFER      0x204000
%define TICKS       0x206000
%define READS       65			; odd: one is in the middle
%define WARM        3			; reads that are not counted
%define PAGE        4096
%define SECTORS     8			; of a page

%define QUEUE_SIZE    0x38
%define QUEUE_READY   0x44
%define QUEUE_NOTIFY  0x50
%define INTERRUPT     0x60
%define ACKNOWLEDGE   0x64
%define STATUS        0x70

bits 64
default abs
org 0x100000

%macro expect 3				; number of the step, operand, value
	step %1
	expect %2, %3
%endmacro
%macro descriptor 5			; number, address, size, flags, next
	mov dword [DESCRIPTORS + 16 * %1], %2
	mov dword [DESCRIPTORS + 16 * %1 + 8], %3
	mov dword [DESCRIPTORS + 16 * %1 + 12], %4 | %5 << 16
%endmacro

start:
	mov rsp, 0x90000
	mov edi, DISK
	expect 1, dword [rdi], 0x74726976
	expect 2, dword [rdi + 8], 2
	mov dword [rdi + STATUS], 0
	mov dword [rdi + STATUS], 3
	mov dword [rdi + 0x24], 1
	mov dword [rdi + 0x20], 1	; VERSION_1
	mov dword [rdi + STATUS], 11
	mov dword [rdi + QUEUE_SIZE], 128
	mov dword [rdi + 0x80], DESCRIPTORS
	mov dword [rdi + 0x90], DRIVER
	mov dword [rdi + 0xa0], DEVICE
	mov dword [rdi + QUEUE_READY], 1
	mov dword [rdi + STATUS], 15
	descriptor 0, HEADER, 16, 1, 1
	descriptor 1, BUFFER, PAGE, 3, 2
	descriptor 2, DONE, 1, 2, 0

	xor ecx, ecx
.read:	mov eax, ecx			; sixteen places, again and again
	and eax, 15
	shl eax, 3
	mov [HEADER + 8], eax
	mov byte [DONE], 0xff
	mov edx, ecx
	inc edx
	call read
	cmp ecx, WARM
	jb .next
	mov [TICKS + 4 * (rcx - WARM)], eax
.next:	expect 3, byte [DONE], 0
	expect 4, word [DEVICE + 2], dx
	inc ecx
	cmp ecx, READS + WARM
	jb .read

	mov dword [HEADER + 8], 0	; and they are the module's bytes
	mov dword [BUFFER], 0
	mov edx, ecx
	inc edx
	call read
	expect 5, dword [BUFFER], 0x464c457f
	call sort
	call report
	end_of_steps

; The request that makes EDX of them; its ticks in EAX.
read:
	push rdx
	mov [DRIVER + 2], dx
	rdtsc
	mov esi, eax
	mov dword [rdi + QUEUE_NOTIFY], 0
	mov eax, [rdi + INTERRUPT]
	mov [rdi + ACKNOWLEDGE], eax
	rdtsc
	sub eax, esi
	pop rdx
	ret

; The ticks in ascending order, by insertion.
sort:
	mov ecx, 1
.next:	mov eax, [TICKS + 4 * rcx]
	mov ebx, ecx
.place:	test ebx, ebx
	jz .put
	cmp [TICKS + 4 * (rbx - 1)], eax
	jbe .put
	mov edx, [TICKS + 4 * (rbx - 1)]
	mov [TICKS + 4 * rbx], edx
	dec ebx
	jmp .place
.put:	mov [TICKS + 4 * rbx], eax
	inc ecx
	cmp ecx, READS
	jb .next
	ret

; As the bench's figures are: the least, the median, and the one that 99 of 100 are not above.
report:
	mov esi, name
	call print
	mov eax, [TICKS]
	call number
	mov eax, [TICKS + 4 * (READS / 2)]
	call number
	mov eax, [TICKS + 4 * (READS * 99 / 100)]
	call number
	mov esi, line
print:
	mov edx, DEBUG_PORT
.next:	lodsb
	test al, al
	jz .done
	out dx, al
	jmp .next
.done:	ret

; EAX in decimal, behind a blank.
number:
	mov ebx, 10
	xor ecx, ecx
.digit:	xor edx, edx
	div ebx
	push rdx
	inc ecx
	test eax, eax
	jnz .digit
	mov edx, DEBUG_PORT
	mov al, ' '
	out dx, al
.out:	pop rax
	add al, '0'
	out dx, al
	loop .out
	ret

name:	db 'bench: virtio_blk_4k_read_ticks', 0
line:	db 10, 0
