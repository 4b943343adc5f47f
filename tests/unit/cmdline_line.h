/* SPDX-License-Identifier: MIT */
/* For tests of the command line: a line is read into `options`, or refused with a sentence. */
#ifndef UNIT_CMDLINE_LINE_H
#define UNIT_CMDLINE_LINE_H

#include "boot/cmdline.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct boot_options options;
static char reason[1024];

static inline bool parse(const char *line)
{
	memset(&options, 0xA5, sizeof(options));
	reason[0] = '\0';
	return cmdline_parse(line, &options, reason, sizeof(reason));
}

#define assert_refused(line, words)                                            \
	do {                                                                   \
		assert_false(parse(line));                                     \
		if (!strstr(reason, words))                                    \
			fail_msg("\"%s\" does not say \"%s\"", reason, words); \
		assert_int_equal(reason[strlen(reason) - 1], '.');             \
	} while (0)

#endif
