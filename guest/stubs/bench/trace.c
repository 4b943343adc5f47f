/* SPDX-License-Identifier: MIT */
/* Single warm exits, and changes of the map, between magic breakpoints: for a trace of their instructions. */
#include "guest/stubs/bench/bench.h"

/* A call: its registers, and where the accesses of `instructions` go. */
struct traced {
	uint64_t rax, rbx, rcx, rdx, rsi;
};

/* `i` is volatile so that no compiler unrolls the loop: each copy of the instruction would be a cold one. */
#define TRACE(name, instructions, ...)                                                        \
	do {                                                                                  \
		lib_print("trace: " name);                                                    \
		for (volatile unsigned i = 0; i < TRACED; i++) {                              \
			struct traced r = {__VA_ARGS__};                                      \
                                                                                              \
			__asm__ volatile("xchg %%bx, %%bx\n\t" instructions "\n\t"            \
					 "xchg %%bx, %%bx"                                    \
					 : "+a"(r.rax), "+b"(r.rbx), "+c"(r.rcx), "+d"(r.rdx) \
					 : "S"(r.rsi)                                         \
					 : "r8", "r9", "memory", "cc");                       \
		}                                                                             \
	} while (0)

#define TRACE_EXIT(name, instruction)            TRACE(name, instruction, 0)
#define TRACE_ACCESS(name, instruction, address) TRACE(name, instruction, .rsi = (address))
#define TRACE_SITE(name, site)                   TRACE(name, "call *%%rax", .rax = (uint64_t)(site), .rsi = DEVICE_PLAIN0_AT)
/* The host takes the time of a part of these, between two RDTSC of its own. */
#define TRACE_EDIT(name, edit, device, address, prepare) \
	TRACE(name " timed", "vmcall", HC_TIME_EDIT, edit, device, address, prepare)
#define TRACE_SPARE(name, edit, prepare) TRACE_EDIT(name, edit, DEVICE_SPARE, DEVICE_SPARE_AT, prepare)
#define TRACE_MEMORY(name, what, prepare) \
	TRACE(name " timed", "vmcall", HC_TIME_MEMORY, what, LOGGED_MEMORY, 0, prepare)

enum { LOGGED_MEMORY = 2 << 20, WRITTEN_PAGES = 64 };

/* Adds or removes the device if it has to be; always 0. */
static uint64_t is_there(enum abi_device_id device, uint64_t address, bool present)
{
	if ((lib_device(device).live_ranges != 0) != present)
		CHECK_EQUAL(lib_edit(present ? EDIT_ADD : EDIT_REMOVE, device, address), 0);
	if (present)
		read32(address);
	return 0;
}

static uint64_t spare_is(bool present)
{
	return is_there(DEVICE_SPARE, DEVICE_SPARE_AT, present);
}

/* Memory that was never read. */
static uint64_t unread_memory(void)
{
	is_there(DEVICE_MEMORY0, DEVICE_MEMORY0_AT, false);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY0, DEVICE_MEMORY0_AT), 0);
	return DEVICE_MEMORY0_AT;
}

