/* SPDX-License-Identifier: MIT */
#include "guest/dashboard.h"

#include "guest/text.h"

/* The rows of the page. */
enum { ROW_TITLE = 0, ROW_ACCESSES = 2, ROW_MAP = 4, ROW_VCPUS = 7, ROW_VCPU = ROW_VCPUS + 1, VCPUS_SHOWN = 4 };
enum {
	ROW_DEVICES = ROW_VCPU + VCPUS_SHOWN + 1,
	ROW_DEVICE = ROW_DEVICES + 1,
	DEVICES_SHOWN = DASHBOARD_ROWS - ROW_DEVICE - 1
};
/* EPT pages that are walked to count live entries: vCPUs that fault wait for it, a tenth of a millisecond at most. */
enum { PAGES_WALKED = 128 };
enum { BAR_WIDTH = 24, RATE_WIDTH = 7, RATES_AT = 8 };

/* Basic exit reasons (SDM vol. 3, appendix C), and the columns that they are shown in. */
enum { REASON_EXCEPTION, REASON_INTERRUPT, REASON_INTERRUPT_WINDOW = 7, REASON_CPUID = 10, REASON_HLT = 12 };
enum { REASON_VMCALL = 18, REASON_CR = 28, REASON_IO = 30, REASON_RDMSR = 31, REASON_WRMSR = 32 };
enum { REASON_VIOLATION = 48, REASON_MISCONFIGURATION = 49, REASON_TIMER = 52 };

static const struct column {
	const char *name;
	uint8_t reason[3];
	uint8_t nr_reasons;
} columns[] = {
	{"MMIO", {REASON_MISCONFIGURATION}, 1},
	{"EPT", {REASON_VIOLATION}, 1},
	{"VMCALL", {REASON_VMCALL}, 1},
	{"I/O", {REASON_IO}, 1},
	{"CR", {REASON_CR}, 1},
	{"MSR", {REASON_RDMSR, REASON_WRMSR}, 2},
	{"HLT", {REASON_HLT}, 1},
	{"intr", {REASON_INTERRUPT, REASON_INTERRUPT_WINDOW, REASON_TIMER}, 3},
};

enum { NR_COLUMNS = sizeof(columns) / sizeof(columns[0]) };
_Static_assert(RATES_AT + (NR_COLUMNS + 2) * RATE_WIDTH <= DASHBOARD_COLUMNS,
	       "a row holds all, each reason and the rest");

void dashboard_take(const struct guest_view *view, struct dashboard *at)
{
	at->guest = view->name;
	at->began = view->began;
	tl_stats_without_walk(view->vm, &at->stats);
	if (at->stats.ept_pages <= PAGES_WALKED)
		tl_stats(view->vm, &at->stats);
	at->nr_vcpus = view->nr_vcpus;
	for (unsigned i = 0; i < view->nr_vcpus && i < DASHBOARD_VCPUS; i++) {
		tl_vcpu_exits(view->vcpu(view, i), &at->exits[i]);
		at->held[i] = view->is_held(view, i);
	}
	for (at->nr_devices = 0; at->nr_devices < DASHBOARD_DEVICES; at->nr_devices++) {
		struct dashboard_device *device = &at->device[at->nr_devices];

		if (!view->traffic(view, at->nr_devices, &device->name, &device->reads, &device->writes))
			break;
	}
}

/* ---- Text on the page -------------------------------------------------------------------------------------------- */

static void put(struct dashboard_page *page, unsigned row, unsigned column, const char *text)
{
	while (*text && row < DASHBOARD_ROWS && column < DASHBOARD_COLUMNS)
		page->cell[row][column++] = *text++;
}

/* A heading, which ends where the numbers below it do. */
static void put_heading(struct dashboard_page *page, unsigned row, unsigned column, const char *text)
{
	unsigned length = 0;

	while (text[length])
		length++;
	put(page, row, column + RATE_WIDTH - 1 - length, text);
}

#define PUT(page, row, column, ...)                                   \
	do {                                                          \
		char put_text[DASHBOARD_COLUMNS + 1];                 \
		text_format(put_text, sizeof(put_text), __VA_ARGS__); \
		put((page), (row), (column), put_text);               \
	} while (0)

