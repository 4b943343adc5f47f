/* SPDX-License-Identifier: MIT */
#include "guest/pc/aml.h"

enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXTENDED = 0x5b,
	AML_DEVICE = 0x82, /* behind AML_EXTENDED */
	AML_LENGTH_BYTES = 3,
};

/* Tags of resource descriptors: small ones with their length in the low bits. */
enum {
	RESOURCE_IRQ = 0x22, /* two bytes: edge-triggered, active high */
	RESOURCE_IO = 0x47,
	RESOURCE_END = 0x79,
	RESOURCE_MEMORY32_FIXED = 0x86,
	RESOURCE_WORD_ADDRESS = 0x88,
	RESOURCE_INTERRUPT = 0x89,
};

enum { INTERRUPT_CONSUMER_LEVEL_HIGH = 0x01, BUS_NUMBERS = 2, MIN_AND_MAX_FIXED = 0x0c };

void aml_byte(struct aml *aml, uint8_t value)
{
	if (aml->length < aml->size)
		aml->bytes[aml->length] = value;
	aml->length++;
}

void aml_bytes(struct aml *aml, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(aml, (uint8_t)(value >> 8 * i));
}

static void aml_text(struct aml *aml, const char *text)
{
	while (*text)
		aml_byte(aml, (uint8_t)*text++);
}

/* Room for a length of three bytes, which every length here fits. ACPI 6.5, 20.2.4. */
static size_t aml_begin(struct aml *aml)
{
	size_t at = aml->length;

	aml_bytes(aml, 0, AML_LENGTH_BYTES);
	return at;
}

void aml_end(struct aml *aml, size_t begun)
{
	size_t end = aml->length, length = end - begun;

	aml->length = begun;
	aml_byte(aml, (uint8_t)((AML_LENGTH_BYTES - 1) << 6 | (length & 0xf)));
	aml_bytes(aml, length >> 4, AML_LENGTH_BYTES - 1);
	aml->length = end;
}

size_t aml_scope(struct aml *aml, const char *name)
{
	size_t begun;

	aml_byte(aml, AML_SCOPE);
	begun = aml_begin(aml);
	aml_text(aml, name);
	return begun;
}

size_t aml_device(struct aml *aml, const char *name)
{
	size_t begun;

	aml_byte(aml, AML_EXTENDED);
	aml_byte(aml, AML_DEVICE);
	begun = aml_begin(aml);
	aml_text(aml, name);
	return begun;
}

size_t aml_package(struct aml *aml, uint8_t elements)
{
	size_t begun;

	aml_byte(aml, AML_PACKAGE);
	begun = aml_begin(aml);
	aml_byte(aml, elements);
	return begun;
}

void aml_name(struct aml *aml, const char *name)
{
	aml_byte(aml, AML_NAME);
	aml_text(aml, name);
}

void aml_integer(struct aml *aml, uint32_t value)
{
	unsigned bytes = value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : 4;

	if (value <= 1) {
		aml_byte(aml, value ? AML_ONE : AML_ZERO);
		return;
	}
	aml_byte(aml, bytes == 1 ? AML_BYTE : bytes == 2 ? AML_WORD : AML_DWORD);
	aml_bytes(aml, value, bytes);
}

void aml_string(struct aml *aml, const char *text)
{
	aml_byte(aml, AML_STRING);
	aml_text(aml, text);
	aml_byte(aml, 0);
}

static unsigned hexadecimal(char digit)
{
	return (unsigned)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

/* Five bits for each letter, four for each digit, the highest byte first. ACPI 6.5, 19.3.4. */
void aml_eisa(struct aml *aml, const char *id)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hexadecimal(id[i]);
	aml_byte(aml, AML_DWORD);
	aml_bytes(aml, __builtin_bswap32(value), 4);
}

/* A buffer whose size is known at its end only: a word, whatever it is. */
size_t aml_resources(struct aml *aml)
{
	size_t begun;

	aml_byte(aml, AML_BUFFER);
	begun = aml_begin(aml);
	aml_byte(aml, AML_WORD);
	aml_bytes(aml, 0, 2);
	return begun;
}

void aml_end_resources(struct aml *aml, size_t begun)
{
	size_t first = begun + AML_LENGTH_BYTES + 3, end;

	aml_byte(aml, RESOURCE_END);
	aml_byte(aml, 0); /* no checksum */
	end = aml->length;
	aml->length = first - 2;
	aml_bytes(aml, end - first, 2);
	aml->length = end;
	aml_end(aml, begun);
}

void aml_memory32(struct aml *aml, uint32_t start, uint32_t size)
{
	aml_byte(aml, RESOURCE_MEMORY32_FIXED);
	aml_bytes(aml, 9, 2);
	aml_byte(aml, 1); /* writable */
	aml_bytes(aml, start, 4);
	aml_bytes(aml, size, 4);
}

void aml_ports(struct aml *aml, uint16_t first, uint8_t count)
{
	aml_byte(aml, RESOURCE_IO);
	aml_byte(aml, 1); /* 16 bits are decoded */
	aml_bytes(aml, first, 2);
	aml_bytes(aml, first, 2);
	aml_byte(aml, 1);
	aml_byte(aml, count);
}

void aml_isa_irq(struct aml *aml, uint8_t irq)
{
	aml_byte(aml, RESOURCE_IRQ);
	aml_bytes(aml, 1ull << irq, 2);
}

void aml_interrupt(struct aml *aml, uint32_t number)
{
	aml_byte(aml, RESOURCE_INTERRUPT);
	aml_bytes(aml, 6, 2);
	aml_byte(aml, INTERRUPT_CONSUMER_LEVEL_HIGH);
	aml_byte(aml, 1);
	aml_bytes(aml, number, 4);
}

void aml_buses(struct aml *aml, uint8_t last)
{
	aml_byte(aml, RESOURCE_WORD_ADDRESS);
	aml_bytes(aml, 13, 2);
	aml_byte(aml, BUS_NUMBERS);
	aml_byte(aml, MIN_AND_MAX_FIXED);
	aml_byte(aml, 0);
	aml_bytes(aml, 0, 2); /* granularity */
	aml_bytes(aml, 0, 2);
	aml_bytes(aml, last, 2);
	aml_bytes(aml, 0, 2); /* translation */
	aml_bytes(aml, last + 1u, 2);
}
