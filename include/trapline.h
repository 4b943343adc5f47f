/* SPDX-License-Identifier: MIT */
/*
 * Trapline: a VMX/EPT core that traps a guest's MMIO with EPT entries misconfigured on purpose.
 *
 * This is the whole public interface (with trapline_range.h, which it includes). It is freestanding C11: an embedder
 * links libtrapline.a, provides the hooks below and the four functions that a compiler may call by itself (memcpy,
 * memmove, memset, memcmp).
 *
 * Calling context. "Any": wherever the embedder runs C on a CPU. "Host": not inside a device callback and not in an
 * interrupt or NMI handler. "Callback": inside a tl_mmio_fn. Where nothing else is said a function may be called
 * by several CPUs at once for different objects, and needs the caller's own serialisation for the same object.
 */
#ifndef TRAPLINE_H
#define TRAPLINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Status ---------------------------------------------------------------------------------------------------- */

/* 0 and above: done. Below: refused, and nothing was changed. */
enum tl_status {
	TL_OK = 0,
	TL_PENDING = 1, /* published; completed by the vCPU after the instruction whose callback committed */
	TL_INVALID_ARGUMENT = -1,
	TL_NO_MEMORY = -2,
	TL_UNALIGNED = -3,   /* a range must start and end on a 4 KiB boundary */
	TL_OVERLAP = -4,     /* a range meets another one */
	TL_WRAPS = -5,       /* start + size passes 2^64 */
	TL_TOO_HIGH = -6,    /* the range passes MAXPHYADDR or what a 4-level EPT walk reaches (2^48) */
	TL_NO_RANGE = -7,    /* no such range in the map */
	TL_CONFLICT = -8,    /* the edits no longer fit the map that another writer published */
	TL_AGAIN = -9,       /* too many maps wait for a grace period; only inside a callback, else commit waits */
	TL_WOULD_WAIT = -10, /* this call has to wait, and may not where it was made */
	TL_NO_VMX = -11,
	TL_VMX_LOCKED = -12,
	TL_NO_EPT = -13,
	TL_NO_EPT_4_LEVEL = -14,
	TL_NO_EPT_WRITE_BACK = -15,
	TL_NO_INVEPT = -16,
	TL_VMXON_FAILED = -17,
	TL_UNSUPPORTED = -18,        /* the CPU lacks what was asked for; the log names it */
	TL_CPU_DOWN = -19,           /* tl_cpu_up() has not been called on this CPU */
	TL_DEVICE_ERROR = -20,       /* for device callbacks: the access cannot be completed; stops the guest */
	TL_RAM_AT_L1TF_TARGET = -21, /* RAM lies where MMIO entries point a speculating CPU (docs/how-it-works.md) */
	TL_VMX_ONLY_IN_SMX = -22,
	TL_CPU_SILENT = -23, /* the CPU that holds the vCPU's state does not let go of it: see tl_cpu_poll() */
};

/* One sentence that names what is wrong and what to do about it. Context: any. Never NULL. */
const char *tl_status_text(enum tl_status status);

/* ---- Hooks ------------------------------------------------------------------------------------------------------ */

enum tl_log_level { TL_LOG_ERROR, TL_LOG_INFO };

/*
 * What the embedder does for the library. No hook is called on the path of a fresh MMIO access.
 *
 * The library sees physical memory through one window: virtual = physical + direct_offset, for every page that
 * alloc_pages() hands out and for the memory behind RAM ranges.
 */
