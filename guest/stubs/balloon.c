/* SPDX-License-Identifier: MIT */
/*
 * RAM that comes and goes while it is used: ranges are added, removed, moved, resized, swapped and made ROM and RAM
 * again, by the host between two exits, or by the callback of the n-th device access from now. Each page holds what was
 * written there last, wherever the range stands; where no range stands is the hole; ROM drops writes. The very next
 * access after a commit must see the new map. With several vCPUs the first one has a range come and go while the others
 * use a second one, which must not be touched by that, and look at the first.
 */
#include "guest/stubs/libsmp.h"

enum {
	DEFAULT_CHANGES = 400,
	ACCESSES_BETWEEN = 60,
	NR_PLACES = 4,
	LONGEST_PLAN = 12,
	WORDS_A_PAGE = 512,
};

/* Each large enough for a range, and so aligned that it is mapped by one leaf. */
static uint64_t place(unsigned i)
{
	return DEVICE_MEMORY0_AT + (uint64_t)i * (2 * ABI_MEMORY_SIZE);
}

struct memory {
	enum abi_device_id id;
	bool present, rom;
	unsigned place;
	uint32_t size;
	uint64_t version[ABI_MEMORY_PAGES]; /* 0: never written */
};

static struct memory memories[] = {{.id = DEVICE_MEMORY0, .place = 0, .size = ABI_MEMORY_SIZE},
				   {.id = DEVICE_MEMORY1, .place = 1, .size = ABI_MEMORY_SIZE}};

enum { NR_MEMORIES = sizeof(memories) / sizeof(memories[0]) };

static uint64_t word_of(const struct memory *m, unsigned page, unsigned word)
{
	return m->version[page] ? (m->version[page] * WORDS_A_PAGE + word) * 0x9e3779b97f4a7c15 + (uint64_t)m->id : 0;
}

static struct memory *memory_at(unsigned where)
{
	for (unsigned i = 0; i < NR_MEMORIES; i++)
		if (memories[i].present && memories[i].place == where)
			return &memories[i];
	return NULL;
}

static void write_page(struct memory *m, unsigned page)
{
	static uint64_t versions;
	uint64_t at = place(m->place) + page * 4096ull;

	m->version[page] = ++versions;
	for (unsigned word = 0; word < WORDS_A_PAGE; word++)
		write64(at + 8 * word, word_of(m, page, word));
}

/* One access, and what it must give. */
static void check_access(unsigned where, unsigned page)
{
	unsigned word = lib_random_below(WORDS_A_PAGE);
	uint64_t at = place(where) + page * 4096ull + 8 * word;
	struct memory *m = memory_at(where);

	if (m && page < m->size / 4096) {
		CHECK_EQUAL(read64(at), word_of(m, page, word));
		if (m->rom) {
			write64(at, ~word_of(m, page, word));
			CHECK_EQUAL(read64(at), word_of(m, page, word));
		} else if (lib_random_below(4) == 0) {
			write_page(m, page);
		}
	} else {
		write64(at, 0x1111111111111111);
		CHECK_EQUAL(read64(at), ~0ull);
	}
}

static void check_everything(void)
{
	for (unsigned i = 0; i < NR_MEMORIES; i++) {
		const struct memory *m = &memories[i];

		for (unsigned page = 0; m->present && page < m->size / 4096; page++)
			for (unsigned word = 0; word < WORDS_A_PAGE; word++)
				CHECK_EQUAL(read64(place(m->place) + page * 4096ull + 8 * word),
					    word_of(m, page, word));
	}
}

