/* SPDX-License-Identifier: MIT */
/* An access from its exit to the next entry: what is remembered of code and tables, and what makes it not hold. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/cr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096, RUNS = 3, VECTOR_DEBUG_REGISTER_7 = 0x401 };

#define PTE_WRITABLE (1ull << 1)
#define PTE_NX       (1ull << 63)

static const uint8_t load_rax[] = {0x48, 0x8b, 0x47, 0x10}; /* mov rax, [rdi + 0x10] */
static const uint8_t load_ecx[] = {0x8b, 0x4f, 0x10};       /* mov ecx, [rdi + 0x10] */
static const uint8_t store_eax[] = {0x89, 0x47, 0x10};      /* mov [rdi + 0x10], eax */
static const uint8_t store_imm[] = {0xc7, 0x47, 0x10, 1, 2, 3, 4};
static const uint8_t store_15[] = {0x2e, 0x2e, 0x2e, 0x2e, 0xc7, 0x84, 0x27, 0x10, 0, 0, 0, 1, 2, 3, 4};

static struct tl_mmio last_access(void)
{
	assert_true(device_log.count > 0);
	return device_log.access[device_log.count - 1];
}

static void expect_store(gva_t rip, size_t length, uint64_t value)
{
	unsigned before = device_log.count;

	expect_served(rip, DEVICE_LINEAR + 0x10, rip + length);
	assert_int_equal(device_log.count, before + 1);
	assert_true(last_access().write);
	assert_int_equal(last_access().offset, 0x10);
	assert_int_equal(last_access().size, 4);
	assert_int_equal(last_access().data, value);
}

static void expect_load(gva_t rip, const uint8_t *insn, size_t length, unsigned reg)
{
	unsigned before = device_log.count;

	put_code(rip, insn, length);
	guest_vcpu->gpr[reg] = ~device_log.answer;
	expect_served(rip, DEVICE_LINEAR + 0x10, rip + length);
	assert_int_equal(device_log.count, before + 1);
	assert_false(last_access().write);
	assert_int_equal(guest_vcpu->gpr[reg], device_log.answer);
}

static void loads_and_stores_are_served(void **context)
{
	(void)context;
	for (unsigned i = 0; i < RUNS; i++) {
		device_log.answer = 0x1122334455667788 + i;
		expect_load(CODE, load_rax, sizeof(load_rax), TL_RAX);
		guest_vcpu->gpr[TL_RAX] = 0xffffffff00000000 + i;
		put_code(CODE + 64, store_eax, sizeof(store_eax));
		expect_store(CODE + 64, sizeof(store_eax), i);
	}
	/* Both of the last were found by their tag, and decoded before. */
	assert_int_equal(guest_vcpu->reader.stats.stale, 1);
	assert_int_equal(guest_vcpu->reader.stats.fresh, 2 * RUNS - 1);
}

/* Each byte of the instruction, at every place where its page may end. */
static void rewritten_code_is_decoded_again(void **context)
{
	uint8_t insn[sizeof(store_15)];

	(void)context;
	for (gva_t at = CODE + PAGE - 16; at <= CODE + PAGE; at++) {
		uint32_t value = 0x04030201;

		memcpy(insn, store_15, sizeof(insn));
		for (unsigned i = 0; i < 4; i++) {
			insn[11 + i] ^= 0x80;
			value ^= 0x80u << (8 * i);
			put_code(at, insn, sizeof(insn));
			for (unsigned run = 0; run < RUNS; run++)
				expect_store(at, sizeof(insn), value);
			device_log.count = 0;
		}
		/* A prefix fewer: another length. */
		put_code(at, insn + 1, sizeof(insn) - 1);
		expect_store(at, sizeof(insn) - 1, value);
	}
}

