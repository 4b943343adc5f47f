/* SPDX-License-Identifier: MIT */
#include "boot/acpi.h"

#include "boot/acpi_spec.h"
#include "boot/libc.h"
#include "boot/refuse.h"

/* Longer than any table that lists processors: a thousand of them take 16 KiB. */
enum { ACPI_TABLE_MAX = 1 << 20 };

struct parser {
	acpi_bytes_fn at;
	struct acpi_apics *apics;
	struct refusal why;
};

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++)
		total = (uint8_t)(total + bytes[i]);
	return total;
}

/* ---- The root pointer ------------------------------------------------------------------------------------- */

/* Whether the bytes are a root pointer; *rsdp gets what of it is there, the rest 0. */
static bool take_rsdp(const uint8_t *bytes, size_t size, struct acpi_rsdp *rsdp)
{
	memset(rsdp, 0, sizeof(*rsdp));
	if (size < ACPI_RSDP_SIZE || memcmp(bytes, "RSD PTR ", 8) != 0 || sum(bytes, ACPI_RSDP_SIZE) != 0)
		return false;
	memcpy(rsdp, bytes, ACPI_RSDP_SIZE);
	/* The longer form counts where it is whole; the shorter one in front of it is good by itself. */
	if (rsdp->revision >= 2 && size >= ACPI_RSDP_EXTENDED_SIZE && sum(bytes, ACPI_RSDP_EXTENDED_SIZE) == 0)
		memcpy(rsdp, bytes, ACPI_RSDP_EXTENDED_SIZE);
	return true;
}

static bool search_rsdp(const struct parser *p, uint64_t start, uint64_t end, struct acpi_rsdp *rsdp)
{
	for (uint64_t at = start; at + ACPI_RSDP_SIZE <= end; at += ACPI_RSDP_ALIGNMENT) {
		size_t size = end - at < ACPI_RSDP_EXTENDED_SIZE ? ACPI_RSDP_SIZE : ACPI_RSDP_EXTENDED_SIZE;
		const uint8_t *bytes = p->at(at, size);

		if (bytes && take_rsdp(bytes, size, rsdp))
			return true;
	}
	return false;
}

static bool find_rsdp(const struct parser *p, struct acpi_rsdp *rsdp)
{
	const uint8_t *segment = p->at(ACPI_EBDA_SEGMENT_AT, 2);
	uint64_t ebda = segment ? (uint64_t)(segment[0] | segment[1] << 8) << 4 : 0;

	if (ebda && search_rsdp(p, ebda, ebda + ACPI_EBDA_SIZE, rsdp))
		return true;
	return search_rsdp(p, ACPI_BIOS_START, ACPI_BIOS_END, rsdp);
}

/* ---- Tables ----------------------------------------------------------------------------------------------- */

/* The whole table at an address, or NULL and a reason. */
static const uint8_t *find_table(const struct parser *p, uint64_t at, const char *name, uint32_t *length)
{
	const uint8_t *bytes = p->at(at, sizeof(struct acpi_header));
	struct acpi_header header;

	if (!bytes) {
		refuse(&p->why, "ACPI's %s at 0x%llx cannot be read; update the firmware.", name,
		       (unsigned long long)at);
		return NULL;
	}
	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.signature, name, sizeof(header.signature)) != 0) {
		refuse(&p->why, "there is no %s at 0x%llx, where ACPI has it; update the firmware.", name,
		       (unsigned long long)at);
		return NULL;
	}
	if (header.length < sizeof(header) || header.length > ACPI_TABLE_MAX) {
		refuse(&p->why, "ACPI's %s at 0x%llx says that it has %u bytes; update the firmware.", name,
		       (unsigned long long)at, header.length);
		return NULL;
	}
	bytes = p->at(at, header.length);
	if (!bytes || sum(bytes, header.length) != 0) {
		refuse(&p->why, "ACPI's %s at 0x%llx %s; update the firmware.", name, (unsigned long long)at,
		       bytes ? "has a wrong checksum" : "cannot be read to its end");
		return NULL;
	}
	*length = header.length;
	return bytes;
}

/* ---- Processors ------------------------------------------------------------------------------------------- */

/* Firmware may list one processor in both forms. */
static bool is_listed(const struct acpi_apics *apics, uint32_t apic_id)
{
	for (size_t i = 0; i < apics->count; i++)
		if (apics->apic_id[i] == apic_id)
			return true;
	return false;
}

