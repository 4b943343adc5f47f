/* SPDX-License-Identifier: MIT */
#include "guest/options.h"
#include "guest/abi.h"
#include "guest/text.h"
#include <trapline.h>

enum {
	OPTIONS_WORD = 80,
	OPTIONS_DEFAULT_SLICE = 20000,
	OPTIONS_DEFAULT_TIMEOUT = 4000, /* millions of ticks: a hundred times what the longest bundled guest needs */
};

#define OPTIONS_DEFAULT_MEMORY (16ull << 20)
#define OPTIONS_MOST_MEMORY    (2048ull << 20) /* below the devices, which begin at 3 GiB */

static const char *const ending_names[] = {
	[GUEST_EXIT] = "exit",
	[GUEST_SHUTDOWN] = "shutdown",
	[GUEST_HALT] = "halt",
	[GUEST_TIMEOUT] = "timeout",
	[GUEST_RESET] = "reset",
	[GUEST_POWER_OFF] = "power-off",
	[GUEST_STOP_FIRST + TL_STOP_UNDECODABLE] = "undecodable",
	[GUEST_STOP_FIRST + TL_STOP_FETCH] = "fetch",
	[GUEST_STOP_FIRST + TL_STOP_PAGE_TABLE] = "page-table",
	[GUEST_STOP_FIRST + TL_STOP_EVENT] = "event",
	[GUEST_STOP_FIRST + TL_STOP_OPERAND] = "operand",
	[GUEST_STOP_FIRST + TL_STOP_BUG] = "bug",
	[GUEST_STOP_FIRST + TL_STOP_SPURIOUS] = "spurious",
	[GUEST_STOP_FIRST + TL_STOP_DEVICE] = "device",
	[GUEST_STOP_FIRST + TL_STOP_EXIT] = "unserved-exit",
	[GUEST_STOP_FIRST + TL_STOP_ENTRY] = "entry",
	[GUEST_STOP_FIRST + TL_STOP_UNSUPPORTED] = "unsupported",
};

const char *options_ending_name(unsigned ending)
{
	return ending < sizeof(ending_names) / sizeof(ending_names[0]) ? ending_names[ending] : NULL;
}

static bool options_ending(const char *word, unsigned *ending)
{
	for (unsigned i = 0; options_ending_name(i); i++) {
		if (text_equal(word, options_ending_name(i))) {
			*ending = i;
			return true;
		}
	}
	return false;
}

static bool options_mode(const char *word, enum state_mode *mode)
{
	if (text_equal(word, "real"))
		*mode = STATE_REAL;
	else if (text_equal(word, "protected"))
		*mode = STATE_PROTECTED;
	else if (text_equal(word, "long"))
		*mode = STATE_LONG;
	else
		return false;
	return true;
}

static bool options_memory(const char *word, uint64_t *memory)
{
	return text_size(word, memory) && *memory >= 4096 && *memory % 4096 == 0 && *memory <= OPTIONS_MOST_MEMORY;
}

static bool options_between(const char *word, uint64_t least, uint64_t most, unsigned *value)
{
	uint64_t number;

	if (!text_number(word, &number) || number < least || number > most)
		return false;
	*value = (unsigned)number;
	return true;
}

static bool options_timeout(const char *word, uint64_t *ticks)
{
	uint64_t millions;

	return text_number(word, &millions) && !__builtin_mul_overflow(millions, 1000000ull, ticks);
}

