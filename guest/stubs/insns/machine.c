/* SPDX-License-Identifier: MIT */
#include "guest/stubs/insns/machine.h"
#include "guest/stubs/lib.h"

enum {
	VECTORS = 32,
	VECTOR_BYTES = 16, /* of each entry in enter.asm */
	VECTOR_BP = 3,
	HOST_AT = 0x9200,
	IVT_AT = 0,
	IVT_OTHER_AT = 0x600,
	STACK_BYTES = 4096,
	REAL_STACK = 0x7000,
	INT3 = 0xcc,
	PTE_PRESENT = 1,
	PTE_WRITE = 2,
	PTE_USER = 4,
	PTE_ALL = PTE_PRESENT | PTE_WRITE | PTE_USER,
	PTE_LARGE = PTE_ALL | 0x80,
	LOW_MEMORY = 16 << 20,
	CPUID_FEATURES = 1,
	CPUID_XSTATE = 0x0d,
	XCR0_KNOWN = 0xe7, /* x87, SSE, AVX, AVX-512 */
	XSAVE_HEADER = 512,
};

#define CR0_MP        (1ull << 1)
#define CR0_AM        (1ull << 18)
#define CR4_OSFXSR    (1ull << 9)
#define CR4_OSXMM     (1ull << 10)
#define CR4_OSXSAVE   (1ull << 18)
#define CPUID_1_XSAVE (1u << 26)

/* Above what the other guests map, and in reach of 32 bits. */
#define WINDOW_AT 0x40000000ull

#define ALIGNED(bytes) __attribute__((aligned(bytes)))

/* What enter.asm needs to come back; its offsets are there. */
struct host {
	uint64_t stack, cr0, cr3, cr3_legacy, kind;
	struct machine_table gdt ALIGNED(8), idt ALIGNED(8), idt32 ALIGNED(8), ivt ALIGNED(8);
	uint32_t real_stack[2];
	uint64_t tss32, tss64;
};

_Static_assert(offsetof(struct host, gdt) == 40 && offsetof(struct host, tss64) == 120, "as enter.asm has it");

struct gate64 {
	uint16_t offset_low, selector, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

struct gate32 {
	uint16_t offset_low, selector, type, offset_high;
};

struct tss64 {
	uint32_t reserved;
	uint64_t rsp[3], reserved2, ist[7], reserved3;
	uint16_t reserved4, io_map;
} __attribute__((packed));

struct tss32 {
	uint32_t link, esp0, ss0, others[22];
	uint16_t trap, io_map;
};

_Static_assert(sizeof(struct tss64) == 104 && sizeof(struct tss32) == 104, "SDM vol. 3, 8.2.1 and 8.7");

#define HOST  ((struct host *)HOST_AT)
#define STATE ((struct machine_state *)0x9000)

extern uint8_t machine_vectors64[], machine_vectors32[], machine_vectors16[];
extern uint8_t machine_end16[], machine_end16_end[], low_image[], low_size[];
void machine_enter_long(void);
void machine_enter_legacy(void);

static uint64_t gdt[SELECTOR_END / 8], other_gdt[SELECTOR_END / 8];
static struct gate64 idt64[VECTORS], other_idt64[VECTORS];
static struct gate32 idt32[VECTORS];
static struct tss64 tss64, other_tss64;
static struct tss32 tss32;
static uint8_t stack[STACK_BYTES] ALIGNED(16);
static uint64_t pml4[512] ALIGNED(4096), pdpt[512] ALIGNED(4096), low_directory[512] ALIGNED(4096),
	window_directory[512] ALIGNED(4096), window_table[512] ALIGNED(4096);
static uint32_t legacy_directory[1024] ALIGNED(4096), legacy_table[1024] ALIGNED(4096);
static uint64_t xcr0;
static unsigned xsave_bytes;

static const uint64_t fixed_descriptors[] = {
	[SELECTOR_CODE64_0 / 8] = 0x00af9b000000ffff, [SELECTOR_DATA_0 / 8] = 0x00cf93000000ffff,
	[SELECTOR_CODE32_0 / 8] = 0x00cf9b000000ffff, [SELECTOR_CODE16_0 / 8] = 0x00009b000000ffff,
	[SELECTOR_CODE64_3 / 8] = 0x00affb000000ffff, [SELECTOR_CODE32_3 / 8] = 0x00cffb000000ffff,
	[SELECTOR_CODE16_3 / 8] = 0x0000fb000000ffff,
};

/* SDM vol. 3, 3.4.5. Limits are in bytes. */
static uint64_t descriptor(uint64_t base, uint64_t limit, unsigned type, unsigned dpl, bool big)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)type << 40 | (uint64_t)dpl << 45 |
	       (uint64_t)big << 54 | (base & 0xff000000) << 32;
}

