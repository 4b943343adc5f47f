/* SPDX-License-Identifier: MIT */
#include "boot/print.h"

#include <stdbool.h>
#include <stdint.h>

struct conversion {
	bool left, zero, has_precision;
	unsigned width, precision;
	unsigned longs; /* 0: int, 1: long and size_t, 2: long long */
	unsigned shorts;
};

struct output {
	print_sink sink;
	void *context;
};

static void repeat(const struct output *out, char c, unsigned count)
{
	while (count--)
		out->sink(out->context, c);
}

/* `prefix` characters of the text (a sign) stand before zeros that pad. */
static void field(const struct output *out, const struct conversion *c, const char *text, unsigned length,
		  unsigned prefix)
{
	unsigned pad = c->width > length ? c->width - length : 0;
	bool zero = c->zero && !c->left;

	if (!c->left && !zero)
		repeat(out, ' ', pad);
	for (unsigned i = 0; i < length; i++) {
		if (zero && i == prefix)
			repeat(out, '0', pad);
		out->sink(out->context, text[i]);
	}
	if (c->left)
		repeat(out, ' ', pad);
}

static void number(const struct output *out, const struct conversion *c, uint64_t value, unsigned base,
		   const char *digits, bool negative)
{
	char text[24];
	unsigned at = sizeof(text);

	do {
		text[--at] = digits[value % base];
		value /= base;
	} while (value);
	if (negative)
		text[--at] = '-';
	field(out, c, text + at, (unsigned)sizeof(text) - at, negative);
}

static void string(const struct output *out, struct conversion *c, const char *text)
{
	unsigned length = 0;

	if (!text)
		text = "(null)";
	while ((!c->has_precision || length < c->precision) && text[length])
		length++;
	c->zero = false;
	field(out, c, text, length, 0);
}

static const char *parse_digits(const char *at, unsigned *value)
{
	*value = 0;
	while (*at >= '0' && *at <= '9')
		*value = *value * 10 + (unsigned)(*at++ - '0');
	return at;
}

/* A number, or '*' for the next argument. A negative width left-justifies, as C has it. */
static const char *parse_count(const char *at, unsigned *value, bool *negative, va_list *arguments)
{
	int given;

	if (*at != '*')
		return parse_digits(at, value);
	given = va_arg(*arguments, int);
	*negative = given < 0;
	*value = given < 0 ? 0u - (unsigned)given : (unsigned)given;
	return at + 1;
}

static const char *parse(const char *at, struct conversion *c, va_list *arguments)
{
	bool negative = false;

	*c = (struct conversion){0};
	for (;; at++) {
		if (*at == '-')
			c->left = true;
		else if (*at == '0')
			c->zero = true;
		else
			break;
	}
	at = parse_count(at, &c->width, &negative, arguments);
	c->left = c->left || negative;
	if (*at == '.') {
		negative = false;
		at = parse_count(at + 1, &c->precision, &negative, arguments);
		c->has_precision = !negative;
	}
	for (;; at++) {
		if (*at == 'l')
			c->longs++;
		else if (*at == 'z' || *at == 't')
			c->longs = 1;
		else if (*at == 'h')
			c->shorts++;
		else
			return at;
	}
}

static uint64_t take_unsigned(const struct conversion *c, va_list *arguments)
{
	if (c->longs >= 2)
		return va_arg(*arguments, unsigned long long);
	if (c->longs == 1)
		return va_arg(*arguments, unsigned long);
	if (c->shorts == 1)
		return (unsigned short)va_arg(*arguments, unsigned);
	if (c->shorts >= 2)
		return (unsigned char)va_arg(*arguments, unsigned);
	return va_arg(*arguments, unsigned);
}

static int64_t take_signed(const struct conversion *c, va_list *arguments)
{
	if (c->longs >= 2)
		return va_arg(*arguments, long long);
	if (c->longs == 1)
		return va_arg(*arguments, long);
	if (c->shorts == 1)
		return (short)va_arg(*arguments, int);
	if (c->shorts >= 2)
		return (signed char)va_arg(*arguments, int);
	return va_arg(*arguments, int);
}

/* Prints one conversion; false if it is none of ours. */
static bool convert(const struct output *out, struct conversion *c, char kind, va_list *arguments)
{
	int64_t value;
	char character;

	switch (kind) {
	case 's':
		string(out, c, va_arg(*arguments, const char *));
		return true;
	case 'c':
		character = (char)va_arg(*arguments, int);
		c->zero = false;
		field(out, c, &character, 1, 0);
		return true;
	case 'd':
	case 'i':
		value = take_signed(c, arguments);
		number(out, c, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, "0123456789", value < 0);
		return true;
	case 'u':
		number(out, c, take_unsigned(c, arguments), 10, "0123456789", false);
		return true;
	case 'x':
		number(out, c, take_unsigned(c, arguments), 16, "0123456789abcdef", false);
		return true;
	case 'X':
		number(out, c, take_unsigned(c, arguments), 16, "0123456789ABCDEF", false);
		return true;
	case 'p':
		repeat(out, '0', 1);
		repeat(out, 'x', 1);
		number(out, c, (uintptr_t)va_arg(*arguments, void *), 16, "0123456789abcdef", false);
		return true;
	case '%':
		repeat(out, '%', 1);
		return true;
	default:
		return false;
	}
}

void print_format(print_sink sink, void *context, const char *format, va_list arguments)
{
	struct output out = {sink, context};
	struct conversion c;
	va_list rest; /* a va_list parameter may be an array's pointer: &arguments would have the wrong type */

	va_copy(rest, arguments);
	while (*format) {
		const char *at = format + 1;

		if (*format != '%') {
			sink(context, *format++);
			continue;
		}
		at = parse(at, &c, &rest);
		if (*at && convert(&out, &c, *at, &rest))
			format = at + 1;
		else
			sink(context, *format++);
	}
	va_end(rest);
}

struct buffer {
	char *text;
	size_t size, length;
};

static void buffer_put(void *context, char c)
{
	struct buffer *buffer = context;

	if (buffer->length + 1 < buffer->size)
		buffer->text[buffer->length] = c;
	buffer->length++;
}

size_t print_to_buffer_v(char *buffer, size_t size, const char *format, va_list arguments)
{
	struct buffer to = {buffer, size, 0};

	print_format(buffer_put, &to, format, arguments);
	if (size)
		buffer[to.length < size ? to.length : size - 1] = '\0';
	return to.length;
}

size_t print_to_buffer(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = print_to_buffer_v(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}
