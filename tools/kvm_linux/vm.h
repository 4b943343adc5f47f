/* SPDX-License-Identifier: MIT */
/*
 * A VM of KVM with one vCPU; its local APIC, I/O APIC, PICs and PIT are KVM's own. It stands in the place of
 * Trapline's VM for the devices and loaders of guest/, which know that by the functions that chips.c has for them.
 */
#ifndef KVM_LINUX_VM_H
#define KVM_LINUX_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <trapline.h>

enum { VM_MOST_RANGES = 8 };

/* What a process has one of. */
struct tl_vm {
	int kvm, fd, vcpu;
	struct kvm_run *run;
	uint8_t *ram; /* guest-physical 0 */
	uint64_t ram_size;
	uint32_t nr_slots;
	unsigned nr_ranges;
	struct tl_range range[VM_MOST_RANGES]; /* of devices */
	uint64_t lines;                        /* the levels that KVM was told of, by GSI */
};

extern struct tl_vm the_vm;

/* Ends the program with a sentence; of a failed system call with its reason. */
_Noreturn void vm_fail(const char *what);

/* An ioctl() that must not fail. */
int vm_call(int fd, unsigned long request, void *argument, const char *what);

/* Its memory is there, zeroed, but is in no slot yet. Precondition: a multiple of 2 MiB. */
void vm_create(uint64_t ram_size);

/* A memory slot of KVM's, at most VM_MOST_RANGES. */
void vm_add_slot(uint64_t at, uint64_t size, void *host, bool read_only);

void vm_set_state(const struct tl_state *state);
uint64_t vm_tsc(void); /* the guest's, now */
uint64_t vm_tsc_hz(void);

/* One of Linux' interrupt lines: KVM's PICs and I/O APIC. */
void vm_set_line(unsigned gsi, bool level);

/* Runs the guest until KVM wants something served, or somebody has set run->immediate_exit: false. */
bool vm_run(void);

/* How many exits the vCPU had, by KVM's own count: all are its "exits". */
uint64_t vm_exits(const char *statistic);

#endif
