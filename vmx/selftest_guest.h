/* SPDX-License-Identifier: MIT */
/*
 * The guest of the self-test: a few instructions in a page, and EPT tables that the checks write themselves. Every exit
 * of it ends the run, so that what the CPU said of it is still in the VMCS.
 */
#ifndef VMX_SELFTEST_GUEST_H
#define VMX_SELFTEST_GUEST_H

#include "mmu/ept.h"
#include "vmx/probe.h"
#include "vmx/vcpu.h"
#include <trapline.h>

/* Where the guest's instructions stand; each ends in a VMCALL but CODE_SPIN, which does not end. */
enum { RFLAGS_FIXED = 2 };

enum selftest_code {
	CODE_READ = 0x00,      /* RAX = [RDI] */
	CODE_WRITE = 0x10,     /* [RDI] = RAX */
	CODE_JUMP = 0x20,      /* to RDI */
	CODE_CALL = 0x30,      /* nothing but the VMCALL */
	CODE_SPIN = 0x40,      /* a loop */
	CODE_OF_CALLER = 0x50, /* up to CODE_LENGTHS: nothing, to be written by who needs something else */
	CODE_LENGTHS = 0x80,   /* the probe's, one behind the other */
};

/* The entry that the checks write, one for each level: index 1 is that of a 4 KiB page. Linear is guest-physical. */
enum { SELFTEST_LEVELS = 3 };
extern const gpa_t selftest_at[SELFTEST_LEVELS + 1];

/* Pages with different words, each a VMCALL to who executes it. */
enum selftest_page { PAGE_A, PAGE_B, NR_SELFTEST_PAGES };

struct selftest_guest {
	struct tl_vm *vm;
	struct tl_vcpu *vcpu;
	uint8_t *memory;                       /* all of the guest's own pages and of its tables */
	ept_slot_t *slot[SELFTEST_LEVELS + 1]; /* those entries */
	const ept_slot_t *guest_table;         /* the 4 KiB entry of the guest's own top table */
	hpa_t page[NR_SELFTEST_PAGES];
	hpa_t table[NR_SELFTEST_PAGES];     /* a page table all of whose entries lead to that page, */
	hpa_t directory[NR_SELFTEST_PAGES]; /* a directory whose entries lead to that page table */
	uint64_t word[NR_SELFTEST_PAGES];
	unsigned nr_insns; /* at CODE_LENGTHS */
	uint8_t length[PROBE_INSNS_MOST];
};

/* A VM entry that failed, beside the CPU's exit reasons. */
#define SELFTEST_NOT_ENTERED UINT32_MAX

enum tl_status selftest_guest_create(struct selftest_guest *guest);
void selftest_guest_destroy(struct selftest_guest *guest);

/* Runs the guest from there, with RDI, to an exit that the CPU's own work did not make; its reason. */
uint32_t selftest_run(const struct selftest_guest *guest, unsigned code, uint64_t rdi);
/* The same to the first exit, the CPU's own work among them, of which it is said whether it was that, and taken. */
uint32_t selftest_run_once(const struct selftest_guest *guest, bool *was_taken);

/* Writes the entry of a level, and flushes nothing. */
void selftest_write_entry(const struct selftest_guest *guest, unsigned level, ept_entry_t entry);
/* What makes all of the level's span lead to a page: a leaf of 4 KiB, or a table of such leaves. */
ept_entry_t selftest_present(const struct selftest_guest *guest, unsigned level, enum selftest_page page);
/* The flush that the library does, too. */
void selftest_flush(const struct selftest_guest *guest);

#endif
