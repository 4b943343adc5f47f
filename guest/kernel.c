/* SPDX-License-Identifier: MIT */
#include "guest/kernel.h"
#include "guest/multiboot.h"
#include "guest/text.h"

/* Of either protocol, in one shape. */
struct kernel_header {
	unsigned multiboot;
	size_t at; /* in the image */
	bool has_addresses, has_entry;
	uint32_t header_address, load, load_end, bss_end, entry;
};

static bool refuse(char *why, size_t size, const char *wrong)
{
	text_format(why, size, "%s", wrong);
	return false;
}

/* Where the header is; SIZE_MAX, and *seen tells of one with a wrong checksum, if there is none. */
static size_t find_header(const struct load_image *image, uint32_t magic, size_t search, size_t align, bool *seen)
{
	size_t end = image->size < search ? image->size : search, words = magic == MB1_HEADER_MAGIC ? 3 : 4;

	for (size_t at = 0; at + words * sizeof(uint32_t) <= end; at += align) {
		uint32_t word[4], sum = 0;

		__builtin_memcpy(word, (const uint8_t *)image->data + at, words * sizeof(uint32_t));
		if (word[0] != magic)
			continue;
		*seen = true;
		for (size_t i = 0; i < words; i++)
			sum += word[i];
		if (sum == 0)
			return at;
	}
	return SIZE_MAX;
}

/* ---- Multiboot 1 ---- */

static bool read_header_1(const struct load_image *image, struct kernel_header *header, char *why, size_t size)
{
	size_t left = image->size - header->at;
	struct mb1_header given = {0};

	__builtin_memcpy(&given, (const uint8_t *)image->data + header->at,
			 left < sizeof(given) ? left : sizeof(given));
	if (given.flags & MB1_UNKNOWN)
		return refuse(
			why, size,
			"the Multiboot header asks for more than modules, memory and video: clear its flags 15:3");
	if (given.flags & MB1_HAS_ADDRESSES && left < offsetof(struct mb1_header, mode_type))
		return refuse(why, size, "the image ends inside the Multiboot header");
	if (given.flags & MB1_WANT_VIDEO && left < sizeof(given))
		return refuse(why, size, "the image ends inside the Multiboot header");
	if (given.flags & MB1_WANT_VIDEO && given.mode_type == MB1_VIDEO_GRAPHICS) {
		text_format(why, size,
			    "the Multiboot header asks for graphics of %ux%ux%u, and a guest has a VGA text screen: "
			    "clear its flag 2 or ask for mode type 1",
			    given.width, given.height, given.depth);
		return false;
	}
	header->has_addresses = header->has_entry = given.flags & MB1_HAS_ADDRESSES;
	header->header_address = given.header_address;
	header->load = given.load;
	header->load_end = given.load_end;
	header->bss_end = given.bss_end;
	header->entry = given.entry;
	return true;
}

/* ---- Multiboot 2 ---- */

/* Which information a kernel gets (guest/information.c). */
static bool is_given(uint32_t type)
{
	return type == MB2_LINE || type == MB2_LOADER || type == MB2_MODULE || type == MB2_MEMORY || type == MB2_MAP;
}

static bool check_information(const uint8_t *types, uint32_t bytes, char *why, size_t size)
{
	for (uint32_t at = 0; at + sizeof(uint32_t) <= bytes; at += (uint32_t)sizeof(uint32_t)) {
		uint32_t type;

		__builtin_memcpy(&type, types + at, sizeof(type));
		if (is_given(type))
			continue;
		text_format(why, size,
			    "the Multiboot 2 header must have information of type %u, which a guest does not get: make "
			    "it optional",
			    type);
		return false;
	}
	return true;
}

/* `body` is of `bytes` bytes. */
static bool read_tag(struct kernel_header *header, const struct mb2_header_tag *tag, const uint8_t *body,
		     uint32_t bytes, char *why, size_t size)
{
	struct mb2_header_addresses addresses;

	switch (tag->type) {
	case MB2_TAG_INFORMATION:
		return tag->flags & MB2_TAG_OPTIONAL || check_information(body, bytes, why, size);
	case MB2_TAG_ADDRESSES:
		if (bytes < sizeof(addresses))
			return refuse(why, size, "the Multiboot 2 header has a tag of addresses that is too short");
		__builtin_memcpy(&addresses, body, sizeof(addresses));
		header->has_addresses = true;
		header->header_address = addresses.header_address;
		header->load = addresses.load == MB2_LOAD_FIRST ? addresses.header_address - (uint32_t)header->at
								: addresses.load;
		header->load_end = addresses.load_end;
		header->bss_end = addresses.bss_end;
		return true;
	case MB2_TAG_ENTRY:
		if (bytes < sizeof(header->entry))
			return refuse(why, size, "the Multiboot 2 header has a tag of an entry that is too short");
		__builtin_memcpy(&header->entry, body, sizeof(header->entry));
		header->has_entry = true;
		return true;
	/* There are a text console, modules on pages, no UEFI; and a kernel that can be moved need not be. */
	case MB2_TAG_CONSOLE:
	case MB2_TAG_ALIGN_MODULES:
	case MB2_TAG_BOOT_SERVICES:
	case MB2_TAG_ENTRY_EFI_32:
	case MB2_TAG_ENTRY_EFI_64:
	case MB2_TAG_RELOCATABLE:
		return true;
	default:
		if (tag->flags & MB2_TAG_OPTIONAL)
			return true;
		text_format(why, size,
			    "the Multiboot 2 header must have what its tag of type %u asks for, which a guest does not "
			    "get: make it optional",
			    tag->type);
		return false;
	}
}

