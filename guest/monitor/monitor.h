/* SPDX-License-Identifier: MIT */
/*
 * The monitor: a line on which a guest can be asked what it does, and told what to do, while it runs. Keys come one by
 * one from whoever reads them; a line is carried out when its end comes, on the CPU that brings it. It reaches the
 * library by its public interface alone, and the machine by struct guest_view.
 */
#ifndef GUEST_MONITOR_MONITOR_H
#define GUEST_MONITOR_MONITOR_H

#include <stdatomic.h>
#include <trapline.h>

#include "guest/monitor/order.h"
#include "guest/view.h"

enum { MONITOR_DEVICES = 8 };

/* A device of the monitor's own: one register of 8 bytes, wherever it is accessed. */
struct monitor_device {
	struct tl_vm *vm;      /* whose map it stands in */
	_Atomic bool used;     /* from its commit to its release */
	_Atomic uint64_t data; /* that was written last */
};

struct monitor {
	/* Lent by the embedder, as in struct guest_services. */
	void (*print)(const char *format, ...) __attribute__((format(printf, 1, 2)));
	void (*take_trace)(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost);
	unsigned nr_cpus;
	bool trace_is_taken; /* by the command line */

	char line[ORDER_LINE];
	unsigned length;
	bool after_return; /* a '\n' that follows a '\r' ends no line of its own */
	bool traces;
	bool quits; /* the run is to end */
	struct monitor_device device[MONITOR_DEVICES];
};

/* Greets, and asks for the first line. Context for all: host, inside services.attend; one CPU at a time. */
void monitor_open(struct monitor *monitor, const struct guest_view *view);

/* Takes a key; the last one of a line carries it out. */
void monitor_key(struct monitor *monitor, const struct guest_view *view, uint8_t key);

/* Hands over what a trace that the monitor turned on has recorded. */
void monitor_drain(struct monitor *monitor);

#endif
