/* SPDX-License-Identifier: MIT */
#include "boot/selftest.h"

#include <trapline.h>

#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/halt.h"
#include "boot/libc.h"
#include "boot/selftest_host.h"
#include "boot/smp.h"

enum { NR_CHECKS = TL_NR_CHECKS + HOST_NR_CHECKS, LEAF_BRAND = 0x80000002, BRAND_SIZE = 49, SUMMARY_FORMAT = 1 };

struct job {
	struct tl_selftest report;
	enum tl_status status;
};

/* What all CPUs say of a check: the first failure, else the first CPU's word. */
struct row {
	const char *name;
	struct tl_check_result result;
	unsigned cpu;
};

static struct job jobs[TL_MAX_CPUS];
static struct row rows[NR_CHECKS];
static struct host_selftest host;

static void run_job(void *context)
{
	struct job *job = context;

	job->status = tl_selftest(&job->report);
}

/* One CPU after the other: how long an exit takes is not to depend on what the others do. */
static void run_all(const struct boot_info *info)
{
	for (unsigned cpu = 0; cpu < smp_nr_cpus(); cpu++) {
		if (cpu)
			smp_start(cpu, run_job, &jobs[cpu]);
		else
			run_job(&jobs[cpu]);
		if (cpu)
			smp_wait(cpu);
		if (jobs[cpu].status != TL_OK)
			host_exit(HOST_CANNOT_RUN, "the self-test on CPU %u: %s", cpu,
				  tl_status_text(jobs[cpu].status));
	}
	host_selftest(info, &host);
}

static void collect(void)
{
	for (unsigned i = 0; i < TL_NR_CHECKS; i++) {
		rows[i] = (struct row){.name = tl_check_name((enum tl_check)i), .result = jobs[0].report.check[i]};
		for (unsigned cpu = 1; cpu < smp_nr_cpus(); cpu++) {
			const struct tl_check_result *result = &jobs[cpu].report.check[i];

			if (rows[i].result.verdict != TL_VERDICT_FAIL && result->verdict == TL_VERDICT_FAIL) {
				rows[i].result = *result;
				rows[i].cpu = cpu;
			}
		}
	}
	for (unsigned i = 0; i < HOST_NR_CHECKS; i++)
		rows[TL_NR_CHECKS + i] =
			(struct row){.name = host_check_name((enum host_check)i), .result = host.check[i]};
}

static void read_brand(char brand[BRAND_SIZE])
{
	memset(brand, 0, BRAND_SIZE);
	if (cpu_id(0x80000000).eax < LEAF_BRAND + 2)
		return;
	for (unsigned i = 0; i < 3; i++) {
		const struct cpuid part = cpu_id(LEAF_BRAND + i);

		memcpy(brand + i * sizeof(part), &part, sizeof(part));
	}
}

/* ---- For programs -------------------------------------------------------------------------------------------------
 */

static const char *const verdict_words[] = {
	[TL_VERDICT_OK] = "ok", [TL_VERDICT_FAIL] = "fail", [TL_VERDICT_ABSENT] = "absent"};

static void print_number(const char *name, uint64_t value)
{
	host_print("%s=%llu\n", name, (unsigned long long)value);
}

static void print_facts(void)
{
	const char *name;
	uint64_t value;

	for (size_t i = 0; tl_cpu_fact(i, &name, &value); i++)
		host_print("fact.%s=0x%llx\n", name, (unsigned long long)value);
}

static void print_checks(void)
{
	for (unsigned i = 0; i < NR_CHECKS; i++) {
		const struct tl_check_result *result = &rows[i].result;

		host_print("check.%s=%s\n", rows[i].name, verdict_words[result->verdict]);
		host_print("check.%s.text=%s\n", rows[i].name, result->text);
		if (result->verdict == TL_VERDICT_FAIL)
			host_print("check.%s.expected=0x%llx\ncheck.%s.found=0x%llx\ncheck.%s.cpu=%u\n", rows[i].name,
				   (unsigned long long)result->expected, rows[i].name,
				   (unsigned long long)result->found, rows[i].name, rows[i].cpu);
	}
}

