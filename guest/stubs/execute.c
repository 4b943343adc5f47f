/* SPDX-License-Identifier: MIT */
/*
 * Memory that may only be executed: code runs there without exits, and its reads and writes are a device's. The word
 * `refused` says that this CPU has no such memory, and that it must be refused.
 */
#include "guest/stubs/lib.h"
#include <trapline.h>

enum { CALLS = 1000, AT_FUNCTION = 0x10, AT_READER = 0x40, AT_STORER = 0x80, AT_DATUM = 0x100 };

/* Writes it byte by byte: each write is an access to the device behind the memory. */
static void write_code(uint64_t offset, const uint8_t *code, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		write8(DEVICE_CODE_AT + offset + i, code[i]);
}

static uint64_t call(uint64_t offset, uint64_t argument)
{
	uint64_t result = 0;

	__asm__ volatile("call *%1"
			 : "+a"(result)
			 : "r"(DEVICE_CODE_AT + offset), "D"(argument)
			 : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	return result;
}

/* mov eax, value; ret */
static void write_function(uint32_t value)
{
	uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3};

	lib_poke(code + 1, value, 4);
	write_code(AT_FUNCTION, code, sizeof(code));
}

/* A thousand calls make no more exits than none. */
static void check_execution(void)
{
	uint64_t exits[2], accesses = lib_stats().fresh + lib_stats().stale;
	struct abi_device device = lib_device(DEVICE_CODE);

	for (unsigned i = 0; i < 2; i++) {
		exits[i] = lib_stats().exits;
		for (unsigned j = 0; j < i * CALLS; j++)
			CHECK_EQUAL(call(AT_FUNCTION, 0), 0x12345678);
		exits[i] = lib_stats().exits - exits[i];
	}
	CHECK_EQUAL(exits[1], exits[0]);
	CHECK_EQUAL(lib_stats().fresh + lib_stats().stale, accesses);
	CHECK_EQUAL(lib_device(DEVICE_CODE).reads, device.reads);
	CHECK_EQUAL(lib_device(DEVICE_CODE).writes, device.writes);
}

/* Data accesses go to the device, before the page has been executed from and after. */
static void check_data(void)
{
	struct abi_device before = lib_device(DEVICE_CODE);

	for (unsigned i = 0; i < CALLS; i++) {
		write32(DEVICE_CODE_AT + AT_DATUM, i);
		CHECK_EQUAL(read32(DEVICE_CODE_AT + AT_DATUM), i);
	}
	CHECK_EQUAL(lib_device(DEVICE_CODE).writes, before.writes + CALLS);
	CHECK_EQUAL(lib_device(DEVICE_CODE).reads, before.reads + CALLS);
	CHECK_EQUAL(read8(DEVICE_CODE_AT + AT_FUNCTION), 0xb8);
}

/* Code there that accesses its own page, and another device: it is fetched from where it cannot be read. */
static void check_code_with_operands(void)
{
	static const uint8_t reader[] = {0x8b, 0x05, AT_DATUM - AT_READER - 6, 0, 0,
					 0,    0xc3};                   /* mov eax, [rel datum]; ret */
	static const uint8_t storer[] = {0x89, 0x3f, 0x8b, 0x07, 0xc3}; /* mov [rdi], edi; mov eax, [rdi]; ret */
	uint64_t reads;

	write_code(AT_READER, reader, sizeof(reader));
	write_code(AT_STORER, storer, sizeof(storer));
	write32(DEVICE_CODE_AT + AT_DATUM, 0xcafef00d);
	reads = lib_device(DEVICE_CODE).reads;
	for (unsigned i = 0; i < CALLS; i++) {
		CHECK_EQUAL(call(AT_READER, 0), 0xcafef00d);
		CHECK_EQUAL(call(AT_STORER, DEVICE_BANK0_AT + 4 * (i % 16)), DEVICE_BANK0_AT + 4 * (i % 16));
	}
	CHECK_EQUAL(lib_device(DEVICE_CODE).reads, reads + CALLS);
}

int main(const struct mb1_info *info)
{
	if (lib_word(info, "refused")) {
		CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_CODE, DEVICE_CODE_AT), (uint64_t)(int64_t)TL_UNSUPPORTED);
		CHECK_EQUAL(read32(DEVICE_CODE_AT), 0xffffffff);
		return 0;
	}
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_CODE, DEVICE_CODE_AT), 0);
	write_function(0x87654321);
	CHECK_EQUAL(call(AT_FUNCTION, 0), 0x87654321);
	write_function(0x12345678);
	check_execution();
	check_data();
	check_execution();
	check_code_with_operands();
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_CODE, 0), 0);
	CHECK_EQUAL(read32(DEVICE_CODE_AT + AT_FUNCTION), 0xffffffff);
	return 0;
}
