/* SPDX-License-Identifier: MIT */
/* A console: virtio 1.2, 5.3, with one port. */
#ifndef GUEST_DEVICES_VIRTIO_CONSOLE_H
#define GUEST_DEVICES_VIRTIO_CONSOLE_H

#include "guest/devices/byte_queue.h"
#include "guest/devices/virtio_mmio.h"

struct virtio_console {
	struct virtio_mmio virtio;
	void (*put)(void *context, uint8_t byte); /* what the guest sends; called with the lock held */
	void *context;
	struct byte_queue input;
};

void virtio_console_init(struct virtio_console *console, struct virtio_place place,
			 void (*put)(void *context, uint8_t byte), void *context);

/* Whether a driver has it, and it works. Takes the lock. Context: as below. */
bool virtio_console_is_driven(struct virtio_console *console);

/* A byte for the guest; false: so many wait that it has to be tried again later. Takes the lock. Context: host, or a
 * callback of a vCPU of the VM, but not `put`. */
bool virtio_console_input(struct virtio_console *console, uint8_t byte);

#endif
