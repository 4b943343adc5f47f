/* SPDX-License-Identifier: MIT */
/* The disk: virtio 1.2, 5.2.6. */
#include "guest/devices/virtio_block.h"

#include "tests/unit/hosted.h"
#include "tests/unit/virtio_driver.h"

enum { SECTOR = 512, SECTORS = 64, GUARD = SECTOR };
enum { HEADER_AT = 0x8000, DATA_AT = 0x20000, STATUS_AT = 0x9000 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11 };
enum { OK = 0, ERROR = 1, UNSUPPORTED = 2, UNTOUCHED = 0xee };

static struct virtio_block block;
static uint8_t memory[GUARD + SECTORS * SECTOR + GUARD], before[sizeof(memory)];
static uint8_t *const disk = memory + GUARD;

static void begin(bool read_only)
{
	/* What does not fill a sector is no part of it. */
	virtio_block_init(&block, virtio_guest_place(), disk, SECTORS * SECTOR + 100, read_only,
			  "a name of 26 characters...");
	driver_attach(&block.virtio);
	driver_begin(RING_INDIRECT);
}

static int start(void **context)
{
	virtio_guest_start(context);
	random_seed(3);
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)random_next();
	memcpy(before, memory, sizeof(memory));
	begin(false);
	return 0;
}

static void disk_is_unchanged(void)
{
	assert_memory_equal(memory, before, sizeof(memory));
}

static void put_header(uint32_t type, uint64_t sector)
{
	const struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {type, 0, sector};

	memcpy(virtio_guest_bytes(HEADER_AT), &header, sizeof(header));
	*virtio_guest_bytes(STATUS_AT) = UNTOUCHED;
}

/* One request of three buffers; its status. */
static uint8_t request(uint32_t type, uint64_t sector, uint32_t size)
{
	uint16_t head;

	put_header(type, sector);
	head = driver_buffer(0, HEADER_AT, 16, D_NEXT);
	if (size)
		driver_buffer(0, DATA_AT, size, type == OUT ? D_NEXT : D_NEXT | D_WRITE);
	driver_buffer(0, STATUS_AT, 1, D_WRITE);
	driver_offer(0, head);
	driver_notify(0);
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, 0);
	return *virtio_guest_bytes(STATUS_AT);
}

static void reads(void **context)
{
	(void)context;
	for (uint32_t sector = 0; sector < SECTORS; sector += 7) {
		uint32_t size = SECTOR * (1 + sector % 3);

		if (sector + size / SECTOR > SECTORS)
			continue;
		memset(virtio_guest_bytes(DATA_AT), 0, 4096);
		assert_int_equal(request(IN, sector, size), OK);
		assert_int_equal(driver_last_written(0), size + 1);
		assert_memory_equal(virtio_guest_bytes(DATA_AT), disk + sector * SECTOR, size);
		assert_int_equal(*virtio_guest_bytes(DATA_AT + size), 0);
	}
	disk_is_unchanged();
	assert_int_equal(block.requests, 10);
	assert_int_equal(block.read, 19);
}

static void writes(void **context)
{
	(void)context;
	for (uint32_t sector = 0; sector < SECTORS; sector += 9) {
		memset(virtio_guest_bytes(DATA_AT), (int)sector + 1, SECTOR);
		assert_int_equal(request(OUT, sector, SECTOR), OK);
		assert_int_equal(driver_last_written(0), 1);
		memset(before + GUARD + sector * SECTOR, (int)sector + 1, SECTOR);
	}
	assert_int_equal(request(FLUSH, 0, 0), OK);
	disk_is_unchanged();
	assert_int_equal(block.written, 8);
}

static void is_not_written_where_it_may_not(void **context)
{
	(void)context;
	begin(true);
	assert_int_equal(request(OUT, 0, SECTOR), ERROR);
	assert_int_equal(request(IN, 0, SECTOR), OK);
	disk_is_unchanged();
}

