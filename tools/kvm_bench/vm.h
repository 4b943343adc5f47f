/* SPDX-License-Identifier: MIT */
/* A VM of KVM with one vCPU, a local APIC and an I/O APIC in the kernel, and the guest of guest.c. */
#ifndef KVM_BENCH_VM_H
#define KVM_BENCH_VM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/kvm_bench/order.h"

struct vm {
	int kvm, fd, vcpu;
	struct kvm_run *run;
	uint8_t *memory;
	struct kvm_coalesced_mmio_ring *ring;
	uint64_t coalesced, user_exits; /* writes taken from the ring, accesses completed here: since the last order */
};

/* Ends the program with a sentence; of a failed system call with its reason. */
_Noreturn void vm_fail(const char *what);

void vm_create(struct vm *vm, const char *guest_file);

/* The guest's samples are in the result until the next order. */
uint32_t *vm_order(struct vm *vm, enum order_kind kind, uint64_t at, uint64_t other, uint32_t count);

/* Adds, changes or, of size 0, deletes a memory slot. */
void vm_slot(struct vm *vm, uint32_t slot, uint64_t at, uint64_t size, uint32_t flags);

void vm_slot_of(struct vm *vm, uint32_t slot, uint64_t at, uint64_t size, uint32_t flags, const void *host);

/* Memory that is there, by pages of 2 MiB if Linux has them. */
void *vm_large_pages(size_t size);

/* Takes a slot's dirty log: a bit for each page. */
void vm_fetch_log(struct vm *vm, uint32_t slot, void *bitmap);

/* Writes to `at` ring an eventfd. Of length 0, KVM does not even decode them. Returns the eventfd. */
int vm_doorbell(struct vm *vm, uint64_t at, uint32_t length);

/* Adds decoded doorbells that share an eventfd, one a page from `at` on, to KVM's bus of devices. */
void vm_fill_bus(struct vm *vm, uint64_t at, uint32_t count);

/* How often it was rung since this was called last. */
uint64_t vm_rings(int doorbell);

/* Writes there go to a ring. */
void vm_coalesce(struct vm *vm, uint64_t at, uint32_t size);

#endif
