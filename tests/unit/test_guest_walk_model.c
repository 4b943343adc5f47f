/* SPDX-License-Identifier: MIT */
/* The walk of the guest's page tables: random ones, against a model written from the SDM apart from the code. */
#include "tests/unit/guest_walk_model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

static struct {
	unsigned long ok, not_present, reserved, rights, key, not_ram, non_canonical, marked;
} counts;

/* What the tables must hold afterwards, entry by entry: that of the model with its flags set where they may be. */
static void check_entries(const struct model *m, unsigned access)
{
	for (unsigned i = 0; i < m->count; i++) {
		uint64_t wanted = m->entry[i];

		if (m->status == GUEST_WALK_OK && m->at[i] < RAM_SIZE) {
			wanted |= A;
			/* A table may be its own: then an upper entry is the leaf, too. */
			if (m->at[i] == m->at[m->count - 1] && access & GUEST_WRITE)
				wanted |= D;
		}
		counts.marked += wanted != m->entry[i];
		assert_int_equal(model_peek(m->at[i], m->size), wanted);
	}
}

static void check_trace(const struct model *m, const struct guest_walk *walk)
{
	assert_int_equal(walk->count, m->count);
	for (unsigned i = 0; i < GUEST_WALK_MAX; i++) {
		if (i < m->count)
			assert_ptr_equal(walk->entry[i], model_host(m->at[i] & ~7ull));
		else if (i > 0)
			assert_ptr_equal(walk->entry[i], walk->entry[i - 1]);
		assert_int_equal(walk->value[i], *walk->entry[i]);
	}
	assert_true(guest_walk_holds(walk));
	/* Any of them changed is seen. */
	for (unsigned i = 0; i < m->count; i++) {
		*model_host(m->at[i]) ^= 0x10;
		assert_false(guest_walk_holds(walk));
		*model_host(m->at[i]) ^= 0x10;
	}
}

static void check_walk(const struct guest_paging *p, uint64_t linear, unsigned access)
{
	struct model m;
	struct guest_walk walk;
	enum guest_walk_status status;

	model_walk(&m, p, linear, access);
	status = guest_walk(guest_map(), p, linear, access, &walk);
	assert_int_equal(status, m.status);
	if (status == GUEST_WALK_OK || status == GUEST_WALK_TABLE_NOT_RAM)
		assert_int_equal(walk.gpa, m.gpa);
	if (status == GUEST_WALK_FAULT)
		assert_int_equal(walk.error_code, m.error_code);
	check_entries(&m, access);
	if (status == GUEST_WALK_OK)
		check_trace(&m, &walk);

	counts.ok += status == GUEST_WALK_OK;
	counts.not_ram += status == GUEST_WALK_TABLE_NOT_RAM;
	counts.non_canonical += status == GUEST_WALK_NON_CANONICAL;
	if (status == GUEST_WALK_FAULT) {
		counts.not_present += !(m.error_code & 1);
		counts.reserved += (m.error_code & 8) != 0;
		counts.key += (m.error_code & 32) != 0;
		counts.rights += (m.error_code & (1 | 8 | 32)) == 1;
	}
}

static void poke(uint64_t gpa, unsigned size, uint64_t value)
{
	memcpy(model_host(gpa), &value, size);
}

static bool chance(unsigned percent)
{
	return random_below(100) < percent;
}

/* Mostly such that the walk goes on: most of what may be wrong is wrong now and then. */
static uint64_t random_entry(uint64_t next, unsigned size)
{
	uint64_t entry = next | (chance(96) ? P : 0) | (chance(80) ? W : 0) | (chance(75) ? U : 0);

	entry |= (chance(60) ? A : 0) | (chance(50) ? D : 0) | (chance(15) ? PS : 0) | random_below(8) << 9;
	if (chance(10))
		entry |= random_below(2) << 12 | random_below(256) << 13;
	if (size == 8) {
		entry |= chance(15) ? NX : 0;
		entry |= chance(30) ? random_below(16) << 59 : 0;
		entry |= chance(5) ? random_below(128) << 52 : 0;
		entry |= chance(3) ? BIT(32 + random_below(20)) : 0;
	}
	return size == 4 ? (uint32_t)entry : entry;
}

