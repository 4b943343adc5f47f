; SPDX-License-Identifier: MIT
; A guest that does nothing, with its interrupts off. Its time is up some day all the same. A flat image for any address and mode.
start:	cli
	jmp start
