/* SPDX-License-Identifier: MIT */
/* Taking interrupts: handlers that look, that are interrupted by others, that end. */
#include "guest/stubs/apic_trace/apic_trace.h"
#include "guest/stubs/idt.h"

enum { VECTORS = 256 };

static struct gate idt[VECTORS];

/* A line that stays up comes again with the end of its interrupt, a few times. */
static void lower_the_line(void)
{
	if (again) {
		again--;
		return;
	}
	out8(LINE_PORTS + PIN, 0);
}

void take(uint64_t vector);

void take(uint64_t vector)
{
	taken++;
	note(vector | (uint64_t)depth << 8 | 1u << 16);
	if (vector == SPURIOUS)
		return;
	if (lib_random_below(4) == 0)
		note_state();
	if (vector >= LEVEL_FIRST && vector < LEVEL_FIRST + LEVEL_VECTORS)
		lower_the_line();
	depth++;
	if (depth < DEEPEST && lib_random_below(3)) {
		uint32_t priority = get(TPR);

		if (lib_random_below(2))
			put(TPR, lib_random_below(256));
		interrupts_on();
		interrupts_off();
		put(TPR, priority);
	}
	put(EOI, 0);
	depth--;
}

/* 16 bytes each, in order: the vector, then what all share. */
__asm__(".align 16\n"
	"stubs:\n"
	".set vector, 0\n"
	".rept 256\n"
	".align 16\n"
	"	push $vector\n"
	"	jmp common\n"
	".set vector, vector + 1\n"
	".endr\n"
	"common:\n"
	"	push %rax\n	push %rcx\n	push %rdx\n	push %rsi\n	push %rdi\n"
	"	push %r8\n	push %r9\n	push %r10\n	push %r11\n	push %rbp\n"
	"	mov 80(%rsp), %rdi\n"
	"	movzbl %dil, %edi\n"
	"	mov %rsp, %rbp\n"
	"	and $-16, %rsp\n"
	"	cld\n"
	"	call take\n"
	"	mov %rbp, %rsp\n"
	"	pop %rbp\n	pop %r11\n	pop %r10\n	pop %r9\n	pop %r8\n"
	"	pop %rdi\n	pop %rsi\n	pop %rdx\n	pop %rcx\n	pop %rax\n"
	"	add $8, %rsp\n"
	"	iretq\n");

extern const char stubs[];

void load_idt(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++)
		idt[vector] = gate_to((uint64_t)stubs + 16ull * vector);
	load_gates(idt, VECTORS);
}
