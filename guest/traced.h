/* SPDX-License-Identifier: MIT */
/* The library's trace of a guest's run, handed to the embedder while there is room for more. */
#ifndef GUEST_TRACED_H
#define GUEST_TRACED_H

#include "guest/guest.h"

/* Turns the trace on that the services ask for, if any. Context: host, before the run. */
void traced_begin(const struct guest_services *services);

/* Hands over what `cpu` has recorded. Context: host, on that CPU or when it has nothing to do. */
void traced_drain(const struct guest_services *services, unsigned cpu);

/* Turns it off, which may have been turned on `by_guest`, and hands over the rest. Context: host, after the run. */
void traced_end(const struct guest_services *services, bool by_guest);

#endif
