/* SPDX-License-Identifier: MIT */
/* Emulation against the CPU: the same instruction on ordinary memory, all registers and memory compared. */
#include "mmio/emulate.h"
#include "tests/unit/hosted.h"
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <trapline.h>
#include <unistd.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum { ROUNDS = 300000, ARENA_SIZE = 4096 };

/* Below 2 GiB, so that every displacement and 32-bit address reaches them. */
#define ARENA_AT 0x21000000ul
#define CODE_AT  0x20000000ul
#define GS_BASE  0x123450ul

static uint8_t *const arena = (uint8_t *)ARENA_AT;
static uint8_t *const code = (uint8_t *)CODE_AT;

/* Of the instruction that runs natively; the assembly below knows them. */
extern uint64_t native_gpr[16], native_rsp, native_code;
uint64_t native_gpr[16];
uint64_t native_rsp;
void native_run(void);
extern const uint8_t native_return[];

/* Loads every register from native_gpr, RSP too, jumps to the code, which jumps back; saves them all. */
asm(".pushsection .text\n"
    "native_run:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, native_rsp(%rip)\n"
    "	mov native_gpr+0x00(%rip), %rax; mov native_gpr+0x08(%rip), %rcx\n"
    "	mov native_gpr+0x10(%rip), %rdx; mov native_gpr+0x18(%rip), %rbx\n"
    "	mov native_gpr+0x20(%rip), %rsp; mov native_gpr+0x28(%rip), %rbp\n"
    "	mov native_gpr+0x30(%rip), %rsi; mov native_gpr+0x38(%rip), %rdi\n"
    "	mov native_gpr+0x40(%rip), %r8;  mov native_gpr+0x48(%rip), %r9\n"
    "	mov native_gpr+0x50(%rip), %r10; mov native_gpr+0x58(%rip), %r11\n"
    "	mov native_gpr+0x60(%rip), %r12; mov native_gpr+0x68(%rip), %r13\n"
    "	mov native_gpr+0x70(%rip), %r14; mov native_gpr+0x78(%rip), %r15\n"
    "	jmp *native_code(%rip)\n"
    "native_return:\n"
    "	mov %rax, native_gpr+0x00(%rip); mov %rcx, native_gpr+0x08(%rip)\n"
    "	mov %rdx, native_gpr+0x10(%rip); mov %rbx, native_gpr+0x18(%rip)\n"
    "	mov %rsp, native_gpr+0x20(%rip); mov %rbp, native_gpr+0x28(%rip)\n"
    "	mov %rsi, native_gpr+0x30(%rip); mov %rdi, native_gpr+0x38(%rip)\n"
    "	mov %r8,  native_gpr+0x40(%rip); mov %r9,  native_gpr+0x48(%rip)\n"
    "	mov %r10, native_gpr+0x50(%rip); mov %r11, native_gpr+0x58(%rip)\n"
    "	mov %r12, native_gpr+0x60(%rip); mov %r13, native_gpr+0x68(%rip)\n"
    "	mov %r14, native_gpr+0x70(%rip); mov %r15, native_gpr+0x78(%rip)\n"
    "	mov native_rsp(%rip), %rsp\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    ".popsection\n");
uint64_t native_code = CODE_AT;

static const struct form {
	const char *name;
	uint8_t length, opcode[2];
	uint8_t digit; /* the reg field of a group, or 8 */
	bool moffs;
} forms[] = {
	{"63 MOVSXD", 1, {0x63}, 8, false},
	{"88 MOV", 1, {0x88}, 8, false},
	{"89 MOV", 1, {0x89}, 8, false},
	{"8A MOV", 1, {0x8a}, 8, false},
	{"8B MOV", 1, {0x8b}, 8, false},
	{"A0 MOV", 1, {0xa0}, 8, true},
	{"A1 MOV", 1, {0xa1}, 8, true},
	{"A2 MOV", 1, {0xa2}, 8, true},
	{"A3 MOV", 1, {0xa3}, 8, true},
	{"C6 MOV", 1, {0xc6}, 0, false},
	{"C7 MOV", 1, {0xc7}, 0, false},
	{"0F B6 MOVZX", 2, {0x0f, 0xb6}, 8, false},
	{"0F B7 MOVZX", 2, {0x0f, 0xb7}, 8, false},
	{"0F BE MOVSX", 2, {0x0f, 0xbe}, 8, false},
	{"0F BF MOVSX", 2, {0x0f, 0xbf}, 8, false},
	{"0F C3 MOVNTI", 2, {0x0f, 0xc3}, 8, false},
};

/* How often each form ran, by the operand size that its prefixes give: 2, 4, 8 bytes. */
static unsigned long ran[ARRAY_SIZE(forms)][3];
static unsigned long ran_high_byte, ran_rip_relative, ran_gs, ran_addr32, ran_sib;

static void make_instruction(const struct form *form, uint8_t *bytes)
{
	static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x65, 0x67, 0x66, 0xf2, 0xf3};
	bool only_plain = form->opcode[1] == 0xc3;
	unsigned at = 0, count = (unsigned)random_below(3);

	for (unsigned i = 0; i < 16; i++)
		bytes[i] = (uint8_t)random_next();
	while (count--)
		bytes[at++] = prefixes[random_below(only_plain ? 6 : sizeof(prefixes))];
	if (random_below(3))
		bytes[at++] = (uint8_t)(0x40 + random_below(16));
	memcpy(bytes + at, form->opcode, form->length);
	at += form->length;
	if (form->moffs)
		return;
	bytes[at] = (uint8_t)(random_below(3) << 6 | random_below(64));
	if (form->digit < 8)
		bytes[at] &= 0xc7;
}

