/* SPDX-License-Identifier: MIT */
#include "tests/unit/ept_view.h"
#include "mmu/hooks.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct view view_of(gpa_t gpa)
{
	const _Atomic uint64_t *table = vm->root;

	for (unsigned level = 4;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		ept_entry_t entry = atomic_load(&table[gpa >> shift & 511]);

		if ((entry & 7) == 0)
			return (struct view){.kind = VIEW_EMPTY, .level = level, .entry = entry};
		if ((entry & 7) == 6)
			return (struct view){.kind = VIEW_MMIO, .level = level, .entry = entry};
		if (level == 1 || (entry & 1 << 7))
			return (struct view){.kind = VIEW_MEMORY,
					     .level = level,
					     .entry = entry & 0x3f,
					     .hpa = (entry & 0xffffffffff000) + (gpa & ((1ull << shift) - 1))};
		table = phys_to_host(entry & 0xffffffffff000);
	}
}

bool views_agree(struct view a, struct view b)
{
	return a.kind == b.kind && (a.kind == VIEW_EMPTY || (a.entry == b.entry && a.hpa == b.hpa));
}

ept_entry_t leaf(hpa_t hpa, unsigned level)
{
	return hpa | EPT_RWX | EPT_TYPE_WB | (level > 1 ? EPT_LARGE : 0);
}

enum ept_install install(gpa_t gpa, unsigned level, ept_entry_t entry)
{
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	return ept_install(vm, gpa, &walk, level, entry);
}

void start_over(void)
{
	ept_destroy(vm);
	assert_true(ept_create(vm));
}
