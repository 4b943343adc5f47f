/* SPDX-License-Identifier: MIT */
/* The dashboard as text: what is drawn of two moments. */
#include "guest/dashboard.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct dashboard_page page;

/* A row without the blanks at its end. */
static const char *row(unsigned number)
{
	static char text[DASHBOARD_COLUMNS + 1];
	unsigned length = DASHBOARD_COLUMNS;

	memcpy(text, page.cell[number], DASHBOARD_COLUMNS);
	while (length && text[length - 1] == ' ')
		length--;
	text[length] = '\0';
	return text;
}

static void expect_page(const char *const rows[DASHBOARD_ROWS])
{
	for (unsigned i = 0; i < DASHBOARD_ROWS; i++)
		assert_string_equal(row(i), rows[i] ? rows[i] : "");
}

static struct dashboard moment(void)
{
	struct dashboard at = {
		.guest = "remap",
		.number = 3,
		.of = 12,
		.began = 1000000,
		.tsc = 1000000 + 52000000,
		.tsc_hz = 20000000,
		.stats = {.fresh = 49859,
			  .stale = 959,
			  .commits = 215,
			  .invalidations = 3,
			  .wraps = 1,
			  .zapped = 16,
			  .generation = 0x80042,
			  .ept_pages = 23,
			  .live_mmio_entries = 412,
			  .hole_reads = 7,
			  .hole_writes = 8},
		.nr_vcpus = 2,
		.held = {false, true},
		.nr_devices = 4,
		.device = {{"LOW", 0, 0}, {"BANK0", 100, 20}, {"MOVER", 30000, 10000}, {"HUGE", 0, 1}},
	};

	at.exits[0].all = 150000;
	at.exits[0].reason[EXIT_REASON_EPT_MISCONFIGURATION] = 140000;
	at.exits[0].reason[EXIT_REASON_VMCALL] = 6000;
	at.exits[0].reason[EXIT_REASON_RDMSR] = 400;
	at.exits[0].reason[EXIT_REASON_WRMSR] = 600;
	at.exits[0].reason[EXIT_REASON_PREEMPTION_TIMER] = 1000;
	at.exits[0].reason[EXIT_REASON_CPUID] = 2000;
	at.exits[1].all = 0;
	return at;
}

static void draws_a_guest(void **context)
{
	const struct dashboard now = moment();
	struct dashboard before = moment();
	static const char *const wanted[DASHBOARD_ROWS] = {
		[0] = " Trapline: remap                  guest 3 of 12       [####--------------------]",
		[1] = " runs for 2.6 s",
		[2] = " accesses     fresh        49859   stale          959 [#######################-]",
		[3] = " hole         reads            7  writes            8",
		[4] = " generation   80042: 215 commits, 3 invalidations, 1 wraps",
		[5] = " EPT          23 pages, 412 live MMIO entries, 16 zapped",
		[6] = " exits in a second",
		[7] = " vCPU      all   MMIO    EPT VMCALL    I/O     CR    MSR    HLT   intr  other",
		[8] = " 0        100k  80000      0  12000      0      0   2000      0   2000   4000",
		[9] = " 1 stop      0      0      0      0      0      0      0      0      0      0",
		[13] = " device             reads      writes    now",
		[14] = " MOVER              30000       10000  60000          [########################]",
		[15] = " BANK0                100          20      0          [------------------------]",
		[16] = " HUGE                   0           1      0          [------------------------]",
		[24] = " Ctrl-A h for help",
	};

	(void)context;
	before.tsc -= 10000000;
	before.exits[0] = (struct tl_vcpu_exits){.all = 100000};
	before.exits[0].reason[EXIT_REASON_EPT_MISCONFIGURATION] = 100000;
	before.device[2].reads = 0;
	dashboard_draw(&now, &before, &page);
	expect_page(wanted);
}

/* The first drawing of a guest has its whole run behind it. */
static void begins_with_the_guest(void **context)
{
	const struct dashboard now = moment(), before = {0};

	(void)context;
	dashboard_draw(&now, &before, &page);
	assert_string_equal(row(8), " 0       57692  53846      0   2307      0      0    384      0    384    769");
	assert_string_equal(row(14),
			    " MOVER              30000       10000  15384          [########################]");
}

