/* SPDX-License-Identifier: MIT */
#include "tests/unit/local_apic_fixture.h"

struct local_apic_bus apic_bus;
struct local_apic apics[APICS];
struct told told[APICS];
uint64_t apic_time, apic_sooner;
unsigned apic_ends[256];
int pic_vector;

static struct told *told_of(struct local_apic *apic)
{
	return &told[apic - apics];
}

static struct local_apic *of(struct tl_vcpu *vcpu)
{
	return (struct local_apic *)(void *)vcpu;
}

static void interrupt(struct local_apic *apic)
{
	told_of(apic)->interrupts++;
}

static void nmi(struct local_apic *apic)
{
	told_of(apic)->nmis++;
}

static void init(struct local_apic *apic)
{
	told_of(apic)->inits++;
}

static void startup(struct local_apic *apic, uint8_t vector)
{
	told_of(apic)->startups++;
	told_of(apic)->startup_vector = vector;
}

static void smi(struct local_apic *apic)
{
	told_of(apic)->smis++;
}

static void moved(struct local_apic *apic)
{
	told_of(apic)->moves++;
}

static void end_of_interrupt(void *context, uint8_t vector)
{
	assert_ptr_equal(context, apic_ends);
	apic_ends[vector]++;
}

static uint8_t acknowledge(void *context)
{
	assert_ptr_equal(context, apic_ends);
	return (uint8_t)pic_vector;
}

static uint64_t now(void *context)
{
	assert_ptr_equal(context, &apic_time);
	return apic_time;
}

static void sooner(void *context, uint64_t at)
{
	assert_ptr_equal(context, &apic_time);
	apic_sooner = at;
}

int apics_start(void **context)
{
	const struct clock clock = {.now = now, .sooner = sooner, .context = &apic_time, .hz = 3000000000};

	(void)context;
	apic_bus = (struct local_apic_bus){.of = of,
					   .interrupt = interrupt,
					   .nmi = nmi,
					   .init = init,
					   .startup = startup,
					   .smi = smi,
					   .moved = moved,
					   .end_of_interrupt = end_of_interrupt,
					   .acknowledge = acknowledge,
					   .context = apic_ends,
					   .timer_hz = 1000000000};
	apic_time = 1000000;
	apic_sooner = 0;
	memset(told, 0, sizeof(told));
	memset(apic_ends, 0, sizeof(apic_ends));
	for (unsigned i = 0; i < APICS; i++)
		local_apic_init(&apics[i], &apic_bus, i, !i, &clock, 40);
	return 0;
}

enum tl_status apic_do(unsigned number, struct tl_mmio *access)
{
	access->context = &apic_bus;
	access->vcpu = (struct tl_vcpu *)(void *)&apics[number];
	return local_apic_access(access);
}

uint32_t apic_get(unsigned number, unsigned offset)
{
	struct tl_mmio access = {.gpa = LOCAL_APIC_AT + offset, .offset = offset, .size = 4};

	assert_int_equal(apic_do(number, &access), TL_OK);
	return (uint32_t)access.data;
}

void apic_put(unsigned number, unsigned offset, uint32_t value)
{
	struct tl_mmio access = {
		.gpa = LOCAL_APIC_AT + offset, .offset = offset, .size = 4, .write = true, .data = value};

	assert_int_equal(apic_do(number, &access), TL_OK);
}

void apic_enable_software(unsigned number)
{
	apic_put(number, 0xF0, 0x1ff);
}

void apic_go_x2(unsigned number)
{
	uint64_t base;

	assert_true(local_apic_read_msr(&apics[number], MSR_APIC_BASE, &base));
	assert_true(local_apic_write_msr(&apics[number], MSR_APIC_BASE, base | APIC_BASE_X2APIC));
}

void apic_pass(unsigned number, uint64_t ticks)
{
	apic_time += ticks;
	clock_expire(&apics[number].clock, apic_time);
}

unsigned apic_drain(unsigned number)
{
	unsigned count = 0;

	while (local_apic_acknowledge(&apics[number]) >= 0) {
		apic_put(number, 0xB0, 0);
		count++;
	}
	return count;
}

/* xorshift64. */
uint64_t apic_random(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}
