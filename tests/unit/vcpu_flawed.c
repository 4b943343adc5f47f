/* SPDX-License-Identifier: MIT */
#include "tests/unit/vcpu_flawed.h"

#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"
#include "vmx/selftest_guest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TLB_SIZE = 64, VMCS_KEPT = 4, TIMER_SHIFT = 5, STEPS_MOST = 100, GUEST_PML4_AT = 0x1000 };
enum { CPU_LOAD = EPT_READ, CPU_STORE = EPT_WRITE, CPU_FETCH = EPT_EXECUTE, NO_EXIT = -1 };

struct translation {
	bool valid;
	gpa_t gfn;
	int reason; /* NO_EXIT: it leads to memory */
	unsigned level;
	uint64_t rights;
	hpa_t page;
	bool dirty;
};

struct kept_vmcs {
	uint64_t region;
	uint64_t fields[MOCK_VMCS_FIELDS];
};

static enum flaw flaw;
static struct translation tlb[TLB_SIZE];
static unsigned next_victim;
static struct kept_vmcs vmcs[VMCS_KEPT];
static uint64_t current, tsc, last_length;
static unsigned nr_calls;
static bool kicked;
static unsigned long windows_before, nr_acknowledged;

/* ---- Translation ------------------------------------------------------------------------------------------------- */

static struct translation *cached(gpa_t gpa)
{
	for (unsigned i = 0; i < TLB_SIZE; i++)
		if (tlb[i].valid && tlb[i].gfn == gpa >> PAGE_SHIFT)
			return &tlb[i];
	return NULL;
}

static bool keeps(int reason)
{
	return reason == NO_EXIT || (reason == EXIT_REASON_EPT_MISCONFIGURATION && flaw == FLAW_CACHES_MISCONFIG) ||
	       (reason == EXIT_REASON_EPT_VIOLATION && flaw == FLAW_CACHES_ABSENT);
}

static bool has_dirty_flags(void)
{
	return vmcs_read(VMCS_EPT_POINTER) & BIT(6);
}

/* What an entry's rights mean to this CPU. */
static int judge(uint64_t entry)
{
	unsigned rights = entry & EPT_RWX;

	if (!rights)
		return EXIT_REASON_EPT_VIOLATION;
	if (rights == EPT_WRITE || rights == (EPT_WRITE | EPT_EXECUTE))
		return EXIT_REASON_EPT_MISCONFIGURATION;
	if (rights == EPT_EXECUTE && (!vmx_capability.ept_execute_only || flaw == FLAW_EXECUTE_ONLY_EXITS))
		return EXIT_REASON_EPT_MISCONFIGURATION;
	return NO_EXIT;
}

/* Bit 17 of the secondary controls. False: the log is full. */
static bool log_page(gpa_t gpa)
{
	uint64_t index = vmcs_read(VMCS_PML_INDEX), *log;

	if (!(vmcs_read(VMCS_PROC2_CONTROLS) & PROC2_ENABLE_PML) || flaw == FLAW_PML_SILENT)
		return true;
	if (index > 511 && flaw != FLAW_PML_NEVER_FULL)
		return false;
	log = phys_to_host(vmcs_read(VMCS_PML_ADDRESS));
	log[index % 512] = (gpa & ~(PAGE_SIZE - 1)) + (flaw == FLAW_PML_OTHER_PAGE ? PAGE_SIZE : 0);
	vmcs_write(VMCS_PML_INDEX, (uint16_t)(index - 1));
	return true;
}

static struct translation walk(gpa_t gpa, uint64_t access)
{
	hpa_t table = vmcs_read(VMCS_EPT_POINTER) & EPT_ADDRESS;
	struct translation t = {.valid = true, .gfn = gpa >> PAGE_SHIFT, .rights = EPT_RWX, .reason = NO_EXIT};

	for (t.level = EPT_LEVELS; t.level; t.level--) {
		uint64_t *entry = (uint64_t *)phys_to_host(table) + ept_index(gpa, t.level);

		t.reason = judge(*entry);
		if (t.reason != NO_EXIT)
			return t;
		t.rights &= *entry;
		if (has_dirty_flags() && flaw != FLAW_NO_ACCESSED)
			*entry |= EPT_ACCESSED;
		if (has_dirty_flags() && t.level == 1 && access == CPU_STORE && t.rights & EPT_WRITE &&
		    !(*entry & EPT_DIRTY)) {
			if (!log_page(gpa)) {
				t.reason = EXIT_REASON_PML_FULL;
				return t;
			}
			*entry |= flaw == FLAW_NO_DIRTY ? 0 : EPT_DIRTY;
		}
		t.dirty = *entry & EPT_DIRTY;
		table = *entry & EPT_ADDRESS;
	}
	t.page = table;
	if (flaw == FLAW_EXECUTE_ONLY_READS)
		t.rights |= EPT_READ;
	return t;
}

