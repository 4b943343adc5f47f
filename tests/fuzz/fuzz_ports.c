/* SPDX-License-Identifier: MIT */
/*
 * A PC's ports and its HPET, with all the devices behind them wired to each other: any accesses of any size, time that
 * passes by any steps, keys and bytes from outside. The host gets out of each access with the lock free and nothing
 * touched but the devices and the guest's memory, and time never stands still for timers.
 */
#include "guest/devices/acpi_pm.h"
#include "guest/devices/debug_console.h"
#include "guest/devices/exit_port.h"
#include "guest/devices/fw_cfg.h"
#include "guest/devices/hpet.h"
#include "guest/devices/i8042.h"
#include "guest/devices/pci_test_device.h"
#include "guest/devices/pic.h"
#include "guest/devices/pit.h"
#include "guest/devices/rtc.h"
#include "guest/devices/serial.h"
#include "guest/devices/test_device.h"
#include "guest/devices/vga_text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hosted.h"
#include <sanitizer/asan_interface.h>
#include <string.h>

enum { PAGE = 4096, RAM = 16 * PAGE, MOST_STEPS = 200, CLOCK_HZ = 100000000, MOST_TIMERS = 64 };

static uint8_t *ram, registers[TEST_DEVICE_SIZE], item[100];
static uint16_t screen[VGA_TEXT_SIZE / 2];
static struct fuzz_input input;
static struct tl_vm *vm;
static struct lock lock;
static struct ports ports;
static struct clock clock;
static uint64_t now;
static unsigned nr_endings, nr_interrupts;

static struct {
	struct pic pic;
	struct hpet hpet;
	struct pit pit;
	struct rtc rtc;
	struct acpi_pm pm;
	struct serial serial;
	struct i8042 i8042;
	struct reset_port reset;
	struct exit_port exit;
	struct debug_console debug;
	struct test_device test;
	struct pci_bus bus;
	struct pci_function bridge, isa;
	struct pci_test_device pci_test;
	struct vga_text vga;
	struct fw_cfg fw_cfg;
} pc;

static uint64_t read_clock(void *context)
{
	(void)context;
	return now;
}

static void put(void *context, uint8_t byte)
{
	(void)context, (void)byte;
	fuzz_require(atomic_load(&lock.held));
}

static void end(void *context, enum ending_kind kind, uint32_t code)
{
	(void)context, (void)code;
	fuzz_require(atomic_load(&lock.held) && kind <= ENDING_EXIT);
	nr_endings++;
}

static void interrupt(void *context, unsigned pin, bool level)
{
	(void)context, (void)pin;
	fuzz_require(atomic_load(&lock.held));
	nr_interrupts += level;
}

static void show_row(void *context, const char *text)
{
	(void)context;
	fuzz_require(strlen(text) <= VGA_TEXT_COLUMNS && *text);
}

/* The test device has as many wires as an I/O APIC has pins. */
static void pull(void *context, unsigned number, bool level)
{
	if (number < PIC_PINS)
		pic_pin(context, number, level);
}

static struct line pin(unsigned number)
{
	return (struct line){pull, &pc.pic, number};
}

static void make_timers(void)
{
	clock = (struct clock){.now = read_clock, .hz = CLOCK_HZ};
	hpet_init(&pc.hpet, &lock, &clock, pin(0), pin(0), pin(8));
	pit_init(&pc.pit, &lock, &clock, (struct line){hpet_legacy_pin, &pc.hpet, 0});
	rtc_init(&pc.rtc, &lock, &clock, (struct line){hpet_legacy_pin, &pc.hpet, 1}, 1700000000);
	acpi_pm_init(&pc.pm, &lock, &clock, pin(9), (struct ending){end, NULL});
}

/* Nothing is translated here; but who does it may commit, which takes that no lock is held (rule 8). */
static void flush(void *context, uint64_t gpa)
{
	(void)context;
	(void)gpa;
	fuzz_require(!atomic_load(&lock.held));
}

