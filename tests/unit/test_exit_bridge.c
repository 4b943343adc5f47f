/* SPDX-License-Identifier: MIT */
/* Clusters over instructions in registers: values that are made between two stores, and loops that poll. */
#include "tests/unit/vcpu_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 16, ZF = 1 << 6, CF = 1 << 0 };

/* mov [rdi], eax; mov eax, 0x11; add ecx, 1; mov [rdi + 4], eax; lea rdx, [rcx + rcx * 2]; mov [rdi + 8], rdx */
static const uint8_t set_up[] = {0x89, 0x07, 0xb8, 0x11, 0,    0,    0,    0x83, 0xc1, 0x01, 0x89,
				 0x47, 0x04, 0x48, 0x8d, 0x14, 0x49, 0x48, 0x89, 0x57, 0x08};
enum { FIRST = 0, SECOND = 10, THIRD = 17, END = sizeof(set_up) };

/* Something that is decoded after what a test is about: a driver does more than that. */
static void touch_other(void)
{
	static const uint8_t load[] = {0x8b, 0x07};
	const gva_t at = CODE + 0x800;
	unsigned count = device_log.count;

	put_code(at, load, sizeof(load));
	expect_kept(at, DEVICE_LINEAR, at + sizeof(load));
	device_log.count = count;
}

static void learn_set_up(void)
{
	put_code(CODE, set_up, sizeof(set_up));
	expect_kept(CODE + FIRST, DEVICE_LINEAR, CODE + FIRST + 2);
	expect_kept(CODE + SECOND, DEVICE_LINEAR + 4, CODE + SECOND + 3);
	expect_kept(CODE + THIRD, DEVICE_LINEAR + 8, CODE + THIRD + 4);
	touch_other();
	device_log.count = 0;
}

static void values_are_made_in_between(void **context)
{
	(void)context;
	learn_set_up();
	for (uint64_t i = 0; i < 3; i++) {
		guest_vcpu->gpr[TL_RAX] = i;
		guest_vcpu->gpr[TL_RCX] = 0xffffffff;
		device_log.count = 0;
		set_field(VMCS_GUEST_RFLAGS, 2);
		expect_served(CODE, DEVICE_LINEAR, CODE + END);
		assert_int_equal(device_log.count, 3);
		assert_int_equal(device_log.access[0].data, i);
		assert_int_equal(device_log.access[1].data, 0x11);
		assert_int_equal(device_log.access[2].data, 0);
		assert_int_equal(guest_vcpu->gpr[TL_RCX], 0);
		/* ADD 1 to all ones: zero, carry, parity, and a carry out of bit 3. */
		assert_int_equal(field(VMCS_GUEST_RFLAGS), 2 | 1 | 4 | 16 | 64);
	}
}

/* 1: mov eax, [rdi]; test al, 1; jz 1b */
static const uint8_t poll[] = {0x8b, 0x07, 0xa8, 0x01, 0x74, 0xfa};
/* 1: pause; test dword [rdi], 1; jnz 2f; dec ecx; jnz 1b; 2: */
static const uint8_t poll_memory[] = {0xf3, 0x90, 0xf7, 0x07, 1, 0, 0, 0, 0x75, 0x04, 0xff, 0xc9, 0x75, 0xf2};
enum { POLL_ACCESS = 0, POLL_MEMORY_ACCESS = 2 };

static unsigned ready_at; /* the access that finds the device ready */

static void become_ready(struct tl_mmio *access)
{
	access->data = device_log.count >= ready_at ? 0xffffff01 : 0xfffffffe;
}

/* The guest executes what stands before its next access by itself. Exits until RIP is past `code`; how many. */
static unsigned poll_until_ready(const uint8_t *code, size_t length, size_t access_at)
{
	unsigned exits = 0;

	put_code(CODE, code, length);
	device_log = (struct device_log){.status = TL_OK, .on_access = become_ready};
	set_field(VMCS_GUEST_RIP, CODE + access_at);
	do {
		assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
		exits++;
		assert_true(exits < 100);
		/* Not clustered: TEST and JZ are the guest's own. */
		if (code == poll && field(VMCS_GUEST_RIP) == CODE + 2 && device_log.count < ready_at)
			set_field(VMCS_GUEST_RIP, CODE);
	} while (field(VMCS_GUEST_RIP) == CODE + access_at);
	return exits;
}

