/* SPDX-License-Identifier: MIT */
#include "guest/pc/linux_boot.h"
#include "guest/pc/linux_params.h"
#include "guest/text.h"

/* Where in the first region everything goes that the kernel is told. */
enum {
	LINUX_PARAMS_AT = 0x10000, /* a page, and behind it the descriptor table */
	LINUX_GDT_AT = 0x11000,
	LINUX_TABLES_AT = 0x12000,
	LINUX_LINE_AT = 0x18000,
	LINUX_LOW_END = 0x20000,
	LINUX_LINE_MOST = LINUX_LOW_END - LINUX_LINE_AT,
};

enum {
	LINUX_ENTRY_64 = 0x200, /* behind the kernel's first byte */
	LINUX_SECTOR = 512,
	LINUX_LOADER = 0xff, /* one without a number of its own */
	LINUX_CODE = 0x10,
	LINUX_DATA = 0x18,
};

#define LINUX_LOW_CODE 0x00af9a000000ffffull /* SDM vol. 3, 3.4.5: 64 bits, not yet accessed */
#define LINUX_LOW_DATA 0x00cf92000000ffffull

/* What will be written, once all of it has been found possible. */
struct linux_plan {
	const struct linux_boot *boot;
	struct linux_header header;
	size_t setup;           /* bytes in front of what is loaded */
	uint64_t at, init_size; /* the kernel, with the room that it needs before it looks at its map */
	uint64_t initrd;
	size_t line;
};

bool linux_is_kernel(const struct load_image *image)
{
	uint32_t magic = 0;

	if (image->size >= LINUX_HEADER_AT + offsetof(struct linux_header, magic) + sizeof(magic))
		__builtin_memcpy(&magic,
				 (const uint8_t *)image->data + LINUX_HEADER_AT + offsetof(struct linux_header, magic),
				 sizeof(magic));
	return magic == LINUX_MAGIC;
}

/* NULL, or what is wrong with the kernel's header. */
static const char *read_header(struct linux_plan *plan)
{
	const struct load_image *image = &plan->boot->kernel;
	struct linux_header *header = &plan->header;

	if (!linux_is_kernel(image))
		return "the image is no Linux kernel: give a bzImage, such as /boot/vmlinuz-*";
	if (image->size < LINUX_HEADER_AT + sizeof(*header))
		return "the Linux kernel ends inside its setup header: copy it again";
	__builtin_memcpy(header, (const uint8_t *)image->data + LINUX_HEADER_AT, sizeof(*header));
	if (header->boot_flag != LINUX_BOOT_FLAG)
		return "the Linux kernel's boot sector has no signature: copy it again";
	if (header->version < LINUX_VERSION_LEAST)
		return "the Linux kernel's boot protocol is older than 2.12: take a kernel from 3.8 on";
	if (!(header->xloadflags & LINUX_XLF_64))
		return "the Linux kernel has no 64-bit entry: take one for x86-64";
	if (!(header->loadflags & LINUX_LOADED_HIGH))
		return "the Linux kernel wants to be loaded below 1 MiB: give a bzImage, no zImage";
	plan->setup = ((header->setup_sects ? header->setup_sects : 4u) + 1) * (size_t)LINUX_SECTOR;
	if (image->size <= plan->setup + LINUX_ENTRY_64)
		return "the Linux kernel ends before its 64-bit entry: copy it again";
	if (image->size - plan->setup > header->init_size)
		return "the Linux kernel is larger than it says it needs: copy it again";
	return NULL;
}

static bool fits_at(const struct linux_plan *plan, uint64_t address)
{
	return address >= LINUX_LOW_END && load_host(plan->boot->memory, address, plan->init_size);
}

/* The preferred address, or the first one that is aligned as the kernel needs it. */
static const char *place_kernel(struct linux_plan *plan)
{
	const struct load_memory *memory = plan->boot->memory;
	uint64_t align = plan->header.kernel_alignment;

	plan->at = plan->header.pref_address;
	plan->init_size = plan->header.init_size;
	if (fits_at(plan, plan->at))
		return NULL;
	if (!plan->header.relocatable)
		return "guest memory has no room where the Linux kernel has to be: give a larger mem=";
	if (!align || (align & (align - 1)))
		return "the Linux kernel's alignment is no power of 2: copy it again";
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		plan->at = (memory->region[i].start + align - 1) & ~(align - 1);
		if (plan->at >= LINUX_HIGH && fits_at(plan, plan->at))
			return NULL;
	}
	return "guest memory has no room for the Linux kernel: give a larger mem=";
}

