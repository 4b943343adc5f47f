/* SPDX-License-Identifier: MIT */
#include "mmio/emulate.h"

const uint64_t insn_mask[9] = {
	0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, ~0ull,
};