static void trace_accesses(void)
{
	static volatile unsigned turn;

	TRACE_ACCESS("mmio_read32", READ, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("mmio_write32", WRITE, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("mmio_read8", READ8, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("mmio_test32", TEST, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("alternating_read32", READ, turn++ & 1 ? DEVICE_PLAIN1_AT : DEVICE_PLAIN0_AT);
	make_sites();
	TRACE_SITE("cold_read32", sites[i]);
	TRACE_SITE("page_end_read32", site_at_page_end(0));
	TRACE_SITE("straddling_read32", site_at_page_end(2));
	TRACE_ACCESS("verified_read32", READ, DEVICE_BANK0_AT);
	TRACE_ACCESS("stores_16", STORES, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("made_stores_16", MADE_STORES, DEVICE_PLAIN0_AT);
	write32(DEVICE_PLAIN0_AT + 0x10, 0);
	TRACE_ACCESS("read_loop_64", READ_LOOP, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("poll_loop_64", POLL_LOOP, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("poll_memory_64", POLL_MEMORY, DEVICE_PLAIN0_AT);
	TRACE_ACCESS("rep_movsd_64", SEND(64), DEVICE_PLAIN0_AT);
	TRACE_ACCESS("rep_movsd_receive_64", RECEIVE(64), DEVICE_PLAIN0_AT);
	TRACE_ACCESS("stale_read32", READ, invalidated(DEVICE_PLAIN0_AT));
	read32(DEVICE_BANK0_AT);
	TRACE_ACCESS("evicted_read32", READ, evicted(DEVICE_PLAIN0_AT));
	TRACE_ACCESS("other_commit_read32", READ, after_other_commit(DEVICE_PLAIN0_AT));
}

static void trace_other_kinds(void)
{
	static volatile unsigned turn;

	add_other_kinds();
	TRACE_ACCESS("embedder_read32", READ, DEVICE_PLAINEMB_AT);
	TRACE_ACCESS("embedder_write32", WRITE, DEVICE_PLAINEMB_AT);
	TRACE_ACCESS("doorbell", WRITE, DEVICE_BELL0_AT);
	TRACE_ACCESS("doorbell_alternating", WRITE, turn++ & 1 ? DEVICE_BELL1_AT : DEVICE_BELL0_AT);
	TRACE_ACCESS("doorbell_evicted", WRITE, evicted(DEVICE_BELL0_AT));
	TRACE_ACCESS("doorbell_decoded", WRITE, DEVICE_SHADOW_AT);
	TRACE_ACCESS("sized_read32", READ, DEVICE_SIZED_AT);
	TRACE_ACCESS("coalesced_write32", WRITE, drained(DEVICE_COALESCED_AT));
	remove_other_kinds();
}

static uint64_t written_pages(void)
{
	for (uint64_t page = 0; page < WRITTEN_PAGES; page++)
		write64(ABI_BENCH_MEMORY_AT + (page << 12), page);
	return 0;
}

/* The log is ended and begun again. */
static uint64_t begun_log(bool begin)
{
	time_memory(BENCH_MEMORY_STOP, 0);
	write64(ABI_BENCH_MEMORY_AT, 0);
	if (begin)
		time_memory(BENCH_MEMORY_START, 0);
	return ABI_BENCH_MEMORY_AT;
}

static void trace_logs(void)
{
	time_memory(BENCH_MEMORY_ADD, LOGGED_MEMORY);
	time_memory(BENCH_MEMORY_START, 0);
	TRACE_MEMORY("dirty_enable_2mib", BENCH_MEMORY_START, begun_log(false));
	TRACE_ACCESS("dirty_first_write_2mib", WRITE, begun_log(true));
	TRACE_MEMORY("dirty_fetch_2mib", BENCH_MEMORY_FETCH, written_pages());
	time_memory(BENCH_MEMORY_STOP, 0);
	time_memory(BENCH_MEMORY_REMOVE, 0);
}

void trace(void)
{
	TRACE_EXIT("vmcall", "vmcall");
	TRACE_EXIT("cpuid", "cpuid");
	trace_accesses();
	TRACE_SPARE("invalidate_all", EDIT_INVALIDATE, 0);
	TRACE_SPARE("commit_add", EDIT_ADD, spare_is(false));
	TRACE_SPARE("commit_move", EDIT_MOVE, spare_is(true));
	TRACE_SPARE("commit_remove_mmio", EDIT_REMOVE, spare_is(true));
	TRACE_ACCESS("ram_fault", READ, unread_memory());
	TRACE_EDIT("commit_remove_ram", EDIT_REMOVE, DEVICE_MEMORY0, 0,
		   is_there(DEVICE_MEMORY0, DEVICE_MEMORY0_AT, true));
	trace_other_kinds();
	trace_logs();
	CHECK_EQUAL(vmcall(HC_TRACE, EVENTS_OF_ACCESS, 0, 0, 0), 0);
	TRACE_ACCESS("recorded_read32", READ, DEVICE_PLAIN0_AT);
}