static uint64_t random_table(void)
{
	if (chance(97))
		return random_below(RAM_SIZE / 4096) * 4096;
	return chance(50) ? ROM_AT : chance(50) ? MMIO_AT : HOLE_AT;
}

static void random_paging(struct guest_paging *p)
{
	enum mode mode = (enum mode)random_below(NR_MODES);

	*p = (struct guest_paging){
		.cr0 = (chance(60) ? WP : 0) | (mode != MODE_NONE ? PG : 0) | 1,
		.cr3 = random_table() | random_below(32),
		.cr4 = (chance(30) ? SMEP : 0) | (chance(30) ? SMAP : 0) | (chance(50) ? PSE : 0),
		.efer = chance(70) ? NXE : 0,
		.pkru = (uint32_t)(random_next() & random_next()),
		.pkrs = (uint32_t)(random_next() & random_next()),
		.cpl = chance(50) ? 3 : (uint8_t)random_below(3),
		.rflags_ac = chance(50),
		.pages_1g = chance(50),
		.maxphyaddr = (uint8_t)(32 + random_below(21)),
	};
	if (mode >= MODE_PAE)
		p->cr4 |= PAE;
	if (mode >= MODE_4) {
		p->efer |= LMA;
		p->cr4 |= (chance(40) ? PKE : 0) | (chance(40) ? PKS : 0) | (mode == MODE_5 ? LA57 : 0);
	}
	for (unsigned i = 0; i < 4; i++)
		p->pdpte[i] = random_table() | (chance(95) ? P : 0);
}

static uint64_t random_linear(void)
{
	uint64_t linear = random_next();

	switch (random_below(4)) {
	case 0:
		return (uint32_t)linear;
	case 1:
		return (uint64_t)((int64_t)linear >> 16);
	case 2:
		return (uint64_t)((int64_t)linear >> 7);
	default:
		return chance(10) ? linear : linear & 0x7fffffffffff;
	}
}

static void agrees_with_the_model(void **context)
{
	static const unsigned kinds[] = {GUEST_READ, GUEST_WRITE, GUEST_FETCH};

	(void)context;
	random_seed(1);
	for (unsigned round = 0; round < 120; round++) {
		struct guest_paging p = {0};
		unsigned size;

		random_paging(&p);
		size = model_mode(&p) == MODE_32 ? 4 : 8;
		for (uint64_t at = 0; at < RAM_SIZE; at += size)
			poke(at, size, random_entry(random_table(), size));
		for (unsigned i = 0; i < 4096; i += size)
			poke(ROM_AT + i, size, random_entry(random_table(), size));
		for (unsigned i = 0; i < 4000; i++) {
			unsigned access = kinds[random_below(3)];

			/* The tables stay, the rights change. */
			if (i % 16 == 0) {
				struct guest_paging next;

				do
					random_paging(&next);
				while (model_mode(&next) != model_mode(&p));
				p = next;
			}
			if (access != GUEST_FETCH && chance(15))
				access |= GUEST_IMPLICIT;
			check_walk(&p, random_linear(), access);
		}
	}
	print_message("%lu allowed, %lu not present, %lu reserved bits, %lu rights, %lu keys, %lu tables not in RAM, "
		      "%lu not canonical; %lu entries marked\n",
		      counts.ok, counts.not_present, counts.reserved, counts.rights, counts.key, counts.not_ram,
		      counts.non_canonical, counts.marked);
	assert_true(counts.ok > 10000 && counts.not_present > 1000 && counts.reserved > 1000 && counts.rights > 1000);
	assert_true(counts.key > 1000 && counts.not_ram > 1000 && counts.non_canonical > 1000 && counts.marked > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_model)};

	return cmocka_run_group_tests(tests, guest_memory_start, guest_memory_stop);
}
