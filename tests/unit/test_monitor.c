/* SPDX-License-Identifier: MIT */
/* The monitor's lines: what they mean, how they are refused; its keys; and what it says of a guest that is a few
 * variables. */
#include "guest/monitor/monitor.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char why[200], said[8192];

static struct order order_of(const char *line)
{
	struct order order;

	why[0] = '\0';
	if (!order_parse(line, &order, why, sizeof(why)))
		fail_msg("\"%s\" is refused: %s", line, why);
	return order;
}

static void expect_refused(const char *line, const char *sentence)
{
	struct order order;

	assert_false(order_parse(line, &order, why, sizeof(why)));
	assert_string_equal(why, sentence);
}

static void reads_every_command(void **context)
{
	(void)context;
	assert_int_equal(order_of("").command, ORDER_NONE);
	assert_int_equal(order_of("   ").command, ORDER_NONE);
	for (unsigned i = ORDER_HELP; i < ORDER_COMMANDS; i++) {
		char line[ORDER_LINE], name[32];

		/* Its usage begins with its name, and help knows it. */
		assert_int_equal(sscanf(order_usage((enum order_command)i), "%31s", name), 1);
		snprintf(line, sizeof(line), "help %s", name);
		assert_int_equal(order_of(line).topic, i);
		assert_true(strlen(order_help((enum order_command)i)) > 10);
	}
}

static void reads_numbers(void **context)
{
	struct order order = order_of("  add 0xb0000000\t16K ");

	(void)context;
	assert_int_equal(order.command, ORDER_ADD);
	assert_int_equal(order.nr_numbers, 2);
	assert_int_equal(order.number[0], 0xb0000000);
	assert_int_equal(order.number[1], 16384);
	assert_int_equal(order_of("step").nr_numbers, 0);
	assert_int_equal(order_of("step 1 20").number[1], 20);
	assert_int_equal(order_of("walk 0xffffffffffffffff").number[0], UINT64_MAX);
}

static void reads_a_trace(void **context)
{
	struct order order = order_of("trace on exit commit");

	(void)context;
	assert_true(order.on);
	assert_int_equal(order.events, 1 << TL_TRACE_EXIT | 1 << TL_TRACE_COMMIT);
	assert_int_equal(order_of("trace on").events, 0);
	assert_false(order_of("trace off").on);
}

static void refuses_by_name_with_the_nearest(void **context)
{
	(void)context;
	expect_refused("hlep", "there is no command \"hlep\"; the nearest is help.");
	expect_refused("cont", "there is no command \"cont\"; help lists the commands.");
	expect_refused("contine 1", "there is no command \"contine\"; the nearest is continue.");
	expect_refused("xyzzy", "there is no command \"xyzzy\"; help lists the commands.");
	expect_refused("help wlak", "there is no command \"wlak\"; the nearest is walk.");
	expect_refused("trace on comit", "there is no event \"comit\"; the nearest is commit.");
}

static void refuses_what_does_not_fit(void **context)
{
	(void)context;
	expect_refused("walk", "something is missing; write walk ADDRESS.");
	expect_refused("walk here", "\"here\" does not fit; write walk ADDRESS.");
	expect_refused("walk 1 2", "\"2\" does not fit; write walk ADDRESS.");
	expect_refused("walk 0x10000000000000000", "\"0x10000000000000000\" does not fit; write walk ADDRESS.");
	expect_refused("add 0x1000", "something is missing; write add START SIZE.");
	expect_refused("bump now", "\"now\" does not fit; write bump.");
	expect_refused("trace", "something is missing; write trace on|off [EVENT...].");
	expect_refused("trace maybe", "\"maybe\" does not fit; write trace on|off [EVENT...].");
	expect_refused("trace off exit", "\"exit\" does not fit; write trace on|off [EVENT...].");
	expect_refused("help walk walk", "\"walk\" does not fit; write help [COMMAND].");
}

/* One table for both: what `help` prints is what docs/monitor.md says, word for word and in the same order. */
static void is_what_the_document_says(void **context)
{
	FILE *document = fopen("docs/monitor.md", "r");
	char row[400], wanted[400];

	(void)context;
	assert_non_null(document);
	while (fgets(row, sizeof(row), document) && strcmp(row, "| command | what it does |\n") != 0)
		;
	assert_non_null(fgets(row, sizeof(row), document));
	for (unsigned i = ORDER_HELP; i < ORDER_COMMANDS; i++) {
		char escaped[100], *at = escaped;

		/* A bar ends a cell, unless it is escaped. */
		for (const char *from = order_usage((enum order_command)i); *from; *at++ = *from++)
			if (*from == '|')
				*at++ = '\\';
		*at = '\0';
		snprintf(wanted, sizeof(wanted), "| `%s` | %s |\n", escaped, order_help((enum order_command)i));
		assert_non_null(fgets(row, sizeof(row), document));
		assert_string_equal(row, wanted);
	}
	assert_non_null(fgets(row, sizeof(row), document));
	assert_string_equal(row, "\n");
	fclose(document);
}

