/* SPDX-License-Identifier: MIT */
/* A PC's console, and the PC as who looks at it from outside sees it. */
#include "guest/pc/pc.h"

/* ---- The console ------------------------------------------------------------------------------------------------- */

void pc_show_line(struct pc_line *line)
{
	const struct guest_services *services = line->pc->services;

	if (!line->length)
		return;
	line->text[line->length] = '\0';
	line->is_prompt = line->text[line->length - 1] != '\n';
	line->length = 0;
	if (!services->quiet)
		services->print("%s", line->text);
}

/* Whole lines as far as that goes: the host's console is dear. The machine's lock is held. */
void pc_put(void *context, uint8_t byte)
{
	struct pc_line *line = context;

	if (byte == '\r' || byte == '\0')
		return;
	line->last = pc_now(line->pc);
	line->text[line->length++] = (char)byte;
	if (byte == '\n' || line->length == PC_LINE - 1)
		pc_show_line(line);
}

void pc_show(struct pc *pc)
{
	lock_acquire(&pc->machine.lock);
	pc_show_line(&pc->line);
	pc_show_line(&pc->debug_line);
	lock_release(&pc->machine.lock);
}

void pc_show_end(struct pc *pc)
{
	pc_show(pc);
	if ((pc->line.is_prompt || pc->debug_line.is_prompt) && !pc->services->quiet)
		pc->services->print("\n");
}

static void show_row(void *context, const char *text)
{
	const struct pc *pc = context;

	if (!pc->services->quiet)
		pc->services->print("%s\n", text);
}

void pc_show_screen(struct pc *pc)
{
	pc->screen_shown = pc_now(pc);
	vga_text_show(&pc->machine.vga, show_row, pc);
}

void pc_show_exits(const struct pc *pc)
{
	uint64_t all = 0, reason[TL_NR_EXIT_REASONS] = {0};
	struct tl_vcpu_exits exits;

	for (unsigned i = 0; i < pc->nr_vcpus; i++) {
		tl_vcpu_exits(pc->vcpu[i].vcpu, &exits);
		all += exits.all;
		for (unsigned j = 0; j < TL_NR_EXIT_REASONS; j++)
			reason[j] += exits.reason[j];
	}
	pc->services->print("exits: %lu all\n", all);
	for (unsigned i = 0; i < TL_NR_EXIT_REASONS; i++)
		if (reason[i])
			pc->services->print("exits: %lu %s\n", reason[i], tl_exit_reason_name(i));
}

void pc_type(struct pc *pc)
{
	if (!pc->services->read_typed)
		return;
	for (;;) {
		if (pc->typed < 0)
			pc->typed = pc->services->read_typed();
		if (pc->typed < 0 || !machine_input(&pc->machine, (uint8_t)pc->typed))
			return;
		pc->typed = -1;
	}
}

/* ---- The view ---------------------------------------------------------------------------------------------------- */

static struct pc *machine(const struct guest_view *view)
{
	return view->machine;
}

static struct tl_vcpu *view_vcpu(const struct guest_view *view, unsigned index)
{
	return machine(view)->vcpu[index].vcpu;
}

static enum view_look look_at(void *context)
{
	struct pc_vcpu *vcpu = context;
	/* acquire: the vCPU as its CPU has left it. */
	bool busy = atomic_exchange_explicit(&vcpu->taken, true, memory_order_acquire);

	/* relaxed: it is kicked until it is taken. */
	atomic_store_explicit(&vcpu->wanted, busy, memory_order_relaxed);
	return busy ? VIEW_BUSY : VIEW_TAKEN;
}

static struct tl_vcpu *view_take(const struct guest_view *view, unsigned index)
{
	struct pc_vcpu *vcpu = &machine(view)->vcpu[index];

	return view_take_by(vcpu->vcpu, look_at, vcpu);
}

static void view_put(const struct guest_view *view, unsigned index)
{
	struct pc_vcpu *vcpu = &machine(view)->vcpu[index];

	/* release: pairs with the exchange of who takes it. */
	atomic_store_explicit(&vcpu->taken, false, memory_order_release);
	vcpu->pc->services->wake_cpu(vcpu->cpu);
}

static void view_hold(const struct guest_view *view, unsigned index, bool held)
{
	struct pc_vcpu *vcpu = &machine(view)->vcpu[index];

	/* seq_cst: before its CPU is woken or the vCPU kicked. */
	atomic_store_explicit(&vcpu->held, held, memory_order_seq_cst);
	if (held)
		tl_vcpu_kick(vcpu->vcpu);
	else
		vcpu->pc->services->wake_cpu(vcpu->cpu);
}

static bool view_is_held(const struct guest_view *view, unsigned index)
{
	return atomic_load_explicit(&machine(view)->vcpu[index].held, memory_order_relaxed);
}

static void view_end(const struct guest_view *view, const char *how)
{
	pc_end(machine(view), GUEST_EXIT, 1, how);
}

static const char *view_range_name(const struct guest_view *view, uint64_t start)
{
	static const struct {
		uint64_t start;
		const char *name;
	} named[] = {{LOCAL_APIC_AT, "local APIC"},
		     {IO_APIC_AT, "I/O APIC"},
		     {HPET_AT, "HPET"},
		     {MACHINE_DISK_AT, "virtio disk"},
		     {MACHINE_ENTROPY_AT, "virtio entropy"},
		     {MACHINE_CONSOLE_AT, "virtio console"},
		     {VGA_TEXT_AT, "VGA text"},
		     {PC_ROM, "firmware"}};

	(void)view;
	for (unsigned i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (named[i].start == start)
			return named[i].name;
	return "";
}

static enum tl_status view_step(const struct guest_view *view, unsigned index)
{
	return pc_step(&machine(view)->vcpu[index]);
}

/* The devices of a PC do not count. */
static bool view_traffic(const struct guest_view *view, unsigned index, const char **name, uint64_t *reads,
			 uint64_t *writes)
{
	(void)view;
	(void)index;
	(void)name;
	(void)reads;
	(void)writes;
	return false;
}

void pc_view_init(struct pc *pc, uint64_t began)
{
	pc->view = (struct guest_view){
		.name = pc->name,
		.vm = pc->vm,
		.nr_vcpus = pc->nr_vcpus,
		.machine = pc,
		.began = began,
		.keeps_text = true,
		.vcpu = view_vcpu,
		.take = view_take,
		.put = view_put,
		.hold = view_hold,
		.is_held = view_is_held,
		.step = view_step,
		.end = view_end,
		.range_name = view_range_name,
		.traffic = view_traffic,
	};
}
