/* SPDX-License-Identifier: MIT */
/*
 * Local APICs of which the CPU serves a part, beside one that it does not: whatever their guests do, they see the same.
 * One of them has posted interrupts, too.
 */
#include "tests/unit/local_apic_served.h"

static void take(void)
{
	int vector = local_apic_acknowledge(&apics[SOFT]);

	for (unsigned i = VIRTUAL; i < ALL; i++)
		assert_int_equal(virtual_cpu_deliver(&served[i].cpu), vector);
}

static void send(uint8_t vector, bool level)
{
	struct apic_message message = {.vector = vector, .level = level};

	for (message.destination = 0; message.destination < ALL; message.destination++)
		assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	served_settle_all();
}

static uint8_t below(unsigned limit)
{
	return (uint8_t)(apic_random() % limit);
}

static uint8_t edge_vector(void)
{
	return (uint8_t)(0x40 + below(0x98));
}

static uint8_t level_vector(void)
{
	return (uint8_t)(LEVEL_FIRST + below(LEVEL_LAST - LEVEL_FIRST + 1));
}

/* Several, while the one guest is out of its CPU. */
static void send_outside(void)
{
	served_leave_guest();
	for (unsigned i = below(4); i-- > 0;) {
		bool level = below(4) == 0;

		send(level ? level_vector() : edge_vector(), level);
	}
	served_enter_guest();
}

static void step(void)
{
	static const uint16_t written[] = {LVT, LVT + 16, LVT + 48, LVT + 80, DIVIDE, LDR, DFR, ESR, ID};

	switch (below(13)) {
	case 0:
	case 1:
		served_put(ICR, SELF | edge_vector());
		break;
	case 2:
		send(edge_vector(), false);
		break;
	case 3:
		send(level_vector(), true);
		break;
	case 4:
	case 5:
		take();
		break;
	case 6:
	case 7:
		served_put(EOI, 0);
		break;
	case 8:
		served_put(TPR, (uint32_t)apic_random());
		break;
	case 9:
		served_put(written[below(sizeof(written) / sizeof(written[0]))], (uint32_t)apic_random() | 1 << 16);
		break;
	case 10:
		/* Errors, and what nobody is there for. */
		served_put(ICR_HIGH, 9u << 24);
		served_put(ICR, below(2) ? below(16) : SELF | below(16));
		break;
	case 11:
		send_outside();
		break;
	default:
		if (below(8) == 0)
			served_put(SVR, below(2) ? 0xff : 0x1ff);
		served_put(SVR, 0x1ff);
	}
}

static void they_see_the_same(void **context)
{
	unsigned ends = 0;

	(void)context;
	for (unsigned i = 0; i < 50000; i++) {
		step();
		served_check();
	}
	for (unsigned vector = LEVEL_FIRST; vector <= LEVEL_LAST; vector++) {
		/* Each broadcast is that of all. */
		assert_int_equal(apic_ends[vector] % ALL, 0);
		ends += apic_ends[vector];
	}
	assert_in_range(ends, 1000, 100000);
	assert_in_range(served[POSTED].processed, 1000, 50000);
	assert_in_range(served[POSTED].taken_by_host, 1000, 50000);
}

/* An EOI that is emulated, and a vector that goes by the entry: the CPU is told of both. */
static void what_software_does_the_cpu_is_told_of(void **context)
{
	(void)context;
	served_put(ICR, SELF | 0x51);
	served_put(ICR, SELF | 0x91);
	take();
	for (unsigned i = VIRTUAL; i < ALL; i++)
		assert_int_equal(served[i].cpu.svi, 0x91);
	for (unsigned i = SOFT; i < ALL; i++)
		apic_put(i, EOI, 0);
	served_settle_all();
	for (unsigned i = VIRTUAL; i < ALL; i++) {
		assert_int_equal(served[i].cpu.svi, 0);
		assert_int_equal(served[i].cpu.rvi, 0x51);
	}
	for (unsigned i = SOFT; i < ALL; i++)
		assert_int_equal(local_apic_acknowledge(&apics[i]), 0x51);
	served_check();
}

/* Those of other CPUs wait beside the page, which is not touched while the guest may run. */
static void what_is_sent_waits_to_be_collected(void **context)
{
	struct apic_message message = {.vector = 0x77, .destination = VIRTUAL};

	(void)context;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(*virtual_cpu_word(&served[VIRTUAL].cpu, IRR, 0x77), 0);
	assert_true(local_apic_pending(&apics[VIRTUAL]));
	served_settle(VIRTUAL);
	assert_int_equal(*virtual_cpu_word(&served[VIRTUAL].cpu, IRR, 0x77), 1u << 0x77 % 32);
	assert_int_equal(served[VIRTUAL].cpu.rvi, 0x77);
}

/* What is posted the CPU gets without software's being told, unless it changes TMR. */
static void an_edge_is_posted_and_a_level_is_not(void **context)
{
	struct apic_message message = {.vector = 0x77, .destination = POSTED};
	unsigned before = told[POSTED].interrupts;

	(void)context;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(told[POSTED].interrupts, before);
	assert_int_equal(served[POSTED].cpu.rvi, 0x77);
	message.vector = 0x88;
	message.level = true;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(told[POSTED].interrupts, before + 1);
	assert_int_equal(served[POSTED].cpu.rvi, 0x77);
	/* An edge that makes an edge of it goes the same way, so that both are one request; */
	message.level = false;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(told[POSTED].interrupts, before + 2);
	assert_int_equal(served[POSTED].cpu.rvi, 0x77);
	/* and as long as the page does not say so. */
	message.level = true;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	served_settle(POSTED);
	message.level = false;
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
		assert_int_equal(told[POSTED].interrupts, before + 3 + i);
	}
	served_settle(POSTED);
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(told[POSTED].interrupts, before + 5);
}

