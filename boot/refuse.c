/* SPDX-License-Identifier: MIT */
#include "boot/refuse.h"

#include <stdarg.h>

#include "boot/print.h"

bool refuse(const struct refusal *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_to_buffer_v(why->text, why->size, format, arguments);
	va_end(arguments);
	return false;
}
