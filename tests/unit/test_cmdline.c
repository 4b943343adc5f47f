/* SPDX-License-Identifier: MIT */
/* The hypervisor's command line: what each word stores, and what is refused with which words. */
#include "boot/cmdline.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

static struct boot_options options;
static char reason[1024];

static bool parse(const char *line)
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

static void reads_nothing(void **context)
{
	static const struct boot_options none;

	(void)context;
	assert_true(parse(""));
	assert_memory_equal(&options, &none, sizeof(none));
	assert_true(parse("  \t "));
	assert_memory_equal(&options, &none, sizeof(none));
}

static void reads_every_word(void **context)
{
	(void)context;
	assert_true(parse("help"));
	assert_true(options.help);
	assert_true(parse("quiet trace together  mmio-level=2\ttag-bits=0x6 generation=0xffffffffffffffff guest=wrap "
			  "crash=text"));
	assert_true(options.quiet);
	assert_int_equal(options.trace, 1 << TL_TRACE_MARK_MMIO_SPTE | 1 << TL_TRACE_CHECK_MMIO_SPTE |
						1 << TL_TRACE_HANDLE_MMIO_PAGE_FAULT);
	assert_true(options.together);
	assert_int_equal(options.mmio_level, 2);
	assert_int_equal(options.tag_bits, 6);
	assert_true(options.generation == UINT64_MAX);
	assert_int_equal(options.nr_guests, 1);
	assert_string_equal(options.guests[0], "wrap");
	assert_int_equal(options.crash, BOOT_CRASH_TEXT);
}

static void reads_events_to_trace(void **context)
{
	(void)context;
	assert_true(parse("trace=exit,kick quiet"));
	assert_int_equal(options.trace, 1 << TL_TRACE_EXIT | 1 << TL_TRACE_KICK);
	assert_refused("trace=", "trace[=NAME[,NAME]]: exit, entry, mark_mmio_spte");
	assert_refused("trace=exit,", "trace[=NAME");
	assert_refused("trace=exits", "\"trace=exits\"");
}

static void reads_the_ends_of_ranges(void **context)
{
	(void)context;
	assert_true(parse("mmio-level=1 tag-bits=19 generation=1"));
	assert_true(parse("mmio-level=3 tag-bits=1 generation=18446744073709551615"));
	assert_true(options.generation == UINT64_MAX);
}

static void reads_sets(void **context)
{
	(void)context;
	assert_true(parse("off=vpid"));
	assert_int_equal(options.features_off, 1 << TL_FEATURE_VPID);
	assert_true(parse("off=xsave,vpid,xsave quiet"));
	assert_int_equal(options.features_off, 1 << TL_FEATURE_VPID | 1 << TL_FEATURE_XSAVE);
	assert_true(options.quiet);
}

static void reads_choices_in_order(void **context)
{
	static const struct {
		const char *line;
		enum boot_crash crash;
	} rows[] = {{"crash=ud", BOOT_CRASH_UD},       {"crash=null", BOOT_CRASH_NULL},
		    {"crash=text", BOOT_CRASH_TEXT},   {"crash=data", BOOT_CRASH_DATA},
		    {"crash=stack", BOOT_CRASH_STACK}, {"crash=other", BOOT_CRASH_OTHER}};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(rows[i].line));
		assert_int_equal(options.crash, rows[i].crash);
	}
}

static void reads_consoles(void **context)
{
	static const struct {
		const char *line;
		uint64_t console;
	} rows[] = {
		{"", BOOT_CONSOLE_ANY},
		{"console=none", BOOT_CONSOLE_NONE},
		{"console=com1", BOOT_CONSOLE_COM1},
		{"console=com4", BOOT_CONSOLE_COM4},
		{"console=pci", BOOT_CONSOLE_PCI},
		{"console=0x3e8", 0x3E8},
		{"console=1000", 1000},
		{"console=0x100", BOOT_CONSOLE_PORT},
		{"console=0xfff8", 0xFFF8},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(rows[i].line));
		assert_int_equal(options.console, rows[i].console);
		assert_int_equal(options.screen, BOOT_SCREEN_USE_ANY);
	}
	assert_true(parse("screen=off"));
	assert_int_equal(options.screen, BOOT_SCREEN_USE_OFF);
	assert_refused("console=com5", "console=none|com1|com2|com3|com4|pci|0x100..0xfff8.");
}

