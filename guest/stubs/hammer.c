/* SPDX-License-Identifier: MIT */
/*
 * A million accesses: every form of MOV, every size, several devices, random places. The guest keeps its own copy of
 * every register and compares each datum that it loads; at the end the devices' registers and counts must be the same.
 */
#include "guest/stubs/lib.h"

enum {
	DEFAULT_ACCESSES = 1000000,
	BLOCK_ACCESSES = 16,
	BLOCK_BYTES = 16,
	BLOCKS_A_FORM = 8, /* so many blocks on one device, then one access of another form */
};

/* What the destination register holds before a load, so that bits a load must keep show. */
#define BEFORE 0x5a5aa5a5c3c33c3cull

/* The forms with an address in the instruction go to this place in the device LOW, which RIP-relative ones reach too.
 */
#define FIXED_OFFSET 0x128
#define FIXED_AT     (DEVICE_LOW_AT + FIXED_OFFSET)
_Static_assert(FIXED_AT == 0xd0128, "as the forms below spell it");

enum result { WHOLE, ZERO, SIGN, HIGH_BYTE };

struct form {
	uint64_t (*run)(uint64_t at, uint64_t value); /* returns the whole destination register of a load */
	uint8_t size;                                 /* of the access, in bytes */
	uint8_t wide;                                 /* of a load's destination, in bytes */
	uint8_t result;                               /* enum result: how a load fills its destination */
	bool fixed;                                   /* only at FIXED_AT */
	bool store;
	bool immediate; /* the value is IMMEDIATE, sign-extended to the size */
};

#define IMMEDIATE 0xffffffff9abcdef7ull

#define LOAD(name, text)                                                                                            \
	static uint64_t name(uint64_t at, uint64_t value)                                                           \
	{                                                                                                           \
		__asm__ volatile(text : "+a"(value) : "b"(at) : "rcx", "rdx", "rsi", "r8", "r12", "r13", "memory"); \
		return value;                                                                                       \
	}
#define STORE(name, text)                                                                                           \
	static uint64_t name(uint64_t at, uint64_t value)                                                           \
	{                                                                                                           \
		__asm__ volatile(text : : "a"(value), "b"(at) : "rcx", "rdx", "rsi", "r8", "r12", "r13", "memory"); \
		return 0;                                                                                           \
	}

LOAD(load8, "movb (%%rbx), %%al")
LOAD(load16, "movw (%%rbx), %%ax")
LOAD(load32, "movl (%%rbx), %%eax")
LOAD(load64, "movq (%%rbx), %%rax")
LOAD(load8_high, "movb (%%rbx), %%ah")
LOAD(load8_sil, "movq %%rax, %%rsi; movb (%%rbx), %%sil; movq %%rsi, %%rax")
LOAD(load16_disp8, "subq $0x70, %%rbx; movw 0x70(%%rbx), %%ax; addq $0x70, %%rbx")
LOAD(load32_disp32, "subq $0x12345678, %%rbx; movl 0x12345678(%%rbx), %%eax; addq $0x12345678, %%rbx")
LOAD(load64_index, "movl $5, %%ecx; subq $0x27, %%rbx; movq -1(%%rbx,%%rcx,8), %%rax; addq $0x27, %%rbx")
LOAD(load32_no_base, "movq %%rbx, %%rcx; shrq %%rcx; movl %%ebx, %%edx; andl $1, %%edx; movl (%%rdx,%%rcx,2), %%eax")
LOAD(load32_r8_r12, "movq %%rax, %%r8; movq %%rbx, %%r12; movl (%%r12), %%r8d; movq %%r8, %%rax")
LOAD(load64_r13, "movq %%rbx, %%r13; movq (%%r13), %%r8; movq %%r8, %%rax")
LOAD(load32_rsp, "movq %%rsp, %%rcx; movq %%rbx, %%rsp; movl (%%rsp), %%eax; movq %%rcx, %%rsp")
LOAD(load32_gs, "movl %%gs:(%%rbx), %%eax")
LOAD(load32_address32, "movl (%%ebx), %%eax")
LOAD(load32_self, "movq %%rbx, %%rcx; movl (%%rcx), %%ecx; movq %%rcx, %%rax")
LOAD(zero8to16, "movzbw (%%rbx), %%ax")
LOAD(zero8to32, "movzbl (%%rbx), %%eax")
LOAD(zero8to64, "movzbq (%%rbx), %%rax")
LOAD(zero16to32, "movzwl (%%rbx), %%eax")
LOAD(zero16to64, "movzwq (%%rbx), %%rax")
LOAD(sign8to16, "movsbw (%%rbx), %%ax")
LOAD(sign8to32, "movsbl (%%rbx), %%eax")
LOAD(sign8to64, "movsbq (%%rbx), %%rax")
LOAD(sign16to32, "movswl (%%rbx), %%eax")
LOAD(sign16to64, "movswq (%%rbx), %%rax")
LOAD(sign32to64, "movslq (%%rbx), %%rax")
LOAD(moffs8, "movabsb 0xd0128, %%al")
LOAD(moffs16, "movabsw 0xd0128, %%ax")
LOAD(moffs32, "movabsl 0xd0128, %%eax")
LOAD(moffs64, "movabsq 0xd0128, %%rax")
LOAD(absolute32, "movl 0xd0128, %%eax")
LOAD(relative32, "movl device_low+0x128(%%rip), %%eax")