enum { TYPE_READ_ONLY = 0x90, TYPE_DATA = 0x92, TYPE_DATA_ABSENT = 0x12, TYPE_TSS = 0x89, TYPE_LDT = 0x82 };

static void gate(unsigned vector)
{
	uint64_t to64 = (uint64_t)machine_vectors64 + VECTOR_BYTES * vector;
	uint64_t to32 = (uint64_t)machine_vectors32 + VECTOR_BYTES * vector;
	uint64_t to16 = (uint64_t)machine_vectors16 + VECTOR_BYTES * vector;
	/* Present, an interrupt gate; programs of CPL 3 end by INT3. */
	uint16_t type = vector == VECTOR_BP ? 0xee00 : 0x8e00;

	idt64[vector] = (struct gate64){.offset_low = (uint16_t)to64,
					.selector = SELECTOR_CODE64_0,
					.type = type | 1, /* on the first IST stack */
					.offset_middle = (uint16_t)(to64 >> 16)};
	other_idt64[vector] = idt64[vector];
	idt32[vector] = (struct gate32){(uint16_t)to32, SELECTOR_CODE32_0, type, (uint16_t)(to32 >> 16)};
	/* Not through pointers: the compiler takes the first page for none. */
	write32(IVT_AT + 4ull * vector, (uint32_t)to16);
	write32(IVT_OTHER_AT + 4ull * vector, (uint32_t)to16);
}

static void build_page_tables(void)
{
	pml4[0] = (uint64_t)pdpt | PTE_ALL;
	pdpt[0] = (uint64_t)low_directory | PTE_ALL;
	pdpt[WINDOW_AT >> 30] = (uint64_t)window_directory | PTE_ALL;
	window_directory[0] = (uint64_t)window_table | PTE_ALL;
	for (uint64_t at = 0; at < LOW_MEMORY; at += 2 << 20)
		low_directory[at >> 21] = at | PTE_LARGE;
	for (uint64_t at = 0; at < LOW_MEMORY; at += 4 << 20)
		legacy_directory[at >> 22] = (uint32_t)at | PTE_LARGE;
	legacy_directory[WINDOW_AT >> 22] = (uint32_t)(uint64_t)legacy_table | PTE_ALL;
}

static void cpuid(uint32_t leaf, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}

/* Alignment checks, SSE, and all of the state that XSAVE knows. */
static void enable_features(void)
{
	uint64_t cr0, cr4;
	uint32_t out[4];

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | CR0_MP | CR0_AM) : "memory");
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_OSFXSR | CR4_OSXMM;
	cpuid(CPUID_FEATURES, out);
	if (out[2] & CPUID_1_XSAVE)
		cr4 |= CR4_OSXSAVE;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	if (!(cr4 & CR4_OSXSAVE))
		return;
	cpuid(CPUID_XSTATE, out);
	xcr0 = out[0] & XCR0_KNOWN;
	__asm__ volatile("xsetbv" : : "a"((uint32_t)xcr0), "d"(0), "c"(0) : "memory");
	cpuid(CPUID_XSTATE, out);
	xsave_bytes = (out[1] + 7) & ~7u;
	CHECK(xsave_bytes <= MACHINE_XSAVE_BYTES);
}

