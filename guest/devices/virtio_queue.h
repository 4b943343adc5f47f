/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue as the device sees it: virtio 1.2, 2.7. All of it lies in the guest's memory and is the guest's to
 * write, so every index, length and address is checked each time it is read, and used as it was read. What breaks the
 * rules ends in VIRTIO_BROKEN, upon which the device asks to be reset.
 */
#ifndef GUEST_DEVICES_VIRTIO_QUEUE_H
#define GUEST_DEVICES_VIRTIO_QUEUE_H

#include <trapline.h>

/*
 * The largest queue, and so the longest chain; and the most bytes that a chain may describe. The specification has 4
 * GiB there: a driver does not come near, and the host copies with interrupts off.
 */
enum { VIRTIO_QUEUE_MOST = 128, VIRTIO_CHAIN_BYTES = 16 << 20 };

struct virtio_queue {
	uint64_t descriptors, driver, device; /* the three areas */
	uint32_t size;                        /* entries, as the driver has written it */
	bool ready, indirect;                 /* indirect descriptors have been negotiated */
	uint16_t taken, returned;             /* chains, modulo 2^16 */
};

struct virtio_buffer {
	uint64_t gpa;
	uint32_t size;
};

/* The buffers of one request: first those that the device reads, then those that it writes. */
struct virtio_chain {
	uint16_t head;
	unsigned nr_readable, nr_buffers;
	uint64_t readable, writable; /* bytes */
	struct virtio_buffer buffer[VIRTIO_QUEUE_MOST];
};

enum virtio_take { VIRTIO_TAKEN, VIRTIO_EMPTY, VIRTIO_BROKEN };

/* Begins with an empty queue. False: the driver has set it up wrongly. */
bool virtio_queue_start(struct virtio_queue *queue);

/* The next chain that the driver has made available. */
enum virtio_take virtio_queue_take(struct virtio_queue *queue, struct tl_vm *vm, struct virtio_chain *chain);

/*
 * Gives a chain back, into which the device has written so many bytes, and says in *interrupt whether the driver wants
 * to be interrupted. False: the used ring lies in no memory.
 */
bool virtio_queue_return(struct virtio_queue *queue, struct tl_vm *vm, const struct virtio_chain *chain,
			 uint32_t written, bool *interrupt);

/*
 * Copies out of what the device reads, or into what it writes, from a byte of it on. False: a buffer lies in no memory.
 * Precondition: there are so many bytes.
 */
bool virtio_chain_read(const struct virtio_chain *chain, struct tl_vm *vm, uint64_t offset, void *bytes, uint64_t size);
bool virtio_chain_write(const struct virtio_chain *chain, struct tl_vm *vm, uint64_t offset, const void *bytes,
			uint64_t size);

#endif
