/* SPDX-License-Identifier: MIT */
/*
 * A guest's image and its words, both from whoever built the ISO: any bytes as an ELF file with a Multiboot header, as
 * a flat image, as a command line. What is refused is refused in one sentence and with nothing written.
 */
#include "guest/kernel.h"
#include "guest/multiboot.h"
#include "guest/options.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

enum { PAGE = 4096, LOW = 16 * PAGE, HIGH_START = 0x100000, HIGH = 8 * PAGE, REASON = 160, FILL = 0xee };

static uint8_t *low, *high;
static char why[REASON];

static bool is_filled(const uint8_t *bytes, size_t size)
{
	return bytes[0] == FILL && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* One sentence, ended. Its end is cut off only where there is no room. */
static void check_reason(void)
{
	size_t length = strnlen(why, REASON);

	fuzz_require(length > 8 && length < REASON && !memchr(why, '\n', length));
}

static void check_loaded(const struct tl_state *state, uint64_t entry)
{
	fuzz_require(state->rip == entry);
	fuzz_require(!is_filled(low, LOW) || !is_filled(high, HIGH));
}

/* What stands at a guest-physical address; `size` bytes have to be there. */
static const uint8_t *at(uint64_t address, uint64_t size)
{
	if (address < LOW) {
		fuzz_require(size <= LOW - address);
		return low + address;
	}
	fuzz_require(address >= HIGH_START && address - HIGH_START < HIGH && size <= HIGH - (address - HIGH_START));
	return high + (address - HIGH_START);
}

/* The segments are in memory, zeros behind what the file has of them. */
static void check_segments(const struct load_image *image, const struct tl_state *state)
{
	struct kernel kernel;

	fuzz_require(kernel_read(image, &kernel, why, REASON));
	fuzz_require(kernel.program.nr_segments >= 1 && kernel.program.nr_segments <= ELF_MOST_SEGMENTS);
	for (unsigned i = 0; i < kernel.program.nr_segments; i++) {
		const struct elf_segment *segment = &kernel.program.segment[i];
		const uint8_t *there = at(segment->address, segment->memory_size);

		fuzz_require(segment->file_size <= segment->memory_size);
		fuzz_require(memcmp(there, (const uint8_t *)image->data + segment->offset, segment->file_size) == 0);
		for (uint64_t byte = segment->file_size; byte < segment->memory_size; byte++)
			fuzz_require(there[byte] == 0);
	}
	fuzz_require(state->gpr[TL_RAX] == (kernel.multiboot == 1 ? MULTIBOOT1_BOOTED : MULTIBOOT2_BOOTED));
	check_loaded(state, kernel.program.entry);
}

/* The kernel is its own module, for want of another. */
static void try_multiboot(const struct load_image *image, const struct load_memory *memory, const char *words,
			  unsigned nr_modules)
{
	struct load_module kernel = {*image, words}, modules[] = {kernel, kernel, kernel};
	struct tl_state state;

	memset(&state, FILL, sizeof(state));
	if (load_multiboot(&kernel, modules, nr_modules, memory, &state, why, REASON)) {
		check_segments(image, &state);
		return;
	}
	check_reason();
	fuzz_require(is_filled(low, LOW) && is_filled(high, HIGH));
}

static void try_flat(const struct load_image *image, const struct load_memory *memory, uint64_t address,
		     enum state_mode mode)
{
	struct tl_state state;

	memset(&state, FILL, sizeof(state));
	if (load_flat(image, memory, address, mode, &state, why, REASON)) {
		fuzz_require(memcmp(at(address, image->size), image->data, image->size) == 0);
		return;
	}
	check_reason();
	fuzz_require(is_filled(low, LOW) && is_filled(high, HIGH));
}

static void try_words(const char *words)
{
	struct guest_options options;

	memset(&options, 0, sizeof(options));
	if (!options_parse(words, &options, why, REASON)) {
		check_reason();
		return;
	}
	fuzz_require(options.memory % PAGE == 0 && options.memory != 0);
	fuzz_require(options.mode <= STATE_LONG && options_ending_name(options.expect));
	fuzz_require(options.command_line && strlen(options.command_line) <= strlen(words));
}

/* The rest of the input as tags behind the fixed part of a header of Multiboot 2, and as what they are about. */
static uint8_t *make_image_2(const struct fuzz_input *input, size_t *size)
{
	uint32_t length = (uint32_t)input->left;
	struct mb2_header header = {MB2_HEADER_MAGIC, MB2_I386, 0, 0};
	uint8_t *image;

	header.length = (uint32_t)sizeof(header) + length;
	header.checksum = 0u - MB2_HEADER_MAGIC - header.length;
	*size = header.length;
	image = malloc(*size);
	fuzz_require(image);
	memcpy(image, &header, sizeof(header));
	memcpy(image + sizeof(header), input->at, length);
	return image;
}

/*
 * The rest of the input as an image. Most mutations would only ever miss the magic numbers: `help` puts them there,
 * and an ELF header whose program headers follow it.
 */
static uint8_t *make_image(struct fuzz_input *input, uint8_t help, size_t *size)
{
	static const uint8_t elf32[] = {0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1};
	static const uint8_t elf64[] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1};
	const uint32_t flags = help & 64 ? MB1_HAS_ADDRESSES : 3;
	const struct mb1_header header = {.magic = MB1_HEADER_MAGIC,
					  .flags = flags,
					  .checksum = 0u - MB1_HEADER_MAGIC - flags,
					  .header_address = HIGH_START,
					  .load = HIGH_START,
					  .entry = HIGH_START};
	size_t from = help & 1 ? sizeof(elf64) : 0, behind = help & 2 ? sizeof(header) : 0;
	uint8_t *image;

	if (help & 128)
		return make_image_2(input, size);
	*size = from + input->left;
	*size = (*size + 3) / 4 * 4 + behind;
	image = calloc(1, *size ? *size : 1);
	fuzz_require(image);
	if (from)
		memcpy(image, help & 4 ? elf64 : elf32, from);
	memcpy(image + from, input->at, input->left);
	if (behind)
		memcpy(image + *size - behind, &header, behind);
	return image;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	uint8_t kind = fuzz_take8(&input), help = fuzz_take8(&input);
	uint64_t address = fuzz_take(&input, help & 8 ? 8 : 3);
	struct load_image image;
	struct load_memory memory;
	char *words;

	low = malloc(LOW);
	high = malloc(HIGH);
	fuzz_require(low && high);
	memset(low, FILL, LOW);
	memset(high, FILL, HIGH);
	memset(why, 'x', sizeof(why));
	memory = (struct load_memory){.region = {{0, help & 16 ? PAGE : LOW, low}, {HIGH_START, HIGH, high}},
				      .nr_regions = help & 32 ? 1 : 2};
	words = calloc(1, input.left + 1);
	fuzz_require(words);
	memcpy(words, input.at, input.left);
	image.data = make_image(&input, help, &image.size);
	switch (kind & 3) {
	case 0:
		try_words(words);
		break;
	case 1:
		try_flat(&image, &memory, address, (enum state_mode)(kind / 4 % 3));
		break;
	default:
		try_multiboot(&image, &memory, words, kind / 4 % 4);
	}
	free((void *)(uintptr_t)image.data);
	free(words);
	free(low);
	free(high);
	return 0;
}
