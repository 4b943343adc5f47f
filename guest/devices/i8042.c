/* SPDX-License-Identifier: MIT */
/* IBM Personal System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller". */
#include "guest/devices/i8042.h"

enum { STATUS_OUTPUT_FULL = 1, STATUS_SYSTEM = 4, STATUS_COMMAND = 8, STATUS_UNLOCKED = 0x10 };
enum { MODE_INTERRUPT = 1, MODE_SYSTEM = 4, MODE_DISABLED = 0x10, MODE_AUX_DISABLED = 0x20, MODE_TRANSLATES = 0x40 };
enum { PORT_NO_RESET = 1, PORT_A20 = 2, PORT_OUTPUT_FULL = 0x10, PORT_OTHERS = 0xcc };

enum {
	READ_RAM = 0x20,
	WRITE_RAM = 0x60,
	PASSWORD_TEST = 0xa4,
	AUX_TEST = 0xa9,
	SELF_TEST = 0xaa,
	KEYBOARD_TEST = 0xab,
	KEYBOARD_DISABLE = 0xad,
	KEYBOARD_ENABLE = 0xae,
	READ_INPUT_PORT = 0xc0,
	READ_OUTPUT_PORT = 0xd0,
	WRITE_OUTPUT_PORT = 0xd1,
	WRITE_OUTPUT = 0xd2,
	WRITE_AUX_OUTPUT = 0xd3,
	WRITE_AUX = 0xd4,
	A20_OFF = 0xdd,
	A20_ON = 0xdf,
	PULSE = 0xf0, /* the low bits that are 0, of the output port */
};

enum { NO_PASSWORD = 0xf1, TEST_PASSED = 0x55, NO_FAULT = 0, CLOCK_STUCK_LOW = 1, INPUT_PORT = 0x80 };

static uint8_t *i8042_mode(struct i8042 *i8042)
{
	return &i8042->ram[0];
}

static void i8042_update(struct i8042 *i8042)
{
	uint8_t mode = *i8042_mode(i8042);

	line_set(&i8042->line, i8042->status & STATUS_OUTPUT_FULL && mode & MODE_INTERRUPT && !(mode & MODE_DISABLED));
}

/* The next byte for the guest, what the controller itself has to say first. */
static bool i8042_next(struct i8042 *i8042, uint8_t *byte)
{
	if (byte_queue_take(&i8042->replies, byte))
		return true;
	if (*i8042_mode(i8042) & MODE_DISABLED)
		return false;
	while (keyboard_read(&i8042->keyboard, byte))
		if (!(*i8042_mode(i8042) & MODE_TRANSLATES) || keyboard_translate(byte, &i8042->released))
			return true;
	return false;
}

static void i8042_fill(struct i8042 *i8042)
{
	if (!(i8042->status & STATUS_OUTPUT_FULL) && i8042_next(i8042, &i8042->output))
		i8042->status |= STATUS_OUTPUT_FULL;
	i8042_update(i8042);
}

static void i8042_write_output_port(struct i8042 *i8042, uint8_t value)
{
	i8042->output_port = value;
	line_set(&i8042->a20, value & PORT_A20);
	if (!(value & PORT_NO_RESET))
		i8042->ending.end(i8042->ending.context, ENDING_RESET, 0);
}

static void i8042_reply(struct i8042 *i8042, uint8_t byte)
{
	/* A guest that asks on and on without reading has what it asked first. */
	(void)byte_queue_put(&i8042->replies, byte);
}

/* Commands without a parameter. */
static void i8042_execute(struct i8042 *i8042, uint8_t command)
{
	switch (command) {
	case PASSWORD_TEST:
		i8042_reply(i8042, NO_PASSWORD);
		break;
	case AUX_TEST:
		i8042_reply(i8042, CLOCK_STUCK_LOW);
		break;
	case SELF_TEST:
		i8042->status |= STATUS_SYSTEM;
		i8042_reply(i8042, TEST_PASSED);
		break;
	case KEYBOARD_TEST:
		i8042_reply(i8042, NO_FAULT);
		break;
	case KEYBOARD_DISABLE:
		*i8042_mode(i8042) |= MODE_DISABLED;
		break;
	case KEYBOARD_ENABLE:
		*i8042_mode(i8042) &= (uint8_t)~MODE_DISABLED;
		break;
	case READ_INPUT_PORT:
		i8042_reply(i8042, INPUT_PORT);
		break;
	case READ_OUTPUT_PORT:
		i8042_reply(i8042, (uint8_t)(i8042->output_port |
					     (i8042->status & STATUS_OUTPUT_FULL ? PORT_OUTPUT_FULL : 0)));
		break;
	case A20_OFF:
		i8042_write_output_port(i8042, i8042->output_port & (uint8_t)~PORT_A20);
		break;
	case A20_ON:
		i8042_write_output_port(i8042, i8042->output_port | PORT_A20);
		break;
	default: /* what else there is belongs to an auxiliary port, or to nobody */
		break;
	}
}

