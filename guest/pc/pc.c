/* SPDX-License-Identifier: MIT */
/* A PC's memory, its map, what is loaded into it, and what came of it. */
#include "guest/pc/pc.h"
#include "guest/pc/linux_boot.h"
#include "guest/pc/pvh.h"
#include "guest/text.h"
#include "guest/traced.h"

enum {
	PC_PAGE = 4096,
	PC_LARGE_PAGE = 2 << 20,
	PC_PAGES = (sizeof(struct pc) + PC_PAGE - 1) / PC_PAGE,
	PC_GUESSED_HZ = 1000000000, /* where nobody knows */
	PC_UNIX_TIME = 1700000000,  /* the host has no clock: a guest's time begins on a November day of 2023 */
};

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Firmware is told of RAM alone: what it takes of that, it tells its system. */
static void describe_memory(struct pc *pc)
{
	struct load_map_entry *map = pc->map;

	if (pc->firmware.size) {
		*map++ = (struct load_map_entry){0, PC_LOW_RAM, LOAD_MAP_RAM};
	} else {
		*map++ = (struct load_map_entry){0, PC_EBDA, LOAD_MAP_RAM};
		*map++ = (struct load_map_entry){PC_EBDA, PC_LOW_RAM - PC_EBDA, LOAD_MAP_RESERVED};
		*map++ = (struct load_map_entry){FIRMWARE_AT, FIRMWARE_SIZE, LOAD_MAP_RESERVED};
	}
	*map++ = (struct load_map_entry){PC_HIGH_RAM, pc->memory_size - PC_HIGH_RAM, LOAD_MAP_RAM};
	pc->memory = (struct load_memory){
		.region = {{0, PC_LOW_RAM, pc->ram},
			   {PC_HIGH_RAM, pc->memory_size - PC_HIGH_RAM, pc->ram + PC_HIGH_RAM}},
		.nr_regions = 2,
		.map = pc->map,
		.nr_map = (unsigned)(map - pc->map),
	};
}

/* One block for all of it, aligned alike for guest and host; what is not RAM in it is the screen's and the firmware's.
 */
static bool allocate_memory(struct pc *pc, uint64_t size, const struct load_image *disk)
{
	const struct guest_services *services = pc->services;

	pc->memory_size = size;
	pc->block_pages = (size + PC_LARGE_PAGE) / PC_PAGE - 1;
	pc->block = services->alloc_pages(pc->block_pages);
	if (!pc->block)
		return false;
	pc->ram = (uint8_t *)(((uintptr_t)pc->block + PC_LARGE_PAGE - 1) & ~((uintptr_t)PC_LARGE_PAGE - 1));
	describe_memory(pc);
	if (!pc_firmware_allocate(pc))
		return false;
	if (!disk)
		return true;
	/* A copy: the module is the same for each guest that has it. */
	pc->disk_pages = (disk->size + PC_PAGE - 1) / PC_PAGE;
	pc->disk = services->alloc_pages(pc->disk_pages);
	if (pc->disk)
		__builtin_memcpy(pc->disk, disk->data, disk->size);
	return pc->disk;
}

static void list_regions(struct pc *pc)
{
	struct pc_memory *memory = &pc->mapped_memory;
	bool has_firmware = pc->firmware.size;

	*memory = (struct pc_memory){.region = {{.kind = TL_RANGE_RAM, .start = 0, .size = PC_LOW_RAM, .host = pc->ram},
						{.kind = has_firmware ? TL_RANGE_RAM : TL_RANGE_ROM,
						 .start = PC_ROM,
						 .size = PC_HIGH_RAM - PC_ROM,
						 .host = pc->ram + PC_ROM},
						{.kind = TL_RANGE_RAM,
						 .start = PC_HIGH_RAM,
						 .size = pc->memory_size - PC_HIGH_RAM,
						 .host = pc->ram + PC_HIGH_RAM}},
				     .nr_regions = 3};
	if (has_firmware)
		memory->region[memory->nr_regions++] = pc_firmware_range(pc);
}

static enum tl_status build_map(struct pc *pc)
{
	struct tl_edit *edit = tl_map_edit(pc->vm);
	enum tl_status status;

	if (!edit)
		return TL_NO_MEMORY;
	list_regions(pc);
	status = pc_memory_make_way(&pc->mapped_memory, edit, NULL, 0);
	if (status == TL_OK)
		status = pc_memory_come_back(&pc->mapped_memory, edit);
	if (status == TL_OK)
		status = machine_add_ranges(&pc->machine, edit);
	if (status == TL_OK)
		status = tl_map_commit(edit);
	else
		tl_map_discard(edit);
	pc_memory_settle(&pc->mapped_memory, status == TL_OK);
	return status;
}

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

static uint64_t machine_now(void *context)
{
	return pc_now(context);
}

