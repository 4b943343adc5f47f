/* SPDX-License-Identifier: MIT */
#include "vmx/selftest_guest.h"
#include "mmu/hooks.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"

/* Pages of `memory`: first the guest's, one to one from its address 0 on, then what only the host sees. */
enum {
	CODE_PAGE,
	GUEST_PML4,
	GUEST_PDPT,
	GUEST_DIRECTORY, /* three, so that 3 GiB are mapped by pages of 2 MiB, which every CPU has */
	GUEST_PAGES = GUEST_DIRECTORY + 3,
	EPT_PDPT = GUEST_PAGES,
	EPT_DIRECTORY_LOW,  /* of the first GiB */
	EPT_DIRECTORY_NEXT, /* of the second */
	EPT_TABLE_LOW,
	DATA_PAGE,
	DATA_TABLE = DATA_PAGE + NR_SELFTEST_PAGES,
	DATA_DIRECTORY = DATA_TABLE + NR_SELFTEST_PAGES,
	MEMORY_PAGES = DATA_DIRECTORY + NR_SELFTEST_PAGES,
};

#define GIB (1ull << 30)

enum { GUEST_PRESENT = 3, GUEST_LEAF = 0xe3 /* present, writable, accessed, dirty, large */, ENTRIES = 512 };
enum { INTERRUPTIONS_MOST = 100000 };

/* Not the first page of what an entry maps, so that the address shows which bits of it are right. */
const gpa_t selftest_at[SELFTEST_LEVELS + 1] = {
	[1] = 0x1009a8, /* on the page that the instructions of the probe name */
	[2] = GIB + (6 << 20) + 0x1239a8,
	[3] = 2 * GIB + (10 << 20) + 0x1239a8,
};

/* VMCALL, NOP, and what tells the pages apart. */
static const uint64_t words[NR_SELFTEST_PAGES] = {0xaaaaaaaa90c1010f, 0xbbbbbbbb90c1010f};

static uint8_t *page_of(const struct selftest_guest *guest, unsigned page)
{
	return guest->memory + page * PAGE_SIZE;
}

static uint64_t *table_of(const struct selftest_guest *guest, unsigned page)
{
	return (uint64_t *)(void *)page_of(guest, page);
}

static ept_entry_t pointer_to(const struct selftest_guest *guest, unsigned page)
{
	return host_to_phys(page_of(guest, page)) | EPT_RWX;
}

static ept_entry_t leaf_of(hpa_t page)
{
	return page | EPT_TYPE_WB | EPT_RWX;
}

static void fill_code(struct selftest_guest *guest)
{
	static const struct {
		unsigned at;
		uint8_t bytes[6];
	} code[] = {
		{CODE_READ, {0x48, 0x8b, 0x07, 0x0f, 0x01, 0xc1}},
		{CODE_WRITE, {0x48, 0x89, 0x07, 0x0f, 0x01, 0xc1}},
		{CODE_JUMP, {0xff, 0xe7}},
		{CODE_CALL, {0x0f, 0x01, 0xc1}},
		{CODE_SPIN, {0xeb, 0xfe}},
	};
	uint8_t *page = page_of(guest, CODE_PAGE);

	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		__builtin_memcpy(page + code[i].at, code[i].bytes, sizeof(code[i].bytes));
	guest->nr_insns = probe_write_insns(page + CODE_LENGTHS, guest->length);
}

/* Linear addresses are guest-physical ones. */
static void fill_guest_tables(const struct selftest_guest *guest)
{
	*table_of(guest, GUEST_PML4) = GUEST_PDPT * PAGE_SIZE | GUEST_PRESENT;
	for (unsigned i = 0; i < GUEST_PAGES - GUEST_DIRECTORY; i++)
		table_of(guest, GUEST_PDPT)[i] = (GUEST_DIRECTORY + i) * PAGE_SIZE | GUEST_PRESENT;
	for (unsigned i = 0; i < ENTRIES * (GUEST_PAGES - GUEST_DIRECTORY); i++)
		table_of(guest, GUEST_DIRECTORY)[i] = (uint64_t)i << 21 | GUEST_LEAF;
}

static void fill_data(struct selftest_guest *guest)
{
	for (unsigned which = 0; which < NR_SELFTEST_PAGES; which++) {
		guest->word[which] = words[which];
		guest->page[which] = host_to_phys(page_of(guest, DATA_PAGE + which));
		guest->table[which] = host_to_phys(page_of(guest, DATA_TABLE + which));
		guest->directory[which] = host_to_phys(page_of(guest, DATA_DIRECTORY + which));
		for (unsigned i = 0; i < ENTRIES; i++) {
			table_of(guest, DATA_PAGE + which)[i] = words[which];
			table_of(guest, DATA_TABLE + which)[i] = leaf_of(guest->page[which]);
			table_of(guest, DATA_DIRECTORY + which)[i] = guest->table[which] | EPT_RWX;
		}
	}
}

static ept_slot_t *slot_at(const struct selftest_guest *guest, unsigned page, unsigned level)
{
	return (ept_slot_t *)(void *)(table_of(guest, page) + ept_index(selftest_at[level], level));
}

