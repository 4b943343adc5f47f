/* SPDX-License-Identifier: MIT */
#include "mmu/hooks.h"
#include "vmx/capability.h"
#include "vmx/controls.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/selftest.h"

enum { PML_ENTRIES = 512, EPTP_ACCESSED_DIRTY = 1 << 6 };

/* A store to a page whose D flag is clear. */
static bool store(const struct selftest_guest *guest, uint32_t reason, struct tl_check_result *result)
{
	selftest_write_entry(guest, 1, selftest_present(guest, 1, PAGE_A));
	selftest_flush(guest);
	guest->vcpu->gpr[TL_RAX] = guest->word[PAGE_A];
	return selftest_exits(guest, CODE_WRITE, selftest_at[1], reason, result);
}

/* The log is filled from its end to its beginning; at the next store after that it is full (SDM vol. 3, 29.3.6). */
static bool logs(const struct selftest_guest *guest, const uint64_t *log, struct tl_check_result *result)
{
	gpa_t page = selftest_at[1] & ~(PAGE_SIZE - 1);

	/* The guest's own page tables become dirty first, and are logged no more. */
	if (!store(guest, EXIT_REASON_VMCALL, result))
		return false;
	vmcs_write(VMCS_PML_INDEX, 1);
	for (unsigned index = 2; index-- > 0;) {
		uint64_t next;

		if (!store(guest, EXIT_REASON_VMCALL, result))
			return false;
		/* The SDM has the low 12 bits be 0; Bochs 2.7 leaves the address's there. */
		if ((log[index] & ~(PAGE_SIZE - 1)) != page) {
			*result = verdict_fail("another page is logged", page, log[index]);
			return false;
		}
		if (log[index] != page)
			*result = verdict_ok("stores are logged, with low bits; a full log exits");
		next = vmcs_read(VMCS_PML_INDEX);
		if (next != (uint16_t)(index - 1)) {
			*result = verdict_fail("the log's index", (uint16_t)(index - 1), next);
			return false;
		}
	}
	return store(guest, EXIT_REASON_PML_FULL, result);
}

struct tl_check_result check_pml(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result = verdict_ok("stores are logged, and a full log exits");
	uint64_t proc2, *log;

	(void)report;
	if (!vmx_capability.ept_accessed_dirty || !(vmx_capability.control[VMX_PROC2].allowed1 & PROC2_ENABLE_PML))
		return verdict_absent("the CPU lacks it, or it is off");
	log = page_alloc(1);
	if (!log)
		return verdict_absent("no page of memory is left for the log");
	proc2 = vmcs_read(VMCS_PROC2_CONTROLS);
	vmcs_write(VMCS_PML_ADDRESS, host_to_phys(log));
	vmcs_write(VMCS_PML_INDEX, PML_ENTRIES - 1);
	vmcs_write(VMCS_PROC2_CONTROLS, proc2 | PROC2_ENABLE_PML);
	vmcs_write(VMCS_EPT_POINTER, vm_eptp(guest->vm) | EPTP_ACCESSED_DIRTY);
	(void)logs(guest, log, &result);
	vmcs_write(VMCS_PROC2_CONTROLS, proc2);
	vmcs_write(VMCS_EPT_POINTER, vm_eptp(guest->vm));
	selftest_flush(guest);
	page_free(log, 1);
	return result;
}
