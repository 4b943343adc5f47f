/* SPDX-License-Identifier: MIT */
#include "boot/paging.h"

#include <stddef.h>

#include "boot/cpu.h"
#include "boot/host_cpu.h"
#include "boot/memory.h"
#include "boot/print.h"

/* SDM vol. 3, 4.5.5. */
#define PTE_PRESENT       (1ull << 0)
#define PTE_WRITE         (1ull << 1)
#define PTE_WRITE_THROUGH (1ull << 3)
#define PTE_CACHE_DISABLE (1ull << 4)
#define PTE_LARGE         (1ull << 7)
#define PTE_NO_EXECUTE    (1ull << 63)
#define PTE_ADDRESS       0x000FFFFFFFFFF000ull

/*
 * The PAT is as after reset, PCD and PWT together being UC (SDM vol. 3, 12.12.4), but for entry 1: PWT alone is not WT,
 * which nothing here uses, but WC.
 */
#define PAT_HOST 0x0007040600070106ull

/* The protections in use. */
#define PAGE_NONE   0
#define PAGE_TEXT   PTE_PRESENT
#define PAGE_READ   (PTE_PRESENT | PTE_NO_EXECUTE)
#define PAGE_DATA   (PTE_PRESENT | PTE_WRITE | PTE_NO_EXECUTE)
#define PAGE_DEVICE (PAGE_DATA | PTE_WRITE_THROUGH | PTE_CACHE_DISABLE)
#define PAGE_SCREEN (PAGE_DATA | PTE_WRITE_THROUGH)

enum { MSR_PAT = 0x277, MSR_EFER = 0xC0000080, EFER_NXE = 1 << 11 };
enum { LEAF_FEATURES = 0x80000001, FEATURE_NX = 1 << 20, FEATURE_1G_PAGES = 1 << 26, LEAF_ADDRESS_SIZES = 0x80000008 };
enum { LEVEL_4K, LEVEL_2M, LEVEL_1G, LEVEL_512G };
enum { ENTRIES = 512 };

/* Firmware's areas in the first MiB (IBM PC): the screen's memory and the ROMs behind it. */
enum { LOW_SCREEN = 0xA0000, LOW_ROM = 0xC0000, LOW_END = 0x100000 };

extern char image_start[], image_text_end[], image_rodata_start[], image_rodata_end[], image_data_start[], image_end[];

/* Of boot/start.asm: the early tables' top. */
extern uint64_t early_pml4[];

/* For what paging_map_early() maps above their reach. */
static uint64_t early_high_pdpt[ENTRIES] __attribute__((aligned(HOST_PAGE)));
static uint64_t early_high_pd[ENTRIES] __attribute__((aligned(HOST_PAGE)));

static uint64_t *paging_root;
static unsigned paging_top_leaf; /* the largest page: LEVEL_2M or LEVEL_1G */
static const struct boot_info *paging_info;

static uint64_t level_span(unsigned level)
{
	return 1ull << (12 + 9 * level);
}

uint64_t paging_limit(void)
{
	unsigned bits = 36;

	if (cpu_id(0x80000000).eax >= LEAF_ADDRESS_SIZES)
		bits = cpu_id(LEAF_ADDRESS_SIZES).eax & 0xFF;
	/* 47 bits: the lower half of the canonical addresses. */
	return 1ull << (bits < 47 ? bits : 47);
}

/* The table under an entry; it is made, with the same mapping as before, where the entry is empty or a large page. */
static uint64_t *descend(uint64_t *entry, unsigned level)
{
	uint64_t old = *entry;
	uint64_t *table;

	if (old & PTE_PRESENT && !(old & PTE_LARGE))
		return (uint64_t *)(old & PTE_ADDRESS);
	table = memory_alloc(1);
	if (!table)
		return NULL;
	for (unsigned i = 0; old && i < ENTRIES; i++)
		table[i] = (level - 1 == LEVEL_4K ? old & ~PTE_LARGE : old) + i * level_span(level - 1);
	*entry = (uintptr_t)table | PTE_PRESENT | PTE_WRITE;
	return table;
}

/* Gives the pages from start to end one protection, with the largest pages that fit. false: no memory for tables. */
static bool set_range(uint64_t *table, unsigned level, uint64_t start, uint64_t end, uint64_t protection)
{
	uint64_t span = level_span(level);

	while (start < end) {
		uint64_t *entry = &table[start / span % ENTRIES];
		uint64_t next = (start / span + 1) * span;

		if (next > end)
			next = end;
		if (next - start == span && level <= paging_top_leaf) {
			*entry = protection ? start | protection | (level ? PTE_LARGE : 0) : 0;
		} else {
			uint64_t *below = descend(entry, level);

			if (!below || !set_range(below, level - 1, start, next, protection))
				return false;
		}
		start = next;
	}
	return true;
}

static bool set(uint64_t start, uint64_t end, uint64_t protection)
{
	return set_range(paging_root, LEVEL_512G, start, end, protection);
}

