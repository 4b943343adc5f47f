/* SPDX-License-Identifier: MIT */
/*
 * A target without libFuzzer: `replay FILE [RUNS]` tries each input of a packed corpus (see tools/fuzz), and then RUNS
 * inputs made from those by chance, the same ones each time.
 */
#include "tests/fuzz/fuzz.h"
#include <stdbool.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20, MOST_MUTATIONS = 8 };

struct corpus {
	uint8_t *bytes;
	size_t size;
	size_t *at; /* where each input begins, behind its length */
	size_t count;
};

static uint64_t state;

static size_t below(size_t n)
{
	return n ? (size_t)(fuzz_hash(state++) % n) : 0;
}

static _Noreturn void die(const char *file, const char *why)
{
	fprintf(stderr, "replay: %s %s\n", file, why);
	exit(2);
}

static size_t length_at(const struct corpus *corpus, size_t at)
{
	return (size_t)corpus->bytes[at] | (size_t)corpus->bytes[at + 1] << 8;
}

/* Each input stands behind its length, two bytes, the low one first. */
static void read_corpus(const char *name, struct corpus *corpus)
{
	FILE *file = fopen(name, "rb");
	size_t at = 0;

	if (!file)
		die(name, "cannot be read: run make in the project's folder");
	corpus->bytes = malloc(MOST_BYTES);
	corpus->at = malloc(MOST_BYTES / 2 * sizeof(*corpus->at));
	if (!corpus->bytes || !corpus->at)
		die(name, "does not fit into memory");
	corpus->size = fread(corpus->bytes, 1, MOST_BYTES, file);
	fclose(file);
	corpus->count = 0;
	while (at + 2 <= corpus->size) {
		corpus->at[corpus->count++] = at;
		at += 2 + length_at(corpus, at);
	}
	if (at != corpus->size || corpus->count == 0)
		die(name, "is no packed corpus: make it again with tools/fuzz distil");
}

/* A copy that ends where its memory does, so that the sanitizer sees a read beyond it. */
static void try_input(const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	memcpy(exact, bytes, size);
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

/* One input, with a few bytes changed, and the rest of another behind a part of it. */
static void try_mutant(const struct corpus *corpus)
{
	static uint8_t input[2 * UINT16_MAX];
	size_t at = corpus->at[below(corpus->count)], size = length_at(corpus, at);

	memcpy(input, corpus->bytes + at + 2, size);
	if (below(4) == 0) {
		size_t other = corpus->at[below(corpus->count)], length = length_at(corpus, other);
		size_t from = below(length + 1);

		size = below(size + 1);
		memcpy(input + size, corpus->bytes + other + 2 + from, length - from);
		size += length - from;
	}
	for (size_t i = below(MOST_MUTATIONS); size && i; i--) {
		size_t where = below(size);

		if (below(2))
			input[where] ^= (uint8_t)(1 << below(8));
		else
			input[where] = (uint8_t)below(256);
	}
	try_input(input, size);
}

int main(int argc, char **argv)
{
	unsigned long runs = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	struct corpus corpus;

	if (argc < 2)
		die("", "needs the name of a packed corpus");
	read_corpus(argv[1], &corpus);
	for (size_t i = 0; i < corpus.count; i++)
		try_input(corpus.bytes + corpus.at[i] + 2, length_at(&corpus, corpus.at[i]));
	for (unsigned long i = 0; i < runs; i++)
		try_mutant(&corpus);
	free(corpus.bytes);
	free(corpus.at);
	printf("%zu inputs of the corpus and %lu mutants\n", corpus.count, runs);
	return 0;
}