/* Six characters: up to 99999 as it is, then thousands, millions and so on. */
static void put_short(struct dashboard_page *page, unsigned row, unsigned column, uint64_t value)
{
	static const char units[] = " kMGTPE";
	unsigned unit = 0;

	for (; value > 99999 || (unit && value > 9999); value /= 1000)
		unit++;
	if (unit)
		PUT(page, row, column, "%5lu%c", value, units[unit]);
	else
		PUT(page, row, column, "%6lu", value);
}

static void put_bar(struct dashboard_page *page, unsigned row, unsigned column, uint64_t part, uint64_t whole)
{
	unsigned filled;

	for (; whole > UINT64_MAX / BAR_WIDTH; whole >>= 1)
		part >>= 1;
	filled = whole ? (unsigned)(part * BAR_WIDTH / whole) : 0;
	put(page, row, column, "[");
	for (unsigned i = 0; i < BAR_WIDTH; i++)
		put(page, row, column + 1 + i, i < filled ? "#" : "-");
	put(page, row, column + 1 + BAR_WIDTH, "]");
}

/* ---- What is between two moments --------------------------------------------------------------------------------- */

/* A second's, or where that is not known a million ticks'; counts of another guest make no sense and none. */
static uint64_t rate(const struct dashboard *now, const struct dashboard *before, uint64_t count, uint64_t count_before)
{
	uint64_t from = before->tsc ? before->tsc : now->began, unit = now->tsc_hz ? now->tsc_hz : 1000000;
	uint64_t more = count > count_before ? count - count_before : 0;
	uint64_t ticks = now->tsc > from ? now->tsc - from : 1;

	/* Long and busy: what is lost is below the last digit shown. */
	while (more > UINT64_MAX / unit) {
		more >>= 1;
		ticks = ticks > 1 ? ticks >> 1 : 1;
	}
	return more * unit / ticks;
}

static uint64_t of_column(const struct tl_vcpu_exits *exits, const struct column *column)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < column->nr_reasons; i++)
		sum += exits->reason[column->reason[i]];
	return sum;
}

static void draw_vcpu(const struct dashboard *now, const struct dashboard *before, unsigned vcpu, unsigned row,
		      struct dashboard_page *page)
{
	const struct tl_vcpu_exits *exits = &now->exits[vcpu], *then = &before->exits[vcpu];
	uint64_t rest = exits->all, rest_then = then->all;
	unsigned at = RATES_AT;

	PUT(page, row, 1, "%u%s", vcpu, now->held[vcpu] ? " stop" : "");
	put_short(page, row, at, rate(now, before, exits->all, then->all));
	for (unsigned i = 0; i < NR_COLUMNS; i++) {
		uint64_t count = of_column(exits, &columns[i]), count_then = of_column(then, &columns[i]);

		rest -= count < rest ? count : rest;
		rest_then -= count_then < rest_then ? count_then : rest_then;
		at += RATE_WIDTH;
		put_short(page, row, at, rate(now, before, count, count_then));
	}
	put_short(page, row, at + RATE_WIDTH, rate(now, before, rest, rest_then));
}

static void draw_vcpus(const struct dashboard *now, const struct dashboard *before, struct dashboard_page *page)
{
	unsigned shown = now->nr_vcpus < VCPUS_SHOWN ? now->nr_vcpus : VCPUS_SHOWN;

	put(page, ROW_VCPUS - 1, 1, now->tsc_hz ? "exits in a second" : "exits in a million ticks");
	put(page, ROW_VCPUS, 1, "vCPU");
	put_heading(page, ROW_VCPUS, RATES_AT, "all");
	for (unsigned i = 0; i < NR_COLUMNS; i++)
		put_heading(page, ROW_VCPUS, RATES_AT + (i + 1) * RATE_WIDTH, columns[i].name);
	put_heading(page, ROW_VCPUS, RATES_AT + (NR_COLUMNS + 1) * RATE_WIDTH, "other");
	for (unsigned i = 0; i < shown; i++)
		draw_vcpu(now, before, i, ROW_VCPU + i, page);
	if (shown < now->nr_vcpus)
		PUT(page, ROW_VCPUS - 1, 30, "%u more vCPUs are not shown", now->nr_vcpus - shown);
}