static void make_devices(void)
{
	const struct ending ending = {end, NULL};

	memset(&pc, 0, sizeof(pc));
	pic_init(&pc.pic, &lock, (struct line){interrupt, NULL, 0});
	make_timers();
	serial_init(&pc.serial, &lock, pin(4), put, NULL);
	i8042_init(&pc.i8042, &lock, pin(1), (struct line){0}, ending);
	reset_port_init(&pc.reset, &lock, ending, (struct line){0});
	pc.exit = (struct exit_port){.lock = &lock, .ending = ending};
	pc.debug = (struct debug_console){&lock, put, NULL};
	pc.test = (struct test_device){.lock = &lock, .line = pin(0), .registers = registers, .flush = flush};
	pci_host_bridge_init(&pc.bridge);
	pci_isa_bridge_init(&pc.isa);
	pci_test_device_init(&pc.pci_test, &lock, vm);
	pc.bus = (struct pci_bus){.lock = &lock, .reset = &pc.reset};
	pc.bus.function[0x00] = &pc.bridge;
	pc.bus.function[0x08] = &pc.isa;
	pc.bus.function[0x10] = &pc.pci_test.function;
	vga_text_init(&pc.vga, &lock, screen);
	fw_cfg_init(&pc.fw_cfg, &lock, vm, RAM, 1);
	fuzz_require(fw_cfg_add_file(&pc.fw_cfg, "etc/file", item, sizeof(item)));
}

static void make_ports(void)
{
	const struct port_range each[] = {
		pic_ports(&pc.pic, 0),
		pic_ports(&pc.pic, 1),
		pic_elcr_ports(&pc.pic),
		pit_ports(&pc.pit),
		pit_speaker_port(&pc.pit),
		rtc_ports(&pc.rtc),
		acpi_pm_ports(&pc.pm),
		serial_ports(&pc.serial, 0x3f8),
		i8042_data_port(&pc.i8042),
		i8042_command_port(&pc.i8042),
		reset_port_control_a(&pc.reset),
		exit_port_debug(&pc.exit),
		exit_port_shutdown(&pc.exit),
		debug_console_port(&pc.debug, 0xe9),
		debug_console_port(&pc.debug, 0x402),
		test_device_irq_ports(&pc.test),
		pci_config_ports(&pc.bus),
		pci_io_ports(&pc.bus),
		vga_text_ports(&pc.vga),
		fw_cfg_ports(&pc.fw_cfg),
		fw_cfg_dma_ports(&pc.fw_cfg),
	};

	memset(&ports, 0, sizeof(ports));
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		fuzz_require(ports_add(&ports, each[i]));
}

static void make_vm(void)
{
	const struct tl_range range = {.kind = TL_RANGE_RAM, .start = 0, .size = RAM, .host = ram};
	enum tl_status status;
	struct tl_edit *edit;

	vm = tl_vm_create(NULL, &status);
	fuzz_require(vm);
	edit = tl_map_edit(vm);
	fuzz_require(tl_map_add(edit, &range, NULL) == TL_OK && tl_map_commit(edit) == TL_OK);
}

/* ---- What happens ---- */

/* A port: mostly one of a device, or one before or behind it. */
static uint16_t take_port(void)
{
	uint8_t how = fuzz_take8(&input);
	const struct port_range *range = &ports.range[how % ports.count];

	if (how >= 0xf8)
		return fuzz_take16(&input);
	return (uint16_t)(range->first + fuzz_take8(&input) % (range->count + 2u) - 1);
}

/* What a driver would write, often: the address of a function's register; a request in memory. */
static uint32_t take_data(void)
{
	uint8_t how = fuzz_take8(&input);

	if (how < 0xc0)
		return how;
	if (how < 0xe0)
		return 0x80000000 | (how & 3u) << 11 | fuzz_take8(&input);
	return (uint32_t)fuzz_take(&input, 4);
}

static void access_port(uint8_t how)
{
	uint16_t port = take_port();
	unsigned size = 1u << (how >> 6) % 3;
	uint32_t data;

	if (how & 0x20) {
		ports_read(&ports, port, size);
		return;
	}
	data = take_data();
	ports_write(&ports, port, size, size == 4 ? data : data & ((1u << 8 * size) - 1));
}

