/* SPDX-License-Identifier: MIT */
/* A dirty log in the TLB test: which pages of a range it must have, and which it may. */
#ifndef UNIT_TLB_LOG_H
#define UNIT_TLB_LOG_H

#include "tests/unit/tlb_guest.h"

/* Of a new VM: there is none, and guest_wrote is set. */
void log_start(void);

bool log_is_of(const struct memory *memory);

/* An exit for a write to it has been served by this map. */
void log_opened(const struct map *map, gpa_t gpa);

/* Begins one, fetches and checks it, or ends it. Context: no callback. */
void log_something(void);

/* A commit has changed the range, or taken it away with its log. */
void log_follow(void);

extern uint64_t log_fetches, log_pages;

#endif
