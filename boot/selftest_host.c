/* SPDX-License-Identifier: MIT */
#include "boot/selftest_host.h"

#include <stdatomic.h>

#include "boot/apic.h"
#include "boot/cpu.h"
#include "boot/idt.h"
#include "boot/smp.h"
#include "boot/tsc.h"

enum { EXCHANGES = 64, RATE_TOLERANCE = 50 /* one in so many */ };

#define SLOWEST_HZ 1000000ull
#define FASTEST_HZ 20000000000ull

const char *host_check_name(enum host_check check)
{
	static const char *const names[HOST_NR_CHECKS] = {
		[HOST_CHECK_TSC_RATE] = "tsc-rate",
		[HOST_CHECK_TSC_AGREES] = "tsc-agrees",
		[HOST_CHECK_NMI] = "nmi",
		[HOST_CHECK_L1TF] = "l1tf",
	};

	return names[check];
}

static struct tl_check_result ok(const char *text)
{
	return (struct tl_check_result){.verdict = TL_VERDICT_OK, .text = text};
}

static struct tl_check_result absent(const char *why)
{
	return (struct tl_check_result){.verdict = TL_VERDICT_ABSENT, .text = why};
}

static struct tl_check_result fail(const char *what, uint64_t expected, uint64_t found)
{
	return (struct tl_check_result){.verdict = TL_VERDICT_FAIL, .text = what, .expected = expected, .found = found};
}

/* ---- The rate -----------------------------------------------------------------------------------------------------
 */

static struct tl_check_result check_rate(struct host_selftest *report)
{
	uint64_t measured = tsc_measured_hz(), said = tsc_said_hz();

	report->tsc_hz = tsc_hz();
	report->cpuid_tsc_hz = said;
	if (!measured)
		return said ? ok("what CPUID says; no PIT answers to measure it by")
			    : absent("no PIT answers to measure it by, and CPUID does not say it");
	if (measured < SLOWEST_HZ || measured > FASTEST_HZ)
		return fail("no rate, in Hz, of a TSC", SLOWEST_HZ, measured);
	if (!said)
		return ok("measured; CPUID does not say it");
	if (measured < said - said / RATE_TOLERANCE || measured > said + said / RATE_TOLERANCE)
		return absent("CPUID says another one: the measured one is used");
	return ok("measured, and what CPUID says");
}

/* ---- One CPU beside another ---------------------------------------------------------------------------------------
 */

/* Fences on both sides: read neither before what stands before it, nor after what stands behind it. */
static uint64_t tsc_now(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Odd: the other CPU is asked for its time; even: it has answered. */
struct exchange {
	_Atomic unsigned turn;
	uint64_t answer;
};

static void answer_times(void *context)
{
	struct exchange *exchange = context;

	for (unsigned i = 0; i < EXCHANGES; i++) {
		/* acquire: asked before the time is read. */
		while (atomic_load_explicit(&exchange->turn, memory_order_acquire) != 2 * i + 1)
			cpu_relax();
		exchange->answer = tsc_now();
		/* release: the answer. */
		atomic_store_explicit(&exchange->turn, 2 * i + 2, memory_order_release);
	}
}

/* Each answer lies between the question and its arrival, if both count the same time. */
static bool agrees(unsigned cpu, uint64_t *window, struct tl_check_result *result)
{
	struct exchange exchange = {0};
	bool good = true;

	*window = UINT64_MAX;
	smp_start(cpu, answer_times, &exchange);
	for (unsigned i = 0; i < EXCHANGES; i++) {
		uint64_t asked = tsc_now(), arrived;

		/* release, acquire: as in answer_times(). */
		atomic_store_explicit(&exchange.turn, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&exchange.turn, memory_order_acquire) != 2 * i + 2)
			cpu_relax();
		arrived = tsc_now();
		if (arrived - asked < *window)
			*window = arrived - asked;
		if (good && (exchange.answer < asked || exchange.answer > arrived)) {
			*result = fail("another CPU's TSC is behind or ahead", asked, exchange.answer);
			good = false;
		}
	}
	smp_wait(cpu);
	return good;
}

