/* SPDX-License-Identifier: MIT */
/* The VMCS, time, and what exits cost. */
#include "mmu/hooks.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/selftest.h"

enum { EXITS = 255, TSC_READS = 1000, TIMER_SHORT = 200000, TIMER_LONG = 1200000, TIMER_TOLERANCE = 4 };
enum { LEAF_POWER = 0x80000007, POWER_INVARIANT_TSC = 1 << 8 /* EDX */ };

/* ---- The VMCS ---------------------------------------------------------------------------------------------------- */

/* One of each width. */
static const vmcs_field_t kept[] = {
	{0x0800}, /* VMCS_GUEST_ES_SELECTOR */
	{0x2800}, /* VMCS_LINK_POINTER */
	{0x4800}, /* ES's limit */
	{0x6802}, /* VMCS_GUEST_CR3 */
	{0x681c}, /* VMCS_GUEST_RSP */
};

enum { NR_KEPT = sizeof(kept) / sizeof(kept[0]) };

/* In 16 bits, so that it fits each. */
static uint64_t other_value(unsigned i)
{
	return 0x1230 + i;
}

static bool is_current(hpa_t vmcs, struct tl_check_result *result)
{
	hpa_t current = vmcs_current();

	if (current != vmcs)
		*result = verdict_fail("VMPTRST gives another VMCS", vmcs, current);
	return current == vmcs;
}

static bool holds(const uint64_t value[NR_KEPT], struct tl_check_result *result)
{
	for (unsigned i = 0; i < NR_KEPT; i++) {
		uint64_t found = vmcs_read(kept[i]);

		if (found == value[i])
			continue;
		*result = verdict_fail("a field has changed with another VMCS", value[i], found);
		return false;
	}
	return true;
}

static void make_current(hpa_t vmcs)
{
	if (vmcs_load(vmcs) != VMX_SUCCEED)
		tl_panic("VMPTRLD failed for the VMCS at %lx", (unsigned long)vmcs);
}

/* Two of them side by side. Each field of `own` has another value than `other` is given. */
static bool are_apart(hpa_t own, hpa_t other, const uint64_t own_value[NR_KEPT], struct tl_check_result *result)
{
	uint64_t others_value[NR_KEPT];

	for (unsigned i = 0; i < NR_KEPT; i++)
		others_value[i] = other_value(i);
	if (!is_current(own, result))
		return false;
	make_current(other);
	for (unsigned i = 0; i < NR_KEPT; i++)
		vmcs_write(kept[i], others_value[i]);
	if (!is_current(other, result) || !holds(others_value, result))
		return false;
	make_current(own);
	if (!holds(own_value, result))
		return false;
	make_current(other);
	return holds(others_value, result);
}

struct tl_check_result check_vmcs(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result = verdict_ok("two of them keep apart what is written to them");
	uint32_t *region = page_alloc(1);
	hpa_t own = guest->vcpu->vmcs, other;
	uint64_t own_value[NR_KEPT];

	(void)report;
	if (!region)
		return verdict_absent("no page of memory is left for another VMCS");
	other = host_to_phys(region);
	*region = vmx_capability.revision;
	for (unsigned i = 0; i < NR_KEPT; i++)
		own_value[i] = vmcs_read(kept[i]);
	if (vmcs_clear(other) != VMX_SUCCEED)
		result = verdict_fail("VMCLEAR of a new VMCS", VMX_SUCCEED, VMX_FAIL_VALID);
	else
		(void)are_apart(own, other, own_value, &result);
	if (vmcs_clear(other) == VMX_SUCCEED && *region != vmx_capability.revision)
		result = verdict_fail("the revision in a VMCS", vmx_capability.revision, *region);
	make_current(own);
	/* The guest goes on also where the check has failed. */
	for (unsigned i = 0; i < NR_KEPT; i++)
		vmcs_write(kept[i], own_value[i]);
	page_free(region, 1);
	return result;
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

/* How long the guest is left alone for so many of the TSC's ticks; false: it ended for another reason. */
static bool spin(const struct selftest_guest *guest, uint64_t ticks, uint64_t *took, struct tl_check_result *result)
{
	uint64_t begin;
	bool ended;

	vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, ticks >> vmx_capability.preemption_timer_shift);
	begin = rdtsc();
	ended = selftest_exits(guest, CODE_SPIN, 0, EXIT_REASON_PREEMPTION_TIMER, result);
	*took = rdtsc() - begin;
	return ended;
}

/* The difference of two times: what an entry and an exit take goes out of it. */
static struct tl_check_result timer_rate(const struct selftest_guest *guest, struct tl_selftest *report)
{
	const uint64_t ticks = TIMER_LONG - TIMER_SHORT, unit = 1ull << vmx_capability.preemption_timer_shift;
	uint64_t shorter, longer;
	struct tl_check_result result;

	if (!spin(guest, TIMER_SHORT, &shorter, &result) || !spin(guest, TIMER_LONG, &longer, &result))
		return result;
	report->timer_ticks = longer - shorter;
	/* It counts whole units, of a TSC that runs beside it: one may be cut off at the beginning. */
	if (longer + unit < TIMER_LONG)
		return verdict_fail("the timer ended early, in TSC ticks", TIMER_LONG, longer);
	if (longer < shorter || report->timer_ticks < ticks - ticks / TIMER_TOLERANCE ||
	    report->timer_ticks > ticks + ticks / TIMER_TOLERANCE)
		return verdict_fail("the timer's rate, in TSC ticks", ticks, longer - shorter);
	return verdict_ok("it counts the TSC's ticks");
}