/* What a change makes of the model; its operand. */
static uint64_t follow(struct memory *m, struct memory *other, enum abi_edit edit)
{
	unsigned where;

	switch (edit) {
	case EDIT_ADD:
	case EDIT_MOVE:
	case EDIT_REPLACE:
		do
			where = lib_random_below(NR_PLACES);
		while (memory_at(where) && memory_at(where) != m);
		m->rom &= edit == EDIT_MOVE;
		m->present = true;
		m->place = where;
		return place(where);
	case EDIT_REMOVE:
		m->present = false;
		return 0;
	case EDIT_RESIZE:
		m->size = (1 + lib_random_below(ABI_MEMORY_PAGES)) * 4096;
		return m->size;
	case EDIT_SWAP:
		where = m->place;
		m->place = other->place;
		other->place = where;
		return 0;
	default:
		m->rom = !m->rom;
		return m->rom;
	}
}

static void change(void)
{
	static const enum abi_edit edits[] = {EDIT_REMOVE, EDIT_MOVE, EDIT_REPLACE,
					      EDIT_RESIZE, EDIT_SWAP, EDIT_PROTECT};
	unsigned index = lib_random_below(NR_MEMORIES);
	struct memory *m = &memories[index], *other = &memories[1 - index];
	enum abi_edit edit = edits[lib_random_below(sizeof(edits) / sizeof(edits[0]))];
	uint64_t plan = lib_random_below(3) ? 0 : 1 + lib_random_below(LONGEST_PLAN);
	uint64_t devices = m->id | (uint64_t)other->id << 32, operand, status;

	if (!m->present)
		edit = EDIT_ADD;
	else if (edit == EDIT_SWAP && !other->present)
		edit = EDIT_MOVE;
	operand = follow(m, other, edit);
	/* What cannot be seen before it is committed: a plan's accesses go to the device alone. */
	status = vmcall(HC_EDIT, edit, devices, operand, plan);
	CHECK_EQUAL(status, 0);
	for (uint64_t i = 0; i < plan; i++)
		read32(DEVICE_BANK0_AT);
	if (plan)
		CHECK((int64_t)vmcall(HC_PLAN_STATUS, 0, 0, 0, 0) >= 0);
}

static uint64_t changes;
static uint64_t over;

/* Every page of the range that comes and goes says the same, in each word. */
static const uint64_t there = 0x600df00d600df00d;

static void come_and_go(void)
{
	for (uint64_t i = 0; i < changes; i++) {
		uint64_t word = place(0) + (smp_random(0) % (ABI_MEMORY_SIZE / 8)) * 8;

		CHECK_EQUAL(read64(word), there);
		CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_MEMORY0, 0), 0);
		CHECK_EQUAL(read64(word), ~0ull);
		CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY0, place(0)), 0);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
}

/* Its own words of the range that stays, and whatever word of the other. */
static void use(unsigned index)
{
	uint64_t values[8] = {0};

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint64_t slot = smp_random(index) % 8, at = place(1) + slot * 5 * 4096 + 8 * index;
		uint64_t seen = read64(place(0) + (smp_random(index) % (ABI_MEMORY_SIZE / 8)) * 8);

		CHECK(seen == there || seen == ~0ull);
		CHECK_EQUAL(read64(at), values[slot]);
		values[slot] = smp_random(index);
		write64(at, values[slot]);
		smp_pause();
	}
}

static void together(unsigned index)
{
	smp_barrier();
	if (index == 0)
		come_and_go();
	else
		use(index);
}

static void use_together(void)
{
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY0, place(0)), 0);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY1, place(1)), 0);
	for (uint64_t at = place(0); at < place(0) + ABI_MEMORY_SIZE; at += 8)
		write64(at, there);
	smp_run(together);
}

int main(const struct mb1_info *info)
{
	changes = lib_number(info, "changes=", DEFAULT_CHANGES);
	if (smp_vcpus() > 1) {
		use_together();
		return 0;
	}

	for (uint64_t i = 0; i < changes; i++) {
		change();
		for (unsigned j = 0; j < ACCESSES_BETWEEN; j++)
			check_access(lib_random_below(NR_PLACES), lib_random_below(ABI_MEMORY_PAGES));
		if (i % 64 == 63)
			check_everything();
	}
	check_everything();
	return 0;
}
