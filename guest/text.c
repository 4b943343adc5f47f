/* SPDX-License-Identifier: MIT */
#include "guest/text.h"
#include <stdarg.h>

struct text_sink {
	char *at, *end; /* `end` is the place of the last NUL */
};

static void text_put(struct text_sink *sink, char c)
{
	if (sink->at < sink->end)
		*sink->at++ = c;
}

static void text_put_string(struct text_sink *sink, const char *string, unsigned width)
{
	for (; *string; string++, width -= width ? 1 : 0)
		text_put(sink, *string);
	while (width--)
		text_put(sink, ' ');
}

static void text_put_number(struct text_sink *sink, uint64_t value, unsigned base, unsigned width, char fill)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (unsigned i = n; i < width; i++)
		text_put(sink, fill);
	while (n)
		text_put(sink, digits[--n]);
}

void text_format(char *buffer, size_t size, const char *format, ...)
{
	struct text_sink sink = {.at = buffer, .end = buffer + size - 1};
	va_list arguments;

	va_start(arguments, format);
	for (; *format; format++) {
		char fill = ' ';
		unsigned width = 0;
		bool is_long = false;

		if (*format != '%') {
			text_put(&sink, *format);
			continue;
		}
		format++;
		if (*format == '0')
			fill = *format++;
		while (*format >= '0' && *format <= '9')
			width = width * 10 + (unsigned)(*format++ - '0');
		if (*format == 'l') {
			is_long = true;
			format++;
		}
		if (*format == 's')
			text_put_string(&sink, va_arg(arguments, const char *), width);
		else if (*format == 'c')
			text_put(&sink, (char)va_arg(arguments, int));
		else if (*format == 'u' || *format == 'x')
			text_put_number(&sink, is_long ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned),
					*format == 'x' ? 16 : 10, width, fill);
		else if (*format)
			text_put(&sink, *format);
		else
			break;
	}
	va_end(arguments);
	*sink.at = '\0';
}

bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const char *text_after(const char *text, const char *prefix)
{
	while (*prefix && *text == *prefix) {
		text++;
		prefix++;
	}
	return *prefix ? NULL : text;
}

/* Control characters, too: a message that shows a word stays one line. */
static bool text_is_blank(char c)
{
	return c && (unsigned char)c <= ' ';
}

bool text_next_word(const char **cursor, char *word, size_t size)
{
	const char *at = *cursor;
	size_t n = 0;

	while (text_is_blank(*at))
		at++;
	if (!*at) {
		*cursor = at;
		return false;
	}
	for (; *at && !text_is_blank(*at); at++)
		if (n + 1 < size)
			word[n++] = *at;
	word[n] = '\0';
	*cursor = at;
	return true;
}

static int text_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* The number at the start of `text`; returns what follows it, or NULL. */
static const char *text_digits(const char *text, uint64_t *value)
{
	const char *hexadecimal = text_after(text, "0x");
	uint64_t base = hexadecimal ? 16 : 10, sum = 0;
	const char *at = hexadecimal ? hexadecimal : text;
	const char *first = at;

	for (; (uint64_t)text_digit(*at) < base; at++) {
		if (__builtin_mul_overflow(sum, base, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)text_digit(*at), &sum))
			return NULL;
	}
	if (at == first)
		return NULL;
	*value = sum;
	return at;
}

bool text_number(const char *text, uint64_t *value)
{
	uint64_t sum;
	const char *rest = text_digits(text, &sum);

	if (!rest || *rest)
		return false;
	*value = sum;
	return true;
}

bool text_size(const char *text, uint64_t *value)
{
	uint64_t sum;
	const char *rest = text_digits(text, &sum);
	unsigned shift;

	if (!rest)
		return false;
	shift = *rest == 'K' ? 10 : *rest == 'M' ? 20 : *rest == 'G' ? 30 : 0;
	if (shift)
		rest++;
	if (*rest || sum << shift >> shift != sum)
		return false;
	*value = sum << shift;
	return true;
}
