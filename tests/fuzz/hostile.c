/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/hostile.h"
#include "tests/fuzz/hostile_wrap.h"
#include <string.h>

enum { BLOCK = 256 /* bytes compared at once: each byte by itself is slow under the sanitizer */ };

struct hostile hostile;
struct hostile_watched hostile_watched;
static unsigned next_change, countdown;

/* The functions here are called before any access to the memory, so their own must not be watched. */
#define UNWATCHED __attribute__((no_sanitize("address")))

UNWATCHED static void change_word(uint8_t *memory, uint64_t value, uint64_t mask)
{
	uint64_t *word = (uint64_t *)(void *)memory;

	*word = (*word & ~mask) | (value & mask);
}

UNWATCHED static void change_at(size_t word, uint64_t value, uint64_t mask)
{
	change_word(hostile.memory + word * 8, value, mask);
	change_word(hostile.shadow + word * 8, value, mask);
	hostile.changes++;
}

UNWATCHED void hostile_poke(size_t word, uint64_t value, uint64_t mask)
{
	change_at(word % (hostile.size / 8), value, mask);
}

UNWATCHED static void begin_countdown(void)
{
	countdown = next_change < hostile.nr_changes ? hostile.change[next_change].after + 1u : 0;
}

UNWATCHED void hostile_accessed(uintptr_t at, bool store)
{
	const struct hostile_change *change = &hostile.change[next_change];

	if (store)
		hostile.stores++;
	else
		hostile.loads++;
	if (countdown == 0 || --countdown != 0)
		return;
	if (change->word == HOSTILE_HERE)
		change_at((at - (uintptr_t)hostile.memory) / 8, change->value, change->mask);
	else
		hostile_poke(change->word, change->value, change->mask);
	next_change++;
	begin_countdown();
}

void hostile_arm(void)
{
	next_change = 0;
	hostile.loads = hostile.stores = hostile.changes = 0;
	begin_countdown();
	hostile_resume();
}

void hostile_resume(void)
{
	hostile_watched = (struct hostile_watched){(uintptr_t)hostile.memory, hostile.size};
}

void hostile_disarm(void)
{
	hostile_watched.size = 0;
}

void hostile_each_difference(hostile_look_fn look, void *context)
{
	for (size_t block = 0; block < hostile.size; block += BLOCK) {
		if (memcmp(hostile.memory + block, hostile.shadow + block, BLOCK) == 0)
			continue;
		for (size_t i = block; i < block + BLOCK; i++)
			if (hostile.memory[i] != hostile.shadow[i])
				look(i, hostile.shadow[i], hostile.memory[i], context);
	}
}
