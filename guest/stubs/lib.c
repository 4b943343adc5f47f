/* SPDX-License-Identifier: MIT */
#include "guest/stubs/lib.h"

void lib_line_text(struct lib_line *line, const char *text)
{
	for (; *text && line->length < ABI_TEXT; text++)
		line->text[line->length++] = *text;
}

void lib_line_number(struct lib_line *line, uint64_t value, unsigned base)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	lib_line_text(line, at);
}

static void line_put_place(struct lib_line *line, const char *file, unsigned number)
{
	lib_line_text(line, file);
	lib_line_text(line, ":");
	lib_line_number(line, number, 10);
	lib_line_text(line, ": ");
}

void lib_line_print(const struct lib_line *line)
{
	vmcall(HC_PRINT, (uint64_t)line->text, line->length, 0, 0);
}

static _Noreturn void line_end_guest(const struct lib_line *line)
{
	lib_line_print(line);
	for (;;)
		vmcall(HC_EXIT, 1, 0, 0, 0);
}

_Noreturn void lib_failed(const char *file, unsigned line, const char *condition)
{
	struct lib_line text = {.length = 0};

	line_put_place(&text, file, line);
	lib_line_text(&text, condition);
	line_end_guest(&text);
}

_Noreturn void lib_differs(uint64_t value, uint64_t wanted, const char *file, unsigned line, const char *expression)
{
	struct lib_line text = {.length = 0};

	line_put_place(&text, file, line);
	lib_line_text(&text, expression);
	lib_line_text(&text, " is 0x");
	lib_line_number(&text, value, 16);
	lib_line_text(&text, ", wanted 0x");
	lib_line_number(&text, wanted, 16);
	line_end_guest(&text);
}

void lib_print(const char *text)
{
	struct lib_line line = {.length = 0};

	lib_line_text(&line, text);
	lib_line_print(&line);
}

/* What follows `word` where it stands among the guest's words; NULL if it does not. */
static const char *lib_find(const struct mb1_info *info, const char *word)
{
	const char *at = (const char *)(uint64_t)info->line;

	while (*at) {
		const char *part = word;

		while (*part && *at == *part) {
			at++;
			part++;
		}
		if (!*part)
			return at;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

uint64_t lib_number(const struct mb1_info *info, const char *name, uint64_t otherwise)
{
	const char *at = lib_find(info, name);
	uint64_t value = 0;

	if (!at)
		return otherwise;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

bool lib_word(const struct mb1_info *info, const char *word)
{
	const char *end = lib_find(info, word);

	return end && (*end == ' ' || *end == '\0');
}

uint64_t lib_random(void)
{
	static uint64_t state = 0x2545f4914f6cdd1d;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint32_t lib_random_below(uint32_t limit)
{
	return (uint32_t)((lib_random() >> 32) * limit >> 32);
}

uint64_t lib_read(uint64_t at, unsigned size)
{
	return size == 1 ? read8(at) : size == 2 ? read16(at) : size == 4 ? read32(at) : read64(at);
}

void lib_write(uint64_t at, uint64_t value, unsigned size)
{
	if (size == 1)
		write8(at, (uint8_t)value);
	else if (size == 2)
		write16(at, (uint16_t)value);
	else if (size == 4)
		write32(at, (uint32_t)value);
	else
		write64(at, value);
}

uint64_t lib_peek(const uint8_t *memory, unsigned size)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, memory, 8);
	return value & lib_mask(size);
}

void lib_poke(uint8_t *memory, uint64_t value, unsigned size)
{
	uint64_t old = 0;

	__builtin_memcpy(&old, memory, 8);
	value = (old & ~lib_mask(size)) | (value & lib_mask(size));
	__builtin_memcpy(memory, &value, 8);
}

void *memset(void *to, int byte, size_t count)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
	return to;
}