static void counts_ticks_where_a_second_is_not_known(void **context)
{
	struct dashboard now = moment();
	const struct dashboard before = {0};

	(void)context;
	now.tsc_hz = 0;
	dashboard_draw(&now, &before, &page);
	assert_string_equal(row(1), " runs for 52 million ticks");
	assert_string_equal(row(6), " exits in a million ticks");
	assert_string_equal(row(8), " 0        2884   2692      0    115      0      0     19      0     19     38");
}

static void says_what_is_not_shown(void **context)
{
	struct dashboard now = moment();
	const struct dashboard before = {0};

	(void)context;
	now.nr_vcpus = 6;
	dashboard_draw(&now, &before, &page);
	assert_string_equal(row(6), " exits in a second            2 more vCPUs are not shown");
	assert_string_equal(row(11), " 3           0      0      0      0      0      0      0      0      0      0");
	assert_string_equal(row(12), "");
}

/* Vast tables are not walked for it. */
static void counts_no_entries_in_many_pages(void **context)
{
	struct dashboard now = moment();
	const struct dashboard before = {0};

	(void)context;
	now.stats.ept_pages = 129;
	now.stats.live_mmio_entries = 0;
	dashboard_draw(&now, &before, &page);
	assert_string_equal(row(5), " EPT          129 pages, 16 zapped");
}

/* Ten are shown, the busiest first; one without an access is none. */
static void lists_the_busiest_devices(void **context)
{
	static const char *const names[12] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"};
	struct dashboard now = moment();
	const struct dashboard before = {0};

	(void)context;
	now.nr_devices = 12;
	for (unsigned i = 0; i < 12; i++)
		now.device[i] = (struct dashboard_device){names[i], i * 7 % 12, 0};
	dashboard_draw(&now, &before, &page);
	/* 7 * 5 % 12 is 11, and so on down to 2. */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(page.cell[14 + i][1], names[(11 - i) * 7 % 12][0]);
	assert_int_equal(page.cell[24][1], 'C');
	now.nr_devices = DASHBOARD_DEVICES;
	now.device[DASHBOARD_DEVICES - 1] = (struct dashboard_device){"last", 1000, 0};
	dashboard_draw(&now, &before, &page);
	assert_memory_equal(&page.cell[14][1], "last", 4);
	assert_int_equal(page.cell[15][1], names[11 * 7 % 12][0]);
}

/* Whatever is counted, it stays in its place: no row runs into the next column. */
static void survives_any_numbers(void **context)
{
	struct dashboard now, before;
	const char *name =
		"A-NAME-OF-A-DEVICE-THAT-IS-LONGER-THAN-ANY-ROW-OF-THE-PAGE-CAN-HOLD-ON-A-SCREEN-OF-80-COLUMNS";

	(void)context;
	memset(&now, 0xff, sizeof(now));
	memset(&before, 0, sizeof(before));
	now.guest = name;
	now.began = 1;
	now.nr_vcpus = 2;
	memset(now.held, 0, sizeof(now.held));
	now.nr_devices = 2;
	now.device[0] = (struct dashboard_device){name, UINT64_MAX, 0};
	now.device[1] = (struct dashboard_device){name, 1, 1};
	dashboard_draw(&now, &before, &page);
	assert_string_equal(row(24), " Ctrl-A h for help");
	now.tsc_hz = 1;
	dashboard_draw(&now, &before, &page);
	/* A guest that begins after the moment, counts that went back. */
	before = moment();
	now = moment();
	now.tsc = now.began = 0;
	now.exits[0].all = 1;
	dashboard_draw(&now, &before, &page);
	assert_string_equal(row(8), " 0           0      0      0      0      0      0      0      0      0      0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draws_a_guest),
		cmocka_unit_test(begins_with_the_guest),
		cmocka_unit_test(counts_ticks_where_a_second_is_not_known),
		cmocka_unit_test(says_what_is_not_shown),
		cmocka_unit_test(counts_no_entries_in_many_pages),
		cmocka_unit_test(lists_the_busiest_devices),
		cmocka_unit_test(survives_any_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
