/* SPDX-License-Identifier: MIT */
#include "boot/cmdline.h"

#include <stdarg.h>
#include <trapline.h>

#include "boot/libc.h"
#include "boot/print.h"

/* The field in struct boot_options is a bool, a uint64_t, or for names guests and nr_guests. */
enum word_kind {
	WORD_FLAG,   /* name */
	WORD_NUMBER, /* name=N, decimal or 0x and hexadecimal, from low to high */
	WORD_CHOICE, /* name=one of the choices; stores 1 for the first */
	WORD_SET,    /* name=CHOICE[,CHOICE...]; stores a mask, bit 0 for the first */
	WORD_NAMES,  /* name=NAME[,NAME...]; may be repeated */
};

struct word {
	const char *name;
	enum word_kind kind;
	size_t field;
	uint64_t low, high;
	const char *const *choices;
	const char *help;
};

static const char *const crash_choices[] = {"ud", "null", "text", "data", "stack", "other", NULL};

static const char *const feature_choices[] = {
	[TL_FEATURE_VPID] = "vpid",
	[TL_FEATURE_UNRESTRICTED_GUEST] = "unrestricted-guest",
	[TL_FEATURE_EPT_2M] = "ept-2m",
	[TL_FEATURE_EPT_1G] = "ept-1g",
	[TL_FEATURE_EPT_ACCESSED_DIRTY] = "ept-ad",
	[TL_FEATURE_EPT_EXECUTE_ONLY] = "ept-execute-only",
	[TL_FEATURE_INVEPT_SINGLE] = "invept-single",
	[TL_FEATURE_PREEMPTION_TIMER] = "preemption-timer",
	[TL_FEATURE_PML] = "pml",
	[TL_FEATURE_VIRTUAL_NMIS] = "virtual-nmis",
	[TL_FEATURE_IO_BITMAPS] = "io-bitmaps",
	[TL_FEATURE_MSR_BITMAPS] = "msr-bitmaps",
	[TL_FEATURE_XSAVE] = "xsave",
	[TL_NR_FEATURES] = NULL,
};

#define FIELD(name) offsetof(struct boot_options, name)

static const struct word words[] = {
	{"guest", WORD_NAMES, 0, 0, 0, NULL, "run only these guests"},
	{"quiet", WORD_FLAG, FIELD(quiet), 0, 0, NULL, "print only the table and what went wrong"},
	{"together", WORD_FLAG, FIELD(together), 0, 0, NULL, "run the guests at once, one on each CPU"},
	{"trace", WORD_FLAG, FIELD(trace), 0, 0, NULL, "print the trace events of each guest"},
	{"mmio-level", WORD_NUMBER, FIELD(mmio_level), 1, 3, NULL, "largest MMIO entry: 4 KiB, 2 MiB or 1 GiB"},
	{"tag-bits", WORD_NUMBER, FIELD(tag_bits), 1, 19, NULL, "width of the tag in an MMIO entry"},
	{"generation", WORD_NUMBER, FIELD(generation), 1, UINT64_MAX, NULL, "first generation of a guest's map"},
	{"off", WORD_SET, FIELD(features_off), 0, 0, feature_choices, "do without these features of the CPU"},
	{"crash", WORD_CHOICE, FIELD(crash), 0, 0, crash_choices, "check the host's own protection by a fault"},
};

enum { NR_WORDS = sizeof(words) / sizeof(words[0]) };

/* A piece of the line. */
struct span {
	const char *text;
	size_t length;
};

struct parser {
	struct boot_options *options;
	char *reason;
	size_t reason_size;
	bool seen[NR_WORDS];
};

