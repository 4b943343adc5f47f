/* SPDX-License-Identifier: MIT */
/* QEMU's firmware configuration, by its ports and by DMA. */
#include "guest/devices/fw_cfg.h"

#include "tests/unit/virtio_driver.h"
#include "tests/unit/vm_fixture.h"

enum { REQUEST_AT = 0x8000, TO = 0x9000 };
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static struct fw_cfg fw_cfg;
static struct port_range ports, dma;
static uint8_t large[5000];

static int start(void **context)
{
	virtio_guest_start(context);
	fw_cfg_init(&fw_cfg, &device_bench.lock, vm, 0x123456789000, 3);
	for (unsigned i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * i / 3 + 1);
	ports = fw_cfg_ports(&fw_cfg);
	dma = fw_cfg_dma_ports(&fw_cfg);
	return 0;
}

static uint64_t item(uint16_t key, unsigned size)
{
	uint64_t value = 0;

	bench_out(ports, 0, 2, key);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bench_in(ports, 1, 1) << (8 * i);
	return value;
}

static void describes_the_machine(void **context)
{
	(void)context;
	assert_int_equal(ports.first, 0x510);
	assert_int_equal(item(0x00, 4), 'Q' | 'E' << 8 | 'M' << 16 | 'U' << 24);
	assert_int_equal(item(0x01, 8), 3);
	assert_int_equal(item(0x03, 8), 0x123456789000);
	assert_int_equal(item(0x05, 4), 3);
	assert_int_equal(item(0x0f, 4), 3);
	assert_int_equal(item(0x19, 4), 0);
	/* What is not there is zeros, and nothing can be written. */
	assert_int_equal(item(0x77, 8), 0);
	item(0x00, 1);
	bench_out(ports, 1, 1, 'x');
	assert_int_equal(bench_in(ports, 1, 1), 'E');
	/* Other sizes say nothing. */
	assert_int_equal(bench_in(ports, 0, 2), 0);
	bench_out(ports, 0, 1, 0x05);
	assert_int_equal(bench_in(ports, 1, 1), 'M');
}

static void has_files(void **context)
{
	char name[100];

	(void)context;
	memset(name, 'n', sizeof(name));
	name[99] = 0;
	assert_true(fw_cfg_add_file(&fw_cfg, "etc/e820", large, sizeof(large)));
	assert_true(fw_cfg_add_file(&fw_cfg, name, "abc", 3));
	assert_int_equal(item(0x19, 4), 2 << 24);
	/* Size, key, reserved, name. */
	for (unsigned shift = 32; shift; shift -= 8)
		assert_int_equal(bench_in(ports, 1, 1), sizeof(large) >> (shift - 8) & 0xff);
	assert_int_equal(bench_in(ports, 1, 1), 0x00);
	assert_int_equal(bench_in(ports, 1, 1), 0x20);
	bench_in(ports, 1, 1);
	bench_in(ports, 1, 1);
	for (unsigned i = 0; i < 56; i++)
		assert_int_equal(bench_in(ports, 1, 1), i < 8 ? "etc/e820"[i] : 0);
	for (unsigned i = 0; i < 8 + 55; i++)
		bench_in(ports, 1, 1);
	assert_int_equal(bench_in(ports, 1, 1), 0);
	assert_int_equal(item(0x21, 4), 'a' | 'b' << 8 | 'c' << 16);
	assert_int_equal(item(0x20, 1), large[0]);
}