static void loop_is_served_by_turns_of_many(void **context)
{
	(void)context;
	ready_at = 1;
	poll_until_ready(poll, sizeof(poll), POLL_ACCESS);
	touch_other();
	/* One exit that is not known to be a loop, two of 16 accesses, and the rest. */
	ready_at = 1 + 2 * MOST + 5;
	assert_int_equal(poll_until_ready(poll, sizeof(poll), POLL_ACCESS), 4);
	assert_int_equal(device_log.count, ready_at);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(poll));
	assert_int_equal(guest_vcpu->gpr[TL_RAX], 0xffffff01);
	assert_int_equal(field(VMCS_GUEST_RFLAGS) & (ZF | CF), 0);
	/* Ready at once: the guest goes on by itself, with nothing done for it. */
	touch_other();
	ready_at = 1;
	assert_int_equal(poll_until_ready(poll, sizeof(poll), POLL_ACCESS), 1);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 2);
}

static void loop_on_memory_counts(void **context)
{
	(void)context;
	ready_at = 1;
	poll_until_ready(poll_memory, sizeof(poll_memory), POLL_MEMORY_ACCESS);
	touch_other();
	ready_at = 1000;
	guest_vcpu->gpr[TL_RCX] = 0x100000003;
	/* Alone: the counter is the guest's. */
	set_field(VMCS_GUEST_RIP, CODE + POLL_MEMORY_ACCESS);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 8);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x100000003);
	assert_int_equal(field(VMCS_GUEST_RFLAGS) & ZF, ZF);
	device_log.count = 0;
	set_field(VMCS_GUEST_RIP, CODE + POLL_MEMORY_ACCESS);
	set_field(VMCS_GUEST_RFLAGS, 2 | CF);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	/* Two more turns, and out at the end: DEC has the last word, but for CF, which is TEST's. */
	assert_int_equal(device_log.count, 3);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 0);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(poll_memory));
	assert_int_equal(field(VMCS_GUEST_RFLAGS) & (ZF | CF), ZF);
}

static void inject_at_sixth(struct tl_mmio *access)
{
	const struct tl_event event = {.type = TL_EVENT_INTERRUPT, .vector = 0x30};

	become_ready(access);
	if (device_log.count == 6)
		assert_int_equal(tl_vcpu_inject(access->vcpu, &event), TL_OK);
}

/* What the loop waits for may be an interrupt. */
static void event_ends_a_loop(void **context)
{
	(void)context;
	ready_at = 1;
	poll_until_ready(poll, sizeof(poll), POLL_ACCESS);
	touch_other();
	ready_at = 1000;
	device_log.on_access = inject_at_sixth;
	device_log.count = 0;
	for (unsigned exits = 0; exits < 2; exits++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	}
	assert_int_equal(device_log.count, 6);
	/* Behind the access: the bridge comes after the interrupt. */
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 2);
	expect_injected(0x30);
}

static void rewrite_constant(struct tl_mmio *access)
{
	if (access->write && access->offset == 0)
		guest_ram[CODE + 3] = 0x22;
}

static void rewritten_bridge_is_not_crossed(void **context)
{
	(void)context;
	learn_set_up();
	expect_served(CODE, DEVICE_LINEAR, CODE + END);
	device_log.on_access = rewrite_constant;
	expect_served(CODE, DEVICE_LINEAR, CODE + FIRST + 2);
	/* And not by what it was decoded to before. */
	device_log.on_access = NULL;
	expect_served(CODE, DEVICE_LINEAR, CODE + FIRST + 2);
}

static void rewrite_tenth_byte(struct tl_mmio *access)
{
	if (access->offset == 0)
		guest_ram[CODE + 11] = 0x33;
}

