/* SPDX-License-Identifier: MIT */
/*
 * Any exits, on a CPU that is an array (tests/unit/mock/): reason, qualification, address, an event that was on its
 * way, in any mode, with any code and page tables in the guest's memory, which another CPU changes at any access.
 * Whatever it is, the host comes to an end of it: with the guest going on in a state that an entry takes, or with a
 * reason. It reads nothing but the guest's, and nothing is left when the VM is gone.
 */
#include "tests/unit/mock/vmx/asm.h"

#include "mmu/hooks.h"
#include "tests/fuzz/embedder.h"
#include "tests/fuzz/hostile.h"
#include "tests/fuzz/tasks.h"
#include "tests/unit/hosted.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"
#include <sanitizer/asan_interface.h>
#include <string.h>

enum {
	PAGE = 4096,
	RAM = 32 * PAGE,
	ROM_AT = 0x80000,
	DEVICE_AT = 0x100000,
	EMBEDDER_AT = 0x102000,
	BELL_AT = 0x104000,
	MOVED_AT = EMBEDDER_MOVED_AT,
	HOLE_AT = 0x180000,
	TABLES_32 = 4 * PAGE,
	CODE_AT = 8 * PAGE,
	GDT_AT = 10 * PAGE,
	BITMAP_PAGES = 4,
	MOST_EXITS = 12,
};

_Thread_local struct mock_cpu mock_cpu;

static uint8_t *ram, shadow[RAM] __attribute__((aligned(8)));
static struct fuzz_input input;
static struct tl_vm *vm;
static struct tl_vcpu *fuzzed;
static struct tl_exit left;
static unsigned nr_exits;

/* ---- The guest's machine ---- */

static uint64_t random_word(void)
{
	return fuzz_hash(fuzz_take16(&input));
}

static enum tl_status device(struct tl_mmio *access)
{
	fuzz_require(access->size >= 1 && access->size <= 8);
	fuzz_require(access->offset < PAGE && access->offset + access->size <= PAGE);
	if (!access->write)
		access->data = fuzz_hash(fuzz_embedder.nr_callbacks);
	return embedder_callback(access->vcpu);
}

static void make_map(void)
{
	static struct tl_doorbell_count counts[TL_MAX_CPUS];
	static const struct tl_doorbell bell = {.signal = TL_SIGNAL_COUNT, .counts = counts};
	const struct tl_range ranges[] = {
		{.kind = TL_RANGE_RAM, .start = 0, .size = RAM, .host = ram},
		{.kind = TL_RANGE_ROM, .start = ROM_AT, .size = PAGE, .host = hosted_memory(RAM + 16 * PAGE)},
		{.kind = TL_RANGE_MMIO, .start = DEVICE_AT, .size = PAGE, .access = device},
		{.kind = TL_RANGE_MMIO, .start = EMBEDDER_AT, .size = PAGE},
		{.kind = TL_RANGE_DOORBELL, .start = BELL_AT, .size = PAGE, .access = device, .doorbell = &bell},
	};
	const struct tl_range last = {.kind = TL_RANGE_MMIO, .start = MOVED_AT, .size = PAGE, .access = device};
	struct tl_edit *edit = tl_map_edit(vm);

	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		fuzz_require(tl_map_add(edit, &ranges[i], NULL) == TL_OK);
	fuzz_require(tl_map_add(edit, &last, &fuzz_embedder.moved) == TL_OK);
	fuzz_require(tl_map_commit(edit) == TL_OK);
}

/* Linear addresses are physical ones up to 2 MiB, by tables of 64-bit mode whose lower half does for PAE, and by
 * others. */
static void make_tables(void)
{
	uint64_t *entry = (uint64_t *)(void *)ram;

	memset(ram, 0, RAM);
	entry[0] = PAGE | 7;
	entry[PAGE / 8] = 2 * PAGE | 7;
	entry[2 * PAGE / 8] = 3 * PAGE | 7;
	for (unsigned i = 0; i < 512; i++)
		entry[3 * PAGE / 8 + i] = i * PAGE | 0x67;
	entry[TABLES_32 / 8] = (TABLES_32 + PAGE) | 7;
	for (unsigned i = 0; i < 256; i++)
		entry[(TABLES_32 + PAGE) / 8 + i] = (2ull * i + 1) * PAGE << 32 | 0x67ull << 32 | (2 * i * PAGE | 0x67);
	fuzz_tasks_make(ram, GDT_AT, CODE_AT);
}