static void build_gdt(const struct machine_mode *mode, const struct machine_window *window)
{
	bool big = mode->code_bits == 32;
	unsigned dpl = mode->cpl;
	uint64_t base = WINDOW_AT, memory = WINDOW_AT;

	if (!machine_has_paging(mode)) {
		memory = (uint64_t)window->memory;
		base = window->device ? window->device - WINDOW_DEVICES : memory;
	}
	memcpy(gdt, fixed_descriptors, sizeof(fixed_descriptors));
	gdt[SELECTOR_WINDOW / 8] = descriptor(base, 0xffff, TYPE_DATA, dpl, big);
	gdt[SELECTOR_MEMORY / 8] = descriptor(memory, 0xffff, TYPE_DATA, dpl, big);
	gdt[SELECTOR_BEYOND / 8] =
		descriptor((mode->code_bits == 64 ? 0 : base) + WINDOW_FS, 0xffff, TYPE_DATA, dpl, big);
	gdt[SELECTOR_ABSENT / 8] = descriptor(base, 0xffff, TYPE_DATA_ABSENT, dpl, big);
	gdt[SELECTOR_READ_ONLY / 8] = descriptor(base, 0xffff, TYPE_READ_ONLY, dpl, big);
	gdt[SELECTOR_ENDS / 8] = descriptor(base + WINDOW_ENDS, 0xffff, TYPE_DATA, dpl, false);
	gdt[SELECTOR_TSS32 / 8] = descriptor((uint64_t)&tss32, sizeof(tss32) - 1, TYPE_TSS, 0, false);
	gdt[SELECTOR_TSS64 / 8] = descriptor((uint64_t)&tss64, sizeof(tss64) - 1, TYPE_TSS, 0, false);
	gdt[SELECTOR_TSS64_OTHER / 8] = descriptor((uint64_t)&other_tss64, sizeof(tss64) - 1, TYPE_TSS, 0, false);
	gdt[SELECTOR_LDT / 8] = descriptor((uint64_t)gdt, sizeof(gdt) - 1, TYPE_LDT, 0, false);
	memcpy(other_gdt, gdt, sizeof(gdt));
	__asm__ volatile("lgdt %0" : : "m"(HOST->gdt));
}

void machine_start(void)
{
	struct host *host = HOST;

	memcpy((void *)(uint64_t)0x8000, low_image, (uint64_t)low_size);
	for (unsigned vector = 0; vector < VECTORS; vector++)
		gate(vector);
	build_page_tables();
	tss64.rsp[0] = tss64.ist[0] = (uint64_t)(stack + STACK_BYTES);
	tss64.io_map = sizeof(tss64);
	other_tss64 = tss64;
	tss32.esp0 = (uint32_t)(uint64_t)(stack + STACK_BYTES);
	tss32.ss0 = SELECTOR_DATA_0;
	tss32.io_map = sizeof(tss32);
	enable_features();
	__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
	__asm__ volatile("mov %%cr0, %0" : "=r"(host->cr0));
	host->cr3 = (uint64_t)pml4;
	host->cr3_legacy = (uint64_t)legacy_directory;
	host->gdt = (struct machine_table){sizeof(gdt) - 1, (uint64_t)gdt};
	host->idt = (struct machine_table){sizeof(idt64) - 1, (uint64_t)idt64};
	host->idt32 = (struct machine_table){sizeof(idt32) - 1, (uint64_t)idt32};
	host->ivt = (struct machine_table){4 * VECTORS - 1, IVT_AT};
	host->real_stack[0] = REAL_STACK;
	build_gdt(&(struct machine_mode){.kind = MACHINE_LONG, .code_bits = 64}, &(struct machine_window){0});
	__asm__ volatile("lidt %0" : : "m"(host->idt));
	__asm__ volatile("ltr %0" : : "r"((uint16_t)SELECTOR_TSS64));
	host->tss32 = (uint64_t)&gdt[SELECTOR_TSS32 / 8] + 5;
	host->tss64 = (uint64_t)&gdt[SELECTOR_TSS64 / 8] + 5;
}

