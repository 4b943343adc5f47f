/* SPDX-License-Identifier: MIT */
/*
 * Whether virtual interrupts wait for a guest that has interrupts off. Bochs 2.7 delivers one then, once an interrupt
 * of the host's comes in: it asks whether any is pending that is not masked, and takes the virtual one, which is. Under
 * a hypervisor in Bochs those of its own host do it, which do not leave this guest: so the guest stays for some of
 * them.
 */
#include "mmu/hooks.h"
#include "vmx/asm.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/feature.h"
#include "vmx/probe.h"
#include "vmx/selftest_guest.h"

enum { VECTOR = 0x41, REGISTER_IRR = 0x200, STRIDE = 16 };

/* STI and CLI, since what is masked is found out anew at a change; then there is time, 400,000 LOOPs, and a VMCALL. */
static const uint8_t code[] = {0xfb, 0xfa, 0xb9, 0x80, 0x1a, 0x06, 0x00, 0xe2, 0xfe, 0x0f, 0x01, 0xc1};

static _Atomic enum probe_delivery delivery = PROBE_DELIVERY_UNKNOWN;

/* A guest without an IDT, with interrupts off, for which one is pending. */
static void prepare(const struct selftest_guest *guest, void *page)
{
	uint64_t exits = PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING;

	((uint32_t *)page)[(REGISTER_IRR + VECTOR / 32 * STRIDE) / 4] = 1u << VECTOR % 32;
	__builtin_memcpy(guest->memory + CODE_OF_CALLER, code, sizeof(code));
	vmcs_write(VMCS_PROC_CONTROLS, (vmcs_read(VMCS_PROC_CONTROLS) & ~exits) | PROC_USE_TPR_SHADOW);
	vmcs_write(VMCS_PROC2_CONTROLS, vmcs_read(VMCS_PROC2_CONTROLS) | PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, host_to_phys(page));
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmcs_write(VMCS_EOI_EXIT_BITMAP_0, 0);
	vmcs_write(VMCS_EOI_EXIT_BITMAP_1, 0);
	vmcs_write(VMCS_EOI_EXIT_BITMAP_2, 0);
	vmcs_write(VMCS_EOI_EXIT_BITMAP_3, 0);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, VECTOR);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
}

/* Whatever was delivered ends in a shutdown; the host's interrupts, and the end of the code, are as they should be. */
static bool waits(const struct selftest_guest *guest)
{
	uint32_t reason;

	/* It stays pending: interrupts are off here. */
	hooks->kick(hooks->cpu_index());
	reason = selftest_run(guest, CODE_OF_CALLER, 0);
	interrupt_window();
	return reason == EXIT_REASON_EXTERNAL_INTERRUPT || reason == EXIT_REASON_VMCALL;
}

/* What both parts find. The second one is made only where the first one is right, or trusted. */
struct found {
	enum probe_delivery delivery;
	bool posted;
};

static bool is_used(enum probe_delivery result)
{
	return result == PROBE_DELIVERY_RIGHT ||
	       (result == PROBE_DELIVERY_WRONG && features_trusted(TL_FEATURE_VIRTUAL_INTERRUPTS));
}

static struct found probe(void)
{
	struct found found = {.delivery = PROBE_DELIVERY_UNKNOWN};
	/* The virtual-APIC page, and a page with a descriptor. */
	uint8_t *pages = page_alloc(2);
	struct selftest_guest guest;

	if (pages && selftest_guest_create(&guest) == TL_OK) {
		prepare(&guest, pages);
		found.delivery = waits(&guest) ? PROBE_DELIVERY_RIGHT : PROBE_DELIVERY_WRONG;
		if (vmx_controls.posted_interrupts && is_used(found.delivery))
			found.posted = probe_posted_interrupts(&guest, (uint32_t *)(void *)pages,
							       (struct tl_posted *)(void *)(pages + PAGE_SIZE));
		selftest_guest_destroy(&guest);
	}
	page_free(pages, 2);
	return found;
}

static void do_without_posted(void)
{
	if (!vmx_controls.posted_interrupts || features_trusted(TL_FEATURE_POSTED_INTERRUPTS))
		return;
	tl_log(TL_LOG_INFO, "VMX: posted interrupts are not used: this CPU does not process them");
	vmx_controls.posted_interrupts = false;
}

static void settle(struct found found)
{
	if (found.delivery != PROBE_DELIVERY_UNKNOWN && !is_used(found.delivery)) {
		tl_log(TL_LOG_INFO, "VMX: virtual interrupts are not used: this CPU delivers them to a guest that has "
				    "interrupts off");
		vmx_controls.virtual_interrupts = vmx_controls.apic_registers = vmx_controls.posted_interrupts = false;
		vmcs_fill_x2apic_bitmap();
	}
	if (found.delivery != PROBE_DELIVERY_UNKNOWN && !found.posted)
		do_without_posted();
	/* release: the controls before the answer. Without memory the next one tries again. */
	atomic_store_explicit(&delivery, found.delivery, memory_order_release);
}

/* One CPU probes, and others wait for it, letting go of vCPUs that it may want. */
void probe_virtual_interrupts(void)
{
	enum probe_delivery found = PROBE_DELIVERY_UNKNOWN;

	if (!vmx_controls.virtual_interrupts || !cpu_this()->up)
		return;
	/* acquire: pairs with settle(). */
	while (!atomic_compare_exchange_strong_explicit(&delivery, &found, PROBE_DELIVERY_BEGUN, memory_order_acquire,
							memory_order_acquire)) {
		if (found != PROBE_DELIVERY_BEGUN)
			return;
		found = PROBE_DELIVERY_UNKNOWN;
		tl_cpu_poll();
		cpu_pause();
	}
	settle(probe());
}

void probe_set_delivery(enum probe_delivery result)
{
	settle((struct found){.delivery = result, .posted = true});
}
