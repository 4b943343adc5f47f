/* SPDX-License-Identifier: MIT */
/* The registers and bits have the names of National Semiconductor's data sheet of the PC16550D (June 1995). */
#include "guest/devices/serial.h"

enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

enum { IER_RECEIVED = 1, IER_SENT = 2, IER_LINE = 4, IER_MODEM = 8, IER_ALL = 0xf };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_SENT = 2, IIR_RECEIVED = 4, IIR_LINE = 6, IIR_TIMEOUT = 0xc, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RECEIVER = 2, FCR_TRIGGER = 0xc0, FCR_KEPT = FCR_ENABLE | FCR_TRIGGER | 8 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10, MCR_ALL = 0x1f };
enum { LSR_READY = 1, LSR_OVERRUN = 2, LSR_ERRORS = 0x1e, LSR_HOLDING_EMPTY = 0x20, LSR_EMPTY = 0x40 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_DELTAS = 0xf, MSR_TERI = 4 };

static unsigned serial_trigger(const struct serial *serial)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	return level[serial->fifo_control >> 6];
}

/* The causes by priority: table IV of the data sheet. */
static uint8_t serial_cause(const struct serial *serial)
{
	bool fifos = serial->fifo_control & FCR_ENABLE;

	if (serial->interrupt_enable & IER_LINE && serial->line_status & LSR_ERRORS)
		return IIR_LINE;
	if (serial->interrupt_enable & IER_RECEIVED && serial->count)
		return fifos && serial->count < serial_trigger(serial) ? IIR_TIMEOUT : IIR_RECEIVED;
	if (serial->interrupt_enable & IER_SENT && serial->sent)
		return IIR_SENT;
	if (serial->interrupt_enable & IER_MODEM && serial->modem_status & MSR_DELTAS)
		return IIR_MODEM;
	return IIR_NONE;
}

/* As QEMU's, and unlike a card's, the line does not depend on OUT2. */
static void serial_update(struct serial *serial)
{
	line_set(&serial->line, serial_cause(serial) != IIR_NONE);
}

static void serial_receive(struct serial *serial, uint8_t byte)
{
	unsigned most = serial->fifo_control & FCR_ENABLE ? SERIAL_FIFO : 1;

	if (serial->count == most) {
		serial->line_status |= LSR_OVERRUN;
		/* A FIFO keeps what it has; the one register has the new byte. */
		if (most == 1)
			serial->fifo[serial->first] = byte;
		return;
	}
	serial->fifo[(serial->first + serial->count++) % SERIAL_FIFO] = byte;
}

static bool serial_loops(const struct serial *serial)
{
	return serial->modem_control & MCR_LOOP;
}

/* What waits moves up. In loopback the wire is cut off. */
static void serial_fill(struct serial *serial)
{
	unsigned most = serial->fifo_control & FCR_ENABLE ? SERIAL_FIFO : 1;
	uint8_t byte;

	while (!serial_loops(serial) && serial->count < most && byte_queue_take(&serial->input, &byte))
		serial_receive(serial, byte);
}

/* In loopback the modem's inputs are the port's own outputs; otherwise there is a terminal that is always ready. */
static void serial_update_modem(struct serial *serial)
{
	uint8_t control = serial->modem_control, now = MSR_DCD | MSR_DSR | MSR_CTS, changed;

	if (serial_loops(serial))
		now = (uint8_t)((control & MCR_DTR ? MSR_DSR : 0) | (control & MCR_RTS ? MSR_CTS : 0) |
				(control & MCR_OUT1 ? MSR_RI : 0) | (control & MCR_OUT2 ? MSR_DCD : 0));
	changed = (uint8_t)((serial->modem_status ^ now) >> 4);
	/* Of the ring indicator only the end is noted. */
	if (now & MSR_RI)
		changed &= (uint8_t)~MSR_TERI;
	serial->modem_status = (uint8_t)(now | changed | (serial->modem_status & MSR_DELTAS));
}

static uint8_t serial_read_byte(struct serial *serial)
{
	uint8_t byte = serial->fifo[serial->first];

	if (serial->count) {
		serial->first = (serial->first + 1) % SERIAL_FIFO;
		serial->count--;
	}
	/* Edges are seen by whoever counts them: the line falls before the next byte raises it. */
	if (!serial->count)
		serial_update(serial);
	serial_fill(serial);
	return byte;
}

