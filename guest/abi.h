/* SPDX-License-Identifier: MIT */
/*
 * What the platform and the bundled guests agree on: the devices and the hypercalls.
 *
 * A hypercall is a VMCALL with the number in RAX and arguments in RBX, RCX, RDX and RSI; the result comes in RAX.
 * RAX = 0 is the library's own: it answers 0 without leaving to the embedder.
 */
#ifndef GUEST_ABI_H
#define GUEST_ABI_H

#include <stdint.h>

enum abi_call {
	/* code. Ends the guest; 0: all its checks held. */
	HC_EXIT = 1,
	/* text, length (200 at most). One line for the console; the last one is the reason if the guest fails. */
	HC_PRINT,
	/* struct abi_stats *. */
	HC_STATS,
	/* device, struct abi_device *. */
	HC_DEVICE,
	/* device. abi_digest() of a bank's registers. */
	HC_DIGEST,
	/*
	 * enum abi_edit, device (and a second one << 32), operand, after. after = 0: commits now, outside of any
	 * callback, and returns the commit's enum tl_status. after = n: the callback of the n-th device access from now
	 * commits; returns 0.
	 */
	HC_EDIT,
	/* The status of the last commit made by a callback; HC_NOT_YET before it. */
	HC_PLAN_STATUS,
	/* count. Adds MMIO ranges until the map holds so many. */
	HC_GROW,
	/* name, uint32_t *, count, base. Prints a `bench:` line of the samples less base; returns the median before
	   that. */
	HC_SAMPLES,
	/* enum abi_edit, device, operand. HC_EDIT's ADD, REMOVE, MOVE or INVALIDATE, now; returns the ticks it took. */
	HC_TIME_EDIT,
	/* enum abi_bench_memory, for ADD a size. RAM at ABI_BENCH_MEMORY_AT; returns the ticks it took, or HC_FAILED.
	 */
	HC_TIME_MEMORY,
	/* index, RIP, RSP, RDI. Starts another vCPU in the caller's state but for these; also one that has halted. 0,
	   HC_NOT_YET while it still runs, or HC_FAILED. */
	HC_START,
	/* enum abi_yield. The caller's turn is over; returns the number of the CPU that it leaves. */
	HC_YIELD,
	/* The number of the guest's vCPUs, and of the CPUs that they run on << 32. */
	HC_VCPUS,
	/* enum abi_edit (ADD, REMOVE, MOVE or INVALIDATE), rider, address. Commits now, outside of any callback;
	   returns the commit's enum tl_status. */
	HC_RIDE,
	/* rider, struct abi_rider *. */
	HC_RIDER,
	/*
	 * enum abi_dirty, device of memory, uint64_t[ABI_MEMORY_PAGES / 64]. START and STOP return the enum tl_status,
	 * FETCH the number of pages, whose bits it writes.
	 */
	HC_DIRTY,
	/* address, struct abi_corruption *. Damages an EPT entry; only the image of the system tests can. */
	HC_CORRUPT,
	/* device, address. The guest's memory from there on is behind a BACKED device. */
	HC_BACK,
	/* 1, or 0 to end it: misconfigurations are skipped and nothing more; only the image of tests/bench can. */
	HC_BARE_EXITS,
	/* Mask of 1 << enum tl_trace_event. Records these from now on, and drops what was recorded before; 0: no
	   longer. */
	HC_TRACE,
	/* struct tl_trace_record *, count. Takes what the guest's CPU recorded; returns how many that were. */
	HC_TRACE_TAKE,
	/* number, struct abi_hand *. HC_FAILED: there are no so many. */
	HC_HAND,
	/* The vCPU has an interrupt controller from now on, and a HLT that waits. */
	HC_CONTROLLER,
	/* vCPU, vector, 32 or above. Requests it of that vCPU's controller. */
	HC_INTERRUPT,
	/* ticks, vector. Requests it of the caller's own controller after so many ticks of the host's TSC, once. */
	HC_ALARM,
	/* count, struct abi_step *. The caller's next `count` instructions are stepped through, and written there. */
	HC_STEP,
};

enum abi_yield {
	YIELD_TURN,         /* another vCPU's turn */
	YIELD_LEAVE,        /* the same, and to go on on another CPU; the old one writes the vCPU back at once */
	YIELD_LEAVE_LOADED, /* the same, but it does so only when the new one asks for it */
	YIELD_REBORN,       /* YIELD_LEAVE, and to go on as a new vCPU that has its state (guest/rebirth.h): once */
};

/*
 * Riders are devices apart from the others: ranges of ABI_RIDER_SIZE bytes that come, move and go by HC_RIDE or by a
 * write of 8 bytes to the device CONTROL, at offset 8 * rider: the edit << 56 | the address. The callback of that write
 * commits, and a read of CONTROL gives the status of the reading vCPU's last one. One vCPU at a time edits a rider.
 *
 * A rider takes aligned accesses of 8 bytes. Each value that a vCPU writes is a number greater than any that it wrote
 * to that rider before, with its own index and the register's number in the bits below; a read gives it back the last
 * one.
 */
