/* SPDX-License-Identifier: MIT */
/*
 * Running one guest: from a boot module and its words to a verdict. The rest of guest/ stands behind this header.
 *
 * A module's words, in any order (options.h has their meanings):
 *   mem=SIZE tag-bits=N generation=N mmio-level=N timeout=MILLIONS-OF-TICKS expect=ENDING flat=ADDRESS
 *   mode=real|protected|long exact decode-doorbells vcpus=N roam slice=TICKS pc testdev
 *   virtio-console shake manual --
 *   WORDS-FOR-THE-GUEST
 * `manual` says that the guest runs only when it is asked for by name; whoever chooses the modules reads it.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <trapline.h>

#include "guest/hand.h"
#include "guest/load.h"
#include "guest/view.h"

/* A boot module. Nothing in the image or in the words is trusted. */
struct guest_module {
	const char *name;
	const char *arguments; /* the words after the name on the module's command line; never NULL */
	const void *image;
	size_t size; /* bytes */
	/* What its kernel gets with it. At most LOAD_MOST_MODULES. */
	const struct load_module *modules;
	unsigned nr_modules;
};

/* What the embedder lends to guests. */
struct guest_services {
	/* `count` zeroed, physically contiguous pages that tl_hooks.direct_offset covers, or NULL. */
	void *(*alloc_pages)(size_t count);
	void (*free_pages)(void *pages, size_t count);
	/* Text for the console; the format brings its newlines. Conversions: those of tl_hooks.log. */
	void (*print)(const char *format, ...) __attribute__((format(printf, 1, 2)));
	/* What every guest's VM starts from, as in struct tl_vm_config; a module's own words come first. */
	unsigned tag_bits, mmio_level;
	uint64_t first_generation;
	enum tl_invalidate invalidate;
	/* What every guest has instead of what its module says; 0: that. Bytes, and a number. */
	uint64_t memory;
	unsigned vcpus;
	/* What every guest's map holds beside its own; hand_check() has found them possible. At most ABI_HANDS. */
	const struct hand_range *ranges;
	size_t nr_ranges;
	/* The CPUs that guests run on; the calling one is number 0. Each of the others has nothing to do when it is
	 * started, calls function(context) with interrupts off, and polls (tl_cpu_poll()) while it has no work, also
	 * in idle_cpu(). */
	unsigned nr_cpus;
	void (*start_cpu)(unsigned cpu, void (*function)(void *context), void *context);
	void (*wait_cpu)(unsigned cpu);
	/* Halts the calling CPU until its TSC reaches `tsc` (UINT64_MAX: whenever), wake_cpu() or an interrupt; may
	 * return early. What was woken for since the caller turned interrupts off, which they are, ends it at once. */
	void (*idle_cpu)(uint64_t tsc);
	void (*wake_cpu)(unsigned cpu);
	/* The events of the library's trace to record, 0: none; and who takes the records, on the CPU that made them or
	 * when it has nothing to do. */
	uint32_t trace_events;
	void (*take_trace)(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost);
	/* What was typed for the guest: the next byte, or -1. NULL: nobody types. One CPU at a time. */
	int (*read_typed)(void);
	/* Looks after what goes on beside guests: what is typed, the screen. Called between two turns of vCPUs, by CPUs
	 * with nothing to run, and after so many ticks of a vCPU at the latest; by any of them, at once. NULL: nothing
	 * does. */
	void (*attend)(const struct guest_view *view);
	uint64_t attend_ticks;
	/* The longest that a CPU with nothing to run may halt, for attend; 0: any time. */
	uint64_t idle_ticks;
	bool quiet;      /* print nothing of what a guest has to say unless it fails */
	uint64_t tsc_hz; /* 0: unknown */
	/* Replaces the EPT entry at `level` (1 to 4) on the way to `gpa` by (entry & keep) | set, for tests of damage;
	 * false if there is none. NULL: this image cannot. */
	bool (*corrupt_ept)(struct tl_vm *vm, uint64_t gpa, unsigned level, uint64_t keep, uint64_t set);
	/* From now on exits of the vCPU that ran last on this CPU are served by the least of all handlers, or by the
	 * library's own again, for measurements. NULL: this image cannot. */
	bool (*bare_exits)(bool bare);
};

struct guest_report {
	bool passed;
	char reason[160]; /* how the guest ended, in one sentence without a full stop */
	struct tl_stats stats;
	uint64_t accesses; /* counted by the devices, and the hole's */
	uint64_t began;    /* the host's TSC when the guest was about to be entered; 0: it was not */
	uint64_t ticks;    /* of the host's TSC, over the guest's run */
};

/*
 * Loads one guest, runs it to its end and fills in the report; returns whatever the guest or its image does.
 * Preconditions: tl_init(), tl_cpu_up() on this CPU, interrupts off. Context: host.
 */
void guest_run(const struct guest_module *module, const struct guest_services *services, struct guest_report *report);

#endif
