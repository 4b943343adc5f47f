/* SPDX-License-Identifier: MIT */
/* A local APIC's registers by MMIO, priorities and the ends of interrupts, local pins, errors. */
#include "tests/unit/local_apic_fixture.h"

enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xA0, EOI = 0xB0, LDR = 0xD0, DFR = 0xE0, SVR = 0xF0 };
enum { ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300, LVT = 0x320, LINT0 = 0x350, ERROR = 0x370 };

static void send(unsigned vector, bool level)
{
	struct apic_message message = {.vector = (uint8_t)vector, .level = level};

	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 1);
}

/* What is written as all ones and as zero is read back as this. */
static void every_register_holds_its_writable_bits(void **context)
{
	static const struct {
		unsigned offset;
		uint32_t reset, ones, zero;
	} rows[] = {
		{ID, 0, 0, 0},
		{VERSION, 0x1050014, 0x1050014, 0x1050014},
		{TPR, 0, 0xff, 0},
		{0x90, 0, 0, 0},
		{PPR, 0, 0, 0},
		{EOI, 0, 0, 0},
		{0xC0, 0, 0, 0},
		{LDR, 0, 0xff000000, 0},
		{DFR, 0xffffffff, 0xffffffff, 0x0fffffff},
		{ICR + 0x10, 0, 0xff000000, 0},
		{0x380, 0, 0xffffffff, 0},
		{0x3E0, 0, 0xb, 0},
		{0x320, 0x10000, 0x700ff, 0},
		{0x330, 0x10000, 0x107ff, 0},
		{0x340, 0x10000, 0x107ff, 0},
		{LINT0, 0x10000, 0x1a7ff, 0},
		{0x360, 0x10000, 0x1a7ff, 0},
		{ERROR, 0x10000, 0x100ff, 0},
		{SVR, 0xff, 0x11ff, 0},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		apics_start(context);
		assert_int_equal(apic_get(0, rows[i].offset), rows[i].reset);
		apic_enable_software(0);
		apic_put(0, rows[i].offset, UINT32_MAX);
		assert_int_equal(apic_get(0, rows[i].offset), rows[i].ones);
		apic_put(0, TPR, 0);
		apic_put(0, rows[i].offset, 0);
		assert_int_equal(apic_get(0, rows[i].offset), rows[i].zero);
	}
	assert_int_equal(apic_get(3, ID), 3 << 24);
}

/* Those that are none note an error, those that are do not. */
static void registers_that_are_not_there_are_errors(void **context)
{
	for (unsigned index = 0; index < 256; index++) {
		bool there = index == 2 || index == 3 || (index >= 8 && index <= 0x28) ||
			     (index >= 0x30 && index <= 0x39) || index == 0x3E;

		for (unsigned write = 0; write < 2; write++) {
			apics_start(context);
			apic_enable_software(0);
			if (write)
				apic_put(0, index * 16, 0x40);
			else
				apic_get(0, index * 16);
			apic_put(0, ESR, 0);
			/* The access itself moved or cleared what it noted where it was to the ESR. */
			assert_int_equal(apic_get(0, ESR), there ? 0 : 0x80);
		}
	}
}

static void parts_of_a_register_are_read_and_not_written(void **context)
{
	struct tl_mmio access;

	(void)context;
	apic_put(0, DFR, 0x5fffffff);
	for (unsigned size = 1; size <= 8; size++)
		for (unsigned byte = 0; byte < 16; byte++) {
			uint64_t whole = byte < 4 ? 0x5fffffffu >> 8 * byte : 0;
			uint64_t mask = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;

			access =
				(struct tl_mmio){.gpa = LOCAL_APIC_AT + DFR + byte, .offset = DFR + byte, .size = size};
			assert_int_equal(apic_do(0, &access), TL_OK);
			assert_int_equal(access.data & mask, whole & mask);
			access.write = true;
			access.data = 0;
			if (byte == 0 && size == 4)
				continue;
			assert_int_equal(apic_do(0, &access), TL_OK);
			assert_int_equal(apic_get(0, DFR), 0x5fffffff);
		}
}