STORE(store8, "movb %%al, (%%rbx)")
STORE(store16, "movw %%ax, (%%rbx)")
STORE(store32, "movl %%eax, (%%rbx)")
STORE(store64, "movq %%rax, (%%rbx)")
STORE(store8_high, "movl %%eax, %%ecx; movb %%al, %%ch; movb $0, %%cl; movb %%ch, (%%rbx)")
STORE(store8_sil, "movq %%rax, %%rsi; movb %%sil, (%%rbx)")
STORE(store16_disp8, "subq $0x70, %%rbx; movw %%ax, 0x70(%%rbx); addq $0x70, %%rbx")
STORE(store32_index, "movl $5, %%ecx; subq $0x27, %%rbx; movl %%eax, -1(%%rbx,%%rcx,8); addq $0x27, %%rbx")
STORE(store64_r13, "movq %%rax, %%r8; movq %%rbx, %%r13; movq %%r8, (%%r13)")
STORE(store32_address32, "movl %%eax, (%%ebx)")
STORE(store8_immediate, "movb $0xf7, (%%rbx)")
STORE(store16_immediate, "movw $0xdef7, (%%rbx)")
STORE(store32_immediate, "movl $0x9abcdef7, (%%rbx)")
STORE(store64_immediate, "movq $-0x65432109, (%%rbx)")
STORE(store_moffs8, "movabsb %%al, 0xd0128")
STORE(store_moffs16, "movabsw %%ax, 0xd0128")
STORE(store_moffs32, "movabsl %%eax, 0xd0128")
STORE(store_moffs64, "movabsq %%rax, 0xd0128")
STORE(store_relative_immediate, "movl $0x9abcdef7, device_low+0x128(%%rip)")

#define L(name, size, wide, result)                           \
	{                                                     \
		name, size, wide, result, false, false, false \
	}
#define L_FIXED(name, size, wide, result)                    \
	{                                                    \
		name, size, wide, result, true, false, false \
	}
#define S(name, size)                                    \
	{                                                \
		name, size, 0, WHOLE, false, true, false \
	}
#define S_FIXED(name, size)                             \
	{                                               \
		name, size, 0, WHOLE, true, true, false \
	}
#define S_IMMEDIATE(name, size, fixed)                  \
	{                                               \
		name, size, 0, WHOLE, fixed, true, true \
	}

