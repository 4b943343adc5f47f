/* SPDX-License-Identifier: MIT */
/*
 * A program that is stepped through (HC_STEP). Each step must end at the next instruction that a processor executes,
 * and the program must see nothing of it: no TF that it has not set, in no image of its flags, and no DR6.BS; while its
 * own TF, breakpoints and shadows work.
 */
#include "guest/stubs/cpu.h"
#include "guest/stubs/idt.h"
#include "guest/stubs/lib.h"

enum { DATA_SELECTOR = 0x10 };
enum {
	VECTOR_DB = 1,
	VECTOR_BP = 3,
	VECTOR_UD = 6,
	VECTOR_PF = 14,
	VECTOR_CONTROLLER = 0x40,
	VECTOR_SOFTWARE = 0x80,
	NR_VECTORS
};

#define MSR_EFER       0xc0000080u
#define MSR_STAR       0xc0000081u
#define MSR_LSTAR      0xc0000082u
#define MSR_FMASK      0xc0000084u
#define EFER_SCE       1ull
#define RFLAGS_TF      0x100ull
#define RFLAGS_IF      0x200ull
#define RFLAGS_PROCESS 0x202ull
#define DR6_B0         1ull
#define DR6_BS         0x4000ull
#define NOT_MAPPED     0x123456789000ull
#define SHADOW_STI     1ull
#define SHADOW_MOV_SS  2ull

#define PAGE_PRESENT 1ull
#define PAGE_USER    4ull
#define PAGE_LARGE   0x80ull
#define PAGE_ADDRESS 0xffffffffff000ull

/* What each handler of program.asm found pushed, and what else the program kept of what it saw. */
enum frame { FRAME_BP, FRAME_INT, FRAME_UD, FRAME_PF, FRAME_TF, FRAME_WATCH, FRAME_INTERRUPT, NR_FRAMES };
volatile struct {
	uint64_t rip, rflags;
} steps_frame[NR_FRAMES];
volatile uint64_t steps_pushed[2], steps_r11[2], steps_dr6[2], steps_cr2;
volatile uint32_t steps_watched = 4, steps_copied;
volatile uint16_t steps_ss = DATA_SELECTOR;

uint64_t steps_program(uint64_t step_call, uint64_t count, struct abi_step *steps, uint64_t interrupt_call);
void steps_bp(void), steps_int(void), steps_ud(void), steps_pf(void), steps_debug(void), steps_interrupt(void);
void steps_syscall(void);
extern const char steps_ud_at[], steps_pf_at[], steps_own_tf[], steps_tf[], steps_watch[], steps_after_ss[],
	steps_after_sti[];
extern const uint64_t steps_wanted[], steps_wanted_end[];

enum { MOST_STEPS = 256 };
static struct abi_step steps[MOST_STEPS];

static struct gate idt[NR_VECTORS];

static void load_idt(void)
{
	idt[VECTOR_DB] = gate_to((uint64_t)steps_debug);
	idt[VECTOR_BP] = gate_to((uint64_t)steps_bp);
	idt[VECTOR_UD] = gate_to((uint64_t)steps_ud);
	idt[VECTOR_PF] = gate_to((uint64_t)steps_pf);
	idt[VECTOR_CONTROLLER] = gate_to((uint64_t)steps_interrupt);
	idt[VECTOR_SOFTWARE] = gate_to((uint64_t)steps_int);
	load_gates(idt, NR_VECTORS);
}

/* A process has all pages: those of the tables from `entry` on, of which a level has so many that are in use. */
static void let_processes_in(uint64_t *entry, unsigned level, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!(entry[i] & PAGE_PRESENT))
			continue;
		entry[i] |= PAGE_USER;
		if (level > 2 && !(entry[i] & PAGE_LARGE))
			let_processes_in((uint64_t *)(entry[i] & PAGE_ADDRESS), level - 1, level == 4 ? 4 : 512);
	}
}

static void prepare_system_calls(void)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	let_processes_in((uint64_t *)(cr3 & PAGE_ADDRESS), 4, 1);
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	wrmsr(MSR_STAR, (uint64_t)CODE_SELECTOR << 32 | (uint64_t)DATA_SELECTOR << 48);
	wrmsr(MSR_LSTAR, (uint64_t)steps_syscall);
	wrmsr(MSR_FMASK, RFLAGS_TF | RFLAGS_IF);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}

