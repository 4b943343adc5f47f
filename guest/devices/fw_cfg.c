/* SPDX-License-Identifier: MIT */
#include "guest/devices/fw_cfg.h"

enum { PORTS = 2, DMA_PORTS = 8 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { ZEROS_AT_ONCE = 256, MOST_ZEROS = 64 << 10 };

static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};
static const uint8_t id[] = {1 | 2, 0, 0, 0}; /* the ports, and DMA */
/* "QEMU CFG": what the address of a request reads as. */
static const uint8_t dma_signature[] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};

static void put_big(uint8_t *bytes, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static void put_little(uint8_t *bytes, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_big(const uint8_t *bytes, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

static struct fw_cfg_item *fw_cfg_find(struct fw_cfg *fw_cfg, uint16_t key)
{
	for (unsigned i = 0; i < fw_cfg->nr_items; i++)
		if (fw_cfg->item[i].key == key)
			return &fw_cfg->item[i];
	return NULL;
}

bool fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *data, uint32_t size)
{
	if (fw_cfg->nr_items == FW_CFG_ITEMS || fw_cfg_find(fw_cfg, key))
		return false;
	fw_cfg->item[fw_cfg->nr_items++] = (struct fw_cfg_item){key, size, data};
	return true;
}

bool fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, uint32_t size)
{
	uint16_t key = (uint16_t)(FW_CFG_FIRST_FILE + fw_cfg->nr_files);
	struct fw_cfg_file *file = &fw_cfg->directory.file[fw_cfg->nr_files];

	if (fw_cfg->nr_files == FW_CFG_FILES || !fw_cfg_add(fw_cfg, key, data, size))
		return false;
	put_big(file->size, sizeof(file->size), size);
	put_big(file->key, sizeof(file->key), key);
	/* The name is ended by a zero, which is there. */
	for (unsigned i = 0; i < FW_CFG_NAME - 1 && name[i]; i++)
		file->name[i] = name[i];
	put_big(fw_cfg->directory.count, sizeof(fw_cfg->directory.count), ++fw_cfg->nr_files);
	return true;
}

bool fw_cfg_add_memory(struct fw_cfg *fw_cfg, uint64_t start, uint64_t size, uint32_t type)
{
	struct fw_cfg_memory *entry = &fw_cfg->memory[fw_cfg->nr_memories];
	struct fw_cfg_item *item;

	if (!fw_cfg->nr_memories) {
		fw_cfg->memory_key = (uint16_t)(FW_CFG_FIRST_FILE + fw_cfg->nr_files);
		if (!fw_cfg_add_file(fw_cfg, "etc/e820", fw_cfg->memory, 0))
			return false;
	}
	if (fw_cfg->nr_memories == FW_CFG_MEMORIES)
		return false;
	put_little(entry->start, sizeof(entry->start), start);
	put_little(entry->size, sizeof(entry->size), size);
	put_little(entry->type, sizeof(entry->type), type);
	item = fw_cfg_find(fw_cfg, fw_cfg->memory_key);
	item->size = (uint32_t)(++fw_cfg->nr_memories * sizeof(*entry));
	put_big(fw_cfg->directory.file[fw_cfg->memory_key - FW_CFG_FIRST_FILE].size, 4, item->size);
	return true;
}

/* What is left of the selected item; *bytes is where. */
static uint32_t fw_cfg_left(struct fw_cfg *fw_cfg, const uint8_t **bytes)
{
	const struct fw_cfg_item *item = fw_cfg_find(fw_cfg, fw_cfg->key);

	if (!item || fw_cfg->offset >= item->size)
		return 0;
	*bytes = (const uint8_t *)item->data + fw_cfg->offset;
	return item->size - fw_cfg->offset;
}

/* Behind an item's end there are zeros, and no end of them. */
static void fw_cfg_skip(struct fw_cfg *fw_cfg, uint32_t size)
{
	fw_cfg->offset = size > UINT32_MAX - fw_cfg->offset ? UINT32_MAX : fw_cfg->offset + size;
}

static void fw_cfg_select(struct fw_cfg *fw_cfg, uint16_t key)
{
	fw_cfg->key = key;
	fw_cfg->offset = 0;
}

/* A word selects; a byte of either port is the next of the item. */
static uint32_t fw_cfg_read(void *context, uint16_t offset, unsigned size)
{
	struct fw_cfg *fw_cfg = context;
	const uint8_t *bytes;
	uint32_t data = 0;

	(void)offset;
	if (size != 1)
		return 0;
	lock_acquire(fw_cfg->lock);
	if (fw_cfg_left(fw_cfg, &bytes))
		data = *bytes;
	fw_cfg_skip(fw_cfg, 1);
	lock_release(fw_cfg->lock);
	return data;
}

static void fw_cfg_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct fw_cfg *fw_cfg = context;

	if (size != 2 || offset)
		return;
	lock_acquire(fw_cfg->lock);
	fw_cfg_select(fw_cfg, (uint16_t)data);
	lock_release(fw_cfg->lock);
}