enum { ABI_VCPUS = 64, ABI_RIDERS = ABI_VCPUS + 1, ABI_RIDER_SIZE = 0x1000 };
enum { ABI_RIDE_VCPU_SHIFT = 56, ABI_RIDE_PLACE_SHIFT = 48 };
#define ABI_RIDE_NUMBER ((1ull << ABI_RIDE_PLACE_SHIFT) - 1)

struct abi_rider {
	uint64_t reads, writes; /* of all vCPUs */
	uint64_t live, releases;
};

/* What the guest's own processor holds after an instruction. */
struct abi_step {
	uint64_t rip, rflags, dr6, interruptibility;
};

/* HC_CORRUPT: the entry at `level` on the way to an address becomes (entry & keep) | set. */
struct abi_corruption {
	uint64_t level, keep, set;
};

#define HC_FAILED  ((uint64_t)-1000) /* an argument that makes no sense, also from HC_EDIT and HC_SAMPLES */
#define HC_NOT_YET ((uint64_t)-1001)

enum {
	ABI_TEXT = 200,         /* longest text of HC_PRINT */
	ABI_NAME = 48,          /* longest name of HC_SAMPLES, with its NUL */
	ABI_SAMPLES = 4096,     /* most samples of HC_SAMPLES */
	ABI_BANK_SIZE = 0x2000, /* bytes of register file behind a bank, however large its range is */
	ABI_MEMORY_SIZE = 2 << 20,
	ABI_MEMORY_PAGES = ABI_MEMORY_SIZE / 4096,
};

enum abi_edit {
	EDIT_ADD, /* operand: address */
	EDIT_REMOVE,
	EDIT_MOVE,       /* operand: address */
	EDIT_RESIZE,     /* operand: size */
	EDIT_REPLACE,    /* operand: address. Removed and added there in one transaction, as a BAR is moved */
	EDIT_SWAP,       /* the two devices change places in one transaction of three moves */
	EDIT_INVALIDATE, /* every MMIO entry becomes stale */
	EDIT_PROTECT,    /* a device of memory. operand: 1 to become ROM, 0 to become RAM */
};

/* Ranges by hand, as the command line's word mmio= names them, in the order of the choices there. */
enum { ABI_HANDS = 8 };
enum abi_hand_kind {
	ABI_HAND_RAM,      /* every access has an exit; what is written stays */
	ABI_HAND_RING,     /* the same, and writes are coalesced */
	ABI_HAND_DOORBELL, /* every access rings */
	ABI_HAND_ROM,      /* read without exits; what is written, with an exit, stays */
	ABI_HAND_DIRECT,   /* memory of a device: no exits */
};

struct abi_hand {
	uint64_t kind, start, size;
	uint64_t reads, writes, rings; /* that had an exit */
};

/* RAM that is in the map only while its log is measured. */
#define ABI_BENCH_MEMORY_AT 0x40000000ull
enum { ABI_BENCH_MEMORY = 1 << 30 };
enum abi_bench_memory {
	BENCH_MEMORY_ADD,
	BENCH_MEMORY_START,
	BENCH_MEMORY_FETCH,
	BENCH_MEMORY_STOP,
	BENCH_MEMORY_REMOVE
};

enum abi_dirty { DIRTY_START, DIRTY_FETCH, DIRTY_STOP };

/*
 * The devices. A BANK is a file of byte registers, zero at first. A PATTERN answers reads with abi_pattern() of each
 * byte's offset and wants the complement written. EMBEDDER is a bank without a callback: tl_vcpu_run() returns to the
 * platform, which serves it. BROKEN refuses every access. ABSENT is a bank that is not in the map until it is added,
 * and so are those below it. PLAIN is a bank that neither checks nor counts, for measurements, and PLAINEMB one without
 * a callback. A BACKED device has guest memory for registers, and so has BACKEDEMB without a callback. A BELL counts
 * its rings: the sum is its writes in struct abi_device. A MATCH rings for a write of 4 bytes of ABI_MATCH_VALUE at
 * offset ABI_MATCH_AT, and is a bank for everything else. A SHADOW keeps what is written, as a bank does, and counts it
 * as rings. A COALESCED device is a bank that gets its writes late, and a LATE one without a callback. A SIZED bank
 * takes aligned accesses of 4 bytes only. A FLASH is read directly; a write clears the bits that are 0 in it. CODE may
 * only be executed; its reads and writes are those of a bank. CONTROL moves riders. A MEMORY is RAM, zeroed at first.
 */
