/* SPDX-License-Identifier: MIT */
/*
 * The whole engine against this machine's CPU: every form that the decoder
 * accepts goes through mmio_run() in a guest that is this process, with
 * operands and stack in RAM, in devices, and across their borders.
 */
#include "mmio/alu_flags.h"
#include "tests/unit/hosted.h"
#include "tests/unit/native_guest.h"
#include "tests/unit/native_undefined.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum {
	RUNS = 2,
	IMPLIED_RUNS = 64, /* of a form without ModRM */
	ENTER_RUNS = 5000, /* frames and copies overlap in many ways */
	RFLAGS_TF = 1 << 8,
	RFLAGS_NT = 1 << 14,
	RFLAGS_AC = 1 << 18,
	INVALID_SELECTOR = 0x50,
	FRAMES_NEAR = 512, /* the frame pointers that ENTER copies, to its copies */
	LAST_X87_MOVE = INSN_X87_STORE,
};

static struct form_count count;
static unsigned long not_run;
static const char *reasons[INSN_NR_OPS];
static struct native_image before, by_cpu, emulated;

static bool has_prefix(const struct native_form *form, uint8_t prefix)
{
	return memchr(form->bytes, prefix, form->opcode_at) != NULL;
}

/* What this process cannot do on the CPU itself, or may not. NULL: it can. */
static const char *cannot_run(const struct native_form *form)
{
	const struct insn *insn = &form->insn;
	bool far = insn->op == INSN_JMP_FAR || insn->op == INSN_CALL_FAR;
	bool near = insn->op == INSN_JMP || insn->op == INSN_CALL || insn->op == INSN_RET;

	switch (insn->op) {
	case INSN_INS:
	case INSN_OUTS:
		return "user code has no I/O ports";
	case INSN_SGDT:
	case INSN_SIDT:
	case INSN_SMSW:
		return "the kernel answers instead (UMIP)";
	case INSN_STORE_SEGMENT:
		if (insn->reg >= TL_LDTR)
			return "the kernel answers instead (UMIP)";
		break;
	case INSN_LOAD_SEGMENT:
		if (insn->reg == TL_FS || insn->reg == TL_GS)
			return "FS and GS are this process' own";
		break;
	case INSN_LOAD_FAR:
		if (insn->detail == TL_FS || insn->detail == TL_GS)
			return "FS and GS are this process' own";
		break;
	case INSN_POP:
		if (insn->source == SOURCE_SEGMENT && (insn->reg == TL_FS || insn->reg == TL_GS))
			return "FS and GS are this process' own";
		break;
	case INSN_PUSH:
		if (insn->source == SOURCE_SEGMENT && insn->operand_size == 4 && !native_is_intel())
			return "PUSH of a segment register: only Intel's CPUs leave the upper half";
		break;
	default:
		break;
	}
	if ((near || far) && insn->operand_size == 2)
		return "no code lies below 64 KiB";
	if (near && insn->source == SOURCE_REGISTER && insn->reg == TL_RSP)
		return "no code lies on the stack";
	if (near && form->code_bits == 64 && has_prefix(form, 0x66) && !native_is_intel())
		return "66 before a near transfer: only Intel's CPUs ignore it";
	if ((far || insn->op == INSN_LOAD_FAR) && insn->operand_size == 8 && !native_is_intel())
		return "m16:64, which only Intel's CPUs have";
	return native_lacks(form);
}

/*
 * The CPUs differ in whether an unaligned access of a vector raises #AC. MOVSXD of 16 bits is left out because AMD's
 * reads 32, and so is POP of a segment register.
 */
static bool alignment_is_told(const struct insn *insn)
{
	bool movsxd = insn->op == INSN_LOAD_SX && insn->register_size == insn->memory_size;
	bool pop_segment = insn->op == INSN_POP && insn->source == SOURCE_SEGMENT;

	return insn_unit(insn) < UNIT_VECTOR && !movsxd && !pop_segment;
}

/* Somewhere the guest may go on. */
static uint64_t random_pad(void)
{
	return native_pad((unsigned)random_below(NATIVE_PADS));
}

