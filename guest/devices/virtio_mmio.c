/* SPDX-License-Identifier: MIT */
#include "guest/devices/virtio_mmio.h"

/* The registers have the names of virtio 1.2, table 4.1. */
enum {
	MAGIC_VALUE = 0x000,
	VERSION = 0x004,
	DEVICE_ID = 0x008,
	VENDOR_ID = 0x00c,
	DEVICE_FEATURES = 0x010,
	DEVICE_FEATURES_SEL = 0x014,
	DRIVER_FEATURES = 0x020,
	DRIVER_FEATURES_SEL = 0x024,
	QUEUE_SEL = 0x030,
	QUEUE_NUM_MAX = 0x034,
	QUEUE_NUM = 0x038,
	QUEUE_READY = 0x044,
	QUEUE_NOTIFY = 0x050,
	INTERRUPT_STATUS = 0x060,
	INTERRUPT_ACK = 0x064,
	STATUS = 0x070,
	QUEUE_DESC_LOW = 0x080,
	QUEUE_DESC_HIGH = 0x084,
	QUEUE_DRIVER_LOW = 0x090,
	QUEUE_DRIVER_HIGH = 0x094,
	QUEUE_DEVICE_LOW = 0x0a0,
	QUEUE_DEVICE_HIGH = 0x0a4,
	SHM_LEN_LOW = 0x0b0,
	SHM_BASE_HIGH = 0x0bc,
	CONFIG = 0x100,
};

enum { IS_VIRTIO = 0x74726976, IS_VERSION = 2, IS_TRAPLINE = 0x4c505254 /* "TRPL" */ };
enum { STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_NEEDS_RESET = 0x40 };
enum { INTERRUPT_USED = 1, INTERRUPT_CONFIG = 2 };

#define FEATURE_INDIRECT  (1ull << 28)
#define FEATURE_VERSION_1 (1ull << 32)

/* What is done at once. The rest is left over until the driver has acknowledged the interrupt that it gets for this. */
enum { CHAINS_AT_ONCE = 32, BYTES_AT_ONCE = 1 << 20 };

static uint64_t virtio_offers(const struct virtio_mmio *virtio)
{
	return virtio->features | FEATURE_INDIRECT | FEATURE_VERSION_1;
}

static void virtio_interrupt(struct virtio_mmio *virtio, uint32_t why)
{
	virtio->interrupt_status |= why;
	line_set(&virtio->place.line, virtio->interrupt_status != 0);
}

/* The driver has broken a rule: nothing is served until it has reset the device (2.1.2). */
static void virtio_break(struct virtio_mmio *virtio)
{
	virtio->status |= STATUS_NEEDS_RESET;
	if (virtio->status & STATUS_DRIVER_OK)
		virtio_interrupt(virtio, INTERRUPT_CONFIG);
}

bool virtio_mmio_is_driven(const struct virtio_mmio *virtio)
{
	return (virtio->status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) == STATUS_DRIVER_OK;
}

static bool virtio_wants(const struct virtio_mmio *virtio, unsigned queue)
{
	return virtio_mmio_is_driven(virtio) && virtio->queue[queue].ready &&
	       (!virtio->model->wants || virtio->model->wants(virtio, queue));
}

/* Serves one chain. False: there is none, or it was the last one of this device. */
static bool virtio_serve_one(struct virtio_mmio *virtio, unsigned index, bool *interrupt)
{
	struct virtio_queue *queue = &virtio->queue[index];
	struct tl_vm *vm = virtio->place.vm;
	enum virtio_take take = virtio_queue_take(queue, vm, &virtio->chain);
	uint32_t written = 0;
	bool wanted = false;

	if (take == VIRTIO_EMPTY)
		return false;
	if (take == VIRTIO_BROKEN || !virtio->model->serve(virtio, index, &virtio->chain, &written) ||
	    !virtio_queue_return(queue, vm, &virtio->chain, written, &wanted)) {
		virtio_break(virtio);
		return false;
	}
	*interrupt |= wanted;
	return true;
}

