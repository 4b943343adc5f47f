/* SPDX-License-Identifier: MIT */
/* What a CPU does with EPT entries that are misconfigured, absent, changed, and of the kinds that not each CPU has. */
#include "mmu/hooks.h"
#include "vmx/capability.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/msr.h"
#include "vmx/selftest.h"

enum { ROUNDS = 16, REPEATED = 3 };

/* An MMIO entry as the library writes them, another one for each `i`. */
static ept_entry_t mmio_entry(unsigned i)
{
	static const uint32_t ids[] = {0, 2, MMIO_MAX_ID, 0x5a5a5};
	static const uint32_t tags[] = {1, (uint32_t)MMIO_TAG_MASK, 0x2aaaa};

	return mmio_spte_make(ids[i % 4], tags[i % 3]);
}

/* The exit of EPT's, and the address that it reports. */
static bool exits_at(const struct selftest_guest *guest, unsigned code, gpa_t gpa, uint32_t reason,
		     struct tl_check_result *result)
{
	gpa_t reported;

	if (!selftest_exits(guest, code, gpa, reason, result))
		return false;
	reported = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	if (reported != gpa)
		*result = verdict_fail("the exit reports another address", gpa, reported);
	return reported == gpa;
}

/* Whether a load finds the page, and a jump executes it. */
static bool reaches(const struct selftest_guest *guest, gpa_t gpa, enum selftest_page page,
		    struct tl_check_result *result)
{
	uint64_t rip;

	guest->vcpu->gpr[TL_RAX] = 0;
	if (!selftest_exits(guest, CODE_READ, gpa, EXIT_REASON_VMCALL, result))
		return false;
	if (guest->vcpu->gpr[TL_RAX] != guest->word[page]) {
		*result = verdict_fail("another page was read", guest->word[page], guest->vcpu->gpr[TL_RAX]);
		return false;
	}
	if (!selftest_exits(guest, CODE_JUMP, gpa, EXIT_REASON_VMCALL, result))
		return false;
	rip = vmcs_read(VMCS_GUEST_RIP);
	if (rip != gpa)
		*result = verdict_fail("another page was executed", gpa, rip);
	return rip == gpa;
}

/* ---- Misconfigurations ------------------------------------------------------------------------------------------- */

static struct tl_check_result misconfig(const struct selftest_guest *guest, unsigned level)
{
	static const unsigned codes[] = {CODE_READ, CODE_WRITE, CODE_JUMP};
	struct tl_check_result result;

	for (unsigned i = 0; i < ROUNDS; i++) {
		/* The first and the last of the page's words, and one between. */
		gpa_t gpa =
			(selftest_at[level] & ~(PAGE_SIZE - 1)) | (i % 2 ? selftest_at[level] & 0xfff : i % 4 * 0x7fc);

		selftest_write_entry(guest, level, mmio_entry(i));
		selftest_flush(guest);
		for (unsigned k = 0; k < sizeof(codes) / sizeof(codes[0]); k++)
			if (!exits_at(guest, codes[k], gpa, EXIT_REASON_EPT_MISCONFIGURATION, &result))
				return result;
	}
	return verdict_ok("loads, stores and fetches: the very address");
}

struct tl_check_result check_misconfig_4k(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result = misconfig(guest, 1);

	report->saves_resume_flag = vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF;
	return result;
}

struct tl_check_result check_misconfig_2m(struct selftest_guest *guest, struct tl_selftest *report)
{
	(void)report;
	return misconfig(guest, 2);
}

struct tl_check_result check_misconfig_1g(struct selftest_guest *guest, struct tl_selftest *report)
{
	(void)report;
	return misconfig(guest, 3);
}