static uint64_t stack_pointer(const struct native_case *c)
{
	return c->gpr[TL_RSP];
}

static void refine_string(struct native_case *c)
{
	uint8_t same[64];

	/* So that REPE and REPNE go on for a while. */
	memset(same, random_below(2) ? 0 : (int)(c->gpr[TL_RAX] & 0xff), sizeof(same));
	native_set_memory(c->gpr[TL_RSI] & insn_mask[c->insn.address_size], same, 16 + (unsigned)random_below(48));
	native_set_memory(c->gpr[TL_RDI] & insn_mask[c->insn.address_size], same, 16 + (unsigned)random_below(48));
}

static void refine_transfer(struct native_case *c)
{
	const struct insn *insn = &c->insn;
	uint64_t pad = random_pad();

	if (insn->op == INSN_RET)
		native_set_memory(stack_pointer(c), &pad, 8);
	else if (insn->source == SOURCE_REGISTER)
		c->gpr[insn->reg] = pad;
	else if (insn->source == SOURCE_IMMEDIATE)
		native_case_set_immediate(c, pad - (c->rip + insn->length), 4);
	else
		native_case_set_memory(c, &pad, 8);
}

static void refine_far(struct native_case *c)
{
	uint32_t offset = (uint32_t)random_pad();
	uint16_t selector = c->form->code_bits == 64 ? USER_CODE_64 : USER_CODE_32;
	uint8_t pointer[6];

	memcpy(pointer, &offset, 4);
	memcpy(pointer + 4, &selector, 2);
	native_case_set_memory(c, pointer, sizeof(pointer));
}

/*
 * 16 bits of size and 5 of level. The frame pointers it copies lie near the copies, often in them. AMD's CPUs, with
 * RFLAGS.AC, tell when the new top of the stack is unaligned.
 */
static void refine_enter(struct native_case *c)
{
	uint64_t size = random_below(1024) & (c->rflags & RFLAGS_AC ? ~7ull : ~0ull);

	native_case_set_immediate(c, size | random_next() << 16, 3);
	c->gpr[TL_RBP] = stack_pointer(c) + random_below(2 * (uint64_t)FRAMES_NEAR) - FRAMES_NEAR;
}

static uint16_t random_selector(void)
{
	static const uint16_t selectors[] = {
		0,    1,    3,    USER_CODE_32, USER_DATA,     USER_CODE_64,     USER_DATA & ~3,
		0x10, 0x1b, 0x08, 0x0b,         USER_DATA | 4, INVALID_SELECTOR, 0xfffb};

	return selectors[random_below(sizeof(selectors) / sizeof(selectors[0]))];
}

/* Operands with which an instruction does more than fault. */
static void refine(struct native_case *c)
{
	const struct insn *insn = &c->insn;
	uint64_t flags = random_next() & ~(uint64_t)(RFLAGS_TF | RFLAGS_NT);
	uint16_t selector = random_selector();
	uint64_t mxcsr = 0x1f80;

	switch (insn->op) {
	case INSN_JMP:
	case INSN_CALL:
	case INSN_RET:
		refine_transfer(c);
		break;
	case INSN_JMP_FAR:
	case INSN_CALL_FAR:
		refine_far(c);
		break;
	case INSN_POPF:
		native_set_memory(stack_pointer(c), &flags, 8);
		break;
	case INSN_ENTER:
		refine_enter(c);
		break;
	case INSN_POP:
		if (insn->source == SOURCE_SEGMENT)
			native_set_memory(stack_pointer(c), &selector, 2);
		break;
	case INSN_LOAD_SEGMENT:
	case INSN_VERR:
	case INSN_VERW:
	case INSN_LAR:
	case INSN_LSL:
		native_case_set_memory(c, &selector, 2);
		break;
	case INSN_LOAD_FAR:
		native_set_memory(c->operand + insn->operand_size, &selector, 2);
		break;
	case INSN_LDMXCSR:
		native_case_set_memory(c, &mxcsr, 4);
		break;
	default:
		if (insn_unit(insn) == UNIT_STRING)
			refine_string(c);
		break;
	}
}

