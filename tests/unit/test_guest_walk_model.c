/* SPDX-License-Identifier: MIT */
/* The walk of the guest's page tables: random ones, against a model written from the SDM apart from the code. */
#include "mmu/guest_walk.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

/* The guest's memory: 64 pages of RAM at 0, one of ROM, a device; everything else is a hole. */
enum { RAM_SIZE = 64 * 4096, ROM_AT = 0x100000, MMIO_AT = 0x200000, HOLE_AT = 0x300000 };

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX BIT(63)

#define WP   BIT(16)
#define PG   BIT(31)
#define PSE  BIT(4)
#define PAE  BIT(5)
#define LA57 BIT(12)
#define SMEP BIT(20)
#define SMAP BIT(21)
#define PKE  BIT(22)
#define PKS  BIT(24)
#define LMA  BIT(10)
#define NXE  BIT(11)

static struct tl_vm *vm;
static uint8_t *ram, *rom;

static const struct map *map_now(void)
{
	return atomic_load(&vm->map);
}

static uint8_t *host(uint64_t gpa)
{
	if (gpa < RAM_SIZE)
		return ram + gpa;
	if (gpa >= ROM_AT && gpa < ROM_AT + 4096)
		return rom + (gpa - ROM_AT);
	return NULL;
}

static uint64_t peek(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, host(gpa), size);
	return value;
}

static void poke(uint64_t gpa, unsigned size, uint64_t value)
{
	memcpy(host(gpa), &value, size);
}

/* ---- The model ------------------------------------------------------------------------------------------------------ */

enum mode { MODE_NONE, MODE_32, MODE_PAE, MODE_4, MODE_5, NR_MODES };

struct model {
	enum guest_walk_status status;
	uint32_t error_code;
	uint64_t gpa;
	unsigned count, size;
	uint64_t at[5], entry[5];
	unsigned shift; /* of the leaf */
};

static enum mode mode_of(const struct guest_paging *p)
{
	if (!(p->cr0 & PG))
		return MODE_NONE;
	if (p->efer & LMA)
		return p->cr4 & LA57 ? MODE_5 : MODE_4;
	return p->cr4 & PAE ? MODE_PAE : MODE_32;
}

/* SDM vol. 3, tables 4-4 to 4-20: is `bit` reserved in a present entry that maps 2^shift bytes, or names a table of such? */
static bool bit_is_reserved(const struct guest_paging *p, enum mode mode, unsigned shift, bool leaf, unsigned bit)
{
	if (mode == MODE_32) {
		unsigned width = p->maxphyaddr < 40 ? p->maxphyaddr : 40;

		return leaf && shift == 22 && bit <= 21 && bit >= width - 19;
	}
	if (bit == 63)
		return !(p->efer & NXE);
	if (bit >= 52)
		return mode == MODE_PAE;
	if (bit >= p->maxphyaddr)
		return true;
	if (bit == 7)
		return shift >= 39 || (shift == 30 && !p->pages_1g);
	return leaf && shift > 12 && bit >= 13 && bit < shift;
}

/* SDM vol. 3, 4.6.1, case by case. */
static bool access_allowed(const struct guest_paging *p, const struct model *m, unsigned access)
{
	bool user_page = true, writable = true, no_execute = false;
	bool implicit = access & GUEST_IMPLICIT, user = p->cpl == 3 && !implicit;

	for (unsigned i = 0; i < m->count; i++) {
		user_page = user_page && m->entry[i] & U;
		writable = writable && m->entry[i] & W;
		no_execute = no_execute || m->entry[i] & NX;
	}
	if (user) {
		if (!user_page)
			return false;
		if (access & GUEST_FETCH)
			return !no_execute;
		return access & GUEST_WRITE ? writable : true;
	}
	if (access & GUEST_FETCH) {
		if (user_page && p->cr4 & SMEP)
			return false;
		return !no_execute;
	}
	if (user_page && p->cr4 & SMAP && (implicit || !p->rflags_ac))
		return false;
	if (access & GUEST_WRITE && p->cr0 & WP)
		return writable;
	return true;
}

/* SDM vol. 3, 4.6.2. */
static bool key_allows(const struct guest_paging *p, const struct model *m, unsigned access)
{
	bool user_page = true, user = p->cpl == 3 && !(access & GUEST_IMPLICIT), access_disable, write_disable;
	unsigned key = (unsigned)(m->entry[m->count - 1] >> 59) & 15;
	uint32_t rights;

	for (unsigned i = 0; i < m->count; i++)
		user_page = user_page && m->entry[i] & U;
	if (!(p->efer & LMA) || access & GUEST_FETCH)
		return true;
	if (user_page ? !(p->cr4 & PKE) : !(p->cr4 & PKS))
		return true;
	rights = user_page ? p->pkru : p->pkrs;
	access_disable = rights & 1u << (2 * key);
	write_disable = rights & 2u << (2 * key);
	if (access_disable)
		return false;
	if (!write_disable || !(access & GUEST_WRITE))
		return true;
	if (user_page && user)
		return false;
	return !(p->cr0 & WP);
}

static void model_fault(struct model *m, const struct guest_paging *p, unsigned access, uint32_t cause)
{
	m->status = GUEST_WALK_FAULT;
	m->error_code = cause;
	if (access & GUEST_WRITE)
		m->error_code |= 2;
	if (p->cpl == 3 && !(access & GUEST_IMPLICIT))
		m->error_code |= 4;
	if (access & GUEST_FETCH) {
		if ((p->cr4 & PAE && p->efer & NXE) || p->cr4 & SMEP)
			m->error_code |= 16;
	}
}

