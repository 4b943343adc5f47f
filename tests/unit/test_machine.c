/* SPDX-License-Identifier: MIT */
/* A PC's board as wired: from each device's registers to the vector that a processor takes. */
#include "guest/devices/local_apic.h"
#include "guest/pc/machine.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CPUS = 2, PIC_BASE = 0x20, SECOND_BASE = 0x28, HERTZ = 1000000000, MILLISECOND = 1000000 };

static struct machine *machine;
static struct local_apic apics[CPUS];
static uint8_t disk[4096], vga_memory[VGA_TEXT_SIZE] __attribute__((aligned(4096)));
static char printed[16], debug_console; /* what goes there is printed in capitals */
static unsigned nr_printed, ended;
static enum ending_kind how;
static uint64_t board_time;

static uint64_t now(void *context)
{
	(void)context;
	return board_time;
}

static void told(struct local_apic *apic)
{
	assert_in_range(apic - apics, 0, CPUS - 1);
}

static struct local_apic *of(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return &apics[0];
}

static void put(void *context, uint8_t byte)
{
	printed[nr_printed++ % sizeof(printed)] = (char)(context == &debug_console ? byte - 'a' + 'A' : byte);
}

static void end(void *context, enum ending_kind kind, uint32_t code)
{
	(void)context, (void)code;
	ended++;
	how = kind;
}

static void out(uint16_t port, unsigned size, uint32_t data)
{
	ports_write(&machine->ports, port, size, data);
	assert_int_equal(atomic_load(&machine->lock.held), 0);
}

static uint32_t in(uint16_t port, unsigned size)
{
	return ports_read(&machine->ports, port, size);
}

static void pass(uint64_t ticks)
{
	uint64_t until = board_time + ticks, next;

	while ((next = machine_expire(machine)) <= until)
		board_time = next;
	board_time = until;
}

static void write_range(tl_mmio_fn access, void *context, uint64_t offset, uint64_t data)
{
	struct tl_mmio mmio = {.offset = offset, .size = 4, .write = true, .data = data, .context = context};

	assert_int_equal(access(&mmio), TL_OK);
}

static void program_io_apic(unsigned pin, unsigned vector, bool level)
{
	write_range(io_apic_access, &machine->io_apic, 0, 0x10 + 2 * pin);
	write_range(io_apic_access, &machine->io_apic, 0x10, (level ? 1u << 15 : 0) | vector);
}

static void program_pics(void)
{
	static const uint16_t port[] = {0x20, 0xA0};

	for (unsigned i = 0; i < 2; i++) {
		out(port[i], 1, 0x11);
		out(port[i] + 1, 1, i ? SECOND_BASE : PIC_BASE);
		out(port[i] + 1, 1, i ? 2 : 4);
		out(port[i] + 1, 1, 1);
		out(port[i] + 1, 1, 0);
	}
}

static void build(bool has_test_devices, bool has_virtio_console)
{
	const struct clock clock = {.now = now, .hz = HERTZ};
	const struct machine_parts parts = {.vm = vm,
					    .memory_below_4g = 64 << 20,
					    .nr_cpus = CPUS,
					    .unix_time = 1000000000,
					    .disk = disk,
					    .disk_size = sizeof(disk),
					    .vga_memory = vga_memory,
					    .has_test_devices = has_test_devices,
					    .has_virtio_console = has_virtio_console,
					    .put = put,
					    .context = printed,
					    .debug_context = &debug_console,
					    .ending = {end, NULL}};

	machine = calloc(1, sizeof(*machine));
	assert_non_null(machine);
	board_time = HERTZ;
	nr_printed = ended = 0;
	machine->clock = clock;
	machine->bus.of = of;
	machine->bus.interrupt = machine->bus.nmi = machine->bus.init = machine->bus.moved = told;
	assert_true(machine_init(machine, &parts));
	for (unsigned i = 0; i < CPUS; i++) {
		local_apic_init(&apics[i], &machine->bus, i, !i, &clock, 36);
		local_apic_virtual_wire(&apics[i]);
	}
}

/* What a test's board has beside the others'. */
struct wanted {
	bool test_devices, virtio_console;
};

static int setup(void **context)
{
	const struct wanted *wanted = *context;

	build(wanted && wanted->test_devices, wanted && wanted->virtio_console);
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	free(machine);
	return 0;
}

static void expect_vector(int vector)
{
	assert_int_equal(local_apic_acknowledge(&apics[0]), vector);
	assert_int_equal(local_apic_acknowledge(&apics[1]), -1);
}

static void end_at_the_pics(bool second)
{
	if (second)
		out(0xA0, 1, 0x20);
	out(0x20, 1, 0x20);
}

