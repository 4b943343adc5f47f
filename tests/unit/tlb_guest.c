/* SPDX-License-Identifier: MIT */
#include "tests/unit/tlb_guest.h"
#include "mmu/dirty.h"
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/tlb_log.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum mutation mutation;
struct memory ranges[NR_RANGES], going[MOST_GOING];
unsigned nr_going;
uint64_t nr_accesses;
void (*guest_callback)(void);
void (*guest_wrote)(gpa_t gpa, hpa_t hpa);
bool fetching;

void found_error(enum error error)
{
	static const char *const text[] = {
		[STALE_ACCESS] = "memory is reached after its removal returned",
		[FREED_TABLE] = "a CPU walks through a table that was freed",
		[WRONG_LOG] = "the log has not the pages that were written",
	};

	if (mutation != NONE)
		_exit((int)error);
	fail_msg("%s", text[error]);
}

static bool reaches(const struct memory *memory, gpa_t gpa, hpa_t hpa, ept_entry_t rights)
{
	ept_entry_t allowed = memory->kind == TL_RANGE_RAM ? EPT_RWX : EPT_READ | EPT_EXECUTE;

	return memory->kind != TL_RANGE_MMIO && memory->id != TL_HOLE && gpa - memory->start < memory->size &&
	       hpa == memory->host + (gpa - memory->start) && !(rights & ~allowed);
}

static void check_access(gpa_t gpa, hpa_t hpa, ept_entry_t rights)
{
	for (unsigned i = 0; i < NR_RANGES; i++)
		if (reaches(&ranges[i], gpa, hpa, rights))
			return;
	for (unsigned i = 0; i < nr_going; i++)
		if (reaches(&going[i], gpa, hpa, rights))
			return;
	found_error(STALE_ACCESS);
}

static void check_walk(gpa_t gpa, unsigned level)
{
	(void)gpa;
	(void)level;
	found_error(FREED_TABLE);
}

/* An address on or beside a range that is or was. */
static gpa_t random_gpa(void)
{
	static gpa_t before[16];
	const struct memory *memory = &ranges[random_below(NR_RANGES)];
	gpa_t *some = &before[random_below(16)];

	if (memory->id != TL_HOLE && random_below(4)) {
		gpa_t at[] = {0, memory->size - PAGE_SIZE, random_below(memory->size / PAGE_SIZE) * PAGE_SIZE,
			      memory->size};

		*some = memory->start + at[random_below(4)];
	}
	return *some;
}

/* ---- vCPUs ---- */

enum { LOG_ENTRIES = 512 };

static struct vcpu {
	struct grace_reader reader;
	enum { OUTSIDE, IN_GUEST, IN_EXIT } state;
	bool completing; /* is further down on the stack */
	unsigned cpu;
	/* Of the VMCS: flags, and the page-modification log. */
	bool flags_on;
	gpa_t log[LOG_ENTRIES];
	unsigned nr_logged;
	/* Of the exit. */
	const struct map *map;
	struct ept_walk walk;
	gpa_t gpa;
	enum mmu_access access;
} vcpus[NR_VCPUS];

static unsigned depth;
static bool late_flush[TLB_CPUS];

static void flush(struct tl_vm *of)
{
	assert_ptr_equal(of, vm);
	if (mutation == LATE_FLUSH)
		late_flush[hosted_cpu] = true;
	else if (mutation != NO_FLUSH && mutation != TABLES_NOT_FLUSHED && !(mutation == LOG_NOT_FLUSHED && fetching))
		tlb_flush(hosted_cpu);
}

static void enter(struct vcpu *vcpu)
{
	unsigned cpu = (unsigned)random_below(TLB_CPUS);

	for (unsigned i = 0; i < NR_VCPUS; i++)
		if (vcpus[i].state != OUTSIDE && vcpus[i].cpu == cpu)
			return;
	vcpu->cpu = hosted_cpu = cpu;
	vcpu->state = IN_GUEST;
	grace_enter(&vcpu->reader, cpu);
	vcpu->flags_on = atomic_load(&vm->flags_on);
}

static void drain_log(struct vcpu *vcpu)
{
	while (vcpu->nr_logged)
		dirty_note(vm, vcpu->log[--vcpu->nr_logged]);
}

/* vcpu_before_entry(), and what a kick leads to. */
static void before_entry(struct vcpu *vcpu)
{
	if (atomic_load(&vm->round) == vcpu->reader.entry_round)
		return;
	drain_log(vcpu);
	vcpu->completing = true;
	assert_true(map_complete_pending(&vcpu->reader));
	vcpu->completing = false;
	if (!depth)
		nr_going = 0;
	hosted_cpu = vcpu->cpu;
	grace_announce(&vcpu->reader);
	vcpu->flags_on = atomic_load(&vm->flags_on);
}

