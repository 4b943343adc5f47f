/* SPDX-License-Identifier: MIT */
#include "guest/guest.h"
#include "guest/pc/pc.h"
#include "guest/platform_view.h"
#include "guest/schedule.h"
#include "guest/text.h"
#include "guest/traced.h"

enum {
	GUEST_PAGE = 4096,
	GUEST_PLATFORM_PAGES = (sizeof(struct platform) + GUEST_PAGE - 1) / GUEST_PAGE,
};

/* Whether the run was right; the reason says why, or why not. */
static void guest_judge(const struct platform *platform, const struct guest_options *options,
			struct guest_report *report)
{
	const struct guest_end *end = &platform->end;
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
		text_format(reason, size, "%s: %s", end->how, end->vcpu->last_line);
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
	struct load_module kernel = {{module->image, module->size}, options->command_line};
	struct tl_state state;
	enum tl_status status;
	bool loaded;

	loaded = options->is_flat
			 ? load_flat(&kernel.image, &platform->memory, options->flat, options->mode, &state, why, size)
			 : load_multiboot(&kernel, module->modules, module->nr_modules, &platform->memory, &state, why,
					  size);
	if (!loaded)
		return false;
	status = tl_vcpu_set(platform->vcpu[0].vcpu, &state);
	if (status != TL_OK)
		text_format(why, size, "%s", tl_status_text(status));
	return status == TL_OK;
}

static void guest_run_on(struct platform *platform, const struct guest_module *module,
			 const struct guest_options *options, struct guest_report *report)
{
	const struct guest_services *services = platform->services;

	platform->name = module->name;
	if (!platform_create(platform, services, options, report->reason, sizeof(report->reason)))
		return;
	if (!guest_load(platform, module, options, report->reason, sizeof(report->reason))) {
		platform_destroy(platform);
		return;
	}
	traced_begin(services);
	platform_view_init(platform, options, platform_ticks());
	schedule_watch(platform);
	report->began = platform_ticks();
	schedule_run(platform);
	report->ticks = platform_ticks() - report->began;
	schedule_unwatch(platform);
	traced_end(services, platform->traces);
	tl_stats(platform->vm, &report->stats);
	report->accesses = platform_accesses(platform) + report->stats.hole_reads + report->stats.hole_writes;
	platform_destroy(platform);
	guest_judge(platform, options, report);
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
	options.memory = services->memory ? services->memory : options.memory;
	options.vcpus = services->vcpus ? services->vcpus : options.vcpus;
	if (!hand_check_memory(services->ranges, services->nr_ranges, options.memory, report->reason,
			       sizeof(report->reason)))
		return;
	if (options.is_pc) {
		pc_run_guest(module, services, &options, report);
		return;
	}
	platform = services->alloc_pages(GUEST_PLATFORM_PAGES);
	if (!platform) {
		text_format(report->reason, sizeof(report->reason), "the host has no memory for the guest's devices");
		return;
	}
	platform->services = services;
	guest_run_on(platform, module, &options, report);
	services->free_pages(platform, GUEST_PLATFORM_PAGES);
}
