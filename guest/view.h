/* SPDX-License-Identifier: MIT */
/* A guest as who looks at it from outside sees it: the monitor, the dashboard. Whatever machine runs it fills this in.
 */
#ifndef GUEST_VIEW_H
#define GUEST_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <trapline.h>

struct guest_view {
	const char *name;
	struct tl_vm *vm;
	unsigned nr_vcpus;
	void *machine;
	uint64_t began;  /* the host's TSC when it was about to be entered */
	bool keeps_text; /* it is measured, or what it writes is to be read: unless asked for, no page takes the screen
			  */

	/* Of vCPU `index`, for counts alone: it may be running. */
	struct tl_vcpu *(*vcpu)(const struct guest_view *view, unsigned index);

	/*
	 * Takes a vCPU from the machine, which runs it again once it has been put back. NULL: it has not been started,
	 * or does not leave its guest. Context for these and what follows: host, inside services.attend.
	 */
	struct tl_vcpu *(*take)(const struct guest_view *view, unsigned index);
	void (*put)(const struct guest_view *view, unsigned index);

	/* The machine runs a vCPU that is held only after it has been let go. */
	void (*hold)(const struct guest_view *view, unsigned index, bool held);
	bool (*is_held)(const struct guest_view *view, unsigned index);

	/*
	 * Has a vCPU that was taken execute one instruction, whatever the machine must do for it. TL_AGAIN: it halted,
	 * or the guest has ended. Other errors: those of tl_vcpu_set_step() and tl_vcpu_run().
	 */
	enum tl_status (*step)(const struct guest_view *view, unsigned index);

	/* Ends the guest, which has failed then, by `how`. */
	void (*end)(const struct guest_view *view, const char *how);

	/* The name of what stands at a range's start, or "". */
	const char *(*range_name)(const struct guest_view *view, uint64_t start);

	/* Accesses to the device number `index`, as the machine counts them; a little late. false: there are no more.
	 */
	bool (*traffic)(const struct guest_view *view, unsigned index, const char **name, uint64_t *reads,
			uint64_t *writes);
};

/* For a machine's take(): what one look at the vCPU came to. */
enum view_look { VIEW_TAKEN, VIEW_BUSY, VIEW_OFF };

/*
 * Looks until it is taken, and kicks it out of its guest meanwhile. NULL: it is off, or was kicked so often and still
 * runs, so that it is stuck in a device. Context: as for take().
 */
struct tl_vcpu *view_take_by(struct tl_vcpu *vcpu, enum view_look (*look)(void *context), void *context);

#endif
