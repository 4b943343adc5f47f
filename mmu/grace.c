/* SPDX-License-Identifier: MIT */
#include "mmu/hooks.h"
#include "mmu/running.h"
#include "mmu/trace.h"

/* How often a wait looks before it kicks: most vCPUs pass by themselves within an exit. */
enum { PATIENCE = 1000 };

struct grace_reader *grace_current_reader[TL_MAX_CPUS];

void grace_reader_add(struct grace_reader *reader, struct tl_vm *vm)
{
	reader->vm = vm;
	reader->entry_round = GRACE_ATTENTION;
	vm_lock(vm);
	reader->next = vm->readers;
	vm->readers = reader;
	vm_unlock(vm);
}

void grace_reader_remove(struct grace_reader *reader)
{
	struct tl_vm *vm = reader->vm;
	struct grace_reader **link;

	vm_lock(vm);
	for (link = &vm->readers; *link != reader; link = &(*link)->next)
		;
	*link = reader->next;
	vm_unlock(vm);
}

void grace_announce(struct grace_reader *reader)
{
	grace_announce_on(reader, atomic_load_explicit(&reader->cpu, memory_order_relaxed));
}

void grace_flush_and_announce(struct grace_reader *reader, unsigned cpu)
{
	struct tl_vm *vm = reader->vm;
	/* In this order: what is announced was published before the number was read that is flushed to. */
	uint64_t round = atomic_load_explicit(&vm->round, memory_order_seq_cst);
	uint64_t flush = atomic_load_explicit(&vm->flush_number, memory_order_acquire);

	mmu_cpu.flush(vm);
	vm->flushed[cpu] = flush;
	if (trace_is_on(TL_TRACE_FLUSH))
		trace_numbers(TL_TRACE_FLUSH, 0, flush);
	reader->entry_round = reader->pending ? GRACE_ATTENTION : round;
	/* release: as in grace_announce_on(). */
	atomic_store_explicit(&reader->word, round, memory_order_release);
}

struct grace_reader *grace_current(void)
{
	return grace_current_reader[hooks->cpu_index()];
}

uint64_t grace_raise(struct tl_vm *vm)
{
	/* seq_cst: the publication before it, and the loads of in_run after it, stay on their sides. */
	return atomic_fetch_add_explicit(&vm->round, 1, memory_order_seq_cst) + 1;
}

static bool reader_passed(struct grace_reader *reader, uint64_t round)
{
	/* seq_cst against the exchange in grace_enter(); acquire for the word: what it read lies behind. */
	return !atomic_load_explicit(&reader->in_run, memory_order_seq_cst) ||
	       atomic_load_explicit(&reader->word, memory_order_acquire) >= round;
}

bool grace_passed(struct tl_vm *vm, uint64_t round)
{
	for (struct grace_reader *reader = vm->readers; reader; reader = reader->next)
		if (!reader_passed(reader, round))
			return false;
	return true;
}

static void kick(const struct grace_reader *reader)
{
	unsigned cpu = atomic_load_explicit(&reader->cpu, memory_order_relaxed);

	if (trace_is_on(TL_TRACE_KICK))
		trace_numbers(TL_TRACE_KICK, 0, cpu);
	hooks->kick(cpu);
}

static void kick_late(struct tl_vm *vm, uint64_t round)
{
	vm_lock(vm);
	for (struct grace_reader *reader = vm->readers; reader; reader = reader->next)
		if (!reader_passed(reader, round))
			kick(reader);
	vm_unlock(vm);
}

static bool wait_passed(struct tl_vm *vm, uint64_t round, struct grace_reader *self)
{
	for (unsigned looks = 1;; looks++) {
		bool passed;

		if (self)
			grace_announce(self);
		vm_lock(vm);
		passed = grace_passed(vm, round);
		vm_unlock(vm);
		if (passed)
			return true;
		if (self && atomic_load_explicit(&self->kicked, memory_order_relaxed))
			return false;
		if (looks % PATIENCE == 0)
			kick_late(vm, round);
		__builtin_ia32_pause();
	}
}

bool grace_wait(struct tl_vm *vm, uint64_t round, struct grace_reader *self)
{
	uint64_t begin;
	bool passed;

	if (!trace_is_on(TL_TRACE_GRACE))
		return wait_passed(vm, round, self);
	begin = __builtin_ia32_rdtsc();
	passed = wait_passed(vm, round, self);
	trace_numbers(TL_TRACE_GRACE, __builtin_ia32_rdtsc() - begin, round);
	return passed;
}
