/* SPDX-License-Identifier: MIT */
/* The PCI bus of a PC's board as firmware would leave it. */
#include "guest/pc/machine.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ADDRESS = 0xCF8, DATA = 0xCFC, TEST_DEVICE = 3, IO_AT = 0xC000, WIDTH = 1, NAME = 16 };

static struct machine *machine;
static uint8_t vga_memory[VGA_TEXT_SIZE] __attribute__((aligned(4096)));

static uint64_t now(void *context)
{
	(void)context;
	return 0;
}

static void put(void *context, uint8_t byte)
{
	(void)context, (void)byte;
}

static void build(bool has_test_devices)
{
	const struct machine_parts parts = {.vm = vm,
					    .memory_below_4g = 64 << 20,
					    .nr_cpus = 1,
					    .vga_memory = vga_memory,
					    .has_test_devices = has_test_devices,
					    .put = put};

	machine = calloc(1, sizeof(*machine));
	assert_non_null(machine);
	machine->clock = (struct clock){.now = now, .hz = 1000000000};
	assert_true(machine_init(machine, &parts));
	machine_place_functions(machine);
}

static uint32_t configuration(unsigned offset)
{
	ports_write(&machine->ports, ADDRESS, 4, 0x80000000 | TEST_DEVICE << 11 | offset);
	return ports_read(&machine->ports, DATA, 4);
}

/* In both spaces, where its registers say. */
static void the_test_device_has_its_places(void **context)
{
	struct tl_range_info info;

	(void)context;
	build(true);
	assert_int_equal(ports_read(&machine->ports, ADDRESS, 4), 0);
	assert_int_equal(configuration(0x10), MACHINE_PCI_TEST_AT);
	assert_int_equal(configuration(0x14), IO_AT | 1);
	assert_int_equal(configuration(4) & 7, 3);
	assert_true(tl_map_next(vm, MACHINE_PCI_TEST_AT, &info));
	assert_int_equal(info.start, MACHINE_PCI_TEST_AT);
	ports_write(&machine->ports, IO_AT, 1, 0);
	assert_int_equal(ports_read(&machine->ports, IO_AT + WIDTH, 1), 1);
	assert_int_equal(ports_read(&machine->ports, IO_AT + NAME, 4), 'p' | 'o' << 8 | 'r' << 16 | 't' << 24);
	free(machine);
}

static void without_one_nothing_is_placed(void **context)
{
	struct tl_range_info info;

	(void)context;
	build(false);
	assert_false(tl_map_next(vm, MACHINE_PCI_TEST_AT, &info) && info.start == MACHINE_PCI_TEST_AT);
	assert_int_equal(ports_read(&machine->ports, IO_AT, 4), UINT32_MAX);
	free(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_test_device_has_its_places, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(without_one_nothing_is_placed, vm_setup, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