struct tl_check_result check_preemption_timer(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result;
	uint64_t pin, exit;

	if (!vmx_controls.preemption_timer)
		return verdict_absent("the CPU lacks it, or it is off");
	pin = vmcs_read(VMCS_PIN_CONTROLS);
	exit = vmcs_read(VMCS_EXIT_CONTROLS);
	vmcs_write(VMCS_PIN_CONTROLS, pin | PIN_PREEMPTION_TIMER);
	/* An interruption does not begin it anew. */
	vmcs_write(VMCS_EXIT_CONTROLS, exit | VM_EXIT_SAVE_PREEMPTION_TIMER);
	result = timer_rate(guest, report);
	vmcs_write(VMCS_PIN_CONTROLS, pin);
	vmcs_write(VMCS_EXIT_CONTROLS, exit);
	return result;
}

/* ---- The host's interrupts --------------------------------------------------------------------------------------- */

/* A kick of this CPU, which waits for the entry; an NMI may be a part of it. */
static bool kick_exits(const struct selftest_guest *guest, bool acknowledges, struct tl_check_result *result)
{
	uint32_t reason = EXIT_REASON_EXCEPTION_OR_NMI;
	bool was_taken = true, says_vector;

	hooks->kick(hooks->cpu_index());
	vmcs_write(VMCS_GUEST_RIP, CODE_CALL);
	while (was_taken && reason == EXIT_REASON_EXCEPTION_OR_NMI)
		reason = selftest_run_once(guest, &was_taken);
	says_vector = vmcs_read(VMCS_EXIT_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID;
	if (reason != EXIT_REASON_EXTERNAL_INTERRUPT)
		*result = verdict_fail("a kick makes another exit", EXIT_REASON_EXTERNAL_INTERRUPT, reason);
	else if (says_vector != acknowledges)
		*result = verdict_fail("whether an exit says the interrupt's vector", acknowledges, says_vector);
	else
		return true;
	return false;
}

/* The second one comes only where the first one's handler was called, and has ended it. */
struct tl_check_result check_interrupts(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result = verdict_ok("each kick exits, and the host's handler ends it");
	struct vmx_control exits = vmx_capability.control[VMX_EXIT];
	uint64_t controls = vmcs_read(VMCS_EXIT_CONTROLS);
	bool exits_so = true;

	(void)report;
	if (!(exits.allowed1 & ~exits.allowed0 & VM_EXIT_ACKNOWLEDGE_INTERRUPT))
		return verdict_absent("no exit can acknowledge an interrupt");
	if (!kick_exits(guest, false, &result))
		return result;
	vmcs_write(VMCS_EXIT_CONTROLS, controls | VM_EXIT_ACKNOWLEDGE_INTERRUPT);
	for (unsigned i = 0; i < 2 && exits_so; i++)
		exits_so = kick_exits(guest, true, &result);
	if (exits_so)
		(void)selftest_exits(guest, CODE_CALL, 0, EXIT_REASON_VMCALL, &result);
	vmcs_write(VMCS_EXIT_CONTROLS, controls);
	return result;
}

struct tl_check_result check_invariant_tsc(struct selftest_guest *guest, struct tl_selftest *report)
{
	uint64_t last = rdtsc();

	(void)guest;
	(void)report;
	for (unsigned i = 0; i < TSC_READS; i++) {
		uint64_t now = rdtsc();

		if (now <= last)
			return verdict_fail("the TSC does not go on", last + 1, now);
		last = now;
	}
	if (cpuid(0x80000000, 0).eax < LEAF_POWER || !(cpuid(LEAF_POWER, 0).edx & POWER_INVARIANT_TSC))
		return verdict_absent("CPUID does not promise one rate");
	return verdict_ok("CPUID promises one rate in all states of power");
}

/* ---- Exits ------------------------------------------------------------------------------------------------------- */

static uint64_t median(uint64_t *value, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		uint64_t moved = value[i];
		unsigned k = i;

		for (; k && value[k - 1] > moved; k--)
			value[k] = value[k - 1];
		value[k] = moved;
	}
	return value[count / 2];
}

static bool time_exits(const struct selftest_guest *guest, unsigned code, uint32_t reason, uint64_t *ticks,
		       struct tl_check_result *result)
{
	uint64_t took[EXITS];

	for (unsigned i = 0; i < EXITS; i++) {
		uint64_t begin = rdtsc();
		bool right = selftest_exits(guest, code, selftest_at[1], reason, result);

		took[i] = rdtsc() - begin;
		if (!right)
			return false;
	}
	*ticks = median(took, EXITS);
	return true;
}

struct tl_check_result check_exits(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result;

	selftest_write_entry(guest, 1, mmio_spte_make(1, 1));
	selftest_flush(guest);
	if (!time_exits(guest, CODE_CALL, EXIT_REASON_VMCALL, &report->exit_ticks, &result) ||
	    !time_exits(guest, CODE_READ, EXIT_REASON_EPT_MISCONFIGURATION, &report->misconfiguration_ticks, &result))
		return result;
	return verdict_ok("each for its reason");
}