static const struct form forms[] = {
	L(load8, 1, 1, WHOLE),
	L(load16, 2, 2, WHOLE),
	L(load32, 4, 4, WHOLE),
	L(load64, 8, 8, WHOLE),
	L(load8_high, 1, 1, HIGH_BYTE),
	L(load8_sil, 1, 1, WHOLE),
	L(load16_disp8, 2, 2, WHOLE),
	L(load32_disp32, 4, 4, WHOLE),
	L(load64_index, 8, 8, WHOLE),
	L(load32_no_base, 4, 4, WHOLE),
	L(load32_r8_r12, 4, 4, WHOLE),
	L(load64_r13, 8, 8, WHOLE),
	L(load32_rsp, 4, 4, WHOLE),
	L(load32_gs, 4, 4, WHOLE),
	L(load32_address32, 4, 4, WHOLE),
	L(load32_self, 4, 4, WHOLE),
	L(zero8to16, 1, 2, ZERO),
	L(zero8to32, 1, 4, ZERO),
	L(zero8to64, 1, 8, ZERO),
	L(zero16to32, 2, 4, ZERO),
	L(zero16to64, 2, 8, ZERO),
	L(sign8to16, 1, 2, SIGN),
	L(sign8to32, 1, 4, SIGN),
	L(sign8to64, 1, 8, SIGN),
	L(sign16to32, 2, 4, SIGN),
	L(sign16to64, 2, 8, SIGN),
	L(sign32to64, 4, 8, SIGN),
	L_FIXED(moffs8, 1, 1, WHOLE),
	L_FIXED(moffs16, 2, 2, WHOLE),
	L_FIXED(moffs32, 4, 4, WHOLE),
	L_FIXED(moffs64, 8, 8, WHOLE),
	L_FIXED(absolute32, 4, 4, WHOLE),
	L_FIXED(relative32, 4, 4, WHOLE),
	S(store8, 1),
	S(store16, 2),
	S(store32, 4),
	S(store64, 8),
	S(store8_high, 1),
	S(store8_sil, 1),
	S(store16_disp8, 2),
	S(store32_index, 4),
	S(store64_r13, 8),
	S(store32_address32, 4),
	S_IMMEDIATE(store8_immediate, 1, false),
	S_IMMEDIATE(store16_immediate, 2, false),
	S_IMMEDIATE(store32_immediate, 4, false),
	S_IMMEDIATE(store64_immediate, 8, false),
	S_FIXED(store_moffs8, 1),
	S_FIXED(store_moffs16, 2),
	S_FIXED(store_moffs32, 4),
	S_FIXED(store_moffs64, 8),
	S_IMMEDIATE(store_relative_immediate, 4, true),
};

enum { NR_FORMS = sizeof(forms) / sizeof(forms[0]) };

/* A device as this guest knows it. */
struct model {
	enum abi_device_id id;
	uint64_t at;
	uint32_t size;
	uint64_t reads, writes, bytes_read, bytes_written;
	uint64_t blocks;
	uint8_t registers[ABI_BANK_SIZE];
};

#define MODEL(name, bytes)                                                   \
	{                                                                    \
		.id = DEVICE_##name, .at = DEVICE_##name##_AT, .size = bytes \
	}

static struct model models[] = {
	MODEL(LOW, 0x1000), /* first: the fixed forms use it */
	MODEL(BANK0, 0x1000),  MODEL(BANK1, 0x1000),  MODEL(BANK2, 0x1000),
	MODEL(BANK3, 0x1000), /* the last one that takes blocks: what follows has a longer way */
	MODEL(SHARED0, 0x400), MODEL(SHARED1, 0x800), MODEL(EMBEDDER, 0x1000),
};

enum { NR_MODELS = sizeof(models) / sizeof(models[0]), NR_PLAIN_MODELS = 5 };

/* The whole register after a load of `value` over BEFORE. */
static uint64_t loaded(const struct form *form, uint64_t value)
{
	unsigned shift = 64u - 8u * form->size;
	uint64_t mask = lib_mask(form->wide);

	if (form->result == HIGH_BYTE)
		return (BEFORE & ~0xff00ull) | value << 8;
	if (form->result == SIGN)
		value = (uint64_t)((int64_t)(value << shift) >> shift) & mask;
	/* A destination of 4 bytes clears the upper half; smaller ones keep what is above them. */
	return form->wide >= 4 ? value : (BEFORE & ~mask) | value;
}