#define ABI_DEVICES(DEVICE)                                                                             \
	DEVICE(BANK0, BANK, 0xd0000000, 0x1000)                                                         \
	DEVICE(BANK1, BANK, 0xd0001000, 0x1000)                                                         \
	DEVICE(BANK2, BANK, 0xd0002000, 0x1000)                                                         \
	DEVICE(BANK3, BANK, 0xd0003000, 0x1000)                                                         \
	DEVICE(MOVER, BANK, 0xd0010000, 0x1000)                                                         \
	DEVICE(SHARED0, BANK, 0xd0020000, 0x400) /* on one page with SHARED1 and a piece of the hole */ \
	DEVICE(SHARED1, BANK, 0xd0020800, 0x800)                                                        \
	DEVICE(STRADDLE, BANK, 0xd0030000, 0x1800) /* ends inside a page, where NEIGHBOUR begins */     \
	DEVICE(NEIGHBOUR, BANK, 0xd0031800, 0x800)                                                      \
	DEVICE(EMBEDDER, EMBEDDER, 0xd0040000, 0x1000)                                                  \
	DEVICE(BROKEN, BROKEN, 0xd0050000, 0x1000)                                                      \
	DEVICE(LOW, BANK, 0xd0000, 0x1000)              /* in reach of real mode */                     \
	DEVICE(LARGE, PATTERN, 0xe0000000, 64ull << 20) /* for MMIO entries of 2 MiB */                 \
	DEVICE(HUGE, PATTERN, 32ull << 30, 2ull << 30)  /* for MMIO entries of 1 GiB */                 \
	DEVICE(SPARE, ABSENT, 0xd0060000, 0x1000)                                                       \
	DEVICE(PLAIN0, PLAIN, 0xd0070000, 0x1000)                                                       \
	DEVICE(PLAIN1, PLAIN, 0xd0071000, 0x1000)                                                       \
	DEVICE(PLAINEMB, PLAINEMB, 0xd0072000, 0x1000)                                                  \
	DEVICE(BELL0, BELL, 0xd0080000, 0x1000)                                                         \
	DEVICE(BELL1, BELL, 0xd0081000, 0x1000)                                                         \
	DEVICE(MATCH, MATCH, 0xd0082000, 0x1000)                                                        \
	DEVICE(SHADOW, SHADOW, 0xd0083000, 0x1000)                                                      \
	DEVICE(COALESCED, COALESCED, 0xd0090000, 0x1000)                                                \
	DEVICE(LATE, LATE, 0xd0091000, 0x1000)                                                          \
	DEVICE(SIZED, SIZED, 0xd0092000, 0x1000)                                                        \
	DEVICE(FLASH, FLASH, 0xd0093000, 0x1000)                                                        \
	DEVICE(CODE, CODE, 0xd0094000, 0x1000)                                                          \
	DEVICE(CONTROL, CONTROL, 0xd00a0000, 0x1000)                                                    \
	DEVICE(WINDOW0, BACKED, 0xd00b0000, 0x1800) /* ends inside a page, where WINDOW1 begins */      \
	DEVICE(WINDOW1, BACKED, 0xd00b1800, 0x1800)                                                     \
	DEVICE(WINDOWEMB0, BACKEDEMB, 0xd00b4000, 0x1800)                                               \
	DEVICE(WINDOWEMB1, BACKEDEMB, 0xd00b5800, 0x1800)                                               \
	DEVICE(MEMORY0, MEMORY, 0xc0000000, ABI_MEMORY_SIZE)                                            \
	DEVICE(MEMORY1, MEMORY, 0xc0400000, ABI_MEMORY_SIZE)

enum abi_device_id {
#define DEVICE(name, kind, address, size) DEVICE_##name,
	ABI_DEVICES(DEVICE)
#undef DEVICE
		ABI_NR_DEVICES
};

enum abi_device_address {
#define DEVICE(name, kind, address, size) DEVICE_##name##_AT = address,
	ABI_DEVICES(DEVICE)
#undef DEVICE
};

/* What rings a MATCH. */
enum { ABI_MATCH_AT = 0x50, ABI_MATCH_VALUE = 0x13572468 };

/* No range is ever put there. */
#define ABI_HOLE 0xd8000000ull

static inline uint8_t abi_pattern(uint64_t offset)
{
	return (uint8_t)((offset + 1) * 0x9e3779b97f4a7c15ull >> 56);
}

struct abi_device {
	uint64_t reads, writes, bytes_read, bytes_written;
	uint64_t address, size;
	uint64_t live_ranges; /* added, and removed ones that are not released yet */
	uint64_t rings;       /* of a doorbell */
	uint64_t releases;    /* removed ranges whose release hook was called */
};

static inline uint64_t abi_digest(const uint8_t *registers)
{
	uint64_t digest = 1;

	for (unsigned i = 0; i < ABI_BANK_SIZE; i++)
		digest = digest * 0x100000001b3ull + registers[i];
	return digest;
}

struct abi_stats {
	uint64_t fresh, stale, retried, hole_reads, hole_writes;
	uint64_t commits, invalidations, wraps, zapped, generation, live_mmio_entries;
	uint64_t coalesced, clustered, refused_sizes, exits;
	uint64_t ranges; /* in the map, without the hole */
};

#endif
