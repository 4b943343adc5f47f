/* SPDX-License-Identifier: MIT */
#include "boot/console.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "boot/cmdline.h"
#include "boot/cpu.h"
#include "boot/framebuffer.h"
#include "boot/host_cpu.h"
#include "boot/paging.h"
#include "boot/pci.h"
#include "boot/print.h"
#include "boot/uart.h"
#include "boot/vga.h"

enum console_screen { SCREEN_NONE, SCREEN_VGA, SCREEN_PIXELS };

static bool console_started;
static enum console_screen console_screen;
static struct boot_framebuffer console_framebuffer;
static struct uart_place console_uart;
static bool console_has_uart;
/* Why there is no screen, or not the serial port that was asked for; empty: they are there. */
static char console_no_screen[256], console_no_uart[160];

/* ---- The serial port -------------------------------------------------------------------------------------- */

static const uint16_t com_ports[] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};

static bool open_port(uint64_t base)
{
	console_uart = (struct uart_place){.base = base};
	console_has_uart = uart_open(console_uart);
	return console_has_uart;
}

static bool open_first_com(void)
{
	for (size_t i = 0; i < sizeof(com_ports) / sizeof(com_ports[0]); i++)
		if (open_port(com_ports[i]))
			return true;
	return false;
}

static bool open_pci(void)
{
	struct pci_serial serial;

	if (!pci_is_there() || !pci_find_serial(&pci_ports, &serial))
		return false;
	console_uart = (struct uart_place){.base = serial.base, .in_memory = serial.in_memory};
	if (serial.in_memory && !paging_map_early(serial.base, UART_SIZE))
		return false;
	console_has_uart = uart_open(console_uart);
	return console_has_uart;
}

static void refuse_uart(const char *where)
{
	print_to_buffer(console_no_uart, sizeof(console_no_uart),
			"no serial port answers %s; name another with console=, or leave that word out.", where);
}

static void start_serial(uint64_t serial)
{
	char port[32];

	if (serial == BOOT_CONSOLE_NONE)
		return;
	if (serial == BOOT_CONSOLE_ANY) {
		/* A machine without one is nothing to complain of. */
		if (!open_first_com())
			open_pci();
	} else if (serial == BOOT_CONSOLE_PCI) {
		if (!open_pci())
			refuse_uart("on PCI");
	} else {
		uint64_t base = serial < BOOT_CONSOLE_PORT ? com_ports[serial - BOOT_CONSOLE_COM1] : serial;

		print_to_buffer(port, sizeof(port), "at port 0x%x", (unsigned)base);
		if (!open_port(base))
			refuse_uart(port);
	}
}

/* ---- The screen ------------------------------------------------------------------------------------------- */

static void start_screen(const struct boot_framebuffer *framebuffer)
{
	if (!framebuffer)
		return;
	if (framebuffer->kind == BOOT_SCREEN_UNSAID || framebuffer->kind == BOOT_SCREEN_TEXT) {
		console_screen = SCREEN_VGA;
		vga_init();
		return;
	}
	if (!framebuffer_init(framebuffer, console_no_screen, sizeof(console_no_screen)))
		return;
	console_screen = SCREEN_PIXELS;
	console_framebuffer = *framebuffer;
	/* One that is not mapped yet shows its text when it is. */
	if (paging_map_early(framebuffer->base, framebuffer_size(framebuffer)))
		framebuffer_map((void *)framebuffer->base);
}

void console_start(uint64_t serial, const struct boot_framebuffer *framebuffer)
{
	if (console_started)
		return;
	console_started = true;
	start_serial(serial);
	start_screen(framebuffer);
}

void console_remap(void)
{
	/* The screen first: a line about the port is drawn. */
	if (console_screen == SCREEN_PIXELS)
		framebuffer_map(paging_map_screen(console_framebuffer.base, framebuffer_size(&console_framebuffer)));
	if (console_has_uart && console_uart.in_memory && !paging_map_device(console_uart.base, UART_SIZE)) {
		uart_close();
		host_print("Console: the registers of the serial port on PCI lie in memory that is usable; its text "
			   "ends here.\n");
	}
	if (console_screen == SCREEN_PIXELS)
		framebuffer_show();
}

static void describe_uart(void)
{
	if (console_no_uart[0])
		host_print("Console: %s\n", console_no_uart);
	else if (!console_has_uart)
		host_print("Console: no serial port\n");
	else
		host_print("Console: serial %s 0x%llx\n", console_uart.in_memory ? "memory" : "port",
			   (unsigned long long)console_uart.base);
}

void console_describe(void)
{
	const struct boot_framebuffer *f = &console_framebuffer;

	describe_uart();
	if (console_no_screen[0])
		host_print("Console: %s\n", console_no_screen);
	else if (console_screen == SCREEN_PIXELS)
		host_print("Console: screen of %ux%u pixels of %u bits at 0x%llx, text of %u by %u\n", f->width,
			   f->height, f->bits, (unsigned long long)f->base, framebuffer_columns(), framebuffer_rows());
	else
		host_print("Console: screen %s\n", console_screen == SCREEN_VGA ? "VGA text" : "off");
}

void console_drain(void)
{
	uart_drain();
}

/* ---- Text ------------------------------------------------------------------------------------------------- */

/*
 * Who prints, as its number and 1; 0: nobody. The same CPU may come again, from a lock taken around several prints or
 * from an exception inside one. A CPU that does not let go has died in here: rather mixed lines than none.
 */
enum { LOCK_LOOKS = 100000000 };
static _Atomic unsigned console_owner;
static unsigned console_depth;

void console_lock(void)
{
	unsigned self = host_cpu_index() + 1;

	for (unsigned looks = 0; looks < LOCK_LOOKS; looks++) {
		unsigned owner = 0;

		/* acquire: the screen and the UART as the last owner left them. */
		if (atomic_compare_exchange_strong_explicit(&console_owner, &owner, self, memory_order_acquire,
							    memory_order_relaxed) ||
		    owner == self)
			break;
		cpu_relax();
	}
	console_depth++;
}

void console_unlock(void)
{
	/* release: pairs with console_lock(). */
	if (--console_depth == 0)
		atomic_store_explicit(&console_owner, 0, memory_order_release);
}

static void console_put(void *context, char c)
{
	(void)context;
	if (c == '\n')
		uart_put('\r');
	uart_put((uint8_t)c);
	if (console_screen == SCREEN_VGA)
		vga_put(c);
	else if (console_screen == SCREEN_PIXELS)
		framebuffer_put(c);
}

void host_print_v(const char *format, va_list arguments)
{
	static const struct boot_framebuffer unsaid;

	console_lock();
	console_start(BOOT_CONSOLE_ANY, &unsaid);
	print_format(console_put, NULL, format, arguments);
	if (console_screen == SCREEN_PIXELS)
		framebuffer_show();
	console_unlock();
}

void host_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	host_print_v(format, arguments);
	va_end(arguments);
}

bool console_has_screen(void)
{
	return console_screen != SCREEN_NONE;
}

void console_page(const char *cells, unsigned columns, unsigned rows)
{
	console_lock();
	if (console_screen == SCREEN_VGA && (!cells || (columns == VGA_COLUMNS && rows == VGA_ROWS))) {
		vga_page(cells);
	} else if (console_screen == SCREEN_PIXELS) {
		framebuffer_page(cells, columns, rows);
		framebuffer_show();
	}
	console_unlock();
}