/* 100 Hz by the PIT: through the PICs, and by pin 2 of the I/O APIC. */
static void the_pit_interrupts(void **context)
{
	(void)context;
	program_pics();
	out(0x43, 1, 0x34);
	out(0x40, 1, 11932 & 0xff);
	out(0x40, 1, 11932 >> 8);
	/* The wire rises with the mode. */
	if (local_apic_pending(&apics[0])) {
		expect_vector(PIC_BASE);
		end_at_the_pics(false);
	}
	for (unsigned i = 0; i < 5; i++) {
		pass(10 * MILLISECOND + 200);
		expect_vector(PIC_BASE);
		end_at_the_pics(false);
		expect_vector(-1);
	}
	out(0x21, 1, 0xff);
	program_io_apic(2, 0x40, false);
	pass(10 * MILLISECOND + 200);
	expect_vector(0x40);
}

static void the_hpet_takes_the_pits_place(void **context)
{
	(void)context;
	program_io_apic(2, 0x41, false);
	out(0x43, 1, 0x34);
	out(0x40, 1, 0);
	out(0x40, 1, 4);
	write_range(hpet_access, &machine->hpet, 0x108, 100000);
	write_range(hpet_access, &machine->hpet, 0x10C, 0);
	write_range(hpet_access, &machine->hpet, 0x100, 4);
	write_range(hpet_access, &machine->hpet, 0x10, 3);
	while (local_apic_acknowledge(&apics[0]) >= 0)
		assert_true(local_apic_write_msr(&apics[0], MSR_APIC_BASE, apics[0].base));
	local_apic_reset(&apics[0]);
	local_apic_virtual_wire(&apics[0]);
	pass(MILLISECOND - 20);
	expect_vector(-1);
	pass(20);
	expect_vector(0x41);
}

static void the_clock_the_serial_port_and_the_keyboard_interrupt(void **context)
{
	(void)context;
	program_pics();
	out(0x70, 1, 0x0B);
	out(0x71, 1, 0x12);
	pass(HERTZ);
	expect_vector(SECOND_BASE);
	out(0x70, 1, 0x0C);
	assert_int_equal(in(0x71, 1) & 0x90, 0x90);
	end_at_the_pics(true);
	out(0x70, 1, 0x0B);
	out(0x71, 1, 0x02);
	out(0x3F9, 1, 1);
	assert_true(serial_input(&machine->serial, 'k'));
	expect_vector(PIC_BASE + 4);
	assert_int_equal(in(0x3F8, 1) & 0xff, 'k');
	end_at_the_pics(false);
	expect_vector(-1);
	/* By the I/O APIC, too. */
	out(0x21, 1, 0xff);
	program_io_apic(4, 0x44, false);
	assert_true(serial_input(&machine->serial, 'l'));
	expect_vector(0x44);
}

static void what_is_printed_arrives(void **context)
{
	(void)context;
	out(0x3F8, 1, 'a');
	out(0xE9, 1, 'b');
	out(0x402, 1, 'c');
	assert_int_equal(nr_printed, 3);
	assert_memory_equal(printed, "aBC", 3);
}

static void a_level_comes_again_until_the_device_is_served(void **context)
{
	(void)context;
	program_io_apic(ACPI_PM_SCI, 0x59, true);
	out(ACPI_PM_PORT + 2, 2, 0x100);
	acpi_pm_press_button(&machine->pm);
	for (unsigned i = 0; i < 3; i++) {
		struct tl_mmio eoi = {.gpa = LOCAL_APIC_AT + 0xB0,
				      .offset = 0xB0,
				      .size = 4,
				      .write = true,
				      .context = &machine->bus};

		expect_vector(0x59);
		if (i == 2)
			out(ACPI_PM_PORT, 2, 0x100);
		assert_int_equal(local_apic_access(&eoi), TL_OK);
	}
	expect_vector(-1);
}

static void there_are_several_ends(void **context)
{
	(void)context;
	out(ACPI_PM_PORT + 4, 2, ACPI_PM_S5 << 10 | 1 << 13);
	assert_int_equal(ended, 1);
	assert_int_equal(how, ENDING_POWER_OFF);
	out(0xCF9, 1, 0x06);
	assert_int_equal(ended, 2);
	assert_int_equal(how, ENDING_RESET);
	out(0xF4, 1, 3);
	assert_int_equal(ended, 3);
	assert_int_equal(how, ENDING_EXIT);
}

