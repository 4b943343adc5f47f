/* SPDX-License-Identifier: MIT */
#include "tests/unit/guest_memory.h"
#include <trapline.h>

uint8_t *ram, *rom, *executed;
static struct tl_vm *vm;

const struct map *guest_map(void)
{
	return atomic_load(&vm->map);
}

int guest_memory_start(void **context)
{
	enum tl_status status;
	struct tl_edit *edit;
	struct tl_range ranges[] = {
		{.kind = TL_RANGE_RAM, .start = 0, .size = RAM_SIZE},
		{.kind = TL_RANGE_ROM, .start = ROM_AT, .size = 4096},
		{.kind = TL_RANGE_MMIO, .start = MMIO_AT, .size = 4096},
		{.kind = TL_RANGE_EXECUTE_ONLY, .start = EXECUTE_ONLY_AT, .size = 4096},
	};

	(void)context;
	hosted_start();
	ranges[0].host = ram = hosted_memory(0);
	ranges[1].host = rom = hosted_memory(RAM_SIZE);
	ranges[3].host = executed = hosted_memory(RAM_SIZE + 4096);
	mmu_cpu.execute_only = true;
	vm = tl_vm_create(NULL, &status);
	if (!vm)
		return -1;
	edit = tl_map_edit(vm);
	if (!edit)
		return -1;
	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (tl_map_add(edit, &ranges[i], NULL) != TL_OK)
			return -1;
	}
	return tl_map_commit(edit) == TL_OK ? 0 : -1;
}

int guest_memory_stop(void **context)
{
	(void)context;
	return tl_vm_destroy(vm) == TL_OK ? 0 : -1;
}
