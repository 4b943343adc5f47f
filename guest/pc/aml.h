/* SPDX-License-Identifier: MIT */
/* Writing ACPI's machine language (ACPI 6.5, chapter 20), as far as a description of devices needs it. Pure C. */
#ifndef GUEST_PC_AML_H
#define GUEST_PC_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes to be filled. What does not fit is counted and not written, so that the caller checks once, at the end. */
struct aml {
	uint8_t *bytes;
	size_t size, length;
};

void aml_byte(struct aml *aml, uint8_t value);
/* Little-endian, so many bytes of it. */
void aml_bytes(struct aml *aml, uint64_t value, unsigned bytes);

/* Begin what has a length, and end it with what they returned. */
size_t aml_scope(struct aml *aml, const char *name);
size_t aml_device(struct aml *aml, const char *name);
size_t aml_package(struct aml *aml, uint8_t elements);
void aml_end(struct aml *aml, size_t begun);

/* A name of four characters, perhaps behind a backslash, and its value, which follows: one of the next ones. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint32_t value);
void aml_string(struct aml *aml, const char *text);
/* A compressed identifier of three letters and four hexadecimal digits. Precondition: it is one. */
void aml_eisa(struct aml *aml, const char *id);

/* A resource template, between its two ends (ACPI 6.5, 6.4). */
size_t aml_resources(struct aml *aml);
void aml_memory32(struct aml *aml, uint32_t start, uint32_t size);
void aml_ports(struct aml *aml, uint16_t first, uint8_t count);
/* An interrupt of the ISA bus: edge-triggered, active high. */
void aml_isa_irq(struct aml *aml, uint8_t irq);
/* A global interrupt, level-triggered, active high. */
void aml_interrupt(struct aml *aml, uint32_t number);
/* Bus numbers 0 to `last` that a bridge has below it. */
void aml_buses(struct aml *aml, uint8_t last);
void aml_end_resources(struct aml *aml, size_t begun);

#endif
