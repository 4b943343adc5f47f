/* SPDX-License-Identifier: MIT */
#include "guest/pc/machine.h"
#include "guest/devices/local_apic.h"

enum { COM1 = 0x3F8, DEBUG_BOCHS = 0xE9, DEBUG_FIRMWARE = 0x402, IO_APIC_ID = 0, PCI_TEST_SLOT = 3 };

/* Lines of the ISA bus. */
enum { IRQ_TIMER = 0, IRQ_KEYBOARD = 1, IRQ_SERIAL = 4, IRQ_CLOCK = 8, ISA_IRQS = 16 };

/* ---- Wires --------------------------------------------------------------------------------------------------------
 */

/* A line of the ISA bus ends at the PICs and at the I/O APIC, where the PIT is on pin 2. Others end at the latter
 * alone. */
static void machine_set_irq(void *context, unsigned irq, bool level)
{
	struct machine *machine = context;

	if (irq < ISA_IRQS)
		pic_pin(&machine->pic, irq, level);
	io_apic_pin(&machine->io_apic, irq == IRQ_TIMER ? 2 : irq, level);
}

static struct line machine_line(struct machine *machine, unsigned irq)
{
	return (struct line){machine_set_irq, machine, irq};
}

static struct line machine_io_apic_line(struct machine *machine, unsigned pin)
{
	return (struct line){io_apic_pin, &machine->io_apic, pin};
}

/* INTR: the first processor's LINT0. */
static void machine_set_interrupt(void *context, unsigned pin, bool level)
{
	struct machine *machine = context;

	if (machine->bus.count)
		local_apic_pin(machine->bus.apic[0], pin, level);
}

static void machine_end_of_interrupt(void *context, uint8_t vector)
{
	struct machine *machine = context;

	io_apic_end_of_interrupt(&machine->io_apic, vector);
}

static uint8_t machine_acknowledge(void *context)
{
	struct machine *machine = context;

	return pic_acknowledge(&machine->pic);
}

/* ---- Devices ------------------------------------------------------------------------------------------------------
 */

/* splitmix64 over the time of each call: what a guest mixes into its own pool; nothing here is secret. */
static void machine_fill_random(void *context, uint8_t *bytes, size_t size)
{
	struct machine *machine = context;
	uint64_t word = 0;

	for (size_t i = 0; i < size; i++) {
		if (i % 8 == 0) {
			machine->entropy_state += 0x9e3779b97f4a7c15 ^ clock_now(&machine->clock);
			word = machine->entropy_state;
			word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
			word = (word ^ word >> 27) * 0x94d049bb133111eb;
			word ^= word >> 31;
		}
		bytes[i] = (uint8_t)(word >> 8 * (i % 8));
	}
}

static void machine_init_interrupts(struct machine *machine)
{
	machine->bus.end_of_interrupt = machine_end_of_interrupt;
	machine->bus.acknowledge = machine_acknowledge;
	machine->bus.context = machine;
	/* The crystal that CPUID's leaf 15h tells of. SDM vol. 3, 11.5.4. */
	machine->bus.timer_hz = machine->clock.hz;
	pic_init(&machine->pic, &machine->lock, (struct line){machine_set_interrupt, machine, 0});
	io_apic_init(&machine->io_apic, &machine->lock, &machine->bus, IO_APIC_ID);
}

/* The HPET stands between the PIT and the RTC and their lines. */
static void machine_init_timers(struct machine *machine, const struct machine_parts *parts)
{
	struct hpet *hpet = &machine->hpet;

	hpet_init(hpet, &machine->lock, &machine->clock, machine_io_apic_line(machine, 0),
		  machine_line(machine, IRQ_TIMER), machine_line(machine, IRQ_CLOCK));
	pit_init(&machine->pit, &machine->lock, &machine->clock, (struct line){hpet_legacy_pin, hpet, 0});
	rtc_init(&machine->rtc, &machine->lock, &machine->clock, (struct line){hpet_legacy_pin, hpet, 1},
		 parts->unix_time);
	rtc_set_memory(&machine->rtc, parts->memory_below_4g, parts->memory_above_4g);
	machine->rtc.ram[RTC_RAM_PROCESSORS] = (uint8_t)(parts->nr_cpus - 1);
	acpi_pm_init(&machine->pm, &machine->lock, &machine->clock, machine_line(machine, ACPI_PM_SCI), parts->ending);
}

