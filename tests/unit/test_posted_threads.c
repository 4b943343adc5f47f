/* SPDX-License-Identifier: MIT */
/*
 * CPUs that post interrupts to a vCPU while it enters its guest, exits, halts, sleeps and goes from one of the host's
 * CPUs to the other: each is taken, once, with what was stored before it. The guest's CPU is tests/unit/virtual_cpu.h,
 * and vmx_run() here stands for entry.asm; what comes between an exit and the next entry is vmx/ itself.
 */
#include "tests/unit/mock/vmx/asm.h"

#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include "tests/unit/virtual_cpu.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { HOST_CPUS = 2, MAIN_CPU = HOST_CPUS, FIRST_POSTER, POSTERS = 3, LEAST_ROUNDS = 1000 };
enum { FIRST_VECTOR = 0x41, APART = 0x3e, KICK = 0xf0, SECONDS_UNTIL_LOST = 60, STEPS = 24 };

_Thread_local struct mock_cpu mock_cpu;

static struct tl_vcpu *guest;
static struct tl_exit left;
static uint32_t *page;
static struct tl_posted *descriptor;
static uint64_t kept[MOCK_VMCS_FIELDS]; /* the VMCS while no CPU has it */

/* What waits at each of the host's CPUs, and which one has the vCPU. */
static _Atomic bool notified[HOST_CPUS], kicked[HOST_CPUS];
static _Atomic unsigned turn;
static _Atomic bool asleep, woken, done;

/* Of each poster; `sent` is plain, so that the thread sanitizer sees whether the interrupt orders it. */
static unsigned sent[POSTERS];
static _Atomic unsigned taken[POSTERS];

/* What the vCPU has done, and how often that has to be. */
static _Atomic unsigned nr_processed, nr_collected, nr_sleeps, nr_moves, nr_left;
enum { LEAST_SEEN = 5 };

static bool all_was_seen(void)
{
	return nr_processed >= LEAST_SEEN && nr_collected >= LEAST_SEEN && nr_sleeps >= LEAST_SEEN &&
	       nr_moves >= LEAST_SEEN;
}

static uint8_t vector_of(unsigned poster)
{
	return (uint8_t)(FIRST_VECTOR + APART * poster);
}