static void tells_its_name(void **context)
{
	(void)context;
	memset(virtio_guest_bytes(DATA_AT), 0xcc, 64);
	assert_int_equal(request(GET_ID, 0, 20), OK);
	assert_memory_equal(virtio_guest_bytes(DATA_AT), "a name of 26 charact", 20);
	assert_int_equal(*virtio_guest_bytes(DATA_AT + 20), 0xcc);
	memset(virtio_guest_bytes(DATA_AT), 0xcc, 64);
	assert_int_equal(request(GET_ID, 0, 6), OK);
	assert_memory_equal(virtio_guest_bytes(DATA_AT), "a name\xcc", 7);
	assert_int_equal(request(GET_ID, 0, 40), OK);
	assert_int_equal(*virtio_guest_bytes(DATA_AT + 20), 0xcc);
}

static void ends_where_it_ends(void **context)
{
	static const struct {
		uint64_t sector;
		uint32_t size;
		uint8_t status;
	} each[] = {
		{SECTORS - 1, SECTOR, OK},
		{0, SECTORS * SECTOR, OK},
		{SECTORS, SECTOR, ERROR},
		{SECTORS - 1, 2 * SECTOR, ERROR},
		{0, (SECTORS + 1) * SECTOR, ERROR},
		{~0ull, SECTOR, ERROR},
		{~0ull / SECTOR, SECTOR, ERROR},
		{1ull << 55, SECTOR, ERROR},
		{0, SECTOR - 1, ERROR},
		{0, SECTOR + 1, ERROR},
		{0, 1, ERROR},
	};

	(void)context;
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		assert_int_equal(request(IN, each[i].sector, each[i].size), each[i].status);
		if (each[i].status != OK) {
			assert_int_equal(driver_last_written(0), 0);
			assert_int_equal(request(OUT, each[i].sector, each[i].size), each[i].status);
		}
	}
	disk_is_unchanged();
	assert_int_equal(request(IN, SECTORS, 0), OK);
	assert_int_equal(request(DISCARD, 0, SECTOR), UNSUPPORTED);
	assert_int_equal(request(0x80000000, 0, SECTOR), UNSUPPORTED);
}

/* A header, data and a status that begin and end anywhere in the buffers (2.7.4). */
static void does_not_mind_how_it_is_cut(void **context)
{
	enum { ROUNDS = 3000, MOST = 3 * SECTOR };
	static uint8_t image[16 + MOST + 1], plain[MOST];

	(void)context;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t type = (uint32_t)random_below(2), size = SECTOR * (uint32_t)(1 + random_below(3)), at = 0;
		uint64_t sector = random_below(SECTORS - 2), gpa = DATA_AT;
		uint32_t readable = type == OUT ? 16 + size : 16, all = 16 + size + 1;
		uint16_t head = driver_queue[0].next;

		put_header(type, sector);
		memcpy(image, virtio_guest_bytes(HEADER_AT), 16);
		for (uint32_t i = 0; i < size; i++)
			plain[i] = (uint8_t)random_next();
		memcpy(image + 16, plain, size);
		/* At most six pieces: cuts by chance, and one where reading ends. */
		for (unsigned pieces = 0; at < all; pieces++) {
			uint32_t end = at < readable ? readable : all;
			uint32_t here = pieces < 3 && end - at > 1 ? 1 + (uint32_t)random_below(end - at) : end - at;

			if (at < readable)
				memcpy(virtio_guest_bytes(gpa), image + at, here);
			driver_buffer(0, gpa, here,
				      (uint16_t)((at < readable ? 0 : D_WRITE) | (at + here < all ? D_NEXT : 0)));
			at += here;
			gpa += here + random_below(5000);
		}
		driver_offer(0, head);
		driver_notify(0);
		assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, 0);
		assert_int_equal(driver_last_written(0), type == OUT ? 1 : size + 1);
		if (type == OUT)
			memcpy(before + GUARD + sector * SECTOR, plain, size);
		disk_is_unchanged();
		/* What was read comes together again, with the status behind it. */
		for (uint32_t done = readable, piece = head; done < all; piece = (piece + 1) % DRIVER_QUEUE) {
			const struct driver_descriptor *part = &driver_queue[0].descriptor[piece];

			if (!(part->flags & D_WRITE))
				continue;
			memcpy(image + done, virtio_guest_bytes(part->gpa), part->size);
			done += part->size;
		}
		if (type == IN)
			assert_memory_equal(image + 16, disk + sector * SECTOR, size);
		assert_int_equal(image[all - 1], OK);
	}
}

