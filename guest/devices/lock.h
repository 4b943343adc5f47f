/* SPDX-License-Identifier: MIT */
/*
 * The lock that a machine's slow devices share. A device takes it in its callbacks and calls others with it held; none
 * holds it over a commit of the memory map (rule 8). All zeros: free.
 */
#ifndef GUEST_DEVICES_LOCK_H
#define GUEST_DEVICES_LOCK_H

#include <stdatomic.h>

struct lock {
	atomic_uint held;
};

static inline void lock_acquire(struct lock *lock)
{
	/* acquire: what the last holder did to the devices is seen. */
	while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
		/* relaxed: only the exchange counts; this keeps the line shared meanwhile. */
		while (atomic_load_explicit(&lock->held, memory_order_relaxed))
			;
}

static inline void lock_release(struct lock *lock)
{
	/* release: the next holder sees what was done. */
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