static void run_once(const struct native_form *form)
{
	bool vector = form->insn.op >= INSN_VECTOR_LOAD && form->insn.op <= LAST_X87_MOVE;
	struct native_case c;
	const char *difference;

	if (!native_case_begin(&c, form))
		return;
	if (alignment_is_told(&c.insn) && random_below(8) == 0)
		c.rflags |= RFLAGS_AC;
	refine(&c);
	if (vector) {
		native_image_random(&before);
		memcpy(&emulated, &before, sizeof(before));
		c.cpu.xsave_before = before.bytes;
		c.cpu.xsave_after = by_cpu.bytes;
	}
	native_case_run(&c);
	native_guest_run(&c, &emulated);
	form_count_add(&count, &c.insn);
	/* AMD's CPUs leave what an ENTER pushed before it faulted. */
	if (c.insn.op == INSN_ENTER && c.cpu.fault != NATIVE_NO_FAULT)
		native_mirror_take();
	native_case_compare_all(&c);
	if (!vector || c.cpu.fault != c.emulated_fault)
		return;
	difference = native_image_difference(&by_cpu, &emulated, native_image_has_pointers(&by_cpu, &c.insn));
	if (difference)
		native_case_fail(&c, difference);
}

/* Instructions without a ModRM byte have few forms: what may go wrong is in the registers. */
static unsigned runs_of(const struct native_form *form)
{
	if (form->insn.op == INSN_ENTER)
		return ENTER_RUNS;
	return form->free_at == form->opcode_at + 1 ? IMPLIED_RUNS : RUNS;
}

static void visit(const struct native_form *form)
{
	const char *reason;

	if (form->status != DECODE_OK)
		return;
	reason = cannot_run(form);
	if (reason) {
		reasons[form->insn.op] = reason;
		not_run++;
		return;
	}
	count.forms++;
	for (unsigned i = runs_of(form) * native_rounds(); i > 0; i--)
		run_once(form);
}

static void run_forms(enum form_set set)
{
	native_start();
	native_image_random(&emulated);
	native_forms(set, visit);
	assert_int_equal(native_case_failures(), 0);
}

static void legacy_forms(void **state)
{
	(void)state;
	run_forms(FORMS_LEGACY);
}

static void vex_forms(void **state)
{
	(void)state;
	run_forms(FORMS_VEX);
}

static void evex_forms(void **state)
{
	(void)state;
	run_forms(FORMS_EVEX);
}

static void forms_of_32_bit_code(void **state)
{
	(void)state;
	native_start();
	if (!native_runs_32()) {
		printf("not run: 32-bit code, which this kernel does not allow\n");
		skip();
	}
	run_forms(FORMS_LEGACY_32);
}

static void every_operation_was_run(void **state)
{
	bool all = true;

	(void)state;
	for (unsigned op = INSN_LOAD; op < INSN_NR_OPS; op++) {
		bool only_32 = op == INSN_ARPL || op == INSN_BOUND || op == INSN_PUSHA || op == INSN_POPA;

		if (count.runs[op])
			continue;
		printf("not run: %s: %s\n", op_name(op), reasons[op] ? reasons[op] : "not found");
		if (!reasons[op] && !(only_32 && !native_runs_32()))
			all = false;
	}
	assert_true(all);
}

static int report(void **state)
{
	printf("%lu forms, %lu runs, %u distinct (operation, size, encoding); %lu "
	       "not run\n"
	       "%lu accesses by a device, %lu by the embedder\n",
	       count.forms, count.total, count.distinct, not_run, native_guest_calls, native_guest_completions);
	native_undefined_report();
	return native_guest_stop(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_forms),
		cmocka_unit_test(vex_forms),
		cmocka_unit_test(evex_forms),
		cmocka_unit_test(forms_of_32_bit_code),
		cmocka_unit_test(every_operation_was_run),
	};

	return cmocka_run_group_tests(tests, native_guest_start, report);
}
