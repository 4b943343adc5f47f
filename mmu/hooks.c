/* SPDX-License-Identifier: MIT */
#include "mmu/hooks.h"

const struct tl_hooks *hooks;

enum tl_status hooks_set(const struct tl_hooks *table)
{
	if (!table || !table->alloc_pages || !table->free_pages || !table->log || !table->panic || !table->cpu_index ||
	    !table->kick)
		return TL_INVALID_ARGUMENT;
	/* Below are exceptions. */
	if (table->notify && table->notification_vector < 32)
		return TL_INVALID_ARGUMENT;

	hooks = table;
	return TL_OK;
}

void tl_log(enum tl_log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	hooks->log(level, format, arguments);
	va_end(arguments);
}

void tl_panic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	hooks->panic(format, arguments);
	/* The hook broke its promise. There is nothing left that could be trusted. */
	__builtin_trap();
}