static _Noreturn void lose(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static unsigned thread_random(unsigned below)
{
	static _Thread_local uint64_t state;

	if (!state)
		state = 88172645463325252 + hosted_cpu;
	state = state * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(state >> 33) % below;
}

/* ---- The host's interrupts --------------------------------------------------------------------------------------- */

static void get_notified(unsigned cpu)
{
	atomic_store(&notified[cpu], true);
}

static void get_kicked(unsigned cpu)
{
	if (cpu < HOST_CPUS)
		atomic_store(&kicked[cpu], true);
}

/* Their handlers end them; a kick has the CPU look for who wants its vCPU. */
static void take_interrupts(void)
{
	atomic_store(&notified[hosted_cpu], false);
	atomic_store(&kicked[hosted_cpu], false);
}

/* ---- The CPU ----------------------------------------------------------------------------------------------------- */

static void load(uint64_t region)
{
	(void)region;
	memcpy(mock_cpu.vmcs, kept, sizeof(kept));
}

static void save(uint64_t region)
{
	(void)region;
	memcpy(kept, mock_cpu.vmcs, sizeof(kept));
}

static void be_cpu(unsigned index)
{
	hosted_cpu = index;
	mock_cpu.on_vmptrld = load;
	mock_cpu.on_vmclear = save;
}

/* The guest's handler. */
static void handle(struct virtual_cpu *cpu, int vector)
{
	unsigned poster = (unsigned)(vector - FIRST_VECTOR) / APART;
	/* relaxed: its own. */
	unsigned before = atomic_load_explicit(&taken[poster], memory_order_relaxed);

	if (sent[poster] != before + 1)
		lose("an interrupt is taken that was not sent, or is twice");
	/* release: the look at `sent` comes before the next one. */
	atomic_store_explicit(&taken[poster], before + 1, memory_order_release);
	virtual_cpu_end(cpu);
}

static void exit_by(uint32_t reason, uint64_t interruption)
{
	vmcs_write(VMCS_EXIT_REASON, reason);
	vmcs_write(VMCS_EXIT_INTERRUPTION_INFORMATION, interruption);
	vmcs_write(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
}

/* The guest, up to an exit. */
static void run_guest(void)
{
	uint64_t status = vmcs_read(VMCS_GUEST_INTERRUPT_STATUS);
	struct virtual_cpu cpu = {
		.page = page, .posted = descriptor, .rvi = (uint8_t)status, .svi = (uint8_t)(status >> 8)};
	bool is_kicked = false;
	int vector;

	sched_yield();
	for (unsigned i = thread_random(STEPS); i && !is_kicked; i--) {
		is_kicked = atomic_exchange(&kicked[hosted_cpu], false);
		if (atomic_exchange(&notified[hosted_cpu], false)) {
			virtual_cpu_notified(&cpu);
			nr_processed++;
		}
		while ((vector = virtual_cpu_deliver(&cpu)) != VIRTUAL_NO_VECTOR)
			handle(&cpu, vector);
	}
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, (uint64_t)cpu.svi << 8 | cpu.rvi);
	if (is_kicked)
		exit_by(EXIT_REASON_EXTERNAL_INTERRUPT, EVENT_INFO_VALID | KICK);
	else if (thread_random(3) == 0)
		exit_by(EXIT_REASON_HLT, 0);
	else
		exit_by(EXIT_REASON_VMCALL, 0);
}

/* Notifications that the entry finds waiting are the CPU's; those that came with the host's interrupts on were not. */
enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	enum vcpu_action action;

	do {
		if (!(vmcs_read(VMCS_PIN_CONTROLS) & PIN_POSTED_INTERRUPTS) ||
		    vmcs_read(VMCS_POSTED_INTERRUPT_DESCRIPTOR) != host_to_phys(descriptor) ||
		    vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID)
			lose("the guest is entered without posted interrupts");
		run_guest();
		vcpu->gpr[TL_RAX] = 0;
		/* The handler of an interrupt that the exit has acknowledged lets others in. */
		if (vmcs_read(VMCS_EXIT_REASON) == EXIT_REASON_EXTERNAL_INTERRUPT && thread_random(2))
			take_interrupts();
		action = vcpu_exit_fast(vcpu);
		if (action == VCPU_FULL)
			action = vcpu_exit(vcpu);
	} while (action == VCPU_RESUME);
	return action;
}

/* ---- The embedder ------------------------------------------------------------------------------------------------ */

static bool pending(struct tl_vcpu *vcpu)
{
	bool is_requested = false;

	(void)vcpu;
	for (unsigned part = 0; part < 8; part++)
		is_requested |= page[(VIRTUAL_IRR + part * 16) / 4] | tl_posted_requests(descriptor, part);
	return is_requested;
}

static int acknowledge(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	lose("an interrupt goes by the entry");
}

static int held_back(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return -1;
}

static void collect(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	nr_collected += (unsigned)(__atomic_load_n(&descriptor->control, __ATOMIC_RELAXED) & 1);
	tl_posted_collect(descriptor, page);
}

static bool external(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return false;
}

/* Rule 17. */
static void sleep_until_woken(void)
{
	atomic_store(&asleep, true);
	if (!pending(guest)) {
		nr_sleeps++;
		while (!atomic_exchange(&woken, false) && !atomic_load(&done)) {
			take_interrupts();
			sched_yield();
		}
	}
	atomic_store(&asleep, false);
}

/* Runs the vCPU for a while, and gives it to the other CPU. */
static void *host_cpu(void *context)
{
	be_cpu((unsigned)(uintptr_t)context);
	while (!atomic_load(&done)) {
		/* acquire: all of the vCPU. */
		if (atomic_load_explicit(&turn, memory_order_acquire) != hosted_cpu) {
			take_interrupts();
			sched_yield();
			continue;
		}
		for (unsigned i = 1 + thread_random(4); i; i--) {
			assert_int_equal(tl_vcpu_run(guest, &left), TL_OK);
			nr_left++;
			if (left.reason == TL_EXIT_HLT)
				sleep_until_woken();
			if (thread_random(2))
				take_interrupts();
		}
		tl_vcpu_unload(guest);
		nr_moves++;
		/* release: pairs with the load above. */
		atomic_store_explicit(&turn, 1 - hosted_cpu, memory_order_release);
	}
	return NULL;
}

