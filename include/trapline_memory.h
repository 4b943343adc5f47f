/* SPDX-License-Identifier: MIT */
/* What a VM's memory costs the host, and which of it was written. Included by trapline.h. */
#ifndef TRAPLINE_MEMORY_H
#define TRAPLINE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <trapline_range.h>

struct tl_vm;

/*
 * From now on the VM may hold `ept_pages` table pages; 0: 65536, as by default. A vCPU that needs more first gives up
 * tables that hold nothing but MMIO entries, and where there are none left tl_vcpu_run() returns TL_EXIT_NO_MEMORY:
 * after this call, or once ranges were removed, it runs on. A limit below what the VM holds takes nothing away. Beyond
 * the limit each CPU that ran the VM keeps 7 pages at hand. Context: any.
 */
void tl_vm_limit_ept_pages(struct tl_vm *vm, size_t ept_pages);

/*
 * Gives all tables that hold nothing but MMIO entries back to the embedder; the next access to each of their pages is
 * searched for. Waits as a commit does. Errors: TL_NO_MEMORY, TL_WOULD_WAIT inside a callback. Context: host.
 */
enum tl_status tl_vm_trim(struct tl_vm *vm);

/* ---- Dirty logging ----------------------------------------------------------------------------------------------- */

/*
 * From now on the writes to a RAM range are logged, by the guest, the instructions emulated for it and tl_mem_write():
 * by page-modification logging or dirty flags where the CPU has them, else by write protection.
 * `log` is the embedder's, zeroed, a bit for each page of the range, and the library's until tl_dirty_stop(), or until
 * the range's release. Its cost does not grow with the range's size: the first write to a page pays for it, or with up
 * to 16 MiB the start. A logged range may be moved, shrunk and removed; it neither grows nor changes its kind. Waits as
 * a commit does. Errors: TL_NO_RANGE, TL_INVALID_ARGUMENT (no RAM, or logged already), TL_NO_MEMORY, TL_WOULD_WAIT
 * inside a callback. Context: host.
 */
enum tl_status tl_dirty_start(struct tl_vm *vm, tl_range_id id, uint64_t *log);

/* Ends it. What was not fetched is in `log`, as of a range that is removed. Same errors (TL_INVALID_ARGUMENT: not
 * logged) and context. */
enum tl_status tl_dirty_stop(struct tl_vm *vm, tl_range_id id);

/*
 * Takes which pages were written since the log began or was fetched last: bit n of pages[n / 64] is page n, and *count
 * (which may be NULL) says how many. A write before this call is in it. One that happens meanwhile is in this or in the
 * next, and if it is only in this, then a copy of the page that is made after the return has it.
 * Errors: TL_NO_RANGE, TL_INVALID_ARGUMENT (not logged), TL_WOULD_WAIT inside a callback. Context: host; one caller at
 * a time for the same range, and no tl_dirty_stop() or change of the range meanwhile.
 */
enum tl_status tl_dirty_fetch(struct tl_vm *vm, tl_range_id id, uint64_t *pages, size_t *count);

#endif