static bool read_header_2(const struct load_image *image, struct kernel_header *header, char *why, size_t size)
{
	const uint8_t *start = (const uint8_t *)image->data + header->at;
	struct mb2_header given;

	__builtin_memcpy(&given, start, sizeof(given));
	if (given.architecture != MB2_I386)
		return refuse(why, size, "the Multiboot 2 header is for another machine than i386");
	if (given.length > image->size - header->at)
		return refuse(why, size, "the image ends inside the Multiboot 2 header");
	for (uint64_t at = sizeof(given); at + sizeof(struct mb2_header_tag) <= given.length;) {
		struct mb2_header_tag tag;

		__builtin_memcpy(&tag, start + at, sizeof(tag));
		if (tag.type == MB2_TAG_END)
			return true;
		if (tag.size < sizeof(tag) || tag.size > given.length - at)
			return refuse(why, size, "the Multiboot 2 header has a tag of a wrong size");
		if (!read_tag(header, &tag, start + at + sizeof(tag), tag.size - (uint32_t)sizeof(tag), why, size))
			return false;
		at += (tag.size + (uint64_t)MB2_HEADER_ALIGN - 1) & ~(uint64_t)(MB2_HEADER_ALIGN - 1);
	}
	return refuse(why, size, "the Multiboot 2 header has no tag that ends it");
}

/* ---- Both ---- */

static bool find_and_read_header(const struct load_image *image, struct kernel_header *header, char *why, size_t size)
{
	bool seen = false;

	header->at = find_header(image, MB1_HEADER_MAGIC, MB1_HEADER_SEARCH, MB1_HEADER_ALIGN, &seen);
	header->multiboot = 1;
	if (header->at != SIZE_MAX)
		return read_header_1(image, header, why, size);
	header->at = find_header(image, MB2_HEADER_MAGIC, MB2_HEADER_SEARCH, MB2_HEADER_ALIGN, &seen);
	header->multiboot = 2;
	if (header->at != SIZE_MAX)
		return read_header_2(image, header, why, size);
	return refuse(why, size,
		      seen ? "the checksum of the Multiboot header is wrong"
			   : "the image has no Multiboot header in its first 8192 bytes, nor one of Multiboot 2 in "
			     "32768: add one, or give flat=ADDRESS");
}

/* One segment, by the header's addresses. */
static bool read_addresses(const struct load_image *image, const struct kernel_header *header,
			   struct elf_program *program, char *why, size_t size)
{
	uint64_t before = (uint64_t)header->header_address - header->load, offset, end;

	if (header->load > header->header_address || before > header->at)
		return refuse(why, size, "the Multiboot header's load address is not one of the image");
	offset = header->at - before;
	end = header->load_end ? header->load_end : header->load + (image->size - offset);
	if (end <= header->load || end - header->load > image->size - offset)
		return refuse(why, size, "the Multiboot header's end of loading lies outside the image");
	if (header->bss_end && header->bss_end < end)
		return refuse(why, size, "the Multiboot header's memory ends before what is loaded does");
	program->nr_segments = 1;
	program->segment[0] =
		(struct elf_segment){.offset = offset,
				     .file_size = end - header->load,
				     .address = header->load,
				     .virtual_address = header->load,
				     .memory_size = (header->bss_end ? header->bss_end : end) - header->load};
	return true;
}

static bool in_program(const struct elf_program *program, uint64_t address)
{
	for (unsigned i = 0; i < program->nr_segments; i++)
		if (address - program->segment[i].address < program->segment[i].memory_size)
			return true;
	return false;
}

bool kernel_read(const struct load_image *image, struct kernel *kernel, char *why, size_t size)
{
	struct kernel_header header = {0};

	if (!image->size)
		return refuse(why, size, "the image is empty");
	if (!find_and_read_header(image, &header, why, size))
		return false;
	kernel->multiboot = header.multiboot;
	if (header.has_addresses && !header.has_entry)
		return refuse(why, size, "the Multiboot 2 header has addresses, but no tag of an entry");
	if (!(header.has_addresses ? read_addresses(image, &header, &kernel->program, why, size)
				   : elf_read(image->data, image->size, &kernel->program, why, size)))
		return false;
	if (!header.has_entry)
		return true;
	kernel->program.entry = header.entry;
	return in_program(&kernel->program, header.entry) ||
	       refuse(why, size, "the Multiboot header's entry point lies in nothing that is loaded");
}
