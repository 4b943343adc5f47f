/* SPDX-License-Identifier: MIT */
/*
 * vCPUs that go from CPU to CPU: each has state of its own in every place that VMX does not switch by itself, and
 * looks after each move whether all of it came along and none of another vCPU's. The old CPU writes the vCPU back by
 * itself at every other move, and is asked for it by the new one at the others. Halfway it goes on as another vCPU.
 */
#include "guest/stubs/cpu.h"
#include "guest/stubs/libsmp.h"

enum { DEFAULT_MOVES = 40, NR_XMM = 16, XCR0_SSE = 3, XCR0_AVX = 7 };
enum { CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10, CR4_OSXSAVE = 1 << 18 };
enum { DR6_FIXED_LOW = 0x0ff0 };
#define DR6_FIXED 0xffff0ff0ull

static const uint32_t msrs[] = {
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, /* STAR, LSTAR, CSTAR, FMASK */
	0xc0000100, 0xc0000101, 0xc0000102,             /* FS_BASE, GS_BASE, KERNEL_GS_BASE */
	0x174,      0x175,      0x176,                  /* SYSENTER_CS, _ESP, _EIP */
	0x277,                                          /* PAT */
	0xc0000103,                                     /* TSC_AUX: only where there is RDTSCP */
};

enum {
	NR_MSRS = sizeof(msrs) / sizeof(msrs[0]),
	MSR_SYSENTER_CS_INDEX = 7,
	MSR_PAT_INDEX = 10,
	MSR_TSC_AUX_INDEX = 11
};

struct state {
	uint64_t xmm[NR_XMM][2], ymm0_high[2];
	uint64_t st0;
	uint64_t msr[NR_MSRS];
	uint64_t dr[4], dr6, cr2, xcr0;
	uint32_t mxcsr;
	uint16_t fcw;
};

static uint64_t moves;
static bool has_avx, has_rdtscp;
static struct state wanted[ABI_VCPUS];

static uint32_t cpuid(uint32_t leaf, bool want_ecx)
{
	uint32_t eax = leaf, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return want_ecx ? ecx : edx;
}

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "a"((uint32_t)value), "d"(0), "c"(0));
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

