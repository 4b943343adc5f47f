/* SPDX-License-Identifier: MIT */
/*
 * What stands on a PC's board, wired as QEMU's pc is: interrupt controllers, timers, serial port, keyboard, PCI bus,
 * screen, virtio devices. Pure C: vCPUs with their local APICs, memory and the run are pc.h's.
 */
#ifndef GUEST_PC_MACHINE_H
#define GUEST_PC_MACHINE_H

#include "guest/devices/acpi_pm.h"
#include "guest/devices/debug_console.h"
#include "guest/devices/exit_port.h"
#include "guest/devices/fw_cfg.h"
#include "guest/devices/hpet.h"
#include "guest/devices/i8042.h"
#include "guest/devices/io_apic.h"
#include "guest/devices/local_apic_bus.h"
#include "guest/devices/pci_config.h"
#include "guest/devices/pci_test_device.h"
#include "guest/devices/pic.h"
#include "guest/devices/pit.h"
#include "guest/devices/reset_port.h"
#include "guest/devices/rtc.h"
#include "guest/devices/serial.h"
#include "guest/devices/test_device.h"
#include "guest/devices/vga_text.h"
#include "guest/devices/virtio_block.h"
#include "guest/devices/virtio_console.h"
#include "guest/devices/virtio_entropy.h"
#include "guest/pc/firmware.h"

enum {
	MACHINE_DISK_AT = 0xFEB00000,
	MACHINE_ENTROPY_AT = 0xFEB01000,
	MACHINE_CONSOLE_AT = 0xFEB02000,
	MACHINE_PCI_TEST_AT = 0xFEB10000
};
enum { MACHINE_DISK_PIN = 16, MACHINE_ENTROPY_PIN = 17, MACHINE_CONSOLE_PIN = 18 };

/* The ranges of its board: I/O APIC, HPET, screen, entropy, test device, disk, console. */
enum { MACHINE_RANGES = 7 };

struct machine_parts {
	struct tl_vm *vm;
	uint64_t memory_below_4g, memory_above_4g; /* bytes of RAM */
	unsigned nr_cpus;
	uint64_t unix_time; /* now, for the RTC */
	void *disk;
	uint64_t disk_size; /* bytes; 0: there is none */
	void *vga_memory;   /* VGA_TEXT_SIZE bytes, page-aligned */
	/* For the test device: what lies at `gpa` is to be translated anew. Called by a vCPU's port write. */
	void (*flush_page)(void *context, uint64_t gpa);
	void *flush_context;
	bool has_test_devices; /* QEMU's pc-testdev, in the place of the debug console at E9h, and its pci-testdev */
	bool has_virtio_console;
	/* What the serial port and the virtio console print, and with a context of their own the debug consoles. Called
	 * with the lock held. */
	void (*put)(void *context, uint8_t byte);
	void *context, *debug_context;
	struct ending ending;
};

struct machine {
	struct lock lock;
	struct clock clock;
	struct local_apic_bus bus;
	struct ports ports;
	struct pic pic;
	struct io_apic io_apic;
	struct pit pit;
	struct rtc rtc;
	struct hpet hpet;
	struct acpi_pm pm;
	struct serial serial;
	struct i8042 i8042;
	struct reset_port reset;
	struct debug_console console;
	struct exit_port exit_port;
	struct pci_bus pci;
	struct pci_function host_bridge, isa_bridge;
	struct vga_text vga;
	struct virtio_block disk; /* if parts say that there is one */
	struct virtio_entropy entropy;
	struct virtio_console virtio_console; /* if parts say that there is one */
	struct fw_cfg fw_cfg;
	bool has_disk, has_test_devices, has_virtio_console;
	struct test_device test;
	struct pci_test_device pci_test;
	uint8_t test_registers[TEST_DEVICE_SIZE];
	uint64_t entropy_state;
	unsigned nr_ranges; /* in the map; and as they were added */
	struct tl_range range[MACHINE_RANGES];
	tl_range_id id[MACHINE_RANGES];
};

/*
 * Builds it on zeroed memory in which the caller has set the clock, and of the bus all but end_of_interrupt,
 * acknowledge, context and timer_hz. The local APICs may join the bus before or after; the PICs' output is LINT0 of the
 * first one. False: its ports meet. Context: host, before a vCPU runs.
 */
bool machine_init(struct machine *machine, const struct machine_parts *parts);

/* Adds the ranges of the I/O APIC, the HPET, the screen and the virtio devices: the local APICs' page is not among
 * them. */
enum tl_status machine_add_ranges(struct machine *machine, struct tl_edit *edit);

/*
 * A byte that was typed, for the serial port; or for the virtio console, once a driver has that. False: it has to be
 * tried again later. Takes the lock. Context: host.
 */
bool machine_input(struct machine *machine, uint8_t byte);

/* Gives the functions on the PCI bus their places, as firmware does. Precondition: the ranges are in the map. Context:
 * host. */
void machine_place_functions(struct machine *machine);

/* What the firmware's tables have to say of it. */
void machine_firmware(const struct machine *machine, unsigned nr_cpus, struct firmware *firmware);

/*
 * Whether a device may interrupt processors that have their interrupts off: by the I/O APIC, or by the PICs and the
 * first one's LINT0, as NMI or INIT. Takes the lock. Context: host.
 */
bool machine_sends_unmaskable(struct machine *machine);

/* Has its timers expire if any is due, and returns when the next one is, or UINT64_MAX. Takes the lock. Context: host.
 */
uint64_t machine_expire(struct machine *machine);

#endif
