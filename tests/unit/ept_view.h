/* SPDX-License-Identifier: MIT */
/* What the hardware would make of the EPT of the fixture's VM, by a walk of its own. */
#ifndef UNIT_EPT_VIEW_H
#define UNIT_EPT_VIEW_H

#include "mmu/ept_table.h"

struct view {
	enum { VIEW_EMPTY, VIEW_MMIO, VIEW_MEMORY } kind;
	unsigned level;
	ept_entry_t entry; /* MMIO: the entry; memory: rights, type */
	hpa_t hpa;
};

/* SDM vol. 3, figure 29-1. */
struct view view_of(gpa_t gpa);

/* The same to the guest, whatever the level. */
bool views_agree(struct view a, struct view b);

/* A page or a large page of ordinary memory. */
ept_entry_t leaf(hpa_t hpa, unsigned level);

/* A walk and an installation. */
enum ept_install install(gpa_t gpa, unsigned level, ept_entry_t entry);

/* An EPT as new. */
void start_over(void);

#endif
