/* SPDX-License-Identifier: MIT */
#include "guest/elf.h"
#include "guest/text.h"

enum {
	ELF_CLASS = 4, /* indices of the identification */
	ELF_DATA = 5,
	ELF_VERSION = 6,
	ELF_CLASS_32 = 1,
	ELF_CLASS_64 = 2,
	ELF_LITTLE_ENDIAN = 1,
	ELF_CURRENT = 1,
	ELF_EXECUTABLE = 2,
	ELF_I386 = 3,
	ELF_X86_64 = 62,
	ELF_LOAD = 1,
	ELF_NOTE = 4,
	ELF_NOTE_ALIGN = 4,
};

struct elf32_header {
	uint8_t identification[16];
	uint16_t type, machine;
	uint32_t version, entry, phoff, shoff, flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_header {
	uint8_t identification[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_program_header {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_program_header {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* What both classes say, in one shape. */
struct elf_layout {
	bool is_64;
	uint64_t entry, phoff;
	uint16_t type, machine, phentsize, phnum;
};

static bool elf_within(uint64_t offset, uint64_t length, size_t size)
{
	return offset <= size && length <= size - offset;
}

static bool elf_read_layout(const uint8_t *image, size_t size, struct elf_layout *layout)
{
	struct elf32_header h32;
	struct elf64_header h64;

	layout->is_64 = image[ELF_CLASS] == ELF_CLASS_64;
	if (size < (layout->is_64 ? sizeof(h64) : sizeof(h32)))
		return false;
	if (layout->is_64) {
		__builtin_memcpy(&h64, image, sizeof(h64));
		*layout = (struct elf_layout){true,        h64.entry,     h64.phoff, h64.type,
					      h64.machine, h64.phentsize, h64.phnum};
	} else {
		__builtin_memcpy(&h32, image, sizeof(h32));
		*layout = (struct elf_layout){false,       h32.entry,     h32.phoff, h32.type,
					      h32.machine, h32.phentsize, h32.phnum};
	}
	return true;
}

/* NULL, or what is wrong with the file header. */
static const char *elf_check_layout(const uint8_t *image, size_t size, struct elf_layout *layout)
{
	size_t entry_size;

	if (size < 16 || image[0] != 0x7f || image[1] != 'E' || image[2] != 'L' || image[3] != 'F')
		return "the image is no ELF file: build the guest as ELF, or give flat=ADDRESS";
	if (image[ELF_CLASS] != ELF_CLASS_32 && image[ELF_CLASS] != ELF_CLASS_64)
		return "the ELF class is neither 32 nor 64 bits";
	if (image[ELF_DATA] != ELF_LITTLE_ENDIAN)
		return "the ELF file is not little-endian";
	if (image[ELF_VERSION] != ELF_CURRENT)
		return "the ELF version is not 1";
	if (!elf_read_layout(image, size, layout))
		return "the image ends inside the ELF header";
	if (layout->type != ELF_EXECUTABLE)
		return "the ELF file is no fixed-address executable (ET_EXEC): link it statically, without -pie";
	if (layout->machine != (layout->is_64 ? ELF_X86_64 : ELF_I386))
		return "the ELF file is for another machine than i386 (32-bit) or x86-64 (64-bit)";
	entry_size = layout->is_64 ? sizeof(struct elf64_program_header) : sizeof(struct elf32_program_header);
	if (layout->phnum == 0)
		return "the ELF file has no program headers";
	if (layout->phentsize != entry_size)
		return "the ELF program headers have a wrong entry size";
	if (!elf_within(layout->phoff, (uint64_t)layout->phnum * entry_size, size))
		return "the ELF program headers lie outside the image";
	return NULL;
}

/* One program header in the 64-bit shape. */
static struct elf64_program_header elf_program_header(const uint8_t *image, const struct elf_layout *layout, unsigned i)
{
	const uint8_t *at = image + layout->phoff + (uint64_t)i * layout->phentsize;
	struct elf32_program_header h32;
	struct elf64_program_header h64;

	if (layout->is_64) {
		__builtin_memcpy(&h64, at, sizeof(h64));
		return h64;
	}
	__builtin_memcpy(&h32, at, sizeof(h32));
	return (struct elf64_program_header){h32.type,  h32.flags,  h32.offset, h32.vaddr,
					     h32.paddr, h32.filesz, h32.memsz,  h32.align};
}

static const char *elf_check_segment(const struct elf64_program_header *header, size_t size)
{
	uint64_t end;

	if (header->filesz > header->memsz)
		return "is larger in the file than in memory";
	if (!elf_within(header->offset, header->filesz, size))
		return "lies outside the image";
	if (__builtin_add_overflow(header->paddr, header->memsz - 1, &end) ||
	    __builtin_add_overflow(header->vaddr, header->memsz - 1, &end))
		return "wraps around the end of the address space";
	return NULL;
}

/*
 * The guest starts without paging. A kernel that is linked for it says where; with QEMU's -kernel that is the only
 * kind. Of others the entry point is the virtual address, as GRUB has it.
 */
static const char *elf_find_entry(uint64_t entry, struct elf_program *program)
{
	program->entry = entry;
	for (unsigned i = 0; entry <= UINT32_MAX && i < program->nr_segments; i++)
		if (entry - program->segment[i].address < program->segment[i].memory_size)
			return NULL;
	for (unsigned i = 0; i < program->nr_segments; i++) {
		const struct elf_segment *segment = &program->segment[i];

		if (entry - segment->virtual_address < segment->memory_size) {
			program->entry = entry - segment->virtual_address + segment->address;
			return program->entry <= UINT32_MAX ? NULL : "the ELF entry point lies above 4 GiB";
		}
	}
	return "the ELF entry point lies in no segment";
}

bool elf_read(const void *image, size_t size, struct elf_program *program, char *why, size_t why_size)
{
	struct elf_layout layout;
	const char *wrong = elf_check_layout(image, size, &layout);

	program->nr_segments = 0;
	for (unsigned i = 0; !wrong && i < layout.phnum; i++) {
		struct elf64_program_header header = elf_program_header(image, &layout, i);

		if (header.type != ELF_LOAD || header.memsz == 0)
			continue;
		if (program->nr_segments == ELF_MOST_SEGMENTS) {
			wrong = "the ELF file has more than 16 segments to load";
			break;
		}
		wrong = elf_check_segment(&header, size);
		if (wrong) {
			text_format(why, why_size, "ELF segment %u %s", i, wrong);
			return false;
		}
		program->segment[program->nr_segments++] =
			(struct elf_segment){header.offset, header.filesz, header.paddr, header.memsz, header.vaddr, i};
	}
	if (!wrong)
		wrong = elf_find_entry(layout.entry, program);
	if (wrong)
		text_format(why, why_size, "%s", wrong);
	return !wrong;
}

/* ---- Notes ------------------------------------------------------------------------------------------------------- */

struct elf_note {
	uint32_t owner_size, size, type;
};

static uint64_t elf_note_align(uint64_t size)
{
	return (size + ELF_NOTE_ALIGN - 1) & ~(uint64_t)(ELF_NOTE_ALIGN - 1);
}

static bool elf_note_is_of(const uint8_t *at, uint32_t size, const char *owner)
{
	for (uint32_t i = 0; i < size; i++)
		if (at[i] != (uint8_t)owner[i])
			return false;
		else if (!owner[i])
			return i + 1 == size;
	return false;
}

/* In one segment of notes, which lies in the image. */
static bool elf_find_in(const uint8_t *at, uint64_t left, const char *owner, uint32_t type, uint64_t *value)
{
	struct elf_note note;

	while (left >= sizeof(note)) {
		uint64_t owner_size, size;

		__builtin_memcpy(&note, at, sizeof(note));
		owner_size = elf_note_align(note.owner_size);
		size = elf_note_align(note.size);
		left -= sizeof(note);
		at += sizeof(note);
		if (owner_size > left || size > left - owner_size)
			return false;
		if (note.type == type && (note.size == 4 || note.size == 8) &&
		    elf_note_is_of(at, note.owner_size, owner)) {
			*value = 0;
			__builtin_memcpy(value, at + owner_size, note.size);
			return true;
		}
		at += owner_size + size;
		left -= owner_size + size;
	}
	return false;
}

bool elf_find_note(const void *image, size_t size, const char *owner, uint32_t type, uint64_t *value)
{
	struct elf_layout layout;

	if (elf_check_layout(image, size, &layout))
		return false;
	for (unsigned i = 0; i < layout.phnum; i++) {
		struct elf64_program_header header = elf_program_header(image, &layout, i);

		if (header.type == ELF_NOTE && elf_within(header.offset, header.filesz, size) &&
		    elf_find_in((const uint8_t *)image + header.offset, header.filesz, owner, type, value))
			return true;
	}
	return false;
}
