/* SPDX-License-Identifier: MIT */
#include "boot/hooks.h"

#include "boot/backtrace.h"
#include "boot/console.h"
#include "boot/halt.h"
#include "boot/host_cpu.h"
#include "boot/idt.h"
#include "boot/memory.h"
#include "boot/smp.h"

static bool hooks_quiet;

void hooks_set_quiet(bool quiet)
{
	hooks_quiet = quiet;
}

static void free_pages(void *pages, size_t count)
{
	if (!memory_free(pages, count))
		host_exit(HOST_CANNOT_RUN, "%zu pages at %p were given back that were not out; this is a bug.", count,
			  pages);
}

static void log_line(enum tl_log_level level, const char *format, va_list arguments)
{
	if (level == TL_LOG_INFO && hooks_quiet)
		return;
	console_lock();
	host_print_v(format, arguments);
	host_print("\n");
	console_unlock();
}

static _Noreturn void panic(const char *format, va_list arguments)
{
	host_claim_end();
	host_print("\nthe library found a broken rule of its own\n");
	backtrace_print(0, (uintptr_t)__builtin_frame_address(0));
	host_exit_v(HOST_CANNOT_RUN, format, arguments);
}

const struct tl_hooks host_hooks = {
	.alloc_pages = memory_alloc,
	.free_pages = free_pages,
	.direct_offset = 0, /* boot/paging.c maps memory one to one */
	.log = log_line,
	.panic = panic,
	.cpu_index = host_cpu_index,
	.kick = smp_kick,
	.arm_timer = smp_arm_alarm,
	.notify = smp_notify,
	.notification_vector = IDT_VECTOR_NOTIFICATION,
};
