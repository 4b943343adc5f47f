/* SPDX-License-Identifier: MIT */
/* A logged range of the fixture's VM, by protection, by flags and by PML, and a CPU that writes to it. */
#ifndef UNIT_DIRTY_FIXTURE_H
#define UNIT_DIRTY_FIXTURE_H

#include "mmu/dirty.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include "tests/unit/write_tlb.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)
#define GIB  EPT_SPAN(3)

/* The log, and what a fetch of it gives. */
extern uint64_t log_words[HOSTED_MEMORY_GIB * 4096], fetched[HOSTED_MEMORY_GIB * 4096];

bool is_fetched(uint64_t page);

/* One write of the guest's, with the exits that it takes; their number. */
unsigned guest_write(gpa_t gpa);

/* Adds a RAM range and begins its log. */
tl_range_id start_log(uint64_t start, uint64_t size);

/* Whether the VM logs by protection. */
bool protects(void);

/* A test with the VM that logs so. */
struct CMUnitTest dirty_test(const char *name, CMUnitTestFunction test, enum dirty_by by);

#define BY_PROTECTION(name) dirty_test(#name " by protection", name, DIRTY_BY_PROTECTION)
#define BY_FLAGS(name)      dirty_test(#name " by flags", name, DIRTY_BY_FLAGS)
#define BY_PML(name)        dirty_test(#name " by PML", name, DIRTY_BY_PML)

#endif
