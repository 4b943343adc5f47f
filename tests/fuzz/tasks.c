/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/tasks.h"

#include "tests/unit/mock/vmx/asm.h"

#include "vmx/exit_reason.h"
#include "vmx/vmcs_field.h"
#include <string.h>

enum {
	CODE = 0x08,
	DATA = 0x10,
	LDT = 0x18,
	CODE_3 = 0x20,
	DATA_3 = 0x28,
	TSS = 0x30,
	TSS_BUSY = 0x38,
	TSS_16 = 0x40,
	TSS_3 = 0x48,
	TSS_FIRST = 0x50,
	TSS_V86 = 0x58,
	FIRST_TSS = 0x200, /* from the GDT on */
	TSS_BYTES = 0x80,
	UNUSABLE = 1 << 16,
	GRANULAR = 1 << 15,
	PRESENT = 1 << 7,
	NO_SYSTEM = 1 << 4,
	CODE_SEGMENT = 1 << 3,
	CONFORMING = 1 << 2,
	WRITABLE = 1 << 1,
	ACCESSED = 1 << 0,
	V86 = 0xf3,
};

#define RFLAGS_VM (1 << 17)

static void put(uint8_t *to, uint64_t value, unsigned size)
{
	memcpy(to, &value, size);
}

static void make_descriptor(uint8_t *gdt, unsigned selector, uint64_t base, uint64_t rights_and_flags)
{
	put(gdt + selector, 0xffff | (base & 0xffffff) << 16 | rights_and_flags << 40, 8);
}

static void make_tss(uint8_t *tss, uint32_t rip, unsigned code, unsigned data)
{
	put(tss + 0x1c, 4 * 4096, 4);
	put(tss + 0x20, rip, 4);
	put(tss + 0x24, 2, 4);
	put(tss + 0x38, 0x8000, 4);
	for (unsigned i = 0; i <= TL_GS; i++)
		put(tss + 0x48 + 4 * i, i == TL_CS ? code : data, 2);
	put(tss + 0x60, LDT, 2);
}

void fuzz_tasks_make(uint8_t *ram, uint32_t gdt, uint32_t rip)
{
	uint8_t *at = ram + gdt;
	uint32_t first = gdt + FIRST_TSS;

	make_descriptor(at, CODE, 0, 0xcf9b);
	make_descriptor(at, DATA, 0, 0xcf93);
	make_descriptor(at, LDT, gdt, 0x0082);
	make_descriptor(at, CODE_3, 0, 0xcffb);
	make_descriptor(at, DATA_3, 0, 0x40f3);
	make_descriptor(at, TSS, first, 0x0089);
	make_descriptor(at, TSS_BUSY, first + TSS_BYTES, 0x008b);
	make_descriptor(at, TSS_16, first + 2 * TSS_BYTES, 0x0081);
	make_descriptor(at, TSS_3, first + 3 * TSS_BYTES, 0x0089);
	make_descriptor(at, TSS_FIRST, first + 4 * TSS_BYTES, 0x008b);
	make_descriptor(at, TSS_V86, first + 5 * TSS_BYTES, 0x0089);
	make_tss(ram + first, rip, CODE, DATA);
	make_tss(ram + first + 5 * TSS_BYTES, rip & 15, rip >> 4, rip >> 4);
	put(ram + first + 5 * TSS_BYTES + 0x24, RFLAGS_VM | 2, 4);
	make_tss(ram + first + TSS_BYTES, rip, CODE, DATA);
	make_tss(ram + first + 3 * TSS_BYTES, rip, CODE_3 | 3, DATA_3 | 3);
	put(ram + first + 2 * TSS_BYTES + 0x0e, rip, 2);
	for (unsigned i = 0; i <= TL_DS; i++)
		put(ram + first + 2 * TSS_BYTES + 0x22 + 2 * i, i == TL_CS ? CODE : DATA, 2);
}

struct tl_segment fuzz_tasks_first(uint32_t gdt)
{
	return (struct tl_segment){.selector = TSS_FIRST,
				   .base = gdt + FIRST_TSS + 4 * TSS_BYTES,
				   .limit = 0xffff,
				   .access = PRESENT | 11};
}

uint64_t fuzz_tasks_qualification(struct fuzz_input *input)
{
	static const uint8_t selectors[] = {TSS, TSS_BUSY, TSS_16, TSS_3, TSS_V86, 0, TSS | 4, 0xf8};
	uint8_t how = fuzz_take8(input);

	return (uint64_t)(how >> 6) << 30 | selectors[how & 7];
}

static unsigned dpl(uint64_t access)
{
	return access >> 5 & 3;
}

static void check_limit(unsigned segment)
{
	uint64_t limit = vmcs_read(VMCS_GUEST_LIMIT(segment)), access = vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(segment));

	fuzz_require((limit & 0xfff) == 0xfff || !(access & GRANULAR));
	fuzz_require(limit >> 20 == 0 || access & GRANULAR);
}

static void check_v86(unsigned segment)
{
	fuzz_require(vmcs_read(VMCS_GUEST_BASE(segment)) == vmcs_read(VMCS_GUEST_SELECTOR(segment)) << 4);
	fuzz_require(vmcs_read(VMCS_GUEST_LIMIT(segment)) == 0xffff);
	fuzz_require(vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(segment)) == V86);
}

static void check_data(unsigned segment)
{
	uint64_t access = vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(segment));

	if (access & UNUSABLE)
		return;
	fuzz_require(access & ACCESSED && access & NO_SYSTEM && access & PRESENT && !(access & 0xfffe0f00));
	fuzz_require(!(access & CODE_SEGMENT) || access & WRITABLE);
	check_limit(segment);
}

static void check_code_and_stack(void)
{
	uint64_t cs = vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(TL_CS)), ss = vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(TL_SS));

	fuzz_require(!(cs & UNUSABLE) && cs & NO_SYSTEM && cs & PRESENT && cs & CODE_SEGMENT && cs & ACCESSED);
	fuzz_require(cs & CONFORMING ? dpl(cs) <= dpl(ss) : dpl(cs) == dpl(ss));
	check_limit(TL_CS);
	check_data(TL_SS);
	fuzz_require(ss & UNUSABLE || (!(ss & CODE_SEGMENT) && ss & WRITABLE));
}

void fuzz_tasks_check(void)
{
	uint64_t tr = vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(TL_TR)), ldtr = vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(TL_LDTR));
	bool v86 = vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_VM;

	if (vmcs_read(VMCS_EXIT_REASON) != EXIT_REASON_TASK_SWITCH ||
	    vmcs_read(VMCS_GUEST_SELECTOR(TL_TR)) != (vmcs_read(VMCS_EXIT_QUALIFICATION) & 0xffff))
		return;
	for (unsigned i = 0; i <= TL_GS; i++) {
		if (v86)
			check_v86(i);
		else if (i != TL_CS && i != TL_SS)
			check_data(i);
	}
	if (!v86)
		check_code_and_stack();
	fuzz_require(tr == (tr & 0x809b) && (tr & 0x97) == (PRESENT | 3));
	check_limit(TL_TR);
	fuzz_require(ldtr & UNUSABLE || (ldtr & 0x9f) == (PRESENT | 2));
}
