/* SPDX-License-Identifier: MIT */
#include "tests/unit/hosted.h"
#include "mmu/hooks.h"
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB          (1ull << 20)
#define GIB          (1ull << 30)
#define ARENA_PAGES  (128 * MIB / PAGE_SIZE)
#define MEMORY_START (GIB - MIB) /* within the arena: host-physical 1 GiB */
#define ARENA_SIZE   (MEMORY_START + HOSTED_MEMORY_GIB * GIB)

struct hosted hosted;
_Thread_local unsigned hosted_cpu;

static uint8_t *arena;
/* How many pages the allocation that begins at a page has; 0: none begins here. */
static uint16_t allocated[ARENA_PAGES];
static bool used[ARENA_PAGES];
/* Where the next search begins: a page given back is not handed out again soon, so that a late use of it is found. */
static size_t next_page;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "hosted: %s\n", why);
	abort();
}

static size_t find_pages(size_t count)
{
	size_t free_pages = 0;

	for (size_t looked = 0; looked < 2 * ARENA_PAGES; looked++) {
		if (next_page == ARENA_PAGES)
			next_page = free_pages = 0;
		free_pages = used[next_page++] ? 0 : free_pages + 1;
		if (free_pages == count)
			return next_page - count;
	}
	die("the arena is full: give pages back, or make it larger");
}

static void *alloc_pages(size_t count)
{
	void *pages = NULL;
	bool fails;

	if (hosted.on_alloc)
		hosted.on_alloc();
	pthread_mutex_lock(&lock);
	fails = ++hosted.allocations == hosted.fail_at ||
		(hosted.fails_from_there_on && hosted.fail_at && hosted.allocations > hosted.fail_at);
	hosted.failed += fails;
	if (!fails) {
		size_t first = find_pages(count);

		memset(&used[first], true, count);
		allocated[first] = (uint16_t)count;
		hosted.pages_out += count;
		pages = arena + first * PAGE_SIZE;
		ASAN_UNPOISON_MEMORY_REGION(pages, count * PAGE_SIZE);
		memset(pages, 0, count * PAGE_SIZE);
	}
	pthread_mutex_unlock(&lock);
	return pages;
}

static void free_pages(void *pages, size_t count)
{
	size_t first = (size_t)((uint8_t *)pages - arena) / PAGE_SIZE;

	pthread_mutex_lock(&lock);
	if (first >= ARENA_PAGES || !ALIGNED((uintptr_t)pages, PAGE_SIZE))
		die("pages are given back that were never handed out");
	if (allocated[first] != count)
		die("pages are given back twice, or not as many as were handed out");
	allocated[first] = 0;
	memset(&used[first], false, count);
	memset(pages, 0xdb, count * PAGE_SIZE);
	ASAN_POISON_MEMORY_REGION(pages, count * PAGE_SIZE);
	hosted.pages_out -= count;
	pthread_mutex_unlock(&lock);
}

static void log_line(enum tl_log_level level, const char *format, va_list arguments)
{
	(void)level;
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

static void panic(const char *format, va_list arguments)
{
	log_line(TL_LOG_ERROR, format, arguments);
	die("the library panicked");
}

static unsigned cpu_index(void)
{
	return hosted_cpu;
}

static void kick(unsigned cpu)
{
	pthread_mutex_lock(&lock);
	if (hosted.nr_kicks < HOSTED_MAX_KICKS)
		hosted.kicked[hosted.nr_kicks] = cpu;
	hosted.nr_kicks++;
	pthread_mutex_unlock(&lock);
	if (hosted.on_kick)
		hosted.on_kick(cpu);
}

static void notify(unsigned cpu)
{
	pthread_mutex_lock(&lock);
	if (hosted.nr_notifications < HOSTED_MAX_KICKS)
		hosted.notified[hosted.nr_notifications] = cpu;
	hosted.nr_notifications++;
	pthread_mutex_unlock(&lock);
	if (hosted.on_notify)
		hosted.on_notify(cpu);
}

static void flush(struct tl_vm *vm)
{
	__atomic_fetch_add(&hosted.nr_flushes, 1, __ATOMIC_RELAXED);
	if (hosted.on_flush)
		hosted.on_flush(vm);
}

static bool arm_timer(uint64_t tsc_ticks)
{
	hosted.armed = tsc_ticks;
	return hosted.has_timer;
}

static struct tl_hooks table = {
	.alloc_pages = alloc_pages,
	.free_pages = free_pages,
	.log = log_line,
	.panic = panic,
	.cpu_index = cpu_index,
	.kick = kick,
	.arm_timer = arm_timer,
	.notify = notify,
	.notification_vector = HOSTED_NOTIFICATION,
};

void hosted_start(void)
{
	if (!arena) {
		arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			     0);
		if (arena == MAP_FAILED)
			die("cannot reserve address space for the arena");
		ASAN_POISON_MEMORY_REGION(arena, ARENA_PAGES * PAGE_SIZE);
		table.direct_offset = (uintptr_t)arena - MIB;
	}
	hosted = (struct hosted){.pages_out = hosted.pages_out};
	hosted_cpu = 0;
	if (hooks_set(&table) != TL_OK)
		die("the hooks are refused");
	mmu_cpu = (struct mmu_cpu){.maxphyaddr = 39, .ept_level = 3, .large_executable = true, .flush = flush};
}

void hosted_fail_at(size_t count)
{
	hosted.allocations = hosted.failed = 0;
	hosted.fail_at = count;
}

bool hosted_is_out(const void *page)
{
	return used[(size_t)((const uint8_t *)page - arena) / PAGE_SIZE];
}

uint8_t *hosted_memory(uint64_t offset)
{
	return arena + MEMORY_START + offset;
}

static uint64_t random_state = 1;

void random_seed(uint64_t seed)
{
	random_state = seed;
}

/* splitmix64: every seed is a good one. */
uint64_t random_next(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t below)
{
	return random_next() % below;
}
