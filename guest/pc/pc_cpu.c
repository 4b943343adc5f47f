/* SPDX-License-Identifier: MIT */
/* The processors of a PC: what they are to the library, and what their local APICs do to one another. */
#include "guest/pc/pc.h"
#include "guest/pc/pc_cpuid.h"
#include "guest/text.h"

enum { CPUID_ADDRESS_SIZES = 0x80000008, LEAST_PHYSICAL_BITS = 36 };

static struct pc_vcpu *of_apic(struct local_apic *apic)
{
	return (struct pc_vcpu *)((char *)apic - offsetof(struct pc_vcpu, apic));
}

static struct pc_vcpu *of_vcpu(const struct tl_vcpu *vcpu)
{
	return tl_vcpu_context(vcpu);
}

/* ---- To the library ---------------------------------------------------------------------------------------------- */

static int acknowledge(struct tl_vcpu *vcpu)
{
	return local_apic_acknowledge(&of_vcpu(vcpu)->apic);
}

static bool pending(struct tl_vcpu *vcpu)
{
	return local_apic_pending(&of_vcpu(vcpu)->apic);
}

static bool is_apic_msr(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static bool read_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	return is_apic_msr(msr) && local_apic_read_msr(&of_vcpu(vcpu)->apic, msr, value);
}

static bool write_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct pc_vcpu *to = of_vcpu(vcpu);
	int64_t adjust = (int64_t)(tl_vcpu_tsc_offset(vcpu) - to->pc->tsc_offset);

	/* The guest may have written its TSC since the deadline before. */
	if (msr == MSR_TSC_DEADLINE && adjust != to->tsc_adjust) {
		to->tsc_adjust = adjust;
		local_apic_adjust_tsc(&to->apic, adjust);
	}
	return is_apic_msr(msr) && local_apic_write_msr(&to->apic, msr, value);
}

static void cpuid(struct tl_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct tl_cpuid *out)
{
	const struct pc_vcpu *of = of_vcpu(vcpu);

	pc_cpuid(of->index, of->pc->nr_vcpus, local_apic_enabled(&of->apic), of->pc->hz, leaf, subleaf, out);
}

static uint8_t read_cr8(struct tl_vcpu *vcpu)
{
	return local_apic_read_cr8(&of_vcpu(vcpu)->apic);
}

static void write_cr8(struct tl_vcpu *vcpu, uint8_t value)
{
	local_apic_write_cr8(&of_vcpu(vcpu)->apic, value);
}

static const struct tl_processor processor = {
	.acknowledge = acknowledge,
	.pending = pending,
	.read_msr = read_msr,
	.write_msr = write_msr,
	.cpuid = cpuid,
	.read_cr8 = read_cr8,
	.write_cr8 = write_cr8,
};

/* ---- To one another ---------------------------------------------------------------------------------------------- */

static struct local_apic *apic_of(struct tl_vcpu *vcpu)
{
	return &of_vcpu(vcpu)->apic;
}

/* Its CPU may have halted with it. */
static void wake(struct pc_vcpu *vcpu)
{
	vcpu->pc->services->wake_cpu(vcpu->cpu);
}

static void wake_if_asleep(struct pc_vcpu *vcpu)
{
	/* seq_cst: after the request; pairs with set_asleep(), after which its CPU looks for requests once more. */
	if (atomic_load_explicit(&vcpu->asleep, memory_order_seq_cst))
		wake(vcpu);
}

static void interrupt(struct local_apic *apic)
{
	struct pc_vcpu *to = of_apic(apic);

	tl_vcpu_interrupt(to->vcpu);
	wake_if_asleep(to);
}

/* Rule 17: it is woken whoever has posted before. */
static void post(struct local_apic *apic, uint8_t vector)
{
	struct pc_vcpu *to = of_apic(apic);

	tl_vcpu_post(to->vcpu, vector);
	wake_if_asleep(to);
}

/* What a processor takes of `event`, in what it does and was asked for already. SDM vol. 3, 9.4.4 and 10.4.1. */
static unsigned with_event(const struct pc_vcpu *vcpu, unsigned events, unsigned event)
{
	bool waits = events & PC_EVENT_INIT || atomic_load_explicit(&vcpu->activity, memory_order_relaxed) == PC_WAITS,
	     starts = events & PC_EVENT_STARTUP;

	/* With an INIT nothing is left of what came before. */
	if (event == PC_EVENT_INIT)
		return PC_EVENT_INIT;
	if (event == PC_EVENT_STARTUP)
		return waits ? events | PC_EVENT_STARTUP : events;
	if (waits && !starts)
		return events;
	return events | (events & PC_EVENT_NMI ? PC_EVENT_SECOND_NMI : PC_EVENT_NMI);
}

static void ask(struct pc_vcpu *vcpu, unsigned event, uint8_t vector)
{
	unsigned events, then;

	lock_acquire(&vcpu->pc->resting);
	/* relaxed: under the lock. */
	events = atomic_load_explicit(&vcpu->events, memory_order_relaxed);
	then = with_event(vcpu, events, event);
	if (event == PC_EVENT_STARTUP && !(events & PC_EVENT_STARTUP))
		atomic_store_explicit(&vcpu->startup, vector, memory_order_relaxed);
	/* seq_cst: before the look at whether it sleeps; is_ready() asks without the lock. */
	atomic_store_explicit(&vcpu->events, then, memory_order_seq_cst);
	lock_release(&vcpu->pc->resting);
	if (then == events)
		return;
	tl_vcpu_kick(vcpu->vcpu);
	wake(vcpu);
}

