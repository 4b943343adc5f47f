/* SPDX-License-Identifier: MIT */
/* A virtual processor. */
#ifndef VMX_VCPU_H
#define VMX_VCPU_H

#include "mmio/engine.h"
#include "mmio/step.h"
#include "mmu/grace.h"
#include "mmu/guest_fetch.h"
#include "mmu/guest_walk.h"
#include "mmu/vm.h"
#include "vmx/mtrr.h"
#include <trapline.h>

/* What an exit handler asks entry.asm to do next. The numbers are entry.asm's too. */
enum vcpu_action {
	VCPU_RESUME = 0, /* enter the guest again */
	VCPU_LEAVE = 1,  /* return from tl_vcpu_run() */
	VCPU_FULL = 2,   /* save the callee-saved registers as well, then call vcpu_exit() */
	VCPU_FAILED = 4, /* VMLAUNCH or VMRESUME failed; from entry.asm only */
	/* Of exit_mmio(), added to VCPU_RESUME: registers that C preserves have changed. */
	VCPU_RELOAD = 8,
	/* Of vcpu_exit_fast(), added: the guest's RBX has changed. */
	VCPU_RELOAD_RBX = 16,
	VCPU_MMIO = -1, /* save them, too, then call exit_mmio() */
};

/* The EPT entry that a page's accesses ended at: saves the walk, not the check. Flushed like a paging-structure cache.
 */
struct ept_slot_cache {
	uint64_t gfn;
	ept_slot_t *slot;
	unsigned level;
} __attribute__((aligned(32)));

enum {
	SLOT_CACHE_SIZE = 16,
	DECODE_CACHE_SIZE = 256,
	DATA_CACHE_SIZE = 64,
	CODE_CACHE_SIZE = 16,
	STRADDLING_CACHE_SIZE = 16,
	BRIDGE_CACHE_SIZE = 64,
	BRIDGE_STEPS = 6,
	CPUID_CACHE_SIZE = 16,
};

/* What CPUID answers to a leaf that has no subleaves. */
struct cpuid_answer {
	uint32_t leaf, eax, ebx, ecx, edx;
} __attribute__((aligned(32)));

/* A guest walk remembered: the words it rests on are compared at each use. 4 levels at most are kept. */
struct walk_check {
	const uint64_t *entry[4];
	uint64_t value[4];
};

/*
 * How short a way a decoded instruction may be emulated; everything from PLAIN_STORE on writes. PLAIN_LOAD_RELOAD loads
 * one of the registers that C preserves. PLAIN_ALU reads memory and does with it what the integer unit does: narrow and
 * sign-extended loads, comparisons, arithmetic in registers. PLAIN_TEST is what a loop that polls does: TEST.
 */
enum decoded_plain { PLAIN_NOT, PLAIN_LOAD, PLAIN_LOAD_RELOAD, PLAIN_ALU, PLAIN_TEST, PLAIN_STORE, PLAIN_STORE_IMM };

/*
 * What stands behind an access: another access, or one that instructions in registers lead to, or lead back to.
 * FOLLOWS_UNSEEN: the access is being met for the first time. FOLLOWS_UNKNOWN: the next time, it is looked for.
 * FOLLOWS_AGAIN: in vain, and once more, since what is behind it may not have been kept yet (vmx/exit_once.c).
 */
enum decoded_follows {
	FOLLOWS_NOTHING,
	FOLLOWS_UNSEEN,
	FOLLOWS_UNKNOWN,
	FOLLOWS_AGAIN,
	FOLLOWS_ACCESS,
	FOLLOWS_BRIDGE,
	FOLLOWS_LOOP
};

/* tl_vcpu.home */
enum { VCPU_NOWHERE = 0 };

/* The CR3 of what is forgotten: VM entry refuses it. */
#define NO_CR3 (~0ull)