/*
 * The first CPU, which waits for the devices' timers, is to know; the lock is held. A vCPU that has no turn looks by
 * itself when it has.
 */
static void machine_sooner(void *context, uint64_t at)
{
	struct pc *pc = context;
	struct pc_vcpu *turn;

	/* seq_cst: pairs with devices_due(). */
	atomic_store_explicit(&pc->due, at, memory_order_seq_cst);
	turn = atomic_load_explicit(&pc->cpu[0].turn, memory_order_seq_cst);
	if (turn)
		tl_vcpu_kick(turn->vcpu);
	pc->services->wake_cpu(0);
}

static void machine_ends(void *context, enum ending_kind kind, uint32_t code)
{
	static const unsigned ending[] = {
		[ENDING_RESET] = GUEST_RESET, [ENDING_POWER_OFF] = GUEST_POWER_OFF, [ENDING_EXIT] = GUEST_EXIT};
	char how[40] = "reset";

	if (kind == ENDING_POWER_OFF)
		text_format(how, sizeof(how), "power-off");
	else if (kind == ENDING_EXIT)
		text_format(how, sizeof(how), "exit with code %u", code);
	pc_end(context, ending[kind], code, how);
}

static bool init_machine(struct pc *pc, const struct guest_options *options, const struct load_image *disk)
{
	struct machine_parts parts = {
		.vm = pc->vm,
		.memory_below_4g = pc->memory_size,
		.nr_cpus = pc->nr_vcpus,
		.unix_time = PC_UNIX_TIME,
		.disk = pc->disk,
		.disk_size = disk ? disk->size : 0,
		.vga_memory = pc->ram + VGA_TEXT_AT,
		.has_test_devices = options->has_test_devices,
		.has_virtio_console = options->has_virtio_console,
		.put = pc_put,
		.context = &pc->line,
		.debug_context = &pc->debug_line,
		.flush_page = pc_flush_page,
		.flush_context = pc,
		.ending = {machine_ends, pc},
	};

	pc->machine.clock = (struct clock){.now = machine_now, .sooner = machine_sooner, .context = pc, .hz = pc->hz};
	pc->line.pc = pc->debug_line.pc = pc;
	pc_cpus_init(pc);
	if (!machine_init(&pc->machine, &parts))
		return false;
	/* One clock for APIC timers and TSC: CPUID says its rate. */
	pc->machine.bus.timer_hz = pc->hz;
	return pc_firmware_init(pc);
}

/* ---- Creation ---------------------------------------------------------------------------------------------------- */

static void set_up(struct pc *pc, const struct guest_options *options)
{
	const struct guest_services *services = pc->services;

	pc->hz = services->tsc_hz ? services->tsc_hz : PC_GUESSED_HZ;
	pc->ends = options->timeout;
	pc->slice = options->slice;
	pc->shake = options->shake;
	pc->nr_vcpus = options->vcpus;
	pc->nr_cpus = options->vcpus < services->nr_cpus ? options->vcpus : services->nr_cpus;
	pc->due = UINT64_MAX;
	pc->typed = -1;
}

bool pc_create(struct pc *pc, const struct guest_options *options, const struct load_image *disk, char *why,
	       size_t size)
{
	struct tl_vm_config config = {.first_generation = options->first_generation,
				      .tag_bits = options->tag_bits,
				      .mmio_level = options->mmio_level,
				      .invalidate = pc->services->invalidate,
				      .decode_doorbells = options->decode_doorbells};
	enum tl_status status;

	if (options->memory < PC_LEAST_RAM) {
		text_format(why, size, "a PC has 2 MiB of memory at least: give a larger mem=");
		return false;
	}
	set_up(pc, options);
	if (!allocate_memory(pc, options->memory, disk)) {
		text_format(why, size,
			    "the host has no %lu KiB of contiguous memory for the guest and its disk: lower mem=",
			    options->memory >> 10);
		pc_destroy(pc);
		return false;
	}
	/* The guest's time begins when it has its memory, which takes a tick for each 8 bytes. */
	pc->tsc_offset = config.tsc_offset = 0 - pc_host_ticks();
	pc->vm = tl_vm_create(&config, &status);
	if (pc->vm)
		status = init_machine(pc, options, disk) ? build_map(pc) : TL_INVALID_ARGUMENT;
	if (status == TL_OK && !pc->rom)
		machine_place_functions(&pc->machine);
	for (unsigned i = 0; i < pc->nr_vcpus && status == TL_OK; i++)
		status = pc_cpu_create(pc, i);
	if (status == TL_OK)
		return true;
	text_format(why, size, "%s", tl_status_text(status));
	pc_destroy(pc);
	return false;
}