static void ranges_and_firmware_agree(void **context)
{
	struct tl_edit *edit = tl_map_edit(vm);
	struct firmware firmware;

	(void)context;
	assert_int_equal(machine_add_ranges(machine, edit), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	machine_firmware(machine, CPUS, &firmware);
	assert_int_equal(firmware.nr_virtio, 2);
	assert_int_equal(map_find(map_now(), firmware.io_apic)->last, IO_APIC_AT + IO_APIC_SIZE - 1);
	assert_int_equal(map_find(map_now(), firmware.hpet)->last, HPET_AT + HPET_SIZE - 1);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(map_find(map_now(), firmware.virtio[i].address)->last,
				 firmware.virtio[i].address + VIRTIO_MMIO_SIZE - 1);
	out(0x70, 1, 0x5F);
	assert_int_equal(in(0x71, 1) & 0xff, CPUS - 1);
}

static void random_bytes_differ(void **context)
{
	uint8_t bytes[2][64] = {{0}};

	(void)context;
	machine->entropy.fill(machine->entropy.context, bytes[0], 64);
	machine->entropy.fill(machine->entropy.context, bytes[1], 63);
	assert_memory_not_equal(bytes[0], bytes[1], 8);
	assert_memory_not_equal(bytes[0], bytes[0] + 8, 8);
	assert_int_equal(bytes[1][63], 0);
}

static void fw_cfg_knows_the_machine(void **context)
{
	(void)context;
	out(0x510, 2, FW_CFG_CPUS);
	assert_int_equal(in(0x511, 1), CPUS);
	out(0x510, 2, FW_CFG_RAM_SIZE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in(0x511, 1), i == 3 ? 4 : 0);
	assert_int_equal(in(0x514, 4), 'Q' | 'E' << 8 | 'M' << 16 | 'U' << 24);
}

static uint32_t pci_identity(unsigned device)
{
	out(0xCF8, 4, 0x80000000 | device << 11);
	return in(0xCFC, 4);
}

static void test_devices_are_asked_for(void **context)
{
	(void)context;
	assert_int_equal(in(0xE0, 4), UINT32_MAX);
	assert_int_equal(in(0xE9, 1), 0xE9);
	assert_int_equal(in(0x2000, 1) & 0xFF, 0xFF);
	assert_int_equal(pci_identity(3), UINT32_MAX);
}

static void test_devices_are_wired(void **context)
{
	(void)context;
	out(0xE0, 4, 0x12345678);
	assert_int_equal(in(0xE9, 1), 0x56);
	assert_int_equal(pci_identity(3), 0x00051b36);
	program_pics();
	out(0x2000 + 5, 1, 1);
	expect_vector(PIC_BASE + 5);
}

/* What is typed is the serial port's until a driver has the console. */
static void a_virtio_console_takes_what_is_typed(void **context)
{
	enum { VERSION_1 = 1, FEATURES = 0x20, FEATURES_SELECT = 0x24, STATUS = 0x70 };
	const struct tl_range range = virtio_mmio_range(&machine->virtio_console.virtio, MACHINE_CONSOLE_AT);
	struct firmware firmware;

	(void)context;
	machine_firmware(machine, CPUS, &firmware);
	assert_int_equal(firmware.nr_virtio, 3);
	assert_int_equal(firmware.virtio[2].address, MACHINE_CONSOLE_AT);
	assert_int_equal(firmware.virtio[2].irq, MACHINE_CONSOLE_PIN);
	assert_true(machine_input(machine, 'a'));
	assert_int_equal(in(0x3F8, 1), 'a');
	write_range(range.access, range.context, STATUS, 3);
	write_range(range.access, range.context, FEATURES_SELECT, 1);
	write_range(range.access, range.context, FEATURES, VERSION_1);
	write_range(range.access, range.context, STATUS, 11);
	assert_true(machine_input(machine, 'b'));
	assert_int_equal(in(0x3F8, 1), 'b');
	write_range(range.access, range.context, STATUS, 15);
	assert_true(machine_input(machine, 'c'));
	assert_int_equal(byte_queue_count(&machine->virtio_console.input), 1);
	assert_int_equal(in(0x3FD, 1) & 1, 0);
	/* A driver that goes leaves it to the serial port again. */
	write_range(range.access, range.context, STATUS, 0);
	assert_true(machine_input(machine, 'd'));
	assert_int_equal(in(0x3F8, 1), 'd');
}

#define WITH(name, wanted) cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, wanted)
#define TEST(name)         WITH(name, NULL)

int main(void)
{
	static struct wanted test_devices = {.test_devices = true}, virtio_console = {.virtio_console = true};
	const struct CMUnitTest tests[] = {
		TEST(the_pit_interrupts),
		TEST(the_hpet_takes_the_pits_place),
		TEST(the_clock_the_serial_port_and_the_keyboard_interrupt),
		TEST(what_is_printed_arrives),
		TEST(a_level_comes_again_until_the_device_is_served),
		TEST(there_are_several_ends),
		TEST(ranges_and_firmware_agree),
		TEST(random_bytes_differ),
		TEST(fw_cfg_knows_the_machine),
		TEST(test_devices_are_asked_for),
		WITH(test_devices_are_wired, &test_devices),
		WITH(a_virtio_console_takes_what_is_typed, &virtio_console),
	};

	return cmocka_run_group_tests(tests, vm_setup, vm_teardown);
}