static uint64_t traffic_of(const struct dashboard_device *device)
{
	return device->reads + device->writes;
}

/* The busiest that is not in `shown` yet; devices without an access are none. */
static const struct dashboard_device *busiest(const struct dashboard *now, uint64_t *shown)
{
	const struct dashboard_device *found = NULL;

	for (unsigned i = 0; i < now->nr_devices; i++)
		if (!(*shown >> i & 1) && traffic_of(&now->device[i]) &&
		    (!found || traffic_of(&now->device[i]) > traffic_of(found)))
			found = &now->device[i];
	if (found)
		*shown |= 1ull << (found - now->device);
	return found;
}

_Static_assert(DASHBOARD_DEVICES <= 64, "a bit for each");

static void draw_devices(const struct dashboard *now, const struct dashboard *before, struct dashboard_page *page)
{
	const struct dashboard_device *device;
	uint64_t most = 0;
	uint64_t shown = 0;

	put(page, ROW_DEVICES, 1, "device             reads      writes    now");
	for (unsigned row = 0; row < DEVICES_SHOWN && (device = busiest(now, &shown)); row++) {
		const struct dashboard_device *then = &before->device[device - now->device];

		most = row ? most : traffic_of(device);
		PUT(page, ROW_DEVICE + row, 1, "%s", device->name);
		PUT(page, ROW_DEVICE + row, 13, "%12lu%12lu", device->reads, device->writes);
		put_short(page, ROW_DEVICE + row, 38, rate(now, before, traffic_of(device), traffic_of(then)));
		put_bar(page, ROW_DEVICE + row, 54, traffic_of(device), most);
	}
}

static void draw_title(const struct dashboard *now, struct dashboard_page *page)
{
	uint64_t ticks = now->tsc > now->began ? now->tsc - now->began : 0;

	PUT(page, ROW_TITLE, 1, "Trapline: %s", now->guest);
	if (now->of) {
		PUT(page, ROW_TITLE, 34, "guest %u of %u", now->number, now->of);
		put_bar(page, ROW_TITLE, 54, now->number - 1, now->of);
	}
	if (now->tsc_hz)
		PUT(page, ROW_TITLE + 1, 1, "runs for %lu.%lu s", ticks / now->tsc_hz,
		    ticks % now->tsc_hz * 10 / now->tsc_hz);
	else
		PUT(page, ROW_TITLE + 1, 1, "runs for %lu million ticks", ticks / 1000000);
}

static void draw_counts(const struct dashboard *now, struct dashboard_page *page)
{
	const struct tl_stats *s = &now->stats;
	uint64_t all = s->fresh + s->stale;

	PUT(page, ROW_ACCESSES, 1, "accesses     fresh %12lu   stale %12lu", s->fresh, s->stale);
	put_bar(page, ROW_ACCESSES, 54, s->fresh, all);
	PUT(page, ROW_ACCESSES + 1, 1, "hole         reads %12lu  writes %12lu", s->hole_reads, s->hole_writes);
	PUT(page, ROW_MAP, 1, "generation   %lx: %lu commits, %lu invalidations, %lu wraps", s->generation, s->commits,
	    s->invalidations, s->wraps);
	if (s->ept_pages > PAGES_WALKED)
		PUT(page, ROW_MAP + 1, 1, "EPT          %lu pages, %lu zapped", s->ept_pages, s->zapped);
	else
		PUT(page, ROW_MAP + 1, 1, "EPT          %lu pages, %lu live MMIO entries, %lu zapped", s->ept_pages,
		    s->live_mmio_entries, s->zapped);
}

void dashboard_draw(const struct dashboard *now, const struct dashboard *before, struct dashboard_page *page)
{
	for (unsigned row = 0; row < DASHBOARD_ROWS; row++)
		for (unsigned column = 0; column < DASHBOARD_COLUMNS; column++)
			page->cell[row][column] = ' ';
	draw_title(now, page);
	draw_counts(now, page);
	draw_vcpus(now, before, page);
	draw_devices(now, before, page);
	put(page, DASHBOARD_ROWS - 1, 1, "Ctrl-A h for help");
}
