/* SPDX-License-Identifier: MIT */
#include "tools/kvm_bench/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CPUID_ENTRIES = 100, PAGE = 4096, LARGE_PAGE = 2 << 20 };

/* Where KVM keeps pages of its own in the guest's memory; only a guest in real mode would use them. */
enum { KVM_TSS_AT = 0xfffbd000, KVM_IDENTITY_MAP_AT = 0xfffbc000 };

enum { CODE_SELECTOR = 8, DATA_SELECTOR = 16, TYPE_CODE = 11, TYPE_DATA = 3 };

_Noreturn void vm_fail(const char *what)
{
	printf("kvm-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int call(int fd, unsigned long request, void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		vm_fail(what);
	return result;
}

static void *map_pages(size_t size, int flags, int fd)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (pages == MAP_FAILED)
		vm_fail("mmap");
	return pages;
}

void vm_slot(struct vm *vm, uint32_t slot, uint64_t at, uint64_t size, uint32_t flags)
{
	vm_slot_of(vm, slot, at, size, flags, vm->memory);
}

void vm_slot_of(struct vm *vm, uint32_t slot, uint64_t at, uint64_t size, uint32_t flags, const void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = at,
		.memory_size = size,
		.userspace_addr = (uint64_t)host,
	};

	call(vm->fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

void *vm_large_pages(size_t size)
{
	uint8_t *pages = map_pages(size + LARGE_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	pages += -(uint64_t)pages % LARGE_PAGE;
	if (madvise(pages, size, MADV_HUGEPAGE) < 0)
		vm_fail("madvise");
	memset(pages, 1, size);
	return pages;
}

void vm_fetch_log(struct vm *vm, uint32_t slot, void *bitmap)
{
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	call(vm->fd, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
}

int vm_doorbell(struct vm *vm, uint64_t at, uint32_t length)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct kvm_ioeventfd doorbell = {.addr = at, .len = length, .fd = fd};

	if (fd < 0)
		vm_fail("eventfd");
	call(vm->fd, KVM_IOEVENTFD, &doorbell, "KVM_IOEVENTFD");
	return fd;
}

void vm_fill_bus(struct vm *vm, uint64_t at, uint32_t count)
{
	struct kvm_ioeventfd doorbell = {.addr = at, .len = 4, .fd = eventfd(0, EFD_NONBLOCK)};

	for (uint32_t added = 0; added < count; added++) {
		call(vm->fd, KVM_IOEVENTFD, &doorbell, "KVM_IOEVENTFD");
		doorbell.addr += PAGE;
	}
}

uint64_t vm_rings(int doorbell)
{
	uint64_t rings = 0;

	return read(doorbell, &rings, sizeof(rings)) == sizeof(rings) ? rings : 0;
}

void vm_coalesce(struct vm *vm, uint64_t at, uint32_t size)
{
	struct kvm_coalesced_mmio_zone zone = {.addr = at, .size = size};

	call(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone, "KVM_REGISTER_COALESCED_MMIO");
}

/* The first 8 GiB mapped to themselves by pages of 1 GiB, as Trapline's guests have the first 4. */
static void write_tables(uint8_t *memory)
{
	uint64_t *pml4 = (uint64_t *)(memory + TABLES_AT), *pdpt = pml4 + 512;

	pml4[0] = (TABLES_AT + PAGE) | 3;
	for (uint64_t i = 0; i < 8; i++)
		pdpt[i] = i << 30 | 0x83;
}

static void load_guest(uint8_t *memory, const char *file)
{
	FILE *guest = fopen(file, "rb");

	if (!guest || !fread(memory + GUEST_AT, 1, SAMPLES_AT - GUEST_AT, guest))
		vm_fail(file);
	fclose(guest);
}

/* 64-bit code with paging. */
static void set_state(struct vm *vm)
{
	struct kvm_segment data = {
		.limit = UINT32_MAX,
		.selector = DATA_SELECTOR,
		.type = TYPE_DATA,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
	struct kvm_regs regs = {.rip = GUEST_AT, .rsp = STACK_TOP - 8, .rflags = 2};
	struct kvm_sregs sregs;

	call(vm->vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.cs = data;
	sregs.cs.selector = CODE_SELECTOR;
	sregs.cs.type = TYPE_CODE;
	sregs.cs.db = 0;
	sregs.cs.l = 1;
	sregs.cr0 = 0x80010033; /* PG, WP, NE, ET, MP, PE */
	sregs.cr3 = TABLES_AT;
	sregs.cr4 = 0x20;   /* PAE */
	sregs.efer = 0x500; /* LMA, LME */
	call(vm->vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	call(vm->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void set_cpuid(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		vm_fail("calloc");
	cpuid->nent = CPUID_ENTRIES;
	call(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	call(vm->vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);
}

static void create_vcpu(struct vm *vm)
{
	int size = call(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	int ring = call(vm->kvm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_COALESCED_MMIO, "KVM_CAP_COALESCED_MMIO");

	vm->vcpu = call(vm->fd, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	vm->run = map_pages((size_t)size, MAP_SHARED, vm->vcpu);
	vm->ring = (void *)((uint8_t *)vm->run + ring * PAGE);
	set_cpuid(vm);
	set_state(vm);
}

void vm_create(struct vm *vm, const char *guest_file)
{
	uint64_t identity_map = KVM_IDENTITY_MAP_AT;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		vm_fail("/dev/kvm");
	vm->fd = call(vm->kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	call(vm->fd, KVM_SET_TSS_ADDR, (void *)KVM_TSS_AT, "KVM_SET_TSS_ADDR");
	call(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map, "KVM_SET_IDENTITY_MAP_ADDR");
	call(vm->fd, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	vm->memory = map_pages(MEMORY_SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	write_tables(vm->memory);
	load_guest(vm->memory, guest_file);
	vm_slot(vm, 0, 0, MEMORY_SIZE, 0);
	create_vcpu(vm);
}

static void drain(struct vm *vm)
{
	const uint32_t entries = (PAGE - sizeof(*vm->ring)) / sizeof(vm->ring->coalesced_mmio[0]);

	while (vm->ring->first != vm->ring->last) {
		vm->ring->first = (vm->ring->first + 1) % entries;
		vm->coalesced++;
	}
}

/* Serves an access; false: the guest has obeyed. */
static int serve_exit(struct vm *vm)
{
	struct kvm_run *run = vm->run;
	uint32_t value = 0x12345678;

	drain(vm);
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == DONE_PORT)
		return 0;
	if (run->exit_reason != KVM_EXIT_MMIO) {
		struct kvm_regs regs;

		call(vm->vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
		printf("kvm-bench: the guest ended at %llx with KVM's exit %u.\n", regs.rip, run->exit_reason);
		exit(1);
	}
	vm->user_exits++;
	if (!run->mmio.is_write)
		memcpy(run->mmio.data, &value, sizeof(value));
	return 1;
}

uint32_t *vm_order(struct vm *vm, enum order_kind kind, uint64_t at, uint64_t other, uint32_t count)
{
	*(struct order *)(vm->memory + ORDER_AT) =
		(struct order){.kind = kind, .count = count, .at = at, .other = other};
	vm->coalesced = vm->user_exits = 0;
	do {
		while (ioctl(vm->vcpu, KVM_RUN, NULL) < 0)
			if (errno != EINTR)
				vm_fail("KVM_RUN");
	} while (serve_exit(vm));
	return (uint32_t *)(vm->memory + SAMPLES_AT);
}
