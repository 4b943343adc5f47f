/* SPDX-License-Identifier: MIT */
/* Looking at a guest from outside: its map, its EPT, its exits, one instruction at a time. Included by trapline.h. */
#ifndef TRAPLINE_INSPECT_H
#define TRAPLINE_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <trapline_range.h>

struct tl_vm;
struct tl_vcpu;

/* ---- The map ----------------------------------------------------------------------------------------------------- */

struct tl_range_info {
	tl_range_id id;
	enum tl_range_kind kind;
	uint64_t start, size;
	uint32_t tag;  /* that an MMIO entry of it must hold to be fresh; of no meaning for memory */
	bool stamping; /* false: the tag wraps just now, and no entry is fresh */
	bool logged;   /* its writes are */
	void *context;
};

/*
 * The range that holds `from`, or the first one above it. Calls one after the other, each from where the last range
 * ended, list the map; each sees the map of its own moment. false: there is none. Context: any but interrupt handlers.
 */
bool tl_map_next(struct tl_vm *vm, uint64_t from, struct tl_range_info *info);

/* ---- The EPT ----------------------------------------------------------------------------------------------------- */

enum tl_ept_kind {
	TL_EPT_EMPTY, /* not present: the next access is searched for */
	TL_EPT_TABLE, /* leads to the next level */
	TL_EPT_LEAF,  /* maps memory */
	TL_EPT_MMIO,  /* misconfigured on purpose: names a range */
	TL_EPT_BAD,   /* misconfigured, and not ours */
};

enum { TL_EPT_LEVELS = 4 };

/* One entry on the way to an address (SDM vol. 3, 29.3.2). */
struct tl_ept_entry {
	uint64_t value;
	uint64_t first, size; /* guest-physical addresses that it stands for */
	unsigned level;       /* 4: in the PML4, to 1: in a page table */
	unsigned index;       /* in its table */
	enum tl_ept_kind kind;
	bool read, write, execute;   /* what it allows */
	bool large, accessed, dirty; /* LEAF */
	unsigned memory_type;        /* LEAF */
	uint64_t address;            /* LEAF, TABLE: host-physical */
	tl_range_id id;              /* MMIO */
	uint32_t tag;                /* MMIO */
	bool fresh;                  /* MMIO: the next access takes its word for the range */
	uint32_t wanted;             /* MMIO: the tag that the range has by now */
};

/*
 * Describes the entries from the PML4 down to where a walk to `gpa` ends, as they are at the moment, and returns how
 * many there are. 0: no walk of 4 levels reaches the address (2^48). Context: any but interrupt handlers and callbacks.
 */
unsigned tl_ept_describe(struct tl_vm *vm, uint64_t gpa, struct tl_ept_entry entries[TL_EPT_LEVELS]);

/* ---- A vCPU ------------------------------------------------------------------------------------------------------ */

enum { TL_NR_EXIT_REASONS = 80 };

/*
 * Exits by their basic reason (SDM vol. 3, appendix C). The
 * fast ones are not counted one by one: EPT misconfigurations are all exits that no other reason accounts for, and with
 * them VMCALLs with RAX = 0, which the library answers itself.
 */
struct tl_vcpu_exits {
	uint64_t all;
	uint64_t fresh, stale; /* as in struct tl_stats */
	uint64_t reason[TL_NR_EXIT_REASONS];
};

/* Context: any. A vCPU that runs meanwhile may be counted a little late. */
void tl_vcpu_exits(const struct tl_vcpu *vcpu, struct tl_vcpu_exits *exits);

/*
 * Has the next tl_vcpu_run() return TL_EXIT_STEP once the guest has executed one instruction, and with it that the
 * library emulated; or delivered one event. What else it returns for comes first, and the step stays asked for until
 * it is made or taken back. By the monitor trap flag (SDM vol. 3, 26.5.2), or by RFLAGS.TF where the CPU has none. The
 * guest cannot tell, and works with TF and its debug registers as ever; but by TF a MOV SS from a register is one step
 * with the instruction behind it. An element of a REP is a step. Context: host, not running.
 */
enum tl_status tl_vcpu_set_step(struct tl_vcpu *vcpu, bool step);

/* Writes the vCPU's VMCS through the log hook, field by field. Context: host, interrupts off, not running. */
enum tl_status tl_vcpu_dump(struct tl_vcpu *vcpu);

#endif
