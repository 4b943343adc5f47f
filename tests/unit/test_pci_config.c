/* SPDX-License-Identifier: MIT */
/* Configuration space by its two ports, the window of I/O ports, and QEMU's pci-testdev in both. */
#include "guest/devices/pci_config.h"
#include "guest/devices/pci_test_device.h"

#include "tests/unit/device_fixture.h"
#include "tests/unit/vm_fixture.h"

enum { NOWHERE_AT = 0x100000, MEMORY_AT = 0xe0000000u, IO_AT = 0xc100 };
enum { BRIDGE = 0, ISA = 1 << 3, TESTED = 5 << 3 };

static struct pci_bus bus;
static struct reset_port reset;
static struct pci_function bridge, isa;
static struct pci_test_device device;
static struct port_range config, io;

static int start(void **context)
{
	vm_setup(context);
	device_bench_start();
	reset_port_init(&reset, &device_bench.lock, bench_ending(), bench_line(0));
	bus = (struct pci_bus){.lock = &device_bench.lock, .reset = &reset};
	pci_host_bridge_init(&bridge);
	pci_isa_bridge_init(&isa);
	pci_test_device_init(&device, &device_bench.lock, vm);
	bus.function[BRIDGE] = &bridge;
	bus.function[ISA] = &isa;
	bus.function[TESTED] = &device.function;
	config = pci_config_ports(&bus);
	io = pci_io_ports(&bus);
	return 0;
}

static void select_register(unsigned number, unsigned reg)
{
	bench_out(config, 0, 4, 0x80000000 | number << 8 | (reg & 0xfc));
}

static uint32_t get(unsigned number, unsigned reg, unsigned size)
{
	select_register(number, reg);
	return bench_in(config, 4 + (reg & 3), size);
}

static void set(unsigned number, unsigned reg, unsigned size, uint32_t value)
{
	select_register(number, reg);
	bench_out(config, 4 + (reg & 3), size, value);
}

static void finds_what_is_plugged(void **context)
{
	(void)context;
	assert_int_equal(config.first, 0xcf8);
	assert_int_equal(config.count, 8);
	assert_int_equal(get(BRIDGE, 0, 4), 0x12378086);
	assert_int_equal(get(BRIDGE, 8, 4), 0x06000002);
	assert_int_equal(get(ISA, 0, 4), 0x70008086);
	assert_int_equal(get(ISA, 8, 4), 0x06010000);
	assert_int_equal(get(ISA, 0xe, 1), 0x80);
	assert_int_equal(get(TESTED, 0, 4), 0x00051b36);
	assert_int_equal(get(TESTED, 10, 2), 0xff00);
	assert_int_equal(get(TESTED, 3, 1), 0x00);
	assert_int_equal(get(TESTED, 2, 1), 0x05);
	for (unsigned number = 0; number < 256; number++)
		if (number != BRIDGE && number != ISA && number != TESTED)
			assert_int_equal(get(number, 0, 4), 0xffffffff);
	/* Another bus, and a bus that is not asked. */
	bench_out(config, 0, 4, 0x80010000);
	assert_int_equal(bench_in(config, 4, 4), 0xffffffff);
	bench_out(config, 4, 4, 0);
	bench_out(config, 0, 4, 0);
	assert_int_equal(bench_in(config, 4, 4), 0xffffffff);
}

static void its_address_is_a_whole_word(void **context)
{
	(void)context;
	bench_out(config, 0, 4, 0xffffffff);
	assert_int_equal(bench_in(config, 0, 4), 0x80fffffc);
	bench_out(config, 0, 1, 0);
	bench_out(config, 2, 2, 0);
	assert_int_equal(bench_in(config, 0, 4), 0x80fffffc);
	assert_int_equal(bench_in(config, 0, 1) & 0xff, 0xff);
	/* Within it stands the port that resets. */
	bench_out(config, 1, 1, 0x02);
	assert_int_equal(bench_in(config, 1, 1), 0x02);
	assert_int_equal(device_bench.endings, 0);
	bench_out(config, 1, 1, 0x06);
	assert_int_equal(device_bench.endings, 1);
	assert_int_equal(device_bench.kind, ENDING_RESET);
	assert_int_equal(bench_in(config, 0, 4), 0x80fffffc);
	bench_out(config, 1, 2, 0x0606);
	assert_int_equal(device_bench.endings, 1);
	assert_int_equal(bench_in(config, 1, 2) & 0xffff, 0xffff);
	bus.reset = NULL;
	bench_out(config, 1, 1, 0x06);
	assert_int_equal(bench_in(config, 1, 1) & 0xff, 0xff);
	assert_int_equal(device_bench.endings, 1);
}

static void is_written_where_it_may_be(void **context)
{
	(void)context;
	for (unsigned reg = 0; reg < 0x40; reg++)
		set(BRIDGE, reg, 1, 0xff);
	assert_int_equal(get(BRIDGE, 0, 4), 0x12378086);
	assert_int_equal(get(BRIDGE, 4, 4), 0x00000507);
	assert_int_equal(get(BRIDGE, 8, 4), 0x06000002);
	assert_int_equal(get(BRIDGE, 0xc, 4), 0x000000ff);
	assert_int_equal(get(BRIDGE, 0x10, 4), 0);
	assert_int_equal(get(BRIDGE, 0x3c, 4), 0x000000ff);
	set(BRIDGE, 0x58, 4, 0x33221100);
	set(BRIDGE, 0x59, 2, 0x5544);
	assert_int_equal(get(BRIDGE, 0x58, 4), 0x33554400);
}

