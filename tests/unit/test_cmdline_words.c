/* SPDX-License-Identifier: MIT */
/* What is said of the command line's words: by the document, and where one is unknown. */
#include "tests/unit/cmdline_line.h"
#include <stdio.h>

enum { ROW_SIZE = 800 };

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
	char usage[128], help[384], wanted[ROW_SIZE], row[ROW_SIZE];
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
		cmocka_unit_test(is_what_the_document_says),
		cmocka_unit_test(names_the_nearest_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
