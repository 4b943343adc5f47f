/* SPDX-License-Identifier: MIT */
#include "tests/unit/guest_walk_model.h"
#include <string.h>

uint8_t *model_host(uint64_t gpa)
{
	if (gpa < RAM_SIZE)
		return ram + gpa;
	if (gpa >= ROM_AT && gpa < ROM_AT + 4096)
		return rom + (gpa - ROM_AT);
	return NULL;
}

uint64_t model_peek(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, model_host(gpa), size);
	return value;
}

enum mode model_mode(const struct guest_paging *p)
{
	if (!(p->cr0 & PG))
		return MODE_NONE;
	if (p->efer & LMA)
		return p->cr4 & LA57 ? MODE_5 : MODE_4;
	return p->cr4 & PAE ? MODE_PAE : MODE_32;
}

/* SDM vol. 3, tables 4-4 to 4-20: is `bit` reserved in a present entry that maps 2^shift bytes, or names a table of
 * such? */
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

	if (!model_host(at)) {
		m->status = GUEST_WALK_TABLE_NOT_RAM;
		m->gpa = at;
		return true;
	}
	entry = model_peek(at, m->size);
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

void model_walk(struct model *m, const struct guest_paging *p, uint64_t linear, unsigned access)
{
	static const unsigned first_shift[NR_MODES] = {[MODE_32] = 22, [MODE_PAE] = 21, [MODE_4] = 39, [MODE_5] = 48};
	enum mode mode = model_mode(p);
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
