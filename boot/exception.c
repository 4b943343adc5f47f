/* SPDX-License-Identifier: MIT */
#include "boot/exception.h"

#include <stddef.h>

#include "boot/backtrace.h"
#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/halt.h"
#include "boot/host_cpu.h"
#include "boot/idt.h"
#include "boot/print.h"
#include "boot/stack.h"
#include "boot/symbols.h"

enum { VECTOR_DOUBLE_FAULT = 8, VECTOR_PAGE_FAULT = 14 };

/* Of a page fault's error code. SDM vol. 3, 4.7. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_RESERVED = 8, PF_FETCH = 16 };

/* SDM vol. 3, table 6-1. */
static const char *const exception_names[32] = {
	[0] = "#DE divide error",
	[1] = "#DB debug",
	[2] = "NMI",
	[3] = "#BP breakpoint",
	[4] = "#OF overflow",
	[5] = "#BR bound range exceeded",
	[6] = "#UD invalid opcode",
	[7] = "#NM device not available",
	[8] = "#DF double fault",
	[9] = "coprocessor segment overrun",
	[10] = "#TS invalid TSS",
	[11] = "#NP segment not present",
	[12] = "#SS stack-segment fault",
	[13] = "#GP general protection",
	[14] = "#PF page fault",
	[16] = "#MF x87 floating-point error",
	[17] = "#AC alignment check",
	[18] = "#MC machine check",
	[19] = "#XM SIMD floating-point",
	[20] = "#VE virtualization",
	[21] = "#CP control protection",
};

static const char *exception_name(uint64_t vector)
{
	const char *name = vector < 32 ? exception_names[vector] : NULL;

	return name ? name : "reserved exception";
}

static void print_registers(const struct exception_frame *f)
{
	const struct {
		const char *name;
		uint64_t value;
	} words[] = {
		{"RAX", f->rax},     {"RBX", f->rbx},     {"RCX", f->rcx},    {"RDX", f->rdx},     {"RSI", f->rsi},
		{"RDI", f->rdi},     {"RBP", f->rbp},     {"RSP", f->rsp},    {"R8 ", f->r8},      {"R9 ", f->r9},
		{"R10", f->r10},     {"R11", f->r11},     {"R12", f->r12},    {"R13", f->r13},     {"R14", f->r14},
		{"R15", f->r15},     {"RIP", f->rip},     {"RFL", f->rflags}, {"CR0", cr0_read()}, {"CR2", cr2_read()},
		{"CR3", cr3_read()}, {"CR4", cr4_read()}, {"CS ", f->cs},     {"SS ", f->ss},
	};
	const size_t count = sizeof(words) / sizeof(words[0]);

	for (size_t i = 0; i < count; i++)
		host_print("  %s %016llx%s", words[i].name, (unsigned long long)words[i].value,
			   i % 4 == 3 || i + 1 == count ? "\n" : "");
}

/* What went on at the address of a page fault. */
static const char *page_fault_kind(uint64_t error, uint64_t address)
{
	const struct host_stack *stack = host_stack_find(address);

	if (error & PF_RESERVED)
		return "a page-table entry with reserved bits set";
	if (stack && !(error & PF_PRESENT))
		return "the guard page of a stack: the stack overflowed";
	if (error & PF_FETCH)
		return error & PF_PRESENT ? "execution of a page that holds data" : "execution of an unmapped page";
	if (error & PF_WRITE)
		return error & PF_PRESENT ? "a write to a read-only page" : "a write to an unmapped page";
	return "a read of an unmapped page";
}

/* A few words more than the name, for the last line. */
static void describe(const struct exception_frame *f, char *text, size_t size)
{
	uint64_t cr2 = cr2_read();
	const struct host_stack *stack = host_stack_find(f->rsp);

	text[0] = '\0';
	if (f->vector == VECTOR_PAGE_FAULT)
		print_to_buffer(text, size, " at address 0x%llx (%s)", (unsigned long long)cr2,
				page_fault_kind(f->error, cr2));
	else if (f->vector == VECTOR_DOUBLE_FAULT && stack && f->rsp <= (uintptr_t)stack->start)
		print_to_buffer(text, size, " (the %s stack overflowed)", stack->name);
}

static void describe_place(uint64_t rip, char *text, size_t size)
{
	uint64_t offset;
	const char *function = symbol_find(rip, &offset);

	if (function)
		print_to_buffer(text, size, "%s+0x%llx", function, (unsigned long long)offset);
	else
		print_to_buffer(text, size, "no function (RIP 0x%llx)", (unsigned long long)rip);
}

static void print_report(const struct exception_frame *frame, const char *detail)
{
	host_print("\nexception %llu: %s, error code 0x%llx%s\n", (unsigned long long)frame->vector,
		   exception_name(frame->vector), (unsigned long long)frame->error, detail);
	print_registers(frame);
	host_print("  CPU %u, %llu NMIs and %llu interrupts so far\n", host_cpu_index(), (unsigned long long)idt_nmis,
		   (unsigned long long)idt_interrupts);
	backtrace_print(frame->rip, frame->rsp);
}

_Noreturn void exception_handle(const struct exception_frame *frame)
{
	static unsigned depth;
	char detail[128], place[96];

	host_claim_end();
	/* The report itself may fault: then it is cut short, and a third fault is not even worth a word. */
	if (++depth > 2)
		cpu_stop();
	describe(frame, detail, sizeof(detail));
	describe_place(frame->rip, place, sizeof(place));
	if (depth == 1)
		print_report(frame, detail);
	host_exit(HOST_CANNOT_RUN, "the host took %s%s in %s; this is a bug, please report the lines above.",
		  exception_name(frame->vector), detail, place);
}