/* An instruction decoded before, verified at each use by the guest's page-table entries and by its bytes. */
struct decoded {
	uint64_t rip;
	uint64_t cr3;
	uint64_t cs_access;
	const uint8_t *host;  /* where its first byte stands */
	const uint8_t *words; /* two words with its bytes in them; those that are compared lie on its page */
	struct walk_check walk;
	uint64_t bytes[2], mask[2]; /* what the words held, and what of it is the instruction */
	uint64_t mask_of_operand;
	uint64_t index_factor;         /* 1, 2, 4, 8: a shift would need a register of its own */
	uint64_t end_offset;           /* below it in its page the operand does not cross into the next; 0: not plain */
	uint64_t shape;                /* what struct tl_mmio has from .size on: the size, and whether it is a write */
	union {                        /* what follows; may be anything by now */
		struct decoded *next;  /* FOLLOWS_ACCESS */
		struct bridge *bridge; /* FOLLOWS_BRIDGE, FOLLOWS_LOOP */
	};
	enum decoded_plain plain;
	enum decoded_follows follows;
	uint8_t code[16]; /* the instruction itself, to be shown */
	struct insn insn; /* its operand's address made absolute */
	uint64_t once;    /* where an instruction was met that would have this place, the next time (vmx/exit_once.c) */
} __attribute__((aligned(256)));

_Static_assert(sizeof(struct decoded) == 256, "found by a shift");

/* One that lies across two pages. The words of `decoded` are the last ones of its first page, both to be compared. */
struct straddling {
	struct decoded decoded;
	const uint8_t *words; /* the first ones of its second page */
	uint64_t bytes[2], mask[2];
	struct walk_check walk;
} __attribute__((aligned(128)));

/* A row of instructions in registers, between two accesses; verified by its bytes where it stands. Jumps are from rip.
 */
struct bridge {
	uint64_t rip;
	const uint8_t *host;
	uint64_t bytes[2], mask[2]; /* two words from there on lie on the page */
	unsigned length, nr_steps;
	bool slow; /* a step of it is */
	struct step step[BRIDGE_STEPS];
} __attribute__((aligned(256)));

/* A page translated before, with the rights it was translated for. */
struct translated {
	gva_t linear; /* of its first byte */
	uint64_t cr3;
	uint64_t cs_access; /* with it the CPL; data: and CHECKS_ALIGNMENT */
	union {
		gpa_t gpa;           /* data */
		const uint8_t *host; /* code */
	};
	enum decoded_plain allows; /* data; walked for a write: good for everything */
	struct walk_check walk;
} __attribute__((aligned(128)));

/* CR0, CR4 and EFER as their exits left them: what decides how the guest's addresses are translated. */
struct vcpu_mode {
	uint64_t cr0, cr4, efer; /* cr0, cr4: only the bits that belong to the host are kept up to date */
};

/* What the embedder completes. */
enum vcpu_pending {
	PENDING_NONE,
	PENDING_PLAIN_READ,
	PENDING_PLAIN_WRITE,
	PENDING_MMIO,
	PENDING_PORT,
	PENDING_IO,
	PENDING_VMCALL
};

/* What is looked at whenever tl_vcpu_run() begins, and by each vcpu_attention(). */
enum vcpu_event {
	EVENT_QUEUED = 1,      /* vcpu->event */
	EVENT_WAITS = 2,       /* an interrupt of the processor's, for its window */
	EVENT_ASKED = 4,       /* the processor has interrupts: it is asked for one */
	EVENT_DEADLINE = 8,    /* vcpu->deadline */
	EVENT_STEP = 16,       /* tl_vcpu_run() returns once the guest has left vcpu->step_rip, or by the trap flag */
	EVENT_NMI_HELD = 32,   /* a second NMI behind vcpu->event, which is one */
	EVENT_NMI_BLOCKS = 64, /* without virtual NMIs: the handler of one has not been seen to end */
};

/* A plain access that the embedder completes: values, since the decoded instruction may be gone by then. */
struct plain_access {
	uint64_t rip;
	uint64_t mask_of_operand;
	uint8_t length, reg;
};

/*
 * A step by RFLAGS.TF (vmx/single_step.c). While the guest runs for it, what is lent stands in the VMCS in the place of
 * the guest's own, which is kept here.
 */
enum step_loan { STEP_NOTHING, STEP_TRAP_FLAG, STEP_DELIVERY };

struct single_step {
	bool by_trap_flag;          /* is asked for */
	bool made;                  /* whatever RIP says */
	bool loads_flags, is_sti;   /* the instruction is an IRET, an STI */
	enum step_loan lent, ended; /* now, and until the last exit */
	uint64_t rip, rflags, interruptibility, pending_debug, debugctl;
	uint64_t pin, proc, exit_controls, timer;
};

