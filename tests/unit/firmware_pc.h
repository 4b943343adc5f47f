/* SPDX-License-Identifier: MIT */
/* A machine of four processors and two virtio devices, as firmware describes it. */
#ifndef UNIT_FIRMWARE_PC_H
#define UNIT_FIRMWARE_PC_H

#include "guest/pc/firmware.h"

static const struct firmware firmware_pc = {
	.nr_cpus = 4,
	.local_apic = 0xfee00000,
	.io_apic = 0xfec00000,
	.hpet = 0xfed00000,
	.hpet_id = 0x8086a201,
	.power = 0x600,
	.has_pci = true,
	.nr_virtio = 2,
	.virtio = {{0xfeb00000, 16}, {0xfeb01000, 17}},
};

#endif