static bool fw_cfg_copy(struct fw_cfg *fw_cfg, uint64_t gpa, uint32_t size)
{
	static const uint8_t zeros[ZEROS_AT_ONCE];
	const uint8_t *bytes = NULL;
	uint32_t left = fw_cfg_left(fw_cfg, &bytes), here = left < size ? left : size;

	/* The host's time is not the guest's to spend: more than it can want behind the end is refused. */
	if (size - here > MOST_ZEROS || (here && !tl_mem_write(fw_cfg->vm, gpa, bytes, here)))
		return false;
	fw_cfg_skip(fw_cfg, size);
	for (gpa += here, size -= here; size; gpa += here, size -= here) {
		here = size < ZEROS_AT_ONCE ? size : ZEROS_AT_ONCE;
		if (!tl_mem_write(fw_cfg->vm, gpa, zeros, here))
			return false;
	}
	return true;
}

/* In the guest's memory, big-endian: what to do, how many bytes, and where to. The first word is where the answer goes.
 */
static void fw_cfg_execute(struct fw_cfg *fw_cfg, uint64_t request)
{
	uint8_t bytes[16];
	uint32_t control, length;
	bool done = true;

	if (!tl_mem_read(fw_cfg->vm, request, bytes, sizeof(bytes)))
		return;
	control = (uint32_t)get_big(bytes, 4);
	length = (uint32_t)get_big(bytes + 4, 4);
	if (control & DMA_SELECT)
		fw_cfg_select(fw_cfg, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		done = fw_cfg_copy(fw_cfg, get_big(bytes + 8, 8), length);
	else if (control & DMA_WRITE)
		done = false;
	else if (control & DMA_SKIP)
		fw_cfg_skip(fw_cfg, length);
	put_big(bytes, 4, done ? 0 : DMA_ERROR);
	(void)tl_mem_write(fw_cfg->vm, request, bytes, 4);
}

static uint32_t fw_cfg_dma_read(void *context, uint16_t offset, unsigned size)
{
	uint32_t data = 0;

	(void)context;
	for (unsigned i = 0; i < size; i++)
		data |= (uint32_t)dma_signature[offset + i] << (8 * i);
	return data;
}

/* The address comes in two halves, the high one first, each big-endian; the low one starts it. */
static void fw_cfg_dma_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct fw_cfg *fw_cfg = context;
	uint64_t half = __builtin_bswap32(data), request;

	if (size != 4 || offset % 4)
		return;
	lock_acquire(fw_cfg->lock);
	if (offset == 0) {
		fw_cfg->request = half << 32;
	} else {
		request = fw_cfg->request | half;
		fw_cfg->request = 0;
		fw_cfg_execute(fw_cfg, request);
	}
	lock_release(fw_cfg->lock);
}

void fw_cfg_init(struct fw_cfg *fw_cfg, struct lock *lock, struct tl_vm *vm, uint64_t ram_size, uint16_t cpus)
{
	*fw_cfg = (struct fw_cfg){.lock = lock, .vm = vm, .ram_size = ram_size, .cpus = cpus};
	fw_cfg_add(fw_cfg, FW_CFG_SIGNATURE, signature, sizeof(signature));
	fw_cfg_add(fw_cfg, FW_CFG_ID, id, sizeof(id));
	fw_cfg_add(fw_cfg, FW_CFG_RAM_SIZE, &fw_cfg->ram_size, sizeof(fw_cfg->ram_size));
	fw_cfg_add(fw_cfg, FW_CFG_CPUS, &fw_cfg->cpus, sizeof(fw_cfg->cpus));
	fw_cfg_add(fw_cfg, FW_CFG_MOST_CPUS, &fw_cfg->cpus, sizeof(fw_cfg->cpus));
	fw_cfg_add(fw_cfg, FW_CFG_DIRECTORY, &fw_cfg->directory, sizeof(fw_cfg->directory));
}

struct port_range fw_cfg_ports(struct fw_cfg *fw_cfg)
{
	return (struct port_range){FW_CFG_PORTS, PORTS, fw_cfg_read, fw_cfg_write, fw_cfg};
}

struct port_range fw_cfg_dma_ports(struct fw_cfg *fw_cfg)
{
	return (struct port_range){FW_CFG_DMA_PORTS, DMA_PORTS, fw_cfg_dma_read, fw_cfg_dma_write, fw_cfg};
}