/* The bytes of QEMU's struct e820_entry, one behind the other. */
static void tells_of_memory(void **context)
{
	unsigned entries = 2;

	(void)context;
	assert_true(fw_cfg_add_file(&fw_cfg, "first", "abc", 3));
	assert_true(fw_cfg_add_memory(&fw_cfg, 0, 0x9fc00, 1));
	assert_true(fw_cfg_add_memory(&fw_cfg, 0x1122334455667788, 0x99aabbccddeeff00, 2));
	assert_int_equal(item(0x19, 4), 2 << 24);
	for (unsigned i = 0; i < 64; i++)
		bench_in(ports, 1, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(bench_in(ports, 1, 1), i == 3 ? 40 : 0);
	assert_int_equal(item(0x21, 8), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(bench_in(ports, 1, 1), 0x9fc00ull >> 8 * i & 0xff);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(bench_in(ports, 1, 1), !i);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(bench_in(ports, 1, 1),
				 (i < 8 ? 0x1122334455667788ull >> 8 * i : 0x99aabbccddeeff00ull >> 8 * (i - 8)) &
					 0xff);
	assert_int_equal(bench_in(ports, 1, 1), 2);
	while (fw_cfg_add_memory(&fw_cfg, 0, 0, 1))
		entries++;
	assert_int_equal(entries, FW_CFG_MEMORIES);
}

static void holds_so_many(void **context)
{
	unsigned files = 0;

	(void)context;
	assert_false(fw_cfg_add(&fw_cfg, 0x05, "", 0));
	while (fw_cfg_add_file(&fw_cfg, "f", large, 1))
		files++;
	assert_int_equal(files, FW_CFG_FILES);
	for (uint16_t key = 0x8000; fw_cfg.nr_items < FW_CFG_ITEMS; key++)
		assert_true(fw_cfg_add(&fw_cfg, key, large, 1));
	assert_false(fw_cfg_add(&fw_cfg, 0x9000, large, 1));
}

/* What the request's first word says then. */
static uint32_t request_at(uint64_t at, uint32_t control, uint32_t length, uint64_t address)
{
	uint32_t words[] = {__builtin_bswap32(control), __builtin_bswap32(length),
			    __builtin_bswap32((uint32_t)(address >> 32)), __builtin_bswap32((uint32_t)address)};
	uint32_t answer;

	memcpy(virtio_guest_bytes(at), words, sizeof(words));
	bench_out(dma, 0, 4, __builtin_bswap32((uint32_t)(at >> 32)));
	bench_out(dma, 4, 4, __builtin_bswap32((uint32_t)at));
	memcpy(&answer, virtio_guest_bytes(at), sizeof(answer));
	return __builtin_bswap32(answer);
}

static uint32_t request(uint32_t control, uint32_t length, uint64_t address)
{
	return request_at(REQUEST_AT, control, length, address);
}

static void copies_items(void **context)
{
	uint8_t *to = virtio_guest_bytes(TO);

	(void)context;
	assert_int_equal(dma.first, 0x514);
	assert_int_equal(bench_in(dma, 0, 4), 'Q' | 'E' << 8 | 'M' << 16 | 'U' << 24);
	assert_int_equal(bench_in(dma, 4, 4), ' ' | 'C' << 8 | 'F' << 16 | 'G' << 24);
	assert_true(fw_cfg_add(&fw_cfg, 0x8003, large, sizeof(large)));
	assert_int_equal(request(0x80030000u | SELECT | READ, 1000, TO), 0);
	assert_memory_equal(to, large, 1000);
	assert_int_equal(to[1000], 0);
	/* On from there. */
	assert_int_equal(request(SKIP, 500, 0), 0);
	assert_int_equal(request(READ, 10, TO), 0);
	assert_memory_equal(to, large + 1500, 10);
	assert_int_equal(bench_in(ports, 1, 1), large[1510]);
	/* Zeros behind its end. */
	memset(to, 0xee, 8192);
	assert_int_equal(request(0x80030000u | SELECT | READ, 6000, TO), 0);
	assert_memory_equal(to, large, sizeof(large));
	for (unsigned i = sizeof(large); i < 6000; i++)
		assert_int_equal(to[i], 0);
	assert_int_equal(to[6000], 0xee);
	assert_int_equal(request(READ, 1, TO), 0);
	assert_int_equal(to[0], 0);
}

static void refuses_in_words(void **context)
{
	(void)context;
	assert_true(fw_cfg_add(&fw_cfg, 0x8003, large, sizeof(large)));
	assert_int_equal(request(0x80030000u | SELECT | WRITE, 4, TO), ERROR);
	assert_int_equal(request(0x80030000u | SELECT | READ, 4, GUEST_DEVICE_AT), ERROR);
	assert_int_equal(request(0x80030000u | SELECT | READ, 4, GUEST_ROM_AT), ERROR);
	assert_int_equal(request(0x80030000u | SELECT | READ, sizeof(large), GUEST_RAM - 8), ERROR);
	assert_int_equal(request(0x80030000u | SELECT | READ, 4, ~0ull - 1), ERROR);
	assert_int_equal(request(0x80030000u | SELECT | READ, UINT32_MAX, 0x10000), ERROR);
	assert_int_equal(request(0x80030000u | SELECT | READ, sizeof(large) + 65536, 0x10000), 0);
	assert_int_equal(request(0x80030000u | SELECT | READ, sizeof(large) + 65537, 0x10000), ERROR);
	/* Skips add up to no more than there are numbers. */
	assert_int_equal(request(0x80030000u | SELECT | SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(request(SKIP, 1, 0), 0);
	assert_int_equal(request(READ, 4, TO), 0);
	assert_int_equal(*virtio_guest_bytes(TO), 0);
	/* A request that is not in memory, or only half, is not answered. */
	memset(virtio_guest_bytes(GUEST_RAM - 8), 0, 8);
	bench_out(dma, 0, 4, __builtin_bswap32(1));
	bench_out(dma, 4, 4, __builtin_bswap32(REQUEST_AT));
	bench_out(dma, 4, 4, __builtin_bswap32(GUEST_RAM - 8));
	bench_out(dma, 4, 4, __builtin_bswap32(GUEST_DEVICE_AT));
	assert_int_equal(*virtio_guest_bytes(GUEST_RAM - 8), 0);
	/* Nor is one of another size, or at another place. */
	*virtio_guest_bytes(REQUEST_AT + 3) = *virtio_guest_bytes(0x10003) = WRITE;
	*virtio_guest_bytes(0x10002) = 0;
	bench_out(dma, 2, 4, __builtin_bswap32(REQUEST_AT));
	assert_int_equal(*virtio_guest_bytes(REQUEST_AT + 3), WRITE);
	bench_out(dma, 4, 2, 0x0100);
	assert_int_equal(*virtio_guest_bytes(0x10003), WRITE);
	/* The high half of an address counts once. */
	bench_out(dma, 4, 4, __builtin_bswap32(REQUEST_AT));
	assert_int_equal(*virtio_guest_bytes(REQUEST_AT + 3), ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(describes_the_machine, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(has_files, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(tells_of_memory, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(holds_so_many, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(copies_items, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_in_words, start, virtio_guest_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