static void take_memory(void)
{
	unsigned count = fuzz_take8(&input) % 6;

	for (unsigned i = 0; i < 15; i++)
		ram[CODE_AT + i] = fuzz_take8(&input);
	for (unsigned i = 0; i < count; i++) {
		uint64_t word = random_word(), at = fuzz_take16(&input) % (RAM / 8);

		memcpy(ram + 8 * at, &word, 8);
	}
	hostile.nr_changes = fuzz_take8(&input) % (HOSTILE_MAX_CHANGES + 1);
	for (unsigned i = 0; i < hostile.nr_changes; i++) {
		uint8_t kind = fuzz_take8(&input);

		hostile.change[i] = (struct hostile_change){.after = kind & 31,
							    .word = kind & 32 ? fuzz_take16(&input) : HOSTILE_HERE,
							    .value = random_word(),
							    .mask = kind & 64 ? 0xfff : ~0ull};
	}
	memcpy(shadow, ram, RAM);
}

/* Where an access may be, by its low bits; sometimes anywhere. */
static uint64_t take_address(void)
{
	static const uint64_t places[] = {0,        CODE_AT,   20 * PAGE,           RAM - 16,
					  ROM_AT,   DEVICE_AT, EMBEDDER_AT,         BELL_AT,
					  MOVED_AT, HOLE_AT,   DEVICE_AT + PAGE - 4};
	uint16_t how = fuzz_take16(&input);

	if (how >> 12 == 15)
		return fuzz_take(&input, 8);
	return places[(how >> 12) % 11] + (how & 0xfff);
}

static void take_state(void)
{
	static const uint64_t modes[][4] = {/* CR0, CR4, EFER, the access rights of CS */
					    {CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0xa09b},
					    {CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0xc09b},
					    {CR0_PE | CR0_PG, CR4_PAE, 0, 0xc09b},
					    {CR0_PE | CR0_PG, 0, 0, 0x809b},
					    {CR0_PE, 0, 0, 0xc09b},
					    {0, 0, 0, 0x93}};
	uint8_t how = fuzz_take8(&input);
	const uint64_t *mode = modes[how % 6];
	uint64_t dpl = how & 0x40 ? 3 << 5 : 0;
	struct tl_state state = {.rip = CODE_AT, .rflags = 2 | (random_word() & 0x3d7fd5), .cr0 = mode[0] | 0x30};

	state.cr3 = mode[1] ? 0 : TABLES_32;
	state.cr0 |= how & 0x80 ? CR0_WP | CR0_AM : 0;
	state.cr4 = mode[1] | (random_word() & (CR4_SMEP | CR4_SMAP | CR4_PSE | CR4_UMIP | CR4_OSXSAVE));
	state.efer = mode[2] | EFER_NXE;
	for (unsigned i = 0; i < TL_NR_GPRS; i++)
		state.gpr[i] = i < 4 ? random_word() : take_address();
	for (unsigned i = 0; i <= TL_GS; i++)
		state.segment[i] = (struct tl_segment){.selector = (uint16_t)(8 * i),
						       .limit = how & 0x20 ? 0xffff : UINT32_MAX,
						       .access = (uint16_t)(0xc093 | dpl)};
	state.segment[TL_CS].access = (uint16_t)(mode[3] | dpl);
	state.segment[TL_TR] = fuzz_tasks_first(GDT_AT);
	state.segment[TL_LDTR].access = 0x10082;
	state.gdtr = state.idtr = (struct tl_table){.base = GDT_AT, .limit = (uint16_t)random_word()};
	state.dr7 = how & 0x10 ? 0x401 : 0x400;
	fuzz_require(tl_vcpu_set(fuzzed, &state) == TL_OK);
	vmcs_write(VMCS_GUEST_PDPTE0, 2 * PAGE | 1);
}

/* ---- Exits ---- */

/* What a CPU may say of an event that was being delivered (SDM vol. 3, 25.9.3). */
static uint64_t take_event(void)
{
	static const uint32_t events[] = {0x80000020, 0x80000202, 0x80000b0e, 0x80000306,
					  0x80000403, 0x80000680, 0x80000501, 0x80000b0d};
	uint8_t how = fuzz_take8(&input);

	return how < 192 ? 0 : events[how & 7] | (how & 8 ? 0x1000 : 0);
}