static void length_of_each_form_at_page_end(const uint8_t *insn, size_t length, uint64_t value)
{
	gva_t end = (RAM_PAGE_LAST + 1) * PAGE;

	for (unsigned run = 0; run < RUNS; run++) {
		put_code(end - length, insn, length);
		expect_store(end - length, length, value);
	}
	device_log.count = 0;
}

/* Behind the last page of RAM there is no memory: the address sanitizer finds who reads it. */
static void nothing_behind_the_page_is_read(void **context)
{
	uint8_t insn[15];

	(void)context;
	guest_vcpu->gpr[TL_RAX] = 7;
	length_of_each_form_at_page_end(store_eax, sizeof(store_eax), 7);
	length_of_each_form_at_page_end(store_imm, sizeof(store_imm), 0x04030201);
	for (size_t length = sizeof(store_imm); length <= sizeof(insn); length++) {
		memset(insn, 0x2e, sizeof(insn));
		memcpy(insn + length - sizeof(store_imm), store_imm, sizeof(store_imm));
		length_of_each_form_at_page_end(insn, length, 0x04030201);
	}
}

/* The page behind the last one of RAM is another, elsewhere. */
static void second_page_is_where_its_entry_says(void **context)
{
	gva_t last = RAM_PAGE_LAST * PAGE, at = last + PAGE - 2;
	uint64_t elsewhere[] = {20 * PAGE, 30 * PAGE};

	(void)context;
	for (unsigned i = 0; i < 2 * RUNS; i++) {
		uint64_t second = elsewhere[i % 2];

		guest_ptes[RAM_PAGE_LAST + 1] = (guest_ptes[20] & (PAGE - 1)) | second;
		put_code(at, store_imm, 2);
		put_code(second, store_imm + 2, 5);
		guest_ram[second + 4] = (uint8_t)i;
		expect_store(at, sizeof(store_imm), 0x00030201 | (uint64_t)i << 24);
		expect_store(at, sizeof(store_imm), 0x00030201 | (uint64_t)i << 24);
	}
	/* Not there any more, or not to be executed. */
	guest_ptes[RAM_PAGE_LAST + 1] |= PTE_NX;
	set_field(VMCS_GUEST_RIP, at);
	assert_int_equal(exit_at(DEVICE_LINEAR + 0x10), VCPU_RESUME);
	expect_injected(VECTOR_PF);
	assert_int_equal(mock_cpu.cr2, last + PAGE);
	guest_ptes[RAM_PAGE_LAST + 1] = 0;
	assert_int_equal(exit_at(DEVICE_LINEAR + 0x10), VCPU_RESUME);
	expect_injected(VECTOR_PF);
}

/* The instruction's page becomes another one, with another instruction at the same place. */
static void moved_code_page_is_walked_again(void **context)
{
	(void)context;
	device_log.answer = 0x5a;
	for (unsigned i = 0; i < RUNS; i++) {
		guest_ptes[16] = (guest_ptes[20] & (PAGE - 1)) | 20 * PAGE;
		put_code(20 * PAGE, load_ecx, sizeof(load_ecx));
		expect_served(CODE, DEVICE_LINEAR + 0x10, CODE + sizeof(load_ecx));
		assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x5a);
		guest_ptes[16] = (guest_ptes[20] & (PAGE - 1)) | 16 * PAGE;
		put_code(CODE, store_imm, sizeof(store_imm));
		expect_store(CODE, sizeof(store_imm), 0x04030201);
	}
}

/* The operand's page becomes another device's: the exit says which, and the operand must be there. */
static void moved_data_page_is_walked_again(void **context)
{
	(void)context;
	put_code(CODE, store_imm, sizeof(store_imm));
	for (unsigned i = 0; i < RUNS; i++) {
		guest_ptes[DEVICE_LINEAR / PAGE] = (guest_ptes[20] & (PAGE - 1)) | OTHER_AT;
		expect_store(CODE, sizeof(store_imm), 0x04030201);
		assert_int_equal(last_access().gpa, OTHER_AT + 0x10);
		guest_ptes[DEVICE_LINEAR / PAGE] = (guest_ptes[20] & (PAGE - 1)) | DEVICE_AT;
		expect_store(CODE, sizeof(store_imm), 0x04030201);
		assert_int_equal(last_access().gpa, DEVICE_AT + 0x10);
	}
}