/* The VM's map is empty, and so are its tables but for what is written here. */
static void fill_ept(struct selftest_guest *guest)
{
	/* relaxed: this CPU alone runs the guest, and not before. */
	atomic_store_explicit(&guest->vm->root[0], pointer_to(guest, EPT_PDPT), memory_order_relaxed);
	table_of(guest, EPT_PDPT)[0] = pointer_to(guest, EPT_DIRECTORY_LOW);
	table_of(guest, EPT_PDPT)[1] = pointer_to(guest, EPT_DIRECTORY_NEXT);
	table_of(guest, EPT_DIRECTORY_LOW)[0] = pointer_to(guest, EPT_TABLE_LOW);
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		table_of(guest, EPT_TABLE_LOW)[i] = leaf_of(host_to_phys(page_of(guest, i)));
	guest->slot[1] = slot_at(guest, EPT_TABLE_LOW, 1);
	guest->slot[2] = slot_at(guest, EPT_DIRECTORY_NEXT, 2);
	guest->slot[3] = slot_at(guest, EPT_PDPT, 3);
	guest->guest_table = (const ept_slot_t *)(const void *)(table_of(guest, EPT_TABLE_LOW) + GUEST_PML4);
}

static enum tl_status create_vcpu(struct selftest_guest *guest)
{
	enum tl_status status;

	guest->vcpu = tl_vcpu_create(guest->vm, &status);
	if (guest->vcpu)
		status = probe_set_state(guest->vcpu, 0, GUEST_PML4 * PAGE_SIZE);
	if (status != TL_OK)
		return status;
	vmcs_write(VMCS_HOST_RIP, (uintptr_t)vmx_exit_once);
	/* Interrupts exit whatever this says; but Bochs 2.7 keeps them from a guest that masks them (boot/smp.c). */
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	return status;
}

enum tl_status selftest_guest_create(struct selftest_guest *guest)
{
	enum tl_status status = TL_NO_MEMORY;

	*guest = (struct selftest_guest){.memory = page_alloc(MEMORY_PAGES)};
	if (guest->memory)
		guest->vm = tl_vm_create(NULL, &status);
	if (guest->vm) {
		fill_code(guest);
		fill_guest_tables(guest);
		fill_data(guest);
		fill_ept(guest);
		status = create_vcpu(guest);
	}
	if (status != TL_OK)
		selftest_guest_destroy(guest);
	else
		selftest_flush(guest);
	return status;
}

void selftest_guest_destroy(struct selftest_guest *guest)
{
	if (guest->vcpu)
		tl_vcpu_destroy(guest->vcpu);
	if (guest->vm) {
		/* The tables below are not the VM's to free. */
		atomic_store_explicit(&guest->vm->root[0], 0, memory_order_relaxed);
		vcpu_flush_ept(guest->vm);
		tl_vm_destroy(guest->vm);
	}
	page_free(guest->memory, MEMORY_PAGES);
	*guest = (struct selftest_guest){0};
}

/* What the host is interrupted by is not the guest's doing: it is taken, and the guest goes on. */
static bool took_interruption(uint32_t reason)
{
	uint64_t information = vmcs_read(VMCS_EXIT_INTERRUPTION_INFORMATION);

	if (reason == EXIT_REASON_EXTERNAL_INTERRUPT) {
		if (information & EVENT_INFO_VALID)
			vmx_take_interrupt(information & 0xff);
		else
			interrupt_window();
		return true;
	}
	if (reason == EXIT_REASON_EXCEPTION_OR_NMI && (information & EVENT_INFO_TYPE) >> 8 == TL_EVENT_NMI) {
		raise_nmi();
		return true;
	}
	return false;
}

uint32_t selftest_run_once(const struct selftest_guest *guest, bool *was_taken)
{
	uint32_t reason;

	*was_taken = false;
	if (vmx_run(guest->vcpu) == VCPU_FAILED)
		return SELFTEST_NOT_ENTERED;
	reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
	*was_taken = took_interruption(reason);
	return reason;
}

uint32_t selftest_run(const struct selftest_guest *guest, unsigned code, uint64_t rdi)
{
	uint32_t reason = SELFTEST_NOT_ENTERED;
	bool was_taken = true;

	guest->vcpu->gpr[TL_RDI] = rdi;
	vmcs_write(VMCS_GUEST_RIP, code);
	for (unsigned i = 0; i < INTERRUPTIONS_MOST && was_taken; i++)
		reason = selftest_run_once(guest, &was_taken);
	return reason;
}

void selftest_write_entry(const struct selftest_guest *guest, unsigned level, ept_entry_t entry)
{
	/* relaxed: the CPU that walks is this one. */
	atomic_store_explicit(guest->slot[level], entry, memory_order_relaxed);
}

ept_entry_t selftest_present(const struct selftest_guest *guest, unsigned level, enum selftest_page page)
{
	if (level == 1)
		return leaf_of(guest->page[page]);
	return (level == 2 ? guest->table[page] : guest->directory[page]) | EPT_RWX;
}

void selftest_flush(const struct selftest_guest *guest)
{
	vcpu_flush_ept(guest->vm);
}
