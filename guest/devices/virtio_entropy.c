/* SPDX-License-Identifier: MIT */
#include "guest/devices/virtio_entropy.h"

/* A device may give less than it is asked for (5.4.6.1), and random bytes cost the host. */
enum { ENTROPY_DEVICE = 4, MOST_GIVEN = 256 };

static bool entropy_serve(struct virtio_mmio *virtio, unsigned queue, const struct virtio_chain *chain,
			  uint32_t *written)
{
	struct virtio_entropy *entropy = virtio->device;
	uint64_t size = chain->writable < MOST_GIVEN ? chain->writable : MOST_GIVEN;
	uint8_t bytes[MOST_GIVEN];

	(void)queue;
	/* All buffers are for the device to write, and there is at least a byte (5.4.6). */
	if (chain->readable || !size)
		return false;
	entropy->fill(entropy->context, bytes, size);
	*written = (uint32_t)size;
	return virtio_chain_write(chain, virtio->place.vm, 0, bytes, size);
}

static const struct virtio_model entropy_model = {.id = ENTROPY_DEVICE, .nr_queues = 1, .serve = entropy_serve};

void virtio_entropy_init(struct virtio_entropy *entropy, struct virtio_place place,
			 void (*fill)(void *context, uint8_t *bytes, size_t size), void *context)
{
	*entropy = (struct virtio_entropy){.fill = fill, .context = context};
	entropy->virtio = (struct virtio_mmio){.place = place, .model = &entropy_model, .device = entropy};
}