static void access_once(const struct form *form, struct model *model, uint32_t offset)
{
	uint64_t value, result;

	if (!form->store) {
		value = lib_peek(model->registers + offset, form->size);
		result = form->run(model->at + offset, BEFORE);
		if (result != loaded(form, value))
			lib_check_equal(result, loaded(form, value), __FILE__, (unsigned)(form - forms),
					"a load by the form of that number");
		model->reads++;
		model->bytes_read += form->size;
		return;
	}
	value = form->immediate ? IMMEDIATE : lib_random();
	form->run(model->at + offset, value);
	lib_poke(model->registers + offset, value, form->size);
	model->writes++;
	model->bytes_written += form->size;
}

/*
 * Loads what `registers` hold, stores anew in every size, and loads it back. Not inlined: instructions close together
 * do not meet in a decode cache that is indexed by their addresses.
 */
static __attribute__((noinline)) void block(struct model *model, uint32_t offset)
{
	uint8_t *registers = model->registers + offset;
	uint64_t at = model->at + offset, first = lib_random(), second = first * 0x9e3779b97f4a7c15;
	uint64_t now = (first & 0xffff) | 0x9abcdef7ull << 32 | 0xdef7ull << 16;

	CHECK_EQUAL(read64(at), lib_peek(registers, 8));
	CHECK_EQUAL(read64(at + 8), lib_peek(registers + 8, 8));
	write64(at, first);
	CHECK_EQUAL(read64(at), first);
	write32(at + 8, (uint32_t)second);
	CHECK_EQUAL(read32(at + 8), (uint32_t)second);
	write16(at + 12, (uint16_t)first);
	CHECK_EQUAL(zero16to32(at + 12, 0), first & 0xffff);
	write8(at + 14, (uint8_t)first);
	CHECK_EQUAL(zero8to32(at + 14, 0), first & 0xff);
	store8_immediate(at + 15, 0);
	CHECK_EQUAL(zero8to64(at + 15, 0), 0xf7);
	store32_immediate(at + 4, 0);
	CHECK_EQUAL(read32(at + 4), 0x9abcdef7);
	store16_immediate(at + 2, 0);
	CHECK_EQUAL(read64(at), now);
	lib_poke(registers, now, 8);
	now = (second & UINT32_MAX) | (first & 0xffff) << 32 | (first & 0xff) << 48 | 0xf7ull << 56;
	lib_poke(registers + 8, now, 8);
	model->blocks++;
}

static void check_device(const struct model *model)
{
	struct abi_device device = lib_device(model->id);

	/* A block: 9 loads of 8+8+8+4+2+1+1+4+8 bytes and 7 stores of 8+4+2+1+1+4+2. */
	CHECK_EQUAL(device.reads, model->reads + 9 * model->blocks);
	CHECK_EQUAL(device.writes, model->writes + 7 * model->blocks);
	CHECK_EQUAL(device.bytes_read, model->bytes_read + 44 * model->blocks);
	CHECK_EQUAL(device.bytes_written, model->bytes_written + 22 * model->blocks);
	CHECK_EQUAL(vmcall(HC_DIGEST, model->id, 0, 0, 0), abi_digest(model->registers));
}

int main(const struct mb1_info *info)
{
	uint64_t accesses = lib_number(info, "accesses=", DEFAULT_ACCESSES);

	for (uint64_t done = 0, i = 0; done < accesses; i++, done++) {
		/* Every form in turn and in a random order alike. */
		const struct form *form = &forms[i & 1 ? lib_random_below(NR_FORMS) : i / 2 % NR_FORMS];
		struct model *model = form->fixed ? &models[0] : &models[lib_random_below(NR_MODELS)];
		uint32_t offset = form->fixed ? FIXED_OFFSET : lib_random_below(model->size - form->size + 1);

		access_once(form, model, offset);
		model = &models[lib_random_below(NR_PLAIN_MODELS)];
		for (unsigned n = 0; n < BLOCKS_A_FORM; n++, done += BLOCK_ACCESSES)
			block(model, lib_random_below(model->size - BLOCK_BYTES + 1));
	}
	for (unsigned i = 0; i < NR_MODELS; i++)
		check_device(&models[i]);
	return 0;
}