static void write_something(struct vcpu *vcpu, gpa_t gpa)
{
	hpa_t hpa;
	enum tlb_write done = tlb_write(vcpu->cpu, gpa, vcpu->flags_on, &hpa);

	if (done == TLB_VIOLATION)
		return;
	if (done == TLB_FLAGGED && dirty_by(vm) == DIRTY_BY_PML) {
		if (vcpu->nr_logged == LOG_ENTRIES)
			drain_log(vcpu);
		vcpu->log[vcpu->nr_logged++] = gpa;
	}
	guest_wrote(gpa, hpa);
}

static void access_something(struct vcpu *vcpu)
{
	vcpu->gpa = random_gpa();
	tlb_access(vcpu->cpu, vcpu->gpa, check_access, check_walk);
	nr_accesses++;
	write_something(vcpu, vcpu->gpa);
	if (late_flush[vcpu->cpu] && random_below(2)) {
		late_flush[vcpu->cpu] = false;
		tlb_flush(vcpu->cpu);
	}
	if (random_below(2))
		return;
	/* One that is not translated, or not allowed. */
	vcpu->access = (enum mmu_access)random_below(3);
	vcpu->map = map_now();
	ept_walk(vm, vcpu->gpa, &vcpu->walk);
	vcpu->state = IN_EXIT;
}

static void finish_exit(struct vcpu *vcpu)
{
	const struct map_range *range;
	enum mmu_fault result;

	/* The vCPU itself has been through the table, too. */
	if (!hosted_is_out((void *)vcpu->walk.slot))
		found_error(FREED_TABLE);
	result = mmu_fault(vm, vcpu->map, vcpu->gpa, vcpu->access, &vcpu->walk, &range);
	assert_true(result == MMU_SERVE || result == MMU_MAPPED || result == MMU_SPURIOUS);
	if (vcpu->access == MMU_WRITE && result != MMU_SERVE)
		log_opened(vcpu->map, vcpu->gpa);
	/* A callback that changes the map. While somebody waits the others' do not: they are on the same stack. */
	if (result == MMU_SERVE && !depth && random_below(8) == 0)
		guest_callback();
	vcpu->state = IN_GUEST;
	before_entry(vcpu);
}

static void step(struct vcpu *vcpu)
{
	if (vcpu->completing)
		return;
	hosted_cpu = vcpu->cpu;
	switch (vcpu->state) {
	case OUTSIDE:
		enter(vcpu);
		break;
	case IN_EXIT:
		if (random_below(2))
			finish_exit(vcpu);
		break;
	default:
		if (random_below(16) == 0) {
			drain_log(vcpu);
			grace_leave(&vcpu->reader, vcpu->cpu);
			vcpu->state = OUTSIDE;
		} else {
			access_something(vcpu);
		}
	}
}

void guest_steps(unsigned count)
{
	unsigned here = hosted_cpu;

	while (count--)
		step(&vcpus[random_below(NR_VCPUS)]);
	hosted_cpu = here;
}

/* Somebody waits: the others go on, and who is kicked announces, now or the next time. */
static void kicked(unsigned cpu)
{
	unsigned here = hosted_cpu;

	depth++;
	guest_steps((unsigned)random_below(12));
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		struct vcpu *vcpu = &vcpus[i];

		if (vcpu->cpu != cpu || vcpu->completing || random_below(4) == 0)
			continue;
		hosted_cpu = cpu;
		if (vcpu->state == IN_EXIT)
			finish_exit(vcpu);
		else if (vcpu->state == IN_GUEST)
			before_entry(vcpu);
	}
	depth--;
	hosted_cpu = here;
}

void guest_looks_around(void)
{
	for (unsigned i = 0; i < NR_VCPUS; i++)
		for (unsigned n = 0; n < 200 && vcpus[i].state != OUTSIDE; n++)
			tlb_access(vcpus[i].cpu, random_gpa(), check_access, check_walk);
}

void guest_start(void)
{
	for (unsigned i = 0; i < NR_RANGES; i++)
		ranges[i] = (struct memory){.id = TL_HOLE};
	for (unsigned cpu = 0; cpu < TLB_CPUS; cpu++)
		tlb_flush(cpu);
	nr_going = 0;
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = (struct vcpu){.state = OUTSIDE};
		grace_reader_add(&vcpus[i].reader, vm);
	}
	hosted.on_flush = flush;
	hosted.on_kick = kicked;
}

void guest_stop(void)
{
	for (unsigned i = 0; i < NR_VCPUS; i++) {
		hosted_cpu = vcpus[i].cpu;
		drain_log(&vcpus[i]);
		if (vcpus[i].state != OUTSIDE)
			grace_leave(&vcpus[i].reader, vcpus[i].cpu);
		assert_null(vcpus[i].reader.pending);
		grace_reader_remove(&vcpus[i].reader);
	}
}