void pc_destroy(struct pc *pc)
{
	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		if (pc->vcpu[i].vcpu)
			tl_vcpu_destroy(pc->vcpu[i].vcpu);
	if (pc->vm)
		tl_vm_destroy(pc->vm);
	pc_apics_free(pc);
	if (pc->block)
		pc->services->free_pages(pc->block, pc->block_pages);
	if (pc->disk)
		pc->services->free_pages(pc->disk, pc->disk_pages);
	if (pc->rom)
		pc->services->free_pages(pc->rom, pc->rom_pages);
}

/* ---- A run ------------------------------------------------------------------------------------------------------- */

static const struct load_image *find_module(const struct guest_module *module, const char *name)
{
	char word[16];

	for (unsigned i = 0; i < module->nr_modules; i++) {
		const char *line = module->modules[i].line;

		if (text_next_word(&line, word, sizeof(word)) && text_equal(word, name))
			return &module->modules[i].image;
	}
	return NULL;
}

/* As QEMU's -kernel starts it: the first word of its command line is its name, which most kernels step over. */
static bool load_by_multiboot(struct pc *pc, const struct guest_module *module, const struct guest_options *options,
			      struct tl_state *state, char *why, size_t size)
{
	char line[1024];
	struct load_module kernel = {{module->image, module->size}, line};

	text_format(line, sizeof(line), *options->command_line ? "%s %s" : "%s", module->name, options->command_line);
	return load_multiboot(&kernel, module->modules, module->nr_modules, &pc->memory, state, why, size);
}

static bool load(struct pc *pc, const struct guest_module *module, const struct guest_options *options, char *why,
		 size_t size)
{
	struct load_image kernel = {module->image, module->size};
	const struct load_image *initrd = find_module(module, "initrd");
	struct linux_boot boot = {.memory = &pc->memory,
				  .kernel = kernel,
				  .initrd = initrd ? *initrd : (struct load_image){NULL, 0},
				  .line = options->command_line,
				  .rsdp = pc->rsdp};
	struct tl_state state;
	enum tl_status status;
	bool loaded;

	/* The vCPU is as after a reset, and what it begins with is there. */
	if (pc->firmware.size)
		return true;
	if (options->is_flat)
		loaded = load_flat(&kernel, &pc->memory, options->flat, options->mode, &state, why, size);
	else if (linux_is_kernel(&kernel))
		loaded = linux_load(&boot, &state, why, size);
	else if (pvh_is_kernel(&kernel))
		loaded = pvh_load(&boot, &state, why, size);
	else
		loaded = load_by_multiboot(pc, module, options, &state, why, size);
	if (!loaded)
		return false;
	status = tl_vcpu_set(pc->vcpu[0].vcpu, &state);
	if (status != TL_OK)
		text_format(why, size, "%s", tl_status_text(status));
	return status == TL_OK;
}

static void judge(const struct pc *pc, const struct guest_options *options, struct guest_report *report)
{
	size_t size = sizeof(report->reason);

	if (pc->ending != options->expect)
		text_format(report->reason, size, "%s, where \"%s\" was expected", pc->how,
			    options_ending_name(options->expect));
	else if (pc->ending == GUEST_EXIT && pc->code != 0)
		text_format(report->reason, size, "%s", pc->how);
	else if (report->stats.bugs)
		text_format(report->reason, size, "%lu EPT entries were misconfigured and not ours",
			    report->stats.bugs);
	else
		report->passed = true;
	if (report->passed)
		text_format(report->reason, size, "%s", pc->how);
}

static void run(struct pc *pc, const struct guest_module *module, const struct guest_options *options,
		struct guest_report *report)
{
	char *why = report->reason;
	size_t size = sizeof(report->reason);

	if (options->is_firmware) {
		pc->firmware = (struct load_image){module->image, module->size};
		if (!pc_firmware_check(&pc->firmware, why, size))
			return;
	}
	if (!pc_create(pc, options, find_module(module, "disk"), why, size))
		return;
	if (!pc_firmware_add_modules(pc, module, why, size) || !load(pc, module, options, why, size)) {
		pc_destroy(pc);
		return;
	}
	traced_begin(pc->services);
	report->began = pc_host_ticks();
	pc_view_init(pc, report->began);
	pc_run(pc);
	pc_show_end(pc);
	pc_show_screen(pc);
	report->ticks = pc_host_ticks() - report->began;
	traced_end(pc->services, false);
	if (options->exits)
		pc_show_exits(pc);
	tl_stats(pc->vm, &report->stats);
	report->accesses = report->stats.fresh + report->stats.stale;
	pc_destroy(pc);
	judge(pc, options, report);
}

void pc_run_guest(const struct guest_module *module, const struct guest_services *services,
		  const struct guest_options *options, struct guest_report *report)
{
	struct pc *pc = services->alloc_pages(PC_PAGES);

	if (!pc) {
		text_format(report->reason, sizeof(report->reason), "the host has no memory for the guest's devices");
		return;
	}
	pc->services = services;
	pc->name = module->name;
	run(pc, module, options, report);
	services->free_pages(pc, PC_PAGES);
}
