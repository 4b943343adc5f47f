/* SPDX-License-Identifier: MIT */
/* Ends in a way that only this guest may feel. The word says which; the module's expect= names the ending. */
#include "guest/stubs/lib.h"

/* Without a usable IDT the exception of UD2 becomes a double fault, and that a triple fault. */
static void crash_triple(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

/* FXSAVE stores 512 bytes: no device has such a register, and no decoder a row for it. */
static void crash_undecodable(void)
{
	__asm__ volatile("fxsave (%0)" : : "r"(DEVICE_BANK0_AT) : "memory");
}

static void crash_fetch(uint64_t at)
{
	((void (*)(void))at)();
}

static void crash_page_table(void)
{
	__asm__ volatile("mov %0, %%cr3; nop" : : "r"((uint64_t)DEVICE_BANK0_AT) : "memory");
}

/* The gate of the exception is to be read from a device. */
static void crash_event(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {0xfff, DEVICE_BANK0_AT};

	__asm__ volatile("lidt %0; int3" : : "m"(table));
}

static void crash_device(void)
{
	read32(DEVICE_BROKEN_AT);
}

/* With interrupts on for a hypervisor below this one that cannot take the processor back from a guest without them. */
static void crash_hang(bool interruptible)
{
	if (interruptible)
		__asm__ volatile("sti");
	for (;;)
		__asm__ volatile("pause");
}

static void crash_halt(void)
{
	__asm__ volatile("cli; hlt");
}

int main(const struct mb1_info *info)
{
	/* A device works until the crash; that of another guest works afterwards. */
	write32(DEVICE_BANK1_AT, 0x600df00d);
	CHECK_EQUAL(read32(DEVICE_BANK1_AT), 0x600df00d);
	if (lib_word(info, "triple"))
		crash_triple();
	else if (lib_word(info, "undecodable"))
		crash_undecodable();
	else if (lib_word(info, "fetch-device"))
		crash_fetch(DEVICE_BANK0_AT);
	else if (lib_word(info, "fetch-hole"))
		crash_fetch(ABI_HOLE);
	else if (lib_word(info, "page-table"))
		crash_page_table();
	else if (lib_word(info, "event"))
		crash_event();
	else if (lib_word(info, "device"))
		crash_device();
	else if (lib_word(info, "hang"))
		crash_hang(lib_word(info, "interruptible"));
	else if (lib_word(info, "halt"))
		crash_halt();
	lib_print("still here after the crash, or it was not told which");
	return 1;
}
