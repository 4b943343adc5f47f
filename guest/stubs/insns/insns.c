/* SPDX-License-Identifier: MIT */
/*
 * The same programs with RAM and with devices behind their operands, in every mode: what they leave must be the same.
 * A program is one instruction from a random state. The words: `embedder` takes devices that the embedder completes,
 * rounds= says how often each program is run, mode= in which mode alone (a number, from 0 on).
 */
#include "guest/stubs/insns/fill.h"
#include "guest/stubs/insns/report.h"
#include "guest/stubs/lib.h"

enum { DEFAULT_ROUNDS = 2, ALL_MODES = 99 };

static const struct machine_mode modes[] = {
	{"real mode", MACHINE_REAL, 16, 0},
	{"16-bit protected mode", MACHINE_PROTECTED, 16, 3},
	{"32-bit protected mode", MACHINE_PROTECTED, 32, 3},
	{"32-bit mode with paging", MACHINE_PAGING, 32, 3},
	{"16-bit compatibility mode", MACHINE_LONG, 16, 3},
	{"32-bit compatibility mode", MACHINE_LONG, 32, 3},
	{"64-bit mode", MACHINE_LONG, 64, 0},
	{"64-bit mode at CPL 3", MACHINE_LONG, 64, 3},
};
enum { NR_MODES = sizeof(modes) / sizeof(modes[0]) };

static struct outcome with_ram = {.memory = fill_window[WITH_RAM]}, with_device = {.memory = fill_window[WITH_DEVICE]};
static enum abi_device_id devices[2] = {DEVICE_WINDOW0, DEVICE_WINDOW1};
static uint64_t device_at = DEVICE_WINDOW0_AT;
static bool has[NR_FEATURES];
static unsigned rows, runs, lacking, failures;

static const struct {
	uint8_t feature, subleaf, reg, bit;
	uint32_t leaf;
} features[] = {
	{FEATURE_SSE3, 0, 2, 0, 1},           {FEATURE_SSE41, 0, 2, 19, 1},   {FEATURE_SSE42, 0, 2, 20, 1},
	{FEATURE_MOVBE, 0, 2, 22, 1},         {FEATURE_POPCNT, 0, 2, 23, 1},  {FEATURE_AVX, 0, 2, 28, 1},
	{FEATURE_AVX2, 0, 1, 5, 7},           {FEATURE_BMI1, 0, 1, 3, 7},     {FEATURE_BMI2, 0, 1, 8, 7},
	{FEATURE_ADX, 0, 1, 19, 7},           {FEATURE_AVX512F, 0, 1, 16, 7}, {FEATURE_AVX512BW, 0, 1, 30, 7},
	{FEATURE_AVX512DQ, 0, 1, 17, 7},      {FEATURE_MOVDIRI, 0, 2, 27, 7}, {FEATURE_MOVDIR64B, 0, 2, 28, 7},
	{FEATURE_LZCNT, 0, 2, 5, 0x80000001},
};

static void find_features(void)
{
	has[FEATURE_NONE] = true;
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		uint32_t out[4];

		__asm__ volatile("cpuid"
				 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
				 : "a"(features[i].leaf), "c"(0));
		has[features[i].feature] = out[features[i].reg] >> features[i].bit & 1;
	}
}

static uint64_t device_accesses(void)
{
	struct abi_device first = lib_device(devices[0]), second = lib_device(devices[1]);

	return first.reads + first.writes + second.reads + second.writes;
}

