/* SPDX-License-Identifier: MIT */
#include "guest/devices/virtio_console.h"

enum { CONSOLE_DEVICE = 3, RECEIVE_QUEUE = 0, TRANSMIT_QUEUE = 1, NR_QUEUES = 2 };

/* The host's console may be a slow wire, and its CPU waits for it. A driver sends a page or so. */
enum { MOST_SENT = 64 << 10, COPIED_AT_ONCE = 128 };

static bool console_wants(const struct virtio_mmio *virtio, unsigned queue)
{
	const struct virtio_console *console = virtio->device;

	return queue == TRANSMIT_QUEUE || byte_queue_count(&console->input);
}

static bool console_send(struct virtio_console *console, const struct virtio_chain *chain)
{
	uint8_t bytes[COPIED_AT_ONCE];
	uint64_t here;

	if (chain->readable > MOST_SENT)
		return false;
	for (uint64_t at = 0; at < chain->readable; at += here) {
		here = chain->readable - at < sizeof(bytes) ? chain->readable - at : sizeof(bytes);
		if (!virtio_chain_read(chain, console->virtio.place.vm, at, bytes, here))
			return false;
		for (unsigned i = 0; i < here; i++)
			console->put(console->context, bytes[i]);
	}
	return true;
}

static bool console_receive(struct virtio_console *console, const struct virtio_chain *chain, uint32_t *written)
{
	uint8_t bytes[BYTE_QUEUE_SIZE];
	unsigned count = 0;

	while (count < chain->writable && byte_queue_take(&console->input, &bytes[count]))
		count++;
	*written = count;
	return virtio_chain_write(chain, console->virtio.place.vm, 0, bytes, count);
}

static bool console_serve(struct virtio_mmio *virtio, unsigned queue, const struct virtio_chain *chain,
			  uint32_t *written)
{
	struct virtio_console *console = virtio->device;

	return queue == TRANSMIT_QUEUE ? console_send(console, chain) : console_receive(console, chain, written);
}

static const struct virtio_model console_model = {
	.id = CONSOLE_DEVICE, .nr_queues = NR_QUEUES, .wants = console_wants, .serve = console_serve};

void virtio_console_init(struct virtio_console *console, struct virtio_place place,
			 void (*put)(void *context, uint8_t byte), void *context)
{
	*console = (struct virtio_console){.put = put, .context = context};
	console->virtio = (struct virtio_mmio){.place = place, .model = &console_model, .device = console};
}

bool virtio_console_is_driven(struct virtio_console *console)
{
	bool driven;

	lock_acquire(console->virtio.place.lock);
	driven = virtio_mmio_is_driven(&console->virtio);
	lock_release(console->virtio.place.lock);
	return driven;
}

bool virtio_console_input(struct virtio_console *console, uint8_t byte)
{
	bool taken;

	lock_acquire(console->virtio.place.lock);
	taken = byte_queue_put(&console->input, byte);
	virtio_mmio_serve(&console->virtio);
	lock_release(console->virtio.place.lock);
	return taken;
}