struct tl_hooks {
	/* `count` physically contiguous, zeroed 4 KiB pages, or NULL. Called with interrupts off, on any CPU. */
	void *(*alloc_pages)(size_t count);
	void (*free_pages)(void *pages, size_t count);
	uint64_t direct_offset;
	/* One line, without its newline. Conversions used: %s %c %d %u %x %lu %lx %%, with width and '0'. */
	void (*log)(enum tl_log_level level, const char *format, va_list arguments);
	/* A rule of the library's own was broken. Must not return. */
	void (*panic)(const char *format, va_list arguments);
	/* The calling CPU's number, below TL_MAX_CPUS, the same for as long as the CPU is up. */
	unsigned (*cpu_index)(void);
	/*
	 * Makes `cpu` leave its guest soon: an interrupt sent to it. Orders all earlier stores before the interrupt
	 * (before an x2APIC ICR write: MFENCE; LFENCE. SDM vol. 3, 10.12.3).
	 */
	void (*kick)(unsigned cpu);
	/*
	 * Interrupts the calling CPU once, after so many ticks of its TSC or up to a sixteenth of them before; 0: not
	 * any more. It takes the place of an earlier call. For deadlines, and for budgets on CPUs without a preemption
	 * timer; false, or NULL: then there are none. An embedder that uses the timer itself, to halt say, arms it
	 * again for what is left.
	 */
	bool (*arm_timer)(uint64_t tsc_ticks);
	/*
	 * Sends `cpu` the interrupt of notification_vector, ordered as a kick is; for posted interrupts
	 * (trapline_apic.h), which are not used where this is NULL. The vector, from 32 on, is this hook's alone on
	 * all CPUs. Outside a guest that has them it is an interrupt like others, whose handler ends it at the local
	 * APIC (EOI) and does nothing else.
	 */
	void (*notify)(unsigned cpu);
	uint8_t notification_vector;
};

enum { TL_MAX_CPUS = 64 };

/* Precondition: first call into the library; the table stays where it is. Context: host, one CPU. */
enum tl_status tl_init(const struct tl_hooks *table);

/* What Trapline uses where the CPU has it, and can do without. */
enum tl_feature {
	TL_FEATURE_VPID,
	TL_FEATURE_UNRESTRICTED_GUEST, /* without it a guest starts, and stays, in protected mode */
	TL_FEATURE_EPT_2M,             /* and larger */
	TL_FEATURE_EPT_1G,
	TL_FEATURE_EPT_ACCESSED_DIRTY,
	TL_FEATURE_EPT_EXECUTE_ONLY,
	TL_FEATURE_INVEPT_SINGLE, /* INVEPT of a single context; without it all contexts are flushed */
	TL_FEATURE_PREEMPTION_TIMER,
	TL_FEATURE_PML,
	TL_FEATURE_VIRTUAL_NMIS,
	TL_FEATURE_MONITOR_TRAP_FLAG,
	TL_FEATURE_IO_BITMAPS,
	TL_FEATURE_MSR_BITMAPS,
	TL_FEATURE_XSAVE, /* and with it all vector state beyond SSE, for the guests as well */
	/* Of a local APIC: trapline_apic.h. The first one's absence is that of all of them. */
	TL_FEATURE_TPR_SHADOW,
	TL_FEATURE_APIC_ACCESSES,
	TL_FEATURE_X2APIC_MODE,
	TL_FEATURE_VIRTUAL_INTERRUPTS,
	/* Both of use only beside virtual interrupts, and used only so. */
	TL_FEATURE_APIC_REGISTERS,
	TL_FEATURE_POSTED_INTERRUPTS,
	TL_FEATURE_XSAVES, /* compacted areas: XSAVEC as well; for the guests */
	TL_NR_FEATURES
};

/*
 * Has Trapline do without features that the CPUs may have: a mask of 1 << enum tl_feature. For tests of what is done
 * instead, and for CPUs on which a feature does not work. TL_INVALID_ARGUMENT: no such feature, or a CPU has been up
 * before. Context: host, after tl_init(), one CPU.
 */
enum tl_status tl_features_off(uint32_t features);

/*
 * Has Trapline use those of them that it would leave alone because a probe of the CPU finds that they do not work:
 * virtual interrupts and posted ones, so far. For tests under an emulator. Errors, context: as above.
 */
enum tl_status tl_features_trusted(uint32_t features);

/*
 * Turns VMX on for the calling CPU (IA32_FEATURE_CONTROL is set and locked where firmware left it 0).
 * Errors: the sentence for each missing feature is in tl_status_text(). TL_OK if it was up. After TL_NO_MEMORY it is
 * not, and may be tried again. Preconditions: 64-bit paging, ring 0, interrupts off. Context: host. SDM vol. 3, 24.6
 * to 24.8.
 */
enum tl_status tl_cpu_up(void);

/* Turns VMX off again, after writing back what this CPU holds of vCPUs. Context: host. */
void tl_cpu_down(void);

