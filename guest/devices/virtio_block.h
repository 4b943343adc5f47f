/* SPDX-License-Identifier: MIT */
/* A disk: virtio 1.2, 5.2, over bytes in the host's memory. */
#ifndef GUEST_DEVICES_VIRTIO_BLOCK_H
#define GUEST_DEVICES_VIRTIO_BLOCK_H

#include "guest/devices/virtio_mmio.h"

enum { VIRTIO_BLOCK_SECTOR = 512, VIRTIO_BLOCK_ID = 20 };

/* 5.2.4, as far as the features offered go. */
struct virtio_block_config {
	uint64_t sectors;
	uint32_t segment_size, segments;
	uint8_t geometry[4]; /* not offered */
	uint32_t block_size;
};

struct virtio_block {
	struct virtio_mmio virtio;
	struct virtio_block_config config;
	uint8_t *bytes;
	bool read_only;
	char id[VIRTIO_BLOCK_ID];         /* padded with zeros */
	uint64_t requests, read, written; /* served; sectors */
};

/*
 * A disk of `size` bytes at `bytes`, which stay the caller's; what does not fill a sector at the end is no part of it.
 * `id` is cut to 20 characters.
 */
void virtio_block_init(struct virtio_block *block, struct virtio_place place, void *bytes, uint64_t size,
		       bool read_only, const char *id);

#endif
