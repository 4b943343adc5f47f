/* SPDX-License-Identifier: MIT */
/* Whom an interrupt command reaches, and what it does there: every mode, shorthand and destination, against a naive
 * rule. */
#include "tests/unit/local_apic_fixture.h"

enum { EOI = 0xB0, LDR = 0xD0, DFR = 0xE0, ICR = 0x300, ICR_HIGH = 0x310, TPR = 0x80, SVR = 0xF0 };
enum { DELIVERIES = 8, FLAT = 0xf, CLUSTER = 0 };

/* As the SDM's 11.6.2 has it, of a destination of 8 bits. */
static bool reaches(unsigned number, unsigned destination, bool logical, unsigned format, const unsigned *ldr)
{
	if (!logical)
		return destination == 0xff || destination == number;
	if (format == FLAT)
		return destination & ldr[number];
	return (destination / 16 == 15 || destination / 16 == ldr[number] / 16) && (destination & ldr[number] & 15);
}

static unsigned taken(unsigned number, enum apic_delivery delivery)
{
	switch (delivery) {
	case APIC_NMI:
		return told[number].nmis;
	case APIC_SMI:
		return told[number].smis;
	case APIC_INIT:
		return told[number].inits;
	case APIC_STARTUP:
		return told[number].startup_vector == 0x61 ? told[number].startups : 0;
	default:
		return apic_drain(number);
	}
}

static bool is_meant(unsigned number, unsigned sender, unsigned shorthand, bool reached)
{
	switch (shorthand) {
	case APIC_NO_SHORTHAND:
		return reached;
	case APIC_SELF:
		return number == sender;
	case APIC_ALL:
		return true;
	default:
		return number != sender;
	}
}

static void check_command(unsigned delivery, unsigned shorthand, unsigned destination, bool logical, unsigned format,
			  const unsigned *ldr)
{
	const unsigned sender = 1;
	bool nothing = delivery == 3 || delivery == APIC_EXTINT;
	unsigned meant = 0, got = 0;

	if ((delivery == APIC_INIT || delivery == APIC_STARTUP) && (shorthand == APIC_SELF || shorthand == APIC_ALL))
		nothing = true;
	memset(told, 0, sizeof(told));
	apic_put(sender, ICR_HIGH, destination << 24);
	apic_put(sender, ICR, shorthand << 18 | 1 << 14 | (unsigned)logical << 11 | delivery << 8 | 0x61);
	for (unsigned i = 0; i < APICS; i++) {
		bool reached = reaches(i, destination, logical, format, ldr);
		bool is = !nothing && is_meant(i, sender, shorthand, reached);
		unsigned count = taken(i, delivery);

		meant += is;
		got += count;
		if (delivery != APIC_LOWEST_PRIORITY)
			assert_int_equal(count, is);
		else
			assert_true(count <= is);
	}
	if (delivery == APIC_LOWEST_PRIORITY)
		assert_int_equal(got, meant ? 1 : 0);
}

static void every_command_reaches_whom_the_manual_says(void **context)
{
	static const unsigned ldr[2][APICS] = {{0x11, 0x12, 0x24, 0x2a}, {1, 2, 4, 0x80}};

	(void)context;
	for (unsigned format = 0; format < 2; format++) {
		for (unsigned i = 0; i < APICS; i++) {
			apic_enable_software(i);
			apic_put(i, LDR, ldr[format][i] << 24);
			apic_put(i, DFR, format ? UINT32_MAX : 0x0fffffff);
		}
		for (unsigned delivery = 0; delivery < DELIVERIES; delivery++)
			for (unsigned shorthand = 0; shorthand < 4; shorthand++)
				for (unsigned destination = 0; destination < 256; destination++)
					for (unsigned logical = 0; logical < 2; logical++)
						check_command(delivery, shorthand, destination, logical,
							      format ? FLAT : CLUSTER, ldr[format]);
	}
}

static void a_command_is_read_back_and_sends_by_its_low_half_alone(void **context)
{
	(void)context;
	apic_enable_software(2);
	apic_put(0, ICR_HIGH, 0x02ffffff);
	assert_int_equal(apic_get(0, ICR_HIGH), 0x02000000);
	assert_false(local_apic_pending(&apics[2]));
	apic_put(0, ICR, 0xfff77071);
	assert_int_equal(apic_get(0, ICR), 0x44071);
	assert_false(local_apic_pending(&apics[2]));
	apic_put(0, ICR, 0x4071);
	assert_int_equal(local_apic_acknowledge(&apics[2]), 0x71);
}

static void an_init_that_is_deasserted_does_nothing(void **context)
{
	(void)context;
	apic_put(0, ICR_HIGH, 1 << 24);
	apic_put(0, ICR, 0x8500);
	assert_int_equal(told[1].inits, 0);
	apic_put(0, ICR, 0xc500);
	apic_put(0, ICR, 0x0500);
	assert_int_equal(told[1].inits, 2);
}