static void print_step(const char *what, unsigned number, uint64_t rip, uint64_t wanted)
{
	struct lib_line line = {.length = 0};

	lib_line_text(&line, what);
	lib_line_text(&line, " of step ");
	lib_line_number(&line, number, 10);
	lib_line_text(&line, ": ");
	lib_line_number(&line, rip, 16);
	lib_line_text(&line, " instead of ");
	lib_line_number(&line, wanted, 16);
	lib_line_print(&line);
	vmcall(HC_EXIT, 1, 0, 0, 0);
}

static void check_ends(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (steps[i].rip != steps_wanted[i])
			print_step("the end", i, steps[i].rip, steps_wanted[i]);
}

/* From behind the POPF until the trap of the instruction behind that is taken. */
static bool has_own_tf(unsigned step)
{
	return steps[step].rip == (uint64_t)steps_own_tf || (step && steps[step - 1].rip == (uint64_t)steps_own_tf);
}

/* What the hypervisor shows of the processor between two steps is the guest's, too. */
static void check_states(unsigned count)
{
	bool seen = false;

	for (unsigned i = 0; i < count; i++) {
		const struct abi_step *step = &steps[i];
		bool own = has_own_tf(i);

		if (own != !!(step->rflags & RFLAGS_TF))
			print_step("the flags", i, step->rflags, step->rflags ^ RFLAGS_TF);
		if (!seen && step->dr6 & DR6_BS)
			print_step("DR6", i, step->dr6, step->dr6 ^ DR6_BS);
		seen |= own;
		if (step->rip == (uint64_t)steps_after_ss)
			CHECK_EQUAL(step->interruptibility, SHADOW_MOV_SS);
		else if (step->rip == (uint64_t)steps_after_sti)
			CHECK_EQUAL(step->interruptibility, SHADOW_STI);
	}
	CHECK(seen);
}

static void check_frames(void)
{
	const uint64_t wanted[NR_FRAMES] = {(uint64_t)steps_bp,       (uint64_t)steps_int, (uint64_t)steps_ud_at,
					    (uint64_t)steps_pf_at,    (uint64_t)steps_tf,  (uint64_t)steps_watch,
					    (uint64_t)steps_interrupt};

	for (unsigned i = 0; i < NR_FRAMES; i++) {
		CHECK_EQUAL(steps_frame[i].rip, wanted[i]);
		CHECK_EQUAL(steps_frame[i].rflags & RFLAGS_TF, i == FRAME_TF ? RFLAGS_TF : 0);
	}
	CHECK_EQUAL(steps_cr2, NOT_MAPPED);
}

int main(const struct mb1_info *info)
{
	unsigned count = (unsigned)(steps_wanted_end - steps_wanted);

	(void)info;
	CHECK(count <= MOST_STEPS);
	load_idt();
	prepare_system_calls();
	CHECK_EQUAL(vmcall(HC_CONTROLLER, 0, 0, 0, 0), 0);
	CHECK_EQUAL(steps_program(HC_STEP, count, steps, HC_INTERRUPT), 0);
	check_ends(count);
	check_states(count);
	check_frames();
	CHECK_EQUAL(steps_pushed[0] & (RFLAGS_TF | RFLAGS_IF), 0);
	CHECK_EQUAL(steps_pushed[1], RFLAGS_PROCESS);
	CHECK_EQUAL(steps_r11[0] & RFLAGS_TF, 0);
	CHECK_EQUAL(steps_r11[1], RFLAGS_PROCESS);
	CHECK_EQUAL(steps_dr6[0] & (DR6_BS | DR6_B0), DR6_BS);
	CHECK_EQUAL(steps_dr6[1] & (DR6_BS | DR6_B0), DR6_B0);
	CHECK_EQUAL(steps_watched, 5);
	CHECK_EQUAL(steps_copied, 4);
	CHECK_EQUAL(lib_device(DEVICE_BANK0).writes, 2);
	return 0;
}
