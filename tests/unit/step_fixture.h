/* SPDX-License-Identifier: MIT */
/* A vCPU of vcpu_fixture.h that is stepped on a CPU without a monitor trap flag. */
#ifndef UNIT_STEP_FIXTURE_H
#define UNIT_STEP_FIXTURE_H

#include "tests/unit/vcpu_fixture.h"

enum { STACK = 20 * 4096, RFLAGS_OF_GUEST = 2 | RFLAGS_IF, OLD_DR6 = 0xff0 };

/* Of each test. */
int step_start(void **context);
int step_stop(void **context);

/* As tl_vcpu_run() does before it enters. Whether the guest would be entered then. */
bool begin_step(void);
/* The same on an instruction. */
bool begin_at(const void *code, size_t length);

/* An exit that is a step's end: nothing of the step is left. */
void expect_step(enum vcpu_action action);

#endif