/*
 * Lets go of the vCPUs that other CPUs ask this one for, see tl_vcpu_unload(). A CPU that runs a guest does so by
 * itself when it is kicked; one that runs none must call this after each kick, or while it waits. Context: host,
 * interrupts off. Cheap: one load where nobody asks.
 */
void tl_cpu_poll(void);

/*
 * Writes a few lines about the CPU and the VMX features in use through the log hook. Context: host, CPU up, interrupts
 * off; kicks work.
 */
void tl_cpu_describe(void);

/* Against leaks by speculation. */
#include <trapline_mitigation.h>

/* ---- The memory map ---------------------------------------------------------------------------------------------- */

struct tl_vm;
struct tl_vcpu;
struct tl_edit;

/* What a range is: memory, a device, a doorbell; and its id. */
#include <trapline_range.h>
/* What its memory costs, and the log of its writes. */
#include <trapline_memory.h>

/*
 * A transaction: edits are only noted here, and applied together by tl_map_commit(). NULL: out of memory.
 * Context: any but interrupt handlers; one owner.
 */
struct tl_edit *tl_map_edit(struct tl_vm *vm);

/*
 * Notes an edit. What a range alone shows to be wrong (alignment, size, wrap, height) is refused here; what depends on
 * the map is refused by the commit. An edit that is refused leaves the transaction as it was.
 * *id is written when the commit succeeds; it may be NULL, and must stay valid until then.
 */
enum tl_status tl_map_add(struct tl_edit *edit, const struct tl_range *range, tl_range_id *id);
enum tl_status tl_map_remove(struct tl_edit *edit, tl_range_id id);
enum tl_status tl_map_move(struct tl_edit *edit, tl_range_id id, uint64_t start);
enum tl_status tl_map_resize(struct tl_edit *edit, tl_range_id id, uint64_t size);
/* Memory becomes RAM, ROM or execute-only memory, with the callback that such a range has, or NULL. */
enum tl_status tl_map_protect(struct tl_edit *edit, tl_range_id id, enum tl_range_kind kind, tl_mmio_fn access);

/*
 * Applies the edits in order, publishes the result with one store, and consumes the transaction, also on error
 * (then the map is as it was).
 *
 * A commit that takes an address away from a range waits: after TL_OK no callback dispatched from an older map runs or
 * can start, and removed RAM is unreachable. Inside a callback nothing waits: TL_PENDING, and the vCPU completes the
 * commit after the whole instruction. Hold no lock that a callback takes while committing from outside.
 * Errors: TL_OVERLAP, TL_NO_RANGE, TL_CONFLICT, TL_NO_MEMORY, TL_AGAIN.
 * Context: host or callback. Concurrency: any number of writers.
 */
enum tl_status tl_map_commit(struct tl_edit *edit);
void tl_map_discard(struct tl_edit *edit);

/*
 * Makes every MMIO entry of the VM stale with one store, whatever their number: the seed's invalidation. Neither walks
 * a table nor waits (but for the generation's wrap). Errors: TL_AGAIN, TL_NO_MEMORY. Context: host or callback.
 */
enum tl_status tl_vm_invalidate_mmio(struct tl_vm *vm);

/*
 * On a CPU without "unrestricted guest" a page here is the library's, from a VM's first vCPU on: with it the CPU pages
 * for a guest in protected mode that has no paging. An embedder's range over it is refused by its commit (TL_OVERLAP).
 */
#define TL_FLAT_PAGING_AT 0xfeffc000ull

/* ---- Virtual machines ---------------------------------------------------------------------------------------- */

struct tl_vm_config {
	uint64_t tsc_offset;       /* what the guest's TSC is ahead of the host's, modulo 2^64 */
	uint64_t first_generation; /* 0: 150 short of the tag's wrap */
	unsigned tag_bits;         /* 1 to 19; 0: 19 */
	unsigned mmio_level;       /* the largest MMIO entry: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB; 0: what fits */
	bool decode_doorbells;     /* never trust the exit's instruction length */
	enum tl_invalidate invalidate;
	size_t ept_pages; /* most table pages the VM may hold; 0: 65536 (256 MiB) */
};

