/* SPDX-License-Identifier: MIT */
#include "guest/guest.h"
#include "guest/calls.h"
#include "guest/text.h"

enum {
	GUEST_PAGE = 4096,
	GUEST_PLATFORM_PAGES = (sizeof(struct platform) + GUEST_PAGE - 1) / GUEST_PAGE,
	GUEST_TRACE_BATCH = 32,
	GUEST_TRACE_ALL =
		1 << TL_TRACE_MARK_MMIO_SPTE | 1 << TL_TRACE_CHECK_MMIO_SPTE | 1 << TL_TRACE_HANDLE_MMIO_PAGE_FAULT,
};

/* How a run ended. */
struct guest_end {
	unsigned ending; /* enum guest_ending */
	uint64_t code;   /* of GUEST_EXIT */
	char how[160];
};

static uint64_t guest_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void guest_describe_stop(const struct tl_exit_stop *stop, struct guest_end *end)
{
	char bytes[3 * sizeof(stop->bytes) + 8] = "", *at = bytes;

	for (unsigned i = 0; i < stop->nr_bytes && i < sizeof(stop->bytes); i++, at += 3)
		text_format(at, 4, "%02x ", stop->bytes[i]);
	if (at != bytes)
		at[-1] = '\0';
	text_format(end->how, sizeof(end->how), "stopped: %s at rip 0x%lx, address 0x%lx%s%s%s%s",
		    tl_stop_name(stop->why), stop->rip, stop->gpa, at != bytes ? ", bytes " : "", bytes,
		    stop->why == TL_STOP_EXIT ? ", exit " : "",
		    stop->why == TL_STOP_EXIT ? tl_exit_reason_name((unsigned)stop->code) : "");
	end->ending = GUEST_STOP_FIRST + stop->why;
}

/* Completes an exit that the guest goes on after; false if it ends the guest. */
static bool guest_serve(struct platform *platform, struct tl_exit *exit, struct guest_end *end)
{
	switch (exit->reason) {
	case TL_EXIT_VMCALL:
		if (exit->vmcall.number == HC_EXIT) {
			end->ending = GUEST_EXIT;
			end->code = exit->vmcall.argument[0];
			text_format(end->how, sizeof(end->how), "exit with code %lu", end->code);
			return false;
		}
		calls_serve(platform, &exit->vmcall);
		return true;
	case TL_EXIT_MMIO:
		return device_complete(&exit->mmio) == TL_OK;
	case TL_EXIT_DRAIN:
		return device_drain(&exit->mmio) == TL_OK;
	case TL_EXIT_IO:
		exit->io.data = UINT32_MAX; /* no port is claimed: all ones, and writes go nowhere */
		return true;
	case TL_EXIT_KICKED:
		return true;
	case TL_EXIT_HLT:
		end->ending = GUEST_HALT;
		break;
	case TL_EXIT_SHUTDOWN:
		end->ending = GUEST_SHUTDOWN;
		break;
	case TL_EXIT_BUDGET:
		end->ending = GUEST_TIMEOUT;
		break;
	case TL_EXIT_NO_MEMORY:
		platform_fault(platform, "the host ran out of memory for EPT tables: give it more or lower mem=");
		return false;
	case TL_EXIT_STOPPED:
		guest_describe_stop(&exit->stop, end);
		return false;
	}
	text_format(end->how, sizeof(end->how), "%s", tl_exit_name(exit->reason));
	return false;
}

static void guest_run_to_end(struct platform *platform, struct guest_end *end)
{
	struct tl_exit exit = {.reason = TL_EXIT_KICKED};
	enum tl_status status;

	do {
		status = tl_vcpu_run(platform->vcpu, &exit);
		if (status != TL_OK) {
			platform_fault(platform, "the vCPU does not run: %s", tl_status_text(status));
			return;
		}
	} while (guest_serve(platform, &exit, end));
}

static const char *guest_trace_name(uint32_t event)
{
	static const char *const names[] = {[TL_TRACE_MARK_MMIO_SPTE] = "mark_mmio_spte",
					    [TL_TRACE_CHECK_MMIO_SPTE] = "check_mmio_spte",
					    [TL_TRACE_HANDLE_MMIO_PAGE_FAULT] = "handle_mmio_page_fault"};

	return event < sizeof(names) / sizeof(names[0]) ? names[event] : "unknown event";
}