static size_t append(char *text, size_t size, size_t at, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Prints behind the first `at` characters and returns the new length; what does not fit is cut. */
static size_t append(char *text, size_t size, size_t at, const char *format, ...)
{
	va_list arguments;

	if (at >= size)
		return at;
	va_start(arguments, format);
	at += print_to_buffer_v(text + at, size - at, format, arguments);
	va_end(arguments);
	return at;
}

static size_t append_usage(char *text, size_t size, size_t at, const struct word *word)
{
	at = append(text, size, at, "%s", word->name);
	switch (word->kind) {
	case WORD_FLAG:
		break;
	case WORD_NUMBER:
		if (word->high == UINT64_MAX)
			at = append(text, size, at, "=N");
		else
			at = append(text, size, at, "=%llu..%llu", (unsigned long long)word->low,
				    (unsigned long long)word->high);
		break;
	case WORD_CHOICE:
		for (size_t i = 0; word->choices[i]; i++)
			at = append(text, size, at, "%c%s", i ? '|' : '=', word->choices[i]);
		break;
	case WORD_SET:
		at = append(text, size, at, "=FEATURE[,FEATURE]");
		break;
	case WORD_NAMES:
		at = append(text, size, at, "=NAME[,NAME]");
		break;
	}
	return at;
}

/* What a set may hold, which is too long for the usage. */
static size_t append_choices(char *text, size_t size, size_t at, const struct word *word)
{
	for (size_t i = 0; word->kind == WORD_SET && word->choices[i]; i++)
		at = append(text, size, at, "%s %s", i ? "," : ":", word->choices[i]);
	return at;
}

bool cmdline_describe(size_t index, char *text, size_t size)
{
	size_t at;

	if (index >= NR_WORDS)
		return false;
	at = append_usage(text, size, 0, &words[index]);
	at = append(text, size, at, "%*s %s", at < 36 ? (int)(36 - at) : 0, "", words[index].help);
	append_choices(text, size, at, &words[index]);
	return true;
}

static bool refuse_unknown(const struct parser *p, struct span word)
{
	size_t at = append(p->reason, p->reason_size, 0, "the command line has the unknown word \"%.*s\"; known are",
			   (int)word.length, word.text);

	for (size_t i = 0; i < NR_WORDS; i++) {
		at = append(p->reason, p->reason_size, at, "%s ", i ? "," : "");
		at = append_usage(p->reason, p->reason_size, at, &words[i]);
	}
	append(p->reason, p->reason_size, at, ".");
	return false;
}

static bool refuse_value(const struct parser *p, const struct word *word, struct span given)
{
	size_t at = append(p->reason, p->reason_size, 0,
			   "the command line's word \"%.*s\" is malformed or out of range; write ", (int)given.length,
			   given.text);

	at = append_usage(p->reason, p->reason_size, at, word);
	at = append_choices(p->reason, p->reason_size, at, word);
	append(p->reason, p->reason_size, at, ".");
	return false;
}

static bool refuse_twice(const struct parser *p, const char *what, struct span name)
{
	append(p->reason, p->reason_size, 0, "the command line has the %s \"%.*s\" twice; give it once.", what,
	       (int)name.length, name.text);
	return false;
}

static bool span_is(struct span span, const char *text)
{
	return strlen(text) == span.length && memcmp(span.text, text, span.length) == 0;
}

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 99;
}

static bool parse_number(struct span text, uint64_t *value)
{
	unsigned base = 10;

	if (text.length > 2 && text.text[0] == '0' && (text.text[1] | 0x20) == 'x') {
		base = 16;
		text = (struct span){text.text + 2, text.length - 2};
	}
	*value = 0;
	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = digit_value(text.text[i]);

		if (digit >= base || *value > (UINT64_MAX - digit) / base)
			return false;
		*value = *value * base + digit;
	}
	return text.length > 0;
}

static bool add_guest(struct parser *p, struct span name)
{
	struct boot_options *options = p->options;

	for (size_t i = 0; i < options->nr_guests; i++)
		if (span_is(name, options->guests[i]))
			return refuse_twice(p, "guest", name);
	if (options->nr_guests == CMDLINE_GUESTS_MAX) {
		append(p->reason, p->reason_size, 0, "the command line names more than %d guests; name fewer.",
		       CMDLINE_GUESTS_MAX);
		return false;
	}
	if (name.length >= CMDLINE_NAME_MAX) {
		append(p->reason, p->reason_size, 0, "the guest's name \"%.*s\" is longer than %d characters.",
		       (int)name.length, name.text, CMDLINE_NAME_MAX - 1);
		return false;
	}
	memcpy(options->guests[options->nr_guests++], name.text, name.length);
	return true;
}

