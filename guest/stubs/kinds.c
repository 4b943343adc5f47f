/* SPDX-License-Identifier: MIT */
/*
 * Ranges other than plain MMIO: doorbells of every sort, coalesced writes, devices with sizes of their own, memory that
 * is read directly or only executed. The word `decoded` says that no doorbell is skipped by its length.
 */
#include "guest/stubs/lib.h"

enum { ROUNDS = 100, RING_ENTRIES = 16 };

static void add(enum abi_device_id device, uint64_t at)
{
	CHECK_EQUAL(lib_edit(EDIT_ADD, device, at), 0);
}

static void drop(enum abi_device_id device)
{
	uint64_t releases = lib_device(device).releases;

	CHECK_EQUAL(lib_edit(EDIT_REMOVE, device, 0), 0);
	CHECK_EQUAL(lib_device(device).releases, releases + 1);
}

/* Every length of instruction, every size: each write rings once, and leaves registers and flags alone. */
static void ring_in_every_form(uint64_t at)
{
	uint64_t rax = 0x1122334455667788, flags_before, flags_after;

	__asm__ volatile("stc\n\tpushfq\n\tpop %0\n\t"
			 "movb %%al, (%3)\n\t"
			 "movw %%ax, 2(%3)\n\t"
			 "movl %%eax, 0x123(%3)\n\t"
			 "movq %%rax, 8(%3)\n\t"
			 "movl $0x12345678, (%3)\n\t"
			 "movq $0x12345678, %%cs:0x100(%3)\n\t"
			 "movnti %%rax, 16(%3)\n\t"
			 "movb %%ah, 1(%3, %4, 8)\n\t"
			 "pushfq\n\tpop %1"
			 : "=&r"(flags_before), "=&r"(flags_after), "+a"(rax)
			 : "D"(at), "c"(3ull)
			 : "memory", "cc");
	CHECK_EQUAL(rax, 0x1122334455667788);
	CHECK_EQUAL(flags_after, flags_before);
}

static void check_bell(bool decoded)
{
	uint64_t rings;

	add(DEVICE_BELL0, DEVICE_BELL0_AT);
	rings = lib_device(DEVICE_BELL0).rings;
	for (unsigned i = 0; i < ROUNDS; i++)
		ring_in_every_form(DEVICE_BELL0_AT);
	CHECK_EQUAL(lib_device(DEVICE_BELL0).rings - rings, 8 * ROUNDS);
	/* A read rings as well: undecoded it leaves its register, decoded it gives ones. */
	rings = lib_device(DEVICE_BELL0).rings;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t value = 0x55;

		__asm__ volatile("movl (%1), %%eax" : "+a"(value) : "D"(DEVICE_BELL0_AT) : "memory");
		CHECK_EQUAL(value, decoded ? 0xffffffff : 0x55);
	}
	CHECK_EQUAL(lib_device(DEVICE_BELL0).rings - rings, 2);
	/* Stale: found by a search, and rings as before. */
	rings = lib_device(DEVICE_BELL0).rings;
	CHECK_EQUAL(lib_edit(EDIT_INVALIDATE, DEVICE_BELL0, 0), 0);
	write32(DEVICE_BELL0_AT, 1);
	CHECK_EQUAL(lib_device(DEVICE_BELL0).rings - rings, 1);
	drop(DEVICE_BELL0);
	write32(DEVICE_BELL0_AT, 1);
	CHECK_EQUAL(read32(DEVICE_BELL0_AT), 0xffffffff);
	CHECK_EQUAL(lib_device(DEVICE_BELL0).rings - rings, 1);
}

/* What matches rings, and does not reach the registers behind it; what does not match does the reverse. */
static void check_match(void)
{
	uint64_t rings;

	add(DEVICE_MATCH, DEVICE_MATCH_AT);
	rings = lib_device(DEVICE_MATCH).rings;
	for (unsigned i = 0; i < ROUNDS; i++) {
		write32(DEVICE_MATCH_AT + ABI_MATCH_AT, ABI_MATCH_VALUE);
		write32(DEVICE_MATCH_AT + ABI_MATCH_AT, ABI_MATCH_VALUE + 1 + i);
		CHECK_EQUAL(read32(DEVICE_MATCH_AT + ABI_MATCH_AT), ABI_MATCH_VALUE + 1 + i);
		write64(DEVICE_MATCH_AT + ABI_MATCH_AT, ABI_MATCH_VALUE);
		write32(DEVICE_MATCH_AT + ABI_MATCH_AT + 8, ABI_MATCH_VALUE);
	}
	CHECK_EQUAL(lib_device(DEVICE_MATCH).rings - rings, ROUNDS);
	drop(DEVICE_MATCH);
}

