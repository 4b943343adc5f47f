/* SPDX-License-Identifier: MIT */
#include "tools/kvm_linux/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CPUID_ENTRIES = 100, LARGE_PAGE = 2 << 20, PIC_PINS = 8, IO_APIC_PINS = 24, IO_APIC_TIMER_PIN = 2 };
enum { KVM_NAME_MOST = 48 /* of a statistic */ };
enum { LEAF_FEATURES = 1, ECX_TSC_DEADLINE = 1 << 24, MSR_TSC = 0x10 };
#define ECX_HYPERVISOR (1u << 31)

/* Where KVM keeps pages of its own in the guest's memory; only a guest in real mode would use them. */
enum { KVM_TSS_AT = 0xfffbd000, KVM_IDENTITY_MAP_AT = 0xfffbc000 };

struct tl_vm the_vm;

_Noreturn void vm_fail(const char *what)
{
	printf("kvm-linux: %s: %s\n", what, strerror(errno));
	exit(1);
}

int vm_call(int fd, unsigned long request, void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		vm_fail(what);
	return result;
}

/* ---- Creation ---------------------------------------------------------------------------------------------------- */

/* By pages of 2 MiB, all of them there, so that no tick of the guest's goes into finding memory. */
static uint8_t *allocate(uint64_t size)
{
	uint8_t *pages = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		vm_fail("mmap");
	pages += -(uintptr_t)pages % LARGE_PAGE;
	if (madvise(pages, size, MADV_HUGEPAGE) < 0)
		vm_fail("madvise");
	memset(pages, 0, size);
	return pages;
}

/* GSI 0, the timer, is on pin 2 of the I/O APIC, as on every PC; KVM's own routing has it on pin 0. */
static void route_interrupts(void)
{
	enum { ENTRIES = 2 * PIC_PINS + IO_APIC_PINS };
	struct kvm_irq_routing *routing = calloc(1, sizeof(*routing) + ENTRIES * sizeof(routing->entries[0]));
	struct kvm_irq_routing_entry *entry;

	if (!routing)
		vm_fail("calloc");
	entry = routing->entries;
	for (unsigned gsi = 0; gsi < IO_APIC_PINS; gsi++) {
		if (gsi < 2 * PIC_PINS && gsi != 2)
			*entry++ = (struct kvm_irq_routing_entry){
				.gsi = gsi,
				.type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = {gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
					      gsi % PIC_PINS}};
		if (gsi != 2)
			*entry++ = (struct kvm_irq_routing_entry){
				.gsi = gsi,
				.type = KVM_IRQ_ROUTING_IRQCHIP,
				.u.irqchip = {KVM_IRQCHIP_IOAPIC, gsi ? gsi : IO_APIC_TIMER_PIN}};
	}
	routing->nr = (uint32_t)(entry - routing->entries);
	vm_call(the_vm.fd, KVM_SET_GSI_ROUTING, routing, "KVM_SET_GSI_ROUTING");
	free(routing);
}

/* All that KVM offers, its paravirtual clock and the rest of it included; the timer by deadline it leaves to us. */
static void set_cpuid(void)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		vm_fail("calloc");
	cpuid->nent = CPUID_ENTRIES;
	vm_call(the_vm.kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_FEATURES)
			cpuid->entries[i].ecx |= ECX_TSC_DEADLINE | ECX_HYPERVISOR;
	vm_call(the_vm.vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);
}