static void who_is_disabled_takes_what_needs_no_vector(void **context)
{
	(void)context;
	apic_put(0, ICR_HIGH, 0xffu << 24);
	for (unsigned delivery = 0; delivery < DELIVERIES; delivery++) {
		memset(told, 0, sizeof(told));
		apic_put(0, ICR, delivery << 8 | 0x61);
		if (delivery == APIC_FIXED || delivery == APIC_LOWEST_PRIORITY)
			assert_int_equal(taken(3, delivery), 0);
		else if (delivery != 3 && delivery != APIC_EXTINT)
			assert_int_equal(taken(3, delivery), 1);
	}
	/* Off altogether, it takes nothing. */
	assert_true(local_apic_write_msr(&apics[3], MSR_APIC_BASE, LOCAL_APIC_AT));
	memset(told, 0, sizeof(told));
	apic_put(0, ICR, APIC_NMI << 8);
	apic_put(0, ICR, 3u << 18 | APIC_INIT << 8);
	assert_int_equal(told[3].nmis + told[3].inits, 0);
	assert_int_equal(told[2].nmis + told[2].inits, 2);
}

static void lowest_priority_goes_by_the_tpr_and_is_spread_among_equals(void **context)
{
	struct apic_message message = {.delivery = APIC_LOWEST_PRIORITY, .destination = APIC_BROADCAST};
	unsigned got[APICS] = {0};

	(void)context;
	for (unsigned i = 0; i < APICS; i++)
		apic_enable_software(i);
	apic_put(0, TPR, 0x1f);
	apic_put(1, TPR, 0x0f);
	apic_put(3, SVR, 0xff);
	for (unsigned vector = 0x30; vector < 0x40; vector++) {
		message.vector = (uint8_t)vector;
		assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
		for (unsigned i = 0; i < APICS; i++)
			got[i] += apic_drain(i);
	}
	assert_int_equal(got[0] + got[3], 0);
	assert_int_equal(got[1], 8);
	assert_int_equal(got[2], 8);
	/* A busy one is better than one that is disabled. */
	apic_put(1, TPR, 0xff);
	apic_put(2, TPR, 0xef);
	apic_put(0, TPR, 0xff);
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	apic_put(2, TPR, 0);
	assert_int_equal(apic_drain(2), 1);
}

/* Logical IDs of x2APIC are made of the ID; destinations have 32 bits. */
static void x2apic_destinations(void **context)
{
	static const struct {
		uint32_t destination;
		bool logical;
		unsigned reached; /* bit by bit */
	} rows[] = {
		{0, false, 1},
		{3, false, 8},
		{0xff, false, 0},
		{0x100, false, 0},
		{UINT32_MAX, false, 0xf},
		{0x1, true, 1},
		{0xc, true, 0xc},
		{0xff, true, 0xf},
		{0xfff0, true, 0},
		{0x10001, true, 0},
		{UINT32_MAX, true, 0xf},
	};

	(void)context;
	for (unsigned i = 0; i < APICS; i++) {
		apic_enable_software(i);
		apic_go_x2(i);
	}
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t command = (uint64_t)rows[i].destination << 32 | (uint64_t)rows[i].logical << 11 | 0x91;

		assert_true(local_apic_write_msr(&apics[0], 0x830, command));
		for (unsigned j = 0; j < APICS; j++) {
			assert_int_equal(local_apic_acknowledge(&apics[j]), rows[i].reached >> j & 1 ? 0x91 : -1);
			assert_true(local_apic_write_msr(&apics[j], 0x80B, 0));
		}
	}
	assert_true(local_apic_write_msr(&apics[2], 0x83F, 0x77));
	for (unsigned j = 0; j < APICS; j++)
		assert_int_equal(local_apic_acknowledge(&apics[j]), j == 2 ? 0x77 : -1);
}

static void an_io_apic_reaches_both_forms(void **context)
{
	struct apic_message message = {.vector = 0x55, .destination = APIC_BROADCAST};

	(void)context;
	for (unsigned i = 0; i < APICS; i++)
		apic_enable_software(i);
	apic_go_x2(1);
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), APICS);
	message.destination = 1;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
	/* Logically, only who has a logical ID. */
	message.logical = true;
	message.destination = APIC_BROADCAST;
	apic_put(2, LDR, 0x04000000);
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_command_reaches_whom_the_manual_says, apics_start),
		cmocka_unit_test_setup(a_command_is_read_back_and_sends_by_its_low_half_alone, apics_start),
		cmocka_unit_test_setup(an_init_that_is_deasserted_does_nothing, apics_start),
		cmocka_unit_test_setup(who_is_disabled_takes_what_needs_no_vector, apics_start),
		cmocka_unit_test_setup(lowest_priority_goes_by_the_tpr_and_is_spread_among_equals, apics_start),
		cmocka_unit_test_setup(x2apic_destinations, apics_start),
		cmocka_unit_test_setup(an_io_apic_reaches_both_forms, apics_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
