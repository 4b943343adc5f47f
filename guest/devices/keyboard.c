/* SPDX-License-Identifier: MIT */
/* IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards". */
#include "guest/devices/keyboard.h"

enum {
	SET_LEDS = 0xed,
	ECHO = 0xee,
	SCAN_CODE_SET = 0xf0,
	IDENTIFY = 0xf2,
	SET_RATE = 0xf3,
	ENABLE = 0xf4,
	DISABLE = 0xf5,
	SET_DEFAULTS = 0xf6,
	RESEND = 0xfe,
	RESET = 0xff,
};

enum { ACKNOWLEDGE = 0xfa, TEST_PASSED = 0xaa, ID_FIRST = 0xab, ID_SECOND = 0x83, RELEASED = 0xf0 };

/* Set 1 for the codes 00h to 7Fh of set 2. */
static const uint8_t set_1[] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, /* 00h */
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, /* 10h */
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, /* 20h */
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, /* 30h */
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, /* 40h */
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, /* 50h */
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, /* 60h */
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, /* 70h */
};

/* Two keys beyond the table; the identification is translated by the first. */
enum { F7 = 0x83, F7_SET_1 = 0x41, SYSRQ = 0x84, SYSRQ_SET_1 = 0x54 };

bool keyboard_translate(uint8_t *byte, bool *released)
{
	uint8_t code = *byte;

	if (code == RELEASED) {
		*released = true;
		return false;
	}
	if (code < sizeof(set_1))
		code = set_1[code];
	else if (code == F7)
		code = F7_SET_1;
	else if (code == SYSRQ)
		code = SYSRQ_SET_1;
	else if (code >= 0xe0)
		return true; /* a prefix, or an answer */
	*byte = (uint8_t)(code | (*released ? 0x80 : 0));
	*released = false;
	return true;
}

static void keyboard_say(struct keyboard *keyboard, uint8_t byte)
{
	(void)byte_queue_put(&keyboard->output, byte);
}

void keyboard_reset(struct keyboard *keyboard)
{
	*keyboard = (struct keyboard){.set = 2, .scanning = true};
}

static void keyboard_parameter(struct keyboard *keyboard, uint8_t command, uint8_t value)
{
	/* It has the sets 1 and 2; asked for 0, it tells which it uses. Lamps and rates it takes as they are. */
	if (command == SCAN_CODE_SET && value > 2) {
		keyboard_say(keyboard, RESEND);
		return;
	}
	keyboard_say(keyboard, ACKNOWLEDGE);
	if (command != SCAN_CODE_SET)
		return;
	if (value)
		keyboard->set = value;
	else
		keyboard_say(keyboard, keyboard->set);
}

static void keyboard_command(struct keyboard *keyboard, uint8_t command)
{
	if (command == DISABLE || command == SET_DEFAULTS || command == RESET)
		keyboard_reset(keyboard);
	if (command == DISABLE)
		keyboard->scanning = false;
	if (command == ENABLE)
		keyboard->scanning = true;
	if (command == SET_LEDS || command == SCAN_CODE_SET || command == SET_RATE)
		keyboard->command = command;
	if (command == RESEND) {
		keyboard_say(keyboard, keyboard->last);
		return;
	}
	if (command == ECHO) {
		keyboard_say(keyboard, ECHO);
		return;
	}
	/* What it does not know it wants to hear again. */
	if (command < SCAN_CODE_SET && command != SET_LEDS) {
		keyboard_say(keyboard, RESEND);
		return;
	}
	keyboard_say(keyboard, ACKNOWLEDGE);
	if (command == RESET)
		keyboard_say(keyboard, TEST_PASSED);
	if (command == IDENTIFY) {
		keyboard_say(keyboard, ID_FIRST);
		keyboard_say(keyboard, ID_SECOND);
	}
}

void keyboard_write(struct keyboard *keyboard, uint8_t byte)
{
	uint8_t command = keyboard->command;

	keyboard->command = 0;
	/* A byte that can only be a command is none's parameter. */
	if (command && byte < SET_LEDS)
		keyboard_parameter(keyboard, command, byte);
	else
		keyboard_command(keyboard, byte);
}

bool keyboard_read(struct keyboard *keyboard, uint8_t *byte)
{
	if (!byte_queue_take(&keyboard->output, byte))
		return false;
	keyboard->last = *byte;
	return true;
}

bool keyboard_press(struct keyboard *keyboard, const uint8_t *code, unsigned size)
{
	if (byte_queue_count(&keyboard->output) + size > BYTE_QUEUE_SIZE)
		return false;
	for (unsigned i = 0; i < size && keyboard->scanning; i++) {
		uint8_t byte = code[i];

		if (keyboard->set == 2 || keyboard_translate(&byte, &keyboard->released))
			keyboard_say(keyboard, byte);
	}
	return true;
}
