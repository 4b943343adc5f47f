/* SPDX-License-Identifier: MIT */
/* One VM in a hosted process, and short forms of what tests do with it. Each form fails the test if it cannot. */
#ifndef UNIT_VM_FIXTURE_H
#define UNIT_VM_FIXTURE_H

#include "mmu/ept_table.h"
#include "mmu/grace.h"
#include "mmu/map.h"
#include "mmu/mmu.h"
#include "mmu/vm.h"
#include <trapline.h>

extern struct tl_vm *vm;

/* Makes `vm`, as tl_vm_create() takes it; destroys it and fails the test if a page is out. */
void vm_start(const struct tl_vm_config *config);
void vm_stop(void);

/* The same as cmocka wants it, with the configuration that NULL stands for. */
int vm_setup(void **context);
int vm_teardown(void **context);

const struct map *map_now(void);

struct tl_range mmio_range(uint64_t start, uint64_t size);
/* The memory behind it begins at hosted_memory(start). */
struct tl_range ram_range(uint64_t start, uint64_t size);

/* Transactions of one edit; the commit's status, or the id. */
tl_range_id range_add(struct tl_range range);
enum tl_status range_try(struct tl_range range);
enum tl_status range_remove(tl_range_id id);
enum tl_status range_move(tl_range_id id, uint64_t start);
enum tl_status range_resize(tl_range_id id, uint64_t size);

struct ept_walk walk_to(gpa_t gpa);

/* Of a range in the present map. */
uint32_t tag_of(tl_range_id id);

/* Serves a fault, checks what serves it and what it leaves: a fresh MMIO entry of `id` at `level`. */
void expect_mmio(gpa_t gpa, enum mmu_access access, tl_range_id server, tl_range_id id, unsigned level);

/* How many have been zapped, by themselves or with their tables. */
uint64_t mmio_entries_gone(void);

/* Serves a fault under the present map; unless an entry is corrupt, checks what it found there. */
enum mmu_fault fault(gpa_t gpa, enum mmu_access access);

/* Ordinary memory stands at `gpa`: a leaf at `level` with `rights`, of what `host` points to. */
void expect_leaf(gpa_t gpa, unsigned level, ept_entry_t rights, const uint8_t *host);

/* Runs a reader on a CPU that is not the calling thread's, and takes it off again. */
void reader_enter(struct grace_reader *reader, unsigned cpu);
void reader_leave(struct grace_reader *reader, unsigned cpu);

/* Commits until the next commit wraps. */
void approach_wrap(void);

/* The first half of a wrap, by a commit inside a callback of `reader`, which is added to the VM and entered on CPU 0.
 */
void begin_wrap(struct grace_reader *reader);
void end_wrap(struct grace_reader *reader);

#endif
