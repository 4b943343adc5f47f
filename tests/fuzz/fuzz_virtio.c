/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices with hostile drivers: any registers written in any order, rings of any content anywhere, which another
 * CPU changes at the device's own accesses. The device reads and writes the guest's memory and its own disk and nothing
 * else, does so much at a time, and once it has asked to be reset does nothing until it is.
 */
#include "guest/devices/virtio_block.h"
#include "guest/devices/virtio_console.h"
#include "guest/devices/virtio_entropy.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hostile.h"
#include "tests/unit/hosted.h"
#include "tests/unit/range_access.h"
#include <sanitizer/asan_interface.h>
#include <string.h>

enum { PAGE = 4096, RAM = 16 * PAGE, ROM_AT = 0x80000, DEVICE_AT = 0x100000, HOLE_AT = 0x180000 };
enum { DESCRIPTORS_AT = 0x1000, DRIVER_AT = 0x2000, DEVICE_RING_AT = 0x3000, AREAS = 0x4000, DATA_AT = 0xc000 };
enum { DISK = 8 * 512, MOST_STEPS = 40, QUEUES = 2, NEEDS_RESET = 0x40 };
enum { CHAINS_AT_ONCE = 32, BYTES_AT_ONCE = 1 << 20, CONSOLE_CHAIN = 64 << 10 };
enum { REG_NOTIFY = 0x50, REG_ACKNOWLEDGE = 0x64, REG_STATUS = 0x70 };

struct descriptor {
	uint64_t gpa;
	uint32_t size;
	uint16_t flags, next;
};

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};

static uint8_t *ram, shadow[RAM] __attribute__((aligned(8)));
static struct fuzz_input input;
static struct tl_vm *vm;
static struct lock lock;
static bool raised, read_only, feeding;
static unsigned long nr_put, nr_filled;
static uint8_t *disk, disk_before[DISK];

static struct virtio_block block;
static struct virtio_console console;
static struct virtio_entropy entropy;
static struct virtio_mmio *virtio;
static struct tl_range registers;

static void set_line(void *context, unsigned pin, bool level)
{
	(void)context, (void)pin;
	fuzz_require(atomic_load(&lock.held));
	raised = level;
}

static void store(uint64_t at, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint64_t to = (at + i) % RAM, shift = 8 * (to % 8);

		hostile_poke(to / 8, (uint64_t)((const uint8_t *)bytes)[i] << shift, 0xffull << shift);
	}
}

static void offer(unsigned queue, uint16_t head)
{
	uint64_t ring = DRIVER_AT + AREAS * queue;
	uint32_t size = virtio->queue[queue].size;
	uint16_t index;

	memcpy(&index, ram + ring + 2, sizeof(index));
	store(ring + 4 + 2 * (size ? index % size : 0), &head, sizeof(head));
	index++;
	store(ring + 2, &index, sizeof(index));
}

/* Another CPU is quick: it changes memory while the device is in the middle of a chain. */
static void another_cpu(void)
{
	uint8_t how = fuzz_take8(&input);
	uint16_t word = fuzz_take16(&input);

	if (how & 1)
		hostile_poke(word, fuzz_hash(how), fuzz_hash(word));
	/* Or makes more and more chains available. */
	feeding |= (how & 6) == 6;
	if (feeding)
		offer(0, 0);
}

static void put(void *context, uint8_t byte)
{
	(void)context, (void)byte;
	if (nr_put++ % 64 == 0)
		another_cpu();
}

static void fill(void *context, uint8_t *bytes, size_t size)
{
	(void)context;
	fuzz_require(size && size <= 256);
	memset(bytes, fuzz_take8(&input), size);
	nr_filled++;
	another_cpu();
}

static void start(void)
{
	hosted_start();
	ram = hosted_memory(0);
	ASAN_POISON_MEMORY_REGION(ram + RAM, 16 * PAGE);
	hostile = (struct hostile){.memory = ram, .shadow = shadow, .size = RAM};
}

static void make_vm(void)
{
	const struct tl_range ranges[] = {
		{.kind = TL_RANGE_RAM, .start = 0, .size = RAM, .host = ram},
		{.kind = TL_RANGE_ROM, .start = ROM_AT, .size = PAGE, .host = hosted_memory(RAM + 16 * PAGE)},
		{.kind = TL_RANGE_MMIO, .start = DEVICE_AT, .size = PAGE},
	};
	enum tl_status status;
	struct tl_edit *edit;

	vm = tl_vm_create(NULL, &status);
	fuzz_require(vm);
	edit = tl_map_edit(vm);
	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		fuzz_require(tl_map_add(edit, &ranges[i], NULL) == TL_OK);
	fuzz_require(tl_map_commit(edit) == TL_OK);
}

