/* SPDX-License-Identifier: MIT */
/* Bytes that wait: first in, first out. */
#ifndef GUEST_DEVICES_BYTE_QUEUE_H
#define GUEST_DEVICES_BYTE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum { BYTE_QUEUE_SIZE = 256 };

/* All zeros: empty. The two count on and wrap at 2^32, a multiple of the size. */
struct byte_queue {
	uint32_t put, taken;
	uint8_t byte[BYTE_QUEUE_SIZE];
};

static inline uint32_t byte_queue_count(const struct byte_queue *queue)
{
	return queue->put - queue->taken;
}

/* False: it is full. */
static inline bool byte_queue_put(struct byte_queue *queue, uint8_t byte)
{
	if (byte_queue_count(queue) == BYTE_QUEUE_SIZE)
		return false;
	queue->byte[queue->put++ % BYTE_QUEUE_SIZE] = byte;
	return true;
}

/* False: it is empty. */
static inline bool byte_queue_take(struct byte_queue *queue, uint8_t *byte)
{
	if (!byte_queue_count(queue))
		return false;
	*byte = queue->byte[queue->taken++ % BYTE_QUEUE_SIZE];
	return true;
}

#endif