/* Another CPU put other code, or another pointer, there after the exit. */
static void operand_elsewhere_is_tried_once_more(void **context)
{
	(void)context;
	put_code(CODE, store_imm, sizeof(store_imm));
	expect_store(CODE, sizeof(store_imm), 0x04030201);
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR + 0x20), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
	assert_int_equal(device_log.count, 1);
	/* The same again, with nothing changed. */
	assert_int_equal(exit_at(DEVICE_LINEAR + 0x20), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_OPERAND);
	assert_int_equal(vcpu_left.stop.nr_bytes, sizeof(store_imm));
	assert_memory_equal(vcpu_left.stop.bytes, store_imm, sizeof(store_imm));
	assert_int_equal(device_log.count, 1);
}

/* A store in the place of the load that exited, on a page that may only be read. */
static void write_to_read_only_page_faults(void **context)
{
	(void)context;
	guest_ptes[DEVICE_LINEAR / PAGE] &= ~PTE_WRITABLE;
	go_to_user_mode();
	device_log.answer = 3;
	expect_load(CODE, load_ecx, sizeof(load_ecx), TL_RCX);
	expect_load(CODE, load_ecx, sizeof(load_ecx), TL_RCX);
	put_code(CODE, store_eax, sizeof(store_eax));
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR + 0x10), VCPU_RESUME);
	expect_injected(VECTOR_PF);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), 7);
	assert_int_equal(mock_cpu.cr2, DEVICE_LINEAR + 0x10);
	assert_int_equal(device_log.count, 2);
}

/* What the supervisor walked is no answer for the user, and a user page none for the supervisor under SMAP. */
static void rights_are_those_of_the_mode(void **context)
{
	(void)context;
	expect_load(CODE, load_ecx, sizeof(load_ecx), TL_RCX);
	go_to_user_mode();
	guest_ptes[DEVICE_LINEAR / PAGE] &= ~4ull;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR + 0x10), VCPU_RESUME);
	expect_injected(VECTOR_PF);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), 5);
}

static void smap_counts_from_when_it_is_set(void **context)
{
	(void)context;
	guest_ptes[DEVICE_LINEAR / PAGE] |= 4;
	for (unsigned i = 0; i < RUNS; i++)
		expect_load(CODE, load_ecx, sizeof(load_ecx), TL_RCX);
	assert_true(cr_write_cr4(guest_vcpu, CR4_PAE | CR4_SMAP));
	/* RFLAGS.AC lets the supervisor through, and changes without an exit. */
	for (unsigned i = 0; i < RUNS; i++) {
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_AC);
		expect_load(CODE, load_ecx, sizeof(load_ecx), TL_RCX);
		set_field(VMCS_GUEST_RFLAGS, 2);
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(DEVICE_LINEAR + 0x10), VCPU_RESUME);
		expect_injected(VECTOR_PF);
	}
}