static void add_cpu(struct acpi_apics *apics, uint32_t apic_id, uint32_t flags)
{
	if (!(flags & MADT_ENABLED))
		apics->disabled++;
	else if (is_listed(apics, apic_id))
		return;
	else if (apics->count == ACPI_CPUS_MAX)
		apics->left_out++;
	else
		apics->apic_id[apics->count++] = apic_id;
}

/* One entry, `length` bytes of which are there. false: it is shorter than its type has to be. */
static bool take_entry(struct acpi_apics *apics, const uint8_t *bytes, uint8_t type, uint8_t length)
{
	struct madt_local_apic local;
	struct madt_local_x2apic local_x2;
	struct madt_io_apic io;

	if (type == MADT_LOCAL_APIC) {
		if (length < sizeof(local))
			return false;
		memcpy(&local, bytes, sizeof(local));
		/* 255 is every processor's: firmware fills rows that stand for none with it. */
		if (local.id != 0xFF)
			add_cpu(apics, local.id, local.flags);
	} else if (type == MADT_LOCAL_X2APIC) {
		if (length < sizeof(local_x2))
			return false;
		memcpy(&local_x2, bytes, sizeof(local_x2));
		if (local_x2.id != UINT32_MAX)
			add_cpu(apics, local_x2.id, local_x2.flags);
	} else if (type == MADT_IO_APIC) {
		if (length < sizeof(io))
			return false;
		memcpy(&io, bytes, sizeof(io));
		if (apics->nr_io_apics < ACPI_IO_APICS_MAX)
			apics->io_apic[apics->nr_io_apics++] = io.address;
	}
	return true;
}

static bool read_madt(const struct parser *p, uint64_t where)
{
	uint32_t length, at = sizeof(struct acpi_madt);
	const uint8_t *madt = find_table(p, where, "APIC", &length);

	memset(p->apics, 0, sizeof(*p->apics));
	if (!madt)
		return false;
	while (at < length) {
		uint32_t left = length - at;
		uint8_t size = left < sizeof(struct madt_entry) ? 0 : madt[at + 1];

		/* A size of 0 would be read for ever. */
		if (size < sizeof(struct madt_entry) || size > left ||
		    !take_entry(p->apics, madt + at, madt[at], size)) {
			memset(p->apics, 0, sizeof(*p->apics));
			return refuse(&p->why,
				      "ACPI's APIC table has an entry of %u bytes at offset %u; update the firmware.",
				      size, at);
		}
		at += size;
	}
	return p->apics->count ||
	       refuse(&p->why, "ACPI's APIC table lists no processor that is enabled; turn them on in the "
			       "firmware.");
}

/* Looks through the RSDT, whose entries have 4 bytes, or the XSDT with its 8. */
static bool read_root(const struct parser *p, uint64_t where, const char *name, size_t entry_size)
{
	uint32_t length;
	const uint8_t *root = find_table(p, where, name, &length);
	bool met = false;

	if (!root)
		return false;
	for (uint32_t at = sizeof(struct acpi_header); length - at >= entry_size; at += (uint32_t)entry_size) {
		uint64_t entry = 0;
		const char *signature;

		memcpy(&entry, root + at, entry_size);
		signature = p->at(entry, 4);
		if (!signature || memcmp(signature, "APIC", 4) != 0)
			continue;
		met = true;
		if (read_madt(p, entry))
			return true;
	}
	return met ? false
		   : refuse(&p->why, "ACPI's %s names no APIC table that can be read; update the firmware.", name);
}

bool acpi_find_apics(acpi_bytes_fn at, const uint8_t *rsdp, size_t rsdp_size, struct acpi_apics *apics, char *reason,
		     size_t size)
{
	const struct parser p = {at, apics, {reason, size}};
	struct acpi_rsdp root;

	memset(apics, 0, sizeof(*apics));
	if (!take_rsdp(rsdp, rsdp_size, &root) && !find_rsdp(&p, &root))
		return refuse(&p.why, "neither the loader nor the BIOS has a root pointer of ACPI; turn ACPI on in the "
				      "firmware.");
	/* A broken XSDT leaves the older table, which firmware keeps beside it. */
	if (root.xsdt && read_root(&p, root.xsdt, "XSDT", 8))
		return true;
	if (root.rsdt)
		return read_root(&p, root.rsdt, "RSDT", 4);
	return root.xsdt ? false : refuse(&p.why, "ACPI's root pointer names no table; update the firmware.");
}