static void guest_print_record(const struct guest_services *services, const struct tl_trace_record *record)
{
	const char *valid = "";

	if (record->event == TL_TRACE_CHECK_MMIO_SPTE)
		valid = record->verdict ? " not valid" : " valid";
	services->print("trace: %lu %s gpa 0x%lx spte 0x%lx range %u tag 0x%x, in the map 0x%x%s\n", record->tsc,
			guest_trace_name(record->event), record->gpa, record->spte, record->range, record->spte_tag,
			record->map_tag, valid);
}

static void guest_print_trace(const struct guest_services *services)
{
	struct tl_trace_record record[GUEST_TRACE_BATCH];
	uint64_t lost;
	size_t count;

	while ((count = tl_trace_read(0, record, GUEST_TRACE_BATCH, &lost)) > 0) {
		if (lost)
			services->print("trace: %lu older events were overwritten\n", lost);
		for (size_t i = 0; i < count; i++)
			guest_print_record(services, &record[i]);
	}
}

/* Whether the run was right; the reason says why, or why not. */
static void guest_judge(const struct platform *platform, const struct guest_options *options,
			const struct guest_end *end, struct guest_report *report)
{
	const struct tl_stats *stats = &report->stats;
	char *reason = report->reason;
	size_t size = sizeof(report->reason);

	report->passed = false;
	if (platform->fault[0])
		text_format(reason, size, "%s", platform->fault);
	else if (end->ending != options->expect)
		text_format(reason, size, "%s, where \"%s\" was expected", end->how,
			    options_ending_name(options->expect));
	else if (end->ending == GUEST_EXIT && end->code != 0)
		text_format(reason, size, "%s: %s", end->how, platform->last_line);
	else if (stats->bugs && options->expect != GUEST_STOP_FIRST + TL_STOP_BUG)
		text_format(reason, size, "%lu EPT entries were misconfigured and not ours", stats->bugs);
	else if (options->exact && stats->fresh + stats->stale != report->accesses)
		text_format(reason, size, "fresh + stale is %lu, where the devices and the hole counted %lu accesses",
			    stats->fresh + stats->stale, report->accesses);
	else
		report->passed = true;
	if (!report->passed)
		return;
	text_format(reason, size, "%s", end->how);
	if (end->ending != GUEST_EXIT && !platform->services->quiet)
		platform->services->print("  %s: %s, as expected\n", platform->name, end->how);
}

static bool guest_load(struct platform *platform, const struct guest_module *module,
		       const struct guest_options *options, char *why, size_t size)
{
	struct load_image image = {module->image, module->size};
	struct tl_state state;
	enum tl_status status;
	bool loaded;

	loaded = options->is_flat
			 ? load_flat(&image, &platform->memory, options->flat, options->mode, &state, why, size)
			 : load_multiboot(&image, &platform->memory, options->command_line, &state, why, size);
	if (!loaded)
		return false;
	status = tl_vcpu_set(platform->vcpu, &state);
	if (status != TL_OK)
		text_format(why, size, "%s", tl_status_text(status));
	return status == TL_OK;
}

static void guest_run_on(struct platform *platform, const struct guest_module *module,
			 const struct guest_options *options, struct guest_report *report)
{
	const struct guest_services *services = platform->services;
	struct guest_end end = {.how = "not started"};
	uint64_t begin;

	platform->name = module->name;
	if (!platform_create(platform, services, options, report->reason, sizeof(report->reason)))
		return;
	if (!guest_load(platform, module, options, report->reason, sizeof(report->reason))) {
		platform_destroy(platform);
		return;
	}
	if (services->trace)
		tl_trace_enable(GUEST_TRACE_ALL);
	begin = guest_ticks();
	guest_run_to_end(platform, &end);
	report->ticks = guest_ticks() - begin;
	tl_trace_enable(0);
	tl_stats(platform->vm, &report->stats);
	report->accesses = platform_accesses(platform) + report->stats.hole_reads + report->stats.hole_writes;
	platform_destroy(platform);
	if (services->trace)
		guest_print_trace(services);
	guest_judge(platform, options, &end, report);
}

void guest_run(const struct guest_module *module, const struct guest_services *services, struct guest_report *report)
{
	struct guest_options options = {.tag_bits = services->tag_bits,
					.mmio_level = services->mmio_level,
					.first_generation = services->first_generation};
	struct platform *platform;

	*report = (struct guest_report){.passed = false};
	if (!options_parse(module->arguments, &options, report->reason, sizeof(report->reason)))
		return;
	platform = services->alloc_pages(GUEST_PLATFORM_PAGES);
	if (!platform) {
		text_format(report->reason, sizeof(report->reason), "the host has no memory for the guest's devices");
		return;
	}
	platform->services = services;
	guest_run_on(platform, module, &options, report);
	services->free_pages(platform, GUEST_PLATFORM_PAGES);
}
