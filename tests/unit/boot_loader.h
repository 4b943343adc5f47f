/* SPDX-License-Identifier: MIT */
/*
 * A boot loader in a test: what it says about a machine, in both forms of Multiboot, in a window of simulated physical
 * memory; and the parser's answer to it.
 */
#ifndef UNIT_BOOT_LOADER_H
#define UNIT_BOOT_LOADER_H

#include "boot/multiboot.h"

enum { LOADER_WINDOW = 0x10000, LOADER_WINDOW_SIZE = 0x4000 }; /* all that the parser may read */
enum { LOADER_IMAGE_START = 0x100000, LOADER_IMAGE_END = 0x140000 };

struct loader {
	uint8_t window[LOADER_WINDOW_SIZE];
	uint32_t used; /* bytes of the window */
	uint64_t limit;
	/* What the parser made of it. */
	struct boot_info info;
	char reason[1024];
};

extern struct loader loader;

struct loader_machine {
	const char *name, *line;
	struct boot_memory map[BOOT_MAP_MAX + 1];
	unsigned nr_map;
	struct boot_module modules[BOOT_MODULES_MAX + 1];
	unsigned nr_modules;
};

/* A machine that has to be accepted. */
extern const struct loader_machine loader_ordinary;

/* Empties the window and sets a limit of 2^39. Also a cmocka set-up function. */
int loader_clear(void **context);

/* Puts bytes behind those in the window and returns their physical address. */
uint32_t loader_put(const void *bytes, size_t size);
/* The bytes at an address of the window. */
void *loader_at(uint32_t physical);
/* Puts one tag of Multiboot 2: its head, then its body, then padding. */
void loader_put_tag(uint32_t type, const void *head, size_t head_size, const void *body, size_t size);

/* Describe a machine in the window, and return the address that the loader would pass in EBX. */
uint32_t loader_tell1(const struct loader_machine *machine);
uint32_t loader_tell2(const struct loader_machine *machine);

/* Parses what lies in the window; `form` is 1 or 2; 0: by no Multiboot loader. */
bool loader_parse(int form, uint32_t address);
/* The same from an empty window and a machine. */
bool loader_parse_machine(int form, const struct loader_machine *machine);

/* The parser has to refuse, in one sentence with these words in it. */
#define assert_refused(parsed, words)                                                 \
	do {                                                                          \
		assert_false(parsed);                                                 \
		if (!strstr(loader.reason, words))                                    \
			fail_msg("\"%s\" does not say \"%s\"", loader.reason, words); \
		assert_int_equal(loader.reason[strlen(loader.reason) - 1], '.');      \
	} while (0)

#endif
