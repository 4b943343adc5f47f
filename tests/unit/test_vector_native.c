/* SPDX-License-Identifier: MIT */
/*
 * Vector, MMX and opmask moves against this machine's CPU: an XSAVE area is loaded, the instruction executed and the
 * area saved; vector_mask(), vector_load() and vector_store() must make the same of a copy, and fault where the CPU
 * does when a part of the operand lies on a page that is not there.
 */
#include "mmio/vector.h"
#include "tests/unit/vector_rows.h"
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { AREA_BYTES = 8192, PAGE = 4096, NEAR = 128, ROUNDS = 3000, HEADER = 512, HEADER_BYTES = 64, MXCSR = 24 };
#define COMPONENTS 0xe7ull

/* The CPU's registers are used between its own XSAVE and XRSTOR, so the compiler need not know. */
static _Alignas(64) uint8_t own[AREA_BYTES];

#define NATIVE(name, need, text, ...)                                                                         \
	static void native_##name(void *area, void *memory, uint64_t components)                              \
	{                                                                                                     \
		__asm__ volatile("xsave64 (%0)\n\txrstor64 (%1)\n\t" text "\n\txsave64 (%1)\n\txrstor64 (%0)" \
				 :                                                                            \
				 : "b"(own), "S"(area), "D"(memory), "a"((uint32_t)components), "d"(0)        \
				 : "memory");                                                                 \
	}
SSE_ROWS(NATIVE)
VEX_ROWS(NATIVE)
EVEX_ROWS(NATIVE)

struct row {
	const char *name;
	unsigned need;
	void (*native)(void *area, void *memory, uint64_t components);
	struct insn insn;
};

