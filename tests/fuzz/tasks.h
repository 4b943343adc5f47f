/* SPDX-License-Identifier: MIT */
/* Two tasks for the fuzzed exits to switch between, and what an entry after a switch must not find. */
#ifndef FUZZ_TASKS_H
#define FUZZ_TASKS_H

#include "tests/fuzz/fuzz.h"
#include <trapline.h>

/* A GDT at `gdt` in the guest's `ram`, and behind it TSSs of tasks that begin at `rip`. */
void fuzz_tasks_make(uint8_t *ram, uint32_t gdt, uint32_t rip);

/* TR of the task that a guest begins in. */
struct tl_segment fuzz_tasks_first(uint32_t gdt);

/* The exit qualification of a task switch to one of them, or to what is none. */
uint64_t fuzz_tasks_qualification(struct fuzz_input *input);

/* The segments of a guest that is in one of these tasks by its last exit: SDM vol. 3, 27.3.1.2. */
void fuzz_tasks_check(void);

#endif