static uint8_t serial_read_register(struct serial *serial, unsigned reg)
{
	bool latch = serial->line_control & LCR_DLAB;
	uint8_t value = 0;

	switch (reg) {
	case RBR_THR:
		return latch ? serial->divisor[0] : serial_read_byte(serial);
	case IER:
		return latch ? serial->divisor[1] : serial->interrupt_enable;
	case IIR_FCR:
		value = serial_cause(serial);
		if (value == IIR_SENT)
			serial->sent = false;
		return value | (serial->fifo_control & FCR_ENABLE ? IIR_FIFOS : 0);
	case LCR:
		return serial->line_control;
	case MCR:
		return serial->modem_control;
	case LSR:
		value = serial->line_status | (serial->count ? LSR_READY : 0);
		serial->line_status &= (uint8_t)~LSR_ERRORS;
		return value;
	case MSR:
		value = serial->modem_status;
		serial->modem_status &= (uint8_t)~MSR_DELTAS;
		return value;
	default:
		return serial->scratch;
	}
}

static void serial_send(struct serial *serial, uint8_t byte)
{
	/* What was full for a moment is empty again: a new cause, with an edge of its own. */
	serial->sent = false;
	serial_update(serial);
	if (serial_loops(serial))
		serial_receive(serial, byte);
	else
		serial->put(serial->context, byte);
	serial->sent = true;
}

static void serial_control_fifos(struct serial *serial, uint8_t value)
{
	/* Whoever turns the FIFOs on or off, or says so, empties them. The other bits count only with the first. */
	if ((value ^ serial->fifo_control) & FCR_ENABLE || (value & FCR_ENABLE && value & FCR_CLEAR_RECEIVER))
		serial->count = 0;
	serial->fifo_control = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	serial_update(serial);
	serial_fill(serial);
}

static void serial_write_register(struct serial *serial, unsigned reg, uint8_t value)
{
	bool latch = serial->line_control & LCR_DLAB;

	switch (reg) {
	case RBR_THR:
		if (latch)
			serial->divisor[0] = value;
		else
			serial_send(serial, value);
		break;
	case IER:
		if (latch) {
			serial->divisor[1] = value;
			break;
		}
		/* Asked about an empty transmitter, it says so. */
		if (value & ~serial->interrupt_enable & IER_SENT)
			serial->sent = true;
		serial->interrupt_enable = value & IER_ALL;
		break;
	case IIR_FCR:
		serial_control_fifos(serial, value);
		break;
	case LCR:
		serial->line_control = value;
		break;
	case MCR:
		serial->modem_control = value & MCR_ALL;
		serial_update_modem(serial);
		serial_fill(serial);
		break;
	case SCR:
		serial->scratch = value;
		break;
	default: /* LSR and MSR are written by the factory's tests alone */
		break;
	}
}

/* Each register is one byte wide; a wider access is one to each of those that it covers. */
static uint32_t serial_read(void *context, uint16_t offset, unsigned size)
{
	struct serial *serial = context;
	uint32_t data = 0;

	lock_acquire(serial->lock);
	for (unsigned i = 0; i < size; i++)
		data |= (uint32_t)serial_read_register(serial, offset + i) << (8 * i);
	serial_update(serial);
	lock_release(serial->lock);
	return data;
}

static void serial_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct serial *serial = context;

	lock_acquire(serial->lock);
	for (unsigned i = 0; i < size; i++)
		serial_write_register(serial, offset + i, (uint8_t)(data >> (8 * i)));
	serial_update(serial);
	lock_release(serial->lock);
}

bool serial_input(struct serial *serial, uint8_t byte)
{
	bool taken;

	lock_acquire(serial->lock);
	taken = byte_queue_put(&serial->input, byte);
	serial_fill(serial);
	serial_update(serial);
	lock_release(serial->lock);
	return taken;
}

struct port_range serial_ports(struct serial *serial, uint16_t first)
{
	return (struct port_range){first, SERIAL_PORTS, serial_read, serial_write, serial};
}

void serial_init(struct serial *serial, struct lock *lock, struct line line, void (*put)(void *context, uint8_t byte),
		 void *context)
{
	*serial = (struct serial){
		.lock = lock,
		.line = line,
		.put = put,
		.context = context,
		.line_status = LSR_HOLDING_EMPTY | LSR_EMPTY,
		.modem_status = MSR_DCD | MSR_DSR | MSR_CTS,
		.modem_control = MCR_OUT2,
		.divisor = {12, 0}, /* 9600 baud */
	};
}
