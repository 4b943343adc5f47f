/* SPDX-License-Identifier: MIT */
/* What stands in the memory map: memory, devices, doorbells, rings of coalesced writes. Included by trapline.h. */
#ifndef TRAPLINE_RANGE_H
#define TRAPLINE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Names a range from the commit that adds it to the commit that removes it; then the number may be given to another
 * range. A writer that edits a range which another writer may remove must agree with it about who does.
 */
typedef uint32_t tl_range_id;

/* The hole: everything that no range claims. Reads give all ones, writes go nowhere. */
#define TL_HOLE ((tl_range_id)0)

/* What a commit does about the MMIO entries that are live. */
enum tl_invalidate {
	TL_INVALIDATE_RANGE, /* those of the ranges that it changes are stale from its publication on */
	TL_INVALIDATE_ALL,   /* all are */
	TL_INVALIDATE_ZAP,   /* it waits, walks the tables and zaps all: what both replace, for comparison */
};

/* One access to a device, as its callback sees it. */
struct tl_mmio {
	uint64_t gpa;    /* guest-physical address of the first byte */
	uint64_t offset; /* the same from the start of the range */
	uint64_t data;   /* write: what the guest stores, zero-extended. read: to be filled in; bits above size are
			    ignored */
	uint32_t size;   /* 1 to 8 bytes; the access does not leave the range */
	bool write;
	void *context; /* of the range */
	struct tl_vcpu *vcpu;
};

/*
 * Serves one access. Runs on the vCPU's CPU, interrupts off, no lock held; several vCPUs may be in the same callback
 * at once. It may edit and commit the map. Returns TL_OK; an error stops the guest (TL_STOP_DEVICE).
 */
typedef enum tl_status (*tl_mmio_fn)(struct tl_mmio *access);

enum tl_range_kind {
	TL_RANGE_RAM,
	TL_RANGE_ROM,  /* reads and fetches go to memory; writes to the callback, or without one are dropped and counted
			*/
	TL_RANGE_MMIO, /* without a callback: tl_vcpu_run() returns TL_EXIT_MMIO */
	TL_RANGE_DOORBELL, /* writes are signalled, see struct tl_doorbell */
	/* Fetches go to memory, reads and writes to the callback or the embedder. TL_UNSUPPORTED where EPT lacks it. */
	TL_RANGE_EXECUTE_ONLY,
	/*
	 * A device's own memory, given to the guest: mapped uncached (its PAT may make it write-combining), never
	 * executed. The library accesses it only for an instruction that is emulated for its other operand, in whole
	 * words, each once; tl_mem_read() and tl_mem_write() refuse it.
	 */
	TL_RANGE_PASSTHROUGH,
	/*
	 * The registers of a local APIC in xAPIC mode, one page: `host` is tl_apic.access_page. What the CPU does not
	 * serve goes to the callback, as in an MMIO range. TL_UNSUPPORTED without TL_APIC_ACCESSES. trapline_apic.h
	 * says when it may be there.
	 */
	TL_RANGE_APIC,
};

/* ---- How a device takes its accesses ----------------------------------------------------------------------------- */

/* Constant, and the embedder's, until the range's release. */
struct tl_mmio_options {
	/*
	 * The sizes that the device takes: 1, 2, 4, 8, or-ed. Then each access it sees is aligned and of such a size; a
	 * wider or unaligned one is split, in ascending order. Bytes that no size fits read as ones, and their writes
	 * go nowhere (counted in refused_sizes). 0: every access as the guest makes it, up to 8 bytes, aligned or not.
	 */
	uint8_t sizes;
	bool no_clustering;   /* each access has an exit of its own */
	struct tl_ring *ring; /* writes are coalesced there; NULL: they are not */
};

/* ---- Coalesced writes -------------------------------------------------------------------------------------------- */

/* A write that was noted and not yet served. */
struct tl_coalesced {
	uint64_t tsc; /* when; the order */
	uint64_t offset;
	uint64_t data;
	uint32_t size;
	uint32_t cpu;
};

/*
 * A ring of one range: a lane for each of the CPUs 0 to `cpus` - 1, of `entries` writes (a power of 2, 2 to 65536). The
 * writes of other CPUs are not coalesced. Lanes are merged by time stamp: the CPUs' TSCs have to run alike.
 *
 * A write fills the lane of its CPU without an exit to the embedder. Before the range is read, and when a lane is full,
 * all lanes are drained in order: through the range's callback, or where it has none by tl_vcpu_run() returning
 * TL_EXIT_DRAIN until the embedder has taken everything. NULL: no memory, or numbers out of range. Context: host.
 */
struct tl_ring *tl_ring_create(unsigned cpus, unsigned entries);

/* Precondition: the range is released. What was not taken is lost. Context: host. */
void tl_ring_destroy(struct tl_ring *ring);

/*
 * Takes up to `count` writes, oldest first, and returns how many; 0: there are none, or another CPU is draining. A
 * write by another CPU that is on its way into its lane comes with the next call. Context: any but the callback of the
 * range itself.
 */
size_t tl_ring_take(struct tl_ring *ring, struct tl_coalesced *writes, size_t count);

/* ---- Doorbells --------------------------------------------------------------------------------------------------- */

enum tl_doorbell_signal {
	TL_SIGNAL_COUNT, /* counts[CPU] is incremented */
	TL_SIGNAL_FLAG,  /* flags[offset >> stride_shift] becomes 1 */
	TL_SIGNAL_CALL,  /* call() */
};

/* Written by its CPU alone, with plain stores; the sum over all CPUs is exact. */
struct tl_doorbell_count {
	uint64_t count;
	uint64_t reserved[7]; /* no two CPUs share a cache line */
};

/* A write of `size` bytes (0: any) at `offset` whose data, and-ed with `mask`, is `value`. */
struct tl_doorbell_match {
	uint64_t offset, value, mask;
	uint32_t size;
};

/*
 * How the writes of a range are signalled. Constant, and with what it points to the embedder's, until the release.
 *
 * Without matches and without a shadow nothing is decoded: any access rings, once, at the offset of its first byte. A
 * read cannot be told from a write then: it rings, too, and leaves its register as it was. With either, the write is
 * decoded: one that matches rings, everything else goes to the range's callback or the embedder, as does a read.
 */
struct tl_doorbell {
	enum tl_doorbell_signal signal;
	uint8_t stride_shift;
	union {
		struct tl_doorbell_count *counts; /* TL_MAX_CPUS of them */
		uint8_t *flags; /* set by a plain store: the consumer exchanges a 0 for it, then looks */
		void (*call)(void *context, uint64_t offset, struct tl_vcpu *vcpu); /* as a tl_mmio_fn is called */
	};
	const struct tl_doorbell_match *matches; /* nr_matches of them; NULL: every write rings */
	size_t nr_matches;
	uint8_t *shadow; /* as long as the range: what is written is stored there first, at its offset. May be NULL */
};

/* ---- Ranges ------------------------------------------------------------------------------------------------------ */

struct tl_range {
	enum tl_range_kind kind;
	uint64_t start; /* guest-physical, a multiple of 4096 where there is memory; any byte for MMIO and doorbells */
	uint64_t size;  /* bytes, not 0; like start */
	void *host;     /* where there is memory: that behind it, 4 KiB aligned, physically contiguous */
	tl_mmio_fn access;
	const struct tl_mmio_options *options; /* MMIO; may be NULL */
	const struct tl_doorbell *doorbell;    /* DOORBELL */
	void *context;
	/* Called once when no vCPU can reach the removed range any more; `context` may be freed then. May be NULL. */
	void (*release)(void *context);
};

#endif
