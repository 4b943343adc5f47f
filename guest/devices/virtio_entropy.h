/* SPDX-License-Identifier: MIT */
/* A source of random bytes: virtio 1.2, 5.4. */
#ifndef GUEST_DEVICES_VIRTIO_ENTROPY_H
#define GUEST_DEVICES_VIRTIO_ENTROPY_H

#include "guest/devices/virtio_mmio.h"

struct virtio_entropy {
	struct virtio_mmio virtio;
	/* Fills the bytes; called with the lock held. */
	void (*fill)(void *context, uint8_t *bytes, size_t size);
	void *context;
};

void virtio_entropy_init(struct virtio_entropy *entropy, struct virtio_place place,
			 void (*fill)(void *context, uint8_t *bytes, size_t size), void *context);

#endif
