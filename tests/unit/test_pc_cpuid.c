/* SPDX-License-Identifier: MIT */
/* What CPUID says of a PC's processors: one thread in each core, as many cores as there are, the TSC's rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "guest/pc/pc_cpuid.h"

enum { HZ = 50000000, APIC = 1 << 9, HTT = 1 << 28, X2APIC = 1 << 21, TSC_DEADLINE = 1 << 24 };

static struct tl_cpuid of(unsigned id, unsigned cpus, uint32_t leaf, uint32_t subleaf, struct tl_cpuid library)
{
	pc_cpuid(id, cpus, true, HZ, leaf, subleaf, &library);
	return library;
}

static void expect(struct tl_cpuid out, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	assert_int_equal(out.eax, eax);
	assert_int_equal(out.ebx, ebx);
	assert_int_equal(out.ecx, ecx);
	assert_int_equal(out.edx, edx);
}

static void features(void **state)
{
	const struct tl_cpuid library = {.eax = 0x306c3, .ebx = 0x00010800, .ecx = 1, .edx = 2};
	struct tl_cpuid off = library;

	(void)state;
	expect(of(0, 1, 1, 0, library), 0x306c3, 0x00010800, 1 | X2APIC | TSC_DEADLINE, 2 | APIC);
	expect(of(3, 4, 1, 0, library), 0x306c3, 0x03040800, 1 | X2APIC | TSC_DEADLINE, 2 | APIC | HTT);
	/* The number of IDs, which is a power of 2, and not that of processors. */
	expect(of(5, 6, 1, 0, library), 0x306c3, 0x05080800, 1 | X2APIC | TSC_DEADLINE, 2 | APIC | HTT);
	/* An APIC that IA32_APIC_BASE turns off is not there. */
	pc_cpuid(0, 1, false, HZ, 1, 0, &off);
	assert_false(off.edx & APIC);
}

/* A kernel takes the bits of an ID apart by these: all leaves have to give the same. */
static void topology(void **state)
{
	const struct tl_cpuid library = {1, 2, 3, 4};

	(void)state;
	expect(of(3, 4, 0xb, 0, library), 0, 1, 0x100, 3);
	expect(of(3, 4, 0xb, 1, library), 2, 4, 0x201, 3);
	expect(of(3, 4, 0xb, 2, library), 0, 0, 2, 3);
	expect(of(5, 6, 0xb, 1, library), 3, 6, 0x201, 5);
	expect(of(0, 1, 0xb, 1, library), 0, 1, 0x201, 0);
	for (unsigned cpus = 1; cpus <= 64; cpus++) {
		uint32_t ids = of(0, cpus, 1, 0, library).ebx >> 16 & 0xff;

		assert_int_equal(ids, 1u << of(0, cpus, 0xb, 1, library).eax);
		assert_int_equal(ids - 1, of(0, cpus, 4, 0, (struct tl_cpuid){.eax = 0x21}).eax >> 26);
		assert_true(ids >= cpus && ids < 2 * cpus);
	}
	/* No cache is none. */
	assert_int_equal(of(0, 4, 4, 3, (struct tl_cpuid){0}).eax, 0);
}

static void the_rate(void **state)
{
	struct tl_cpuid unknown = {.eax = 0xd};

	(void)state;
	assert_int_equal(of(0, 1, 0, 0, (struct tl_cpuid){.eax = 0xd, .ebx = 7}).eax, 0x15);
	assert_int_equal(of(0, 1, 0, 0, (struct tl_cpuid){.eax = 0xd, .ebx = 7}).ebx, 7);
	assert_int_equal(of(0, 1, 0, 0, (struct tl_cpuid){.eax = 0x16}).eax, 0x16);
	expect(of(0, 1, 0x15, 0, (struct tl_cpuid){9, 9, 9, 9}), 1, 1, HZ, 0);
	/* Unknown, or more than fits. */
	pc_cpuid(0, 1, true, 0, 0, 0, &unknown);
	assert_int_equal(unknown.eax, 0xd);
	unknown = (struct tl_cpuid){1, 2, 3, 4};
	pc_cpuid(0, 1, true, 1ull << 32, 0x15, 0, &unknown);
	expect(unknown, 0, 0, 0, 0);
}

static void all_else_is_the_librarys(void **state)
{
	static const uint32_t leaves[] = {2, 7, 0xd, 0x16, 0x40000000, 0x80000001, 0x80000008};

	(void)state;
	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		expect(of(3, 4, leaves[i], 0, (struct tl_cpuid){1, 2, 3, 4}), 1, 2, 3, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features),
		cmocka_unit_test(topology),
		cmocka_unit_test(the_rate),
		cmocka_unit_test(all_else_is_the_librarys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