/* ---- Priorities ---- */

/* A naive APIC, of arrays of bits. */
struct naive {
	bool irr[256], isr[256], tmr[256];
	unsigned tpr;
};

static int naive_highest(const bool *set)
{
	for (int i = 255; i >= 0; i--)
		if (set[i])
			return i;
	return -1;
}

static unsigned naive_ppr(const struct naive *naive)
{
	int service = naive_highest(naive->isr);
	unsigned service_class = service < 0 ? 0 : (unsigned)service / 16;

	return naive->tpr / 16 >= service_class ? naive->tpr : service_class * 16;
}

static int naive_next(const struct naive *naive)
{
	int request = naive_highest(naive->irr);

	return request / 16 > (int)naive_ppr(naive) / 16 ? request : -1;
}

static void compare_sets(const struct naive *naive)
{
	for (unsigned i = 0; i < 256; i++) {
		unsigned at = i / 32 * 16, bit = i % 32;

		assert_int_equal(apic_get(0, ISR + at) >> bit & 1, naive->isr[i]);
		assert_int_equal(apic_get(0, IRR + at) >> bit & 1, naive->irr[i]);
		assert_int_equal(apic_get(0, TMR + at) >> bit & 1, naive->tmr[i]);
	}
}

static void naive_step(struct naive *naive, uint64_t random)
{
	unsigned vector = 16 + (unsigned)(random >> 8) % 240, interrupts = told[0].interrupts;
	bool level = random >> 32 & 1;
	int next = naive_next(naive), service = naive_highest(naive->isr);

	switch (random % 8) {
	case 0:
	case 1:
		send(vector, level);
		naive->irr[vector] = true;
		naive->tmr[vector] = level;
		assert_int_equal(told[0].interrupts, interrupts + 1);
		break;
	case 2:
	case 3:
		assert_int_equal(local_apic_pending(&apics[0]), next >= 0);
		assert_int_equal(local_apic_acknowledge(&apics[0]), next);
		if (next >= 0)
			naive->isr[next] = true, naive->irr[next] = false;
		break;
	case 4:
	case 5:
	case 6: {
		unsigned ends = service < 0 ? 0 : apic_ends[service];

		apic_put(0, EOI, 0);
		if (service < 0)
			break;
		naive->isr[service] = false;
		assert_int_equal(apic_ends[service], ends + naive->tmr[service]);
		assert_int_equal(told[0].interrupts, interrupts + (naive_next(naive) >= 0));
		break;
	}
	default:
		naive->tpr = vector;
		if (random >> 33 & 1)
			naive->tpr &= 0xf0, local_apic_write_cr8(&apics[0], (uint8_t)(vector >> 4));
		else
			apic_put(0, TPR, vector);
		assert_int_equal(told[0].interrupts, interrupts + (naive_next(naive) >= 0));
	}
	assert_int_equal(apic_get(0, PPR), naive_ppr(naive));
	assert_int_equal(local_apic_read_cr8(&apics[0]), naive->tpr / 16);
}

static void priorities_are_those_of_a_naive_model(void **context)
{
	struct naive naive = {.tpr = 0};

	(void)context;
	apic_enable_software(0);
	for (unsigned i = 0; i < 200000; i++) {
		naive_step(&naive, apic_random());
		if (i % 1000 == 0)
			compare_sets(&naive);
	}
}