static void make_device(uint8_t how)
{
	const struct virtio_place place = {vm, &lock, {set_line, NULL, 0}};

	read_only = how & 4;
	disk = malloc(DISK);
	fuzz_require(disk);
	memset(disk, 0xd1, DISK);
	memcpy(disk_before, disk, DISK);
	virtio_block_init(&block, place, disk, DISK, read_only, "fuzzed");
	virtio_console_init(&console, place, put, NULL);
	virtio_entropy_init(&entropy, place, fill, NULL);
	virtio = (how & 3) == 0 ? &entropy.virtio : (how & 3) == 1 ? &console.virtio : &block.virtio;
	registers = virtio_mmio_range(virtio, 0xd0000000);
	nr_put = nr_filled = 0;
	raised = feeding = false;
}

/* ---- Accesses ---- */

static uint64_t do_access(uint64_t offset, unsigned size, bool write, uint64_t data)
{
	struct tl_mmio access = {.gpa = registers.start + offset,
				 .offset = offset,
				 .size = size,
				 .write = write,
				 .data = data,
				 .context = registers.context};
	bool broken = virtio->status & NEEDS_RESET;
	unsigned long put_before = nr_put, filled_before = nr_filled;

	hostile_resume();
	fuzz_require(range_access(&registers, &access) == TL_OK);
	hostile_disarm();
	fuzz_require(!atomic_load(&lock.held));
	/* So much at once, and nothing when it is broken. */
	fuzz_require(nr_filled - filled_before <= CHAINS_AT_ONCE);
	fuzz_require(nr_put - put_before <= BYTES_AT_ONCE + CONSOLE_CHAIN);
	if (broken)
		fuzz_require(nr_filled == filled_before && nr_put == put_before);
	if (broken && !(write && offset == REG_STATUS))
		fuzz_require(virtio->status & NEEDS_RESET);
	fuzz_require(raised == (virtio->interrupt_status != 0));
	return access.data;
}

static void set(uint64_t reg, uint32_t value)
{
	do_access(reg, 4, true, value);
}

/* By the book: so that what follows reaches the rings. */
static void begin(uint8_t how)
{
	static const uint32_t sizes[] = {1, 2, 8, 128};

	set(REG_STATUS, 0);
	set(REG_STATUS, 3);
	set(0x24, 1);
	set(0x20, 1);
	set(0x24, 0);
	set(0x20, how & 8 ? 1u << 28 : 0);
	set(REG_STATUS, 11);
	for (uint32_t queue = 0; queue < QUEUES; queue++) {
		set(0x30, queue);
		set(0x38, sizes[how >> 4 & 3]);
		set(0x80, DESCRIPTORS_AT + AREAS * queue);
		set(0x90, DRIVER_AT + AREAS * queue);
		set(0xa0, DEVICE_RING_AT + AREAS * queue);
		set(0x44, 1);
	}
	if (how & 0x40)
		set(REG_STATUS, 15);
}

/* An address: mostly of data or of the rings themselves. */
static uint64_t take_address(void)
{
	static const uint64_t edges[] = {RAM - 8, RAM,        ROM_AT,         DEVICE_AT,
					 HOLE_AT, 1ull << 52, UINT64_MAX - 7, UINT64_MAX};
	uint8_t how = fuzz_take8(&input);

	if (how < 0x60)
		return DATA_AT + how * 16ull;
	if (how < 0xc0)
		return fuzz_take16(&input);
	if (how < 0xf0)
		return edges[how % 8] + (how >> 3 & 1);
	return fuzz_take(&input, 8);
}

static uint32_t take_size(void)
{
	static const uint32_t sizes[] = {0,   1,   8,    15,   16,    17,      32,       64,
					 512, 513, 1024, 4096, 65536, 1 << 20, 16 << 20, UINT32_MAX};
	uint8_t how = fuzz_take8(&input);

	return how < 0x80 ? sizes[how % 16] : how < 0xf0 ? how : (uint32_t)fuzz_take(&input, 4);
}

