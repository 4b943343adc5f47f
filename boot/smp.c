/* SPDX-License-Identifier: MIT */
#include "boot/smp.h"

#include <stddef.h>

#include "boot/apic.h"
#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/gdt.h"
#include "boot/host_cpu.h"
#include "boot/idt.h"
#include "boot/libc.h"
#include "boot/memory.h"
#include "boot/paging.h"
#include "boot/tsc.h"

/* Of boot/ap.asm. A processor takes ap_cpu by an exchange; the others are set before. */
extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern _Atomic uint32_t ap_cpu;
extern uint64_t ap_stack, ap_tables;
_Noreturn void ap_main(struct host_cpu *cpu);

enum { TRAMPOLINE_END = 0xA0000 /* where the screen's memory begins in a PC */ };

/* SDM vol. 3, 9.4.4.1, and a processor's time to answer. Microseconds. */
enum { AFTER_INIT = 10000, AFTER_STARTUP = 200, TO_ANSWER = 100000, TO_COME_UP = 1000000 };
enum { CR4_MCE = 1 << 6 };

struct host_cpu host_cpus[TL_MAX_CPUS];

/* The CPUs that run, by their numbers in the library, which have holes where one did not come up. */
static unsigned running[TL_MAX_CPUS];
static unsigned nr_running = 1;
static size_t nr_listed = 1;

static uint64_t first_adjustment; /* of the first CPU's TSC */

/* ---- On the other processors ------------------------------------------------------------------------------ */

static _Noreturn void work_for_ever(struct host_cpu *cpu)
{
	for (;;) {
		/* acquire: the context, and what the job works on. */
		void (*work)(void *) = atomic_load_explicit(&cpu->work, memory_order_acquire);

		if (work) {
			work(cpu->context);
			/* release: what the job wrote is seen by who finds it done. */
			atomic_store_explicit(&cpu->work, NULL, memory_order_release);
			continue;
		}
		tl_cpu_poll();
		/* A kick between the look and the halt ends the halt: interrupts are off until it. */
		cpu_wait();
	}
}

_Noreturn void ap_main(struct host_cpu *cpu)
{
	gdt_init(cpu);
	idt_load();
	tsc_adjust(first_adjustment);
	paging_init_cpu();
	cr4_write(cr4_read() | CR4_MCE);
	apic_enable();
	cpu->status = tl_cpu_up();
	/* release: its status, and all that coming up wrote. */
	atomic_store_explicit(&cpu->state, cpu->status == TL_OK ? HOST_CPU_IDLE_OR_WORKING : HOST_CPU_REFUSED,
			      memory_order_release);
	if (cpu->status != TL_OK)
		cpu_stop();
	work_for_ever(cpu);
}

/* ---- Starting them ---------------------------------------------------------------------------------------- */

/* The highest page of usable memory that real mode reaches and no module lies in; 0: there is none. */
static uint64_t find_low_page(const struct boot_info *info)
{
	for (uint64_t page = TRAMPOLINE_END - HOST_PAGE; page; page -= HOST_PAGE) {
		bool usable = false;

		for (size_t i = 0; i < info->nr_memory; i++)
			usable |= info->memory[i].start <= page && page + HOST_PAGE <= info->memory[i].end;
		for (size_t i = 0; i < info->nr_modules; i++)
			usable &= info->modules[i].end <= page || page + HOST_PAGE <= info->modules[i].start;
		if (usable)
			return page;
	}
	return 0;
}

static bool answered(void)
{
	return atomic_load_explicit(&ap_cpu, memory_order_relaxed) == 0;
}

static bool has_come_up(const struct host_cpu *cpu)
{
	/* acquire: pairs with ap_main(). */
	return atomic_load_explicit(&cpu->state, memory_order_acquire) != HOST_CPU_STARTING;
}

/* INIT, start-up, and the second start-up that old processors want (SDM vol. 3, 9.4.4.1). */
static void send_start(uint32_t id, uint64_t page)
{
	apic_send(id, APIC_INIT);
	tsc_delay(AFTER_INIT);
	apic_send(id, APIC_STARTUP | (uint32_t)(page / HOST_PAGE));
	tsc_delay(AFTER_STARTUP);
	if (!answered())
		apic_send(id, APIC_STARTUP | (uint32_t)(page / HOST_PAGE));
}

/* NULL: it runs. Otherwise what is wrong with it. */
static const char *start_cpu(struct host_cpu *cpu, uint64_t page)
{
	uint32_t none = 0;

	ap_stack = (uintptr_t)cpu->stacks[HOST_STACK_BOOT].end;
	ap_tables = paging_tables();
	atomic_store_explicit(&cpu->state, HOST_CPU_STARTING, memory_order_relaxed);
	/* release: the stores before it. The interrupt command orders it, too. */
	atomic_store_explicit(&ap_cpu, (uint32_t)(uintptr_t)cpu, memory_order_release);
	send_start(cpu->apic_id, page);
	for (unsigned waited = 0; waited < TO_ANSWER && !answered(); waited += AFTER_STARTUP)
		tsc_delay(AFTER_STARTUP);
	/* Taken back: one that comes later than this finds nothing and stops. */
	if (atomic_exchange_explicit(&ap_cpu, none, memory_order_acquire) != none) {
		atomic_store_explicit(&cpu->state, HOST_CPU_ABSENT, memory_order_relaxed);
		return "it does not answer.";
	}
	for (unsigned waited = 0; waited < TO_COME_UP && !has_come_up(cpu); waited += AFTER_STARTUP)
		tsc_delay(AFTER_STARTUP);
	if (!has_come_up(cpu))
		return "it answered, but does not come up.";
	return cpu->status == TL_OK ? NULL : tl_status_text(cpu->status);
}