/* At the top of a region, as the protocol advises; the kernel reads it before it knows more memory than 4 GiB. */
static const char *place_initrd(struct linux_plan *plan)
{
	const struct load_memory *memory = plan->boot->memory;
	uint64_t size = plan->boot->initrd.size;

	plan->initrd = 0;
	if (!size)
		return NULL;
	for (unsigned i = memory->nr_regions; i-- > 0;) {
		const struct load_region *region = &memory->region[i];
		uint64_t end = region->start + region->size, most = (uint64_t)plan->header.initrd_addr_max + 1;

		end = end < most ? end : most;
		if (end < LINUX_HIGH + size)
			continue;
		plan->initrd = (end - size) & ~(uint64_t)(LOAD_PAGE - 1);
		if (load_host(memory, plan->initrd, size) &&
		    !load_overlap(plan->initrd, size, plan->at, plan->init_size))
			return NULL;
	}
	return "guest memory has no room for the initramfs above the Linux kernel: give a larger mem=";
}

static const char *check_line(struct linux_plan *plan)
{
	while (plan->boot->line[plan->line])
		if (++plan->line > plan->header.cmdline_size || plan->line >= LINUX_LINE_MOST)
			return "the command line is longer than the Linux kernel takes: shorten it";
	return NULL;
}

static void write_map(const struct load_memory *memory, uint8_t *params)
{
	struct linux_e820 entry;
	unsigned count = memory->nr_map ? memory->nr_map : memory->nr_regions;

	for (unsigned i = 0; i < count; i++) {
		entry = memory->nr_map
				? (struct linux_e820){memory->map[i].start, memory->map[i].size, memory->map[i].type}
				: (struct linux_e820){memory->region[i].start, memory->region[i].size, LOAD_MAP_RAM};
		__builtin_memcpy(params + LINUX_E820_AT + i * sizeof(entry), &entry, sizeof(entry));
	}
	params[LINUX_E820_COUNT_AT] = (uint8_t)count;
}

static void write_params(const struct linux_plan *plan, uint8_t *params)
{
	struct linux_header *header = (struct linux_header *)(params + LINUX_HEADER_AT);

	__builtin_memset(params, 0, LOAD_PAGE);
	*header = plan->header;
	header->type_of_loader = LINUX_LOADER;
	header->code32_start = (uint32_t)plan->at;
	header->ramdisk_image = (uint32_t)plan->initrd;
	header->ramdisk_size = (uint32_t)plan->boot->initrd.size;
	header->cmd_line_ptr = LINUX_LINE_AT;
	__builtin_memcpy(params + LINUX_RSDP_AT, &plan->boot->rsdp, sizeof(plan->boot->rsdp));
	/* A VGA in text mode 3, as firmware leaves it. */
	params[LINUX_VIDEO_MODE_AT] = 3;
	params[LINUX_VIDEO_COLUMNS_AT] = 80;
	params[LINUX_VIDEO_LINES_AT] = 25;
	params[LINUX_VIDEO_IS_VGA_AT] = 1;
	params[LINUX_VIDEO_POINTS_AT] = 16;
	write_map(plan->boot->memory, params);
}

static void write_all(const struct linux_plan *plan)
{
	const struct linux_boot *boot = plan->boot;
	const uint64_t gdt[] = {0, 0, LINUX_LOW_CODE, LINUX_LOW_DATA};
	size_t loaded = boot->kernel.size - plan->setup;
	uint8_t *kernel = load_host(boot->memory, plan->at, plan->init_size);

	__builtin_memcpy(kernel, (const uint8_t *)boot->kernel.data + plan->setup, loaded);
	if (boot->initrd.size)
		__builtin_memcpy(load_host(boot->memory, plan->initrd, boot->initrd.size), boot->initrd.data,
				 boot->initrd.size);
	write_params(plan, load_host(boot->memory, LINUX_PARAMS_AT, LOAD_PAGE));
	__builtin_memcpy(load_host(boot->memory, LINUX_GDT_AT, sizeof(gdt)), gdt, sizeof(gdt));
	__builtin_memcpy(load_host(boot->memory, LINUX_LINE_AT, plan->line + 1), boot->line, plan->line + 1);
	load_identity_tables(boot->memory, LINUX_TABLES_AT);
}

static void set_state(const struct linux_plan *plan, struct tl_state *state)
{
	state_start(state, STATE_LONG, plan->at + LINUX_ENTRY_64, LINUX_TABLES_AT);
	for (unsigned i = TL_ES; i <= TL_GS; i++)
		state->segment[i].selector = i == TL_CS ? LINUX_CODE : LINUX_DATA;
	state->gdtr = (struct tl_table){LINUX_GDT_AT, 4 * 8 - 1};
	state->gpr[TL_RSI] = LINUX_PARAMS_AT;
}

bool linux_load(const struct linux_boot *boot, struct tl_state *state, char *why, size_t size)
{
	struct linux_plan plan = {.boot = boot};
	const char *wrong = read_header(&plan);

	if (!wrong && !load_host(boot->memory, 0, LINUX_LOW_END))
		wrong = "guest memory is too small for a Linux kernel: give a larger mem=";
	if (!wrong)
		wrong = place_kernel(&plan);
	if (!wrong)
		wrong = place_initrd(&plan);
	if (!wrong)
		wrong = check_line(&plan);
	if (wrong) {
		text_format(why, size, "%s", wrong);
		return false;
	}
	write_all(&plan);
	set_state(&plan, state);
	return true;
}