static void nmi(struct local_apic *apic)
{
	ask(of_apic(apic), PC_EVENT_NMI, 0);
}

static void init(struct local_apic *apic)
{
	ask(of_apic(apic), PC_EVENT_INIT, 0);
}

static void startup(struct local_apic *apic, uint8_t vector)
{
	ask(of_apic(apic), PC_EVENT_STARTUP, vector);
}

static enum pc_activity activity_after(enum pc_activity activity, unsigned events)
{
	if (events & PC_EVENT_INIT)
		activity = PC_WAITS;
	if (events & PC_EVENT_STARTUP || (events & PC_EVENT_NMI && activity != PC_WAITS))
		activity = PC_RUNS;
	return activity;
}

static unsigned take_events(struct pc_vcpu *vcpu)
{
	unsigned events;
	enum pc_activity activity;

	/* relaxed: under the lock. */
	lock_acquire(&vcpu->pc->resting);
	events = atomic_exchange_explicit(&vcpu->events, 0, memory_order_relaxed);
	activity = activity_after(atomic_load_explicit(&vcpu->activity, memory_order_relaxed), events);
	atomic_store_explicit(&vcpu->activity, activity, memory_order_relaxed);
	lock_release(&vcpu->pc->resting);
	return events;
}

/* An event of another kind that is queued is delivered first. */
static void inject_nmi(struct pc_vcpu *vcpu)
{
	static const struct tl_event event = {.type = TL_EVENT_NMI, .vector = 2};

	if (tl_vcpu_inject(vcpu->vcpu, &event) == TL_AGAIN)
		ask(vcpu, PC_EVENT_NMI, 0);
}

static void start_up(struct pc_vcpu *vcpu)
{
	/* relaxed: the lock was held since. */
	uint8_t vector = atomic_load_explicit(&vcpu->startup, memory_order_relaxed);
	enum tl_status status = tl_vcpu_start_up(vcpu->vcpu, vector);

	vcpu->exit.reason = TL_EXIT_KICKED;
	if (status != TL_OK)
		pc_end(vcpu->pc, GUEST_EXIT, 1, tl_status_text(status));
}

void pc_cpu_take_events(struct pc_vcpu *vcpu)
{
	unsigned events = take_events(vcpu);

	/* There is no firmware for the first one to begin in again. */
	if (events & PC_EVENT_INIT && vcpu->index == 0) {
		pc_end(vcpu->pc, GUEST_RESET, 0, "reset: INIT reached the first processor");
		return;
	}
	if (events & PC_EVENT_INIT)
		local_apic_reset(&vcpu->apic);
	if (events & PC_EVENT_STARTUP)
		start_up(vcpu);
	if (events & PC_EVENT_NMI)
		inject_nmi(vcpu);
	if (events & PC_EVENT_SECOND_NMI)
		inject_nmi(vcpu);
	/* relaxed: its own. */
	pc_rest(vcpu, atomic_load_explicit(&vcpu->activity, memory_order_relaxed));
}

/* ---- Creation ---------------------------------------------------------------------------------------------------- */

static uint64_t apic_now(void *context)
{
	return pc_now(((struct pc_vcpu *)context)->pc);
}

/* In a callback of the vCPU, which may have more to be back for than its APIC's timer. */
static void apic_sooner(void *context, uint64_t at)
{
	struct pc_vcpu *vcpu = context;

	(void)at;
	if (vcpu->vcpu)
		pc_set_deadline(vcpu);
}

static unsigned physical_bits(void)
{
	uint32_t eax, ebx, ecx, edx;

	__asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(CPUID_ADDRESS_SIZES), "c"(0));
	return (eax & 0xff) >= LEAST_PHYSICAL_BITS ? eax & 0xff : LEAST_PHYSICAL_BITS;
}

void pc_cpus_init(struct pc *pc)
{
	struct local_apic_bus *bus = &pc->machine.bus;

	bus->of = apic_of;
	bus->interrupt = interrupt;
	bus->post = post;
	bus->nmi = nmi;
	bus->init = init;
	bus->startup = startup;
	bus->moved = pc_apic_moved;
	bus->beneath = pc_apic_beneath;
}

enum tl_status pc_cpu_create(struct pc *pc, unsigned index)
{
	struct pc_vcpu *vcpu = &pc->vcpu[index];
	struct clock clock = {.now = apic_now, .sooner = apic_sooner, .context = vcpu, .hz = pc->hz};
	enum tl_status status;

	vcpu->pc = pc;
	vcpu->index = index;
	vcpu->cpu = index % pc->nr_cpus;
	vcpu->exit.reason = TL_EXIT_KICKED;
	vcpu->activity = index ? PC_WAITS : PC_RUNS;
	local_apic_init(&vcpu->apic, &pc->machine.bus, index, index == 0, &clock, physical_bits());
	if (index == 0)
		local_apic_virtual_wire(&vcpu->apic);
	vcpu->vcpu = tl_vcpu_create(pc->vm, &status);
	if (!vcpu->vcpu)
		return status;
	tl_vcpu_set_context(vcpu->vcpu, vcpu);
	tl_vcpu_set_processor(vcpu->vcpu, &processor);
	return pc_apic_create(vcpu);
}