/* What each needs, for all of them before the first runs: unmapping guard pages is for one CPU alone. */
static unsigned prepare(const struct acpi_apics *apics)
{
	unsigned count = 1;

	for (size_t i = 0; i < apics->count; i++) {
		struct host_cpu *cpu = &host_cpus[count];

		if (apics->apic_id[i] == host_cpus[0].apic_id)
			continue;
		if (count == TL_MAX_CPUS) {
			host_print("SMP: there are more than %d processors; the others are not used.\n", TL_MAX_CPUS);
			break;
		}
		if (!apic_reaches(apics->apic_id[i])) {
			host_print("SMP: the processor with APIC ID %u is out of xAPIC's reach; it is not used.\n",
				   apics->apic_id[i]);
			continue;
		}
		if (!host_stacks_make(cpu)) {
			host_print("SMP: memory ran out after %u processors; give the machine more.\n", count);
			break;
		}
		cpu->index = count++;
		cpu->apic_id = apics->apic_id[i];
	}
	return count;
}

static void start_all(const struct boot_info *info, unsigned count)
{
	uint64_t page = find_low_page(info);
	const char *wrong;

	if (!page) {
		host_print("SMP: no page below 1 MiB is usable, so that no other processor can be started.\n");
		return;
	}
	memcpy((void *)page, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	for (unsigned i = 1; i < count; i++) {
		wrong = start_cpu(&host_cpus[i], page);
		if (wrong)
			host_print("SMP: the processor with APIC ID %u is not used: %s\n", host_cpus[i].apic_id, wrong);
		else
			running[nr_running++] = i;
	}
}

void smp_init(const struct boot_info *info, const struct acpi_apics *apics, bool x2apic_off)
{
	if (!apic_init(x2apic_off)) {
		host_print("SMP: the processor has no local APIC that can be used, so that it stays alone.\n");
		return;
	}
	apic_enable();
	apic_calibrate_timer();
	host_cpus[0].apic_id = apic_id();
	atomic_store_explicit(&host_cpus[0].state, HOST_CPU_IDLE_OR_WORKING, memory_order_relaxed);
	first_adjustment = tsc_adjustment();
	nr_listed = apics->count + apics->left_out;
	if (apics->count)
		start_all(info, prepare(apics));
}

void smp_describe(void)
{
	uint32_t highest = 0;

	for (unsigned cpu = 0; cpu < nr_running; cpu++)
		if (host_cpus[running[cpu]].apic_id > highest)
			highest = host_cpus[running[cpu]].apic_id;
	if (apic_form())
		host_print("SMP: %u of %zu processors run, %s, the highest APIC ID is %u\n", nr_running, nr_listed,
			   apic_form(), highest);
}

/* ---- Work ------------------------------------------------------------------------------------------------- */

unsigned smp_nr_cpus(void)
{
	return nr_running;
}

void smp_start(unsigned cpu, void (*function)(void *context), void *context)
{
	struct host_cpu *to = &host_cpus[running[cpu]];

	to->context = context;
	/* release: the context, and what the caller prepared. */
	atomic_store_explicit(&to->work, function, memory_order_release);
	smp_kick(to->index);
}

void smp_wait(unsigned cpu)
{
	/* acquire: what the job wrote. */
	while (atomic_load_explicit(&host_cpus[running[cpu]].work, memory_order_acquire)) {
		tl_cpu_poll();
		cpu_relax();
	}
}

bool smp_arm_alarm(uint64_t tsc_ticks)
{
	host_cpus[host_cpu_index()].alarm = tsc_ticks ? tsc_read() + tsc_ticks : 0;
	return apic_arm_timer(tsc_ticks);
}

/* The library's alarm has the timer again. One that is over has ended a halt, and tl_vcpu_run() looks by itself. */
static void give_timer_back(void)
{
	struct host_cpu *cpu = &host_cpus[host_cpu_index()];
	uint64_t now = tsc_read();

	if (cpu->alarm <= now)
		cpu->alarm = 0;
	apic_arm_timer(cpu->alarm ? cpu->alarm - now : 0);
}

void smp_idle(uint64_t tsc)
{
	uint64_t now = tsc_read();
	bool timed = tsc != UINT64_MAX;

	tl_cpu_poll();
	/* Without an APIC nothing would end the halt. */
	if (!apic_form() || tsc <= now || (timed && !apic_arm_timer(tsc - now))) {
		cpu_relax();
		return;
	}
	cpu_wait();
	if (timed)
		give_timer_back();
	tl_cpu_poll();
}

void smp_wake(unsigned cpu)
{
	smp_kick(host_cpus[running[cpu]].index);
}

static void go_down(void *context)
{
	(void)context;
	tl_cpu_down();
}

void smp_stop(void)
{
	for (unsigned cpu = 1; cpu < nr_running; cpu++) {
		smp_start(cpu, go_down, NULL);
		smp_wait(cpu);
	}
}

void smp_kick(unsigned index)
{
	apic_send(host_cpus[index].apic_id, APIC_FIXED | IDT_VECTOR_KICK);
	/*
	 * The interrupt is the kick: it stays pending where the CPU is about to enter a guest, and ends the guest at
	 * once. But Bochs 2.7 computes at an entry whether interrupts are masked as if the guest were not entered yet,
	 * and so keeps them from a guest whose IF is 0, whatever external-interrupt exiting says. An NMI gets through.
	 */
	apic_send(host_cpus[index].apic_id, APIC_NMI);
}

void smp_notify(unsigned index)
{
	apic_send(host_cpus[index].apic_id, APIC_FIXED | IDT_VECTOR_NOTIFICATION);
}
