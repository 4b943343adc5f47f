/* SPDX-License-Identifier: MIT */
#include "tests/unit/vcpu_fixture.h"

#include "tests/unit/guest_memory.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"
#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	PAGE = 4096,
	PML4_AT = 0,
	PDPT_AT = 0x1000,
	DIRECTORY_AT = 0x2000,
	GUEST_CR0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_AM,
	EFER_LONG = EFER_LME | EFER_LMA | EFER_NXE,
	CODE_64 = 0xa09b, /* access rights: DPL 0 */
	DATA = 0xc093,
	DPL_3 = 3 << 5,
	BITMAP_PAGES = 4, /* of the CPU, for good */
};

_Thread_local struct mock_cpu mock_cpu;
struct tl_vcpu *guest_vcpu;
struct tl_exit vcpu_left;
uint8_t *guest_ram;
uint64_t *guest_ptes;
tl_range_id device_id, other_id, bell_id;
struct tl_doorbell_count bell_counts[TL_MAX_CPUS];
struct device_log device_log;

/* The guest is the test. */
enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	fail_msg("the guest is entered");
	return VCPU_FAILED;
}

static enum tl_status device(struct tl_mmio *access)
{
	assert_true(device_log.count < DEVICE_ACCESSES);
	device_log.access[device_log.count++] = *access;
	if (!access->write)
		access->data = device_log.answer;
	if (device_log.on_access)
		device_log.on_access(access);
	return device_log.status;
}

static void map_page(gva_t linear, gpa_t gpa)
{
	guest_ptes[linear / PAGE] = gpa | P | W | A | D;
}

static void make_tables(void)
{
	uint64_t *entry = (uint64_t *)(void *)guest_ram;

	guest_ptes = (uint64_t *)(void *)(guest_ram + PTES_AT);
	memset(guest_ram, 0, RAM_SIZE);
	entry[PML4_AT / 8] = PDPT_AT | P | W | U | A;
	entry[PDPT_AT / 8] = DIRECTORY_AT | P | W | U | A;
	entry[DIRECTORY_AT / 8] = PTES_AT | P | W | U | A;
	for (gva_t page = 0; page <= RAM_PAGE_LAST; page++)
		map_page(page * PAGE, page * PAGE);
	map_page(DEVICE_LINEAR, DEVICE_AT);
	map_page(DEVICE_LINEAR + PAGE, DEVICE_AT + PAGE);
	map_page(OTHER_LINEAR, OTHER_AT);
	map_page(BELL_LINEAR, BELL_AT);
}

static void make_ranges(void)
{
	static const struct tl_doorbell bell = {.signal = TL_SIGNAL_COUNT, .counts = bell_counts};
	struct tl_range range = mmio_range(DEVICE_AT, 2 * PAGE);

	range.access = device;
	device_id = range_add(range);
	range.start = OTHER_AT;
	range.size = PAGE;
	other_id = range_add(range);
	bell_id = range_add((struct tl_range){
		.kind = TL_RANGE_DOORBELL, .start = BELL_AT, .size = PAGE, .access = device, .doorbell = &bell});
	range_add(ram_range(0, RAM_SIZE));
}

static void set_state(void)
{
	struct tl_state state;

	assert_int_equal(tl_vcpu_get(guest_vcpu, &state), TL_OK);
	for (unsigned i = 0; i <= TL_GS; i++)
		state.segment[i] = (struct tl_segment){.limit = UINT32_MAX, .access = DATA};
	state.segment[TL_CS] = (struct tl_segment){.selector = 8, .limit = UINT32_MAX, .access = CODE_64};
	state.rip = CODE;
	state.rflags = 2 | RFLAGS_IF;
	state.gpr[TL_RDI] = DEVICE_LINEAR;
	state.cr0 = GUEST_CR0 | CR0_PG;
	state.cr3 = PML4_AT;
	state.cr4 = CR4_PAE;
	state.efer = EFER_LONG;
	assert_int_equal(tl_vcpu_set(guest_vcpu, &state), TL_OK);
}