/* One request, one in service and one TPR, each of them any. */
static void every_triple_of_priorities_is_decided_right(void **context)
{
	(void)context;
	apic_enable_software(0);
	for (unsigned request = 16; request < 256; request++)
		for (unsigned task = 0; task < 256; task += 5) {
			bool taken;

			apic_put(0, TPR, task);
			send(request, false);
			taken = request / 16 > task / 16;
			assert_int_equal(local_apic_pending(&apics[0]), taken);
			assert_int_equal(local_apic_acknowledge(&apics[0]), taken ? (int)request : -1);
			apic_put(0, TPR, 0);
			for (unsigned second = 16; taken && second < 256; second += 7) {
				send(second, false);
				assert_int_equal(local_apic_acknowledge(&apics[0]),
						 second / 16 > request / 16 ? (int)second : -1);
				if (second / 16 > request / 16)
					apic_put(0, EOI, 0);
			}
			apic_put(0, EOI, 0);
			apic_drain(0);
		}
}

static void level_interrupts_end_at_the_io_apics_unless_told_otherwise(void **context)
{
	(void)context;
	apic_enable_software(0);
	for (unsigned suppressed = 0; suppressed < 2; suppressed++) {
		apic_put(0, SVR, 0x1ff | suppressed << 12);
		for (unsigned level = 0; level < 2; level++) {
			apic_ends[0x51] = 0;
			send(0x51, level);
			assert_int_equal(local_apic_acknowledge(&apics[0]), 0x51);
			apic_put(0, EOI, 0);
			assert_int_equal(apic_ends[0x51], level && !suppressed);
		}
	}
}

/* ---- Enabling, pins, errors ---- */

static void a_disabled_apic_takes_no_interrupt_and_keeps_what_it_has(void **context)
{
	struct apic_message message = {.vector = 0x60};

	(void)context;
	assert_int_equal(local_apic_bus_send(&apic_bus, &message), 0);
	apic_enable_software(0);
	apic_put(0, LVT, 0x31);
	assert_int_equal(apic_get(0, LVT), 0x31);
	send(0x60, false);
	apic_put(0, SVR, 0xff);
	assert_int_equal(apic_get(0, LVT), 0x10031);
	apic_put(0, LVT, 0x31);
	assert_int_equal(apic_get(0, LVT), 0x10031);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x60);
}

static void the_pics_are_heard_through_lint0(void **context)
{
	(void)context;
	pic_vector = 0x08;
	local_apic_pin(&apics[0], 0, true);
	assert_false(local_apic_pending(&apics[0]));
	assert_int_equal(local_apic_acknowledge(&apics[0]), -1);
	local_apic_virtual_wire(&apics[0]);
	assert_int_equal(apic_get(0, LINT0), 0x700);
	assert_true(local_apic_pending(&apics[0]));
	apic_put(0, TPR, 0xff);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x08);
	/* Asked for again at each word of the PICs, and after an EOI. */
	told[0].interrupts = 0;
	local_apic_pin(&apics[0], 0, true);
	assert_int_equal(told[0].interrupts, 1);
	apic_put(0, LINT0, 0x10700);
	assert_false(local_apic_pending(&apics[0]));
	told[0].interrupts = 0;
	apic_put(0, LINT0, 0x700);
	assert_int_equal(told[0].interrupts, 1);
	local_apic_pin(&apics[0], 0, false);
	assert_false(local_apic_pending(&apics[0]));
	/* The APIC's own come first. */
	apic_put(0, TPR, 0);
	local_apic_pin(&apics[0], 0, true);
	send(0x20, false);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x20);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x08);
	told[0].interrupts = 0;
	apic_put(0, EOI, 0);
	assert_int_equal(told[0].interrupts, 1);
}

