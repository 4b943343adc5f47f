/* SPDX-License-Identifier: MIT */
/*
 * QEMU's pci-testdev, with which kvm-unit-tests measure accesses to registers by memory and by ports: a test is chosen
 * by writing its number, and counts the writes of one byte at the offset that its header names.
 */
#ifndef GUEST_DEVICES_PCI_TEST_DEVICE_H
#define GUEST_DEVICES_PCI_TEST_DEVICE_H

#include "guest/devices/pci_config.h"
#include <trapline.h>

enum { PCI_TEST_MEMORY_BAR = 0, PCI_TEST_IO_BAR = 1, PCI_TEST_MEMORY = 4096, PCI_TEST_IO = 256 };

struct pci_test_device {
	struct lock *lock;
	struct pci_function function;
	unsigned test; /* by memory first, then by ports; beyond the last one: none is chosen */
	uint32_t count;
	/* The map that its memory is put into, and where it stands there. */
	struct tl_vm *vm;
	tl_range_id id;
};

/* Precondition: the function is put into a bus afterwards. Where the guest puts its memory, a range comes into `vm`. */
void pci_test_device_init(struct pci_test_device *device, struct lock *lock, struct tl_vm *vm);

/* The range of its memory, at that address. */
struct tl_range pci_test_device_range(struct pci_test_device *device, uint64_t gpa);

#endif