/* Of no use to a CPU whose lengths the start-up probe found wrong; but they may not be wrong only here. */
struct tl_check_result check_length(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result;

	(void)report;
	selftest_write_entry(guest, 1, mmio_entry(1));
	selftest_flush(guest);
	for (unsigned i = 0; i < ROUNDS * guest->nr_insns; i++) {
		unsigned insn = i % guest->nr_insns, code = CODE_LENGTHS;
		uint64_t length;

		for (unsigned k = 0; k < insn; k++)
			code += guest->length[k];
		if (!selftest_exits(guest, code, PROBE_OPERAND, EXIT_REASON_EPT_MISCONFIGURATION, &result))
			return result;
		length = vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
		if (length == guest->length[insn])
			continue;
		if (!probe_length_is_right)
			return verdict_absent("no right length: doorbells are decoded");
		return verdict_fail("a misconfiguration gives a wrong length", guest->length[insn], length);
	}
	if (!probe_length_is_right)
		return verdict_absent("right here, wrong at start-up: not used");
	return verdict_ok("misconfigurations give the instruction's length");
}

/* ---- What is cached ---------------------------------------------------------------------------------------------- */

/* An entry that translates nothing becomes a present one, and nothing is flushed (rule 4). */
static bool is_not_cached(const struct selftest_guest *guest, unsigned level, ept_entry_t entry, uint32_t reason,
			  enum selftest_page page, struct tl_check_result *result)
{
	gpa_t gpa = selftest_at[level];

	selftest_write_entry(guest, level, entry);
	selftest_flush(guest);
	for (unsigned i = 0; i < REPEATED; i++)
		if (!exits_at(guest, i % 2 ? CODE_JUMP : CODE_READ, gpa, reason, result))
			return false;
	selftest_write_entry(guest, level, selftest_present(guest, level, page));
	return reaches(guest, gpa, page, result);
}

struct tl_check_result check_cached_misconfig(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result;

	(void)report;
	for (unsigned i = 0; i < ROUNDS; i++)
		for (unsigned level = 1; level <= SELFTEST_LEVELS; level++)
			if (!is_not_cached(guest, level, mmio_entry(i), EXIT_REASON_EPT_MISCONFIGURATION, i % 2,
					   &result))
				return result;
	return verdict_ok("an MMIO entry made present is used at once");
}

struct tl_check_result check_cached_absent(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result;

	(void)report;
	for (unsigned i = 0; i < ROUNDS; i++)
		for (unsigned level = 1; level <= SELFTEST_LEVELS; level++)
			if (!is_not_cached(guest, level, 0, EXIT_REASON_EPT_VIOLATION, i % 2, &result))
				return result;
	return verdict_ok("an empty entry made present is used at once");
}

static void flush_by(const struct selftest_guest *guest, enum invept_type type)
{
	if (type == INVEPT_SINGLE_CONTEXT)
		selftest_flush(guest);
	else if (invept(type, 0) != VMX_SUCCEED)
		tl_panic("INVEPT of all contexts failed.");
}

/*
 * One present translation becomes another one: until the flush either may be used, after it the new one. Then it
 * becomes an MMIO entry, likewise.
 */
static bool is_flushed(const struct selftest_guest *guest, unsigned level, enum invept_type type,
		       struct tl_selftest *report, struct tl_check_result *result)
{
	gpa_t gpa = selftest_at[level];

	selftest_write_entry(guest, level, selftest_present(guest, level, PAGE_A));
	flush_by(guest, type);
	if (!reaches(guest, gpa, PAGE_A, result))
		return false;
	selftest_write_entry(guest, level, selftest_present(guest, level, PAGE_B));
	if (!selftest_exits(guest, CODE_READ, gpa, EXIT_REASON_VMCALL, result))
		return false;
	report->stale_possible++;
	report->stale_seen += guest->vcpu->gpr[TL_RAX] == guest->word[PAGE_A];
	flush_by(guest, type);
	if (!reaches(guest, gpa, PAGE_B, result))
		return false;
	selftest_write_entry(guest, level, mmio_entry(level));
	flush_by(guest, type);
	return exits_at(guest, CODE_READ, gpa, EXIT_REASON_EPT_MISCONFIGURATION, result);
}