static bool is_event(uint64_t information)
{
	unsigned type = information >> 8 & 7, vector = information & 0xff;

	if (information & 0x7ffff000 || type == 1 || (type == 2 && vector != 2) || (type == 3 && vector > 31))
		return false;
	return !(information & EVENT_INFO_ERROR_CODE) || (type == 3 && (vector == 8 || (vector >= 10 && vector <= 17)));
}

/* An entry would fail, and the guest have brought it about (SDM vol. 3, 27.2.1.3, 27.3.1.4). */
static void check_entry(void)
{
	uint64_t information = vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION), rip = vmcs_read(VMCS_GUEST_RIP);
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS), proc2 = vmcs_read(VMCS_PROC2_CONTROLS);

	/* SDM vol. 3, 27.2.1.1; and of what its own callbacks have posted nobody notifies. */
	fuzz_require(!(proc2 & PROC2_VIRTUALIZE_APIC_ACCESSES) || !(proc2 & PROC2_VIRTUALIZE_X2APIC_MODE));
	fuzz_require(!fuzzed->apic_posts || (proc2 & PROC2_VIRTUAL_INTERRUPT_DELIVERY && !embedder_posted.control &&
					     vmcs_read(VMCS_EXIT_CONTROLS) & VM_EXIT_ACKNOWLEDGE_INTERRUPT));
	fuzz_require(vmcs_read(VMCS_TPR_THRESHOLD) <= 15);
	fuzz_require(!(information & EVENT_INFO_VALID) || is_event(information & 0x7fffffff));
	/* What was acknowledged is not requested any more: it must not be lost. */
	fuzz_require(!fuzz_embedder.vector || information == (EVENT_INFO_VALID | fuzz_embedder.vector));
	fuzz_embedder.vector = 0;
	fuzz_require(fuzzed->mode.efer & EFER_LMA || rip >> 32 == 0);
	fuzz_require(rip >> 48 == 0 || rip >> 48 == 0xffff);
	fuzz_require(rflags & 2 && !(rflags & ~0x3f7fd7ull));
	fuzz_tasks_check();
}

static void take_exit(void)
{
	static const uint8_t often[] = {
		EXIT_REASON_EPT_MISCONFIGURATION, EXIT_REASON_EPT_VIOLATION, EXIT_REASON_EPT_MISCONFIGURATION,
		EXIT_REASON_IO_INSTRUCTION,       EXIT_REASON_CR_ACCESS,     EXIT_REASON_MOV_DR,
		EXIT_REASON_EXCEPTION_OR_NMI,     EXIT_REASON_WRMSR};
	static const uint32_t exceptions[] = {0x80000301, 0x80000b11, 0x80000202}; /* #DB, #AC, NMI */
	uint8_t how = fuzz_take8(&input);
	uint8_t where = fuzz_take8(&input);
	uint64_t reason = how < 192 ? often[how & 7] : how < 216 ? EXIT_REASON_TASK_SWITCH : fuzz_take8(&input) % 80;

	vmcs_write(VMCS_EXIT_REASON, reason);
	vmcs_write(VMCS_EXIT_QUALIFICATION,
		   reason == EXIT_REASON_TASK_SWITCH ? fuzz_tasks_qualification(&input) : fuzz_take(&input, 3));
	/* Mostly where the operand is, for what is addressed by RDI or RSI. */
	vmcs_write(VMCS_GUEST_PHYSICAL_ADDRESS, where & 3 ? fuzzed->gpr[where & 4 ? TL_RSI : TL_RDI] : take_address());
	vmcs_write(VMCS_IDT_VECTORING_INFORMATION, take_event());
	vmcs_write(VMCS_IDT_VECTORING_ERROR_CODE, 0x10);
	vmcs_write(VMCS_EXIT_INTERRUPTION_INFORMATION, exceptions[(how >> 3) % 3]);
	vmcs_write(VMCS_EXIT_INSTRUCTION_LENGTH, 1 + fuzz_take8(&input) % 15);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, (how >> 5) & 3 ? 0 : fuzz_take8(&input) & 11);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	/* Mostly the instruction is that of before. */
	if (fuzz_take8(&input) & 3)
		vmcs_write(VMCS_GUEST_RIP, CODE_AT);
}

enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	enum vcpu_action action = VCPU_RESUME;

	check_entry();
	while (action == VCPU_RESUME) {
		if (nr_exits++ == MOST_EXITS || !input.left)
			return exit_leave(vcpu, TL_EXIT_HLT);
		take_exit();
		fuzz_embedder.nr_callbacks = 0;
		hostile_resume();
		action = vcpu_exit_fast(vcpu);
		if (action != VCPU_MMIO)
			action &= ~VCPU_RELOAD_RBX;
		if (action == VCPU_MMIO)
			action = exit_mmio(vcpu) & ~VCPU_RELOAD;
		else if (action == VCPU_FULL)
			action = vcpu_exit(vcpu);
		hostile_disarm();
		fuzz_require(action == VCPU_RESUME || action == VCPU_LEAVE);
		if (action == VCPU_RESUME)
			check_entry();
	}
	return action;
}

/* Completes what is for the embedder. False: the guest does not go on. */
static bool embedder(void)
{
	switch (left.reason) {
	case TL_EXIT_MMIO:
		fuzz_require(left.mmio.size >= 1 && left.mmio.size <= 8 && left.mmio.offset < PAGE);
		left.mmio.data = random_word();
		return true;
	case TL_EXIT_IO:
		fuzz_require(left.io.size >= 1 && left.io.size <= 8);
		left.io.data = (uint32_t)random_word();
		return true;
	case TL_EXIT_VMCALL:
	case TL_EXIT_DEADLINE:
	case TL_EXIT_KICKED:
		return true;
	case TL_EXIT_STOPPED:
		fuzz_require(left.stop.why <= TL_STOP_UNSUPPORTED && left.stop.nr_bytes <= sizeof(left.stop.bytes));
		return false;
	default:
		fuzz_require(left.reason <= TL_EXIT_STOPPED);
		return nr_exits < MOST_EXITS;
	}
}

/* ---- One input ---- */

/* What the library says of a guest that it stops is of no use here, and long. */
static void say_nothing(enum tl_log_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
}

/* A deadline is an exit ahead, or more. */
static uint64_t read_tsc(void)
{
	return nr_exits;
}

static void start(void)
{
	static struct tl_hooks quiet;

	hosted_start();
	quiet = *hooks;
	quiet.log = say_nothing;
	fuzz_require(tl_init(&quiet) == TL_OK);
	ram = hosted_memory(0);
	ASAN_POISON_MEMORY_REGION(ram + RAM, 16 * PAGE);
	hostile = (struct hostile){.memory = ram, .shadow = shadow, .size = RAM};
	vmx_cpu[0] = (struct vmx_cpu){.up = true};
	vmx_capability.physical_bits = 39;
	vmx_capability.nx = true;
	vmx_capability.msr.cr0_fixed1 = vmx_capability.msr.cr4_fixed1 = UINT32_MAX;
	vmx_capability.invept_single = vmx_capability.invvpid_single = true;
	fuzz_require(vmcs_bitmaps_create() == TL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum tl_status status;
	uint8_t how;

	input = (struct fuzz_input){data, size};
	if (!ram)
		start();
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	mock_cpu.on_rdtsc = read_tsc;
	how = fuzz_take8(&input);
	vmx_controls = (struct vmx_controls){.unrestricted_guest = true, .vpid = how & 1, .virtual_nmis = how & 2};
	probe_length_is_right = how & 4;
	mmu_cpu.ept_level = how & 8 ? 1 : 3;
	mmu_cpu.large_executable = how & 16;
	vm = tl_vm_create(&(struct tl_vm_config){.tag_bits = 3}, &status);
	make_map();
	fuzzed = tl_vcpu_create(vm, &status);
	fuzz_require(fuzzed);
	fuzz_embedder = (struct fuzz_embedder){.input = &input, .vm = vm, .vcpu = fuzzed, .moved = fuzz_embedder.moved};
	if (how & 32)
		tl_vcpu_set_processor(fuzzed, &embedder_processor);
	if (how & 32 && how & 128)
		embedder_offer_apic();
	hosted.has_timer = how & 64;
	make_tables();
	take_state();
	take_memory();
	nr_exits = 0;
	left.reason = TL_EXIT_KICKED;
	hostile_arm();
	hostile_disarm();
	do
		fuzz_require(tl_vcpu_run(fuzzed, &left) == TL_OK);
	while (embedder());
	fuzz_require(tl_vcpu_destroy(fuzzed) == TL_OK);
	fuzz_require(tl_vm_destroy(vm) == TL_OK);
	fuzz_require(hosted.pages_out == BITMAP_PAGES);
	return 0;
}