static void write_descriptor(void)
{
	struct descriptor descriptor;
	uint8_t place = fuzz_take8(&input), how = fuzz_take8(&input);
	uint64_t table = DESCRIPTORS_AT + (place & 0x40 ? AREAS : 0);

	descriptor.gpa = take_address();
	descriptor.size = take_size();
	descriptor.flags = how & 7;
	descriptor.next = how & 0x80 ? fuzz_take16(&input) : how >> 3 & 15;
	/* Or of an indirect table. */
	if (place & 0x80)
		table = DATA_AT;
	store(table + (place & 15) * 16, &descriptor, sizeof(descriptor));
}

static void offer_chain(void)
{
	uint8_t how = fuzz_take8(&input);

	offer(how >> 6 & 1, how & 0x80 ? fuzz_take16(&input) : how & 15);
}

/* A request as drivers make them: the place of its data, and its size, are any. */
static void offer_disk_request(void)
{
	struct descriptor part[] = {{DATA_AT, 16, 1, 1}, {0, 0, 1, 2}, {DATA_AT + 16, 1, 2, 0}};
	struct header header = {0};

	header.type = fuzz_take8(&input) % 12u;
	header.sector = fuzz_take8(&input) % 10u;
	part[1].gpa = take_address();
	part[1].size = take_size();
	part[1].flags |= header.type & 1 ? 0 : 2;
	store(DATA_AT, &header, sizeof(header));
	store(DESCRIPTORS_AT, part, sizeof(part));
	offer(0, 0);
}

/* The same buffer a few times over; it is read by a console. */
static void offer_request(void)
{
	unsigned queue = virtio == &console.virtio, count = 1 + fuzz_take8(&input) % 32u;
	struct descriptor part = {.gpa = take_address()};

	part.size = take_size();
	for (unsigned i = 0; i < count; i++) {
		part.flags = (uint16_t)((queue ? 0 : 2) | (i + 1 < count ? 1 : 0));
		part.next = (uint16_t)(i + 1);
		store(DESCRIPTORS_AT + AREAS * queue + i * sizeof(part), &part, sizeof(part));
	}
	offer(queue, 0);
}

static void write_header(void)
{
	struct header header = {.type = fuzz_take8(&input) % 12u};

	header.sector = fuzz_take8(&input) % 10u;
	store(take_address(), &header, sizeof(header));
}

static void step(void)
{
	uint8_t how = fuzz_take8(&input);
	size_t at;

	switch (how % 14) {
	case 0:
	case 1:
	case 2:
		write_descriptor();
		break;
	case 3:
		write_header();
		break;
	case 4:
	case 5:
		offer_chain();
		break;
	case 6:
	case 7:
		set(REG_NOTIFY, how >> 4);
		break;
	case 8:
		set(REG_ACKNOWLEDGE, how >> 4);
		break;
	case 9:
		at = fuzz_take16(&input);
		hostile_poke(at, fuzz_take(&input, 8), UINT64_MAX);
		break;
	case 10:
	case 11:
		if (virtio == &block.virtio)
			offer_disk_request();
		else
			offer_request();
		break;
	case 12:
		hostile_resume();
		for (unsigned i = how >> 4; i < 16; i++)
			virtio_console_input(&console, how);
		hostile_disarm();
		break;
	default:
		at = how & 0x80 ? fuzz_take8(&input) * 4u : fuzz_take16(&input) % (PAGE - 8);
		do_access(at, how & 0x80 ? 1u << (how >> 4 & 3) : 1u + (how >> 4 & 7), how & 0x40,
			  fuzz_take(&input, 4));
		break;
	}
}

static void take_change(struct hostile_change *change, uint64_t mask)
{
	change->after = fuzz_take8(&input);
	change->word = fuzz_take16(&input);
	change->value = fuzz_take(&input, 8);
	change->mask = mask;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t how;

	input = (struct fuzz_input){data, size};
	if (!ram)
		start();
	memset(ram, 0, RAM);
	memset(shadow, 0, RAM);
	make_vm();
	make_device(fuzz_take8(&input));
	hostile.nr_changes = fuzz_take8(&input) % (HOSTILE_MAX_CHANGES + 1);
	for (unsigned i = 0; i < hostile.nr_changes; i++)
		take_change(&hostile.change[i], fuzz_hash(i));
	hostile_arm();
	hostile_disarm();
	how = fuzz_take8(&input);
	if (how & 0x80)
		begin(how & 0x7f);
	for (unsigned i = 0; i < MOST_STEPS && input.left; i++)
		step();
	if (read_only)
		fuzz_require(memcmp(disk, disk_before, DISK) == 0);
	free(disk);
	fuzz_require(tl_vm_destroy(vm) == TL_OK);
	fuzz_require(hosted.pages_out == 0);
	return 0;
}
