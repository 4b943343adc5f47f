/* SPDX-License-Identifier: MIT */
/* A 16550 serial port, 115200 baud, 8N1. */
#ifndef BOOT_UART_H
#define BOOT_UART_H

#include <stdbool.h>
#include <stdint.h>

enum { UART_SIZE = 8 };

/* Where its eight registers are: ports, or bytes of memory that are mapped at their own address. */
struct uart_place {
	uint64_t base;
	bool in_memory;
};

/*
 * Sets up the port at a place, which is the one in use then. false: nothing there behaves like a 16550. Context for
 * all: host, one CPU at a time.
 */
bool uart_open(struct uart_place place);

/* The port is used no more: the functions below do nothing. */
void uart_close(void);

/* Sends one byte. Waits for the transmitter, but not for ever: a port that has stopped is given up. */
void uart_put(uint8_t byte);

/* The next byte that was received, or -1. Does not wait. */
int uart_get(void);

/* Waits (bounded) until the last byte has left the transmitter: a machine that is switched off now loses none. */
void uart_drain(void);

#endif
