/* SPDX-License-Identifier: MIT */
/*
 * What a board of guest/pc/machine.h is linked with here: interrupt controllers and the PIT that are KVM's, so that
 * nothing of ours serves them, and Trapline's map and memory as KVM's slots.
 */
#include "guest/devices/local_apic.h"
#include "guest/pc/machine.h"
#include "tools/kvm_linux/vm.h"

#include <stdlib.h>
#include <string.h>

/* KVM serves these ports before they would come here. */
static struct port_range kvm_ports(uint16_t first, uint16_t count)
{
	return (struct port_range){.first = first, .count = count};
}

/* ---- Interrupt controllers --------------------------------------------------------------------------------------- */

void pic_init(struct pic *pic, struct lock *lock, struct line output)
{
	(void)pic, (void)lock, (void)output;
}

struct port_range pic_ports(struct pic *pic, unsigned chip)
{
	(void)pic;
	return kvm_ports(chip ? PIC_SECOND_PORT : PIC_FIRST_PORT, 2);
}

struct port_range pic_elcr_ports(struct pic *pic)
{
	(void)pic;
	return kvm_ports(PIC_ELCR_PORT, 2);
}

/* A line of KVM's reaches the PICs and the I/O APIC; io_apic_pin() has told it. */
void pic_pin(void *context, unsigned pin, bool level)
{
	(void)context, (void)pin, (void)level;
}

uint8_t pic_acknowledge(struct pic *pic)
{
	(void)pic;
	abort();
}

void io_apic_init(struct io_apic *io_apic, struct lock *lock, struct local_apic_bus *bus, uint8_t id)
{
	(void)io_apic, (void)lock, (void)bus, (void)id;
}

/* Pin 2 is the timer's, whose interrupt is 0. */
void io_apic_pin(void *context, unsigned pin, bool level)
{
	(void)context;
	vm_set_line(pin == 2 ? 0 : pin, level);
}

enum tl_status io_apic_access(struct tl_mmio *access)
{
	(void)access;
	abort();
}

void io_apic_end_of_interrupt(struct io_apic *io_apic, uint8_t vector)
{
	(void)io_apic, (void)vector;
	abort();
}

bool io_apic_sends_unmaskable(const struct io_apic *io_apic)
{
	(void)io_apic;
	abort();
}

void local_apic_pin(void *context, unsigned pin, bool level)
{
	(void)context, (void)pin, (void)level;
	abort();
}

bool local_apic_pin_is_unmaskable(const struct local_apic *apic, unsigned pin)
{
	(void)apic, (void)pin;
	abort();
}

/* ---- The PIT ----------------------------------------------------------------------------------------------------- */

void pit_init(struct pit *pit, struct lock *lock, struct clock *clock, struct line output)
{
	(void)pit, (void)lock, (void)clock, (void)output;
}

struct port_range pit_ports(struct pit *pit)
{
	(void)pit;
	return kvm_ports(PIT_PORT, 4);
}

struct port_range pit_speaker_port(struct pit *pit)
{
	(void)pit;
	return kvm_ports(PIT_SPEAKER_PORT, 1);
}

/* ---- Trapline's own functions ------------------------------------------------------------------------------------ */

/* The board is asked for no test devices. */
void pci_test_device_init(struct pci_test_device *device, struct lock *lock, struct tl_vm *vm)
{
	(void)device, (void)lock, (void)vm;
	abort();
}

enum tl_status tl_map_add(struct tl_edit *edit, const struct tl_range *range, tl_range_id *id)
{
	(void)edit, (void)id;
	if (range->host) {
		vm_add_slot(range->start, range->size, range->host, range->kind == TL_RANGE_ROM);
		return TL_OK;
	}
	if (the_vm.nr_ranges == VM_MOST_RANGES)
		return TL_NO_MEMORY;
	the_vm.range[the_vm.nr_ranges++] = *range;
	return TL_OK;
}

bool tl_mem_read(struct tl_vm *vm, uint64_t gpa, void *buffer, size_t size)
{
	if (gpa > vm->ram_size || size > vm->ram_size - gpa)
		return false;
	memcpy(buffer, vm->ram + gpa, size);
	return true;
}

bool tl_mem_write(struct tl_vm *vm, uint64_t gpa, const void *buffer, size_t size)
{
	if (gpa > vm->ram_size || size > vm->ram_size - gpa)
		return false;
	memcpy(vm->ram + gpa, buffer, size);
	return true;
}
