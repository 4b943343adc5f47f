/* SPDX-License-Identifier: MIT */
#include "boot/attend.h"

#include <stdatomic.h>

#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/input.h"
#include "boot/keyboard.h"
#include "boot/libc.h"
#include "boot/smp.h"
#include "boot/trace_out.h"
#include "boot/tsc.h"
#include "boot/uart.h"
#include "guest/dashboard.h"
#include "guest/monitor/monitor.h"

/* The i8042's registers, and bits of its status. */
enum { I8042_DATA = 0x60, I8042_STATUS = 0x64, I8042_FULL = 1 << 0, I8042_FROM_MOUSE = 1 << 5, I8042_NONE = 0xFF };

enum { LOOKS_A_SECOND = 100, DRAWINGS_A_SECOND = 4, LOOK_TICKS = 10000000 /* where the TSC's rate is not known */ };
/* The help stays on the screen so long, and a guest's text before the first page. */
enum { HELP_SECONDS = 5, FIRST_PAGE_SECONDS = 1 };
/* At one look; who types holds no guest up for long. */
enum { KEYS_MAX = 32 };

static atomic_flag busy = ATOMIC_FLAG_INIT;
static _Atomic uint64_t next_look;
static _Atomic bool ends;
static struct input input;
static struct keyboard keyboard;
static struct monitor monitor;

/*
 * The dashboard. By default a guest that keeps no text to itself has it, where that costs it nothing: it is drawn when
 * somebody looks anyway, and not before the guest has run for a while, so that short ones leave their text on the
 * screen.
 */
static enum { PAGE_IF_ASKED, PAGE_BY_DEFAULT, PAGE_ALWAYS } page_use;
/* What Ctrl-A d has asked for. */
static enum { PAGE_AS_USED, PAGE_SHOWN, PAGE_HIDDEN } page_asked;
static bool page_stands;

/* The moment that was drawn last, and the one before. */
static struct dashboard moments[2];
static struct dashboard_page page;
static unsigned moment;
static uint64_t next_drawing;

void attend_init(const struct boot_options *options)
{
	monitor.print = host_print;
	monitor.take_trace = trace_out_text;
	monitor.nr_cpus = smp_nr_cpus();
	monitor.trace_is_taken = options->trace || options->profile;
	if (options->quiet)
		return;
	if (options->screen == BOOT_SCREEN_USE_DASHBOARD)
		page_use = PAGE_ALWAYS;
	/* Several guests at once, or a trace: it is their text that is wanted. */
	else if (options->screen == BOOT_SCREEN_USE_ANY && console_has_screen() && !options->together &&
		 !options->trace)
		page_use = PAGE_BY_DEFAULT;
}

uint64_t attend_ticks(void)
{
	uint64_t hz = tsc_hz();

	return hz ? hz / LOOKS_A_SECOND : LOOK_TICKS;
}

bool attend_is_wanted(const struct boot_options *options)
{
	return options->monitor || (options->screen == BOOT_SCREEN_USE_DASHBOARD && !options->quiet);
}

bool attend_wants_end(void)
{
	/* relaxed: it orders nothing. */
	return atomic_load_explicit(&ends, memory_order_relaxed);
}

static int read_keyboard(void)
{
	uint8_t status = io_read8(I8042_STATUS), code;

	if (status == I8042_NONE || !(status & I8042_FULL))
		return -1;
	code = io_read8(I8042_DATA);
	return status & I8042_FROM_MOUSE ? -1 : keyboard_take(&keyboard, code);
}

static int read_key(void)
{
	int key = uart_get();

	return key >= 0 ? key : read_keyboard();
}

static void print_help(void)
{
	host_print("\nCtrl-A h  this help\n"
		   "Ctrl-A c  goes to the monitor, and back to the guest\n"
		   "Ctrl-A d  shows the dashboard on the screen, or the text\n"
		   "Ctrl-A x  ends the run\n"
		   "Ctrl-A Ctrl-A  types a Ctrl-A\n");
}