#define EACH_XMM(DO) \
	DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD_XMM(n)  __asm__ volatile("movups %0, %%xmm" #n : : "m"(s->xmm[n]));
#define STORE_XMM(n) __asm__ volatile("movups %%xmm" #n ", %0" : "=m"(s->xmm[n]));
#define WRITE_DR(n)  __asm__ volatile("movq %0, %%dr" #n : : "r"(s->dr[n]));
#define READ_DR(n)   __asm__ volatile("movq %%dr" #n ", %0" : "=r"(s->dr[n]));

/* A value that no other vCPU and no other place has. */
static uint64_t value_of(unsigned index, unsigned place)
{
	return (uint64_t)(index + 1) * 0x0101010101010101 ^ (uint64_t)place * 0x9e3779b97f4a7c15;
}

/* A canonical address, which bases have to be. */
static uint64_t address_of(unsigned index, unsigned place)
{
	return value_of(index, place) & 0x7fffffffffff;
}

static void choose(unsigned index, struct state *s)
{
	for (unsigned i = 0; i < NR_XMM; i++) {
		s->xmm[i][0] = value_of(index, 2 * i);
		s->xmm[i][1] = value_of(index, 2 * i + 1);
	}
	s->ymm0_high[0] = value_of(index, 40);
	s->ymm0_high[1] = value_of(index, 41);
	s->st0 = 0x3ff0000000000000 + index; /* a double next to 1 */
	for (unsigned i = 0; i < NR_MSRS; i++)
		s->msr[i] = address_of(index, 50 + i);
	s->msr[0] = value_of(index, 50);
	s->msr[3] = (uint32_t)s->msr[3];
	s->msr[MSR_SYSENTER_CS_INDEX] = 8 * (index + 1);
	s->msr[MSR_PAT_INDEX] = index & 1 ? 0x0007040600070406 : 0x0007040600070600;
	s->msr[MSR_TSC_AUX_INDEX] = 0x1234 + index;
	for (unsigned i = 0; i < 4; i++)
		s->dr[i] = address_of(index, 70 + i);
	s->dr6 = DR6_FIXED | 1ull << (index & 3);
	s->cr2 = value_of(index, 80);
	s->xcr0 = index & 1 ? XCR0_AVX : XCR0_SSE;
	s->mxcsr = 0x1f80 | (index & 3) << 13;
	s->fcw = (uint16_t)(0x037f | (index & 3) << 10);
}

static void load(const struct state *s)
{
	if (has_avx) {
		xsetbv(XCR0_AVX);
		__asm__ volatile("vinsertf128 $1, %0, %%ymm0, %%ymm0" : : "m"(s->ymm0_high));
		xsetbv(s->xcr0);
	}
	EACH_XMM(LOAD_XMM)
	__asm__ volatile("fninit; fldcw %0; fldl %1" : : "m"(s->fcw), "m"(s->st0));
	__asm__ volatile("ldmxcsr %0" : : "m"(s->mxcsr));
	for (unsigned i = 0; i < NR_MSRS; i++)
		if (i != MSR_TSC_AUX_INDEX || has_rdtscp)
			wrmsr(msrs[i], s->msr[i]);
	WRITE_DR(0)
	WRITE_DR(1)
	WRITE_DR(2)
	WRITE_DR(3)
	__asm__ volatile("movq %0, %%dr6" : : "r"(s->dr6));
	__asm__ volatile("movq %0, %%cr2" : : "r"(s->cr2));
}

static void store(struct state *s)
{
	uint64_t again;

	EACH_XMM(STORE_XMM)
	__asm__ volatile("fstl %0; fnstcw %1; stmxcsr %2" : "=m"(again), "=m"(s->fcw), "=m"(s->mxcsr));
	s->st0 = again;
	for (unsigned i = 0; i < NR_MSRS; i++)
		if (i != MSR_TSC_AUX_INDEX || has_rdtscp)
			s->msr[i] = rdmsr(msrs[i]);
	READ_DR(0)
	READ_DR(1)
	READ_DR(2)
	READ_DR(3)
	__asm__ volatile("movq %%dr6, %0" : "=r"(s->dr6));
	__asm__ volatile("movq %%cr2, %0" : "=r"(s->cr2));
	if (!has_avx)
		return;
	s->xcr0 = xgetbv();
	xsetbv(XCR0_AVX);
	__asm__ volatile("vextractf128 $1, %%ymm0, %0" : "=m"(s->ymm0_high));
	xsetbv(s->xcr0);
}

static void compare(const struct state *now, const struct state *was)
{
	for (unsigned i = 0; i < NR_XMM; i++) {
		CHECK_EQUAL(now->xmm[i][0], was->xmm[i][0]);
		CHECK_EQUAL(now->xmm[i][1], was->xmm[i][1]);
	}
	CHECK_EQUAL(now->st0, was->st0);
	CHECK_EQUAL(now->fcw, was->fcw);
	CHECK_EQUAL(now->mxcsr, was->mxcsr);
	for (unsigned i = 0; i < NR_MSRS; i++)
		if (i != MSR_TSC_AUX_INDEX || has_rdtscp)
			CHECK_EQUAL(now->msr[i], was->msr[i]);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQUAL(now->dr[i], was->dr[i]);
	CHECK_EQUAL(now->dr6, was->dr6);
	CHECK_EQUAL(now->cr2, was->cr2);
	if (has_avx) {
		CHECK_EQUAL(now->xcr0, was->xcr0);
		CHECK_EQUAL(now->ymm0_high[0], was->ymm0_high[0]);
		CHECK_EQUAL(now->ymm0_high[1], was->ymm0_high[1]);
	}
}

static void set_cr4(void)
{
	uint64_t cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | (has_avx ? CR4_OSXSAVE : 0);
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
}

static void wander(unsigned index)
{
	bool alone = smp_cpus() == 1;
	uint64_t last = UINT64_MAX;
	struct state now;

	set_cr4();
	choose(index, &wanted[index]);
	load(&wanted[index]);
	for (uint64_t i = 0; i < moves; i++) {
		enum abi_yield how = i & 1 ? YIELD_LEAVE : YIELD_LEAVE_LOADED;
		uint64_t cpu = vmcall(HC_YIELD, i == moves / 2 ? YIELD_REBORN : how, 0, 0, 0);

		CHECK(alone || cpu != last);
		last = cpu;
		store(&now);
		compare(&now, &wanted[index]);
	}
}

int main(const struct mb1_info *info)
{
	moves = lib_number(info, "moves=", DEFAULT_MOVES);
	has_avx = (cpuid(1, true) >> 26 & 5) == 5; /* XSAVE and AVX */
	has_rdtscp = cpuid(0x80000001, false) >> 27 & 1;
	smp_run(wander);
	return 0;
}