static void virtio_serve_queue(struct virtio_mmio *virtio, unsigned index)
{
	unsigned chains = 0;
	uint64_t bytes = 0;
	bool interrupt = false;

	while (virtio_wants(virtio, index) && virtio_serve_one(virtio, index, &interrupt)) {
		bytes += virtio->chain.readable + virtio->chain.writable;
		if (++chains == CHAINS_AT_ONCE || bytes >= BYTES_AT_ONCE) {
			interrupt = true;
			break;
		}
	}
	if (interrupt)
		virtio_interrupt(virtio, INTERRUPT_USED);
}

void virtio_mmio_serve(struct virtio_mmio *virtio)
{
	for (unsigned i = 0; i < virtio->model->nr_queues; i++)
		virtio_serve_queue(virtio, i);
}

static void virtio_reset(struct virtio_mmio *virtio)
{
	virtio->driver_features = 0;
	virtio->device_features_select = virtio->driver_features_select = virtio->queue_select = 0;
	virtio->status = virtio->interrupt_status = 0;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MOST; i++)
		virtio->queue[i] = (struct virtio_queue){0};
	line_set(&virtio->place.line, false);
}

/* The selected queue; NULL: there is no such one. */
static struct virtio_queue *virtio_selected(struct virtio_mmio *virtio)
{
	return virtio->queue_select < virtio->model->nr_queues ? &virtio->queue[virtio->queue_select] : NULL;
}

static uint32_t virtio_read_register(struct virtio_mmio *virtio, uint64_t offset)
{
	const struct virtio_queue *queue = virtio_selected(virtio);
	uint32_t select = virtio->device_features_select;

	switch (offset) {
	case MAGIC_VALUE:
		return IS_VIRTIO;
	case VERSION:
		return IS_VERSION;
	case DEVICE_ID:
		return virtio->model->id;
	case VENDOR_ID:
		return IS_TRAPLINE;
	case DEVICE_FEATURES:
		return select < 2 ? (uint32_t)(virtio_offers(virtio) >> (32 * select)) : 0;
	case QUEUE_NUM_MAX:
		return queue ? VIRTIO_QUEUE_MOST : 0;
	case QUEUE_READY:
		return queue && queue->ready;
	case INTERRUPT_STATUS:
		return virtio->interrupt_status;
	case STATUS:
		return virtio->status;
	default:
		/* There is no shared memory: regions of length -1. The configuration never changes: generation 0. */
		return offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH ? UINT32_MAX : 0;
	}
}

static void virtio_write_status(struct virtio_mmio *virtio, uint32_t status)
{
	if (!status) {
		virtio_reset(virtio);
		return;
	}
	/* Only what is offered may be taken, and the legacy interface is not offered (2.2). */
	if (status & ~virtio->status & STATUS_FEATURES_OK &&
	    (virtio->driver_features & ~virtio_offers(virtio) || !(virtio->driver_features & FEATURE_VERSION_1)))
		status &= ~(uint32_t)STATUS_FEATURES_OK;
	virtio->status = (status & 0xff) | (virtio->status & STATUS_NEEDS_RESET);
}

static void virtio_write_driver_features(struct virtio_mmio *virtio, uint32_t value)
{
	unsigned shift = 32 * (virtio->driver_features_select & 1);

	if (virtio->driver_features_select > 1 || virtio->status & STATUS_FEATURES_OK)
		return;
	virtio->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	virtio->driver_features |= (uint64_t)value << shift;
}

static void virtio_write_ready(struct virtio_mmio *virtio, struct virtio_queue *queue, bool ready)
{
	queue->indirect = virtio->driver_features & FEATURE_INDIRECT;
	if (ready && !queue->ready && !virtio_queue_start(queue))
		virtio_break(virtio);
	else
		queue->ready = ready;
}

static void set_half(uint64_t *word, bool high, uint32_t value)
{
	*word = high ? (*word & UINT32_MAX) | (uint64_t)value << 32 : (*word & ~(uint64_t)UINT32_MAX) | value;
}

