/* SPDX-License-Identifier: MIT */
/*
 * Whether the CPU processes posted interrupts. One is posted with interrupts off, so that its notification waits for
 * the entry (docs/rules.md, rule 16); then a guest with interrupts off runs for a while. What was posted has to be
 * requested in the virtual-APIC page behind that, and in RVI, without an exit.
 */
#include "mmu/hooks.h"
#include "vmx/controls.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/posted.h"
#include "vmx/probe.h"
#include "vmx/selftest_guest.h"

enum { VECTOR = 0xA3, REGISTER_IRR = 0x200, STRIDE = 16, INTERRUPT_STATUS_RVI = 0xff };

static void prepare(const struct tl_posted *posted)
{
	vmcs_write(VMCS_PIN_CONTROLS, vmcs_read(VMCS_PIN_CONTROLS) | PIN_POSTED_INTERRUPTS);
	vmcs_write(VMCS_EXIT_CONTROLS, vmcs_read(VMCS_EXIT_CONTROLS) | VM_EXIT_ACKNOWLEDGE_INTERRUPT);
	vmcs_write(VMCS_POSTED_INTERRUPT_VECTOR, hooks->notification_vector);
	vmcs_write(VMCS_POSTED_INTERRUPT_DESCRIPTOR, host_to_phys(posted));
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
}

static bool are_processed(const struct tl_posted *posted, const uint32_t *page)
{
	/* relaxed: this CPU has changed them. */
	return !(atomic_load_explicit(posted_control(posted), memory_order_relaxed) & POSTED_ON) &&
	       !atomic_load_explicit(posted_requests(posted, VECTOR / 64), memory_order_relaxed) &&
	       page[(REGISTER_IRR + VECTOR / 32 * STRIDE) / 4] == 1u << VECTOR % 32 &&
	       (vmcs_read(VMCS_GUEST_INTERRUPT_STATUS) & INTERRUPT_STATUS_RVI) == VECTOR;
}

bool probe_posted_interrupts(const struct selftest_guest *guest, uint32_t *page, struct tl_posted *posted)
{
	bool right;

	__builtin_memset(page, 0, PAGE_SIZE);
	prepare(posted);
	/* relaxed: the notification orders them, by the hook's promise. */
	atomic_store_explicit(posted_requests(posted, VECTOR / 64), 1ull << VECTOR % 64, memory_order_relaxed);
	atomic_store_explicit(posted_control(posted), POSTED_ON, memory_order_relaxed);
	hooks->notify(hooks->cpu_index());
	right = selftest_run(guest, CODE_OF_CALLER, 0) == EXIT_REASON_VMCALL && are_processed(posted, page);
	/* One that the guest has not taken. */
	interrupt_window();
	return right;
}
