/* SPDX-License-Identifier: MIT */
/*
 * All that XSAVE saves, filled: x87, XMM, YMM, opmasks, ZMM, PKRU, as much of it as the CPU has. Each vCPU has a state
 * of its own and looks whether it is still there after accesses to devices, which the host emulates, vector stores
 * among them, and after moves to other CPUs. What a vCPU finds at first has to be what a processor has after RESET,
 * whoever had the registers before. Where the CPU has XSAVES, the state goes through a compacted area as well.
 */
#include "guest/stubs/cpu.h"
#include "guest/stubs/libsmp.h"

enum { NR_BANKS = 4, DEFAULT_ROUNDS = 60, AREA_SIZE = 4096, LEGACY_SIZE = 512, COMPONENTS = 62 };
enum { MSR_XSS = 0xda0 };
enum { CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10, CR4_OSXSAVE = 1 << 18 };
enum { MXCSR_AT_RESET = 0x1f80, FCW = 0x37f, X87_AND_SSE = 3, PKRU = 9, HEADER_SIZE = 64 };
enum { FXSAVE_ST = 32, FXSAVE_XMM = 160, ST_SIZE = 16, ST_USED = 10, NR_ST = 8, XMM_BYTES = 256 };

/* SDM vol. 1, 13.4. */
struct area {
	uint8_t legacy[LEGACY_SIZE];
	uint64_t present, compacted;
	uint8_t zeros[HEADER_SIZE - 16];
	uint8_t extended[AREA_SIZE - LEGACY_SIZE - HEADER_SIZE];
} __attribute__((aligned(64)));

#define COMPACTED (1ull << 63)

static struct area wanted[ABI_VCPUS], found[ABI_VCPUS], compacted[ABI_VCPUS];
static uint64_t components, compacts;
static uint32_t offset_of[COMPONENTS], size_of[COMPONENTS];
static uint64_t rounds;
static bool has_avx, has_xsaves;
static uint64_t banks[NR_BANKS];

struct registers {
	uint32_t eax, ebx, ecx, edx;
};

static struct registers cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct registers r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

static void xsave(struct area *area)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

static void xrstor(const struct area *area)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

static void xsaves(struct area *area)
{
	__asm__ volatile("xsaves64 (%0)" : : "r"(area), "a"((uint32_t)compacts), "d"(compacts >> 32) : "memory");
}

static void xrstors(const struct area *area)
{
	__asm__ volatile("xrstors64 (%0)" : : "r"(area), "a"((uint32_t)compacts), "d"(compacts >> 32) : "memory");
}

static void enable(void)
{
	uint64_t cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE));
	__asm__ volatile("xsetbv" : : "a"((uint32_t)components), "d"((uint32_t)(components >> 32)), "c"(0));
}

static void find_components(void)
{
	struct registers all = cpuid(0x0d, 0);

	components = (uint64_t)all.edx << 32 | all.eax;
	CHECK(all.ecx <= AREA_SIZE);
	for (unsigned i = 2; i < COMPONENTS; i++) {
		struct registers one = cpuid(0x0d, i);

		if (!(components >> i & 1))
			continue;
		/* Bochs 2.7 has PKRU, but does not say where it is saved. */
		if (one.eax == 0) {
			components &= ~(1ull << i);
			continue;
		}
		size_of[i] = i == PKRU ? 4 : one.eax;
		offset_of[i] = one.ebx;
		CHECK(one.ebx >= LEGACY_SIZE + HEADER_SIZE && one.ebx + one.eax <= all.ecx);
	}
}

static void fill(unsigned index, uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(smp_random(index) >> 32);
}

static void choose(unsigned index, struct area *area)
{
	uint8_t *bytes = area->legacy;

	memset(area, 0, sizeof(*area));
	lib_poke(bytes, FCW, 2);
	bytes[4] = 0xff; /* no x87 register is empty */
	lib_poke(bytes + 24, MXCSR_AT_RESET | (uint64_t)(index & 3) << 13, 4);
	for (unsigned i = 0; i < NR_ST; i++)
		fill(index, bytes + FXSAVE_ST + i * ST_SIZE, ST_USED);
	fill(index, bytes + FXSAVE_XMM, XMM_BYTES);
	for (unsigned i = 2; i < COMPONENTS; i++)
		fill(index, bytes + offset_of[i], size_of[i]);
	area->present = components;
}

static void compare(const uint8_t *now, const uint8_t *was, size_t count)
{
	for (size_t i = 0; i < count; i++)
		CHECK_EQUAL(now[i], was[i]);
}