/* The same of the second word that is compared. */
static void rewritten_end_of_a_bridge_is_seen(void **context)
{
	/* mov [rdi], eax; mov ecx, 1; mov edx, 2; mov [rdi + 4], edx */
	static const uint8_t code[] = {0x89, 0x07, 0xb9, 1, 0, 0, 0, 0xba, 2, 0, 0, 0, 0x89, 0x57, 0x04};

	(void)context;
	put_code(CODE, code, sizeof(code));
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
	expect_kept(CODE + 12, DEVICE_LINEAR + 4, CODE + 15);
	expect_served(CODE, DEVICE_LINEAR, CODE + 15);
	device_log.on_access = rewrite_tenth_byte;
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
}

/* An instruction that is no step, or an access that is not known: the guest goes on from there. */
static void bridge_that_leads_nowhere_is_not_begun(void **context)
{
	uint8_t code[sizeof(set_up)];

	(void)context;
	memcpy(code, set_up, sizeof(code));
	code[SECOND - 3] = 0x0f; /* in place of ADD: CPUID */
	code[SECOND - 2] = 0xa2;
	code[SECOND - 1] = 0x90;
	put_code(CODE, code, sizeof(code));
	for (unsigned run = 0; run < 4; run++) {
		guest_vcpu->gpr[TL_RAX] = 7;
		expect_served(CODE + FIRST, DEVICE_LINEAR, CODE + FIRST + 2);
		assert_int_equal(guest_vcpu->gpr[TL_RAX], 7);
		expect_served(CODE + SECOND, DEVICE_LINEAR + 4, CODE + (run < 2 ? SECOND + 3 : END));
		expect_served(CODE + THIRD, DEVICE_LINEAR + 8, CODE + THIRD + 4);
		touch_other();
	}
}

/* A jump that leaves the page is taken, and is the last thing that is done. */
static void jump_off_the_page_ends_a_cluster(void **context)
{
	/* 1: mov eax, [rdi]; test al, 1; jnz 0x1000 further; jmp 1b */
	static const uint8_t code[] = {0x8b, 0x07, 0xa8, 0x01, 0x0f, 0x85, 0x00, 0x10, 0x00, 0x00, 0xeb, 0xf4};
	static const uint8_t store[] = {0x89, 0x07};
	enum { TARGET = CODE + 10 + 0x1000 };

	(void)context;
	put_code(CODE, code, sizeof(code));
	/* What is there is known, and no walk of this cluster was for that page. */
	put_code(TARGET, store, sizeof(store));
	expect_served(TARGET, DEVICE_LINEAR, TARGET + sizeof(store));
	device_log.count = 0;
	set_field(VMCS_GUEST_RIP, CODE);
	ready_at = 10;
	device_log.on_access = become_ready;
	for (unsigned exits = 0; exits < 4 && field(VMCS_GUEST_RIP) < CODE + 0x1000; exits++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	}
	assert_int_equal(field(VMCS_GUEST_RIP), TARGET);
	assert_int_equal(device_log.count, 10);
	assert_int_equal(field(VMCS_GUEST_RFLAGS) & ZF, 0);
}

/* A jump to itself is the guest's to execute for ever. */
static void endless_bridge_ends(void **context)
{
	/* mov [rdi], eax; 1: jmp 1b */
	static const uint8_t code[] = {0x89, 0x07, 0xeb, 0xfe};

	(void)context;
	put_code(CODE, code, sizeof(code));
	for (unsigned run = 0; run < 4; run++) {
		expect_served(CODE, DEVICE_LINEAR, CODE + 2);
		touch_other();
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(values_are_made_in_between),
		CASE(loop_is_served_by_turns_of_many),
		CASE(loop_on_memory_counts),
		CASE(event_ends_a_loop),
		CASE(rewritten_bridge_is_not_crossed),
		CASE(rewritten_end_of_a_bridge_is_seen),
		CASE(bridge_that_leads_nowhere_is_not_begun),
		CASE(jump_off_the_page_ends_a_cluster),
		CASE(endless_bridge_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
