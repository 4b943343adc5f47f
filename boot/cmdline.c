/* SPDX-License-Identifier: MIT */
#include "boot/cmdline.h"

#include "boot/cmdline_words.h"
#include "boot/libc.h"

struct parser {
	struct boot_options *options;
	char *reason;
	size_t reason_size;
	uint64_t seen; /* a bit for each word */
};

static bool refuse_unknown(const struct parser *p, struct span given, struct span name)
{
	const struct word *word = word_nearest(name);
	size_t at = word_append(p->reason, p->reason_size, 0, "the command line has the unknown word \"%.*s\"",
				(int)given.length, given.text);

	if (word) {
		at = word_append(p->reason, p->reason_size, at, "; the nearest is ");
		at = word_append_usage(p->reason, p->reason_size, at, word);
	}
	at = word_append(p->reason, p->reason_size, at, "; known are");
	for (size_t i = 0; (word = word_at(i)); i++) {
		at = word_append(p->reason, p->reason_size, at, "%s ", i ? "," : "");
		at = word_append_usage(p->reason, p->reason_size, at, word);
	}
	word_append(p->reason, p->reason_size, at, ".");
	return false;
}

/* `choice`: what of a set or of choices is unknown; its text is NULL where that is not what is wrong. */
static bool refuse_value(const struct parser *p, const struct word *word, struct span given, struct span choice)
{
	const char *nearest = choice.text ? word_nearest_choice(word, choice) : NULL;
	size_t at = word_append(p->reason, p->reason_size, 0,
				"the command line's word \"%.*s\" is malformed or out of range; ", (int)given.length,
				given.text);

	if (nearest)
		at = word_append(p->reason, p->reason_size, at, "the nearest to \"%.*s\" is %s; ", (int)choice.length,
				 choice.text, nearest);
	at = word_append(p->reason, p->reason_size, at, "write ");
	at = word_append_usage(p->reason, p->reason_size, at, word);
	at = word_append_choices(p->reason, p->reason_size, at, word);
	word_append(p->reason, p->reason_size, at, ".");
	return false;
}

static bool refuse_twice(const struct parser *p, const char *what, struct span name)
{
	word_append(p->reason, p->reason_size, 0, "the command line has the %s \"%.*s\" twice; give it once.", what,
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

/* A number that K, M or G may follow. */
static bool parse_size(struct span text, uint64_t *value)
{
	char last = text.length ? text.text[text.length - 1] : '\0';
	unsigned shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;

	text.length -= shift != 0;
	if (!parse_number(text, value) || *value << shift >> shift != *value)
		return false;
	*value <<= shift;
	return true;
}

static bool add_guest(struct parser *p, struct span name)
{
	struct boot_options *options = p->options;

	for (size_t i = 0; i < options->nr_guests; i++)
		if (span_is(name, options->guests[i]))
			return refuse_twice(p, "guest", name);
	if (options->nr_guests == CMDLINE_GUESTS_MAX) {
		word_append(p->reason, p->reason_size, 0, "the command line names more than %d guests; name fewer.",
			    CMDLINE_GUESTS_MAX);
		return false;
	}
	if (name.length >= CMDLINE_NAME_MAX) {
		word_append(p->reason, p->reason_size, 0, "the guest's name \"%.*s\" is longer than %d characters.",
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

static const struct span nothing = {NULL, 0};

static bool parse_names(struct parser *p, const struct word *word, struct span given, struct span value)
{
	struct span name;

	while (value.length) {
		if (!next_name(&value, &name))
			return refuse_value(p, word, given, nothing);
		if (!add_guest(p, name))
			return false;
	}
	return true;
}

/* Which of the word's choices it is; false: none. */
static bool find_choice(const struct word *word, struct span name, size_t *index)
{
	for (*index = 0; word->choices[*index]; (*index)++)
		if (span_is(name, word->choices[*index]))
			return true;
	return false;
}

static bool parse_set(const struct parser *p, const struct word *word, struct span given, struct span value,
		      uint64_t *field)
{
	struct span name;
	size_t index;

	while (value.length) {
		if (!next_name(&value, &name))
			return refuse_value(p, word, given, nothing);
		if (!find_choice(word, name, &index))
			return refuse_value(p, word, given, name);
		*field |= (uint64_t)1 << index;
	}
	return true;
}

static bool parse_choice(const struct parser *p, const struct word *word, struct span given, struct span value,
			 uint64_t *field)
{
	size_t index;

	if (!find_choice(word, value, &index))
		return refuse_value(p, word, given, value);
	*field = index + 1;
	return true;
}

static bool parse_range(struct parser *p, const struct word *word, struct span given, struct span value)
{
	struct boot_options *options = p->options;
	struct hand_range *range = &options->ranges[options->nr_ranges];
	struct span start, bytes, kind;
	size_t index;

	if (options->nr_ranges == ABI_HANDS) {
		word_append(p->reason, p->reason_size, 0,
			    "the command line has more than %d ranges by hand; leave some out.", ABI_HANDS);
		return false;
	}
	if (!next_name(&value, &start) || !next_name(&value, &bytes) || !next_name(&value, &kind) || value.length ||
	    !parse_size(start, &range->start) || !parse_size(bytes, &range->size))
		return refuse_value(p, word, given, nothing);
	if (!find_choice(word, kind, &index))
		return refuse_value(p, word, given, kind);
	range->kind = (enum abi_hand_kind)index;
	options->nr_ranges++;
	return true;
}

/* `value` is what stands behind the '='; its text is NULL where there is none. */
static bool parse_value(struct parser *p, const struct word *word, struct span given, struct span value)
{
	char *field = (char *)p->options + word->field;
	uint64_t number = 0;

	if (word->kind == WORD_SET && word->high && !value.text) {
		memcpy(field, &word->high, sizeof(word->high));
		return true;
	}
	if ((word->kind == WORD_FLAG) != !value.text || (value.text && !value.length))
		return refuse_value(p, word, given, nothing);
	switch (word->kind) {
	case WORD_FLAG:
		*(bool *)field = true;
		return true;
	case WORD_NUMBER:
		if (!parse_number(value, &number) || number < word->low || number > word->high)
			return refuse_value(p, word, given, nothing);
		break;
	case WORD_SIZE:
		if (!parse_size(value, &number) || number < word->low || number > word->high || number % word->low)
			return refuse_value(p, word, given, nothing);
		break;
	case WORD_EITHER:
		if (parse_number(value, &number) && number >= word->low && number <= word->high)
			break;
		/* fall through */
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
	case WORD_RANGE:
		return parse_range(p, word, given, value);
	}
	memcpy(field, &number, sizeof(number));
	return true;
}

static bool parse_word(struct parser *p, struct span given)
{
	struct span name = {given.text, 0}, value = nothing;
	const struct word *word;

	while (name.length < given.length && name.text[name.length] != '=')
		name.length++;
	if (name.length < given.length)
		value = (struct span){given.text + name.length + 1, given.length - name.length - 1};
	for (size_t i = 0; (word = word_at(i)); i++) {
		if (!span_is(name, word->name))
			continue;
		if (p->seen & (uint64_t)1 << i && word->kind != WORD_NAMES && word->kind != WORD_RANGE)
			return refuse_twice(p, "word", name);
		p->seen |= (uint64_t)1 << i;
		return parse_value(p, word, given, value);
	}
	return refuse_unknown(p, given, name);
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
