/* SPDX-License-Identifier: MIT */
#include "guest/devices/pci_test_device.h"

enum { TESTS = 3, KINDS = 2, NONE = TESTS * KINDS, NAME_SIZE = 24 };
enum { MATCHED = 0xfa, ANY = 0xce, WILDCARD = 1, MEMORY_FIRST = 2048, IO_FIRST = 128 };

/* What stands in the registers of a chosen test: QEMU's docs/specs/pci-testdev. */
struct header {
	uint8_t test, width, reserved[2];
	uint32_t offset;
	uint8_t data, reserved2[3];
	uint32_t count;
	char name[NAME_SIZE];
};

static const char names[TESTS * KINDS][NAME_SIZE] = {
	"mmio-no-eventfd",   "mmio-wildcard-eventfd",   "mmio-datamatch-eventfd",
	"portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd",
};

static uint32_t pci_test_offset(unsigned test)
{
	return (test < TESTS ? MEMORY_FIRST : IO_FIRST) + test;
}

static uint8_t pci_test_read_byte(const struct pci_test_device *device, uint64_t offset)
{
	struct header header = {
		.test = (uint8_t)device->test,
		.width = 1,
		.offset = pci_test_offset(device->test),
		.data = device->test % TESTS == WILDCARD ? ANY : MATCHED,
		.count = device->count,
	};
	const uint8_t *bytes = (const uint8_t *)&header;

	if (device->test >= NONE || offset >= sizeof(header))
		return 0;
	for (unsigned i = 0; i < NAME_SIZE; i++)
		header.name[i] = names[device->test][i];
	return bytes[offset];
}

static void pci_test_write_byte(struct pci_test_device *device, unsigned kind, uint64_t offset, uint8_t value)
{
	if (offset == 0) {
		device->test = value < TESTS ? kind * TESTS + value : NONE;
		device->count = 0;
	} else if (offset == pci_test_offset(device->test) && (device->test % TESTS == WILDCARD || value == MATCHED)) {
		device->count++;
	}
}

static uint64_t pci_test_read(struct pci_test_device *device, uint64_t offset, unsigned size)
{
	uint64_t data = 0;

	lock_acquire(device->lock);
	for (unsigned i = 0; i < size; i++)
		data |= (uint64_t)pci_test_read_byte(device, offset + i) << (8 * i);
	lock_release(device->lock);
	return data;
}

static void pci_test_write(struct pci_test_device *device, unsigned kind, uint64_t offset, unsigned size, uint64_t data)
{
	lock_acquire(device->lock);
	for (unsigned i = 0; i < size; i++)
		pci_test_write_byte(device, kind, offset + i, (uint8_t)(data >> (8 * i)));
	lock_release(device->lock);
}

static enum tl_status pci_test_access(struct tl_mmio *access)
{
	if (access->write)
		pci_test_write(access->context, 0, access->offset, access->size, access->data);
	else
		access->data = pci_test_read(access->context, access->offset, access->size);
	return TL_OK;
}

static uint32_t pci_test_io_read(void *context, uint16_t offset, unsigned size)
{
	return (uint32_t)pci_test_read(context, offset, size);
}

static void pci_test_io_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	pci_test_write(context, 1, offset, size, data);
}

static bool pci_test_commit(struct pci_test_device *device, uint32_t at)
{
	struct tl_range range = pci_test_device_range(device, at);
	struct tl_edit *edit = tl_map_edit(device->vm);
	enum tl_status status;

	if (!edit)
		return false;
	if (at == PCI_NOWHERE)
		status = tl_map_remove(edit, device->id);
	else if (device->id == TL_HOLE)
		status = tl_map_add(edit, &range, &device->id);
	else
		status = tl_map_move(edit, device->id, at);
	if (status >= TL_OK)
		return tl_map_commit(edit) >= TL_OK;
	tl_map_discard(edit);
	return false;
}

/* What does not fit into the map, over memory or another device, answers nowhere: a guest sees ones. */
static void pci_test_placed(void *context, unsigned bar, uint32_t at)
{
	struct pci_test_device *device = context;

	(void)bar;
	if (at != PCI_NOWHERE && pci_test_commit(device, at))
		return;
	if (device->id != TL_HOLE && pci_test_commit(device, PCI_NOWHERE))
		device->id = TL_HOLE;
}

struct tl_range pci_test_device_range(struct pci_test_device *device, uint64_t gpa)
{
	return (struct tl_range){.kind = TL_RANGE_MMIO,
				 .start = gpa,
				 .size = PCI_TEST_MEMORY,
				 .access = pci_test_access,
				 .context = device};
}

void pci_test_device_init(struct pci_test_device *device, struct lock *lock, struct tl_vm *vm)
{
	*device = (struct pci_test_device){.lock = lock, .vm = vm, .id = TL_HOLE, .test = NONE};
	pci_function_init(&device->function, 0x1b36, 0x0005, 0xff0000);
	pci_function_add_bar(&device->function, PCI_TEST_MEMORY_BAR, PCI_TEST_MEMORY, false);
	pci_function_add_bar(&device->function, PCI_TEST_IO_BAR, PCI_TEST_IO, true);
	device->function.placed = pci_test_placed;
	device->function.io_read = pci_test_io_read;
	device->function.io_write = pci_test_io_write;
	device->function.context = device;
}
