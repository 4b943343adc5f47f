/* SPDX-License-Identifier: MIT */
/* The host's own page tables: virtual = physical for all usable memory, nothing both writable and executable. */
#ifndef BOOT_PAGING_H
#define BOOT_PAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/multiboot.h"

/* What start-up code has mapped when boot_main() runs. */
#define PAGING_EARLY_REACH (1ull << 32)

/* The end of what this CPU's page tables and addresses that equal physical ones can reach. Context: any. */
uint64_t paging_limit(void);

/*
 * Builds and loads the tables. false: the CPU lacks no-execute pages, or memory for tables ran out, and `reason` holds
 * a sentence. Preconditions: memory_init(); the early tables are in use. Context: one CPU, once.
 */
bool paging_init(const struct boot_info *info, char *reason, size_t size);

/* The physical address of the tables, for the CR3 of another CPU. Precondition: paging_init(). */
uint64_t paging_tables(void);

/*
 * Takes whole pages out of the tables and this CPU's TLB. false: memory for tables ran out. Context: host, while no
 * other CPU runs.
 */
bool paging_unmap(uint64_t start, uint64_t end);

/*
 * Maps a range at its own address while the early tables are in use; what lies below PAGING_EARLY_REACH is mapped
 * already. false: not so, for it crosses a multiple of 1 GiB or another one above the reach has been mapped. Context:
 * one CPU, before paging_init().
 */
bool paging_map_early(uint64_t physical, uint64_t size);

/* What each CPU does before it touches memory of paging_map_screen(). Context: the CPU itself. */
void paging_init_cpu(void);

/*
 * Maps a framebuffer at a physical address for writing in whole bursts and returns its address; NULL: as for
 * paging_map_device(). Context: host, one CPU at a time.
 */
void *paging_map_screen(uint64_t physical, uint64_t size);

/*
 * Maps the registers of a device at a physical address uncached and returns their address; NULL: they lie in usable
 * memory or out of reach, or memory for tables ran out. Context: host, one CPU at a time.
 */
volatile void *paging_map_device(uint64_t physical, uint64_t size);

#endif