/* The registers of the HPET, whole or not; the test device's are MMIO, too. */
static void access_memory(uint8_t how)
{
	struct tl_range test = test_device_range(&pc.test);
	struct tl_mmio access = {.offset = fuzz_take8(&input) * 4u, .size = 1u << (how >> 6), .write = how & 0x20};

	access.data = fuzz_take(&input, 8);
	access.context = &pc.hpet;
	if (access.offset + access.size <= HPET_SIZE)
		fuzz_require(hpet_access(&access) == TL_OK);
	access.offset = TEST_DEVICE_SIZE - access.size - access.offset;
	access.context = &pc.test;
	fuzz_require(test.access(&access) == TL_OK);
}

/* Of fw_cfg: in memory or not, into memory or not, or into itself; all words big-endian. */
static void request_copy(uint8_t how)
{
	uint8_t large = fuzz_take8(&input);
	uint64_t high = how & 0x80 ? fuzz_take(&input, 4) : 0, at = fuzz_take16(&input) % (RAM + 16u);
	uint32_t word[4] = {(uint32_t)fuzz_take16(&input) << 16 | (large & 0x1f), (uint32_t)fuzz_take(&input, 4),
			    (uint32_t)high, (uint32_t)fuzz_take(&input, 4)};

	/* A key that is there, a length and a place that are possible. */
	if (!(large & 0x20))
		word[0] = (word[0] & UINT16_MAX) | (uint32_t)pc.fw_cfg.item[word[0] >> 16 & 7].key << 16;
	word[1] %= large & 0x40 ? UINT32_MAX : 2 * (uint32_t)sizeof(item);
	word[3] %= large & 0x80 ? UINT32_MAX : RAM;
	for (unsigned i = 0; i < sizeof(word); i++)
		if (at + i < RAM)
			ram[at + i] = (uint8_t)(word[i / 4] >> (24 - 8 * (i % 4)));
	if (how & 0x40)
		ports_write(&ports, FW_CFG_DMA_PORTS, 4, fuzz_take8(&input));
	ports_write(&ports, FW_CFG_DMA_PORTS + 4, 4, __builtin_bswap32((uint32_t)at));
}

static void pass_time(void)
{
	uint8_t how = fuzz_take8(&input);
	unsigned nr_timers = 0;
	uint64_t until = now + (fuzz_hash(how) >> (how % 60));

	/* As a run loop does: from deadline to deadline, but never for ever. */
	while (clock_next(&clock) <= until && nr_timers++ < MOST_TIMERS) {
		uint64_t next = clock_next(&clock);

		now = next > now ? next : now;
		lock_acquire(&lock);
		clock_expire(&clock, now);
		lock_release(&lock);
		fuzz_require(clock_next(&clock) > now);
	}
	now = until > now && until < 1ull << 62 ? until : now;
	lock_acquire(&lock);
	clock_expire(&clock, now);
	lock_release(&lock);
}

static void step(void)
{
	uint8_t how = fuzz_take8(&input), bytes[8];

	switch (how & 0x1f) {
	case 0:
		pass_time();
		break;
	case 1:
		serial_input(&pc.serial, fuzz_take8(&input));
		break;
	case 2:
		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = fuzz_take8(&input);
		i8042_key(&pc.i8042, bytes, how >> 5);
		break;
	case 3:
		vga_text_show(&pc.vga, show_row, NULL);
		break;
	case 4:
		ram[fuzz_take16(&input) % RAM] = how;
		break;
	case 5:
		screen[fuzz_take16(&input) % (VGA_TEXT_SIZE / 2)] = how;
		break;
	case 6:
		pic_acknowledge(&pc.pic);
		break;
	case 7:
		acpi_pm_press_button(&pc.pm);
		break;
	case 8:
	case 9:
		access_memory(how);
		break;
	case 10:
		request_copy(how);
		break;
	default:
		access_port(how);
		break;
	}
	fuzz_require(!atomic_load(&lock.held));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, size};
	if (!ram) {
		hosted_start();
		ram = hosted_memory(0);
		ASAN_POISON_MEMORY_REGION(ram + RAM, 16 * PAGE);
	}
	memset(ram, 0, RAM);
	now = 1000;
	nr_endings = nr_interrupts = 0;
	make_vm();
	make_devices();
	make_ports();
	for (unsigned i = 0; i < MOST_STEPS && input.left; i++)
		step();
	fuzz_require(tl_vm_destroy(vm) == TL_OK);
	fuzz_require(hosted.pages_out == 0);
	return 0;
}