static gpa_t reported_address(const struct translation *t, gpa_t gpa)
{
	bool flawed = t->reason == EXIT_REASON_EPT_MISCONFIGURATION &&
		      ((flaw == FLAW_ADDRESS_4K && t->level == 1) || (flaw == FLAW_ADDRESS_2M && t->level == 2) ||
		       (flaw == FLAW_ADDRESS_1G && t->level == 3));

	return flawed ? gpa & ~(PAGE_SIZE - 1) : gpa;
}

/* Where the access goes; NULL: it exits, *reason says why. */
static uint8_t *reach(gpa_t gpa, uint64_t access, int *reason)
{
	struct translation *hit = cached(gpa), t;

	if (hit && !(access == CPU_STORE && has_dirty_flags() && !hit->dirty)) {
		t = *hit;
	} else {
		t = walk(gpa, access);
		if (keeps(t.reason))
			*(hit ? hit : &tlb[next_victim++ % TLB_SIZE]) = t;
	}
	*reason = t.reason;
	if (t.reason == NO_EXIT && !(t.rights & access))
		*reason = EXIT_REASON_EPT_VIOLATION;
	if (*reason == NO_EXIT)
		return (uint8_t *)phys_to_host(t.page) + gpa % PAGE_SIZE;
	vmcs_write(VMCS_GUEST_PHYSICAL_ADDRESS, reported_address(&t, gpa));
	return NULL;
}

/* ---- Instructions ------------------------------------------------------------------------------------------------ */

/* The length of what stands at `rip`, which is an access to [RDI] or to the same page. */
static uint64_t length_at(uint64_t rip)
{
	uint8_t code[256], length[PROBE_INSNS_MOST];
	uint64_t at = CODE_LENGTHS;
	unsigned count = probe_write_insns(code, length), i = 0;

	for (; i < count && at != rip; i++)
		at += length[i];
	assert_true(i < count);
	return length[i];
}

static int call(void)
{
	if (flaw == FLAW_ODD_EXITS && ++nr_calls % 100 == 0)
		return EXIT_REASON_CPUID;
	return EXIT_REASON_VMCALL;
}

static int spin(void)
{
	uint64_t ticks = vmcs_read(VMCS_PREEMPTION_TIMER_VALUE) << TIMER_SHIFT;

	assert_true(vmcs_read(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER);
	tsc += flaw == FLAW_TIMER_SLOW ? 2 * ticks : flaw == FLAW_TIMER_FAST ? ticks / 2 : ticks;
	return EXIT_REASON_PREEMPTION_TIMER;
}

static int access_memory(struct tl_vcpu *vcpu, const uint8_t *code, uint64_t rip, uint64_t *next)
{
	bool load = memcmp(code, "\x48\x8b\x07", 3) == 0, store = memcmp(code, "\x48\x89\x07", 3) == 0;
	bool probes = rip >= CODE_LENGTHS && rip < PAGE_SIZE;
	uint64_t length = probes ? length_at(rip) : 3;
	int reason;
	uint8_t *memory;

	assert_true(load || store || probes);
	memory = reach(vcpu->gpr[TL_RDI], store ? CPU_STORE : CPU_LOAD, &reason);
	vmcs_write(VMCS_EXIT_INSTRUCTION_LENGTH, flaw == FLAW_LENGTH_OF_BEFORE ? last_length : length);
	last_length = length;
	if (!memory)
		return reason;
	if (load)
		memcpy(&vcpu->gpr[TL_RAX], memory, 8);
	else
		memcpy(memory, &vcpu->gpr[TL_RAX], 8);
	*next = rip + length;
	return NO_EXIT;
}

/* One instruction: the reason why it exits, or NO_EXIT. */
static int step(struct tl_vcpu *vcpu, uint64_t *rip)
{
	int reason;
	const uint8_t *code = reach(*rip, CPU_FETCH, &reason);

	if (!code)
		return reason;
	if (memcmp(code, "\x0f\x01\xc1", 3) == 0)
		return call();
	if (memcmp(code, "\xeb\xfe", 2) == 0)
		return spin();
	if (memcmp(code, "\xff\xe7", 2) == 0) {
		*rip = vcpu->gpr[TL_RDI];
		return NO_EXIT;
	}
	return access_memory(vcpu, code, *rip, rip);
}

/* A kick waits until the host takes it, or an exit acknowledges it; the next one, until the handler has ended that. */
static void get_kick(unsigned cpu)
{
	(void)cpu;
	kicked = flaw != FLAW_MISSES_KICKS;
	windows_before = mock_cpu.nr_windows;
}

static bool is_interrupted(void)
{
	bool acknowledges = vmcs_read(VMCS_EXIT_CONTROLS) & VM_EXIT_ACKNOWLEDGE_INTERRUPT;

	kicked &= mock_cpu.nr_windows == windows_before;
	if (!kicked || mock_cpu.nr_taken != nr_acknowledged)
		return false;
	acknowledges &= flaw != FLAW_NEVER_ACKNOWLEDGES;
	vmcs_write(VMCS_EXIT_INTERRUPTION_INFORMATION, acknowledges ? EVENT_INFO_VALID | 0x77 : 0);
	kicked &= !acknowledges;
	nr_acknowledged += acknowledges;
	return true;
}

enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	int reason = NO_EXIT;

	assert_int_equal(vcpu->vmcs, flaw == FLAW_ONE_VMCS ? vcpu->vmcs : current);
	assert_ptr_equal(vmcs_read(VMCS_HOST_RIP), (uintptr_t)vmx_exit_once);
	tsc += 500;
	if (flaw == FLAW_NO_ENTRY)
		return VCPU_FAILED;
	if (is_interrupted()) {
		vmcs_write(VMCS_EXIT_REASON, EXIT_REASON_EXTERNAL_INTERRUPT);
		return VCPU_LEAVE;
	}
	/* The walk of the guest's own tables: their page, which has to be there. */
	(void)reach(GUEST_PML4_AT, has_dirty_flags() && flaw != FLAW_WALKS_CLEAN ? CPU_STORE : CPU_LOAD, &reason);
	for (unsigned i = 0; i < STEPS_MOST && reason == NO_EXIT; i++)
		reason = step(vcpu, &rip);
	assert_int_not_equal(reason, NO_EXIT);
	vmcs_write(VMCS_GUEST_RIP, rip);
	vmcs_write(VMCS_EXIT_REASON, (uint64_t)reason);
	return VCPU_LEAVE;
}

