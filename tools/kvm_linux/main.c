/* SPDX-License-Identifier: MIT */
/*
 * kvm-linux MIB KERNEL INITRAMFS DISK WORDS: boots Linux under KVM on the board that Trapline's own guests have, by the
 * same loader, with the same tables and devices. Prints what the guest prints, and what it took, and ends with its
 * power-off.
 */
#include "guest/pc/linux_boot.h"
#include "guest/pc/pc.h"
#include "tests/unit/range_access.h"
#include "tools/kvm_linux/vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { UNIX_TIME = 1700000000, MICROSECONDS = 1000000 };

static struct machine machine;
static struct load_memory memory;
static volatile sig_atomic_t alarmed = 1;
static bool ended;
static int status = 1;
/* Exits that came to this program: reads and writes of ports, and of MMIO. */
static uint64_t io_exits, mmio_exits;

/* ---- What the board is told -------------------------------------------------------------------------------------- */

uint64_t pc_host_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static uint64_t now(void *context)
{
	(void)context;
	return pc_host_ticks();
}

/* A little late rather than early, when nothing would be due. */
static void set_alarm(uint64_t at)
{
	uint64_t ticks = pc_host_ticks(), wait = at > ticks ? at - ticks : 0;
	uint64_t microseconds = wait * MICROSECONDS / machine.clock.hz + 1;
	struct itimerval timer = {
		.it_value = {(time_t)(microseconds / MICROSECONDS), (suseconds_t)(microseconds % MICROSECONDS)}};

	if (setitimer(ITIMER_REAL, &timer, NULL) < 0)
		vm_fail("setitimer");
}

static void sooner(void *context, uint64_t at)
{
	(void)context;
	set_alarm(at);
}

/* Also between the look at `alarmed` and KVM_RUN, which then returns at once. */
static void on_alarm(int signal)
{
	(void)signal;
	alarmed = 1;
	the_vm.run->immediate_exit = 1;
}

static void put(void *context, uint8_t byte)
{
	(void)context;
	putchar(byte);
}

static void end(void *context, enum ending_kind kind, uint32_t code)
{
	(void)context;
	ended = true;
	status = kind != ENDING_POWER_OFF;
	if (status)
		printf("kvm-linux: the guest ended by %s, code %u\n",
		       kind == ENDING_RESET ? "a reset" : "the exit port", code);
}

/* ---- The board --------------------------------------------------------------------------------------------------- */

static struct load_image read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	long size;
	void *data;

	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) < 0)
		vm_fail(path);
	data = malloc((size_t)size);
	if (!data || fread(data, 1, (size_t)size, file) != (size_t)size)
		vm_fail(path);
	fclose(file);
	return (struct load_image){data, (size_t)size};
}

/* The ranges of a PC's memory, as pc.c has them. */
static void add_memory(void)
{
	static struct load_map_entry map[] = {{0, PC_EBDA, LOAD_MAP_RAM},
					      {PC_EBDA, PC_LOW_RAM - PC_EBDA, LOAD_MAP_RESERVED},
					      {FIRMWARE_AT, FIRMWARE_SIZE, LOAD_MAP_RESERVED},
					      {PC_HIGH_RAM, 0, LOAD_MAP_RAM}};

	map[3].size = the_vm.ram_size - PC_HIGH_RAM;
	memory =
		(struct load_memory){.region = {{0, PC_LOW_RAM, the_vm.ram},
						{PC_HIGH_RAM, the_vm.ram_size - PC_HIGH_RAM, the_vm.ram + PC_HIGH_RAM}},
				     .nr_regions = 2,
				     .map = map,
				     .nr_map = sizeof(map) / sizeof(map[0])};
	vm_add_slot(0, PC_LOW_RAM, the_vm.ram, false);
	memset(the_vm.ram + PC_ROM, 0xff, FIRMWARE_AT - PC_ROM);
	vm_add_slot(PC_ROM, PC_HIGH_RAM - PC_ROM, the_vm.ram + PC_ROM, true);
	vm_add_slot(PC_HIGH_RAM, the_vm.ram_size - PC_HIGH_RAM, the_vm.ram + PC_HIGH_RAM, false);
}

