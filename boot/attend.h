/* SPDX-License-Identifier: MIT */
/*
 * What goes on beside guests: keys are looked for on the serial line and on the keyboard, for the guest and the
 * monitor; the dashboard is drawn.
 */
#ifndef BOOT_ATTEND_H
#define BOOT_ATTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/cmdline.h"
#include "guest/view.h"

/* Precondition: no guest runs yet. Context: the first CPU. */
void attend_init(const struct boot_options *options);

/* Ticks of the TSC between two looks, at least; with the word monitor a guest's turn has no more. */
uint64_t attend_ticks(void);

/* A guest_services.attend: looks, unless another CPU does, or did a moment ago. */
void attend(const struct guest_view *view);

/* Whether guests are to leave their CPUs for it. */
bool attend_is_wanted(const struct boot_options *options);

/* The guest that runs next is number `number` of `of`; 0: none does, and the screen shows the text again. */
void attend_guest(unsigned number, unsigned of);

/* Whether the run is to end: no further guest is started. Context: any. */
bool attend_wants_end(void);

#endif