static bool set_between(const char *start, const char *end, uint64_t protection)
{
	/* Linker symbols: the ends are rounded to pages, and the next part starts on a page of its own. */
	return set((uintptr_t)start, ((uintptr_t)end + HOST_PAGE - 1) & ~(HOST_PAGE - 1ull), protection);
}

/* Page 0 is unmapped, though it is usable memory: there a null pointer points. */
static bool map_low_memory(void)
{
	return set(0, HOST_PAGE, PAGE_NONE) && set(HOST_PAGE, LOW_SCREEN, PAGE_DATA) &&
	       set(LOW_SCREEN, LOW_ROM, PAGE_DEVICE) && set(LOW_ROM, LOW_END, PAGE_READ);
}

static bool map_all(const struct boot_info *info)
{
	for (size_t i = 0; i < info->nr_memory; i++)
		if (!set(info->memory[i].start, info->memory[i].end, PAGE_DATA))
			return false;
	if (!map_low_memory() || !set_between(image_start, image_text_end, PAGE_TEXT) ||
	    !set_between(image_rodata_start, image_rodata_end, PAGE_READ) ||
	    !set_between(image_data_start, image_end, PAGE_DATA))
		return false;
	for (unsigned i = 0; i < HOST_STACKS; i++)
		if (!set_between(host_cpus[0].stacks[i].guard, host_cpus[0].stacks[i].start, PAGE_NONE))
			return false;
	return true;
}

bool paging_init(const struct boot_info *info, char *reason, size_t size)
{
	uint32_t features = cpu_id(0x80000000).eax >= LEAF_FEATURES ? cpu_id(LEAF_FEATURES).edx : 0;

	if (!(features & FEATURE_NX)) {
		print_to_buffer(reason, size, "the CPU reports no NX (execute disable); turn it on in the firmware.");
		return false;
	}
	paging_info = info;
	paging_top_leaf = features & FEATURE_1G_PAGES ? LEVEL_1G : LEVEL_2M;
	paging_root = memory_alloc(1);
	if (!paging_root || !map_all(info)) {
		print_to_buffer(reason, size, "memory ran out for the host's page tables; give the machine more.");
		return false;
	}
	msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
	cr3_write((uintptr_t)paging_root);
	paging_init_cpu();
	return true;
}

void paging_init_cpu(void)
{
	msr_write(MSR_PAT, PAT_HOST);
	/* No page with entry 1 has been used, but one may have been read ahead into the TLB. SDM vol. 3, 12.12.4. */
	cr3_write(cr3_read());
}

bool paging_map_early(uint64_t physical, uint64_t size)
{
	const uint64_t entry = PTE_PRESENT | PTE_WRITE;
	uint64_t start = physical & ~(level_span(LEVEL_1G) - 1);
	uint64_t *pdpt = early_high_pdpt;

	if (!size || size > UINT64_MAX - physical || physical + size > paging_limit())
		return false;
	if (physical + size <= PAGING_EARLY_REACH)
		return true;
	if (physical < PAGING_EARLY_REACH || physical + size > start + level_span(LEVEL_1G) || early_high_pd[0])
		return false;
	if (early_pml4[start / level_span(LEVEL_512G) % ENTRIES])
		pdpt = (uint64_t *)(early_pml4[start / level_span(LEVEL_512G) % ENTRIES] & PTE_ADDRESS);
	for (uint64_t i = 0; i < ENTRIES; i++)
		early_high_pd[i] = (start + i * level_span(LEVEL_2M)) | entry | PTE_LARGE;
	pdpt[start / level_span(LEVEL_1G) % ENTRIES] = (uintptr_t)early_high_pd | entry;
	early_pml4[start / level_span(LEVEL_512G) % ENTRIES] = (uintptr_t)pdpt | entry;
	return true;
}

uint64_t paging_tables(void)
{
	return (uintptr_t)paging_root;
}

bool paging_unmap(uint64_t start, uint64_t end)
{
	bool done = set(start, end, PAGE_NONE);

	cr3_write((uintptr_t)paging_root); /* drops what this CPU has cached of it */
	return done;
}

/* Not-present entries are not cached, so that nothing has to be flushed. SDM vol. 3, 4.10.2.3. */
static void *map_outside_memory(uint64_t physical, uint64_t size, uint64_t protection)
{
	uint64_t limit = paging_limit();
	uint64_t start, end;

	if (!size || physical < LOW_END || physical >= limit || size > limit - physical)
		return NULL;
	start = physical & ~(HOST_PAGE - 1ull);
	end = (physical + size + HOST_PAGE - 1) & ~(HOST_PAGE - 1ull);
	for (size_t i = 0; i < paging_info->nr_memory; i++)
		if (start < paging_info->memory[i].end && paging_info->memory[i].start < end)
			return NULL;
	return set(start, end, protection) ? (void *)physical : NULL;
}

volatile void *paging_map_device(uint64_t physical, uint64_t size)
{
	return map_outside_memory(physical, size, PAGE_DEVICE);
}

void *paging_map_screen(uint64_t physical, uint64_t size)
{
	return map_outside_memory(physical, size, PAGE_SCREEN);
}
