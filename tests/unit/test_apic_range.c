/* SPDX-License-Identifier: MIT */
/* A local APIC's page as a range of the map: memory to the EPT, a device to the guest. */
#include "tests/unit/apic_vcpu.h"

static tl_range_id apic_id;

static enum tl_status seen(struct tl_mmio *access)
{
	assert_true(device_log.count < DEVICE_ACCESSES);
	device_log.access[device_log.count++] = *access;
	access->data = device_log.answer;
	return TL_OK;
}

static struct tl_range apic_range(void)
{
	return (struct tl_range){
		.kind = TL_RANGE_APIC, .start = APIC_AT, .size = PAGE_SIZE, .host = access_page, .access = seen};
}

static void put_apic(void)
{
	apic_id = range_add(apic_range());
	guest_ptes[APIC_LINEAR / 4096] = APIC_AT | 0x63;
	apic_go(TL_APIC_XAPIC);
}

static enum vcpu_action access_exit(uint64_t qualification)
{
	enum vcpu_action action;

	set_field(VMCS_EXIT_REASON, EXIT_REASON_APIC_ACCESS);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	action = vcpu_exit_fast(guest_vcpu);
	if (action == VCPU_MMIO)
		return exit_mmio(guest_vcpu) & ~VCPU_RELOAD;
	return action == VCPU_FULL ? vcpu_exit(guest_vcpu) : action;
}

static void it_is_memory_that_the_callback_serves(void **state)
{
	static const uint8_t store[] = {0x89, 0x07}; /* mov [rdi], eax */

	(void)state;
	apic_deliver();
	put_apic();
	put_code(CODE, store, sizeof(store));
	guest_vcpu->gpr[TL_RDI] = APIC_LINEAR + 0x320;
	guest_vcpu->gpr[TL_RAX] = 0x10040;
	/* The first touch maps it; then the CPU finds the access-page. */
	assert_int_equal(exit_at(APIC_LINEAR + 0x320), VCPU_RESUME);
	assert_int_equal(walk_to(APIC_AT).entry & 0xffffffffff007, host_to_phys(access_page) | 3);
	for (unsigned i = 0; i < 3; i++) {
		set_field(VMCS_GUEST_RIP, CODE);
		assert_int_equal(access_exit(0x1320), VCPU_RESUME);
		assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(store));
	}
	assert_int_equal(device_log.count, 3);
	assert_int_equal(device_log.access[2].gpa, APIC_AT + 0x320);
	assert_int_equal(device_log.access[2].offset, 0x320);
	assert_int_equal(device_log.access[2].data, 0x10040);
	assert_true(device_log.access[2].write);
	/* As any memory's, its removal is over before the vCPU that made it goes on. */
	assert_int_equal(range_remove(apic_id), TL_PENDING);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_int_equal(walk_to(APIC_AT).entry & 7, 0);
}

/* What has taken its place meanwhile serves the access, as it would one that came later. */
static void an_exit_after_its_removal_is_that_of_what_is_there(void **state)
{
	static const uint8_t load[] = {0x8b, 0x07}; /* mov eax, [rdi] */

	(void)state;
	apic_deliver();
	put_apic();
	put_code(CODE, load, sizeof(load));
	guest_vcpu->gpr[TL_RDI] = APIC_LINEAR + 0x20;
	range_remove(apic_id);
	device_log.answer = 5;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(access_exit(0x0020), VCPU_RESUME);
	assert_int_equal(device_log.count, 0);
	assert_int_equal(guest_vcpu->gpr[TL_RAX], UINT32_MAX);
}

static void what_is_no_load_or_store_stops_the_guest(void **state)
{
	static const struct {
		unsigned type;
		enum tl_stop why;
	} rows[] = {{2, TL_STOP_FETCH}, {3, TL_STOP_EVENT}, {10, TL_STOP_PAGE_TABLE}, {15, TL_STOP_PAGE_TABLE}};

	(void)state;
	apic_deliver();
	put_apic();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(access_exit(rows[i].type << 12), VCPU_LEAVE);
		assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
		assert_int_equal(vcpu_left.stop.why, rows[i].why);
	}
	assert_int_equal(device_log.count, 0);
	range_remove(apic_id);
}

static enum tl_status try_range(struct tl_range range)
{
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status = tl_map_add(edit, &range, NULL);

	tl_map_discard(edit);
	return status;
}

static void a_range_that_is_none_is_refused(void **state)
{
	struct tl_range range = apic_range();
	struct tl_edit *edit;

	(void)state;
	assert_int_equal(try_range(range), TL_UNSUPPORTED);
	apic_deliver();
	assert_int_equal(try_range(range), TL_OK);
	range.size = 2 * PAGE_SIZE;
	assert_int_equal(try_range(range), TL_INVALID_ARGUMENT);
	range = apic_range();
	range.access = NULL;
	assert_int_equal(try_range(range), TL_INVALID_ARGUMENT);
	range = apic_range();
	range.start += 16;
	assert_int_equal(try_range(range), TL_UNALIGNED);
	put_apic();
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_resize(edit, apic_id, 2 * PAGE_SIZE), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_INVALID_ARGUMENT);
	range_remove(apic_id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, apic_start, apic_stop)
	const struct CMUnitTest tests[] = {
		TEST(it_is_memory_that_the_callback_serves),
		TEST(an_exit_after_its_removal_is_that_of_what_is_there),
		TEST(what_is_no_load_or_store_stops_the_guest),
		TEST(a_range_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