/* ---- A guest without a vCPU that runs ---------------------------------------------------------------------- */

static bool held[2], has_ended;
static unsigned nr_taken, nr_steps;

static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	size_t at = strlen(said);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(said + at, sizeof(said) - at, format, arguments);
	va_end(arguments);
}

static struct tl_vcpu *take(const struct guest_view *view, unsigned index)
{
	(void)view;
	(void)index;
	nr_taken++;
	return NULL;
}

static void hold(const struct guest_view *view, unsigned index, bool on)
{
	(void)view;
	held[index] = on;
}

static bool is_held(const struct guest_view *view, unsigned index)
{
	(void)view;
	return held[index];
}

static enum tl_status step(const struct guest_view *view, unsigned index)
{
	(void)view;
	(void)index;
	nr_steps++;
	return TL_OK;
}

static void end(const struct guest_view *view, const char *how)
{
	(void)view;
	assert_string_equal(how, "the run was ended from the monitor");
	has_ended = true;
}

static const char *range_name(const struct guest_view *view, uint64_t at)
{
	(void)view;
	return at == 0x9000 ? "SINK" : "";
}

static struct monitor monitor;
static struct guest_view view = {.name = "guest",
				 .nr_vcpus = 2,
				 .take = take,
				 .hold = hold,
				 .is_held = is_held,
				 .step = step,
				 .end = end,
				 .range_name = range_name};

static int start(void **context)
{
	vm_setup(context);
	monitor = (struct monitor){.print = say};
	view.vm = vm;
	memset(held, 0, sizeof(held));
	nr_taken = nr_steps = 0;
	has_ended = false;
	said[0] = '\0';
	return 0;
}

/* Types a line; what is said behind its echo. */
static const char *answer(const char *line)
{
	said[0] = '\0';
	for (const char *key = line; *key; key++)
		monitor_key(&monitor, &view, (uint8_t)*key);
	monitor_key(&monitor, &view, '\r');
	assert_memory_equal(said, line, strlen(line));
	assert_int_equal(said[strlen(line)], '\n');
	return said + strlen(line) + 1;
}

static void greets_and_asks(void **context)
{
	(void)context;
	monitor_open(&monitor, &view);
	assert_string_equal(said, "\nTrapline's monitor; help lists the commands, Ctrl-A c goes back to the guest\n"
				  "guest> ");
	assert_string_equal(answer(""), "guest> ");
	assert_string_equal(answer("hlep"), "there is no command \"hlep\"; the nearest is help.\nguest> ");
}

static void edits_its_line(void **context)
{
	(void)context;
	for (const char *key = "\b\177bumq\bx\177p\033\t"; *key; key++)
		monitor_key(&monitor, &view, (uint8_t)*key);
	assert_string_equal(said, "bumq\b \bx\b \bp");
	said[0] = '\0';
	monitor_key(&monitor, &view, '\r');
	monitor_key(&monitor, &view, '\n');
	assert_string_equal(said, "\nguest> ");
	monitor_key(&monitor, &view, '\n');
	assert_string_equal(said, "\nguest> \nguest> ");
}

static void a_line_has_an_end(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 3 * ORDER_LINE; i++)
		monitor_key(&monitor, &view, 'x');
	assert_int_equal(strlen(said), ORDER_LINE - 1);
	monitor_key(&monitor, &view, '\r');
	assert_non_null(strstr(said, "there is no command \"xxxxx"));
}

static void lists_and_changes_the_map(void **context)
{
	tl_range_id id = range_add(mmio_range(0x9000, 0x1000));
	char wanted[256];
	const struct map_range *added;

	(void)context;
	snprintf(wanted, sizeof(wanted), "%4u  0000000000009000 to 0000000000009fff  MMIO          %05x  SINK\n", id,
		 tag_of(id));
	assert_non_null(strstr(answer("ranges"), wanted));
	assert_string_equal(answer("add 0xb000 4K"), "range 3\nguest> ");
	added = map_find(map_now(), 0xb123);
	assert_int_equal(added->id, 3);
	/* It keeps what is written. */
	{
		struct tl_mmio access = {.write = true, .data = 0x1234, .size = 8, .context = added->context};

		assert_int_equal(added->access(&access), TL_OK);
		access = (struct tl_mmio){.size = 8, .context = added->context};
		assert_int_equal(added->access(&access), TL_OK);
		assert_int_equal(access.data, 0x1234);
	}
	assert_string_equal(answer("move 3 0xd000"), "guest> ");
	assert_int_equal(map_find(map_now(), 0xb123)->id, TL_HOLE);
	assert_int_equal(map_find(map_now(), 0xd123)->id, 3);
	assert_non_null(strstr(answer("move 3 0x9000"), "overlaps another one"));
	assert_string_equal(answer("remove 3"), "guest> ");
	assert_int_equal(map_find(map_now(), 0xd123)->id, TL_HOLE);
	assert_non_null(strstr(answer("remove 3"), "no range of that id"));
	assert_non_null(strstr(answer("remove 0x100000002"), "no range of that id"));
}

