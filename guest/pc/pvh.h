/* SPDX-License-Identifier: MIT */
/*
 * A kernel that is an ELF file with a PVH entry, such as Linux' vmlinux: started in 32-bit mode with what Xen's
 * interface tells it (Xen's public/arch-x86/hvm/start_info.h). Pure C.
 */
#ifndef GUEST_PC_PVH_H
#define GUEST_PC_PVH_H

#include "guest/pc/linux_boot.h"

/* Whether the image has one. */
bool pvh_is_kernel(const struct load_image *image);

/*
 * Loads the segments to their physical addresses, the initramfs behind them, and sets the state to start it in. What it
 * is told lies in the first 128 KiB. False, and one sentence in `why`, if refused: before the first byte is written.
 */
bool pvh_load(const struct linux_boot *boot, struct tl_state *state, char *why, size_t size);

#endif