/* One level; true when the walk is over. */
static bool model_level(struct model *m, const struct guest_paging *p, enum mode mode, uint64_t table, unsigned shift,
			uint64_t linear, unsigned access)
{
	uint64_t index = linear >> shift & (mode == MODE_32 ? 1023 : 511);
	uint64_t at = table + index * m->size, entry;
	bool leaf;

	if (!host(at)) {
		m->status = GUEST_WALK_TABLE_NOT_RAM;
		m->gpa = at;
		return true;
	}
	entry = peek(at, m->size);
	m->at[m->count] = at;
	m->entry[m->count] = entry;
	if (!(entry & P)) {
		model_fault(m, p, access, 0);
		return true;
	}
	leaf = shift == 12 || (entry & PS && (mode != MODE_32 || p->cr4 & PSE));
	for (unsigned bit = 1; bit < 64; bit++) {
		if (entry >> bit & 1 && bit_is_reserved(p, mode, shift, leaf, bit) && !(shift == 12 && bit == 7)) {
			model_fault(m, p, access, 1 | 8);
			return true;
		}
	}
	m->count++;
	m->shift = shift;
	if (!leaf)
		return false;
	m->gpa = (entry & 0xffffffffff000 & ~(BIT(shift) - 1)) | (linear & (BIT(shift) - 1));
	if (mode == MODE_32 && shift == 22)
		m->gpa = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (linear & 0x3fffff);
	m->status = GUEST_WALK_OK;
	if (!access_allowed(p, m, access) || !key_allows(p, m, access))
		model_fault(m, p, access, 1 | (key_allows(p, m, access) ? 0 : 32));
	return true;
}

static void model_walk(struct model *m, const struct guest_paging *p, uint64_t linear, unsigned access)
{
	static const unsigned first_shift[NR_MODES] = {[MODE_32] = 22, [MODE_PAE] = 21, [MODE_4] = 39, [MODE_5] = 48};
	enum mode mode = mode_of(p);
	uint64_t table = p->cr3 & 0xffffffffff000;

	*m = (struct model){.size = mode == MODE_32 ? 4 : 8};
	if (!(p->efer & LMA)) {
		linear &= 0xffffffff;
	} else {
		uint64_t top = (uint64_t)((int64_t)linear >> (p->cr4 & LA57 ? 56 : 47));

		if (top != 0 && top != ~0ull) {
			m->status = GUEST_WALK_NON_CANONICAL;
			return;
		}
	}
	if (mode == MODE_NONE) {
		m->gpa = linear;
		return;
	}
	if (mode == MODE_32)
		table &= 0xfffff000;
	if (mode == MODE_PAE) {
		uint64_t pdpte = p->pdpte[linear >> 30];

		if (!(pdpte & P)) {
			model_fault(m, p, access, 0);
			return;
		}
		table = pdpte & 0xffffffffff000;
	}
	for (unsigned shift = first_shift[mode];; shift -= mode == MODE_32 ? 10 : 9) {
		if (model_level(m, p, mode, table, shift, linear, access))
			return;
		table = m->entry[m->count - 1] & 0xffffffffff000;
	}
}

/* ---- Comparison ------------------------------------------------------------------------------------------------------ */

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
		assert_int_equal(peek(m->at[i], m->size), wanted);
	}
}

static void check_trace(const struct model *m, const struct guest_walk *walk)
{
	assert_int_equal(walk->count, m->count);
	for (unsigned i = 0; i < GUEST_WALK_MAX; i++) {
		if (i < m->count)
			assert_ptr_equal(walk->entry[i], host(m->at[i] & ~7ull));
		else if (i > 0)
			assert_ptr_equal(walk->entry[i], walk->entry[i - 1]);
		assert_int_equal(walk->value[i], *walk->entry[i]);
	}
	assert_true(guest_walk_holds(walk));
	/* Any of them changed is seen. */
	for (unsigned i = 0; i < m->count; i++) {
		*host(m->at[i]) ^= 0x10;
		assert_false(guest_walk_holds(walk));
		*host(m->at[i]) ^= 0x10;
	}
}

static void check_walk(const struct guest_paging *p, uint64_t linear, unsigned access)
{
	struct model m;
	struct guest_walk walk;
	enum guest_walk_status status;

	model_walk(&m, p, linear, access);
	status = guest_walk(map_now(), p, linear, access, &walk);
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

/* ---- Random tables ----------------------------------------------------------------------------------------------------- */

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
		size = mode_of(&p) == MODE_32 ? 4 : 8;
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
				while (mode_of(&next) != mode_of(&p));
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

static int start(void **context)
{
	enum tl_status status;
	struct tl_edit *edit;
	struct tl_range ranges[] = {
		{.kind = TL_RANGE_RAM, .start = 0, .size = RAM_SIZE},
		{.kind = TL_RANGE_ROM, .start = ROM_AT, .size = 4096},
		{.kind = TL_RANGE_MMIO, .start = MMIO_AT, .size = 4096},
	};

	(void)context;
	hosted_start();
	ranges[0].host = ram = hosted_memory(0);
	ranges[1].host = rom = hosted_memory(RAM_SIZE);
	vm = tl_vm_create(NULL, &status);
	if (!vm)
		return -1;
	edit = tl_map_edit(vm);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(tl_map_add(edit, &ranges[i], NULL), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	return 0;
}

static int stop(void **context)
{
	(void)context;
	return tl_vm_destroy(vm) == TL_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_model)};

	return cmocka_run_group_tests(tests, start, stop);
}
