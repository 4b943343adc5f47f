/* SPDX-License-Identifier: MIT */
#include "guest/hand.h"
#include "guest/platform.h"
#include "guest/text.h"

enum { HAND_PAGE = 4096, HAND_RING_ENTRIES = 64 };

static uint64_t end_of(const struct hand_range *range)
{
	return range->start + range->size;
}

static bool overlap(const struct hand_range *range, uint64_t start, uint64_t size)
{
	return size && range->start < start + size && start < end_of(range);
}

/* A CPU maps pages. */
static bool is_mapped(enum abi_hand_kind kind)
{
	return kind == ABI_HAND_ROM || kind == ABI_HAND_DIRECT;
}

static bool check_one(const struct hand_range *range, uint64_t limit, char *why, size_t size)
{
	if (!range->size)
		text_format(why, size, "the range by hand at 0x%lx has a size of 0; give it one.", range->start);
	else if (range->start >= limit || range->size > limit - range->start)
		text_format(why, size,
			    "the range by hand of 0x%lx bytes at 0x%lx ends beyond 0x%lx, where the processor's "
			    "addresses end "
			    "(MAXPHYADDR); move it down.",
			    range->size, range->start, limit);
	else if (is_mapped(range->kind) && (range->start | range->size) % HAND_PAGE)
		text_format(why, size,
			    "the range by hand of 0x%lx bytes at 0x%lx is mapped, which goes by pages; give it an "
			    "address and "
			    "a size that are multiples of 4K.",
			    range->size, range->start);
	else if (range->kind != ABI_HAND_DOORBELL && range->size > HAND_MOST_MEMORY)
		text_format(why, size,
			    "the range by hand of 0x%lx bytes at 0x%lx is larger than the %uM that are kept for one; "
			    "make it "
			    "smaller.",
			    range->size, range->start, HAND_MOST_MEMORY >> 20);
	else
		return true;
	return false;
}

bool hand_check(const struct hand_range *ranges, size_t count, uint64_t limit, char *why, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		if (!check_one(&ranges[i], limit, why, size))
			return false;
		for (size_t k = 0; k < i; k++) {
			if (!overlap(&ranges[k], ranges[i].start, ranges[i].size))
				continue;
			text_format(why, size,
				    "the range by hand of 0x%lx bytes at 0x%lx overlaps that of 0x%lx bytes at 0x%lx; "
				    "move one "
				    "of them.",
				    ranges[i].size, ranges[i].start, ranges[k].size, ranges[k].start);
			return false;
		}
	}
	return true;
}

bool hand_check_memory(const struct hand_range *ranges, size_t count, uint64_t memory, char *why, size_t size)
{
	uint64_t low = memory < PLATFORM_LOW_RAM ? memory : PLATFORM_LOW_RAM;
	uint64_t high = memory > PLATFORM_HIGH_RAM ? memory - PLATFORM_HIGH_RAM : 0;

	for (size_t i = 0; i < count; i++) {
		if (!overlap(&ranges[i], 0, low) && !overlap(&ranges[i], PLATFORM_HIGH_RAM, high))
			continue;
		text_format(why, size,
			    "the range by hand of 0x%lx bytes at 0x%lx lies in the guest's memory, which ends at "
			    "0x%lx; move "
			    "it, or give the guest less memory.",
			    ranges[i].size, ranges[i].start, memory);
		return false;
	}
	return true;
}

bool hand_covers(const struct platform *platform, uint64_t start, uint64_t size)
{
	const struct guest_services *services = platform->services;

	for (size_t i = 0; i < services->nr_ranges; i++)
		if (overlap(&services->ranges[i], start, size))
			return true;
	return false;
}

/* Memory's own semantics: what is written is what is read. */
static enum tl_status hand_access(struct tl_mmio *access)
{
	struct hand *hand = access->context;

	if (access->offset >= hand->range.size || access->size > hand->range.size - access->offset) {
		platform_fault(hand->platform, "an access of %u bytes at 0x%lx leaves its range by hand", access->size,
			       access->gpa);
		return TL_DEVICE_ERROR;
	}
	if (access->write) {
		__builtin_memcpy(hand->memory + access->offset, &access->data, access->size);
	} else {
		access->data = 0;
		__builtin_memcpy(&access->data, hand->memory + access->offset, access->size);
	}
	/* relaxed: a count. */
	atomic_fetch_add_explicit(access->write ? &hand->writes : &hand->reads, 1, memory_order_relaxed);
	return TL_OK;
}

