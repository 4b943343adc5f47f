/* SPDX-License-Identifier: MIT */
#include "guest/devices/virtio_block.h"

enum { BLOCK_DEVICE = 2 };
enum { REQUEST_IN = 0, REQUEST_OUT = 1, REQUEST_FLUSH = 4, REQUEST_GET_ID = 8 };
enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_UNSUPPORTED = 2, STATUS_SIZE = 1 };

#define FEATURE_SEGMENT_SIZE (1ull << 1)
#define FEATURE_SEGMENTS     (1ull << 2)
#define FEATURE_READ_ONLY    (1ull << 5)
#define FEATURE_BLOCK_SIZE   (1ull << 6)
#define FEATURE_FLUSH        (1ull << 9)

/* Two descriptors are the header's and the status'. */
enum { SEGMENTS = VIRTIO_QUEUE_MOST - 2, SEGMENT_SIZE = 64 << 10 };

_Static_assert(SEGMENTS *SEGMENT_SIZE + VIRTIO_BLOCK_SECTOR <= VIRTIO_CHAIN_BYTES, "the largest request is a chain");

struct request {
	uint32_t type, reserved;
	uint64_t sector;
};

/* The bytes of the disk that a request is about; NULL: they are no whole sectors, or not all of them on it. */
static uint8_t *block_bytes(const struct virtio_block *block, uint64_t sector, uint64_t size)
{
	uint64_t sectors = block->config.sectors;

	if (size % VIRTIO_BLOCK_SECTOR || sector > sectors || size / VIRTIO_BLOCK_SECTOR > sectors - sector)
		return NULL;
	return block->bytes + sector * VIRTIO_BLOCK_SECTOR;
}

/* Serves a request, and says how it went in *status. False: its buffers lie in no memory. */
static bool block_request(struct virtio_block *block, const struct request *request, const struct virtio_chain *chain,
			  uint8_t *status)
{
	uint64_t in = chain->writable - STATUS_SIZE, out = chain->readable - sizeof(*request);
	struct tl_vm *vm = block->virtio.place.vm;
	uint8_t *bytes;

	*status = STATUS_OK;
	switch (request->type) {
	case REQUEST_IN:
		bytes = block_bytes(block, request->sector, in);
		block->read += bytes ? in / VIRTIO_BLOCK_SECTOR : 0;
		*status = bytes ? STATUS_OK : STATUS_ERROR;
		return !bytes || virtio_chain_write(chain, vm, 0, bytes, in);
	case REQUEST_OUT:
		bytes = block->read_only ? NULL : block_bytes(block, request->sector, out);
		block->written += bytes ? out / VIRTIO_BLOCK_SECTOR : 0;
		*status = bytes ? STATUS_OK : STATUS_ERROR;
		return !bytes || virtio_chain_read(chain, vm, sizeof(*request), bytes, out);
	case REQUEST_FLUSH: /* memory holds what is written to it */
		return true;
	case REQUEST_GET_ID:
		return virtio_chain_write(chain, vm, 0, block->id, in < VIRTIO_BLOCK_ID ? in : VIRTIO_BLOCK_ID);
	default:
		*status = STATUS_UNSUPPORTED;
		return true;
	}
}

/* A header to read, data, and one byte to write at the very end, however they are laid out in buffers. */
static bool block_serve(struct virtio_mmio *virtio, unsigned queue, const struct virtio_chain *chain, uint32_t *written)
{
	struct virtio_block *block = virtio->device;
	struct request request;
	uint8_t status;

	(void)queue;
	if (chain->readable < sizeof(request) || chain->writable < STATUS_SIZE ||
	    !virtio_chain_read(chain, virtio->place.vm, 0, &request, sizeof(request)) ||
	    !block_request(block, &request, chain, &status) ||
	    !virtio_chain_write(chain, virtio->place.vm, chain->writable - STATUS_SIZE, &status, STATUS_SIZE))
		return false;
	block->requests++;
	/* So many bytes are valid from the first on (2.7.8): without data before the status there are none. */
	*written = status == STATUS_OK ? (uint32_t)chain->writable : 0;
	return true;
}

static const struct virtio_model block_model = {.id = BLOCK_DEVICE, .nr_queues = 1, .serve = block_serve};

void virtio_block_init(struct virtio_block *block, struct virtio_place place, void *bytes, uint64_t size,
		       bool read_only, const char *id)
{
	*block = (struct virtio_block){
		.config = {.sectors = size / VIRTIO_BLOCK_SECTOR,
			   .segment_size = SEGMENT_SIZE,
			   .segments = SEGMENTS,
			   .block_size = VIRTIO_BLOCK_SECTOR},
		.bytes = bytes,
		.read_only = read_only,
	};
	block->virtio = (struct virtio_mmio){
		.place = place,
		.model = &block_model,
		.device = block,
		.features = FEATURE_SEGMENT_SIZE | FEATURE_SEGMENTS | FEATURE_BLOCK_SIZE | FEATURE_FLUSH |
			    (read_only ? FEATURE_READ_ONLY : 0),
		.config = &block->config,
		.config_size = sizeof(block->config),
	};
	for (unsigned i = 0; i < VIRTIO_BLOCK_ID && id[i]; i++)
		block->id[i] = id[i];
}
