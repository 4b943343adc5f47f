/* SPDX-License-Identifier: MIT */
/* The words of a module's command line. Pure C. */
#ifndef GUEST_OPTIONS_H
#define GUEST_OPTIONS_H

#include "guest/state.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a guest may end. The words of `expect=` are in guest_ending_name(). */
enum guest_ending {
	GUEST_EXIT, /* HC_EXIT; passes with code 0 */
	GUEST_SHUTDOWN,
	GUEST_HALT,
	GUEST_TIMEOUT,
	GUEST_RESET, /* of a PC */
	GUEST_POWER_OFF,
	/* Below: stopped by the library, in the order of enum tl_stop. */
	GUEST_STOP_FIRST,
};

struct guest_options {
	uint64_t memory;               /* mem=: bytes of RAM, a multiple of 4096 */
	uint64_t flat;                 /* flat=: where the image goes */
	bool is_flat;                  /* flat= was given: the image is no Multiboot kernel */
	enum state_mode mode;          /* mode=: in which a flat image starts */
	unsigned tag_bits, mmio_level; /* tag-bits=, mmio-level= */
	uint64_t first_generation;     /* generation= */
	uint64_t timeout;              /* timeout=: ticks of guest time; given in millions, 0 for no limit */
	bool is_pc;                    /* pc: the machine is a PC, with its devices */
	bool is_firmware;              /* firmware: the image is firmware, which the PC starts by itself */
	bool has_test_devices;         /* testdev: the PC has QEMU's pc-testdev and pci-testdev */
	bool has_virtio_console;       /* virtio-console: the PC has one beside COM1 */
	bool exits;                    /* exits: a PC's exits by reason are printed when it has ended */
	bool shake;                    /* shake: a PC's ranges are moved, added and made stale all the time */
	unsigned expect;               /* expect=: enum guest_ending; of a PC it is that it turns itself off */
	bool exact;                    /* exact: no access is split, fresh + stale must be what the devices counted */
	unsigned vcpus;                /* vcpus=: how many it has; only the first starts by itself */
	bool roam;                     /* roam: its vCPUs take turns on all of the host's CPUs, however few they are */
	uint64_t slice;                /* slice=: ticks of guest time that a turn has, where vCPUs share CPUs */
	bool manual;                   /* manual: it plays by hand, or measures */
	bool decode_doorbells;         /* decode-doorbells: the exit's instruction length is not trusted */
	const char *command_line;      /* behind `--`: the guest's own words */
};

/*
 * Reads `words`. The caller has put its defaults for tag_bits, mmio_level and first_generation into *options; the rest
 * is set here. False, and one sentence in `why`, for an unknown word or a value that makes no sense.
 */
bool options_parse(const char *words, struct guest_options *options, char *why, size_t size);

/* The word of `expect=` for an ending, or NULL past the last. */
const char *options_ending_name(unsigned ending);

#endif