static bool i8042_has_parameter(uint8_t command)
{
	return (command & 0xe0) == WRITE_RAM || (command >= WRITE_OUTPUT_PORT && command <= WRITE_AUX);
}

static void i8042_command(struct i8042 *i8042, uint8_t command)
{
	i8042->status |= STATUS_COMMAND;
	i8042->command = 0;
	if (i8042_has_parameter(command))
		i8042->command = command;
	else if ((command & 0xe0) == READ_RAM)
		i8042_reply(i8042, i8042->ram[command % I8042_RAM]);
	else if (command < PULSE)
		i8042_execute(i8042, command);
	else if (!(command & PORT_NO_RESET))
		i8042->ending.end(i8042->ending.context, ENDING_RESET, 0);
}

static void i8042_data(struct i8042 *i8042, uint8_t byte)
{
	uint8_t command = i8042->command;

	i8042->status &= (uint8_t)~STATUS_COMMAND;
	i8042->command = 0;
	switch (command) {
	case 0:
		/* Whoever talks to the keyboard wants to hear it. */
		*i8042_mode(i8042) &= (uint8_t)~MODE_DISABLED;
		keyboard_write(&i8042->keyboard, byte);
		break;
	case WRITE_OUTPUT_PORT:
		i8042_write_output_port(i8042, byte);
		break;
	case WRITE_OUTPUT:
	case WRITE_AUX_OUTPUT: /* comes back as the keyboard's: so a guest sees that there is no auxiliary port */
		i8042_reply(i8042, byte);
		break;
	case WRITE_AUX:
		break;
	default:
		i8042->ram[command % I8042_RAM] = byte;
		if (command == WRITE_RAM)
			i8042->status =
				(uint8_t)((i8042->status & ~STATUS_SYSTEM) | (byte & MODE_SYSTEM ? STATUS_SYSTEM : 0));
		break;
	}
}

static uint32_t i8042_read_data(void *context, uint16_t offset, unsigned size)
{
	struct i8042 *i8042 = context;
	uint8_t byte;

	(void)offset, (void)size;
	lock_acquire(i8042->lock);
	byte = i8042->output;
	i8042->status &= (uint8_t)~STATUS_OUTPUT_FULL;
	/* The line falls before the next byte raises it: the PIC sees edges. */
	i8042_update(i8042);
	i8042_fill(i8042);
	lock_release(i8042->lock);
	return byte;
}

static uint32_t i8042_read_status(void *context, uint16_t offset, unsigned size)
{
	const struct i8042 *i8042 = context;
	uint8_t status;

	(void)offset, (void)size;
	lock_acquire(i8042->lock);
	status = i8042->status;
	lock_release(i8042->lock);
	return status;
}

static void i8042_write_data(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct i8042 *i8042 = context;

	(void)offset, (void)size;
	lock_acquire(i8042->lock);
	i8042_data(i8042, (uint8_t)data);
	i8042_fill(i8042);
	lock_release(i8042->lock);
}

static void i8042_write_command(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct i8042 *i8042 = context;

	(void)offset, (void)size;
	lock_acquire(i8042->lock);
	i8042_command(i8042, (uint8_t)data);
	i8042_fill(i8042);
	lock_release(i8042->lock);
}

bool i8042_key(struct i8042 *i8042, const uint8_t *code, unsigned size)
{
	bool room;

	lock_acquire(i8042->lock);
	room = keyboard_press(&i8042->keyboard, code, size);
	i8042_fill(i8042);
	lock_release(i8042->lock);
	return room;
}

struct port_range i8042_data_port(struct i8042 *i8042)
{
	return (struct port_range){I8042_DATA, 1, i8042_read_data, i8042_write_data, i8042};
}

struct port_range i8042_command_port(struct i8042 *i8042)
{
	return (struct port_range){I8042_COMMAND, 1, i8042_read_status, i8042_write_command, i8042};
}

void i8042_init(struct i8042 *i8042, struct lock *lock, struct line line, struct line a20, struct ending ending)
{
	*i8042 = (struct i8042){
		.lock = lock,
		.line = line,
		.a20 = a20,
		.ending = ending,
		.status = STATUS_SYSTEM | STATUS_COMMAND | STATUS_UNLOCKED,
		.output_port = PORT_NO_RESET | PORT_A20 | PORT_OTHERS,
		.ram = {MODE_INTERRUPT | MODE_SYSTEM | MODE_AUX_DISABLED | MODE_TRANSLATES},
	};
	keyboard_reset(&i8042->keyboard);
}