/* The first of names that commas divide, taken off `value`; false: it is empty, or nothing stands behind its comma. */
static bool next_name(struct span *value, struct span *name)
{
	*name = (struct span){value->text, 0};
	while (name->length < value->length && name->text[name->length] != ',')
		name->length++;
	if (!name->length || name->length + 1 == value->length)
		return false;
	*value = name->length == value->length
			 ? (struct span){value->text + name->length, 0}
			 : (struct span){value->text + name->length + 1, value->length - name->length - 1};
	return true;
}

static bool parse_names(struct parser *p, const struct word *word, struct span given, struct span value)
{
	struct span name;

	while (value.length) {
		if (!next_name(&value, &name))
			return refuse_value(p, word, given);
		if (!add_guest(p, name))
			return false;
	}
	return true;
}

static bool parse_set(const struct parser *p, const struct word *word, struct span given, struct span value,
		      uint64_t *field)
{
	struct span name;
	size_t i;

	while (value.length) {
		if (!next_name(&value, &name))
			return refuse_value(p, word, given);
		for (i = 0; word->choices[i] && !span_is(name, word->choices[i]); i++)
			;
		if (!word->choices[i])
			return refuse_value(p, word, given);
		*field |= (uint64_t)1 << i;
	}
	return true;
}

static bool parse_choice(const struct parser *p, const struct word *word, struct span given, struct span value,
			 uint64_t *field)
{
	for (size_t i = 0; word->choices[i]; i++) {
		if (span_is(value, word->choices[i])) {
			*field = i + 1;
			return true;
		}
	}
	return refuse_value(p, word, given);
}

/* `value` is what stands behind the '='; its text is NULL where there is none. */
static bool parse_value(struct parser *p, const struct word *word, struct span given, struct span value)
{
	char *field = (char *)p->options + word->field;
	uint64_t number = 0;

	if ((word->kind == WORD_FLAG) != !value.text || (value.text && !value.length))
		return refuse_value(p, word, given);
	switch (word->kind) {
	case WORD_FLAG:
		*(bool *)field = true;
		return true;
	case WORD_NUMBER:
		if (!parse_number(value, &number) || number < word->low || number > word->high)
			return refuse_value(p, word, given);
		break;
	case WORD_CHOICE:
		if (!parse_choice(p, word, given, value, &number))
			return false;
		break;
	case WORD_SET:
		if (!parse_set(p, word, given, value, &number))
			return false;
		break;
	case WORD_NAMES:
		return parse_names(p, word, given, value);
	}
	memcpy(field, &number, sizeof(number));
	return true;
}

static bool parse_word(struct parser *p, struct span given)
{
	struct span name = {given.text, 0}, value = {NULL, 0};

	while (name.length < given.length && name.text[name.length] != '=')
		name.length++;
	if (name.length < given.length)
		value = (struct span){given.text + name.length + 1, given.length - name.length - 1};
	for (size_t i = 0; i < NR_WORDS; i++) {
		if (!span_is(name, words[i].name))
			continue;
		if (p->seen[i] && words[i].kind != WORD_NAMES)
			return refuse_twice(p, "word", name);
		p->seen[i] = true;
		return parse_value(p, &words[i], given, value);
	}
	return refuse_unknown(p, given);
}

/* Control characters, too: a sentence that shows a word stays one line. */
static bool is_blank(char c)
{
	return (unsigned char)c <= ' ';
}

bool cmdline_parse(const char *line, struct boot_options *options, char *reason, size_t size)
{
	struct parser p = {.options = options, .reason = reason, .reason_size = size};

	memset(options, 0, sizeof(*options));
	while (*line) {
		struct span word = {line, 0};

		while (!is_blank(line[word.length]))
			word.length++;
		if (word.length && !parse_word(&p, word))
			return false;
		line += word.length + (line[word.length] != '\0');
	}
	return true;
}