/* NULL: done. Otherwise what the word's value should have been; "" if the word is unknown. */
static const char *options_word(const char *word, struct guest_options *options)
{
	const char *value;

	if ((value = text_after(word, "mem=")))
		return options_memory(value, &options->memory) ? NULL : "a multiple of 4K from 4K to 2048M";
	if ((value = text_after(word, "flat="))) {
		options->is_flat = true;
		return text_number(value, &options->flat) ? NULL : "an address";
	}
	if ((value = text_after(word, "mode=")))
		return options_mode(value, &options->mode) ? NULL : "real, protected or long";
	if ((value = text_after(word, "tag-bits=")))
		return options_between(value, 1, 19, &options->tag_bits) ? NULL : "a number from 1 to 19";
	if ((value = text_after(word, "mmio-level=")))
		return options_between(value, 1, 3, &options->mmio_level) ? NULL : "1, 2 or 3";
	if ((value = text_after(word, "generation=")))
		return text_number(value, &options->first_generation) ? NULL : "a number";
	if ((value = text_after(word, "timeout=")))
		return options_timeout(value, &options->timeout) ? NULL : "a number of million ticks";
	if ((value = text_after(word, "expect=")))
		return options_ending(value, &options->expect) ? NULL : "an ending, such as shutdown or fetch";
	if ((value = text_after(word, "vcpus=")))
		return options_between(value, 1, ABI_VCPUS, &options->vcpus) ? NULL : "a number from 1 to 64";
	if ((value = text_after(word, "slice=")))
		return text_number(value, &options->slice) && options->slice ? NULL : "a number of ticks";
	if (text_equal(word, "pc")) {
		options->is_pc = true;
		return NULL;
	}
	if (text_equal(word, "firmware")) {
		options->is_firmware = true;
		return NULL;
	}
	if (text_equal(word, "testdev")) {
		options->has_test_devices = true;
		return NULL;
	}
	if (text_equal(word, "virtio-console")) {
		options->has_virtio_console = true;
		return NULL;
	}
	if (text_equal(word, "exits")) {
		options->exits = true;
		return NULL;
	}
	if (text_equal(word, "shake")) {
		options->shake = true;
		return NULL;
	}
	if (text_equal(word, "roam")) {
		options->roam = true;
		return NULL;
	}
	if (text_equal(word, "exact")) {
		options->exact = true;
		return NULL;
	}
	if (text_equal(word, "decode-doorbells")) {
		options->decode_doorbells = true;
		return NULL;
	}
	if (text_equal(word, "manual")) {
		options->manual = true;
		return NULL;
	}
	return "";
}

/* NULL, or what is wrong with words that make no sense together. */
static const char *options_conflict(const struct guest_options *options)
{
	if (!options->is_flat && options->mode != STATE_PROTECTED)
		return "mode= is for flat images: give flat=ADDRESS too";
	if (options->is_firmware && !options->is_pc)
		return "firmware is for a PC: give pc, too";
	if (options->is_firmware && options->is_flat)
		return "firmware has its place at the end of the first 4 GiB: remove flat=";
	return NULL;
}

bool options_parse(const char *words, struct guest_options *options, char *why, size_t size)
{
	char word[OPTIONS_WORD];
	const char *wanted;

	options->memory = OPTIONS_DEFAULT_MEMORY;
	options->is_flat = false;
	options->flat = 0;
	options->mode = STATE_PROTECTED;
	options->timeout = OPTIONS_DEFAULT_TIMEOUT * 1000000ull;
	options->is_pc = options->is_firmware = options->has_test_devices = options->has_virtio_console = false;
	options->shake = false;
	options->expect = UINT32_MAX;
	options->exact = false;
	options->decode_doorbells = false;
	options->vcpus = 1;
	options->roam = false;
	options->slice = OPTIONS_DEFAULT_SLICE;
	options->command_line = "";
	while (text_next_word(&words, word, sizeof(word))) {
		if (text_equal(word, "--")) {
			while (*words == ' ')
				words++;
			options->command_line = words;
			break;
		}
		wanted = options_word(word, options);
		if (wanted) {
			text_format(why, size, "the module's word \"%s\" %s%s", word, *wanted ? "needs " : "is unknown",
				    *wanted ? wanted : ": correct or remove it");
			return false;
		}
	}
	if (options->expect == UINT32_MAX)
		options->expect = options->is_pc ? GUEST_POWER_OFF : GUEST_EXIT;
	wanted = options_conflict(options);
	if (wanted)
		text_format(why, size, "%s", wanted);
	return !wanted;
}
