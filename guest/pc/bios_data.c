/* SPDX-License-Identifier: MIT */
/*
 * The BIOS' data area: what IBM's BIOS listing (PC/AT Technical Reference, 1985) has at 400h and kernels still look at.
 * There is no BIOS that would use it.
 */
#include "guest/pc/firmware.h"

enum { EQUIPMENT_80_COLUMNS = 2 << 4, EQUIPMENT_ONE_SERIAL_PORT = 1 << 9, COM1 = 0x3F8, CRTC = 0x3D4, EBDA_KIB = 1 };

struct bios_word {
	uint16_t at, value;
};

static void write_words(uint8_t *memory, const struct bios_word *word, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_memcpy(memory + word[i].at, &word[i].value, sizeof(word[i].value));
}

void firmware_write_bios_data(uint8_t *memory, uint32_t ebda)
{
	const struct bios_word word[] = {
		{0x400, COM1},
		{0x40E, (uint16_t)(ebda >> 4)},
		{0x410, EQUIPMENT_80_COLUMNS | EQUIPMENT_ONE_SERIAL_PORT},
		{0x413, (uint16_t)(ebda >> 10)}, /* KiB of memory below it */
		{0x449, 3},                      /* the mode; the word behind it: its columns */
		{0x44A, 80},
		{0x44C, 0x1000}, /* bytes of a screen */
		{0x463, CRTC},
		{0x484, 24}, /* rows, less one; the word behind it: the height of a letter */
		{0x485, 16},
	};

	write_words(memory, word, sizeof(word) / sizeof(word[0]));
	memory[ebda] = EBDA_KIB;
}
