/* SPDX-License-Identifier: MIT */
/* A 16550 serial port, 115200 baud, 8N1. */
#ifndef BOOT_UART_H
#define BOOT_UART_H

#include <stdint.h>

/*
 * Sets up the first of COM1 to COM4 that passes the loopback test and returns its port, or 0 where there is none: then
 * the other functions do nothing. Context: host, one CPU.
 */
uint16_t uart_init(void);

/* Sends one byte. Waits for the transmitter, but not for ever: a port that has stopped is given up. */
void uart_put(uint8_t byte);

/* Waits (bounded) until the last byte has left the transmitter: a machine that is switched off now loses none. */
void uart_drain(void);

#endif
