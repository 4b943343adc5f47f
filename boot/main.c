/* SPDX-License-Identifier: MIT */
/*
 * The first embedder of Trapline, from the loader's entry to the last line. What embedding takes stands in boot_main():
 * memory, hooks (boot/hooks.c), tl_init() and tl_cpu_up(); boot/guests.c and guest/ then create VMs and run them.
 */
#include <trapline.h>

#include "boot/acpi.h"
#include "boot/cmdline.h"
#include "boot/console.h"
#include "boot/gdt.h"
#include "boot/guests.h"
#include "boot/halt.h"
#include "boot/hooks.h"
#include "boot/host_cpu.h"
#include "boot/idt.h"
#include "boot/io_apic.h"
#include "boot/memory.h"
#include "boot/multiboot.h"
#include "boot/paging.h"
#include "boot/selfcheck.h"
#include "boot/selftest.h"
#include "boot/smp.h"

_Noreturn void boot_main(uint32_t magic, uint32_t address);

extern char image_start[], image_end[];

/* Only the image of the system tests has it (tests/system/odd_firmware.c). */
extern void test_firmware(struct acpi_apics *apics) __attribute__((weak));

static struct boot_info boot_info;
static struct acpi_apics acpi_apics;
static struct boot_options boot_options;
static char refusal[1024];

/* Physical memory as the early tables map it. Page 0 holds nothing of a loader's. */
static const void *early_memory(uint64_t physical, uint64_t size)
{
	if (physical < HOST_PAGE || size > PAGING_EARLY_REACH || physical > PAGING_EARLY_REACH - size)
		return NULL;
	return (const void *)physical;
}

/* Firmware's areas, too: the BIOS data area lies in page 0, and ACPI's tables where they like. */
static const void *early_firmware(uint64_t physical, uint64_t size)
{
	if (size > PAGING_EARLY_REACH || physical > PAGING_EARLY_REACH - size)
		return NULL;
	return (const void *)physical;
}

/* Firmware without a VGA's text says where its pixels are. */
static void open_console(void)
{
	bool none = boot_options.screen == BOOT_SCREEN_USE_OFF ||
		    (boot_info.efi && boot_info.framebuffer.kind == BOOT_SCREEN_UNSAID);

	console_start(boot_options.console, none ? NULL : &boot_info.framebuffer);
}

static _Noreturn void refuse_run(void)
{
	open_console();
	host_exit(HOST_CANNOT_RUN, "%s", refusal);
}

static void read_loader(uint32_t magic, uint32_t address)
{
	const struct boot_view view = {
		.at = early_memory,
		.image = {(uintptr_t)image_start, (uintptr_t)image_end},
		.limit = paging_limit(),
	};

	if (!boot_parse(magic, address, &view, &boot_info, refusal, sizeof(refusal)))
		refuse_run();
}

static void read_command_line(void)
{
	char usage[128], help[384];
	bool proper = cmdline_parse(boot_info.line, &boot_options, refusal, sizeof(refusal));

	if (proper && !boot_options.help)
		return;
	open_console();
	host_print("The words of the command line:\n");
	for (size_t i = 0; cmdline_describe(i, usage, sizeof(usage), help, sizeof(help)); i++)
		host_print("  %-36s %s\n", usage, help);
	host_exit(HOST_CANNOT_RUN, "%s",
		  proper ? "help was asked for, so no guest is run; leave out the word." : refusal);
}

static void print_banner(void)
{
	if (boot_options.quiet)
		return;
	host_print("Trapline, started by %s (%s); %llu MiB of memory in %zu ranges, %zu modules\n",
		   boot_info.loader[0] ? boot_info.loader : "a loader without a name", boot_info.protocol,
		   (unsigned long long)(boot_info.memory_size >> 20), boot_info.nr_memory, boot_info.nr_modules);
	console_describe();
}

/* While the early tables map firmware's own memory. A machine that says nothing of itself has one processor. */
static void read_firmware(void)
{
	if (!acpi_find_apics(early_firmware, boot_info.rsdp, boot_info.rsdp_size, &acpi_apics, refusal,
			     sizeof(refusal)) &&
	    !boot_options.quiet)
		host_print("SMP: one processor is used: %s\n", refusal);
	if (test_firmware)
		test_firmware(&acpi_apics);
}

static void start_memory(void)
{
	if (!memory_init(&boot_info, PAGING_EARLY_REACH))
		host_exit(HOST_CANNOT_RUN, "no usable memory is left above the first MiB; give the machine more.");
	if (!paging_init(&boot_info, refusal, sizeof(refusal)))
		host_exit(HOST_CANNOT_RUN, "%s", refusal);
	console_remap();
}

static void require(enum tl_status status)
{
	if (status != TL_OK)
		host_exit(HOST_CANNOT_RUN, "%s", tl_status_text(status));
}

static _Noreturn void end_with_selftest(void)
{
	unsigned ok, failed, absent;

	selftest_report(&boot_info, &ok, &failed, &absent);
	smp_stop();
	tl_cpu_down();
	host_exit(failed ? HOST_FAILED : HOST_PASSED, "selftest: %u checks ok, %u failed, %u not here", ok, failed,
		  absent);
}

_Noreturn void boot_main(uint32_t magic, uint32_t address)
{
	unsigned passed, failed;

	host_stacks_first(&host_cpus[0]);
	gdt_init(&host_cpus[0]);
	idt_init();
	read_loader(magic, address);
	read_command_line();
	open_console();
	print_banner();
	read_firmware();
	start_memory();
	io_apics_silence(&acpi_apics);
	selfcheck_crash((enum boot_crash)boot_options.crash);
	if (!boot_options.selftest && !guests_init(&boot_info, &boot_options, refusal, sizeof(refusal)))
		host_exit(HOST_CANNOT_RUN, "%s", refusal);

	hooks_set_quiet(boot_options.quiet);
	require(tl_init(&host_hooks));
	require(tl_features_off((uint32_t)boot_options.features_off & ((1u << TL_NR_FEATURES) - 1)));
	require(tl_features_trusted((uint32_t)(boot_options.features_trusted >> BOOT_TRUST_VIRTUAL_INTERRUPTS & 1)
					    << TL_FEATURE_VIRTUAL_INTERRUPTS |
				    (uint32_t)(boot_options.features_trusted >> BOOT_TRUST_POSTED_INTERRUPTS & 1)
					    << TL_FEATURE_POSTED_INTERRUPTS |
				    (uint32_t)(boot_options.features_trusted >> BOOT_TRUST_XSAVES & 1)
					    << TL_FEATURE_XSAVES));
	if (boot_options.mitigations)
		require(tl_mitigations((uint32_t)boot_options.mitigations & ((1u << TL_NR_MITIGATIONS) - 1)));
	require(tl_cpu_up());
	smp_init(&boot_info, &acpi_apics, boot_options.features_off >> BOOT_FEATURE_X2APIC & 1);
	selfcheck_crash_other((enum boot_crash)boot_options.crash);
	if (!boot_options.quiet) {
		tl_cpu_describe();
		smp_describe();
	}
	if (boot_options.selftest)
		end_with_selftest();
	guests_run(&boot_options, &passed, &failed);
	smp_stop();
	tl_cpu_down();
	host_exit(failed ? HOST_FAILED : HOST_PASSED, "%u guests passed, %u failed", passed, failed);
}