#define TABLE(label, needs, text, ...) \
	{.name = #label, .need = (needs), .native = native_##label, .insn = {__VA_ARGS__}},
static const struct row rows[] = {SSE_ROWS(TABLE) VEX_ROWS(TABLE) EVEX_ROWS(TABLE)};

enum { NR_ROWS = sizeof(rows) / sizeof(rows[0]) };

static uint64_t components; /* of COMPONENTS, those that XCR0 enables */
static unsigned cpu_has;
static struct xstate xstate;
static uint32_t mxcsr_mask;
static uint8_t *page; /* between two that are not there */
static unsigned long cases, faults, avoided;
static uint64_t seed = 1;
static sigjmp_buf out_of_native;

/* xorshift64 */
static uint64_t number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fill(uint8_t *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at[i] = (uint8_t)(number() >> 32);
}

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	memcpy(at, &value, bytes);
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

/* Where a component lies, but for x87. */
static uint8_t *component_at(uint8_t *area, unsigned component)
{
	return area + (component == XSTATE_SSE ? 160 : xstate.offset[component]);
}

static const unsigned component_bytes[XSTATE_NR_COMPONENTS] = {0, 256, 256, 0, 0, 64, 512, 1024};

/* Components that are not in use hold anything. */
static void random_area(uint8_t *area)
{
	memset(area, 0, AREA_BYTES);
	fill(area + 32, 128);
	put(area, 0x37f | (number() & 0xc00), 2);
	put(area + 2, number() & 0x7f7f, 2);
	area[4] = (uint8_t)number();
	put(area + MXCSR, 0x1f80 | (number() & 0x7f), 4);
	put(area + 28, mxcsr_mask, 4);
	for (unsigned i = 1; i < XSTATE_NR_COMPONENTS; i++) {
		if (components >> i & 1)
			fill(component_at(area, i), component_bytes[i]);
	}
	/* Masks with few bits, so that operands are cut off before or after the part that is wanted. */
	for (unsigned k = 0; components >> XSTATE_OPMASK & 1 && k < 8; k++) {
		if (number() & 1)
			put(component_at(area, XSTATE_OPMASK) + 8ul * k, number() & number() & number() & number(), 8);
	}
	put(area + HEADER, components & (number() & 1 ? ~0ull : number()), 8);
}

/* What XRSTOR would take for a component that is not in use. */
static void make_initial(uint8_t *area)
{
	uint64_t bv = get(area + HEADER, 8);

	if (!(bv & 1)) {
		memset(area, 0, MXCSR);
		memset(area + 32, 0, 128);
		put(area, 0x37f, 2);
	}
	for (unsigned i = 1; i < XSTATE_NR_COMPONENTS; i++) {
		if (components >> i & 1 && !(bv >> i & 1))
			memset(component_at(area, i), 0, component_bytes[i]);
	}
}

/* The first component that differs; XSTATE_NR_COMPONENTS: none. FOP, FIP and FDP are no matter of these instructions.
 */
static unsigned first_difference(uint8_t *a, uint8_t *b)
{
	make_initial(a);
	make_initial(b);
	if (memcmp(a, b, 5) != 0 || memcmp(a + MXCSR, b + MXCSR, 4) != 0)
		return XSTATE_X87;
	for (unsigned i = 0; i < 8; i++) {
		if (memcmp(a + 32 + 16ul * i, b + 32 + 16ul * i, 10) != 0)
			return XSTATE_X87;
	}
	for (unsigned i = 1; i < XSTATE_NR_COMPONENTS; i++) {
		if (components >> i & 1 && memcmp(component_at(a, i), component_at(b, i), component_bytes[i]) != 0)
			return i;
	}
	return XSTATE_NR_COMPONENTS;
}

static void on_fault(int number_of_signal)
{
	(void)number_of_signal;
	siglongjmp(out_of_native, 1);
}

/* False: a fault. */
static bool run_native(const struct row *row, uint8_t *area, uint8_t *memory)
{
	if (sigsetjmp(out_of_native, 1) == 0) {
		row->native(area, memory, components);
		return true;
	}
	__asm__ volatile("xrstor64 (%0)" : : "b"(own), "a"((uint32_t)components), "d"(0) : "memory");
	return false;
}

/* Bytes [at, at + NEAR) of memory as far as they are on the page. */
static void copy_page(uint8_t *to, const uint8_t *at)
{
	for (unsigned i = 0; i < NEAR; i++)
		to[i] = at + i >= page && at + i < page + PAGE ? at[i] : 0;
}

/* The model on its own area and window of memory: false if it faults. */
static bool run_model(const struct insn *insn, uint8_t *area, uint8_t window[NEAR], uint64_t there)
{
	struct xstate state = xstate;
	uint64_t mask, faulting;
	uint8_t data[64];

	state.area = area;
	mask = vector_mask(insn, &state);
	if (insn->memory_size < 64)
		assert_int_equal(mask >> insn->memory_size, 0);
	faulting = vector_fault_mask(insn, &state);
	assert_int_equal(mask & ~faulting, 0);
	avoided += (faulting & ~there) == 0 && there != ~0ull;
	if (faulting & ~there)
		return false;
	fill(data, sizeof(data));
	if (!insn_is_write(insn)) {
		for (unsigned i = 0; i < insn->memory_size; i++)
			data[i] = mask >> i & 1 ? window[i] : data[i];
		return vector_load(insn, &state, data) < 0;
	}
	vector_store(insn, &state, data);
	for (unsigned i = 0; i < insn->memory_size; i++) {
		if (mask >> i & 1)
			window[i] = data[i];
	}
	return true;
}

/* Where the operand begins: mostly well on the page, else partly before or behind it. */
static uint8_t *choose_place(const struct insn *insn)
{
	unsigned part = 1 + (unsigned)(number() % insn->memory_size);

	if (insn->flags & INSN_ALIGNED)
		return page + 256;
	/* Of MASKMOV it is the CPU's choice whether bytes fault that are not stored. SDM vol. 2, MASKMOVDQU. */
	if (insn->op == INSN_VECTOR_MASKMOV || number() & 1)
		return page + 256 + part;
	return number() & 1 ? page + PAGE - part : page - insn->memory_size + part;
}

static uint64_t bytes_there(const struct insn *insn, const uint8_t *at)
{
	uint64_t there = 0;

	for (unsigned i = 0; i < insn->memory_size; i++) {
		if (at + i >= page && at + i < page + PAGE)
			there |= 1ull << i;
	}
	return __builtin_popcountll(there) == insn->memory_size ? ~0ull : there;
}

static void compare(const struct row *row)
{
	static _Alignas(64) uint8_t native[AREA_BYTES], model[AREA_BYTES];
	static uint8_t window[NEAR], after[NEAR];
	uint8_t *at = choose_place(&row->insn);
	bool done, model_done;
	unsigned difference;

	random_area(native);
	memcpy(model, native, AREA_BYTES);
	fill(page, PAGE);
	if (row->insn.op == INSN_LDMXCSR && number() & 3 && bytes_there(&row->insn, at) == ~0ull)
		put(at, number() & mxcsr_mask, 4);
	copy_page(window, at);
	model_done = run_model(&row->insn, model, window, bytes_there(&row->insn, at));
	done = run_native(row, native, at);
	cases++;
	faults += !done;
	if (done != model_done)
		fail_msg("%s at %td: the CPU %s, the model does not", row->name, at - page,
			 done ? "does it" : "faults");
	if (!done)
		return;
	copy_page(after, at);
	difference = first_difference(native, model);
	if (difference != XSTATE_NR_COMPONENTS || memcmp(window, after, NEAR) != 0)
		fail_msg("%s: %s %u differs", row->name,
			 difference == XSTATE_NR_COMPONENTS ? "memory, not component" : "component", difference);
}

static void every_row(void **state)
{
	struct sigaction action = {.sa_handler = on_fault};

	(void)state;
	if (!components) {
		printf("not run: this CPU, or its kernel, has no XSAVE\n");
		skip();
	}
	/* After cmocka's own. */
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	for (unsigned r = 0; r < NR_ROWS; r++) {
		if (rows[r].need & ~cpu_has)
			continue;
		for (unsigned i = 0; i < ROUNDS; i++)
			compare(&rows[r]);
	}
	assert_true(avoided > 100);
}

static unsigned find_features(void)
{
	unsigned has = 0;

	__builtin_cpu_init();
	has |= __builtin_cpu_supports("sse4.1") ? NEED_SSE41 : 0;
	has |= __builtin_cpu_supports("avx") ? NEED_AVX : 0;
	has |= __builtin_cpu_supports("avx2") ? NEED_AVX2 : 0;
	has |= __builtin_cpu_supports("avx512f") ? NEED_F : 0;
	has |= __builtin_cpu_supports("avx512bw") ? NEED_BW : 0;
	has |= __builtin_cpu_supports("avx512dq") ? NEED_DQ : 0;
	has |= __builtin_cpu_supports("avx512vl") ? NEED_VL : 0;
	return has;
}

static int set_up(void **state)
{
	unsigned eax, ebx, ecx, edx;

	(void)state;
	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & bit_OSXSAVE))
		return 0;
	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	components = eax & COMPONENTS;
	xstate.enabled = eax;
	for (unsigned i = 2; i < XSTATE_NR_COMPONENTS; i++) {
		if (components >> i & 1) {
			__cpuid_count(0xd, i, eax, ebx, ecx, edx);
			xstate.offset[i] = ebx;
			assert_true(ebx + component_bytes[i] <= AREA_BYTES);
		}
	}
	cpu_has = find_features();
	__asm__ volatile("fxsave64 (%0)" : : "r"(own) : "memory");
	mxcsr_mask = (uint32_t)get(own + 28, 4);
	page = mmap(NULL, 3ul * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -1;
	page += PAGE;
	return mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static int report(void **state)
{
	unsigned left_out = 0;

	(void)state;
	printf("vector moves against this CPU: %lu cases, %lu of them faults, %lu with a missing page not accessed\n",
	       cases, faults, avoided);
	for (unsigned r = 0; r < NR_ROWS; r++)
		left_out += (rows[r].need & ~cpu_has) != 0;
	printf("%d forms; not run for want of the CPU's support: %u\n", NR_ROWS, left_out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};

	return cmocka_run_group_tests(tests, set_up, report);
}