/* Where the field of `size` bytes with `value` stands, counted from the end: it is the last or precedes an immediate.
 */
static void put_field(uint8_t *bytes, const struct insn *insn, unsigned size, uint64_t value)
{
	unsigned imm = insn->op != INSN_STORE_IMM ? 0 : insn->memory_size == 8 ? 4 : insn->memory_size;

	memcpy(bytes + insn->length - imm - size, &value, size);
}

static void set_register(unsigned reg, uint64_t value, unsigned address_size)
{
	/* What a 32-bit address ignores is noise. */
	if (address_size == 4)
		value = (value & 0xffffffff) | (random_next() << 32);
	native_gpr[reg] = value;
}

/*
 * Aims the operand at `target` by its registers, or without a base by its displacement; false if it can't be. With one
 * register as base and index it may come out a few bytes lower, which is as good.
 */
static bool aim(const struct form *form, uint8_t *bytes, const struct insn *insn, uint64_t target)
{
	uint64_t offset = insn->segment == TL_GS ? target - GS_BASE : target;
	uint64_t index = insn->index == INSN_NO_REGISTER ? 0 : random_below(64);

	if (insn->rip_relative) {
		put_field(bytes, insn, 4, offset - (CODE_AT + insn->length));
		return true;
	}
	if (insn->base == insn->index && insn->base != INSN_NO_REGISTER) {
		set_register(insn->base, (offset - (uint64_t)insn->disp) / (1 + (1ull << insn->scale)),
			     insn->address_size);
		return insn->disp < (int64_t)offset;
	}
	if (insn->index != INSN_NO_REGISTER && insn->base != INSN_NO_REGISTER && random_below(2))
		index = random_next();
	if (insn->index != INSN_NO_REGISTER)
		set_register(insn->index, index, insn->address_size);
	offset -= index << insn->scale;
	if (insn->base == INSN_NO_REGISTER)
		put_field(bytes, insn, form->moffs ? insn->address_size : 4, offset);
	else
		set_register(insn->base, offset - (uint64_t)insn->disp, insn->address_size);
	return true;
}

static void count_case(size_t form, const struct insn *insn)
{
	unsigned size = insn->register_size > insn->memory_size ? insn->register_size : insn->memory_size;

	ran[form][size == 8 ? 2 : size == 4]++;
	ran_high_byte += insn->high_byte;
	ran_rip_relative += insn->rip_relative;
	ran_gs += insn->segment == TL_GS;
	ran_addr32 += insn->address_size == 4;
	ran_sib += insn->index != INSN_NO_REGISTER && insn->base != INSN_NO_REGISTER;
}

static void emulate(const struct insn *insn, uint64_t gpr[INSN_NR_GPRS], uint8_t *memory)
{
	uint64_t address = insn_effective_address(insn, gpr, CODE_AT) + (insn->segment == TL_GS ? GS_BASE : 0);
	uint64_t data;

	assert_in_range(address, ARENA_AT, ARENA_AT + ARENA_SIZE - insn->memory_size);
	if (insn_is_write(insn)) {
		data = insn_store_value(insn, gpr);
		assert_int_equal(data & ~insn_mask[insn->memory_size], 0);
		memcpy(memory + (address - ARENA_AT), &data, insn->memory_size);
	} else {
		/* The upper bytes are noise that must be ignored. */
		data = random_next();
		memcpy(&data, memory + (address - ARENA_AT), insn->memory_size);
		insn_load_result(insn, gpr, data);
	}
}

/* An absolute jump back behind the instruction. */
static void place_code(const uint8_t *bytes, unsigned length)
{
	static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
	const void *back = native_return;

	memcpy(code, bytes, length);
	memcpy(code + length, jump, sizeof(jump));
	memcpy(code + length + sizeof(jump), &back, sizeof(back));
}

static void show(const struct form *form, const uint8_t *bytes, unsigned length)
{
	print_message("%s:", form->name);
	for (unsigned i = 0; i < length; i++)
		print_message(" %02x", bytes[i]);
	print_message("\n");
}

