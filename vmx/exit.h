/* SPDX-License-Identifier: MIT */
/* Exit handlers: what they share. Each returns what entry.asm does next. */
#ifndef VMX_EXIT_H
#define VMX_EXIT_H

#include "mmio/emulate.h"
#include "mmio/fetch.h"
#include "vmx/asm.h"
#include "vmx/skip.h"
#include "vmx/vcpu.h"
#include "vmx/vmcs_field.h"

#define EVENT_INFO_VALID      BIT(31)
#define EVENT_INFO_ERROR_CODE BIT(11)
#define EVENT_INFO_TYPE       BITS(10, 8)

/* A machine check is the host's, whoever runs; for the others see exit_exception(). */
#define EXITING_EXCEPTIONS (BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC))

/* Types of events besides those of enum tl_event_type (SDM vol. 3, table 25-16). */
enum { EVENT_SOFTWARE_INTERRUPT = 4, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5, EVENT_SOFTWARE_EXCEPTION = 6 };

enum { VECTOR_DB = 1, VECTOR_UD = 6, VECTOR_DF = 8, VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_AC = 17, VECTOR_MC = 18 };

/* Called by entry.asm. */
enum vcpu_action vcpu_exit_fast(struct tl_vcpu *vcpu);
enum vcpu_action vcpu_exit(struct tl_vcpu *vcpu);
enum vcpu_action exit_mmio(struct tl_vcpu *vcpu);
/* What it calls instead while exits are traced, and before an entry. */
enum vcpu_action vcpu_exit_traced(struct tl_vcpu *vcpu);
enum vcpu_action exit_mmio_traced(struct tl_vcpu *vcpu);
void vcpu_trace_entry(struct tl_vcpu *vcpu);

/* exit_traced.c: records of an exit, whose reason it returns, and of a doorbell that nothing is decoded for. */
uint32_t vcpu_trace_exit(struct tl_vcpu *vcpu);
/* A fresh access to exit_gpa in exit_range: recorded, and then a doorbell rung, or VCPU_MMIO. */
enum vcpu_action vcpu_trace_fresh(struct tl_vcpu *vcpu);
void vcpu_trace_ring(const struct tl_vcpu *vcpu, const struct map_range *range, gpa_t gpa);

/* Has the vCPU's exits go the way that trace_events asks for. Precondition: its VMCS is current. */
COLD void vcpu_trace_switch(struct tl_vcpu *vcpu);
/* The embedder has completed a read that was left to it. */
COLD void vcpu_trace_completed(struct tl_vcpu *vcpu, uint64_t data);

/*
 * What the fast compare before an entry found: a new round, or something that wants to be looked at. Completes the
 * commits made in callbacks, announces, takes kicks and events. Precondition: no map is held.
 */
COLD enum vcpu_action vcpu_attention(struct tl_vcpu *vcpu);

/* single_step.c: whether an instruction that was emulated is the step that was asked for; and what ends it. */
COLD bool step_is_made(struct tl_vcpu *vcpu);
COLD enum vcpu_action step_leave(struct tl_vcpu *vcpu);
/* Of a step by TF: what is lent to the guest right before an entry, and taken back right after its exit. */
COLD void step_lend(struct tl_vcpu *vcpu);
COLD void step_take_back(struct tl_vcpu *vcpu);
/* A #DB that exited: the guest's own part of it is raised. */
COLD enum vcpu_action step_debug_exception(struct tl_vcpu *vcpu);
/* Whether the next entry begins with a #DB that is due already. */
COLD bool step_debug_is_due(void);
/* step_insn.c: executes the instruction at RIP here if the guest would see TF in it, or lose it by it. */
COLD enum vcpu_action step_prepare(struct tl_vcpu *vcpu);

/* The number of this exit. */
ALWAYS_INLINE uint64_t vcpu_nr_exits(const struct tl_vcpu *vcpu)
{
	return stats_read(&vcpu->reader.stats.exits);
}

/* Before every entry: one load, one compare. After it no map of before may be used. */
ALWAYS_INLINE enum vcpu_action vcpu_before_entry(struct tl_vcpu *vcpu)
{
	/* acquire: the maps published before the round (rule 2). */
	if (unlikely(atomic_load_explicit(&vcpu->vm->round, memory_order_acquire) != vcpu->reader.entry_round))
		return vcpu_attention(vcpu);
	return VCPU_RESUME;
}

COLD enum vcpu_action exit_skip_slow(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length);
/* The same of one that loads SS: nothing is delivered before the instruction behind it. */
COLD enum vcpu_action exit_skip_shadowing(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length);

