/* SPDX-License-Identifier: MIT */
/* What a VM's memory costs the host: pages for EPT tables. Included by trapline.h. */
#ifndef TRAPLINE_MEMORY_H
#define TRAPLINE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct tl_vm;

/*
 * From now on the VM may hold `ept_pages` table pages; 0: 65536, as by default. A vCPU that needs more first gives up
 * tables that hold nothing but MMIO entries, and where there are none left tl_vcpu_run() returns TL_EXIT_NO_MEMORY:
 * after this call, or once ranges were removed, it runs on. A limit below what the VM holds takes nothing away. Beyond
 * the limit each CPU that ran the VM keeps 7 pages at hand. Context: any.
 */
void tl_vm_limit_ept_pages(struct tl_vm *vm, size_t ept_pages);

/*
 * Gives the tables that hold nothing but MMIO entries back to the embedder; the next access to each of their pages is
 * searched for. Waits as a commit does. Errors: TL_NO_MEMORY, TL_WOULD_WAIT inside a callback. Context: host.
 */
enum tl_status tl_vm_trim(struct tl_vm *vm);

#endif
