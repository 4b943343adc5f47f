; SPDX-License-Identifier: MIT
; What a PC's board has beside what Linux uses, by its own registers: fw_cfg, the PCI bus and the test device on it, whose
; memory is moved, the keyboard controller, the screen, QEMU's test device; and a virtio device whose driver is right, and
; then is not. A flat image for 1 MiB in protected mode. The exit code of a failure is the number of its step.

%include "guest/stubs/step.inc"

%define DEBUG_PORT  0x402
%define FW_CFG      0x510
%define FW_CFG_DMA  0x514
%define PCI_ADDRESS 0xcf8
%define PCI_DATA    0xcfc
%define SCREEN      0xb8000
%define CRTC        0x3d4
%define TEST_PORT   0xe0
%define TEST_AGAIN  0xe8
%define TEST_MEMORY 0xff000000

%define PCI_TEST    0x80001800		; device 3, register 0
%define FIRST_AT    0xe0000000		; where its memory is put, and moved to
%define THEN_AT     0xe0010000
%define PORTS_AT    0xc100
%define HEADER_NAME  16			; of the test device's header
%define HEADER_COUNT 12
%define COUNTED_AT  2048		; the register of its first test
%define COUNTED     0xfa

%define ENTROPY     0xfeb01000
%define CONSOLE     0xfeb02000		; with the word virtio-console
%define DESCRIPTORS 0x200000		; memory that is zero and nobody else's
%define DRIVER      0x201000
%define DEVICE      0x202000
%define BUFFER      0x203000
%define REQUEST     0x204000
%define ANSWER      0x205000
%define BUFFER_SIZE 64

%define QUEUE_SIZE    0x38
%define QUEUE_READY   0x44
%define QUEUE_NOTIFY  0x50
%define INTERRUPT     0x60
%define ACKNOWLEDGE   0x64
%define STATUS        0x70
%define NEEDS_RESET   0x40

bits 32
org 0x100000

%macro write 2				; a port and a dword
	mov edx, %1
	mov eax, %2
	out dx, eax
%endmacro
%macro pci_write 2			; a register of the test device and a dword
	write PCI_ADDRESS, PCI_TEST + %1
	write PCI_DATA, %2
%endmacro

start:
	mov esp, 0x90000
	cld

	step 1				; an item, byte by byte
	mov edx, FW_CFG
	xor eax, eax
	out dx, ax
	inc edx
	mov ecx, 4
.item:	in al, dx
	mov bl, al
	ror ebx, 8
	loop .item
	expect ebx, 'QEMU'

	step 2				; and by DMA: select and read 4 bytes of item 0. All of it is big-endian.
	mov dword [REQUEST], 0x0a000000
	mov dword [REQUEST + 4], 0x04000000
	mov dword [REQUEST + 12], 0x00502000
	write FW_CFG_DMA, 0
	write FW_CFG_DMA + 4, 0x00402000
	expect dword [REQUEST], 0
	expect dword [ANSWER], 'QEMU'

	step 3				; the host bridge
	write PCI_ADDRESS, 0x80000000
	mov edx, PCI_DATA
	in eax, dx
	expect eax, 0x12378086

	step 4				; memory on the bus comes where it is put
	pci_write 0x10, FIRST_AT
	pci_write 4, 2
	mov byte [FIRST_AT], 0
	expect dword [FIRST_AT + HEADER_NAME], 'mmio'
	mov ecx, 3
.count:	mov byte [FIRST_AT + COUNTED_AT], COUNTED
	loop .count
	expect dword [FIRST_AT + HEADER_COUNT], 3

	step 5				; and moves
	pci_write 0x10, THEN_AT
	expect dword [THEN_AT + HEADER_COUNT], 3
	expect dword [FIRST_AT + HEADER_COUNT], 0xffffffff
	mov byte [THEN_AT + COUNTED_AT], COUNTED
	expect dword [THEN_AT + HEADER_COUNT], 4

	step 6				; and so do ports
	pci_write 0x14, PORTS_AT
	pci_write 4, 3
	mov edx, PORTS_AT
	xor eax, eax
	out dx, al
	add edx, HEADER_NAME
	in eax, dx
	expect eax, 'port'

	step 7				; QEMU's test device
	write TEST_PORT, 0x12345678
	in al, TEST_AGAIN + 2
	expect al, 0x34
	mov dword [TEST_MEMORY + 0xffc], 0x9abcdef0
	expect word [TEST_MEMORY + 0xffe], 0x9abc

	step 13				; the console's page: "virt", version 2, a console
	expect dword [CONSOLE], 'virt'
	expect dword [CONSOLE + 4], 2
	expect dword [CONSOLE + 8], 3

	step 8				; the keyboard controller's self-test
	mov al, 0xaa
	out 0x64, al
	in al, 0x60
	expect al, 0x55

	step 9				; text, on the screen and on a debug console
	mov esi, text
	mov edi, SCREEN + 160
	mov edx, DEBUG_PORT
.text:	lodsb
	test al, al
	jz .shown
	out dx, al
	mov ah, 7
	stosw
	jmp .text
.shown:	write CRTC, 0x0c
	in eax, dx
	expect ax, 0x000c

	step 10				; a virtio device, by the book
	mov edi, ENTROPY
	expect dword [edi], 0x74726976
	call begin
	mov dword [DESCRIPTORS], BUFFER
	mov dword [DESCRIPTORS + 8], BUFFER_SIZE
	mov dword [DESCRIPTORS + 12], 2
	mov word [DRIVER + 2], 1
	mov dword [edi + QUEUE_NOTIFY], 0
	expect word [DEVICE + 2], 1
	expect dword [DEVICE + 8], BUFFER_SIZE
	expect dword [edi + INTERRUPT], 1
	mov dword [edi + ACKNOWLEDGE], 1
	expect dword [edi + INTERRUPT], 0

	step 11				; with random bytes
	mov eax, [BUFFER]
	or eax, [BUFFER + 4]
	jz fail
	mov eax, [BUFFER]
	cmp eax, [BUFFER + 4]
	je fail

	step 12				; with descriptors in a device, and in a circle
	mov eax, THEN_AT
	call spoil
	mov dword [DESCRIPTORS + 12], 3	; written, and followed by itself
	mov eax, DESCRIPTORS
	call spoil
	call begin
	expect dword [edi + STATUS], 15

	end_of_steps

; Takes the device into use, with its descriptors at EAX.
begin:
	mov eax, DESCRIPTORS
begin_at:
	mov dword [edi + STATUS], 0
	mov dword [edi + STATUS], 3
	mov dword [edi + 0x24], 1
	mov dword [edi + 0x20], 1	; VERSION_1
	mov dword [edi + STATUS], 11
	mov dword [edi + QUEUE_SIZE], 8
	mov [edi + 0x80], eax
	mov dword [edi + 0x90], DRIVER
	mov dword [edi + 0xa0], DEVICE
	mov dword [DRIVER], 0
	mov dword [DEVICE], 0
	mov dword [edi + QUEUE_READY], 1
	mov dword [edi + STATUS], 15
	ret

; The same, and a chain that is none: the device gives nothing back, and asks to be reset.
spoil:
	call begin_at
	mov word [DRIVER + 2], 1
	mov dword [edi + QUEUE_NOTIFY], 0
	expect dword [edi + STATUS], 15 + NEEDS_RESET
	expect dword [edi + INTERRUPT], 2
	expect word [DEVICE + 2], 0
	ret

text:	db 'board: written to the screen and to a debug console', 10, 0