/* The last verdict RETRY or spurious violation: the same again is a BUG (rule 9). */
struct last_retry {
	uint64_t exits;
	gpa_t gpa;
	ept_entry_t entry;
	uint64_t round;
};

/* The last exit that found no page for a table, and how often the same one did. */
struct last_reclaim {
	uint64_t exits;
	gpa_t gpa;
	unsigned times;
};

/* Of an MSR list of the VMCS (SDM vol. 3, 25.7.2). */
struct msr_list_entry {
	uint32_t msr, reserved;
	uint64_t value;
} __attribute__((aligned(16)));

struct tl_vcpu {
	uint64_t gpr[INSN_NR_GPRS];          /* [TL_RSP] only where fetched; the last is always 0 */
	uint64_t host_rsp;                   /* what HOST_RSP holds */
	uint64_t launched, guarded_launched; /* by vmx_run's own entry, by that of a guarded vCPU */
	struct grace_reader reader;

	struct tl_vm *vm;
	gpa_t exit_gpa;                     /* of the exit being served: address, snapshot, range */
	const struct map *exit_map;         /* rule 1: the one load of this exit */
	const struct map_range *exit_range; /* what the entry names: MMIO, the hole, or "search" */
	uint64_t trusted_length;            /* of a doorbell's instruction, at most; 0: it is decoded */
	uint64_t rflags_slow;               /* RFLAGS bits that make skipping an instruction more than a store to RIP */
	struct tl_mmio access;
	bool exits_traced;       /* or stepped by TF: HOST_RIP is vmx_exit_traced */
	struct map_range traced; /* stands in for *traced_range then */
	const struct map_range *traced_range;
	const struct decoded *last_served; /* the first one of the last cluster */
	uint64_t last_cluster;             /* which exit that was */
	struct tl_exit *exit;

	struct vcpu_mode mode;
	struct last_retry last_retry;
	struct last_reclaim last_reclaim;
	uint32_t last_mapped; /* the range that the last fault on memory was in */
	bool operand_retried;
	enum vcpu_pending pending;
	struct plain_access plain;
	struct mmio_operation operation;
	uint64_t operation_rip;
	struct guest_code operation_code; /* its bytes, to be shown */
	struct tl_exit_io io;

	uint8_t events; /* enum vcpu_event */
	struct tl_event event;
	const struct tl_processor *processor;
	const struct tl_apic *apic;
	enum tl_apic_mode apic_mode;
	uint8_t apic_threshold; /* as the VMCS has it */
	bool apic_delivers;     /* the CPU delivers what is pending there */
	bool apic_posts;        /* and what is posted; its exits acknowledge interrupts */
	uint64_t apic_at;
	uint32_t apic_range_id;     /* of the range that was there at the last exit */
	uint64_t apic_eoi_exits[4]; /* as the VMCS has them */
	uint64_t budget;            /* beyond what the preemption timer holds; in its units */
	/* The TSC's values at which the embedder's timer ends the budget and the deadline comes; 0: none. */
	uint64_t budget_end, deadline;
	uint64_t alarm; /* the TSC's value from which on that timer may have come */

	uint64_t step_rip;
	struct single_step step;
	_Atomic uint64_t exits_by_reason[TL_NR_EXIT_REASONS]; /* of those that were not fast */

	uint64_t slots_flushed; /* the VM's flush number the slot cache is good for */
	hpa_t vmcs;             /* physical address of the region */
	void *vmcs_region;
	uint64_t eptp;
	uint64_t *pml; /* its page-modification log; NULL: the VM does without */
	bool flags_on; /* the VM's, as the VMCS has it */
	uint16_t vpid;
	/* The number of the CPU that holds its state, and 1; VCPU_NOWHERE: all of it is in memory. */
	_Atomic unsigned home;
	_Atomic bool wanted; /* by another CPU: its home lets go of it */
	struct tl_vcpu *next_resident, **link_to_it;
	void *context;
	uint64_t dr[4];
	uint64_t dr6, cr2;
	uint8_t cr8;
	uint64_t flat_cr3; /* the guest's own while it has flat paging (vmx/flat_paging.h) */
	bool flat;
	uint64_t xcr0;
	uint64_t msr_pat;
	uint64_t spec_ctrl; /* the guest's IA32_SPEC_CTRL */
	struct msr_list_entry entry_msr[2], exit_msr[1];
	uint64_t msr_star, msr_lstar, msr_cstar, msr_fmask, msr_kernel_gs_base, msr_tsc_aux;
	void *fpu; /* XSAVE or FXSAVE area */

