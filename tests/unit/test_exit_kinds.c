/* SPDX-License-Identifier: MIT */
/*
 * Plain accesses to ranges that have more than a callback: doorbells that are decoded, devices with sizes. Each several
 * times, since an instruction that is met again is served another way; what comes of it must be the same.
 */
#include "tests/unit/vcpu_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096, RUNS = 4, LINEAR = 110 * PAGE, AT = 0x300000, MATCH_AT = 0x50, MATCH_VALUE = 0x13572468 };

static const struct tl_doorbell_match matches[] = {
	{.offset = MATCH_AT, .size = 4, .mask = UINT64_MAX, .value = MATCH_VALUE},
	{.offset = 0x58, .size = 4, .mask = UINT64_MAX, .value = 0xfffffffe},
};
static uint8_t shadow[PAGE];
static unsigned rings;
static uint64_t rung_at;

static enum tl_status device(struct tl_mmio *access)
{
	assert_true(device_log.count < DEVICE_ACCESSES);
	device_log.access[device_log.count++] = *access;
	if (!access->write)
		access->data = device_log.answer;
	return TL_OK;
}

static void ring(void *context, uint64_t offset, struct tl_vcpu *vcpu)
{
	assert_ptr_equal(context, shadow);
	assert_ptr_equal(vcpu, guest_vcpu);
	rings++;
	rung_at = offset;
}

static void add(struct tl_range range)
{
	range.start = AT;
	range.size = PAGE;
	range.context = shadow;
	range_add(range);
	guest_ptes[LINEAR / PAGE] = AT | 0x63; /* present, writable, accessed, dirty */
	guest_vcpu->gpr[TL_RDI] = LINEAR;
	/* As a vCPU does that is inside tl_vcpu_run(). */
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	rings = 0;
}

/* What one access is to come to: rings, or accesses by the device, the last one as said. */
struct outcome {
	unsigned rings, accesses;
	bool write;
	uint8_t size;
	uint64_t data;
};

static void expect(const void *insn, size_t length, uint64_t offset, struct outcome wanted)
{
	put_code(CODE, insn, length);
	for (unsigned run = 0; run < RUNS; run++) {
		const struct tl_mmio *last;

		rings = device_log.count = 0;
		expect_served(CODE, LINEAR + offset, CODE + length);
		assert_int_equal(rings, wanted.rings);
		assert_int_equal(device_log.count, wanted.accesses);
		if (wanted.rings)
			assert_int_equal(rung_at, offset);
		if (!wanted.accesses)
			continue;
		last = &device_log.access[device_log.count - 1];
		assert_int_equal(last->write, wanted.write);
		assert_int_equal(last->size, wanted.size);
		assert_int_equal(last->offset + last->size, offset + wanted.accesses * wanted.size);
		assert_ptr_equal(last->context, shadow);
		if (wanted.write)
			assert_int_equal(last->data & insn_mask[wanted.size], wanted.data);
	}
}

#define INSN(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* ---- Doorbells --------------------------------------------------------------------------------------------------- */

static void what_matches_rings(void **context)
{
	static const struct tl_doorbell bell = {
		.signal = TL_SIGNAL_CALL, .call = ring, .matches = matches, .nr_matches = 2};

	(void)context;
	add((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell, .access = device});
	guest_vcpu->gpr[TL_RAX] = 0xffffffff00000000 | MATCH_VALUE;
	expect(INSN(0x89, 0x47, MATCH_AT), MATCH_AT, (struct outcome){.rings = 1});
	expect(INSN(0xc7, 0x47, MATCH_AT, 0x68, 0x24, 0x57, 0x13), MATCH_AT, (struct outcome){.rings = 1});
	expect(INSN(0xc7, 0x47, 0x58, 0xfe, 0xff, 0xff, 0xff), 0x58, (struct outcome){.rings = 1});
	/* Another offset, another size, another value. */
	expect(INSN(0x89, 0x47, 0x54), 0x54, (struct outcome){0, 1, true, 4, MATCH_VALUE});
	expect(INSN(0x66, 0x89, 0x47, MATCH_AT), MATCH_AT, (struct outcome){0, 1, true, 2, MATCH_VALUE & 0xffff});
	expect(INSN(0x48, 0x89, 0x47, MATCH_AT), MATCH_AT, (struct outcome){0, 1, true, 8, guest_vcpu->gpr[TL_RAX]});
	expect(INSN(0x48, 0xc7, 0x47, MATCH_AT, 0xfe, 0xff, 0xff, 0xff), MATCH_AT,
	       (struct outcome){0, 1, true, 8, ~1ull});
	guest_vcpu->gpr[TL_RAX]++;
	expect(INSN(0x89, 0x47, MATCH_AT), MATCH_AT, (struct outcome){0, 1, true, 4, MATCH_VALUE + 1});
}