/* #AC is the user's alone, where CR0.AM and RFLAGS.AC say so; both ways of serving an access ask. */
static void unaligned_user_access_is_checked(void **context)
{
	gva_t odd = DEVICE_LINEAR + 0x11;
	unsigned served = 0;

	(void)context;
	go_to_user_mode();
	put_code(CODE, load_ecx, sizeof(load_ecx));
	for (unsigned i = 0; i < RUNS; i++) {
		guest_vcpu->gpr[TL_RDI] = DEVICE_LINEAR + 1;
		set_field(VMCS_GUEST_RFLAGS, 2);
		expect_served(CODE, odd, CODE + sizeof(load_ecx));
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_AC);
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(odd), VCPU_RESUME);
		expect_injected(VECTOR_AC);
		guest_vcpu->gpr[TL_RDI] = DEVICE_LINEAR;
		expect_served(CODE, DEVICE_LINEAR + 0x10, CODE + sizeof(load_ecx));
		served += 2;
		assert_int_equal(device_log.count, served);
	}
	assert_true(cr_write_cr0(guest_vcpu, cr_read_cr0() & ~CR0_AM));
	guest_vcpu->gpr[TL_RDI] = DEVICE_LINEAR + 1;
	expect_served(CODE, odd, CODE + sizeof(load_ecx));
	assert_true(cr_write_cr0(guest_vcpu, cr_read_cr0() | CR0_AM));
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(odd), VCPU_RESUME);
	expect_injected(VECTOR_AC);
}

static void step(void)
{
	put_code(CODE, load_ecx, sizeof(load_ecx));
	expect_served(CODE, DEVICE_LINEAR + 0x10, CODE + sizeof(load_ecx));
}

/* What a completed instruction leaves behind, first decoded, then found. */
static void skip_leaves_what_the_instruction_would(void **context)
{
	(void)context;
	for (unsigned i = 0; i < RUNS; i++) {
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF | RFLAGS_RF);
		set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
		step();
		assert_int_equal(field(VMCS_GUEST_RFLAGS), 2 | RFLAGS_TF);
		assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
		assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
		set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
		set_field(VMCS_GUEST_RFLAGS, 2);
		step();
		assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
		/* With a breakpoint armed RF has to go. */
		dr_write_dr7(guest_vcpu, VECTOR_DEBUG_REGISTER_7);
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_RF);
		step();
		assert_int_equal(field(VMCS_GUEST_RFLAGS), 2);
		dr_write_dr7(guest_vcpu, 0x400);
	}
}

/* RAM that is taken out of the map and put back elsewhere is other memory. */
static void pointers_into_removed_memory_are_forgotten(void **context)
{
	struct tl_range more = ram_range(0x400000, PAGE);
	tl_range_id id;

	(void)context;
	for (unsigned i = 0; i < RUNS; i++) {
		more.host = hosted_memory(i & 1 ? 0x500000 : 0x400000);
		id = range_add(more);
		memcpy(more.host, store_imm, sizeof(store_imm));
		((uint8_t *)more.host)[3] = (uint8_t)i;
		guest_ptes[200] = (guest_ptes[20] & (PAGE - 1)) | 0x400000;
		expect_store(200 * PAGE, sizeof(store_imm), 0x04030200 + i);
		expect_store(200 * PAGE, sizeof(store_imm), 0x04030200 + i);
		assert_int_equal(range_remove(id), TL_PENDING);
		assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	}
}

static void device_that_fails_stops_the_guest(void **context)
{
	(void)context;
	step();
	device_log.status = TL_INVALID_ARGUMENT;
	for (unsigned i = 0; i < 2; i++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(DEVICE_LINEAR + 0x10), VCPU_LEAVE);
		assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
		assert_int_equal(vcpu_left.stop.why, TL_STOP_DEVICE);
		assert_int_equal(vcpu_left.stop.rip, CODE);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(loads_and_stores_are_served),
		CASE(rewritten_code_is_decoded_again),
		CASE(nothing_behind_the_page_is_read),
		CASE(second_page_is_where_its_entry_says),
		CASE(moved_code_page_is_walked_again),
		CASE(moved_data_page_is_walked_again),
		CASE(operand_elsewhere_is_tried_once_more),
		CASE(write_to_read_only_page_faults),
		CASE(rights_are_those_of_the_mode),
		CASE(smap_counts_from_when_it_is_set),
		CASE(unaligned_user_access_is_checked),
		CASE(skip_leaves_what_the_instruction_would),
		CASE(pointers_into_removed_memory_are_forgotten),
		CASE(device_that_fails_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
