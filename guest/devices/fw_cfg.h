/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration: items of bytes that a guest selects by a key and reads byte by byte, or has copied
 * into its memory. QEMU's docs/specs/fw_cfg. Nothing can be written.
 */
#ifndef GUEST_DEVICES_FW_CFG_H
#define GUEST_DEVICES_FW_CFG_H

#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include <trapline.h>

enum { FW_CFG_PORTS = 0x510, FW_CFG_DMA_PORTS = 0x514, FW_CFG_ITEMS = 32, FW_CFG_FILES = 16, FW_CFG_NAME = 56 };
enum { FW_CFG_MEMORIES = 8 };

/* Keys that every guest may ask for. */
enum {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_CPUS = 0x05,
	FW_CFG_MOST_CPUS = 0x0f,
	FW_CFG_DIRECTORY = 0x19,
	FW_CFG_FIRST_FILE = 0x20,
	FW_CFG_E820 = 0x8003,
};

struct fw_cfg_item {
	uint16_t key;
	uint32_t size;
	const void *data;
};

/* As in the directory, big-endian. */
struct fw_cfg_file {
	uint8_t size[4], key[2], reserved[2];
	char name[FW_CFG_NAME];
};

/* Of the file etc/e820, little-endian. */
struct fw_cfg_memory {
	uint8_t start[8], size[8], type[4];
};

struct fw_cfg {
	struct lock *lock;
	struct tl_vm *vm;
	unsigned nr_items, nr_files;
	struct fw_cfg_item item[FW_CFG_ITEMS];
	struct {
		uint8_t count[4];
		struct fw_cfg_file file[FW_CFG_FILES];
	} directory;
	uint64_t ram_size;
	uint16_t cpus;
	struct fw_cfg_memory memory[FW_CFG_MEMORIES];
	unsigned nr_memories;
	uint16_t memory_key; /* of its file, once there is one */
	/* What the guest has selected and how far it has read, and the address of its request, until that is whole. */
	uint16_t key;
	uint32_t offset;
	uint64_t request;
};

/* With the items that describe the machine, and an empty directory. */
void fw_cfg_init(struct fw_cfg *fw_cfg, struct lock *lock, struct tl_vm *vm, uint64_t ram_size, uint16_t cpus);

/* An item, and a file, which gets the next key. The bytes stay the caller's. False: there are too many, or the key is
 * taken. Not while a vCPU runs. */
bool fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *data, uint32_t size);
bool fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, uint32_t size);

/* An entry of etc/e820: `type` is that of ACPI's INT 15h, 1 for RAM, 2 for what is reserved. As for fw_cfg_add(). */
bool fw_cfg_add_memory(struct fw_cfg *fw_cfg, uint64_t start, uint64_t size, uint32_t type);

struct port_range fw_cfg_ports(struct fw_cfg *fw_cfg);
struct port_range fw_cfg_dma_ports(struct fw_cfg *fw_cfg);

#endif