static void want_end(void)
{
	/* relaxed: it orders nothing. */
	atomic_store_explicit(&ends, true, memory_order_relaxed);
}

/* The text, and the page again in so many seconds. */
static void hide_page(uint64_t seconds)
{
	if (page_stands)
		console_page(NULL, 0, 0);
	page_stands = false;
	next_drawing = seconds ? tsc_read() + seconds * attend_ticks() * LOOKS_A_SECOND : 0;
}

static bool page_is_wanted(const struct guest_view *view)
{
	if (page_asked != PAGE_AS_USED)
		return page_asked == PAGE_SHOWN;
	return page_use == PAGE_ALWAYS || (page_use == PAGE_BY_DEFAULT && !view->keeps_text);
}

static void switch_page(const struct guest_view *view)
{
	bool shown = page_is_wanted(view);

	page_asked = shown ? PAGE_HIDDEN : PAGE_SHOWN;
	hide_page(0);
}

static void switch_monitor(const struct guest_view *view)
{
	hide_page(0);
	if (input.monitor)
		monitor_open(&monitor, view);
	else
		host_print("\n");
}

static void take_key(const struct guest_view *view, uint8_t key)
{
	switch (input_route(&input, key)) {
	case INPUT_GUEST:
		input_keep(key); /* a guest that reads nothing loses what is typed */
		break;
	case INPUT_MONITOR:
		monitor_key(&monitor, view, key);
		if (monitor.quits)
			want_end();
		break;
	case INPUT_SWITCH:
		switch_monitor(view);
		break;
	case INPUT_QUIT:
		want_end();
		view->end(view, "the run was ended by Ctrl-A x");
		break;
	case INPUT_DASHBOARD:
		switch_page(view);
		break;
	case INPUT_HELP:
		hide_page(HELP_SECONDS);
		print_help();
		break;
	case INPUT_NOBODY:
		break;
	}
}

/* ---- The dashboard ---------------------------------------------------------------------------------------- */

void attend_guest(unsigned number, unsigned of)
{
	memset(moments, 0, sizeof(moments));
	for (unsigned i = 0; i < 2; i++) {
		moments[i].number = number;
		moments[i].of = of;
		moments[i].tsc_hz = tsc_hz();
	}
	hide_page(page_use == PAGE_BY_DEFAULT ? FIRST_PAGE_SECONDS : 0);
}

/* Who is in the monitor wants to see it. */
static void draw_dashboard(const struct guest_view *view)
{
	uint64_t now = tsc_read();
	const struct dashboard *before = &moments[moment];

	if (!page_is_wanted(view) || input.monitor || now < next_drawing)
		return;
	moment = !moment;
	moments[moment].tsc = now;
	dashboard_take(view, &moments[moment]);
	dashboard_draw(&moments[moment], before, &page);
	console_page(page.cell[0], DASHBOARD_COLUMNS, DASHBOARD_ROWS);
	page_stands = true;
	next_drawing = now + attend_ticks() * LOOKS_A_SECOND / DRAWINGS_A_SECOND;
}

static void look(const struct guest_view *view)
{
	for (unsigned i = 0; i < KEYS_MAX; i++) {
		int key = read_key();

		if (key < 0)
			break;
		take_key(view, (uint8_t)key);
	}
	monitor_drain(&monitor);
	draw_dashboard(view);
}

void attend(const struct guest_view *view)
{
	/* relaxed: CPUs without work look here all the time; who comes a moment late finds the lock taken. */
	if (tsc_read() < atomic_load_explicit(&next_look, memory_order_relaxed))
		return;
	/* acquire, release: keys that are half read, as the CPU before left them. */
	if (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
		return;
	look(view);
	atomic_store_explicit(&next_look, tsc_read() + attend_ticks(), memory_order_relaxed);
	atomic_flag_clear_explicit(&busy, memory_order_release);
}