/* Completes the instruction at `rip` of `length` bytes and goes on; `rflags`: as the VMCS has them. */
ALWAYS_INLINE enum vcpu_action exit_skip_by(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length, uint64_t rflags)
{
	uint64_t next = rip + length;

	if (unlikely(!skip_is_simple(next, length, rflags & vcpu->rflags_slow, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY))))
		return exit_skip_slow(vcpu, rip, length);
	vmcs_write(VMCS_GUEST_RIP, next);
	return vcpu_before_entry(vcpu);
}

ALWAYS_INLINE enum vcpu_action exit_skip(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length)
{
	return exit_skip_by(vcpu, rip, length, vmcs_read(VMCS_GUEST_RFLAGS));
}

/* The same for the exits whose instruction length the SDM promises (28.2.5). */
ALWAYS_INLINE enum vcpu_action exit_skip_instruction(struct tl_vcpu *vcpu)
{
	return exit_skip(vcpu, vmcs_read(VMCS_GUEST_RIP), vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
}

/* Ends tl_vcpu_run(). */
COLD enum vcpu_action exit_leave(struct tl_vcpu *vcpu, enum tl_exit_reason reason);
COLD enum vcpu_action exit_stop(struct tl_vcpu *vcpu, enum tl_stop why, uint64_t code);

/* Has the next entry raise an exception in the guest (SDM vol. 3, 25.8.3). */
COLD enum vcpu_action exit_raise(struct tl_vcpu *vcpu, unsigned vector);
/* The same by an instruction of `length` bytes at RIP, which pushes the address behind it (SDM vol. 3, 27.6.1.1). */
COLD enum vcpu_action exit_raise_software(struct tl_vcpu *vcpu, unsigned type, unsigned vector, uint64_t length);
COLD enum vcpu_action exit_raise_error(struct tl_vcpu *vcpu, unsigned vector, uint32_t error_code);
COLD enum vcpu_action exit_page_fault(struct tl_vcpu *vcpu, gva_t linear, uint32_t error_code);

/* What an instruction that is emulated in this exit, by the map of this exit, can reach. */
static inline struct mmio_environment vcpu_environment(struct tl_vcpu *vcpu, const struct map *map)
{
	return (struct mmio_environment){.map = map,
					 .vm = vcpu->vm,
					 .vcpu = vcpu,
					 .reader = &vcpu->reader,
					 .access = &vcpu->access,
					 .port = &vcpu->io,
					 .stats = &vcpu->reader.stats};
}

/* nesting.c: an exception of an instruction that was emulated. */
COLD enum vcpu_action exit_raise_fault(struct tl_vcpu *vcpu, const struct mmio_fault *fault);

/* What an exception `second` is to the event whose delivery it comes into, an information field of the VMCS: SERIAL,
 * where there is none; it takes the event's place, or both are a double fault, or nothing is left to try. */
enum nesting { NESTING_SERIAL, NESTING_DOUBLE_FAULT, NESTING_SHUTDOWN };
COLD enum nesting nesting_of(uint64_t first, unsigned second);
/* The same of the event that this exit interrupted; the exception is raised by the caller, or here. */
COLD enum nesting exit_nesting(unsigned vector);
COLD enum vcpu_action exit_raise_nested(struct tl_vcpu *vcpu, const struct mmio_fault *fault);

/* If the exit interrupted the delivery of an event, has the next entry deliver it again (SDM vol. 3, 28.2.4). */
COLD void exit_deliver_again(struct tl_vcpu *vcpu);

/*
 * What vcpu->events says: ends tl_vcpu_run() at its deadline or after its step, puts a queued event or an interrupt of
 * the processor's into the next entry, or asks for an exit when the guest can take it.
 */
COLD enum vcpu_action event_attend(struct tl_vcpu *vcpu);

/*
 * Whether an event is on its way that ends a HLT: one that the next entry delivers, or a queued one or an interrupt of
 * the processor's that is not masked.
 */
COLD bool event_wakes(struct tl_vcpu *vcpu);

/*
 * exit_once.c: serves an access by an instruction at `rip`, whose first 8 bytes are `code`, without keeping it in `d`,
 * which is its place; or with it, where that is all the same. Precondition: the code's page is remembered, and holds.
 */
enum vcpu_action exit_mmio_once(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip, uint64_t cr3, uint64_t cs_access,
				uint64_t code);
/* exit_mmio.c: the same, decoded by the tables, and kept. */
enum vcpu_action exit_mmio_keep(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip, uint64_t cr3,
				uint64_t cs_access);

/* exit_ept.c */
COLD enum vcpu_action exit_ept_misconfig_slow(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa);
COLD enum vcpu_action exit_ept_violation(struct tl_vcpu *vcpu);
enum vcpu_action exit_ept_violation_fast(struct tl_vcpu *vcpu);
COLD enum vcpu_action exit_pml_full(struct tl_vcpu *vcpu);
/* The page is not in the slot cache; no event was being delivered. */
enum vcpu_action exit_ept_misconfig_uncached(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa);
/* The MMIO entry that the slot cache led to is stale. */
enum vcpu_action exit_ept_misconfig_stale(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa,
					  const struct ept_slot_cache *cached, ept_entry_t entry);

/* A misconfiguration on a page of a MAP_DOORBELL range, that no event's delivery made. */
enum vcpu_action exit_doorbell(struct tl_vcpu *vcpu, const struct map *map, const struct map_range *range, gpa_t gpa);

/* The plain access of `first` was served, its instruction is not skipped yet: serves those that follow on it. */
enum vcpu_action exit_cluster(struct tl_vcpu *vcpu, struct decoded *first);

/* exit_engine.c: reads and decodes the instruction at `rip`, on exit_map. Beyond CS's limit it is FETCH_PROTECTION. */
COLD enum fetch_status engine_read(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cs_access, struct fetch *fetch,
				   struct insn *insn);
/*
 * The same for an instruction that has to be executed. False: *action is what its failure means to the guest.
 */
COLD bool engine_fetch(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cs_access, struct fetch *fetch, struct insn *insn,
		       enum vcpu_action *action);
/* Executes an instruction, on exit_map. exit_gpa: the address its operand must contain, or MMIO_ANY_GPA. */
COLD enum vcpu_action engine_execute(struct tl_vcpu *vcpu, const struct insn *insn, const struct guest_code *code,
				     uint64_t rip, uint64_t cs_access, gpa_t exit_gpa);
/* Goes on with what the embedder has completed a part of: `data` is what it read. */
COLD enum vcpu_action mmio_resume(struct tl_vcpu *vcpu, uint64_t data);

/* guest_cpuid.c, exit_cpu.c, exit_cr.c, exit_msr.c, exit_io.c */
enum vcpu_action exit_cpuid(struct tl_vcpu *vcpu);
enum vcpu_action exit_xsetbv(struct tl_vcpu *vcpu);
enum vcpu_action exit_exception(struct tl_vcpu *vcpu);
enum vcpu_action exit_mov_dr(struct tl_vcpu *vcpu);
enum vcpu_action exit_cr_access(struct tl_vcpu *vcpu);
enum vcpu_action exit_rdmsr(struct tl_vcpu *vcpu);
enum vcpu_action exit_wrmsr(struct tl_vcpu *vcpu);
enum vcpu_action exit_io(struct tl_vcpu *vcpu);
/* exit_task.c */
COLD enum vcpu_action exit_task_switch(struct tl_vcpu *vcpu);

/* Changes CR0, CR4, EFER as the guest's own write would; false: the write raises #GP(0). */
bool cr_write_cr0(struct tl_vcpu *vcpu, uint64_t value);
bool cr_write_cr4(struct tl_vcpu *vcpu, uint64_t value);
bool cr_write_efer(struct tl_vcpu *vcpu, uint64_t value);

/* DR0 to DR3, DR6, DR7. */
void dr_write(struct tl_vcpu *vcpu, unsigned dr, uint64_t value);
/* DR7, with what follows for skipping instructions. */
void dr_write_dr7(struct tl_vcpu *vcpu, uint64_t value);
/* What a #DB says in DR6, before it is raised. */
void debug_say(uint64_t said);

/* Puts a whole state's CR0, CR4 and EFER into the VMCS, as it is. */
void cr_set_mode(struct tl_vcpu *vcpu, uint64_t cr0, uint64_t cr4, uint64_t efer);
uint64_t cr_read_cr0(void);
uint64_t cr_read_cr4(void);
/* The guest's own CR3, also while another one is in the VMCS (vmx/flat_paging.h). */
uint64_t cr_read_cr3(const struct tl_vcpu *vcpu);
void cr_put_cr3(struct tl_vcpu *vcpu, uint64_t cr3);

/* A register as an instruction names it; RSP is in the VMCS. */
uint64_t exit_read_gpr(const struct tl_vcpu *vcpu, unsigned gpr);
void exit_write_gpr(struct tl_vcpu *vcpu, unsigned gpr, uint64_t value);

#endif