static void print_cpu_figures(unsigned cpu)
{
	const struct tl_selftest *report = &jobs[cpu].report;

	host_print("cpu%u.exit_cycles=%llu\ncpu%u.misconfiguration_cycles=%llu\ncpu%u.timer_ticks=%llu\n", cpu,
		   (unsigned long long)report->exit_ticks, cpu, (unsigned long long)report->misconfiguration_ticks, cpu,
		   (unsigned long long)report->timer_ticks);
	host_print("cpu%u.stale_seen=%u\ncpu%u.stale_possible=%u\ncpu%u.saves_resume_flag=%u\n", cpu,
		   report->stale_seen, cpu, report->stale_possible, cpu, report->saves_resume_flag);
}

static void print_block(const struct boot_info *info, const char *brand, bool failed)
{
	host_print("-----BEGIN TRAPLINE SELFTEST-----\n");
	print_number("format", SUMMARY_FORMAT);
	host_print("cpu=%s\n", brand);
	print_number("cpus", smp_nr_cpus());
	print_number("memory_mib", info->memory_size >> 20);
	print_number("tsc_hz", host.tsc_hz);
	print_number("cpuid_tsc_hz", host.cpuid_tsc_hz);
	print_number("tsc_window", host.tsc_window);
	print_facts();
	print_checks();
	for (unsigned cpu = 0; cpu < smp_nr_cpus(); cpu++)
		print_cpu_figures(cpu);
	host_print("result=%s\n", failed ? "fail" : "ok");
	host_print("-----END TRAPLINE SELFTEST-----\n");
}

/* ---- For people ---------------------------------------------------------------------------------------------------
 */

static void print_row(const struct row *row)
{
	static const char *const words[] = {
		[TL_VERDICT_OK] = "ok", [TL_VERDICT_FAIL] = "FAIL", [TL_VERDICT_ABSENT] = "not here"};
	const struct tl_check_result *result = &row->result;

	host_print("%-17s %-9s %s\n", row->name, words[result->verdict], result->text);
	if (result->verdict == TL_VERDICT_FAIL)
		host_print("%27s CPU %u: %llx expected, %llx found\n", "", row->cpu,
			   (unsigned long long)result->expected, (unsigned long long)result->found);
}

static void print_screen(const char *brand)
{
	const struct tl_selftest *first = &jobs[0].report;

	host_print("Trapline self-test, %u CPUs: %s\n", smp_nr_cpus(), brand);
	for (unsigned i = 0; i < NR_CHECKS; i++)
		print_row(&rows[i]);
	host_print("cycles of the TSC: %llu an exit by VMCALL, %llu by a misconfiguration\n",
		   (unsigned long long)first->exit_ticks, (unsigned long long)first->misconfiguration_ticks);
	host_print("TSC %llu kHz; old translations seen before INVEPT: %u of %u; RF saved: %s\n",
		   (unsigned long long)(host.tsc_hz / 1000), first->stale_seen, first->stale_possible,
		   first->saves_resume_flag ? "yes" : "no");
}

void selftest_report(const struct boot_info *info, unsigned *ok, unsigned *failed, unsigned *absent)
{
	unsigned count[3] = {0};
	char brand[BRAND_SIZE];
	const char *name = brand;

	run_all(info);
	collect();
	for (unsigned i = 0; i < NR_CHECKS; i++)
		count[rows[i].result.verdict]++;
	read_brand(brand);
	while (*name == ' ')
		name++;
	print_block(info, name, count[TL_VERDICT_FAIL]);
	print_screen(name);
	*ok = count[TL_VERDICT_OK];
	*failed = count[TL_VERDICT_FAIL];
	*absent = count[TL_VERDICT_ABSENT];
}