static const struct map_range *range_at(uint64_t gpa)
{
	return map_find(map_now(), gpa);
}

static bool answers_at(uint64_t gpa)
{
	return range_at(gpa)->context == &device && range_at(gpa + 4095)->context == &device;
}

static void its_size_can_be_found(void **context)
{
	(void)context;
	set(TESTED, 0x10, 4, 0xffffffff);
	assert_int_equal(get(TESTED, 0x10, 4), 0xfffff000);
	set(TESTED, 0x14, 4, 0xffffffff);
	assert_int_equal(get(TESTED, 0x14, 4), 0xffffff01);
	set(TESTED, 0x18, 4, 0xffffffff);
	assert_int_equal(get(TESTED, 0x18, 4), 0);
	assert_false(answers_at(0xfffff000));
}

static void stands_where_it_is_put(void **context)
{
	(void)context;
	set(TESTED, 0x10, 4, MEMORY_AT);
	assert_false(answers_at(MEMORY_AT));
	set(TESTED, 4, 2, 2);
	assert_true(answers_at(MEMORY_AT));
	/* Byte by byte, too. */
	set(TESTED, 0x12, 1, 0x12);
	assert_false(answers_at(MEMORY_AT));
	assert_true(answers_at(0xe0120000));
	set(TESTED, 4, 2, 1);
	assert_false(answers_at(0xe0120000));
	set(TESTED, 4, 2, 2);
	/* Over memory it is nowhere, and comes back. */
	range_add(ram_range(NOWHERE_AT, 4096));
	set(TESTED, 0x10, 4, NOWHERE_AT);
	assert_false(answers_at(NOWHERE_AT));
	assert_false(answers_at(0xe0120000));
	set(TESTED, 0x10, 4, MEMORY_AT);
	assert_true(answers_at(MEMORY_AT));
}

static struct tl_mmio access_memory(uint64_t offset, unsigned size, bool write, uint64_t data)
{
	struct tl_range range = pci_test_device_range(&device, MEMORY_AT);
	struct tl_mmio access = {.gpa = range.start + offset,
				 .offset = offset,
				 .size = size,
				 .write = write,
				 .data = data,
				 .context = range.context};

	assert_int_equal(range.access(&access), TL_OK);
	return access;
}

static uint32_t from_memory(uint64_t offset, unsigned size)
{
	return (uint32_t)access_memory(offset, size, false, 0).data;
}

static void counts_writes_to_memory(void **context)
{
	static const char *const names[] = {"mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd"};

	(void)context;
	assert_int_equal(from_memory(0, 4), 0);
	for (unsigned test = 0; test < 3; test++) {
		access_memory(0, 1, true, test);
		assert_int_equal(from_memory(0, 1), test);
		assert_int_equal(from_memory(1, 1), 1);
		assert_int_equal(from_memory(4, 4), 2048 + test);
		assert_int_equal(from_memory(8, 1), test == 1 ? 0xce : 0xfa);
		for (unsigned i = 0; i <= strlen(names[test]); i++)
			assert_int_equal(from_memory(16 + i, 1), names[test][i]);
		for (unsigned i = 0; i < 5; i++)
			access_memory(2048 + test, 1, true, 0xfa);
		access_memory(2048 + test, 1, true, 0x11);
		access_memory(2048 + test + 1, 1, true, 0xfa);
		assert_int_equal(from_memory(12, 4), test == 1 ? 6 : 5);
	}
	access_memory(0, 1, true, 3);
	assert_int_equal(from_memory(16, 4), 0);
	assert_int_equal(from_memory(4092, 4), 0);
}

static void counts_writes_to_ports(void **context)
{
	unsigned at = IO_AT - PCI_IO_FIRST;

	(void)context;
	set(TESTED, 0x14, 4, IO_AT);
	assert_int_equal(bench_in(io, at, 4), 0xffffffff);
	set(TESTED, 4, 2, 1);
	bench_out(io, at, 1, 2);
	assert_int_equal(bench_in(io, at, 1), 5);
	assert_int_equal(bench_in(io, at + 4, 4), 128 + 5);
	assert_int_equal(bench_in(io, at + 16, 4), 'p' | 'o' << 8 | 'r' << 16 | 't' << 24);
	bench_out(io, at + 128 + 5, 1, 0xfa);
	assert_int_equal(bench_in(io, at + 12, 4), 1);
	/* Where it ends. */
	assert_int_equal(bench_in(io, at + 252, 4), 0);
	assert_int_equal(bench_in(io, at + 254, 4), 0xffffffff);
	assert_int_equal(bench_in(io, at + 256, 1), 0xffffffff);
	assert_int_equal(bench_in(io, at - 1, 1), 0xffffffff);
	set(TESTED, 0x14, 4, 0xd000);
	assert_int_equal(bench_in(io, at, 1), 0xffffffff);
	assert_int_equal(bench_in(io, 0x1000, 1), 5);
	bench_out(io, at + 128 + 5, 1, 0xfa);
	assert_int_equal(bench_in(io, 0x1000 + 12, 4), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_what_is_plugged, start, vm_teardown),
		cmocka_unit_test_setup_teardown(its_address_is_a_whole_word, start, vm_teardown),
		cmocka_unit_test_setup_teardown(is_written_where_it_may_be, start, vm_teardown),
		cmocka_unit_test_setup_teardown(its_size_can_be_found, start, vm_teardown),
		cmocka_unit_test_setup_teardown(stands_where_it_is_put, start, vm_teardown),
		cmocka_unit_test_setup_teardown(counts_writes_to_memory, start, vm_teardown),
		cmocka_unit_test_setup_teardown(counts_writes_to_ports, start, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