/* Not collected, it counts all the same: for a HLT, for who reads IRR, for who takes it by the entry. */
static void what_is_posted_is_pending(void **context)
{
	struct apic_message message = {.vector = 0x99, .destination = POSTED};
	struct local_apic *apic = &apics[POSTED];

	(void)context;
	served_leave_guest();
	assert_false(local_apic_pending(apic));
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(*virtual_cpu_word(&served[POSTED].cpu, IRR, 0x99), 0);
	assert_true(local_apic_pending(apic));
	assert_int_equal(apic_get(POSTED, IRR + 0x99 / 32 * 16), 1u << 0x99 % 32);
	assert_int_equal(local_apic_acknowledge(apic), 0x99);
	assert_false(local_apic_pending(apic));
	assert_int_equal(served_descriptor.requests[0x99 / 64], 0);
	assert_int_equal(served_descriptor.control, 0);
	/* A reset takes it away. */
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	local_apic_reset(apic);
	assert_false(local_apic_pending(apic));
	assert_int_equal(apic_get(POSTED, IRR + 0x99 / 32 * 16), 0);
}

/* Who posts is between its two steps (rule 14): what is taken then is not to be collected once more. */
static void what_is_not_collected_is_not_taken(void **context)
{
	struct local_apic *apic = &apics[POSTED];

	(void)context;
	served_leave_guest();
	served_descriptor.requests[0x99 / 64] |= 1ull << 0x99 % 64;
	assert_true(local_apic_pending(apic));
	assert_int_equal(local_apic_acknowledge(apic), -1);
	served_descriptor.control |= 1;
	assert_int_equal(local_apic_acknowledge(apic), 0x99);
	apic_put(POSTED, EOI, 0);
	assert_false(local_apic_pending(apic));
	assert_int_equal(local_apic_acknowledge(apic), -1);
}

static void a_reset_empties_the_page(void **context)
{
	(void)context;
	served_put(ICR, SELF | 0x51);
	served_put(ICR, SELF | 0x91);
	take();
	served_put(TPR, 0x20);
	for (unsigned i = SOFT; i < ALL; i++)
		local_apic_reset(&apics[i]);
	served_check();
	for (unsigned i = VIRTUAL; i < ALL; i++)
		assert_int_equal(virtual_cpu_highest(&served[i].cpu, IRR) | virtual_cpu_highest(&served[i].cpu, ISR),
				 0);
}

/* What waits for the TPR, and for nothing else. */
static void what_is_held_back(void **context)
{
	struct local_apic *apic = &apics[SOFT];

	(void)context;
	assert_int_equal(local_apic_held_back(apic), NO_VECTOR);
	apic_put(SOFT, TPR, 0x60);
	apic_put(SOFT, ICR, SELF | 0x65);
	assert_int_equal(local_apic_held_back(apic), 0x65);
	apic_put(SOFT, TPR, 0x50);
	assert_int_equal(local_apic_held_back(apic), NO_VECTOR);
	assert_int_equal(local_apic_acknowledge(apic), 0x65);
	apic_put(SOFT, ICR, SELF | 0x64);
	apic_put(SOFT, TPR, 0xf0);
	/* Its EOI exits. */
	assert_int_equal(local_apic_held_back(apic), NO_VECTOR);
	apic_put(SOFT, EOI, 0);
	assert_int_equal(local_apic_held_back(apic), 0x64);
}

/* Where the CPU has the TPR alone, it is told whatever may change what is held back. */
static void a_shadowed_tpr_is_told_of(void **context)
{
	static uint32_t page[1024] __attribute__((aligned(4096)));
	struct local_apic *apic = &apics[ALL];
	unsigned before;

	(void)context;
	local_apic_virtualize(apic, page, false, NULL);
	apic_put(ALL, SVR, 0x1ff);
	page[TPR / 4] = 0x70;
	assert_int_equal(local_apic_read_cr8(apic), 7);
	apic_put(ALL, ICR, SELF | 0x43);
	assert_int_equal(local_apic_held_back(apic), 0x43);
	before = told[ALL].interrupts;
	apic_put(ALL, TPR, 0x50);
	assert_int_equal(page[TPR / 4], 0x50);
	assert_true(told[ALL].interrupts > before);
	page[TPR / 4] = 0;
	assert_int_equal(local_apic_acknowledge(apic), 0x43);
	apic_put(ALL, ICR, SELF | 0x42);
	page[TPR / 4] = 0x90;
	before = told[ALL].interrupts;
	apic_put(ALL, EOI, 0);
	assert_true(told[ALL].interrupts > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(they_see_the_same, served_start),
		cmocka_unit_test_setup(what_software_does_the_cpu_is_told_of, served_start),
		cmocka_unit_test_setup(what_is_sent_waits_to_be_collected, served_start),
		cmocka_unit_test_setup(an_edge_is_posted_and_a_level_is_not, served_start),
		cmocka_unit_test_setup(what_is_posted_is_pending, served_start),
		cmocka_unit_test_setup(what_is_not_collected_is_not_taken, served_start),
		cmocka_unit_test_setup(a_reset_empties_the_page, served_start),
		cmocka_unit_test_setup(what_is_held_back, served_start),
		cmocka_unit_test_setup(a_shadowed_tpr_is_told_of, served_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