/* Creates a VM with an empty map. config may be NULL. Context: host, a CPU up. NULL and *status on error. */
struct tl_vm *tl_vm_create(const struct tl_vm_config *config, enum tl_status *status);

/* Frees a VM. Precondition: its vCPUs are destroyed. Calls the release hook of each range. Context: host. */
enum tl_status tl_vm_destroy(struct tl_vm *vm);

/*
 * Copies between guest-physical memory and `buffer`, an aligned word of 2, 4 or 8 bytes whole. Only RAM (and ROM, when
 * reading) counts: else false, and nothing promised of the buffer. Context: host, or a callback of a vCPU of this VM.
 */
bool tl_mem_read(struct tl_vm *vm, uint64_t gpa, void *buffer, size_t size);
bool tl_mem_write(struct tl_vm *vm, uint64_t gpa, const void *buffer, size_t size);

/* ---- Virtual processors -------------------------------------------------------------------------------------- */

enum tl_exit_reason {
	TL_EXIT_MMIO,  /* an MMIO range without a callback: complete exit->mmio and run on */
	TL_EXIT_DRAIN, /* the ring of the range of exit->mmio.context has to be emptied first: tl_ring_take(), run on */
	TL_EXIT_IO,    /* IN or OUT: complete exit->io and run on */
	TL_EXIT_VMCALL,    /* VMCALL at CPL 0 with RAX != 0: exit->vmcall; set .result and run on */
	TL_EXIT_HLT,       /* the guest halted with nothing to wake it; running on continues after the HLT */
	TL_EXIT_SHUTDOWN,  /* triple fault */
	TL_EXIT_BUDGET,    /* the time budget is spent */
	TL_EXIT_DEADLINE,  /* tl_vcpu_set_deadline(); what was to be completed stays so: leave *exit as it was */
	TL_EXIT_KICKED,    /* tl_vcpu_kick(); what was to be completed stays so: leave *exit as it was */
	TL_EXIT_NO_MEMORY, /* out of table pages: running on tries again */
	TL_EXIT_STEP,      /* tl_vcpu_set_step(): an instruction was executed */
	TL_EXIT_STOPPED,   /* the guest did what cannot be continued: exit->stop */
};

/* Why a guest was stopped. Only this guest is: the host and other guests run on. */
enum tl_stop {
	TL_STOP_UNDECODABLE, /* an instruction on MMIO that is not emulated: bytes and RIP say which */
	TL_STOP_FETCH,       /* an instruction fetch from MMIO or from a hole */
	TL_STOP_PAGE_TABLE,  /* the guest's page tables lie in MMIO or in a hole */
	TL_STOP_EVENT,       /* delivering an event touched MMIO */
	TL_STOP_OPERAND,     /* the instruction's operand is not what exited, twice */
	TL_STOP_BUG,         /* an EPT entry that is misconfigured and not ours */
	TL_STOP_SPURIOUS,    /* the same exit twice with nothing changed */
	TL_STOP_DEVICE,      /* a device callback returned an error */
	TL_STOP_EXIT,        /* an exit that is not served: exit->stop.code is the basic exit reason */
	TL_STOP_ENTRY,       /* VM entry refused the guest's state */
	TL_STOP_UNSUPPORTED, /* guest state that this CPU cannot run (real mode without unrestricted guest) */
};

struct tl_exit_io {
	uint16_t port;
	uint8_t size; /* 1, 2, 4 */
	bool write;
	uint32_t data;
};

struct tl_exit_vmcall {
	uint64_t number;      /* RAX */
	uint64_t argument[4]; /* RBX, RCX, RDX, RSI */
	uint64_t result;      /* to RAX when the vCPU runs on; 0 on return */
};

struct tl_exit_stop {
	enum tl_stop why;
	uint64_t rip, gpa;
	uint64_t code; /* the EPT entry of TL_STOP_BUG, the reason of TL_STOP_EXIT and TL_STOP_ENTRY */
	uint8_t bytes[15];
	uint8_t nr_bytes; /* of the instruction, 0 if it could not be read */
};

/* Values only, no pointer into the library; a later commit says nothing about an exit already returned. */
struct tl_exit {
	enum tl_exit_reason reason;
	union {
		struct tl_mmio mmio;
		struct tl_exit_io io;
		struct tl_exit_vmcall vmcall;
		struct tl_exit_stop stop;
	};
};

