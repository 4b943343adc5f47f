/* SPDX-License-Identifier: MIT */
#include "guest/devices/virtio_queue.h"

#include <stdatomic.h>

/* The areas' layouts: 2.7.5, 2.7.6, 2.7.8. The device area begins with flags, which stay 0: every chain is notified. */
struct descriptor {
	uint64_t gpa;
	uint32_t size;
	uint16_t flags, next;
};

struct used_element {
	uint32_t head, written;
};

enum { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2, DESCRIPTOR_INDIRECT = 4 };
enum { DRIVER_FLAGS = 0, DRIVER_INDEX = 2, DRIVER_RING = 4, DEVICE_INDEX = 2, DEVICE_RING = 4 };
enum { DRIVER_NO_INTERRUPT = 1 };
enum { DESCRIPTORS_ALIGNED = 16, DRIVER_ALIGNED = 2, DEVICE_ALIGNED = 4 };

bool virtio_queue_start(struct virtio_queue *queue)
{
	queue->taken = queue->returned = 0;
	return queue->size && queue->size <= VIRTIO_QUEUE_MOST && !(queue->size & (queue->size - 1)) &&
	       queue->descriptors % DESCRIPTORS_ALIGNED == 0 && queue->driver % DRIVER_ALIGNED == 0 &&
	       queue->device % DEVICE_ALIGNED == 0;
}

/* False: one too many, one to be read behind one to be written, or more bytes than there may be. */
static bool chain_add(struct virtio_chain *chain, const struct descriptor *descriptor)
{
	bool writable = descriptor->flags & DESCRIPTOR_WRITE;

	if (chain->nr_buffers == VIRTIO_QUEUE_MOST || (!writable && chain->nr_readable < chain->nr_buffers))
		return false;
	chain->buffer[chain->nr_buffers++] = (struct virtio_buffer){descriptor->gpa, descriptor->size};
	if (writable) {
		chain->writable += descriptor->size;
	} else {
		chain->readable += descriptor->size;
		chain->nr_readable++;
	}
	return chain->readable + chain->writable <= VIRTIO_CHAIN_BYTES;
}

/* A loop comes to its end when there is no room for another buffer. */
static bool chain_collect(const struct virtio_queue *queue, struct tl_vm *vm, uint16_t head, struct virtio_chain *chain)
{
	uint64_t table = queue->descriptors;
	uint32_t entries = queue->size, index = head;
	bool indirect = false;
	struct descriptor at;

	chain->head = head;
	chain->nr_readable = chain->nr_buffers = 0;
	chain->readable = chain->writable = 0;
	for (;;) {
		if (index >= entries || !tl_mem_read(vm, table + index * sizeof(at), &at, sizeof(at)))
			return false;
		if (at.flags & DESCRIPTOR_INDIRECT) {
			/* A table of its own, whole, once, and as the last of the chain. */
			if (indirect || !queue->indirect || at.flags & DESCRIPTOR_NEXT || at.size % sizeof(at))
				return false;
			indirect = true;
			table = at.gpa;
			entries = at.size / sizeof(at);
			index = 0;
			continue;
		}
		if (!chain_add(chain, &at))
			return false;
		if (!(at.flags & DESCRIPTOR_NEXT))
			return true;
		index = at.next;
	}
}

enum virtio_take virtio_queue_take(struct virtio_queue *queue, struct tl_vm *vm, struct virtio_chain *chain)
{
	uint16_t index, head, waiting;

	if (!tl_mem_read(vm, queue->driver + DRIVER_INDEX, &index, sizeof(index)))
		return VIRTIO_BROKEN;
	/* acquire: what the driver stored before the index is read after it. */
	atomic_thread_fence(memory_order_acquire);
	waiting = (uint16_t)(index - queue->taken);
	if (!waiting)
		return VIRTIO_EMPTY;
	if (waiting > queue->size ||
	    !tl_mem_read(vm, queue->driver + DRIVER_RING + queue->taken % queue->size * sizeof(head), &head,
			 sizeof(head)) ||
	    !chain_collect(queue, vm, head, chain))
		return VIRTIO_BROKEN;
	queue->taken++;
	return VIRTIO_TAKEN;
}

bool virtio_queue_return(struct virtio_queue *queue, struct tl_vm *vm, const struct virtio_chain *chain,
			 uint32_t written, bool *interrupt)
{
	struct used_element used = {chain->head, written};
	uint64_t at = queue->device + DEVICE_RING + queue->returned % queue->size * sizeof(used);
	uint16_t index = (uint16_t)(queue->returned + 1), flags;

	if (!tl_mem_write(vm, at, &used, sizeof(used)))
		return false;
	/* release: the driver that sees the index sees the element and the buffers. */
	atomic_thread_fence(memory_order_release);
	if (!tl_mem_write(vm, queue->device + DEVICE_INDEX, &index, sizeof(index)))
		return false;
	queue->returned = index;
	/* seq_cst: the driver turns interrupts on and then looks at the index; either it sees this one, or we the flag.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (!tl_mem_read(vm, queue->driver + DRIVER_FLAGS, &flags, sizeof(flags)))
		return false;
	*interrupt = !(flags & DRIVER_NO_INTERRUPT);
	return true;
}

/* The piece of a buffer that a copy of `size` bytes has there; *offset is where it begins, and then what is left of it.
 */
static uint64_t piece(const struct virtio_buffer *buffer, uint64_t *offset, uint64_t size)
{
	uint64_t here;

	if (*offset >= buffer->size) {
		*offset -= buffer->size;
		return 0;
	}
	here = buffer->size - *offset;
	return here < size ? here : size;
}

bool virtio_chain_read(const struct virtio_chain *chain, struct tl_vm *vm, uint64_t offset, void *bytes, uint64_t size)
{
	uint8_t *to = bytes;

	for (unsigned i = 0; i < chain->nr_readable && size; i++) {
		uint64_t here = piece(&chain->buffer[i], &offset, size);

		if (!here)
			continue;
		if (!tl_mem_read(vm, chain->buffer[i].gpa + offset, to, here))
			return false;
		to += here;
		size -= here;
		offset = 0;
	}
	return true;
}

bool virtio_chain_write(const struct virtio_chain *chain, struct tl_vm *vm, uint64_t offset, const void *bytes,
			uint64_t size)
{
	const uint8_t *from = bytes;

	for (unsigned i = chain->nr_readable; i < chain->nr_buffers && size; i++) {
		uint64_t here = piece(&chain->buffer[i], &offset, size);

		if (!here)
			continue;
		if (!tl_mem_write(vm, chain->buffer[i].gpa + offset, from, here))
			return false;
		from += here;
		size -= here;
		offset = 0;
	}
	return true;
}