static void reads_are_the_callbacks(void **context)
{
	static const struct tl_doorbell bell = {
		.signal = TL_SIGNAL_CALL, .call = ring, .matches = matches, .nr_matches = 2};

	(void)context;
	add((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell, .access = device});
	/* What stands in the register that is loaded is not written. */
	device_log.answer = guest_vcpu->gpr[TL_RCX] = MATCH_VALUE;
	expect(INSN(0x8b, 0x4f, MATCH_AT), MATCH_AT, (struct outcome){0, 1, false, 4, 0});
	device_log.answer = 0x1122334480667788;
	expect(INSN(0x8b, 0x4f, MATCH_AT), MATCH_AT, (struct outcome){0, 1, false, 4, 0});
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x80667788);
	/* RBX, which C preserves; and what the integer unit does with what it reads. */
	expect(INSN(0x48, 0x8b, 0x5f, MATCH_AT), MATCH_AT, (struct outcome){0, 1, false, 8, 0});
	assert_int_equal(guest_vcpu->gpr[TL_RBX], device_log.answer);
	expect(INSN(0xf7, 0x47, MATCH_AT, 0, 0, 0, 0x80), MATCH_AT, (struct outcome){0, 1, false, 4, 0});
	assert_int_equal(field(VMCS_GUEST_RFLAGS) & 0xc0, 0x80); /* SF, and not ZF */
}

static void a_shadow_keeps_what_is_written(void **context)
{
	static const struct tl_doorbell bell = {.signal = TL_SIGNAL_CALL, .call = ring, .shadow = shadow};
	uint64_t kept;

	(void)context;
	memset(shadow, 0x5a, sizeof(shadow));
	add((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell, .access = device});
	expect(INSN(0xc7, 0x47, 0x10, 0x98, 0xba, 0xdc, 0xfe), 0x10, (struct outcome){.rings = 1});
	memcpy(&kept, shadow + 0x10, sizeof(kept));
	assert_int_equal(kept, 0x5a5a5a5afedcba98);
	guest_vcpu->gpr[TL_RAX] = 0x0102030405060708;
	expect(INSN(0x66, 0x89, 0x47, 0x20), 0x20, (struct outcome){.rings = 1});
	memcpy(&kept, shadow + 0x20, sizeof(kept));
	assert_int_equal(kept, 0x5a5a5a5a5a5a0708);
}

/* What does not ring is the embedder's where there is no callback. */
static void without_a_callback(void **context)
{
	static const struct tl_doorbell bell = {
		.signal = TL_SIGNAL_CALL, .call = ring, .matches = matches, .nr_matches = 2};
	static const uint8_t store[] = {0x89, 0x47, MATCH_AT};

	(void)context;
	add((struct tl_range){.kind = TL_RANGE_DOORBELL, .doorbell = &bell});
	guest_vcpu->gpr[TL_RAX] = MATCH_VALUE;
	expect(store, sizeof(store), MATCH_AT, (struct outcome){.rings = 1});
	guest_vcpu->gpr[TL_RAX] = 7;
	for (unsigned run = 0; run < RUNS; run++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(exit_at(LINEAR + MATCH_AT), VCPU_LEAVE);
		assert_int_equal(vcpu_left.reason, TL_EXIT_MMIO);
		assert_true(vcpu_left.mmio.write);
		assert_int_equal(vcpu_left.mmio.data & UINT32_MAX, 7);
		assert_int_equal(vcpu_left.mmio.offset, MATCH_AT);
		guest_vcpu->pending = PENDING_NONE;
	}
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------- */

static void a_device_gets_its_sizes(void **context)
{
	static const struct tl_mmio_options sizes = {.sizes = 4};

	(void)context;
	add((struct tl_range){.kind = TL_RANGE_MMIO, .access = device, .options = &sizes});
	device_log.answer = 0x80000001;
	expect(INSN(0x8b, 0x4f, 0x10), 0x10, (struct outcome){0, 1, false, 4, 0});
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x80000001);
	guest_vcpu->gpr[TL_RAX] = 0x1122334455667788;
	expect(INSN(0x89, 0x47, 0x10), 0x10, (struct outcome){0, 1, true, 4, 0x55667788});
	/* Split in two, and two refused. */
	expect(INSN(0x48, 0x89, 0x47, 0x10), 0x10, (struct outcome){0, 2, true, 4, 0x11223344});
	expect(INSN(0x48, 0x8b, 0x4f, 0x10), 0x10, (struct outcome){0, 2, false, 4, 0});
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 0x8000000180000001);
	expect(INSN(0x66, 0x89, 0x47, 0x10), 0x10, (struct outcome){0});
	expect(INSN(0x8b, 0x4f, 0x11), 0x11, (struct outcome){0});
	assert_int_equal(guest_vcpu->gpr[TL_RCX], UINT32_MAX);
	assert_int_not_equal(guest_vcpu->reader.stats.refused_sizes, 0);
}

/* Another access of its code is served without an exit of its own only where the range takes every size. */
static void sizes_end_a_cluster(void **context)
{
	static const struct tl_mmio_options sizes = {.sizes = 4};
	static const uint8_t two[] = {0x89, 0x47, 0x10, 0x66, 0x89, 0x47, 0x20};

	(void)context;
	add((struct tl_range){.kind = TL_RANGE_MMIO, .access = device, .options = &sizes});
	put_code(CODE, two, sizeof(two));
	for (unsigned run = 0; run < RUNS; run++) {
		expect_served(CODE, LINEAR + 0x10, CODE + 3);
		expect_served(CODE + 3, LINEAR + 0x20, CODE + sizeof(two));
	}
	assert_int_equal(device_log.count, RUNS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)
	const struct CMUnitTest tests[] = {
		TEST(what_matches_rings), TEST(reads_are_the_callbacks), TEST(a_shadow_keeps_what_is_written),
		TEST(without_a_callback), TEST(a_device_gets_its_sizes), TEST(sizes_end_a_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
