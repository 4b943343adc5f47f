/* SPDX-License-Identifier: MIT */
#include "tests/unit/vcpu_platform.h"

#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BITMAP_PAGES = 4 /* of all CPUs, for good */, RAM_BYTES = 64 << 10 };

_Thread_local struct mock_cpu mock_cpu;
struct platform *platform;
enum tl_exit_reason (*guest_step)(struct platform_vcpu *vcpu);

enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	struct platform_vcpu *at = tl_vcpu_context(vcpu);
	enum tl_exit_reason reason = guest_step(at);

	if (reason == TL_EXIT_VMCALL)
		vcpu->pending = PENDING_VMCALL;
	return exit_leave(vcpu, reason);
}

enum tl_exit_reason guest_call(struct platform_vcpu *vcpu, uint64_t number, uint64_t argument0, uint64_t argument1)
{
	vcpu->exit.vmcall = (struct tl_exit_vmcall){.number = number, .argument = {argument0, argument1}};
	return TL_EXIT_VMCALL;
}

uint64_t guest_result(const struct platform_vcpu *vcpu)
{
	return vcpu->vcpu->gpr[TL_RAX];
}

/* ---- The CPUs but the first one ---- */

struct started {
	pthread_t thread;
	unsigned cpu;
	void (*function)(void *context);
	void *context;
};

static struct started started[TL_MAX_CPUS];

static void *run_cpu(void *context)
{
	const struct started *on = context;

	hosted_cpu = on->cpu;
	on->function(on->context);
	/* vCPUs that stayed here are fetched once it is over. */
	while (vmx_cpu[on->cpu].residents)
		vcpu_unload(vmx_cpu[on->cpu].residents);
	return NULL;
}

static void start_cpu(unsigned cpu, void (*function)(void *context), void *context)
{
	started[cpu] = (struct started){.cpu = cpu, .function = function, .context = context};
	assert_int_equal(pthread_create(&started[cpu].thread, NULL, run_cpu, &started[cpu]), 0);
}

static void wait_cpu(unsigned cpu)
{
	pthread_join(started[cpu].thread, NULL);
}

/* An interrupt that a CPU gets while it does not halt stays pending, as a count. */
static sem_t interrupts[TL_MAX_CPUS];

static void wake_cpu(unsigned cpu)
{
	assert_int_equal(sem_post(&interrupts[cpu]), 0);
}

/* The library counts its kicks while it waits, and a thread needs longer to wake than a CPU. */
static void kick_cpu(unsigned cpu)
{
	wake_cpu(cpu);
	usleep(10);
}

static void idle_cpu(uint64_t tsc)
{
	assert_true(tsc == UINT64_MAX);
	tl_cpu_poll();
	while (sem_wait(&interrupts[hosted_cpu]) != 0)
		;
	tl_cpu_poll();
}

static void *alloc(size_t count)
{
	return hooks->alloc_pages(count);
}

static void release(void *pages, size_t count)
{
	hooks->free_pages(pages, count);
}

static void print(const char *format, ...)
{
	(void)format;
}

struct guest_services platform_services = {
	.alloc_pages = alloc,
	.free_pages = release,
	.print = print,
	.start_cpu = start_cpu,
	.wait_cpu = wait_cpu,
	.idle_cpu = idle_cpu,
	.wake_cpu = wake_cpu,
};

void platform_start(const struct guest_options *options, unsigned cpus)
{
	struct guest_options all = *options;
	char why[160];

	hosted_start();
	hosted.on_kick = kick_cpu;
	for (unsigned i = 0; i < cpus; i++)
		assert_int_equal(sem_init(&interrupts[i], 0, 0), 0);
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	vmx_capability.physical_bits = 39;
	vmx_capability.msr.cr0_fixed1 = vmx_capability.msr.cr4_fixed1 = UINT32_MAX;
	vmx_controls = (struct vmx_controls){.preemption_timer = true, .unrestricted_guest = true};
	for (unsigned i = 0; i < cpus; i++)
		vmx_cpu[i] = (struct vmx_cpu){.up = true};
	assert_int_equal(vmcs_bitmaps_create(), TL_OK);
	platform_services.nr_cpus = cpus;
	all.memory = RAM_BYTES;
	all.tag_bits = 19;
	all.mmio_level = 3;
	all.first_generation = 1;
	assert_int_equal(posix_memalign((void **)&platform, _Alignof(struct platform), sizeof(*platform)), 0);
	memset(platform, 0, sizeof(*platform));
	if (!platform_create(platform, &platform_services, &all, why, sizeof(why)))
		fail_msg("%s", why);
}

void platform_stop(void)
{
	platform_destroy(platform);
	assert_string_equal(platform->fault, "");
	assert_int_equal(hosted.pages_out, BITMAP_PAGES);

	free(platform);
}
