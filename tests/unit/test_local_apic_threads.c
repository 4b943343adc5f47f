/* SPDX-License-Identifier: MIT */
/* Interrupts from other CPUs while a processor takes and ends its own: none is lost, and what was stored before is
 * seen. */
#include "guest/devices/local_apic.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SENDERS = 3, ROUNDS = 1000, FIRST = 0x41, STEP = 0x3f };

static struct local_apic apic;
static struct local_apic_bus bus;
static unsigned ends;

/* Of each sender: plain, so that the thread sanitizer sees whether the interrupt orders it. */
static unsigned sent[SENDERS], seen[SENDERS];
static _Atomic unsigned taken[SENDERS];

static struct local_apic *of(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return &apic;
}

static void told(struct local_apic *which)
{
	(void)which;
}

static void end_of_interrupt(void *context, uint8_t vector)
{
	(void)context;
	ends += vector == FIRST + STEP;
}

static uint64_t now(void *context)
{
	(void)context;
	return 1;
}

/* The middle one's are levels. */
static void *send(void *context)
{
	unsigned number = (unsigned)(uintptr_t)context;
	struct apic_message message = {.vector = (uint8_t)(FIRST + STEP * number), .level = number == 1};

	for (unsigned i = 1; i <= ROUNDS; i++) {
		sent[number] = i;
		if (local_apic_bus_send(&bus, &message) != 1)
			return context;
		while (atomic_load_explicit(&taken[number], memory_order_acquire) != i)
			sched_yield();
	}
	return NULL;
}

static void end(void)
{
	struct tl_mmio access = {
		.gpa = LOCAL_APIC_AT + 0xB0, .offset = 0xB0, .size = 4, .write = true, .context = &bus};

	assert_int_equal(local_apic_access(&access), TL_OK);
}

static void no_interrupt_is_lost_among_threads(void **context)
{
	const struct clock clock = {.now = now, .hz = 1000000000};
	pthread_t thread[SENDERS];
	void *failed;

	(void)context;
	bus = (struct local_apic_bus){.of = of,
				      .interrupt = told,
				      .nmi = told,
				      .init = told,
				      .moved = told,
				      .end_of_interrupt = end_of_interrupt,
				      .timer_hz = 1000000000};
	local_apic_init(&apic, &bus, 0, true, &clock, 36);
	local_apic_virtual_wire(&apic);
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, send, (void *)i), 0);
	for (unsigned count = 0; count < SENDERS * ROUNDS;) {
		int vector = local_apic_acknowledge(&apic);
		unsigned number = (unsigned)(vector - FIRST) / STEP;

		if (vector < 0) {
			sched_yield();
			continue;
		}
		assert_int_equal((vector - FIRST) % STEP, 0);
		seen[number]++;
		assert_int_equal(sent[number], seen[number]);
		end();
		count++;
		atomic_store_explicit(&taken[number], seen[number], memory_order_release);
	}
	for (unsigned i = 0; i < SENDERS; i++) {
		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(ends, ROUNDS);
	assert_int_equal(local_apic_acknowledge(&apic), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_interrupt_is_lost_among_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
