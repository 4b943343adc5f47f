/* SPDX-License-Identifier: MIT */
#include "guest/monitor/order.h"

#include <trapline.h>

#include "guest/nearest.h"
#include "guest/text.h"

/* What follows a command's name. */
enum order_form {
	FORM_NUMBERS, /* from `least` to `most` of them */
	FORM_TOPIC,   /* a command, or nothing */
	FORM_SWITCH,  /* on or off, then names of events */
};

struct command {
	const char *name, *usage, *help;
	enum order_form form;
	uint8_t least, most;
};

static const struct command commands[ORDER_COMMANDS] = {
	[ORDER_HELP] = {"help", "help [COMMAND]", "what a command does, or what there is", FORM_TOPIC, 0, 0},
	[ORDER_RANGES] = {"ranges", "ranges", "the ranges of the map, with their ids and tags", FORM_NUMBERS, 0, 0},
	[ORDER_WALK] = {"walk", "walk ADDRESS", "the EPT entries on the way to a guest-physical address, decoded",
			FORM_NUMBERS, 1, 1},
	[ORDER_STATS] = {"stats", "stats", "what the virtual machine has counted", FORM_NUMBERS, 0, 0},
	[ORDER_EXITS] = {"exits", "exits [VCPU]", "a vCPU's exits, by reason", FORM_NUMBERS, 0, 1},
	[ORDER_STATE] = {"state", "state [VCPU]", "a vCPU's registers", FORM_NUMBERS, 0, 1},
	[ORDER_VMCS] = {"vmcs", "vmcs [VCPU]", "a vCPU's VMCS, field by field", FORM_NUMBERS, 0, 1},
	[ORDER_BUMP] = {"bump", "bump", "makes every MMIO entry stale by one store", FORM_NUMBERS, 0, 0},
	[ORDER_ADD] = {"add", "add START SIZE", "adds a device that keeps what was written to it last", FORM_NUMBERS, 2,
		       2},
	[ORDER_REMOVE] = {"remove", "remove ID", "takes a range from the map; what stands there then is the hole",
			  FORM_NUMBERS, 1, 1},
	[ORDER_MOVE] = {"move", "move ID START", "moves a range", FORM_NUMBERS, 2, 2},
	[ORDER_TRACE] = {"trace", "trace on|off [EVENT...]", "prints these events as they happen, or those of 2013",
			 FORM_SWITCH, 0, 0},
	[ORDER_STOP] = {"stop", "stop [VCPU]", "has a vCPU, or all, leave the guest and stay away", FORM_NUMBERS, 0, 1},
	[ORDER_STEP] = {"step", "step [VCPU [COUNT]]", "has a vCPU that is stopped execute one instruction, or more",
			FORM_NUMBERS, 0, 2},
	[ORDER_CONTINUE] = {"continue", "continue [VCPU]", "has a vCPU, or all, go on", FORM_NUMBERS, 0, 1},
	[ORDER_QUIT] = {"quit", "quit", "ends the run", FORM_NUMBERS, 0, 0},
};

/* The one table of names that a word is looked for in; ends with NULL. */
typedef const char *(*name_fn)(unsigned index);

static const char *command_name(unsigned index)
{
	return index + 1 < ORDER_COMMANDS ? commands[index + 1].name : NULL;
}

static const char *event_name(unsigned index)
{
	return tl_trace_event_names[index];
}

static const char *switch_name(unsigned index)
{
	static const char *const names[] = {"off", "on", NULL};

	return names[index];
}

/* A name's index, or how many there are. */
static unsigned find(name_fn names, const char *word)
{
	unsigned index = 0;

	while (names(index) && !text_equal(names(index), word))
		index++;
	return index;
}

static const char *nearest(name_fn names, const char *word)
{
	const char *found = NULL;
	size_t length = 0;
	unsigned best;

	while (word[length])
		length++;
	best = nearest_limit(length);
	for (unsigned i = 0; names(i); i++) {
		unsigned changes = nearest_distance(word, length, names(i));

		if (changes >= best)
			continue;
		best = changes;
		found = names(i);
	}
	return found;
}

static bool refuse_word(const char *what, name_fn names, const char *word, char *why, size_t size)
{
	const char *near = nearest(names, word);

	if (near)
		text_format(why, size, "there is no %s \"%s\"; the nearest is %s.", what, word, near);
	else
		text_format(why, size, "there is no %s \"%s\"; help lists the commands.", what, word);
	return false;
}

static bool refuse_usage(enum order_command command, const char *word, char *why, size_t size)
{
	if (word)
		text_format(why, size, "\"%s\" does not fit; write %s.", word, commands[command].usage);
	else
		text_format(why, size, "something is missing; write %s.", commands[command].usage);
	return false;
}

static bool parse_numbers(const char *rest, struct order *order, char *why, size_t size)
{
	const struct command *command = &commands[order->command];
	char word[ORDER_LINE];

	while (text_next_word(&rest, word, sizeof(word))) {
		if (order->nr_numbers == command->most || !text_size(word, &order->number[order->nr_numbers]))
			return refuse_usage(order->command, word, why, size);
		order->nr_numbers++;
	}
	return order->nr_numbers >= command->least || refuse_usage(order->command, NULL, why, size);
}

static bool parse_topic(const char *rest, struct order *order, char *why, size_t size)
{
	char word[ORDER_LINE];
	unsigned index;

	if (!text_next_word(&rest, word, sizeof(word)))
		return true;
	index = find(command_name, word);
	if (!command_name(index))
		return refuse_word("command", command_name, word, why, size);
	order->topic = (enum order_command)(index + 1);
	return !text_next_word(&rest, word, sizeof(word)) || refuse_usage(order->command, word, why, size);
}

static bool parse_switch(const char *rest, struct order *order, char *why, size_t size)
{
	char word[ORDER_LINE];
	unsigned index;

	if (!text_next_word(&rest, word, sizeof(word)))
		return refuse_usage(order->command, NULL, why, size);
	index = find(switch_name, word);
	if (!switch_name(index))
		return refuse_usage(order->command, word, why, size);
	order->on = index;
	while (text_next_word(&rest, word, sizeof(word))) {
		index = find(event_name, word);
		if (!event_name(index))
			return refuse_word("event", event_name, word, why, size);
		if (!order->on)
			return refuse_usage(order->command, word, why, size);
		order->events |= 1u << index;
	}
	return true;
}

bool order_parse(const char *line, struct order *order, char *why, size_t size)
{
	char word[ORDER_LINE];
	unsigned index;

	*order = (struct order){.command = ORDER_NONE};
	if (!text_next_word(&line, word, sizeof(word)))
		return true;
	index = find(command_name, word);
	if (!command_name(index))
		return refuse_word("command", command_name, word, why, size);
	order->command = (enum order_command)(index + 1);
	switch (commands[order->command].form) {
	case FORM_TOPIC:
		return parse_topic(line, order, why, size);
	case FORM_SWITCH:
		return parse_switch(line, order, why, size);
	default:
		return parse_numbers(line, order, why, size);
	}
}

const char *order_usage(enum order_command command)
{
	return commands[command].usage;
}

const char *order_help(enum order_command command)
{
	return commands[command].help;
}