static void has_so_many_devices(void **context)
{
	char line[ORDER_LINE];

	(void)context;
	for (unsigned i = 0; i < MONITOR_DEVICES; i++) {
		snprintf(line, sizeof(line), "add 0x%x 4K", 0x10000 + i * 0x1000);
		assert_non_null(strstr(answer(line), "range "));
	}
	assert_string_equal(answer("add 0x9000 4K"),
			    "the monitor has no further device; remove one of its own.\nguest> ");
	answer("remove 4");
	assert_string_equal(answer("add 0x9000 4K"), "range 4\nguest> ");
	/* One that is refused takes none. */
	answer("remove 4");
	assert_non_null(strstr(answer("add 0x10000 4K"), "overlaps another one"));
	assert_string_equal(answer("add 0x9000 4K"), "range 4\nguest> ");
}

static void walks_and_bumps(void **context)
{
	char wanted[256];
	tl_range_id id = range_add(mmio_range(0x9000, 0x1000));
	uint32_t tag = tag_of(id);

	(void)context;
	fault(0x9000, MMU_READ);
	snprintf(wanted, sizeof(wanted), "level 1 [  9]  %016lx  MMIO, range %u, tag %05x, fresh\nguest> ",
		 walk_to(0x9000).entry, id, tag);
	assert_non_null(strstr(answer("walk 0x9000"), wanted));
	assert_string_equal(answer("bump"), "guest> ");
	snprintf(wanted, sizeof(wanted), "MMIO, range %u, tag %05x, stale: the range has %05x\n", id, tag, tag_of(id));
	assert_int_not_equal(tag, tag_of(id));
	assert_non_null(strstr(answer("walk 0x9000"), wanted));
	assert_non_null(strstr(answer("walk 0x1000000000000"), "does not reach that far"));
	assert_non_null(strstr(answer("stats"), "invalidations 1,"));
}

static void stops_steps_and_continues(void **context)
{
	(void)context;
	assert_string_equal(answer("step 1"), "the vCPU runs; stop it first.\nguest> ");
	assert_string_equal(answer("stop 1"), "vCPU 1 is stopped\nguest> ");
	assert_true(held[1] && !held[0]);
	assert_non_null(strstr(answer("step 1"), "has not been started"));
	assert_int_equal(nr_taken, 1);
	assert_int_equal(nr_steps, 0);
	assert_non_null(strstr(answer("step 1 0"), "1000 are the most"));
	assert_string_equal(answer("stop"), "vCPU 0 is stopped\nvCPU 1 is stopped\nguest> ");
	assert_string_equal(answer("continue"), "vCPU 0 goes on\nvCPU 1 goes on\nguest> ");
	assert_false(held[0] || held[1]);
	assert_string_equal(answer("stop 2"), "the guest has no vCPU of that number.\nguest> ");
	assert_string_equal(answer("state 4294967296"), "the guest has no vCPU of that number.\nguest> ");
	assert_non_null(strstr(answer("state"), "has not been started"));
	assert_non_null(strstr(answer("vmcs 1"), "has not been started"));
}

static void ends_the_run(void **context)
{
	(void)context;
	answer("quit");
	assert_true(monitor.quits && has_ended);
}

static void leaves_the_command_line_its_trace(void **context)
{
	(void)context;
	monitor.trace_is_taken = true;
	assert_non_null(strstr(answer("trace on"), "leave that word out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_command),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(reads_a_trace),
		cmocka_unit_test(refuses_by_name_with_the_nearest),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(is_what_the_document_says),
		cmocka_unit_test_setup_teardown(greets_and_asks, start, vm_teardown),
		cmocka_unit_test_setup_teardown(edits_its_line, start, vm_teardown),
		cmocka_unit_test_setup_teardown(a_line_has_an_end, start, vm_teardown),
		cmocka_unit_test_setup_teardown(lists_and_changes_the_map, start, vm_teardown),
		cmocka_unit_test_setup_teardown(has_so_many_devices, start, vm_teardown),
		cmocka_unit_test_setup_teardown(walks_and_bumps, start, vm_teardown),
		cmocka_unit_test_setup_teardown(stops_steps_and_continues, start, vm_teardown),
		cmocka_unit_test_setup_teardown(ends_the_run, start, vm_teardown),
		cmocka_unit_test_setup_teardown(leaves_the_command_line_its_trace, start, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