	struct cpuid_answer cpuid[CPUID_CACHE_SIZE]; /* vmx/cpuid_cache.h */
	struct ept_slot_cache slots[SLOT_CACHE_SIZE];
	uint64_t ram_generation; /* of the map that the host pointers in the caches below come from */
	struct translated data[DATA_CACHE_SIZE];
	struct translated code[CODE_CACHE_SIZE];
	struct decoded decoded[DECODE_CACHE_SIZE];
	struct straddling straddling[STRADDLING_CACHE_SIZE];
	struct bridge bridge[BRIDGE_CACHE_SIZE];

	uint64_t tsc_offset; /* what the guest's TSC is ahead of the host's */
	uint64_t tsc_adjust; /* what of it the guest's writes have made */
	bool no_fast_strings;
	struct guest_mtrr mtrr;
};

/* entry.asm writes these offsets as numbers. */
_Static_assert(offsetof(struct tl_vcpu, gpr) == 0 && offsetof(struct tl_vcpu, host_rsp) == 136 &&
		       offsetof(struct tl_vcpu, launched) == 144 && offsetof(struct tl_vcpu, guarded_launched) == 152,
	       "entry.asm knows where these stand");

/* entry.asm: runs the guest until a handler returns VCPU_LEAVE (then that) or an entry fails (VCPU_FAILED). */
enum vcpu_action vmx_run(struct tl_vcpu *vcpu);
void vmx_exit_entry(void);  /* HOST_RIP */
void vmx_exit_traced(void); /* the same while exits are traced */
/* The same two where vmx_guard is not 0. */
void vmx_exit_guarded(void);
void vmx_exit_traced_guarded(void);
void vmx_exit_once(void); /* the same, of a vCPU whose every exit ends vmx_run() with VCPU_LEAVE */

/*
 * vmx/residence.c: makes the vCPU's VMCS current on this CPU, with this CPU's host state; loads its FPU and debug
 * registers. Waits until the CPU that holds its state has let go of it.
 */
COLD enum tl_status vcpu_load(struct tl_vcpu *vcpu);
/* Writes a VMCS back to memory and makes it inactive; also the first thing done with a new one. */
void vcpu_clear_vmcs(const struct tl_vcpu *vcpu);
/* The same and all else of a vCPU that is this CPU's resident. */
void vcpu_unload(struct tl_vcpu *vcpu);

/* Writes everything of the VMCS that does not change while the vCPU lives. Precondition: loaded for the first time. */
void vmcs_init(struct tl_vcpu *vcpu);
/* Writes what depends on the CPU that the vCPU runs on. */
void vmcs_set_host_state(void);
/* Which MSR bitmap: with `x2apic` that of a vCPU whose x2APIC the CPU serves. Precondition: loaded. */
void vmcs_set_msr_bitmap(bool x2apic);
/* Fills that bitmap by what vmx_controls says the CPU serves. Context: before a vCPU uses it. */
void vmcs_fill_x2apic_bitmap(void);
/* The bitmaps that all vCPUs share; once. */
enum tl_status vmcs_bitmaps_create(void);

/* The EPT pointer of a VM's tables. */
uint64_t vm_eptp(const struct tl_vm *vm);

/* INVEPT for one VM on this CPU: mmu_cpu.flush. */
void vcpu_flush_ept(struct tl_vm *vm);
/* INVVPID for one vCPU on this CPU: the guest's own translations. */
void vcpu_flush_guest_tlb(const struct tl_vcpu *vcpu);

void state_after_reset(struct tl_state *state);

/* Drops what is remembered of the guest's paging: its mode changed. */
void vcpu_forget_translations(struct tl_vcpu *vcpu);

/* The guest's paging for a software walk, at its CPL. */
void vcpu_paging(const struct tl_vcpu *vcpu, struct guest_paging *paging);

/* 16, 32 or 64: the size of code by CS and EFER. */
unsigned vcpu_code_bits(const struct tl_vcpu *vcpu, uint64_t cs_access);

#endif