static void run_one(size_t which)
{
	static uint8_t memory[ARENA_SIZE];
	const struct form *form = &forms[which];
	uint64_t target = ARENA_AT + 512 + random_below(2048), gpr[INSN_NR_GPRS];
	uint8_t bytes[16];
	struct insn insn, bound;

	make_instruction(form, bytes);
	assert_int_equal(insn_decode(bytes, 15, 64, &insn), DECODE_OK);
	for (unsigned i = 0; i < 16; i++)
		native_gpr[i] = random_next();
	if (!aim(form, bytes, &insn, target))
		return;
	assert_int_equal(insn_decode(bytes, 15, 64, &insn), DECODE_OK);

	for (unsigned i = 0; i < 8; i++)
		((uint64_t *)arena)[(target - ARENA_AT) / 8 - 4 + i] = random_next();
	memcpy(memory, arena, ARENA_SIZE);
	memcpy(gpr, native_gpr, 16 * sizeof(gpr[0]));
	gpr[INSN_NO_REGISTER] = 0;
	bound = insn;
	insn_bind(&bound, CODE_AT);
	assert_int_equal(insn_effective_address(&bound, gpr, random_next()),
			 insn_effective_address(&insn, gpr, CODE_AT));
	emulate(&insn, gpr, memory);

	place_code(bytes, insn.length);
	native_run();
	if (memcmp(gpr, native_gpr, 16 * sizeof(gpr[0])) != 0 || memcmp(memory, arena, ARENA_SIZE) != 0)
		show(form, bytes, insn.length);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(gpr[i], native_gpr[i]);
	assert_memory_equal(memory, arena, ARENA_SIZE);
	assert_int_equal(gpr[INSN_NO_REGISTER], 0);
	count_case(which, &insn);
}

static void does_what_the_cpu_does(void **context)
{
	unsigned long total = 0;

	(void)context;
	random_seed(2);
	for (unsigned i = 0; i < ROUNDS; i++)
		run_one(i % ARRAY_SIZE(forms));
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		bool byte = forms[i].opcode[0] < 0xc7 && !(forms[i].opcode[0] & 1) && forms[i].length == 1;
		bool no_word = forms[i].opcode[1] == 0xc3;

		/* Every operand size that the form has came up. A byte form has one, counted as the first. */
		assert_true(ran[i][0] > 100 || no_word);
		assert_true(byte || (ran[i][1] > 100 && ran[i][2] > 100));
		total += ran[i][0] + ran[i][1] + ran[i][2];
	}
	assert_true(ran_high_byte > 1000 && ran_rip_relative > 1000 && ran_gs > 1000 && ran_addr32 > 1000);
	assert_true(ran_sib > 1000);
	print_message("%lu instructions did what the CPU does\n", total);
}

/* SIB base 101b with mod 0 is "no base" whatever REX.B says, with 32-bit addresses, too. */
static void sib_without_base_ignores_rex_b(void **context)
{
	static const uint8_t bytes[] = {0x67, 0x41, 0x8b, 0x0c, 0x25, 0x00, 0x02, 0x00, 0x21};
	struct insn insn;

	(void)context;
	assert_int_equal(insn_decode(bytes, sizeof(bytes), 64, &insn), DECODE_OK);
	assert_int_equal(insn.base, INSN_NO_REGISTER);
	assert_int_equal(insn.length, sizeof(bytes));
	memset(native_gpr, 0, sizeof(native_gpr));
	native_gpr[TL_R13] = 0x40;
	arena[0x200] = 1;
	arena[0x240] = 2;
	place_code(bytes, sizeof(bytes));
	native_run();
	assert_int_equal(native_gpr[TL_RCX] & 0xff, 1);
}

/* What 64-bit code cannot show: 16-bit addresses wrap at 64 KiB, 32-bit ones at 4 GiB, whatever the registers hold. */
static void addresses_wrap(void **context)
{
	static const uint8_t bx_si[] = {0x8b, 0x40, 0xff};           /* MOV AX, [BX+SI-1] */
	static const uint8_t sib[] = {0x67, 0x8b, 0x44, 0xb3, 0x04}; /* MOV AX, [EBX+ESI*4+4] */
	uint64_t gpr[INSN_NR_GPRS] = {0};
	struct insn insn;

	(void)context;
	gpr[TL_RBX] = 0x1234fff0;
	gpr[TL_RSI] = 0x56780020;
	assert_int_equal(insn_decode(bx_si, sizeof(bx_si), 16, &insn), DECODE_OK);
	assert_int_equal(insn_effective_address(&insn, gpr, 0), 0x0f);
	gpr[TL_RSI] = 0xfffffff0;
	assert_int_equal(insn_decode(sib, sizeof(sib), 16, &insn), DECODE_OK);
	assert_int_equal(insn_effective_address(&insn, gpr, 0), 0x1234fff0 - 0x40 + 4);
}

static int map_memory(void **context)
{
	void *where;

	(void)context;
	where = mmap(arena, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		     0);
	if (where != arena)
		return -1;
	where = mmap(code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		     -1, 0);
	if (where != code)
		return -1;
	return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_what_the_cpu_does),
		cmocka_unit_test(sib_without_base_ignores_rex_b),
		cmocka_unit_test(addresses_wrap),
	};

	return cmocka_run_group_tests(tests, map_memory, NULL);
}
