/* SPDX-License-Identifier: MIT */
#include "guest/pc/firmware.h"

/* MultiProcessor Specification 1.4, chapter 4. */
struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, features[5];
} __attribute__((packed));

struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, count;
	uint32_t local_apic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));

struct mp_processor {
	uint8_t type, id, version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

struct mp_bus {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct mp_io_apic {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

/* An input of the I/O APIC, or of all local APICs. */
struct mp_interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, source, apic, input;
} __attribute__((packed));

enum { MP_PROCESSOR, MP_BUS, MP_IO_APIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };
enum {
	MP_REVISION = 4,
	MP_ENABLED = 1,
	MP_BOOT = 2,
	MP_APIC_VERSION = 0x14,
	MP_IO_APIC_VERSION = 0x11,
	MP_ISA = 0,
	MP_ISA_LINES = 16,
	MP_ALL_APICS = 0xff,
	MP_SIGNATURE = 0x600, /* a family 6; what the processor is CPUID says */
	MP_FEATURES = 0x201,  /* an FPU and an APIC */
};

struct mp_writer {
	uint8_t *at;
	struct mp_header *header;
};

static void add(struct mp_writer *writer, const void *entry, size_t size)
{
	__builtin_memcpy(writer->at, entry, size);
	writer->at += size;
	writer->header->count++;
}

static void add_interrupts(struct mp_writer *writer, const struct firmware *firmware)
{
	struct mp_interrupt external = {MP_LOCAL_INTERRUPT, MP_EXTINT, 0, MP_ISA, 0, MP_ALL_APICS, 0};
	struct mp_interrupt nmi = {MP_LOCAL_INTERRUPT, MP_NMI, 0, MP_ISA, 0, MP_ALL_APICS, 1};

	for (unsigned line = 0; line < MP_ISA_LINES; line++) {
		/* The PIT is on input 2, and no device on line 2, which the second PIC has. */
		struct mp_interrupt isa = {
			MP_IO_INTERRUPT,           MP_INT, 0, MP_ISA, (uint8_t)line, firmware->io_apic_id,
			(uint8_t)(line ? line : 2)};

		if (line != 2)
			add(writer, &isa, sizeof(isa));
	}
	add(writer, &external, sizeof(external));
	add(writer, &nmi, sizeof(nmi));
}

static void write_table(const struct firmware *firmware, struct mp_header *header, uint8_t **end)
{
	struct mp_writer writer = {.at = (uint8_t *)(header + 1), .header = header};
	struct mp_bus isa = {MP_BUS, MP_ISA, {'I', 'S', 'A', ' ', ' ', ' '}};
	struct mp_io_apic io_apic = {MP_IO_APIC, firmware->io_apic_id, MP_IO_APIC_VERSION, MP_ENABLED,
				     firmware->io_apic};

	*header = (struct mp_header){.revision = MP_REVISION, .local_apic = firmware->local_apic};
	__builtin_memcpy(header->signature, "PCMP", 4);
	__builtin_memcpy(header->oem, "TRAPLINE", 8);
	__builtin_memcpy(header->product, "PC          ", 12);
	for (unsigned i = 0; i < firmware->nr_cpus; i++) {
		struct mp_processor processor = {.type = MP_PROCESSOR,
						 .id = (uint8_t)i,
						 .version = MP_APIC_VERSION,
						 .flags = i ? MP_ENABLED : MP_ENABLED | MP_BOOT,
						 .signature = MP_SIGNATURE,
						 .features = MP_FEATURES};

		add(&writer, &processor, sizeof(processor));
	}
	add(&writer, &isa, sizeof(isa));
	add(&writer, &io_apic, sizeof(io_apic));
	add_interrupts(&writer, firmware);
	header->length = (uint16_t)(writer.at - (uint8_t *)header);
	header->checksum = firmware_checksum(header, header->length);
	*end = writer.at;
}

size_t firmware_write_mp(const struct firmware *firmware, uint8_t *rom, size_t at)
{
	struct mp_pointer *pointer = (struct mp_pointer *)(rom + at);
	struct mp_header *header = (struct mp_header *)(pointer + 1);
	uint8_t *end;

	write_table(firmware, header, &end);
	*pointer = (struct mp_pointer){.table = FIRMWARE_AT + (uint32_t)((uint8_t *)header - rom),
				       .length = sizeof(*pointer) / 16,
				       .revision = MP_REVISION};
	__builtin_memcpy(pointer->signature, "_MP_", 4);
	pointer->checksum = firmware_checksum(pointer, sizeof(*pointer));
	return (size_t)(end - (uint8_t *)pointer);
}