static void reads_lists_of_guests(void **context)
{
	(void)context;
	assert_true(parse("guest=a,bc guest=d"));
	assert_int_equal(options.nr_guests, 3);
	assert_string_equal(options.guests[0], "a");
	assert_string_equal(options.guests[1], "bc");
	assert_string_equal(options.guests[2], "d");
	assert_true(parse("guest=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"));
	assert_refused("guest=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 guests");
	assert_true(parse("guest=abcdefghijklmnopqrstuvwxyz01234"));
	assert_refused("guest=abcdefghijklmnopqrstuvwxyz012345", "longer than 31 characters");
	assert_refused("guest=a,b guest=c,a", "guest \"a\" twice");
	assert_refused("guest=a,", "guest=NAME");
	assert_refused("guest=,a", "guest=NAME");
	assert_refused("guest=a,,b", "guest=NAME");
	assert_refused("guest=", "guest=NAME");
	assert_refused("guest", "guest=NAME");
}

static void refuses_unknown_words(void **context)
{
	(void)context;
	assert_refused("quiet gest=hammer", "unknown word \"gest=hammer\"");
	assert_refused("gest=hammer", "help, guest=NAME[,NAME], selftest, quiet, together, trace[=NAME[,NAME]], "
				      "mmio-level=1..3, tag-bits=1..19");
	assert_refused("Quiet", "\"Quiet\"");
	assert_refused("quie", "\"quie\"");
	assert_refused("quiett", "\"quiett\"");
	assert_refused("=3", "\"=3\"");
	assert_refused("mmio_level=3", "\"mmio_level=3\"");
	/* A control character is no part of a word: the sentence would not be one line. */
	assert_refused("quiet\ngest\x1b[2J", "\"gest\"");
}

static void refuses_malformed_words(void **context)
{
	static const char *const lines[] = {
		"mmio-level",
		"mmio-level=",
		"mmio-level=0",
		"mmio-level=4",
		"mmio-level=x",
		"mmio-level=1x",
		"mmio-level=-1",
		"mmio-level= 1",
		"mmio-level=0x",
		"mmio-level=4294967297",
		"tag-bits=20",
		"tag-bits=+1",
		"tag-bits=1,2",
		"generation=0",
		"generation=18446744073709551616",
		"quiet=",
		"quiet=1",
		"crash",
		"crash=",
		"crash=u",
		"crash=udx",
		"crash=ud,text",
		"off",
		"off=",
		"off=vpi",
		"off=vpid,",
		"off=,vpid",
		"off=vpid,,pml",
		"off=vpid,nosuch",
		"trace=no",
		"console",
		"console=",
		"console=com0",
		"console=0xff",
		"console=6",
		"console=0xfff9",
		"console=com1,com2",
		"screen",
		"screen=on",
		"generation=0x10000000000000000",
	};

	(void)context;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_refused(lines[i], "malformed or out of range");
	assert_refused("tag-bits=99", "\"tag-bits=99\" is malformed or out of range; write tag-bits=1..19.");
}

static void refuses_words_given_twice(void **context)
{
	(void)context;
	assert_refused("quiet trace quiet", "\"quiet\" twice");
	assert_refused("tag-bits=6 tag-bits=6", "\"tag-bits\" twice");
}

/* A word as long as a command line can be: the sentence is cut, and nothing is written behind it. */
static void cuts_long_sentences(void **context)
{
	static char line[1024], small[40 + 1];

	(void)context;
	memset(line, 'w', sizeof(line) - 1);
	assert_false(parse(line));
	assert_int_equal(strlen(reason), sizeof(reason) - 1);
	small[40] = 'e';
	assert_false(cmdline_parse(line, &options, small, 40));
	assert_int_equal(strlen(small), 39);
	assert_int_equal(small[40], 'e');
}

