/* SPDX-License-Identifier: MIT */
/*
 * What is typed: any bytes on the serial line, or any scan codes of a keyboard, to a guest whose map the monitor shows
 * and changes. Whatever it is told, the monitor says something that ends, its devices come back, and the map stays one.
 */
#include "boot/input.h"
#include "boot/keyboard.h"
#include "guest/monitor/monitor.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hosted.h"
#include <stdarg.h>
#include <string.h>

enum { VCPUS = 2, MOST_SAID = 1 << 20 };

static bool held[VCPUS], has_ended;
static size_t nr_said;

/* Formatted for the sanitizer's sake. */
static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	char text[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fuzz_require(length >= 0 && (size_t)length < sizeof(text));
	nr_said += (size_t)length;
	fuzz_require(nr_said < MOST_SAID);
}

static void take_trace(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost)
{
	(void)records;
	fuzz_require(cpu == 0 && (count || lost));
}

/* vmx/ is not here: what a vCPU has counted is any numbers, and there is none to be taken. */
void tl_vcpu_exits(const struct tl_vcpu *vcpu, struct tl_vcpu_exits *exits)
{
	fuzz_require(!vcpu);
	memset(exits, 0xff, sizeof(*exits));
}

enum tl_status tl_vcpu_get(struct tl_vcpu *vcpu, struct tl_state *state)
{
	(void)state;
	fuzz_require(vcpu);
	return TL_INVALID_ARGUMENT;
}

enum tl_status tl_vcpu_dump(struct tl_vcpu *vcpu)
{
	fuzz_require(vcpu);
	return TL_INVALID_ARGUMENT;
}

static struct tl_vcpu *view_vcpu(const struct guest_view *view, unsigned index)
{
	(void)view;
	fuzz_require(index < VCPUS);
	return NULL;
}

static struct tl_vcpu *take(const struct guest_view *view, unsigned index)
{
	(void)view;
	fuzz_require(index < VCPUS);
	return NULL;
}

static void hold(const struct guest_view *view, unsigned index, bool on)
{
	(void)view;
	fuzz_require(index < VCPUS);
	held[index] = on;
}

static bool is_held(const struct guest_view *view, unsigned index)
{
	(void)view;
	fuzz_require(index < VCPUS);
	return held[index];
}

static void end(const struct guest_view *view, const char *how)
{
	(void)view;
	fuzz_require(*how);
	has_ended = true;
}

static const char *range_name(const struct guest_view *view, uint64_t start)
{
	(void)view;
	return start ? "" : "RAM";
}

/* Ranges in order and apart, each found again by its addresses. */
static void check_map(struct tl_vm *vm)
{
	struct tl_range_info range, again;

	for (uint64_t from = 0; tl_map_next(vm, from, &range); from = range.start + range.size) {
		fuzz_require(range.start >= from && range.size);
		fuzz_require(tl_map_next(vm, range.start + range.size - 1, &again) && again.id == range.id);
	}
}

static void type(struct monitor *monitor, struct input *input, const struct guest_view *view, uint8_t key)
{
	switch (input_route(input, key)) {
	case INPUT_MONITOR:
		monitor_key(monitor, view, key);
		break;
	case INPUT_SWITCH:
		if (input->monitor)
			monitor_open(monitor, view);
		break;
	case INPUT_GUEST:
		if (!input_keep(key))
			while (input_read() >= 0)
				;
		break;
	default:
		break;
	}
	monitor_drain(monitor);
}

static void add_memory(struct tl_vm *vm)
{
	const struct tl_range ram = {.kind = TL_RANGE_RAM, .size = 0x100000, .host = hosted_memory(0)};
	struct tl_edit *edit = tl_map_edit(vm);
	tl_range_id id;

	fuzz_require(tl_map_add(edit, &ram, &id) == TL_OK && tl_map_commit(edit) == TL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool by_keyboard = size && data[0] & 1;
	struct monitor monitor = {.print = say, .take_trace = take_trace, .nr_cpus = 1};
	struct input input = {.monitor = true};
	struct keyboard keyboard = {0};
	enum tl_status status;
	struct guest_view view = {.name = "guest",
				  .nr_vcpus = VCPUS,
				  .vcpu = view_vcpu,
				  .take = take,
				  .hold = hold,
				  .is_held = is_held,
				  .end = end,
				  .range_name = range_name};

	hosted_start();
	memset(held, 0, sizeof(held));
	nr_said = 0;
	has_ended = false;
	view.vm = tl_vm_create(NULL, &status);
	fuzz_require(view.vm);
	add_memory(view.vm);
	for (size_t i = 1; i < size && !monitor.quits; i++) {
		int key = by_keyboard ? keyboard_take(&keyboard, data[i]) : data[i];

		fuzz_require(key >= -1 && key < 256);
		if (key >= 0)
			type(&monitor, &input, &view, (uint8_t)key);
	}
	fuzz_require(monitor.quits == has_ended);
	check_map(view.vm);
	tl_trace_stop();
	tl_trace_release();
	fuzz_require(tl_vm_destroy(view.vm) == TL_OK);
	for (unsigned i = 0; i < MONITOR_DEVICES; i++)
		fuzz_require(!monitor.device[i].used);
	fuzz_require(hosted.pages_out == 0);
	return 0;
}