/* Each delivery mode, on a rising edge, of both pins and of the two other entries that have one. */
static void a_local_interrupt_is_delivered_as_its_entry_says(void **context)
{
	static const struct {
		enum local_apic_lvt which;
		int pin;
	} rows[] = {{LVT_THERMAL, -1}, {LVT_PERFORMANCE, -1}, {LVT_LINT0, 0}, {LVT_LINT1, 1}};

	for (unsigned i = 0; i < 4; i++)
		for (unsigned mode = 0; mode < 8; mode++)
			for (unsigned masked = 0; masked < 2; masked++) {
				unsigned once = !masked;

				apics_start(context);
				apic_enable_software(0);
				apic_put(0, LVT + 16 * rows[i].which, masked << 16 | mode << 8 | 0x41);
				for (unsigned again = 0; again < 2; again++)
					if (rows[i].pin >= 0)
						local_apic_pin(&apics[0], (unsigned)rows[i].pin, true);
					else if (!again)
						local_apic_raise(&apics[0], rows[i].which);
				assert_int_equal(told[0].nmis, mode == APIC_NMI ? once : 0);
				assert_int_equal(told[0].smis, mode == APIC_SMI ? once : 0);
				assert_int_equal(told[0].inits, mode == APIC_INIT ? once : 0);
				if (mode != APIC_EXTINT)
					assert_int_equal(apic_drain(0), mode == APIC_FIXED ? once : 0);
			}
}

static void errors_are_latched_by_a_write_and_interrupt_once(void **context)
{
	(void)context;
	apic_enable_software(0);
	apic_put(0, ERROR, 0xfe);
	apic_put(0, ICR, 0x40000 | 0x0f);
	assert_int_equal(apic_get(0, ESR), 0);
	assert_int_equal(apic_drain(0), 1);
	apic_put(0, ICR, 0x40000 | 0x0f);
	assert_int_equal(apic_drain(0), 0);
	apic_put(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0x20);
	apic_put(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0);
	/* One that others send, and an error whose own vector is none. */
	local_apic_bus_send(&apic_bus, &(struct apic_message){.vector = 3});
	assert_int_equal(apic_drain(0), 1);
	apic_put(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0x40);
	apic_put(0, ERROR, 0x0f);
	apic_get(0, 0x2F0);
	assert_int_equal(apic_drain(0), 0);
	apic_put(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0x80);
}

static void init_forgets_all_but_id_and_base(void **context)
{
	(void)context;
	apic_enable_software(2);
	apic_put(2, LDR, 0x44000000);
	apic_put(2, DFR, 0);
	apic_put(2, TPR, 0x33);
	apic_put(2, 0x380, 100);
	local_apic_bus_send(&apic_bus, &(struct apic_message){.destination = 2, .vector = 0x70, .level = true});
	local_apic_acknowledge(&apics[2]);
	local_apic_bus_send(&apic_bus, &(struct apic_message){.destination = 2, .vector = 0x80});
	local_apic_reset(&apics[2]);
	for (unsigned offset = ISR; offset < ESR; offset += 16)
		assert_int_equal(apic_get(2, offset), 0);
	assert_int_equal(apic_get(2, ID), 2 << 24);
	assert_int_equal(apic_get(2, SVR), 0xff);
	assert_int_equal(apic_get(2, LDR), 0);
	assert_int_equal(apic_get(2, DFR), UINT32_MAX);
	assert_int_equal(apic_get(2, TPR), 0);
	assert_int_equal(apic_get(2, 0x390), 0);
	assert_int_equal(clock_next(&apics[2].clock), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_register_holds_its_writable_bits),
		cmocka_unit_test(registers_that_are_not_there_are_errors),
		cmocka_unit_test_setup(parts_of_a_register_are_read_and_not_written, apics_start),
		cmocka_unit_test_setup(priorities_are_those_of_a_naive_model, apics_start),
		cmocka_unit_test_setup(every_triple_of_priorities_is_decided_right, apics_start),
		cmocka_unit_test_setup(level_interrupts_end_at_the_io_apics_unless_told_otherwise, apics_start),
		cmocka_unit_test_setup(a_disabled_apic_takes_no_interrupt_and_keeps_what_it_has, apics_start),
		cmocka_unit_test_setup(the_pics_are_heard_through_lint0, apics_start),
		cmocka_unit_test(a_local_interrupt_is_delivered_as_its_entry_says),
		cmocka_unit_test_setup(errors_are_latched_by_a_write_and_interrupt_once, apics_start),
		cmocka_unit_test_setup(init_forgets_all_but_id_and_base, apics_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
