/* SPDX-License-Identifier: MIT */
#include "boot/uart.h"

#include <stdbool.h>
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

static uint16_t uart_base;

static bool uart_wait(uint16_t base, uint8_t status)
{
	for (unsigned i = 0; i < UART_POLLS; i++) {
		if ((io_read8(base + UART_LINE_STATUS) & status) == status)
			return true;
		cpu_relax();
	}
	return false;
}

static void uart_set_up(uint16_t base)
{
	io_write8(base + UART_INTERRUPT_ENABLE, 0);
	io_write8(base + UART_LINE_CONTROL, LINE_DIVISOR_LATCH);
	io_write8(base + UART_DIVISOR_LOW, 1);
	io_write8(base + UART_DIVISOR_HIGH, 0);
	io_write8(base + UART_LINE_CONTROL, LINE_8N1);
	io_write8(base + UART_FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
}

/* Whether a byte sent in loopback mode comes back. A port that nobody decodes reads all ones and fails. */
static bool uart_loops_back(uint16_t base)
{
	const uint8_t probe = 0xAE;
	bool same;

	if (io_read8(base + UART_LINE_STATUS) == 0xFF)
		return false;
	uart_set_up(base);
	io_write8(base + UART_MODEM_CONTROL, MODEM_LOOPBACK);
	io_write8(base + UART_DATA, probe);
	same = uart_wait(base, STATUS_DATA_READY) && io_read8(base + UART_DATA) == probe;
	io_write8(base + UART_MODEM_CONTROL, MODEM_DTR_RTS_OUT);
	return same;
}

uint16_t uart_init(void)
{
	static const uint16_t ports[] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};

	uart_base = 0;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]) && !uart_base; i++)
		if (uart_loops_back(ports[i]))
			uart_base = ports[i];
	return uart_base;
}

void uart_put(uint8_t byte)
{
	if (!uart_base)
		return;
	if (uart_wait(uart_base, STATUS_HOLDING_EMPTY))
		io_write8(uart_base + UART_DATA, byte);
	else
		uart_base = 0;
}

void uart_drain(void)
{
	if (uart_base)
		uart_wait(uart_base, STATUS_ALL_SENT);
}