uint64_t machine_xcr0(void)
{
	return xcr0;
}

unsigned machine_xsave_bytes(void)
{
	return xsave_bytes;
}

void machine_xsave(uint8_t xsave[MACHINE_XSAVE_BYTES])
{
	/* What it does not write is zero. */
	memset(xsave, 0, xsave_bytes);
	__asm__ volatile("xsave64 (%0)" : : "r"(xsave), "a"((uint32_t)xcr0), "d"(0) : "memory");
}

static void xrstor(uint8_t xsave[MACHINE_XSAVE_BYTES])
{
	memset(xsave + XSAVE_HEADER, 0, 64);
	lib_poke(xsave + XSAVE_HEADER, xcr0, 8);
	__asm__ volatile("xrstor64 (%0)" : : "r"(xsave), "a"((uint32_t)xcr0), "d"(0) : "memory");
}

uint64_t machine_window_base(const struct machine_mode *mode)
{
	return mode->code_bits == 64 ? WINDOW_AT : 0;
}

struct machine_table machine_other_gdt(void)
{
	return (struct machine_table){sizeof(other_gdt) - 1, (uint64_t)other_gdt};
}

struct machine_table machine_other_idt(const struct machine_mode *mode)
{
	return mode->kind == MACHINE_REAL ? (struct machine_table){4 * VECTORS - 1, IVT_OTHER_AT}
					  : (struct machine_table){sizeof(other_idt64) - 1, (uint64_t)other_idt64};
}

static void place_end(const struct machine_mode *mode, uint8_t *at)
{
	if (mode->kind == MACHINE_REAL)
		memcpy(at, machine_end16, (size_t)(machine_end16_end - machine_end16));
	else
		*at = INT3;
}

void machine_place(const struct machine_mode *mode, uint32_t at, const uint8_t *code, unsigned length)
{
	uint8_t *to = (uint8_t *)(uint64_t)at;

	memcpy(to, code, length);
	place_end(mode, to + length);
	place_end(mode, (uint8_t *)(uint64_t)PAD_AT);
}

/* The window's page-table entries. */
static void build_window(const struct machine_window *window)
{
	static const struct {
		uint8_t page, flags;
	} pages[WINDOW_LAST_PAGE + 1] = {
		{0, PTE_ALL},
		{1, PTE_ALL},
		{2, PTE_ALL},
		{3, PTE_ALL},
		{4, PTE_ALL},
		{1, PTE_PRESENT | PTE_USER},
		{2, PTE_ALL},
		{0, 0},
		{3, PTE_ALL},
		{1, PTE_PRESENT | PTE_WRITE},
		[WINDOW_LAST_PAGE] = {1, PTE_ALL},
	};

	for (unsigned i = 0; i <= WINDOW_LAST_PAGE; i++) {
		uint64_t memory = (uint64_t)window->memory, page = pages[i].page;
		bool on_device = window->device && page >= 1 && page <= 3;
		uint64_t at = (on_device ? window->device - WINDOW_DEVICES : memory) + page * PAGE;

		window_table[i] = at | pages[i].flags;
		legacy_table[i] = (uint32_t)at | pages[i].flags;
	}
	__asm__ volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
}

void machine_execute(const struct machine_mode *mode, const struct machine_window *window, struct machine_run *run)
{
	bool legacy = mode->kind != MACHINE_LONG;

	build_gdt(mode, window);
	build_window(window);
	HOST->kind = mode->kind;
	memcpy(STATE, &run->state, sizeof(run->state));
	if (run->has_xsave)
		xrstor(run->xsave);
	if (legacy)
		machine_enter_legacy();
	else
		machine_enter_long();
	if (run->has_xsave)
		machine_xsave(run->xsave);
	memcpy(&run->state, STATE, sizeof(run->state));
	memcpy(run->gdt, gdt, sizeof(gdt));
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		run->page_flags[i] =
			(uint16_t)((mode->kind == MACHINE_PAGING ? legacy_table[i] : window_table[i]) & 0xfff);
}