static void start_cpu(void)
{
	vmx_cpu[0] = (struct vmx_cpu){.up = true};
	vmx_capability.physical_bits = 39;
	vmx_capability.msr.cr0_fixed1 = UINT32_MAX;
	vmx_capability.msr.cr4_fixed1 = UINT32_MAX;
	vmx_controls.unrestricted_guest = true;
	probe_length_is_right = true;
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	assert_int_equal(vmcs_bitmaps_create(), TL_OK);
}

int vcpu_start(void **context)
{
	enum tl_status status;

	(void)context;
	vm_start(NULL);
	start_cpu();
	device_log = (struct device_log){.status = TL_OK};
	memset(bell_counts, 0, sizeof(bell_counts));
	guest_ram = hosted_memory(0);
	ASAN_POISON_MEMORY_REGION(guest_ram + RAM_SIZE, PAGE);
	make_tables();
	make_ranges();
	guest_vcpu = tl_vcpu_create(vm, &status);
	assert_non_null(guest_vcpu);
	set_state();
	guest_vcpu->exit = &vcpu_left;
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	return 0;
}

int vcpu_stop(void **context)
{
	(void)context;
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_vcpu_destroy(guest_vcpu), TL_OK);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(hosted.pages_out, BITMAP_PAGES);
	ASAN_UNPOISON_MEMORY_REGION(guest_ram + RAM_SIZE, PAGE);
	return 0;
}

void put_code(gva_t linear, const void *bytes, size_t length)
{
	memcpy(guest_ram + linear, bytes, length);
}

uint64_t field(vmcs_field_t field)
{
	return vmcs_read(field);
}

void set_field(vmcs_field_t field, uint64_t value)
{
	vmcs_write(field, value);
}

void go_to_user_mode(void)
{
	set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, CODE_64 | DPL_3);
	set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, DATA | DPL_3);
	for (unsigned i = 0; i < 512; i++)
		if (guest_ptes[i])
			guest_ptes[i] |= U;
}

enum vcpu_action take_exit(void)
{
	bool traced = field(VMCS_HOST_RIP) == (uintptr_t)vmx_exit_traced;
	enum vcpu_action action = traced ? vcpu_exit_traced(guest_vcpu) : vcpu_exit_fast(guest_vcpu);

	if (action != VCPU_MMIO)
		action &= ~VCPU_RELOAD_RBX;
	if (action == VCPU_MMIO)
		action = (traced ? exit_mmio_traced(guest_vcpu) : exit_mmio(guest_vcpu)) & ~VCPU_RELOAD;
	else if (action == VCPU_FULL)
		action = vcpu_exit(guest_vcpu);
	if (traced && action == VCPU_RESUME)
		vcpu_trace_entry(guest_vcpu);
	return action;
}

enum vcpu_action exit_at(gva_t linear)
{
	gpa_t gpa = (guest_ptes[linear / PAGE] & 0xfffffffff000) | linear % PAGE;
	bool misconfigured = (walk_to(gpa).entry & 7) == 6;

	set_field(VMCS_EXIT_REASON, misconfigured ? EXIT_REASON_EPT_MISCONFIGURATION : EXIT_REASON_EPT_VIOLATION);
	set_field(VMCS_GUEST_PHYSICAL_ADDRESS, gpa);
	set_field(VMCS_EXIT_QUALIFICATION, 0x181); /* a read; of a misconfiguration it says nothing */
	return take_exit();
}

void expect_served(gva_t rip, gva_t linear, gva_t next)
{
	set_field(VMCS_GUEST_RIP, rip);
	assert_int_equal(exit_at(linear), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
	assert_int_equal(field(VMCS_GUEST_RIP), next);
}

void expect_kept(gva_t rip, gva_t linear, gva_t next)
{
	expect_served(rip, linear, next);
	expect_served(rip, linear, next);
}

void expect_injected(unsigned vector)
{
	uint64_t information = field(VMCS_ENTRY_INTERRUPTION_INFORMATION);

	assert_true(information & EVENT_INFO_VALID);
	assert_int_equal(information & 0xff, vector);
	/* A fault pushes RF: the CPU takes it from the VMCS. */
	if ((information & EVENT_INFO_TYPE) >> 8 == TL_EVENT_EXCEPTION && vector != VECTOR_DB)
		assert_true(field(VMCS_GUEST_RFLAGS) & RFLAGS_RF);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
}
