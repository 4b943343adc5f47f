/* SPDX-License-Identifier: MIT */
#include "boot/uart.h"

#include <stddef.h>

#include "boot/cpu.h"

/* Registers of the 16550, from the port's base. */
enum {
	UART_DATA = 0,
	UART_DIVISOR_LOW = 0,
	UART_INTERRUPT_ENABLE = 1,
	UART_DIVISOR_HIGH = 1,
	UART_FIFO_CONTROL = 2,
	UART_LINE_CONTROL = 3,
	UART_MODEM_CONTROL = 4,
	UART_LINE_STATUS = 5,
	UART_SCRATCH = 7,
};

enum {
	LINE_8N1 = 0x03,
	LINE_DIVISOR_LATCH = 0x80,
	FIFO_ENABLE_AND_CLEAR = 0x07,
	MODEM_DTR_RTS_OUT = 0x0F,
	MODEM_LOOPBACK = 0x1E,
	STATUS_DATA_READY = 0x01,
	STATUS_HOLDING_EMPTY = 0x20,
	STATUS_ALL_SENT = 0x40,
};

/* 16 bytes of FIFO at 115200 baud take 1.4 ms, and a read of a port of the ISA bus up to 1 us: 100 times that. */
enum { UART_POLLS = 200000 };
/* A byte at 115200 baud takes 87 us. */
enum { LOOPBACK_POLLS = 2000 };

static struct uart_place uart;
static bool uart_is_open;

static uint8_t uart_read(const struct uart_place *place, unsigned reg)
{
	if (place->in_memory)
		return *(volatile uint8_t *)(place->base + reg);
	return io_read8((uint16_t)(place->base + reg));
}

static void uart_write(const struct uart_place *place, unsigned reg, uint8_t value)
{
	if (place->in_memory)
		*(volatile uint8_t *)(place->base + reg) = value;
	else
		io_write8((uint16_t)(place->base + reg), value);
}

static bool uart_wait(const struct uart_place *place, uint8_t status, unsigned polls)
{
	for (unsigned i = 0; i < polls; i++) {
		if ((uart_read(place, UART_LINE_STATUS) & status) == status)
			return true;
		cpu_relax();
	}
	return false;
}

static void uart_set_up(const struct uart_place *place)
{
	uart_write(place, UART_INTERRUPT_ENABLE, 0);
	uart_write(place, UART_LINE_CONTROL, LINE_DIVISOR_LATCH);
	uart_write(place, UART_DIVISOR_LOW, 1);
	uart_write(place, UART_DIVISOR_HIGH, 0);
	uart_write(place, UART_LINE_CONTROL, LINE_8N1);
	uart_write(place, UART_FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
}

/* Whether a register that does nothing keeps what is written to it. */
static bool uart_has_scratch(const struct uart_place *place)
{
	static const uint8_t probes[] = {0xAE, 0x51};

	for (size_t i = 0; i < sizeof(probes); i++) {
		uart_write(place, UART_SCRATCH, probes[i]);
		/* Another access first: lines that nobody drives hold a value for a while. */
		uart_read(place, UART_LINE_CONTROL);
		if (uart_read(place, UART_SCRATCH) != probes[i])
			return false;
	}
	return true;
}

/* Whether a byte sent in loopback mode comes back. */
static bool uart_loops_back(const struct uart_place *place)
{
	const uint8_t probe = 0xAE;
	bool same;

	uart_write(place, UART_MODEM_CONTROL, MODEM_LOOPBACK);
	uart_write(place, UART_DATA, probe);
	same = uart_wait(place, STATUS_DATA_READY, LOOPBACK_POLLS) && uart_read(place, UART_DATA) == probe;
	uart_write(place, UART_MODEM_CONTROL, MODEM_DTR_RTS_OUT);
	return same;
}

/* Ports of a service processor (serial over LAN) have no loopback, the oldest UARTs no scratch register. */
bool uart_open(struct uart_place place)
{
	/* What nobody decodes reads all ones. */
	if (uart_read(&place, UART_LINE_STATUS) == 0xFF)
		return false;
	uart_set_up(&place);
	if (uart_read(&place, UART_LINE_CONTROL) != LINE_8N1)
		return false;
	if (!uart_loops_back(&place) && !uart_has_scratch(&place))
		return false;
	uart = place;
	uart_is_open = true;
	return true;
}

void uart_close(void)
{
	uart_is_open = false;
}

void uart_put(uint8_t byte)
{
	if (!uart_is_open)
		return;
	if (uart_wait(&uart, STATUS_HOLDING_EMPTY, UART_POLLS))
		uart_write(&uart, UART_DATA, byte);
	else
		uart_is_open = false;
}

int uart_get(void)
{
	if (!uart_is_open || !(uart_read(&uart, UART_LINE_STATUS) & STATUS_DATA_READY))
		return -1;
	return uart_read(&uart, UART_DATA);
}

void uart_drain(void)
{
	if (uart_is_open)
		uart_wait(&uart, STATUS_ALL_SENT, UART_POLLS);
}
