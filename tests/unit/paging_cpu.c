/* SPDX-License-Identifier: MIT */
#include "tests/unit/hosted.h"
#include "tests/unit/mock/boot/cpu.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MSR_PAT = 0x277, MSR_EFER = 0xC0000080 };

struct paging_cpu paging_cpu;

struct cpuid cpu_id(uint32_t leaf)
{
	struct cpuid r = {0, 0, 0, 0};

	if (leaf == 0x80000000)
		r.eax = 0x80000008;
	else if (leaf == 0x80000001)
		r.edx = paging_cpu.features;
	else if (leaf == 0x80000008)
		r.eax = paging_cpu.address_sizes;
	return r;
}

uint64_t msr_read(uint32_t msr)
{
	assert_int_equal(msr, MSR_EFER);
	return paging_cpu.efer;
}

void msr_write(uint32_t msr, uint64_t value)
{
	assert_true(msr == MSR_EFER || msr == MSR_PAT);
	*(msr == MSR_EFER ? &paging_cpu.efer : &paging_cpu.pat) = value;
}

uint64_t cr3_read(void)
{
	return paging_cpu.cr3;
}

void cr3_write(uint64_t value)
{
	paging_cpu.cr3 = value;
	paging_cpu.cr3_writes++;
}