/* Returns where ACPI's root pointer is. */
static uint32_t build_board(const struct load_image *disk)
{
	const struct machine_parts parts = {.vm = &the_vm,
					    .memory_below_4g = the_vm.ram_size,
					    .nr_cpus = 1,
					    .unix_time = UNIX_TIME,
					    .disk = (void *)(uintptr_t)disk->data,
					    .disk_size = disk->size,
					    .vga_memory = the_vm.ram + VGA_TEXT_AT,
					    .put = put,
					    .ending = {end, NULL}};
	struct firmware firmware;

	machine.clock = (struct clock){.now = now, .sooner = sooner, .hz = vm_tsc_hz()};
	if (!machine_init(&machine, &parts) || machine_add_ranges(&machine, NULL) != TL_OK) {
		printf("kvm-linux: the board has ports or ranges that meet\n");
		exit(1);
	}
	machine_firmware(&machine, 1, &firmware);
	firmware_write_bios_data(the_vm.ram, PC_EBDA);
	return firmware_write(&firmware, the_vm.ram + FIRMWARE_AT);
}

static void load(const char *kernel, const char *initrd, uint32_t rsdp, const char *line)
{
	struct linux_boot boot = {.memory = &memory,
				  .kernel = read_file(kernel),
				  .initrd = read_file(initrd),
				  .line = line,
				  .rsdp = rsdp};
	struct tl_state state;
	char why[160];

	if (!linux_load(&boot, &state, why, sizeof(why))) {
		printf("kvm-linux: %s\n", why);
		exit(1);
	}
	vm_set_state(&state);
}

/* ---- A run ------------------------------------------------------------------------------------------------------- */

static void serve_io(void)
{
	uint8_t *data = (uint8_t *)the_vm.run + the_vm.run->io.data_offset;
	unsigned size = the_vm.run->io.size;

	io_exits++;
	for (uint32_t i = 0; i < the_vm.run->io.count; i++, data += size) {
		uint32_t value = 0;

		if (the_vm.run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			ports_write(&machine.ports, the_vm.run->io.port, size, value);
		} else {
			value = ports_read(&machine.ports, the_vm.run->io.port, size);
			memcpy(data, &value, size);
		}
	}
}

static void serve_mmio(void)
{
	uint64_t at = the_vm.run->mmio.phys_addr;
	struct tl_mmio access = {
		.gpa = at, .size = the_vm.run->mmio.len, .write = the_vm.run->mmio.is_write, .data = UINT64_MAX};

	mmio_exits++;
	if (access.write) {
		access.data = 0;
		memcpy(&access.data, the_vm.run->mmio.data, access.size);
	}
	for (unsigned i = 0; i < the_vm.nr_ranges; i++) {
		const struct tl_range *range = &the_vm.range[i];

		if (at < range->start || at - range->start >= range->size)
			continue;
		access.offset = at - range->start;
		access.context = range->context;
		if (range_access(range, &access) != TL_OK) {
			printf("kvm-linux: a device refuses an access at %#lx\n", at);
			exit(1);
		}
	}
	if (!access.write)
		memcpy(the_vm.run->mmio.data, &access.data, access.size);
}

static void expire_timers(void)
{
	uint64_t next;

	alarmed = 0;
	next = machine_expire(&machine);
	if (next != UINT64_MAX)
		set_alarm(next);
}

static void run(void)
{
	while (!ended) {
		the_vm.run->immediate_exit = 0;
		if (alarmed)
			expire_timers();
		if (!vm_run())
			continue;
		if (the_vm.run->exit_reason == KVM_EXIT_IO) {
			serve_io();
		} else if (the_vm.run->exit_reason == KVM_EXIT_MMIO) {
			serve_mmio();
		} else {
			printf("kvm-linux: the guest ended with KVM's exit %u\n", the_vm.run->exit_reason);
			return;
		}
	}
}

int main(int argc, char **argv)
{
	static const char *const statistics[] = {"irq_exits", "io_exits", "halt_exits", "irq_window_exits", "pf_taken"};
	struct sigaction action = {.sa_handler = on_alarm};
	struct load_image disk;
	uint64_t entered;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (argc != 6) {
		printf("usage: kvm-linux MIB KERNEL INITRAMFS DISK WORDS\n");
		return 2;
	}
	vm_create(strtoull(argv[1], NULL, 0) << 20);
	sigaction(SIGALRM, &action, NULL);
	add_memory();
	disk = read_file(argv[4]);
	load(argv[2], argv[3], build_board(&disk), argv[5]);
	entered = vm_tsc();
	run();
	printf("kvm-linux: entered after %lu ticks, %lu exits of KVM's, of them served here %lu of ports, %lu of "
	       "MMIO\n",
	       entered, vm_exits("exits"), io_exits, mmio_exits);
	for (unsigned i = 0; i < sizeof(statistics) / sizeof(statistics[0]); i++)
		printf("kvm-linux: exits: %lu %s\n", vm_exits(statistics[i]), statistics[i]);
	return status;
}