/* True: the program left the same both times. Its memory goes on from there. */
static bool run_twice(struct seed *seed)
{
	const struct machine_window ram = {with_ram.memory, 0}, device = {with_device.memory, device_at};

	seed_make(seed);
	machine_place(seed->mode, seed->code_at, seed->row->code, seed->row->length);
	with_ram.run.has_xsave = with_device.run.has_xsave = seed->row->traits & ROW_STATE;
	if (with_ram.run.has_xsave) {
		seed_xsave(seed, with_ram.run.xsave);
		memcpy(with_device.run.xsave, with_ram.run.xsave, machine_xsave_bytes());
	}
	with_ram.run.state = with_device.run.state = seed->state;
	machine_execute(seed->mode, &ram, &with_ram.run);
	machine_execute(seed->mode, &device, &with_device.run);
	runs++;
	if (report_compare(seed, &with_ram, &with_device))
		return true;
	memcpy(with_device.memory, with_ram.memory, WINDOW_MEMORY);
	return false;
}

static bool may_run(const struct row *row, const struct machine_mode *mode)
{
	if (row->traits & ROW_CPL0 && mode->cpl != 0)
		return false;
	/* Where two ends of 64 KiB are a device's, paging has put it there. */
	if (row->traits & ROW_ENDS && !machine_has_paging(mode))
		return false;
	return !(row->traits & ROW_NOT_REAL && mode->kind == MACHINE_REAL);
}

static void run_row(const struct row *row, const struct machine_mode *mode, unsigned rounds)
{
	struct seed seed = {.row = row, .mode = mode};
	uint64_t before = device_accesses();
	bool all = true;

	if (!has[row->feature] || (row->traits & ROW_STATE && !machine_xcr0())) {
		lacking++;
		return;
	}
	for (seed.round = 0; seed.round < rounds; seed.round++) {
		/* Of few rounds the first one is plain; the others differ from row to row. */
		seed.kind = seed.round ? 1 + (seed.round + rows) % (SEED_KINDS - 1) : 0;
		all &= run_twice(&seed);
	}
	if (!(row->traits & ROW_NO_DEVICE) && device_accesses() == before) {
		report_unreached(&seed, &with_device);
		all = false;
	}
	rows++;
	failures += !all;
}

static void run_mode(const struct machine_mode *mode, unsigned rounds)
{
	const struct row *row = mode->code_bits == 64 ? rows64 : mode->code_bits == 32 ? rows32 : rows16;
	const struct row *end = mode->code_bits == 64 ? rows64_end : mode->code_bits == 32 ? rows32_end : rows16_end;

	for (; row < end; row++)
		if (may_run(row, mode))
			run_row(row, mode, rounds);
}

static void print_summary(void)
{
	struct lib_line line = {.length = 0};

	if (failures) {
		lib_line_number(&line, failures, 10);
		lib_line_text(&line, " of ");
	}
	lib_line_number(&line, rows, 10);
	lib_line_text(&line, failures ? " programs differ; " : " programs ran ");
	lib_line_number(&line, runs, 10);
	lib_line_text(&line, " times with RAM and with a device; the CPU lacks ");
	lib_line_number(&line, lacking, 10);
	lib_line_print(&line);
}

int main(const struct mb1_info *info)
{
	unsigned rounds = (unsigned)lib_number(info, "rounds=", DEFAULT_ROUNDS);
	uint64_t only = lib_number(info, "mode=", ALL_MODES);

	if (lib_word(info, "embedder")) {
		devices[0] = DEVICE_WINDOWEMB0;
		devices[1] = DEVICE_WINDOWEMB1;
		device_at = DEVICE_WINDOWEMB0_AT;
	}
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQUAL(lib_edit(EDIT_ADD, devices[i], device_at + i * DEVICE_BYTES), 0);
		CHECK_EQUAL(vmcall(HC_BACK, devices[i],
				   (uint64_t)with_device.memory + WINDOW_DEVICES + i * DEVICE_BYTES, 0, 0),
			    0);
	}
	machine_start();
	find_features();
	for (unsigned i = 0; i < WINDOW_MEMORY; i += 8)
		fill_memory(i, lib_random(), 8);
	for (unsigned i = 0; i < NR_MODES; i++)
		if (only == ALL_MODES || only == i)
			run_mode(&modes[i], rounds);
	print_summary();
	return failures != 0;
}