static void machine_init_pci(struct machine *machine, const struct machine_parts *parts)
{
	pci_host_bridge_init(&machine->host_bridge);
	pci_isa_bridge_init(&machine->isa_bridge);
	machine->pci.lock = &machine->lock;
	machine->pci.reset = &machine->reset;
	machine->pci.function[0] = &machine->host_bridge;
	machine->pci.function[1 * 8] = &machine->isa_bridge;
	machine->has_test_devices = parts->has_test_devices;
	if (!machine->has_test_devices)
		return;
	pci_test_device_init(&machine->pci_test, &machine->lock, parts->vm);
	machine->pci.function[PCI_TEST_SLOT * 8] = &machine->pci_test.function;
}

static void machine_init_others(struct machine *machine, const struct machine_parts *parts)
{
	struct lock *lock = &machine->lock;
	/* There is no gate of A20: it is open, as every system of this century has it. */
	const struct line a20 = {NULL, NULL, 0};

	serial_init(&machine->serial, lock, machine_line(machine, IRQ_SERIAL), parts->put, parts->context);
	i8042_init(&machine->i8042, lock, machine_line(machine, IRQ_KEYBOARD), a20, parts->ending);
	reset_port_init(&machine->reset, lock, parts->ending, a20);
	machine->console = (struct debug_console){lock, parts->put, parts->debug_context};
	machine->exit_port = (struct exit_port){.lock = lock, .ending = parts->ending};
	machine->test = (struct test_device){.lock = lock,
					     .line = machine_line(machine, 0),
					     .registers = machine->test_registers,
					     .flush = parts->flush_page,
					     .context = parts->flush_context};
	fw_cfg_init(&machine->fw_cfg, lock, parts->vm, parts->memory_below_4g + parts->memory_above_4g,
		    (uint16_t)parts->nr_cpus);
	vga_text_init(&machine->vga, lock, parts->vga_memory);
}

static void machine_init_virtio(struct machine *machine, const struct machine_parts *parts)
{
	struct virtio_place place = {parts->vm, &machine->lock, machine_io_apic_line(machine, MACHINE_ENTROPY_PIN)};

	virtio_entropy_init(&machine->entropy, place, machine_fill_random, machine);
	machine->has_disk = parts->disk_size;
	place.line = machine_io_apic_line(machine, MACHINE_DISK_PIN);
	if (machine->has_disk)
		virtio_block_init(&machine->disk, place, parts->disk, parts->disk_size, false, "trapline");
	machine->has_virtio_console = parts->has_virtio_console;
	place.line = machine_io_apic_line(machine, MACHINE_CONSOLE_PIN);
	if (machine->has_virtio_console)
		virtio_console_init(&machine->virtio_console, place, parts->put, parts->context);
}

static bool machine_add_ports(struct machine *machine)
{
	const struct port_range range[] = {
		pic_ports(&machine->pic, 0),
		pic_ports(&machine->pic, 1),
		pic_elcr_ports(&machine->pic),
		pit_ports(&machine->pit),
		pit_speaker_port(&machine->pit),
		rtc_ports(&machine->rtc),
		acpi_pm_ports(&machine->pm),
		serial_ports(&machine->serial, COM1),
		i8042_data_port(&machine->i8042),
		i8042_command_port(&machine->i8042),
		reset_port_control_a(&machine->reset),
		machine->has_test_devices ? test_device_ports(&machine->test)
					  : debug_console_port(&machine->console, DEBUG_BOCHS),
		debug_console_port(&machine->console, DEBUG_FIRMWARE),
		exit_port_debug(&machine->exit_port),
		exit_port_shutdown(&machine->exit_port),
		pci_config_ports(&machine->pci),
		pci_io_ports(&machine->pci),
		vga_text_ports(&machine->vga),
		fw_cfg_ports(&machine->fw_cfg),
		fw_cfg_dma_ports(&machine->fw_cfg),
	};

	for (unsigned i = 0; i < sizeof(range) / sizeof(range[0]); i++)
		if (!ports_add(&machine->ports, range[i]))
			return false;
	return !machine->has_test_devices || ports_add(&machine->ports, test_device_irq_ports(&machine->test));
}

/* As firmware leaves them: real mode's vectors, and everything masked, since nobody is there to serve it. */
static void machine_program_pics(struct machine *machine)
{
	static const struct {
		uint16_t port;
		uint8_t base, cascade;
	} chip[] = {{PIC_FIRST_PORT, 0x08, 4}, {PIC_SECOND_PORT, 0x70, 2}};

	for (unsigned i = 0; i < 2; i++) {
		const uint8_t words[] = {chip[i].base, chip[i].cascade, 1, 0xff};

		ports_write(&machine->ports, chip[i].port, 1, 0x11);
		for (unsigned j = 0; j < sizeof(words); j++)
			ports_write(&machine->ports, chip[i].port + 1, 1, words[j]);
	}
}