static void check_shadow(void)
{
	uint64_t rings;

	add(DEVICE_SHADOW, DEVICE_SHADOW_AT);
	rings = lib_device(DEVICE_SHADOW).rings;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned size = 1u << lib_random_below(4), offset = lib_random_below(0x1000 - 8);
		uint64_t value = lib_random() & lib_mask(size);

		lib_write(DEVICE_SHADOW_AT + offset, value, size);
		/* The bank behind it has the shadow for its registers. */
		CHECK_EQUAL(lib_read(DEVICE_SHADOW_AT + offset, size), value);
	}
	CHECK_EQUAL(lib_device(DEVICE_SHADOW).rings - rings, ROUNDS);
	drop(DEVICE_SHADOW);
}

/* Writes arrive late but in order, all of them, whatever their number; a read sees them all. */
static void check_coalesced(enum abi_device_id device, uint64_t at)
{
	uint64_t coalesced = lib_stats().coalesced, writes;

	add(device, at);
	writes = lib_device(device).writes;
	for (unsigned count = 1; count <= 3 * RING_ENTRIES; count++) {
		for (unsigned i = 0; i < count; i++)
			write32(at + 4 * (i % 5), count << 8 | i);
		for (unsigned i = count > 5 ? count - 5 : 0; i < count; i++)
			CHECK_EQUAL(read32(at + 4 * (i % 5)), count << 8 | i);
		writes += count;
		CHECK_EQUAL(lib_device(device).writes, writes);
	}
	CHECK(lib_stats().coalesced - coalesced > 3 * RING_ENTRIES);
	/* Nothing has come before it is asked for. */
	write32(at, 1);
	CHECK_EQUAL(lib_device(device).writes, writes);
	CHECK_EQUAL(read32(at), 1);
	drop(device);
}

/* A device of 4-byte registers: wider accesses are split, others have no effect and read ones. */
static void check_sized(void)
{
	struct abi_device before;

	add(DEVICE_SIZED, DEVICE_SIZED_AT);
	before = lib_device(DEVICE_SIZED);
	write64(DEVICE_SIZED_AT, 0x1122334455667788);
	CHECK_EQUAL(read64(DEVICE_SIZED_AT), 0x1122334455667788);
	CHECK_EQUAL(lib_device(DEVICE_SIZED).writes - before.writes, 2);
	CHECK_EQUAL(lib_device(DEVICE_SIZED).reads - before.reads, 2);
	write8(DEVICE_SIZED_AT, 0);
	write16(DEVICE_SIZED_AT + 2, 0);
	CHECK_EQUAL(read8(DEVICE_SIZED_AT), 0xff);
	CHECK_EQUAL(read16(DEVICE_SIZED_AT + 2), 0xffff);
	/* Two bytes, a register, two bytes. */
	CHECK_EQUAL(read64(DEVICE_SIZED_AT + 2), 0xffff11223344ffff);
	CHECK_EQUAL(read32(DEVICE_SIZED_AT), 0x55667788);
	CHECK(lib_stats().refused_sizes > 0);
	drop(DEVICE_SIZED);
}

/* Reads without exits, and a write is a command. */
static void check_flash(void)
{
	struct abi_stats before;

	add(DEVICE_FLASH, DEVICE_FLASH_AT);
	CHECK_EQUAL(read32(DEVICE_FLASH_AT), 0);
	before = lib_stats();
	for (unsigned i = 0; i < ROUNDS; i++)
		CHECK_EQUAL(read64(DEVICE_FLASH_AT + 8 * i), 0);
	CHECK_EQUAL(lib_stats().fresh + lib_stats().stale, before.fresh + before.stale);
	for (unsigned i = 0; i < ROUNDS; i++)
		write32(DEVICE_FLASH_AT + 4 * i, i);
	CHECK_EQUAL(lib_device(DEVICE_FLASH).writes, ROUNDS);
	CHECK_EQUAL(read32(DEVICE_FLASH_AT + 40), 0);
	drop(DEVICE_FLASH);
}

int main(const struct mb1_info *info)
{
	check_bell(lib_word(info, "decoded"));
	check_match();
	check_shadow();
	check_coalesced(DEVICE_COALESCED, DEVICE_COALESCED_AT);
	check_coalesced(DEVICE_LATE, DEVICE_LATE_AT);
	check_sized();
	check_flash();
	return 0;
}