/* ---- The other instructions -------------------------------------------------------------------------------------- */

static void flush(enum invept_type type, uint64_t eptp)
{
	if (type == INVEPT_SINGLE_CONTEXT)
		assert_int_equal(eptp & EPT_ADDRESS, vmcs_read(VMCS_EPT_POINTER) & EPT_ADDRESS);
	if (flaw != (type == INVEPT_SINGLE_CONTEXT ? FLAW_IGNORES_INVEPT_SINGLE : FLAW_IGNORES_INVEPT_ALL))
		memset(tlb, 0, sizeof(tlb));
}

static struct kept_vmcs *kept(uint64_t region)
{
	unsigned i = 0;

	while (i < VMCS_KEPT && vmcs[i].region && vmcs[i].region != region)
		i++;
	assert_true(i < VMCS_KEPT);
	vmcs[i].region = region;
	return &vmcs[i];
}

static void load(uint64_t region)
{
	if (flaw == FLAW_ONE_VMCS) {
		current = region;
		return;
	}
	if (current)
		memcpy(kept(current)->fields, mock_cpu.vmcs, sizeof(mock_cpu.vmcs));
	memcpy(mock_cpu.vmcs, kept(region)->fields, sizeof(mock_cpu.vmcs));
	current = region;
}

static uint64_t store_current(void)
{
	return flaw == FLAW_VMPTRST_WRONG ? current + PAGE_SIZE : current;
}

static uint64_t read_tsc(void)
{
	return flaw == FLAW_TSC_STANDS ? tsc : (tsc += 10);
}

static struct cpuid identify(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	if (leaf == 0x80000000)
		return (struct cpuid){.eax = 0x80000008};
	return leaf == 0x80000007 ? (struct cpuid){.edx = 1 << 8} : (struct cpuid){0};
}

void flawed_cpu_start(enum flaw which)
{
	flaw = which;
	hosted_start();
	memset(tlb, 0, sizeof(tlb));
	memset(vmcs, 0, sizeof(vmcs));
	current = last_length = nr_calls = 0;
	kicked = false;
	windows_before = nr_acknowledged = 0;
	hosted.on_kick = get_kick;
	mock_cpu = (struct mock_cpu){.on_cpuid = identify,
				     .on_rdtsc = read_tsc,
				     .on_invept = flush,
				     .on_vmptrld = load,
				     .on_vmptrst = store_current};
	vmx_cpu[0] = (struct vmx_cpu){.up = true};
	vmx_capability = (struct vmx_capability){.physical_bits = 39,
						 .revision = 43,
						 .msr.cr0_fixed1 = UINT32_MAX,
						 .msr.cr4_fixed1 = UINT32_MAX,
						 .ept_accessed_dirty = true,
						 .ept_execute_only = true,
						 .invept_single = true,
						 .invept_all = true,
						 .preemption_timer_shift = TIMER_SHIFT};
	vmx_capability.control[VMX_PROC2].allowed1 = PROC2_ENABLE_PML;
	vmx_capability.control[VMX_EXIT].allowed1 = VM_EXIT_ACKNOWLEDGE_INTERRUPT;
	vmx_controls = (struct vmx_controls){.preemption_timer = true, .unrestricted_guest = true};
	probe_length_is_right = true;
	assert_int_equal(vmcs_bitmaps_create(), TL_OK);
}

void flawed_cpu_be_old(void)
{
	vmx_capability.ept_accessed_dirty = vmx_capability.ept_execute_only = vmx_capability.invept_all = false;
	vmx_capability.control[VMX_PROC2].allowed1 = 0;
	vmx_capability.control[VMX_EXIT].allowed1 = 0;
	vmx_controls.preemption_timer = false;
	probe_length_is_right = false;
	mock_cpu.on_cpuid = NULL;
}
