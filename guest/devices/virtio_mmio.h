/* SPDX-License-Identifier: MIT */
/*
 * The MMIO transport of virtio 1.2 (4.2), version 2: the registers of one device, on a page of its own. A notification
 * is a register like the others, on their page, so it is served by the callback: a doorbell would have to be decoded,
 * too, which costs more than a fresh access to a device. A device is a model with its state: virtio_block.h,
 * virtio_console.h, virtio_entropy.h.
 */
#ifndef GUEST_DEVICES_VIRTIO_MMIO_H
#define GUEST_DEVICES_VIRTIO_MMIO_H

#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/virtio_queue.h"

enum { VIRTIO_MMIO_SIZE = 4096, VIRTIO_QUEUES_MOST = 2 };

struct virtio_mmio;

struct virtio_model {
	uint32_t id; /* virtio 1.2, 5 */
	unsigned nr_queues;
	/* Whether the device has a use for a buffer of that queue now. NULL: always. */
	bool (*wants)(const struct virtio_mmio *virtio, unsigned queue);
	/* Serves one chain; *written: the bytes written into it. False: it breaks the device's rules. Lock held. */
	bool (*serve)(struct virtio_mmio *virtio, unsigned queue, const struct virtio_chain *chain, uint32_t *written);
};

/* What a machine gives each device. */
struct virtio_place {
	struct tl_vm *vm;
	struct lock *lock; /* the machine's */
	struct line line;
};

struct virtio_mmio {
	struct virtio_place place;
	const struct virtio_model *model;
	void *device;       /* the model's own state */
	uint64_t features;  /* of the device, without those of every device of ours */
	const void *config; /* bytes of the device-specific configuration, constant */
	uint32_t config_size;

	uint64_t driver_features;
	uint32_t device_features_select, driver_features_select, queue_select, status, interrupt_status;
	struct virtio_queue queue[VIRTIO_QUEUES_MOST];
	struct virtio_chain chain; /* the one being served */
};

/* Precondition: the first five members are set, everything else is zero. The range, one page, to be put at `gpa`. */
struct tl_range virtio_mmio_range(struct virtio_mmio *virtio, uint64_t gpa);

/* Whether a driver has it, and nothing is broken. The lock is held. */
bool virtio_mmio_is_driven(const struct virtio_mmio *virtio);

/* Something happened in the device that makes it want buffers. Context: host or callback, the lock held. */
void virtio_mmio_serve(struct virtio_mmio *virtio);

#endif
