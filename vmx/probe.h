/* SPDX-License-Identifier: MIT */
/* What only a guest shows of a CPU. */
#ifndef VMX_PROBE_H
#define VMX_PROBE_H

#include <trapline.h>

/*
 * Whether the VM-exit instruction length is right on EPT misconfigurations. The SDM leaves it undefined there (vol. 3,
 * 28.2.5), and some hypervisors that nest us leave garbage in it. False until probe_instruction_length() is done.
 */
extern bool probe_length_is_right;

/*
 * Runs a guest of a few instructions of several lengths, each on a misconfigured page and after one of another length,
 * and compares. Precondition: the calling CPU is up. Errors: TL_NO_MEMORY; and those of an embedder's memory.
 */
enum tl_status probe_instruction_length(void);

#endif
