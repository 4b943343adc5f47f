/* SPDX-License-Identifier: MIT */
/*
 * The monitor's commands as text: one table for the parser, for `help` and for docs/monitor.md. Pure C: what a command
 * does stands elsewhere.
 */
#ifndef GUEST_MONITOR_ORDER_H
#define GUEST_MONITOR_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum order_command {
	ORDER_NONE, /* an empty line */
	ORDER_HELP,
	ORDER_RANGES,
	ORDER_WALK,
	ORDER_STATS,
	ORDER_EXITS,
	ORDER_STATE,
	ORDER_VMCS,
	ORDER_BUMP,
	ORDER_ADD,
	ORDER_REMOVE,
	ORDER_MOVE,
	ORDER_TRACE,
	ORDER_STOP,
	ORDER_STEP,
	ORDER_CONTINUE,
	ORDER_QUIT,
	ORDER_COMMANDS /* how many */
};

enum { ORDER_LINE = 128, ORDER_NUMBERS = 2 };

/* A line that was understood. */
struct order {
	enum order_command command;
	unsigned nr_numbers;
	uint64_t number[ORDER_NUMBERS];
	enum order_command topic; /* of HELP; ORDER_NONE: all */
	bool on;                  /* TRACE */
	uint32_t events;          /* TRACE: mask of 1 << enum tl_trace_event; 0: none named */
};

/*
 * Reads a line. false: it is refused, and `why` holds one sentence that names what is wrong with it and the nearest
 * word, cut to `size` bytes. Context: any.
 */
bool order_parse(const char *line, struct order *order, char *why, size_t size);

/* How a command is written, and what it does. Precondition: ORDER_HELP to ORDER_QUIT. Never NULL. */
const char *order_usage(enum order_command command);
const char *order_help(enum order_command command);

#endif
