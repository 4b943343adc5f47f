/* SPDX-License-Identifier: MIT */
/*
 * A local APIC of which the CPU serves a part, beside one that it does not: whatever their guests do, they see the
 * same. The CPU is a model of SDM vol. 3, 30.1 to 30.5, on the page; software is asked as vmx/apic.c asks it, and only
 * where it has said that something changed.
 */
#include "tests/unit/local_apic_fixture.h"

enum { SOFT, VIRTUAL, PAIR };
enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xA0, EOI = 0xB0, LDR = 0xD0, DFR = 0xE0, SVR = 0xF0, ISR = 0x100 };
enum {
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	LVT = 0x320,
	COUNT = 0x380,
	DIVIDE = 0x3E0
};
enum { SELF = 1 << 18, LEVEL_FIRST = 0xd8, LEVEL_LAST = 0xfe };

static uint32_t page[1024] __attribute__((aligned(4096)));
static uint8_t rvi, svi;
static uint32_t eoi_exits[8];
static unsigned asked; /* told[VIRTUAL].interrupts when the CPU was told last */

/* ---- The CPU ----------------------------------------------------------------------------------------------------- */

static uint8_t highest(unsigned set)
{
	for (unsigned vector = 255; vector; vector--)
		if (page[(set + vector / 32 * 16) / 4] >> vector % 32 & 1)
			return (uint8_t)vector;
	return 0;
}

static uint32_t *word_of(unsigned set, unsigned vector)
{
	return &page[(set + vector / 32 * 16) / 4];
}

static uint32_t priority(void)
{
	return svi >> 4 > page[TPR / 4] >> 4 ? svi & 0xf0u : page[TPR / 4];
}

/* Before an entry, where software wants one. */
static void settle(void)
{
	if (told[VIRTUAL].interrupts == asked)
		return;
	asked = told[VIRTUAL].interrupts;
	local_apic_collect(&apics[VIRTUAL]);
	rvi = highest(IRR);
	svi = highest(ISR);
	for (unsigned i = 0; i < 8; i++)
		eoi_exits[i] = page[(TMR + 16 * i) / 4];
}

static int deliver(void)
{
	uint8_t vector = rvi;

	if (rvi >> 4 <= priority() >> 4)
		return NO_VECTOR;
	*word_of(IRR, vector) &= ~(1u << vector % 32);
	*word_of(ISR, vector) |= 1u << vector % 32;
	rvi = highest(IRR);
	svi = vector;
	return vector;
}

static void end_virtual(void)
{
	uint8_t vector = svi;

	*word_of(ISR, vector) &= ~(1u << vector % 32);
	svi = highest(ISR);
	if (eoi_exits[vector / 32] >> vector % 32 & 1)
		local_apic_ended(&apics[VIRTUAL], vector);
}

static bool sends_itself(uint32_t command)
{
	return (command & 0xfff00 & ~(1u << 14)) == SELF && (command & 0xff) >= 16;
}

