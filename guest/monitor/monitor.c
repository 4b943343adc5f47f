/* SPDX-License-Identifier: MIT */
#include "guest/monitor/monitor.h"
#include "guest/monitor/parts.h"

enum { WHY = 200, KEY_BACKSPACE = '\b', KEY_DELETE = 0x7F };
enum { BATCH = 32, BATCHES = 8 /* at one look: a serial line is slow */ };

#define TRACE_SPTES \
	(1 << TL_TRACE_MARK_MMIO_SPTE | 1 << TL_TRACE_CHECK_MMIO_SPTE | 1 << TL_TRACE_HANDLE_MMIO_PAGE_FAULT)

static void prompt(struct monitor *monitor, const struct guest_view *view)
{
	monitor->length = 0;
	monitor->print("%s> ", view->name);
}

void monitor_open(struct monitor *monitor, const struct guest_view *view)
{
	monitor->print("\nTrapline's monitor; help lists the commands, Ctrl-A c goes back to the guest\n");
	prompt(monitor, view);
}

static void print_help(struct monitor *monitor, enum order_command topic)
{
	if (topic != ORDER_NONE) {
		monitor->print("%s: %s\n", order_usage(topic), order_help(topic));
		return;
	}
	for (unsigned i = ORDER_NONE + 1; i < ORDER_COMMANDS; i++)
		monitor->print("%-24s %s\n", order_usage((enum order_command)i), order_help((enum order_command)i));
}

static const char *switch_trace(struct monitor *monitor, const struct order *order)
{
	const struct tl_trace_config config = {.events = order->events ? order->events : TRACE_SPTES,
					       .last = UINT64_MAX};
	enum tl_status status = TL_OK;

	if (monitor->trace_is_taken)
		return "trace= or profile on the command line has the trace; leave that word out.";
	if (order->on)
		status = tl_trace_start(&config);
	else
		tl_trace_stop();
	if (status != TL_OK)
		return tl_status_text(status);
	monitor_drain(monitor);
	monitor->traces = order->on;
	return NULL;
}

void monitor_drain(struct monitor *monitor)
{
	struct tl_trace_record record[BATCH];
	uint64_t lost;
	size_t count;

	if (!monitor->traces)
		return;
	for (unsigned cpu = 0; cpu < monitor->nr_cpus; cpu++)
		for (unsigned i = 0; i < BATCHES; i++) {
			count = tl_trace_read(cpu, record, BATCH, &lost);
			if (count || lost)
				monitor->take_trace(cpu, record, count, lost);
			if (count < BATCH)
				break;
		}
}

static const char *quit(struct monitor *monitor, const struct guest_view *view)
{
	monitor->quits = true;
	view->end(view, "the run was ended from the monitor");
	return NULL;
}

/* The commands on one vCPU; by default the first. */
static const char *carry_out_vcpu(struct monitor *monitor, const struct guest_view *view, const struct order *order)
{
	uint64_t vcpu = order->nr_numbers ? order->number[0] : 0;

	if (vcpu >= view->nr_vcpus)
		return "the guest has no vCPU of that number.";
	switch (order->command) {
	case ORDER_EXITS:
		return monitor_exits(monitor, view, (unsigned)vcpu);
	case ORDER_STATE:
		return monitor_state(monitor, view, (unsigned)vcpu);
	case ORDER_VMCS:
		return monitor_vmcs(view, (unsigned)vcpu);
	case ORDER_STEP:
		return monitor_step(monitor, view, (unsigned)vcpu, order->nr_numbers > 1 ? order->number[1] : 1);
	default:
		monitor_hold(monitor, view, order, order->command == ORDER_STOP);
		return NULL;
	}
}

static const char *carry_out(struct monitor *monitor, const struct guest_view *view, const struct order *order)
{
	switch (order->command) {
	case ORDER_NONE:
		return NULL;
	case ORDER_HELP:
		print_help(monitor, order->topic);
		return NULL;
	case ORDER_RANGES:
		return monitor_ranges(monitor, view);
	case ORDER_WALK:
		return monitor_walk(monitor, view, order->number[0]);
	case ORDER_STATS:
		return monitor_stats(monitor, view);
	case ORDER_BUMP:
		return monitor_bump(view);
	case ORDER_ADD:
		return monitor_add(monitor, view, order->number[0], order->number[1]);
	case ORDER_REMOVE:
		return monitor_remove(view, order->number[0]);
	case ORDER_MOVE:
		return monitor_move(view, order->number[0], order->number[1]);
	case ORDER_TRACE:
		return switch_trace(monitor, order);
	case ORDER_QUIT:
		return quit(monitor, view);
	default:
		return carry_out_vcpu(monitor, view, order);
	}
}

static void end_line(struct monitor *monitor, const struct guest_view *view)
{
	char why[WHY];
	struct order order;
	const char *wrong = why;

	monitor->line[monitor->length] = '\0';
	monitor->print("\n");
	if (order_parse(monitor->line, &order, why, sizeof(why)))
		wrong = carry_out(monitor, view, &order);
	if (wrong)
		monitor->print("%s\n", wrong);
	if (!monitor->quits)
		prompt(monitor, view);
}

void monitor_key(struct monitor *monitor, const struct guest_view *view, uint8_t key)
{
	bool after_return = monitor->after_return;

	monitor->after_return = key == '\r';
	if (key == '\n' && after_return)
		return;
	if (key == '\r' || key == '\n') {
		end_line(monitor, view);
	} else if (key == KEY_BACKSPACE || key == KEY_DELETE) {
		if (!monitor->length)
			return;
		monitor->length--;
		monitor->print("\b \b");
	} else if (key >= ' ' && key < KEY_DELETE && monitor->length + 1 < ORDER_LINE) {
		monitor->line[monitor->length++] = (char)key;
		monitor->print("%c", key);
	}
}
