/* SPDX-License-Identifier: MIT */
/*
 * What a boot loader says: any bytes as the information of Multiboot 1 or 2, and any text as the kernel's command line.
 * The parser gets a copy of each piece that it asks for, so the sanitizer sees it read one byte more than it asked.
 */
#include "boot/cmdline.h"
#include "boot/framebuffer.h"
#include "boot/multiboot.h"
#include "guest/multiboot.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define LIMIT (1ull << 40) /* of addresses, for ranges by hand */

enum { WINDOW = 0x10000, MOST_PIECES = 16384, REASON = 256, MOST_DRAWN = 1 << 21 };

static const uint8_t *window;
static size_t window_size;
static void *pieces[MOST_PIECES];
static size_t nr_pieces;

static const void *at(uint64_t physical, uint64_t size)
{
	uint8_t *piece;

	if (physical < WINDOW || physical - WINDOW > window_size || size > window_size - (physical - WINDOW) ||
	    nr_pieces == MOST_PIECES)
		return NULL;
	piece = malloc(size ? size : 1);
	fuzz_require(piece);
	memcpy(piece, window + (physical - WINDOW), size);
	pieces[nr_pieces++] = piece;
	return piece;
}

static void free_pieces(void)
{
	while (nr_pieces)
		free(pieces[--nr_pieces]);
}

static void check_text(const char *text, size_t size)
{
	fuzz_require(memchr(text, 0, size));
}

/* Ordered, apart, whole pages, below the limit, and not where the image is. */
static void check_memory(const struct boot_info *info, const struct boot_view *view)
{
	uint64_t end = 0, sum = 0;

	fuzz_require(info->nr_memory >= 1 && info->nr_memory <= BOOT_MAP_MAX);
	for (size_t i = 0; i < info->nr_memory; i++) {
		const struct boot_range *range = &info->memory[i];

		fuzz_require(range->start < range->end && range->start >= end && range->end <= view->limit);
		fuzz_require(range->start % HOST_PAGE == 0 && range->end % HOST_PAGE == 0);
		end = range->end;
		sum += range->end - range->start;
	}
	fuzz_require(info->memory_size == sum);
}

static void check_info(const struct boot_info *info, const struct boot_view *view)
{
	check_text(info->loader, sizeof(info->loader));
	check_text(info->line, sizeof(info->line));
	fuzz_require(info->nr_map <= BOOT_MAP_MAX && info->rsdp_size <= BOOT_RSDP_MAX);
	for (size_t i = 0; i < info->nr_map; i++) {
		fuzz_require(info->map[i].start < info->map[i].end);
		fuzz_require(i == 0 || info->map[i - 1].start <= info->map[i].start);
	}
	check_memory(info, view);
	fuzz_require(info->nr_modules <= BOOT_MODULES_MAX);
	for (size_t i = 0; i < info->nr_modules; i++) {
		const struct boot_module *module = &info->modules[i];

		check_text(module->line, sizeof(module->line));
		fuzz_require(module->start <= module->end && module->end <= view->limit);
		fuzz_require(module->end <= view->image.start || module->start >= view->image.end ||
			     module->start == module->end);
		for (size_t j = 0; j < i; j++)
			fuzz_require(module->end <= info->modules[j].start || module->start >= info->modules[j].end);
	}
}

static void check_reason(const char *reason)
{
	size_t length = strnlen(reason, REASON);

	fuzz_require(length > 8 && length < REASON && !memchr(reason, '\n', length));
}

/* A screen that is accepted is drawn on: the sanitizer sees what is written beside it. */
static void check_screen(const struct boot_framebuffer *screen)
{
	char reason[REASON];
	uint8_t *memory;

	memset(reason, 'x', sizeof(reason));
	if (!framebuffer_init(screen, reason, sizeof(reason))) {
		check_reason(reason);
		return;
	}
	fuzz_require(screen->kind == BOOT_SCREEN_PIXELS && framebuffer_columns() >= 80 && framebuffer_rows() >= 30);
	if (framebuffer_size(screen) > MOST_DRAWN)
		return;
	memory = malloc(framebuffer_size(screen));
	fuzz_require(memory);
	framebuffer_map(memory);
	/* The first row and the last one. */
	for (unsigned i = 0; i < framebuffer_columns(); i++)
		framebuffer_put((char)('!' + i % 90));
	for (unsigned i = 1; i < framebuffer_rows(); i++)
		framebuffer_put('\n');
	for (unsigned i = 0; i < framebuffer_columns(); i++)
		framebuffer_put((char)('!' + i % 90));
	framebuffer_show();
	framebuffer_map(NULL);
	free(memory);
}

static void try_info(struct fuzz_input *input, uint8_t kind)
{
	static struct boot_info info;
	static const uint32_t magics[] = {MULTIBOOT1_BOOTED, MULTIBOOT2_BOOTED, MULTIBOOT2_BOOTED, 0x1234};
	const struct boot_view view = {
		.at = at, .image = {0x100000, 0x140000}, .limit = kind & 0x40 ? 1ull << 39 : 1ull << 21};
	uint32_t address = WINDOW + (kind & 0x80 ? fuzz_take16(input) : 0);
	char reason[REASON];
	bool parsed;

	window = input->at;
	window_size = input->left;
	memset(&info, 0xee, sizeof(info));
	memset(reason, 'x', sizeof(reason));
	parsed = boot_parse(magics[kind >> 1 & 3], address, &view, &info, reason, sizeof(reason));
	free_pieces();
	check_screen(&info.framebuffer);
	if (parsed)
		check_info(&info, &view);
	else
		check_reason(reason);
}

/* What is found possible is apart, below the limit, and not in memory. */
static void check_ranges(const struct boot_options *options)
{
	const struct hand_range *ranges = options->ranges;
	size_t count = options->nr_ranges;
	char reason[REASON];

	fuzz_require(count <= ABI_HANDS);
	memset(reason, 'x', sizeof(reason));
	if (!hand_check(ranges, count, LIMIT, reason, sizeof(reason)) ||
	    !hand_check_memory(ranges, count, options->memory, reason, sizeof(reason))) {
		check_reason(reason);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		fuzz_require(ranges[i].size && ranges[i].start < LIMIT && ranges[i].size <= LIMIT - ranges[i].start);
		fuzz_require(ranges[i].start >= options->memory || ranges[i].start >= 0xa0000);
		for (size_t k = 0; k < i; k++)
			fuzz_require(ranges[i].start >= ranges[k].start + ranges[k].size ||
				     ranges[k].start >= ranges[i].start + ranges[i].size);
	}
}

static void try_line(const struct fuzz_input *input)
{
	char *line = calloc(1, input->left + 1), reason[REASON];
	struct boot_options options;

	fuzz_require(line);
	memcpy(line, input->at, input->left);
	memset(&options, 0xee, sizeof(options));
	memset(reason, 'x', sizeof(reason));
	if (cmdline_parse(line, &options, reason, sizeof(reason))) {
		fuzz_require(options.nr_guests <= CMDLINE_GUESTS_MAX && options.crash <= BOOT_CRASH_OTHER);
		check_ranges(&options);
		for (size_t i = 0; i < options.nr_guests; i++)
			fuzz_require(memchr(options.guests[i], 0, CMDLINE_NAME_MAX) && options.guests[i][0]);
	} else {
		check_reason(reason);
	}
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	uint8_t kind = fuzz_take8(&input);

	if (kind & 1)
		try_line(&input);
	else
		try_info(&input, kind);
	return 0;
}