static void write_virtual(unsigned offset, uint32_t value)
{
	page[offset / 4] = offset == ICR_HIGH ? value & 0xff000000 : offset == TPR ? value & 0xff : value;
	if (offset == TPR || offset == ICR_HIGH)
		return;
	if (offset == EOI) {
		page[EOI / 4] = 0;
		end_virtual();
	} else if (offset == ICR && sends_itself(value)) {
		*word_of(IRR, value & 0xff) |= 1u << value % 32;
		rvi = highest(IRR);
	} else {
		local_apic_written(&apics[VIRTUAL], offset);
	}
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

static void put(unsigned offset, uint32_t value)
{
	apic_put(SOFT, offset, value);
	write_virtual(offset, value);
	settle();
}

static void check(unsigned offset)
{
	uint32_t wanted = apic_get(SOFT, offset);

	if (offset == ID)
		wanted |= VIRTUAL << 24;
	/* The priority and the count exit. */
	assert_int_equal(offset == PPR || offset == 0x390 ? apic_get(VIRTUAL, offset) : page[offset / 4], wanted);
	/* A load that is emulated reads the same. */
	assert_int_equal(apic_get(VIRTUAL, offset), wanted);
}

static void check_all(void)
{
	static const uint16_t others[] = {ID,       VERSION,  TPR,      PPR,      LDR,   DFR,
					  SVR,      ESR,      ICR,      ICR_HIGH, LVT,   LVT + 16,
					  LVT + 32, LVT + 48, LVT + 64, LVT + 80, COUNT, DIVIDE};

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		check(others[i]);
	for (unsigned offset = ISR; offset < ESR; offset += 16)
		check(offset);
	assert_int_equal(local_apic_pending(&apics[VIRTUAL]), local_apic_pending(&apics[SOFT]));
}

static void take(void)
{
	int vector = local_apic_acknowledge(&apics[SOFT]);

	assert_int_equal(deliver(), vector);
}

static void send(uint8_t vector, bool level)
{
	struct apic_message message = {.vector = vector, .level = level};

	for (message.destination = 0; message.destination < PAIR; message.destination++)
		assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	settle();
}

static int start(void **context)
{
	apics_start(context);
	memset(page, 0, sizeof(page));
	memset(eoi_exits, 0, sizeof(eoi_exits));
	local_apic_virtualize(&apics[VIRTUAL], page, true);
	asked = UINT32_MAX;
	settle();
	put(SVR, 0x1ff);
	return 0;
}

static uint8_t below(unsigned limit)
{
	return (uint8_t)(apic_random() % limit);
}

static uint8_t edge_vector(void)
{
	return (uint8_t)(0x40 + below(0x98));
}

static void step(void)
{
	static const uint16_t written[] = {LVT, LVT + 16, LVT + 48, LVT + 80, DIVIDE, LDR, DFR, ESR, ID};

	switch (below(12)) {
	case 0:
	case 1:
		put(ICR, SELF | edge_vector());
		break;
	case 2:
		send(edge_vector(), false);
		break;
	case 3:
		send((uint8_t)(LEVEL_FIRST + below(LEVEL_LAST - LEVEL_FIRST + 1)), true);
		break;
	case 4:
	case 5:
		take();
		break;
	case 6:
	case 7:
		put(EOI, 0);
		break;
	case 8:
		put(TPR, (uint32_t)apic_random());
		break;
	case 9:
		put(written[below(sizeof(written) / sizeof(written[0]))], (uint32_t)apic_random() | 1 << 16);
		break;
	case 10:
		/* Errors, and what nobody is there for. */
		put(ICR_HIGH, 9u << 24);
		put(ICR, below(2) ? below(16) : SELF | below(16));
		break;
	default:
		if (below(8) == 0)
			put(SVR, below(2) ? 0xff : 0x1ff);
		put(SVR, 0x1ff);
	}
}

static void they_see_the_same(void **context)
{
	unsigned ends = 0;

	(void)context;
	for (unsigned i = 0; i < 50000; i++) {
		step();
		check_all();
	}
	for (unsigned vector = LEVEL_FIRST; vector <= LEVEL_LAST; vector++) {
		/* Each broadcast is both's. */
		assert_int_equal(apic_ends[vector] % PAIR, 0);
		ends += apic_ends[vector];
	}
	assert_in_range(ends, 1000, 100000);
}

/* An EOI that is emulated, and a vector that goes by the entry: the CPU is told of both. */
static void what_software_does_the_cpu_is_told_of(void **context)
{
	(void)context;
	put(ICR, SELF | 0x51);
	put(ICR, SELF | 0x91);
	take();
	assert_int_equal(svi, 0x91);
	apic_put(SOFT, EOI, 0);
	apic_put(VIRTUAL, EOI, 0);
	settle();
	assert_int_equal(svi, 0);
	assert_int_equal(rvi, 0x51);
	assert_int_equal(local_apic_acknowledge(&apics[VIRTUAL]), 0x51);
	assert_int_equal(local_apic_acknowledge(&apics[SOFT]), 0x51);
	check_all();
}

/* Those of other CPUs wait beside the page, which is not touched while the guest may run. */
static void what_is_sent_waits_to_be_collected(void **context)
{
	struct apic_message message = {.vector = 0x77, .destination = VIRTUAL};

	(void)context;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	assert_int_equal(*word_of(IRR, 0x77), 0);
	assert_true(local_apic_pending(&apics[VIRTUAL]));
	settle();
	assert_int_equal(*word_of(IRR, 0x77), 1u << 0x77 % 32);
	assert_int_equal(rvi, 0x77);
}

static void a_reset_empties_the_page(void **context)
{
	(void)context;
	put(ICR, SELF | 0x51);
	put(ICR, SELF | 0x91);
	take();
	put(TPR, 0x20);
	local_apic_reset(&apics[SOFT]);
	local_apic_reset(&apics[VIRTUAL]);
	check_all();
	assert_int_equal(highest(IRR) | highest(ISR), 0);
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
	struct local_apic *apic = &apics[2];
	unsigned before;

	(void)context;
	memset(page, 0, sizeof(page));
	local_apic_virtualize(apic, page, false);
	apic_put(2, SVR, 0x1ff);
	page[TPR / 4] = 0x70;
	assert_int_equal(local_apic_read_cr8(apic), 7);
	apic_put(2, ICR, SELF | 0x43);
	assert_int_equal(local_apic_held_back(apic), 0x43);
	before = told[2].interrupts;
	apic_put(2, TPR, 0x50);
	assert_int_equal(page[TPR / 4], 0x50);
	assert_true(told[2].interrupts > before);
	page[TPR / 4] = 0;
	assert_int_equal(local_apic_acknowledge(apic), 0x43);
	apic_put(2, ICR, SELF | 0x42);
	page[TPR / 4] = 0x90;
	before = told[2].interrupts;
	apic_put(2, EOI, 0);
	assert_true(told[2].interrupts > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(they_see_the_same, start),
		cmocka_unit_test_setup(what_software_does_the_cpu_is_told_of, start),
		cmocka_unit_test_setup(what_is_sent_waits_to_be_collected, start),
		cmocka_unit_test_setup(a_reset_empties_the_page, start),
		cmocka_unit_test_setup(what_is_held_back, start),
		cmocka_unit_test_setup(a_shadowed_tpr_is_told_of, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