bool machine_init(struct machine *machine, const struct machine_parts *parts)
{
	machine_init_interrupts(machine);
	machine_init_timers(machine, parts);
	machine_init_pci(machine, parts);
	machine_init_others(machine, parts);
	machine_init_virtio(machine, parts);
	if (!machine_add_ports(machine))
		return false;
	machine_program_pics(machine);
	return true;
}

static void machine_list_ranges(struct machine *machine)
{
	struct tl_range *range = machine->range;

	range[machine->nr_ranges++] = (struct tl_range){.kind = TL_RANGE_MMIO,
							.start = IO_APIC_AT,
							.size = IO_APIC_SIZE,
							.access = io_apic_access,
							.context = &machine->io_apic};
	range[machine->nr_ranges++] = (struct tl_range){.kind = TL_RANGE_MMIO,
							.start = HPET_AT,
							.size = HPET_SIZE,
							.access = hpet_access,
							.context = &machine->hpet};
	range[machine->nr_ranges++] = vga_text_range(&machine->vga);
	range[machine->nr_ranges++] = virtio_mmio_range(&machine->entropy.virtio, MACHINE_ENTROPY_AT);
	if (machine->has_test_devices)
		range[machine->nr_ranges++] = test_device_range(&machine->test);
	if (machine->has_disk)
		range[machine->nr_ranges++] = virtio_mmio_range(&machine->disk.virtio, MACHINE_DISK_AT);
	if (machine->has_virtio_console)
		range[machine->nr_ranges++] = virtio_mmio_range(&machine->virtio_console.virtio, MACHINE_CONSOLE_AT);
}

enum tl_status machine_add_ranges(struct machine *machine, struct tl_edit *edit)
{
	enum tl_status status = TL_OK;

	machine_list_ranges(machine);
	for (unsigned i = 0; status == TL_OK && i < machine->nr_ranges; i++)
		status = tl_map_add(edit, &machine->range[i], &machine->id[i]);
	return status;
}

void machine_place_functions(struct machine *machine)
{
	static const struct {
		uint32_t at, value;
	} registers[] = {{0x10, MACHINE_PCI_TEST_AT}, {0x14, PCI_IO_FIRST}, {0x04, 3}};

	if (!machine->has_test_devices)
		return;
	for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		ports_write(&machine->ports, PCI_CONFIG_ADDRESS, 4, 1u << 31 | PCI_TEST_SLOT << 11 | registers[i].at);
		ports_write(&machine->ports, PCI_CONFIG_ADDRESS + 4, 4, registers[i].value);
	}
	ports_write(&machine->ports, PCI_CONFIG_ADDRESS, 4, 0);
}

void machine_firmware(const struct machine *machine, unsigned nr_cpus, struct firmware *firmware)
{
	*firmware = (struct firmware){.nr_cpus = nr_cpus,
				      .local_apic = (uint32_t)LOCAL_APIC_AT,
				      .io_apic = (uint32_t)IO_APIC_AT,
				      .io_apic_id = IO_APIC_ID,
				      .hpet = (uint32_t)HPET_AT,
				      .hpet_id = HPET_ID,
				      .power = ACPI_PM_PORT,
				      .has_pci = true,
				      .boot_disk = machine->has_disk ? MACHINE_DISK_AT : 0};

	if (machine->has_disk)
		firmware->virtio[firmware->nr_virtio++] = (struct firmware_virtio){MACHINE_DISK_AT, MACHINE_DISK_PIN};
	firmware->virtio[firmware->nr_virtio++] = (struct firmware_virtio){MACHINE_ENTROPY_AT, MACHINE_ENTROPY_PIN};
	if (machine->has_virtio_console)
		firmware->virtio[firmware->nr_virtio++] =
			(struct firmware_virtio){MACHINE_CONSOLE_AT, MACHINE_CONSOLE_PIN};
}

bool machine_input(struct machine *machine, uint8_t byte)
{
	if (machine->has_virtio_console && virtio_console_is_driven(&machine->virtio_console))
		return virtio_console_input(&machine->virtio_console, byte);
	return serial_input(&machine->serial, byte);
}

bool machine_sends_unmaskable(struct machine *machine)
{
	bool sends;

	lock_acquire(&machine->lock);
	sends = io_apic_sends_unmaskable(&machine->io_apic) ||
		(machine->bus.count && local_apic_pin_is_unmaskable(machine->bus.apic[0], 0));
	lock_release(&machine->lock);
	return sends;
}

uint64_t machine_expire(struct machine *machine)
{
	uint64_t next;

	lock_acquire(&machine->lock);
	if (clock_next(&machine->clock) != UINT64_MAX)
		clock_expire(&machine->clock, clock_now(&machine->clock));
	next = clock_next(&machine->clock);
	lock_release(&machine->lock);
	return next;
}