struct tl_check_result check_invept(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result;

	for (unsigned i = 0; i < ROUNDS; i++) {
		/* Where there is no such type, the library's flush is the other one. */
		enum invept_type type = i % 2 && vmx_capability.invept_all ? INVEPT_ALL_CONTEXT : INVEPT_SINGLE_CONTEXT;

		for (unsigned level = 1; level <= SELFTEST_LEVELS; level++)
			if (!is_flushed(guest, level, type, report, &result))
				return result;
	}
	if (!report->stale_seen)
		return verdict_ok("nothing old after it, nor before (shows little)");
	return verdict_ok("old translations are used before it, none after");
}

/* ---- Kinds of entries that not each CPU has ---------------------------------------------------------------------- */

static uint64_t flags_of(const ept_slot_t *slot)
{
	/* relaxed: the CPU that sets them is this one, and has left the guest. */
	return atomic_load_explicit(slot, memory_order_relaxed) & (EPT_ACCESSED | EPT_DIRTY);
}

static bool has_flags(const ept_slot_t *slot, uint64_t flags, const char *what, struct tl_check_result *result)
{
	uint64_t found = flags_of(slot);

	if (found != flags)
		*result = verdict_fail(what, flags, found);
	return found == flags;
}

static void set_accessed_dirty(const struct selftest_guest *guest, bool on)
{
	enum { EPTP_ACCESSED_DIRTY = 1 << 6 };

	vmcs_write(VMCS_EPT_POINTER, vm_eptp(guest->vm) | (on ? EPTP_ACCESSED_DIRTY : 0));
	selftest_flush(guest);
}

static bool sets_flags(const struct selftest_guest *guest, struct tl_check_result *result)
{
	gpa_t gpa = selftest_at[1];

	selftest_write_entry(guest, 1, selftest_present(guest, 1, PAGE_A));
	selftest_flush(guest);
	if (!has_flags(guest->slot[1], 0, "flags set by nobody", result) ||
	    !selftest_exits(guest, CODE_READ, gpa, EXIT_REASON_VMCALL, result) ||
	    !has_flags(guest->slot[1], EPT_ACCESSED, "flags after a load", result))
		return false;
	guest->vcpu->gpr[TL_RAX] = guest->word[PAGE_A];
	if (!selftest_exits(guest, CODE_WRITE, gpa, EXIT_REASON_VMCALL, result) ||
	    !has_flags(guest->slot[1], EPT_ACCESSED | EPT_DIRTY, "flags after a store", result))
		return false;
	/* SDM vol. 3, 29.3.5: a walk of the guest's page tables counts as a write to them. */
	return has_flags(guest->guest_table, EPT_ACCESSED | EPT_DIRTY, "flags of the guest's page table", result);
}

struct tl_check_result check_accessed_dirty(struct selftest_guest *guest, struct tl_selftest *report)
{
	struct tl_check_result result = verdict_ok("set by loads, stores and the guest's page walks");

	(void)report;
	if (!vmx_capability.ept_accessed_dirty)
		return verdict_absent("the CPU lacks them, or they are off");
	set_accessed_dirty(guest, true);
	(void)sets_flags(guest, &result);
	set_accessed_dirty(guest, false);
	return result;
}

struct tl_check_result check_execute_only(struct selftest_guest *guest, struct tl_selftest *report)
{
	gpa_t gpa = selftest_at[1];
	struct tl_check_result result;
	bool here = vmx_capability.ept_execute_only;

	(void)report;
	if (!here && vmx_capability.msr.ept_vpid & VMX_EPT_EXECUTE_ONLY)
		return verdict_absent("turned off");
	selftest_write_entry(guest, 1, guest->page[PAGE_A] | EPT_TYPE_WB | EPT_EXECUTE);
	selftest_flush(guest);
	/* SDM vol. 3, 29.3.3.1: without them such an entry is misconfigured. */
	if (!exits_at(guest, CODE_READ, gpa, here ? EXIT_REASON_EPT_VIOLATION : EXIT_REASON_EPT_MISCONFIGURATION,
		      &result))
		return result;
	if (!here)
		return verdict_absent("the CPU lacks it: a misconfiguration");
	if (!selftest_exits(guest, CODE_JUMP, gpa, EXIT_REASON_VMCALL, &result))
		return result;
	return verdict_ok("executed; a load is a violation");
}