void vm_create(uint64_t ram_size)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity_map = KVM_IDENTITY_MAP_AT;
	int size;

	the_vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (the_vm.kvm < 0)
		vm_fail("/dev/kvm");
	the_vm.fd = vm_call(the_vm.kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	vm_call(the_vm.fd, KVM_SET_TSS_ADDR, (void *)KVM_TSS_AT, "KVM_SET_TSS_ADDR");
	vm_call(the_vm.fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map, "KVM_SET_IDENTITY_MAP_ADDR");
	vm_call(the_vm.fd, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	vm_call(the_vm.fd, KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2");
	route_interrupts();
	the_vm.vcpu = vm_call(the_vm.fd, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	size = vm_call(the_vm.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	the_vm.run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, the_vm.vcpu, 0);
	if (the_vm.run == MAP_FAILED)
		vm_fail("mmap of struct kvm_run");
	set_cpuid();
	the_vm.ram = allocate(ram_size);
	the_vm.ram_size = ram_size;
}

void vm_add_slot(uint64_t at, uint64_t size, void *host, bool read_only)
{
	struct kvm_userspace_memory_region region = {
		.slot = the_vm.nr_slots++,
		.flags = read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = at,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	vm_call(the_vm.fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

/* ---- State ------------------------------------------------------------------------------------------------------- */

/* Access rights as the VMCS has them (SDM vol. 3, 25.4.1), field by field. */
static struct kvm_segment segment_of(const struct tl_segment *segment)
{
	uint32_t access = segment->access;

	return (struct kvm_segment){
		.base = segment->base,
		.limit = segment->limit,
		.selector = segment->selector,
		.type = access & 0xf,
		.s = access >> 4 & 1,
		.dpl = access >> 5 & 3,
		.present = access >> 7 & 1,
		.avl = access >> 12 & 1,
		.l = access >> 13 & 1,
		.db = access >> 14 & 1,
		.g = access >> 15 & 1,
		.unusable = access >> 16 & 1,
	};
}

static void set_system_registers(const struct tl_state *state)
{
	const struct tl_segment *segment = state->segment;
	struct kvm_sregs sregs;

	vm_call(the_vm.vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.es = segment_of(&segment[TL_ES]);
	sregs.cs = segment_of(&segment[TL_CS]);
	sregs.ss = segment_of(&segment[TL_SS]);
	sregs.ds = segment_of(&segment[TL_DS]);
	sregs.fs = segment_of(&segment[TL_FS]);
	sregs.gs = segment_of(&segment[TL_GS]);
	sregs.ldt = segment_of(&segment[TL_LDTR]);
	sregs.tr = segment_of(&segment[TL_TR]);
	sregs.gdt = (struct kvm_dtable){.base = state->gdtr.base, .limit = state->gdtr.limit};
	sregs.idt = (struct kvm_dtable){.base = state->idtr.base, .limit = state->idtr.limit};
	sregs.cr0 = state->cr0;
	sregs.cr3 = state->cr3;
	sregs.cr4 = state->cr4;
	sregs.efer = state->efer;
	vm_call(the_vm.vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
}

void vm_set_state(const struct tl_state *state)
{
	const uint64_t *gpr = state->gpr;
	struct kvm_regs regs = {
		.rax = gpr[TL_RAX],
		.rbx = gpr[TL_RBX],
		.rcx = gpr[TL_RCX],
		.rdx = gpr[TL_RDX],
		.rsi = gpr[TL_RSI],
		.rdi = gpr[TL_RDI],
		.rsp = gpr[TL_RSP],
		.rbp = gpr[TL_RBP],
		.rip = state->rip,
		.rflags = state->rflags,
	};

	set_system_registers(state);
	vm_call(the_vm.vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

uint64_t vm_tsc(void)
{
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));
	uint64_t tsc;

	if (!msrs)
		vm_fail("calloc");
	msrs->nmsrs = 1;
	msrs->entries[0].index = MSR_TSC;
	vm_call(the_vm.vcpu, KVM_GET_MSRS, msrs, "KVM_GET_MSRS");
	tsc = msrs->entries[0].data;
	free(msrs);
	return tsc;
}

uint64_t vm_tsc_hz(void)
{
	return (uint64_t)vm_call(the_vm.vcpu, KVM_GET_TSC_KHZ, NULL, "KVM_GET_TSC_KHZ") * 1000;
}

/* ---- A run ------------------------------------------------------------------------------------------------------- */

void vm_set_line(unsigned gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	/* Devices say again what they have said. */
	if ((the_vm.lines >> gsi & 1) == level)
		return;
	the_vm.lines ^= 1ull << gsi;
	vm_call(the_vm.fd, KVM_IRQ_LINE, &line, "KVM_IRQ_LINE");
}

bool vm_run(void)
{
	if (ioctl(the_vm.vcpu, KVM_RUN, NULL) == 0)
		return true;
	if (errno != EINTR)
		vm_fail("KVM_RUN");
	return false;
}

static void read_at(int fd, void *to, size_t size, uint64_t at)
{
	if (pread(fd, to, size, (off_t)at) != (ssize_t)size)
		vm_fail("KVM's statistics");
}

/* KVM's binary statistics: Linux' Documentation/virt/kvm/api.rst, 4.133. */
uint64_t vm_exits(const char *statistic)
{
	int fd = vm_call(the_vm.vcpu, KVM_GET_STATS_FD, NULL, "KVM_GET_STATS_FD");
	struct kvm_stats_header header;
	uint64_t exits = 0;

	read_at(fd, &header, sizeof(header), 0);
	for (uint32_t i = 0; i < header.num_desc; i++) {
		uint64_t at = header.desc_offset + i * (sizeof(struct kvm_stats_desc) + header.name_size);
		struct kvm_stats_desc desc;
		char name[KVM_NAME_MOST] = "";

		read_at(fd, &desc, sizeof(desc), at);
		read_at(fd, name, header.name_size < sizeof(name) ? header.name_size : sizeof(name), at + sizeof(desc));
		if (strncmp(name, statistic, sizeof(name)) == 0)
			read_at(fd, &exits, sizeof(exits), header.data_offset + desc.offset);
	}
	close(fd);
	return exits;
}
