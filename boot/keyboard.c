/* SPDX-License-Identifier: MIT */
#include "boot/keyboard.h"

enum {
	KEY_CONTROL = 0x1D,
	KEY_LEFT_SHIFT = 0x2A,
	KEY_RIGHT_SHIFT = 0x36,
	KEY_CAPS_LOCK = 0x3A,
	KEY_EXTENDED_ENTER = 0x1C,
	KEY_EXTENDED_SLASH = 0x35,
	CODE_EXTENDED = 0xE0,
	CODE_RELEASED = 0x80,
};

/* By the scan code; 0: a key without a character. The last row is the keypad's. */
static const char plain[] = "\0\0331234567890-=\b\t"
			    "qwertyuiop[]\r\0as"
			    "dfghjkl;'`\0\\zxcv"
			    "bnm,./\0*\0 \0\0\0\0\0\0"
			    "\0\0\0\0\0\0\000789-456+1"
			    "230.";
static const char shifted[] = "\0\033!@#$%^&*()_+\b\t"
			      "QWERTYUIOP{}\r\0AS"
			      "DFGHJKL:\"~\0|ZXCV"
			      "BNM<>?\0*\0 \0\0\0\0\0\0"
			      "\0\0\0\0\0\0\000789-456+1"
			      "230.";

_Static_assert(sizeof(plain) == 0x54 + 1 && sizeof(shifted) == sizeof(plain), "a character for each code up to 53h");

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

/* Keys of the extended set are arrows and the like, but for two of the keypad. */
static int take_extended(struct keyboard *keyboard, uint8_t code, bool down)
{
	if (code == KEY_CONTROL)
		keyboard->control = down;
	if (!down)
		return -1;
	return code == KEY_EXTENDED_ENTER ? '\r' : code == KEY_EXTENDED_SLASH ? '/' : -1;
}

static int character(const struct keyboard *keyboard, uint8_t code)
{
	bool shift = keyboard->left_shift || keyboard->right_shift;

	if (code >= sizeof(plain) - 1 || !plain[code])
		return -1;
	if (is_letter(plain[code])) {
		if (keyboard->control)
			return plain[code] - 'a' + 1;
		shift ^= keyboard->caps;
	}
	return shift ? shifted[code] : plain[code];
}

int keyboard_take(struct keyboard *keyboard, uint8_t code)
{
	bool down = !(code & CODE_RELEASED), extended = keyboard->extended;

	keyboard->extended = code == CODE_EXTENDED;
	if (code == CODE_EXTENDED)
		return -1;
	code &= (uint8_t)~CODE_RELEASED;
	if (extended)
		return take_extended(keyboard, code, down);
	switch (code) {
	case KEY_CONTROL:
		keyboard->control = down;
		return -1;
	case KEY_LEFT_SHIFT:
		keyboard->left_shift = down;
		return -1;
	case KEY_RIGHT_SHIFT:
		keyboard->right_shift = down;
		return -1;
	case KEY_CAPS_LOCK:
		keyboard->caps ^= down;
		return -1;
	default:
		return down ? character(keyboard, code) : -1;
	}
}