/* The exit's or the stop's name in words. Context: any. Never NULL. */
const char *tl_exit_name(enum tl_exit_reason reason);
const char *tl_stop_name(enum tl_stop why);
/* The SDM's name of a basic exit reason (SDM vol. 3, appendix C). Context: any. Never NULL. */
const char *tl_exit_reason_name(unsigned basic_reason);

/* A vCPU in the state of a processor after RESET (SDM vol. 3, 10.1.1). NULL and *status on error. Context: host. */
struct tl_vcpu *tl_vcpu_create(struct tl_vm *vm, enum tl_status *status);
/* Precondition: it is not running. Context: host. */
enum tl_status tl_vcpu_destroy(struct tl_vcpu *vcpu);

/*
 * Runs the guest on the calling CPU until something is for the embedder. `exit` is also an input: what the embedder
 * completed in it (mmio.data, io.data, vmcall.result) is taken over first, so it must be the same object as before.
 * Preconditions: interrupts off, tl_cpu_up() done on this CPU. Errors: TL_CPU_DOWN, TL_INVALID_ARGUMENT, TL_CPU_SILENT.
 * Context: host. Concurrency: one CPU at a time per vCPU; it may be another one each time (tl_vcpu_unload()).
 */
enum tl_status tl_vcpu_run(struct tl_vcpu *vcpu, struct tl_exit *exit);

/*
 * Takes the vCPU's state, which stays in the CPU that ran it so that it can go on at once, back into memory. Not needed
 * before another CPU runs, reads, changes or destroys the vCPU: that CPU kicks the old one and waits until it has let
 * go (tl_cpu_poll()). It gives up after ten thousand kicks with TL_CPU_SILENT, and nothing has happened. But who knows
 * that a vCPU leaves its CPU saves it that wait. Nothing happens if its state is elsewhere. Context: host, interrupts
 * off, not running.
 */
void tl_vcpu_unload(struct tl_vcpu *vcpu);

/* A pointer of the embedder's, NULL at first: what the vCPU of an exit or of an access is to it. Context: any. */
void tl_vcpu_set_context(struct tl_vcpu *vcpu, void *context);
void *tl_vcpu_context(const struct tl_vcpu *vcpu);

/* The guest time, in TSC ticks, after which tl_vcpu_run() returns TL_EXIT_BUDGET; counted from this call on, spent in
 * the guest only. 0: none. Without a preemption timer the embedder's ends it, and all time counts; TL_UNSUPPORTED
 * without either. Context: host, not running. */
enum tl_status tl_vcpu_set_budget(struct tl_vcpu *vcpu, uint64_t tsc_ticks);

/* Makes tl_vcpu_run() return TL_EXIT_KICKED soon; one that does not run returns at once the next time. Context: any. */
void tl_vcpu_kick(struct tl_vcpu *vcpu);

enum tl_event_type { TL_EVENT_INTERRUPT = 0, TL_EVENT_NMI = 2, TL_EVENT_EXCEPTION = 3 };

struct tl_event {
	enum tl_event_type type;
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
};

/* Queues one event; an interrupt waits until the guest can take it, an exception comes before the next instruction. If
 * another event is on its way by then, the exception takes its place, or both are a double fault or a shutdown, as in a
 * CPU; an interrupt or NMI that was on its way is queued in the exception's stead. TL_AGAIN while one is queued. It
 * goes before those of tl_processor.acknowledge(). Behind an NMI that is queued a second one is held, as a processor
 * holds one while it handles another; any more are the same. Context: host or callback, by the vCPU's own CPU. */
enum tl_status tl_vcpu_inject(struct tl_vcpu *vcpu, const struct tl_event *event);

/* A vCPU's state; a processor of the embedder's; counts; what only the CPU itself shows; the trace; looking at it from
 * outside. */
#include <trapline_inspect.h>
#include <trapline_processor.h>
/* A local APIC that the CPU serves in part. */
#include <trapline_apic.h>
#include <trapline_selftest.h>
#include <trapline_state.h>
#include <trapline_stats.h>
#include <trapline_trace.h>

#endif
