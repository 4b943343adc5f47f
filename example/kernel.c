/* SPDX-License-Identifier: MIT */
/*
 * The smallest kernel that embeds Trapline: one processor, one guest, one device. Read from the bottom up; `make
 * example` boots it. docs/embedding.md says more about each part.
 */
#include "example/console.h"
#include <trapline.h>

void kernel_main(void);

enum {
	PAGE = 4096,
	POOL_PAGES = 1024,
	GUEST_RAM = 64 << 10,
	ENTRY = 0x1000,
	LED_AT = 0xd0000000u,
	LED_MOVES_TO = 0xe0000000u
};
enum { CALL_MOVE_LED = 1, CALL_DONE = 2, BLINKS = 2000 };
enum { CODE_32 = 0xc09b, DATA_32 = 0xc093, CR0_PE = 1 << 0, CR0_ET = 1 << 4, CR0_NE = 1 << 5 };

extern const unsigned char guest_code[], guest_code_end[];

/* ---- Hooks ------------------------------------------------------------------------------------------------------- */

static unsigned char pool[POOL_PAGES][PAGE] __attribute__((aligned(PAGE)));
static bool taken[POOL_PAGES];

/* The first so many pages in a row that are free. */
static void *alloc_pages(size_t count)
{
	for (size_t first = 0, i = 0; i < POOL_PAGES; i++) {
		if (taken[i]) {
			first = i + 1;
			continue;
		}
		if (i + 1 - first < count)
			continue;
		for (size_t page = first; page <= i; page++)
			taken[page] = true;
		__builtin_memset(pool[first], 0, count * PAGE);
		return pool[first];
	}
	return NULL;
}

static void free_pages(void *pages, size_t count)
{
	size_t first = (size_t)((unsigned char(*)[PAGE])pages - pool);

	for (size_t page = first; page < first + count; page++)
		taken[page] = false;
}

static void log_line(enum tl_log_level level, const char *format, va_list arguments)
{
	(void)level;
	print_v(format, arguments);
	print("\n");
}

static _Noreturn void panic_v(const char *format, va_list arguments)
{
	print("trapline: panic: ");
	print_v(format, arguments);
	print("\n");
	console_end();
}

/* There is one processor, and what would kick it runs on it. */
static unsigned cpu_index(void)
{
	return 0;
}

static void kick(unsigned cpu)
{
	(void)cpu;
}

static const struct tl_hooks hooks = {
	.alloc_pages = alloc_pages,
	.free_pages = free_pages,
	.log = log_line,
	.panic = panic_v,
	.cpu_index = cpu_index,
	.kick = kick,
};

/* ---- The device, and the machine around it ----------------------------------------------------------------------- */

static struct {
	tl_range_id id;
	unsigned long writes;
} led;

static enum tl_status led_access(struct tl_mmio *access)
{
	if (access->write)
		led.writes++;
	else
		access->data = led.writes;
	return TL_OK;
}

static void check(enum tl_status status)
{
	if (status >= TL_OK)
		return;
	print("trapline: cannot run: %s\n", tl_status_text(status));
	console_end();
}

static struct tl_edit *begin_edit(struct tl_vm *vm)
{
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit)
		check(TL_NO_MEMORY);
	return edit;
}

static struct tl_vm *create_machine(void)
{
	unsigned char *ram = alloc_pages(GUEST_RAM / PAGE);
	const struct tl_range memory = {.kind = TL_RANGE_RAM, .start = 0, .size = GUEST_RAM, .host = ram};
	const struct tl_range device = {.kind = TL_RANGE_MMIO, .start = LED_AT, .size = PAGE, .access = led_access};
	enum tl_status status;
	struct tl_vm *vm = tl_vm_create(NULL, &status);
	struct tl_edit *edit;

	check(status);
	if (!ram)
		check(TL_NO_MEMORY);
	__builtin_memcpy(ram + ENTRY, guest_code, (size_t)(guest_code_end - guest_code));
	edit = begin_edit(vm);
	check(tl_map_add(edit, &memory, NULL));
	check(tl_map_add(edit, &device, &led.id));
	check(tl_map_commit(edit));
	return vm;
}

/* One store makes the entries of its old place stale; those of its new place are made when they are met. */
static uint64_t move_led(struct tl_vm *vm)
{
	struct tl_edit *edit = begin_edit(vm);

	check(tl_map_move(edit, led.id, LED_MOVES_TO));
	check(tl_map_commit(edit));
	return LED_MOVES_TO;
}

/* 32-bit code without paging, all of memory in its segments. */
static void set_flat_mode(struct tl_state *state)
{
	for (unsigned i = 0; i <= TL_GS; i++)
		state->segment[i] = (struct tl_segment){.selector = 16, .limit = UINT32_MAX, .access = DATA_32};
	state->segment[TL_CS] = (struct tl_segment){.selector = 8, .limit = UINT32_MAX, .access = CODE_32};
	state->cr0 = CR0_PE | CR0_ET | CR0_NE;
	state->rip = ENTRY;
	state->gpr[TL_RSP] = ENTRY;
}

static struct tl_vcpu *create_vcpu(struct tl_vm *vm)
{
	enum tl_status status;
	struct tl_vcpu *vcpu = tl_vcpu_create(vm, &status);
	struct tl_state state;

	check(status);
	check(tl_vcpu_get(vcpu, &state));
	set_flat_mode(&state);
	check(tl_vcpu_set(vcpu, &state));
	return vcpu;
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

/* False: the guest has ended. */
static bool handle(struct tl_vm *vm, struct tl_exit *exit)
{
	if (exit->reason != TL_EXIT_VMCALL) {
		print("the guest ended by %s\n", tl_exit_name(exit->reason));
		return false;
	}
	if (exit->vmcall.number == CALL_DONE) {
		print("the guest counts %lu writes of its LED\n", exit->vmcall.argument[0]);
		return false;
	}
	exit->vmcall.result = exit->vmcall.number == CALL_MOVE_LED ? move_led(vm) : 0;
	return true;
}

void kernel_main(void)
{
	struct tl_exit exit;
	struct tl_stats stats;
	struct tl_vcpu *vcpu;
	struct tl_vm *vm;

	console_start();
	check(tl_init(&hooks));
	check(tl_cpu_up());
	vm = create_machine();
	vcpu = create_vcpu(vm);
	do
		check(tl_vcpu_run(vcpu, &exit));
	while (handle(vm, &exit));
	tl_stats(vm, &stats);
	print("accesses: %lu fresh, %lu stale\n", stats.fresh, stats.stale);
	check(tl_vcpu_destroy(vcpu));
	check(tl_vm_destroy(vm));
	tl_cpu_down();
	print("trapline: %s\n", led.writes == BLINKS ? "1 guest passed, 0 failed" : "0 guests passed, 1 failed");
	console_end();
}
