/* SPDX-License-Identifier: MIT */
/* The host that lends a PC its CPUs, and its run from beginning to end. */
#include "tests/unit/hosted.h"
#include "tests/unit/pc_guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MEMORY = 2 << 20, ARENA = 6 << 20, SECONDS_UNTIL_STUCK = 20 };

_Atomic uint64_t pc_ticks;
char pc_printed[256];
const char *pc_typed;
unsigned pc_idles;

static size_t pages_used;
static pthread_mutex_t sleepers = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wakers = PTHREAD_COND_INITIALIZER;
static bool woken[PC_SCRIPTS];
static _Thread_local unsigned this_cpu;
static pthread_t threads[PC_SCRIPTS];
static struct job {
	unsigned cpu;
	void (*function)(void *context);
	void *context;
} jobs[PC_SCRIPTS];

uint64_t pc_host_ticks(void)
{
	return pc_ticks;
}

static void *alloc_pages(size_t count)
{
	void *pages = hosted_memory(pages_used * 4096);

	pages_used += count;
	/* It is zeroed, 8 bytes at once. */
	pc_ticks += count * 512;
	assert_in_range(pages_used * 4096, 1, ARENA);
	return pages;
}

static void free_pages(void *pages, size_t count)
{
	(void)pages;
	(void)count;
}

static void *run_job(void *context)
{
	const struct job *job = context;

	this_cpu = job->cpu;
	job->function(job->context);
	return NULL;
}

static void start_cpu(unsigned cpu, void (*function)(void *context), void *context)
{
	jobs[cpu] = (struct job){cpu, function, context};
	assert_int_equal(pthread_create(&threads[cpu], NULL, run_job, &jobs[cpu]), 0);
}

static void wait_cpu(unsigned cpu)
{
	pthread_join(threads[cpu], NULL);
}

static void wake_cpu(unsigned cpu)
{
	pthread_mutex_lock(&sleepers);
	woken[cpu] = true;
	pthread_cond_broadcast(&wakers);
	pthread_mutex_unlock(&sleepers);
}

/* With nothing due it waits for another CPU; in vain is a failure that ends the test. */
static void idle_cpu(uint64_t tsc)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SECONDS_UNTIL_STUCK;
	pthread_mutex_lock(&sleepers);
	while (!woken[this_cpu] && tsc == UINT64_MAX)
		if (pthread_cond_timedwait(&wakers, &sleepers, &until)) {
			fprintf(stderr, "CPU %u idles for ever\n", this_cpu);
			abort();
		}
	if (!woken[this_cpu]) {
		pc_idles++;
		pc_ticks = tsc > pc_ticks ? tsc : pc_ticks;
	}
	woken[this_cpu] = false;
	pthread_mutex_unlock(&sleepers);
}

static void print(const char *format, ...)
{
	size_t used = strlen(pc_printed);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(pc_printed + used, sizeof(pc_printed) - used, format, arguments);
	va_end(arguments);
}

static int read_typed(void)
{
	return *pc_typed ? *pc_typed++ : -1;
}

/* Those of each vCPU. */
void tl_vcpu_exits(const struct tl_vcpu *vcpu, struct tl_vcpu_exits *exits)
{
	(void)vcpu;
	*exits = (struct tl_vcpu_exits){.all = 5, .reason = {[1] = 2, [12] = 3}};
}

struct guest_report pc_play(const struct pc_case *how, const struct pc_op *ops)
{
	static const uint8_t image[16];
	const struct load_image *firmware = how->firmware.data ? &how->firmware : NULL;
	struct guest_module module = {.name = "script",
				      .image = firmware ? firmware->data : image,
				      .size = firmware ? firmware->size : sizeof(image),
				      .modules = how->modules,
				      .nr_modules = how->nr_modules};
	struct guest_services services = {.alloc_pages = alloc_pages,
					  .free_pages = free_pages,
					  .print = print,
					  .nr_cpus = how->cpus ? how->cpus : 1,
					  .start_cpu = start_cpu,
					  .wait_cpu = wait_cpu,
					  .idle_cpu = idle_cpu,
					  .wake_cpu = wake_cpu,
					  .read_typed = pc_typed ? read_typed : NULL,
					  .tsc_hz = PC_HZ};
	struct guest_options options = {.memory = MEMORY,
					.flat = PC_IMAGE_AT,
					.is_flat = !firmware,
					.is_firmware = firmware,
					.mode = STATE_PROTECTED,
					.timeout = how->timeout,
					.is_pc = true,
					.expect = how->expect,
					.vcpus = how->vcpus ? how->vcpus : 1,
					.slice = how->slice,
					.exits = how->exits,
					.command_line = ""};
	struct guest_report report = {0};
	size_t out;

	hosted_start();
	out = hosted.pages_out;
	memset(hosted_memory(0), 0, ARENA);
	memset(woken, 0, sizeof(woken));
	pc_vcpus_forget();
	pc_script[0].ops = ops;
	pc_reset = firmware ? ops : NULL;
	pages_used = 0;
	pc_idles = 0;
	pc_printed[0] = '\0';
	/* A TSC that has run for long. */
	pc_ticks = 1ull << 40;
	pc_run_guest(&module, &services, &options, &report);
	assert_int_equal(hosted.pages_out, out);
	return report;
}

void pc_passes(const struct guest_report *report)
{
	if (!report->passed)
		fail_msg("%s", report->reason);
}