static void *post(void *context)
{
	unsigned number = (unsigned)(uintptr_t)context;

	hosted_cpu = FIRST_POSTER + number;
	for (unsigned i = 1; i <= LEAST_ROUNDS || !all_was_seen(); i++) {
		time_t until;

		sent[number] = i;
		tl_vcpu_post(guest, vector_of(number));
		if (atomic_load(&asleep))
			atomic_store(&woken, true);
		if (thread_random(64) == 0)
			tl_vcpu_kick(guest);
		until = time(NULL) + SECONDS_UNTIL_LOST;
		/* acquire: it was looked at. */
		while (atomic_load_explicit(&taken[number], memory_order_acquire) != i) {
			sched_yield();
			if (time(NULL) > until)
				lose("an interrupt is lost");
		}
	}
	return NULL;
}

static const struct tl_processor processor = {.acknowledge = acknowledge, .pending = pending};
static struct tl_apic apic = {.held_back = held_back, .collect = collect, .external = external};

static void make_vcpu(struct tl_vm *vm)
{
	enum tl_status status;

	guest = tl_vcpu_create(vm, &status);
	assert_non_null(guest);
	page = apic.registers = page_alloc(1);
	descriptor = apic.posted = page_alloc(1);
	tl_vcpu_set_processor(guest, &processor);
	assert_int_equal(tl_vcpu_set_apic(guest, &apic), TL_OK);
	assert_int_equal(tl_vcpu_set_apic_mode(guest, TL_APIC_X2APIC, 0), TL_OK);
	vmcs_write(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
	tl_vcpu_unload(guest);
}

static struct tl_vm *start(void)
{
	enum tl_status status;

	hosted_start();
	hosted.on_notify = get_notified;
	hosted.on_kick = get_kicked;
	be_cpu(MAIN_CPU);
	vmx_capability.physical_bits = 39;
	vmx_capability.msr.cr0_fixed1 = vmx_capability.msr.cr4_fixed1 = UINT32_MAX;
	vmx_controls = (struct vmx_controls){.unrestricted_guest = true,
					     .tpr_shadow = true,
					     .x2apic_mode = true,
					     .msr_bitmaps = true,
					     .virtual_interrupts = true,
					     .posted_interrupts = true};
	for (unsigned i = 0; i <= MAIN_CPU; i++)
		vmx_cpu[i] = (struct vmx_cpu){.up = true};
	assert_int_equal(vmcs_bitmaps_create(), TL_OK);
	probe_set_delivery(PROBE_DELIVERY_RIGHT);
	return tl_vm_create(NULL, &status);
}

static void none_is_lost(void **context)
{
	struct tl_vm *vm = start();
	pthread_t cpu[HOST_CPUS], poster[POSTERS];
	unsigned nr_sent = 0;

	(void)context;
	make_vcpu(vm);
	for (uintptr_t i = 0; i < HOST_CPUS; i++)
		assert_int_equal(pthread_create(&cpu[i], NULL, host_cpu, (void *)i), 0);
	for (uintptr_t i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_create(&poster[i], NULL, post, (void *)i), 0);
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(poster[i], NULL);
	atomic_store(&done, true);
	for (unsigned i = 0; i < HOST_CPUS; i++)
		pthread_join(cpu[i], NULL);
	for (unsigned i = 0; i < POSTERS; i++) {
		assert_int_equal(taken[i], sent[i]);
		nr_sent += sent[i];
	}
	print_message("%u posted: %zu notifications, %u processed in the guest, %u collected; %u sleeps, %u moves, %u "
		      "runs\n",
		      nr_sent, hosted.nr_notifications, nr_processed, nr_collected, nr_sleeps, nr_moves, nr_left);
	/* Where ON is set already nobody is notified. */
	assert_true(hosted.nr_notifications < nr_sent);
	assert_int_equal(tl_vcpu_destroy(guest), TL_OK);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	page_free(page, 1);
	page_free(descriptor, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(none_is_lost)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