static struct tl_check_result check_agrees(struct host_selftest *report)
{
	struct tl_check_result result = ok("a vCPU that migrates sees time go on");

	if (smp_nr_cpus() == 1)
		return absent("there is one CPU");
	for (unsigned cpu = 1; cpu < smp_nr_cpus(); cpu++) {
		uint64_t window;

		if (!agrees(cpu, &window, &result))
			break;
		if (window > report->tsc_window)
			report->tsc_window = window;
	}
	return result;
}

/* ---- NMIs ---------------------------------------------------------------------------------------------------------
 */

enum { NMIS_IN_HOST = 100, NMI_POLLS = 100000, NMI_PERIOD = 20000 /* ticks of the TSC */ };

static uint64_t nmis_taken(void)
{
	/* relaxed: the handler's own count, by any CPU. */
	return __atomic_load_n(&idt_nmis, __ATOMIC_RELAXED);
}

/* To the calling CPU, which takes each before the next is sent. */
static bool takes_its_own(struct tl_check_result *result)
{
	for (unsigned i = 0; i < NMIS_IN_HOST; i++) {
		uint64_t before = nmis_taken();

		apic_send(apic_id(), APIC_NMI);
		for (unsigned polls = 0; polls < NMI_POLLS && nmis_taken() == before; polls++)
			cpu_relax();
		if (nmis_taken() != before)
			continue;
		*result = fail("an NMI to the own CPU was not taken", before + 1, before);
		return false;
	}
	return true;
}

/* What another CPU sends the first one until it is told to end. */
struct storm {
	uint32_t apic_id;
	_Atomic bool ends;
};

static void send_nmis(void *context)
{
	struct storm *storm = context;

	/* relaxed: it ends, soon. */
	while (!atomic_load_explicit(&storm->ends, memory_order_relaxed)) {
		uint64_t sent = tsc_now();

		apic_send(storm->apic_id, APIC_NMI);
		while (tsc_now() - sent < NMI_PERIOD)
			cpu_relax();
	}
}

/* The library's checks again, interrupted all the time: in the guest, at exits and entries, and in C. */
static bool withstands(struct tl_check_result *result)
{
	static struct tl_selftest report;
	struct storm storm = {.apic_id = apic_id()};
	uint64_t before = nmis_taken();
	enum tl_status status;

	smp_start(1, send_nmis, &storm);
	status = tl_selftest(&report);
	atomic_store_explicit(&storm.ends, true, memory_order_relaxed);
	smp_wait(1);
	if (status != TL_OK || nmis_taken() == before) {
		*result = fail("no NMI came while the checks ran", before + 1, nmis_taken());
		return false;
	}
	for (unsigned i = 0; i < TL_NR_CHECKS; i++) {
		if (report.check[i].verdict != TL_VERDICT_FAIL)
			continue;
		*result = report.check[i];
		return false;
	}
	return true;
}

static struct tl_check_result check_nmi(void)
{
	struct tl_check_result result;

	if (!apic_form())
		return absent("no local APIC to send them by");
	if (!takes_its_own(&result))
		return result;
	if (smp_nr_cpus() == 1)
		return ok("taken in the host; none in guests, with one CPU");
	return withstands(&result) ? ok("taken in the host and while checks run") : result;
}

/* ---- Memory -------------------------------------------------------------------------------------------------------
 */

static struct tl_check_result check_l1tf(const struct boot_info *info)
{
	for (size_t i = 0; i < info->nr_memory; i++) {
		uint64_t start = info->memory[i].start, size = info->memory[i].end - start;

		if (tl_memory_is_l1tf_target(start, size))
			return fail("memory where MMIO entries point: guests cannot have it", 0, start);
	}
	return ok("no memory where MMIO entries point");
}

void host_selftest(const struct boot_info *info, struct host_selftest *report)
{
	*report = (struct host_selftest){0};
	report->check[HOST_CHECK_TSC_RATE] = check_rate(report);
	report->check[HOST_CHECK_TSC_AGREES] = check_agrees(report);
	report->check[HOST_CHECK_NMI] = check_nmi();
	report->check[HOST_CHECK_L1TF] = check_l1tf(info);
}