/* A queue that is in use stays as it is (4.2.3.2). */
static void virtio_write_queue(struct virtio_mmio *virtio, uint64_t offset, uint32_t value)
{
	struct virtio_queue *queue = virtio_selected(virtio);

	if (!queue || (queue->ready && offset != QUEUE_READY))
		return;
	switch (offset) {
	case QUEUE_NUM:
		queue->size = value;
		break;
	case QUEUE_READY:
		virtio_write_ready(virtio, queue, value & 1);
		break;
	case QUEUE_DESC_LOW:
	case QUEUE_DESC_HIGH:
		set_half(&queue->descriptors, offset == QUEUE_DESC_HIGH, value);
		break;
	case QUEUE_DRIVER_LOW:
	case QUEUE_DRIVER_HIGH:
		set_half(&queue->driver, offset == QUEUE_DRIVER_HIGH, value);
		break;
	case QUEUE_DEVICE_LOW:
	case QUEUE_DEVICE_HIGH:
		set_half(&queue->device, offset == QUEUE_DEVICE_HIGH, value);
		break;
	default:
		break;
	}
}

static void virtio_write_register(struct virtio_mmio *virtio, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case DEVICE_FEATURES_SEL:
		virtio->device_features_select = value;
		break;
	case DRIVER_FEATURES:
		virtio_write_driver_features(virtio, value);
		break;
	case DRIVER_FEATURES_SEL:
		virtio->driver_features_select = value;
		break;
	case QUEUE_SEL:
		virtio->queue_select = value;
		break;
	case INTERRUPT_ACK:
		virtio->interrupt_status &= ~value;
		line_set(&virtio->place.line, virtio->interrupt_status != 0);
		/* What was left over. */
		virtio_mmio_serve(virtio);
		break;
	case STATUS:
		virtio_write_status(virtio, value);
		break;
	default:
		virtio_write_queue(virtio, offset, value);
		break;
	}
}

/* Bytes of the configuration; beyond its end there are zeros. */
static uint64_t virtio_read_config(const struct virtio_mmio *virtio, uint64_t offset, unsigned size)
{
	const uint8_t *bytes = virtio->config;
	uint64_t data = 0;

	for (unsigned i = 0; i < size; i++)
		if (offset + i < virtio->config_size)
			data |= (uint64_t)bytes[offset + i] << (8 * i);
	return data;
}

/* Registers are accessed whole (4.2.2.2); what is not is not answered. */
static enum tl_status virtio_mmio_access(struct tl_mmio *access)
{
	struct virtio_mmio *virtio = access->context;
	bool whole = access->size == 4 && access->offset % 4 == 0 && access->offset < CONFIG;

	lock_acquire(virtio->place.lock);
	if (access->write && whole)
		virtio_write_register(virtio, access->offset, (uint32_t)access->data);
	else if (!access->write && access->offset >= CONFIG)
		access->data = virtio_read_config(virtio, access->offset - CONFIG, access->size);
	else if (!access->write)
		access->data = whole ? virtio_read_register(virtio, access->offset) : 0;
	lock_release(virtio->place.lock);
	return TL_OK;
}

/* Which queue is meant is not asked: those without new chains are soon looked through. */
static void virtio_notify(void *context, uint64_t offset, struct tl_vcpu *vcpu)
{
	struct virtio_mmio *virtio = context;

	(void)offset;
	(void)vcpu;
	lock_acquire(virtio->place.lock);
	virtio_mmio_serve(virtio);
	lock_release(virtio->place.lock);
}

/* A whole write to QueueNotify, whatever it says. */
static const struct tl_doorbell_match notification = {.offset = QUEUE_NOTIFY, .size = 4};
static const struct tl_doorbell virtio_bell = {
	.signal = TL_SIGNAL_CALL,
	.call = virtio_notify,
	.matches = &notification,
	.nr_matches = 1,
};

struct tl_range virtio_mmio_range(struct virtio_mmio *virtio, uint64_t gpa)
{
	return (struct tl_range){
		.kind = TL_RANGE_DOORBELL,
		.start = gpa,
		.size = VIRTIO_MMIO_SIZE,
		.doorbell = &virtio_bell,
		.access = virtio_mmio_access,
		.context = virtio,
	};
}