static void check(unsigned index)
{
	const uint8_t *was = wanted[index].legacy, *now = found[index].legacy;

	memset(&found[index], 0, sizeof(found[index]));
	xsave(&found[index]);
	CHECK_EQUAL(found[index].present, components);
	CHECK_EQUAL(lib_peek(now, 2), FCW);
	CHECK_EQUAL(now[4], 0xff);
	CHECK_EQUAL(lib_peek(now + 24, 4), lib_peek(was + 24, 4));
	compare(now + FXSAVE_ST, was + FXSAVE_ST, (size_t)NR_ST * ST_SIZE);
	compare(now + FXSAVE_XMM, was + FXSAVE_XMM, XMM_BYTES);
	for (unsigned i = 2; i < COMPONENTS; i++)
		compare(now + offset_of[i], was + offset_of[i], size_of[i]);
}

/* XSAVE writes nothing of what is in its initial state, and the area was zero. `of`: components that are to be so. */
static void check_after_reset(unsigned index, uint64_t of)
{
	const uint8_t *now = found[index].legacy;

	memset(&found[index], 0, sizeof(found[index]));
	xsave(&found[index]);
	CHECK_EQUAL(lib_peek(now + 24, 4), MXCSR_AT_RESET);
	for (unsigned i = 0; i < XMM_BYTES; i++)
		CHECK_EQUAL(now[FXSAVE_XMM + i], 0);
	for (unsigned i = 0; i < NR_ST * ST_SIZE; i++)
		CHECK_EQUAL(now[FXSAVE_ST + i], 0);
	for (unsigned i = 2; i < COMPONENTS; i++)
		for (unsigned j = 0; of >> i & 1 && j < size_of[i]; j++)
			CHECK_EQUAL(now[offset_of[i] + j], 0);
}

/* Away and back again. */
static void compact(unsigned index)
{
	static const struct area initial = {.legacy = {[24] = 0x80, [25] = 0x1f}, .compacted = COMPACTED};
	struct area *area = &compacted[index];

	memset(area, 0, sizeof(*area));
	xsaves(area);
	/* With its MXCSR in memory: Bochs 2.7 loads that as of an area that is not compacted. */
	xrstors(&initial);
	CHECK_EQUAL(area->compacted, COMPACTED | compacts);
	CHECK_EQUAL(area->present, compacts);
	check_after_reset(index, compacts);
	xrstors(area);
	check(index);
}

/* Each ends in the host, and some use the vector registers there. None of them changes one. */
static void disturb(unsigned index)
{
	uint64_t bank = banks[index % NR_BANKS];
	uint64_t from = bank + 64, count = 16;

	switch (smp_random(index) >> 40 & 7) {
	case 0:
		write32(bank, 1);
		break;
	case 1:
		(void)read64(bank + 8);
		break;
	case 2:
		__asm__ volatile("movups %%xmm5, (%0)" : : "r"(bank) : "memory");
		break;
	case 3:
		if (has_avx)
			__asm__ volatile("vmovups %%ymm9, (%0)" : : "r"(bank) : "memory");
		break;
	case 4:
		__asm__ volatile("rep movsb" : "+S"(from), "+D"(bank), "+c"(count) : : "memory");
		break;
	case 5:
		vmcall(HC_YIELD, YIELD_LEAVE, 0, 0, 0);
		break;
	case 6:
		vmcall(HC_YIELD, YIELD_LEAVE_LOADED, 0, 0, 0);
		break;
	default:
		vmcall(HC_YIELD, YIELD_TURN, 0, 0, 0);
	}
}

static void keep(unsigned index)
{
	enable();
	check_after_reset(index, components);
	for (uint64_t i = 0; i < rounds; i++) {
		if (!(i & 7)) {
			choose(index, &wanted[index]);
			xrstor(&wanted[index]);
		}
		disturb(index);
		check(index);
		if (has_xsaves && !(i & 3))
			compact(index);
	}
}

int main(const struct mb1_info *info)
{
	rounds = lib_number(info, "rounds=", DEFAULT_ROUNDS);
	has_avx = (cpuid(1, 0).ecx >> 26 & 5) == 5; /* XSAVE and AVX */
	if (!(cpuid(1, 0).ecx >> 26 & 1)) {
		lib_print("this CPU has no XSAVE: nothing to fill");
		return 0;
	}
	for (unsigned i = 0; i < NR_BANKS; i++)
		banks[i] = lib_device(DEVICE_BANK0 + i).address;
	has_xsaves = cpuid(0x0d, 1).eax >> 3 & 1;
	if (has_xsaves) {
		wrmsr(MSR_XSS, 0);
		CHECK_EQUAL(rdmsr(MSR_XSS), 0);
	}
	find_components();
	compacts = components;
	/* What Bochs 2.7 compacts as it should: there, and with trust=xsaves, it has to be there. */
	if (lib_word(info, "compacts-sse")) {
		CHECK(has_xsaves);
		compacts = X87_AND_SSE;
	}
	CHECK((components & X87_AND_SSE) == X87_AND_SSE);
	smp_run(keep);
	return 0;
}