enum { ROW_SIZE = 600 };

/* The rows of the table of words in the document, one after the other. false: there are no more. */
static bool next_row(FILE *document, char row[ROW_SIZE])
{
	bool found = false;

	while (!found && fgets(row, ROW_SIZE, document))
		found = strncmp(row, "| `", 3) == 0 && strstr(row, "` | ");
	return found;
}

/* A bar ends a cell, unless it is escaped. */
static void write_row(char row[ROW_SIZE], const char *usage, const char *help)
{
	char escaped[256], *at = escaped;

	for (; *usage; *at++ = *usage++)
		if (*usage == '|')
			*at++ = '\\';
	*at = '\0';
	snprintf(row, ROW_SIZE, "| `%s` | %s |\n", escaped, help);
}

/* One table for both: what `help` prints is what docs/running.md says, word for word and in the same order. */
static void is_what_the_document_says(void **context)
{
	FILE *document = fopen("docs/running.md", "r");
	char usage[128], help[256], wanted[ROW_SIZE], row[ROW_SIZE];
	size_t words = 0;

	(void)context;
	assert_non_null(document);
	while (fgets(row, sizeof(row), document) && strcmp(row, "| word | what it does |\n") != 0)
		;
	for (; cmdline_describe(words, usage, sizeof(usage), help, sizeof(help)); words++) {
		assert_true(strlen(usage) < sizeof(usage) - 1 && strlen(help) < sizeof(help) - 1);
		write_row(wanted, usage, help);
		assert_true(next_row(document, row));
		assert_string_equal(row, wanted);
	}
	assert_true(words >= 10);
	/* The table ends there. */
	assert_non_null(fgets(row, sizeof(row), document));
	assert_string_equal(row, "\n");
	fclose(document);
}

static void names_the_nearest_word(void **context)
{
	static const struct {
		const char *line, *nearest;
	} rows[] = {{"gest=hammer", "guest=NAME"},
		    {"guset=hammer", "guest=NAME"},
		    {"quit", "quiet;"},
		    {"tagbits=6", "tag-bits=1..19;"},
		    {"togehter", "together;"},
		    {"mmiolevel=2", "mmio-level=1..3;"},
		    {"genration=7", "generation=N;"},
		    {"hlep", "help;"},
		    {"of=vpid", "off=NAME[,NAME];"},
		    {"Trace", "trace[=NAME[,NAME]];"}};
	char words[64];

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(words, sizeof(words), "; the nearest is %s", rows[i].nearest);
		assert_refused(rows[i].line, words);
	}
	/* Nothing is like these. */
	assert_false(parse("zzzzzzzz"));
	assert_null(strstr(reason, "nearest"));
	assert_false(parse("supercalifragilisticexpialidocious"));
	assert_null(strstr(reason, "nearest"));
	assert_false(parse("=3"));
	assert_null(strstr(reason, "nearest"));
	assert_refused("off=vpid,xsvae", "the nearest to \"xsvae\" is xsave; write off=");
	assert_refused("crash=txt", "the nearest to \"txt\" is text; write crash=");
	assert_false(parse("crash=qqqq"));
	assert_null(strstr(reason, "nearest"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_nothing),
		cmocka_unit_test(reads_every_word),
		cmocka_unit_test(reads_events_to_trace),
		cmocka_unit_test(reads_the_ends_of_ranges),
		cmocka_unit_test(reads_choices_in_order),
		cmocka_unit_test(reads_sets),
		cmocka_unit_test(reads_consoles),
		cmocka_unit_test(reads_lists_of_guests),
		cmocka_unit_test(refuses_unknown_words),
		cmocka_unit_test(refuses_malformed_words),
		cmocka_unit_test(refuses_words_given_twice),
		cmocka_unit_test(cuts_long_sentences),
		cmocka_unit_test(is_what_the_document_says),
		cmocka_unit_test(names_the_nearest_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