static void expect_broken(void)
{
	driver_offer(0, 0);
	driver_notify(0);
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	disk_is_unchanged();
	driver_begin(0);
}

static void refuses_what_is_no_request(void **context)
{
	(void)context;
	put_header(IN, 0);
	driver_buffer(0, HEADER_AT, 15, D_NEXT);
	driver_buffer(0, STATUS_AT, 1, D_WRITE);
	expect_broken();
	driver_buffer(0, HEADER_AT, 16, 0);
	expect_broken();
	driver_buffer(0, HEADER_AT, 17, D_WRITE);
	expect_broken();
	/* What is read comes first. */
	driver_buffer(0, HEADER_AT, 17, D_NEXT | D_WRITE);
	driver_buffer(0, DATA_AT, 17, 0);
	expect_broken();
	/* Its header, its data, its status lie where there is no memory. */
	driver_buffer(0, GUEST_DEVICE_AT, 16, D_NEXT);
	driver_buffer(0, STATUS_AT, 1, D_WRITE);
	expect_broken();
	driver_buffer(0, HEADER_AT, 16, D_NEXT);
	driver_buffer(0, GUEST_ROM_AT, SECTOR, D_NEXT | D_WRITE);
	driver_buffer(0, STATUS_AT, 1, D_WRITE);
	expect_broken();
	driver_buffer(0, HEADER_AT, 16, D_NEXT);
	driver_buffer(0, DATA_AT, SECTOR, D_NEXT | D_WRITE);
	driver_buffer(0, GUEST_HOLE_AT, 1, D_WRITE);
	expect_broken();
	put_header(OUT, 0);
	driver_buffer(0, HEADER_AT, 16, D_NEXT);
	driver_buffer(0, GUEST_HOLE_AT, SECTOR, D_NEXT);
	driver_buffer(0, STATUS_AT, 1, D_WRITE);
	expect_broken();
	assert_int_equal(*virtio_guest_bytes(STATUS_AT), UNTOUCHED);
}

/* Many large requests are not served in one go; but all of them are when the driver does what it has to. */
static void does_large_ones_in_goes(void **context)
{
	enum { LARGE = 4 << 20, COUNT = 4 };
	uint8_t *large = hosted_memory(1ull << 30);
	unsigned goes = 1;

	(void)context;
	virtio_block_init(&block, virtio_guest_place(), large, LARGE, false, "");
	driver_begin(0);
	driver_set(REG_QUEUE_SELECT, 0);
	driver_set(REG_QUEUE_READY, 0);
	driver_set_up(0, 64);
	driver_queue[0].driver[0] = 1;
	put_header(IN, 0);
	for (unsigned i = 0; i < COUNT; i++) {
		uint16_t head = driver_buffer(0, HEADER_AT, 16, D_NEXT);

		driver_buffer(0, DATA_AT, 512 << 10, D_NEXT | D_WRITE);
		driver_buffer(0, STATUS_AT, 1, D_WRITE);
		driver_offer(0, head);
	}
	driver_notify(0);
	assert_int_equal(driver_returned(0), 2);
	for (; driver_get(REG_INTERRUPT) & 1; goes++)
		driver_set(REG_ACKNOWLEDGE, 1);
	assert_int_equal(driver_returned(0), COUNT);
	assert_int_equal(goes, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(writes, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(is_not_written_where_it_may_not, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(tells_its_name, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(ends_where_it_ends, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(does_not_mind_how_it_is_cut, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_request, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(does_large_ones_in_goes, start, virtio_guest_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