static bool hand_prepare(struct hand *hand)
{
	const struct guest_services *services = hand->platform->services;
	uint64_t bytes = hand->range.size;

	if (hand->range.kind == ABI_HAND_DOORBELL)
		bytes = TL_MAX_CPUS * sizeof(struct tl_doorbell_count);
	hand->pages = (bytes + HAND_PAGE - 1) / HAND_PAGE;
	hand->memory = services->alloc_pages(hand->pages);
	if (!hand->memory)
		return false;
	if (hand->range.kind == ABI_HAND_DOORBELL)
		hand->bell.counts = (struct tl_doorbell_count *)(void *)hand->memory;
	if (hand->range.kind == ABI_HAND_RING)
		hand->options.ring = tl_ring_create(services->nr_cpus, HAND_RING_ENTRIES);
	return hand->range.kind != ABI_HAND_RING || hand->options.ring;
}

static struct tl_range hand_to_range(struct hand *hand)
{
	static const enum tl_range_kind kinds[] = {[ABI_HAND_RAM] = TL_RANGE_MMIO,
						   [ABI_HAND_RING] = TL_RANGE_MMIO,
						   [ABI_HAND_DOORBELL] = TL_RANGE_DOORBELL,
						   [ABI_HAND_ROM] = TL_RANGE_ROM,
						   [ABI_HAND_DIRECT] = TL_RANGE_PASSTHROUGH};
	struct tl_range range = {
		.kind = kinds[hand->range.kind], .start = hand->range.start, .size = hand->range.size, .context = hand};

	if (hand->range.kind == ABI_HAND_DOORBELL)
		range.doorbell = &hand->bell;
	else if (hand->range.kind != ABI_HAND_DIRECT)
		range.access = hand_access;
	if (is_mapped(hand->range.kind))
		range.host = hand->memory;
	if (hand->range.kind == ABI_HAND_RING)
		range.options = &hand->options;
	return range;
}

enum tl_status hand_add(struct platform *platform, struct tl_edit *edit)
{
	const struct guest_services *services = platform->services;
	enum tl_status status = TL_OK;

	for (size_t i = 0; i < services->nr_ranges && status == TL_OK; i++) {
		struct hand *hand = &platform->hand[i];
		struct tl_range range;

		hand->platform = platform;
		hand->range = services->ranges[i];
		if (!hand_prepare(hand))
			return TL_NO_MEMORY;
		range = hand_to_range(hand);
		status = tl_map_add(edit, &range, NULL);
		platform->nr_ranges++;
	}
	return status;
}

void hand_free(struct platform *platform)
{
	for (unsigned i = 0; i < ABI_HANDS; i++) {
		struct hand *hand = &platform->hand[i];

		if (hand->memory)
			platform->services->free_pages(hand->memory, hand->pages);
		if (hand->options.ring)
			tl_ring_destroy(hand->options.ring);
		hand->memory = NULL;
		hand->options.ring = NULL;
	}
}

uint64_t hand_report(struct platform *platform, uint64_t number, uint64_t gpa)
{
	const struct hand *hand;
	struct abi_hand report;

	if (number >= platform->services->nr_ranges)
		return HC_FAILED;
	hand = &platform->hand[number];
	/* relaxed: counts. */
	report = (struct abi_hand){.kind = hand->range.kind,
				   .start = hand->range.start,
				   .size = hand->range.size,
				   .reads = atomic_load_explicit(&hand->reads, memory_order_relaxed),
				   .writes = atomic_load_explicit(&hand->writes, memory_order_relaxed)};
	for (unsigned i = 0; hand->bell.counts && i < TL_MAX_CPUS; i++)
		report.rings += hand->bell.counts[i].count;
	return tl_mem_write(platform->vm, gpa, &report, sizeof(report)) ? 0 : HC_FAILED;
}

uint64_t hand_accesses(const struct platform *platform)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ABI_HANDS; i++)
		sum += atomic_load_explicit(&platform->hand[i].reads, memory_order_relaxed) +
		       atomic_load_explicit(&platform->hand[i].writes, memory_order_relaxed);
	return sum;
}
