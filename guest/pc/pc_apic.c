/* SPDX-License-Identifier: MIT */
/* Where the local APICs' registers are: in the map, and in the CPU as far as it serves them. */
#include "guest/pc/pc.h"

/* A virtual-APIC page, and one with the descriptor of what is posted. */
enum { APIC_PAGES = 2 };

static struct pc_vcpu *of_apic(struct local_apic *apic)
{
	return (struct pc_vcpu *)((char *)apic - offsetof(struct pc_vcpu, apic));
}

/* ---- The map ----------------------------------------------------------------------------------------------------- */

static struct pc_apic_page *find_page(struct pc *pc, uint64_t at)
{
	for (unsigned i = 0; i < LOCAL_APICS_MOST; i++)
		if (pc->apic_page[i].users && pc->apic_page[i].at == at)
			return &pc->apic_page[i];
	return NULL;
}

/* There are as many as APICs. */
static struct pc_apic_page *take_page(struct pc *pc, uint64_t at)
{
	struct pc_apic_page *page = find_page(pc, at);

	for (unsigned i = 0; i < LOCAL_APICS_MOST && !page; i++)
		if (!pc->apic_page[i].users)
			page = &pc->apic_page[i];
	page->at = at;
	page->users++;
	return page;
}

/* What is shown there: the CPU's own page only while it is that of every vCPU (docs/rules.md, rule 19). */
static bool wants_virtual(const struct pc *pc, const struct pc_apic_page *page)
{
	return pc->apic_access_page && page->users == pc->nr_vcpus;
}

/* The memory below goes and comes with it. */
static enum tl_status edit_page(struct pc *pc, struct tl_edit *edit, struct pc_apic_page *page, bool virtual)
{
	struct tl_range range = {.kind = virtual ? TL_RANGE_APIC : TL_RANGE_MMIO,
				 .start = page->at,
				 .size = LOCAL_APIC_SIZE,
				 .host = virtual ? pc->apic_access_page : NULL,
				 .access = local_apic_access,
				 .context = &pc->machine.bus};
	uint64_t covered[LOCAL_APICS_MOST];
	unsigned nr_covered = 0;
	enum tl_status status;

	for (unsigned i = 0; i < LOCAL_APICS_MOST; i++)
		if (pc->apic_page[i].users)
			covered[nr_covered++] = pc->apic_page[i].at;
	status = pc_memory_make_way(&pc->mapped_memory, edit, covered, nr_covered);
	if (status == TL_OK && page->mapped)
		status = tl_map_remove(edit, page->id);
	if (status == TL_OK)
		status = pc_memory_come_back(&pc->mapped_memory, edit);
	if (status == TL_OK && page->users)
		status = tl_map_add(edit, &range, &page->id);
	return status;
}

/* One transaction: there is no moment at which nothing answers there. */
static void change_map(struct pc *pc, struct pc_apic_page *page)
{
	bool virtual = wants_virtual(pc, page);
	struct tl_edit *edit = tl_map_edit(pc->vm);
	enum tl_status status;

	if (!edit)
		return;
	status = edit_page(pc, edit, page, virtual);
	if (status == TL_OK)
		status = tl_map_commit(edit);
	else
		tl_map_discard(edit);
	pc_memory_settle(&pc->mapped_memory, status >= 0);
	page->mapped = status >= 0 && page->users;
	page->virtual = virtual;
}

/* Its users are others. */
static void update(struct pc *pc, struct pc_apic_page *page)
{
	if (page->mapped ? !page->users || page->virtual != wants_virtual(pc, page) : page->users == 1)
		change_map(pc, page);
}

static void leave(struct pc *pc, uint64_t at)
{
	struct pc_apic_page *page = find_page(pc, at);

	if (!page)
		return;
	page->users--;
	update(pc, page);
}

static void enter(struct pc_vcpu *vcpu)
{
	vcpu->apic_at = vcpu->apic.page;
	if (vcpu->apic_at != UINT64_MAX)
		update(vcpu->pc, take_page(vcpu->pc, vcpu->apic_at));
}

static enum tl_status tell_mode(struct pc_vcpu *vcpu)
{
	enum tl_apic_mode mode = TL_APIC_OFF;

	if (!vcpu->apic_page)
		return TL_OK;
	if (local_apic_enabled(&vcpu->apic))
		mode = vcpu->apic.page == UINT64_MAX ? TL_APIC_X2APIC : TL_APIC_XAPIC;
	return tl_vcpu_set_apic_mode(vcpu->vcpu, mode, vcpu->apic.page);
}

void pc_apic_moved(struct local_apic *apic)
{
	struct pc_vcpu *vcpu = of_apic(apic);
	struct pc *pc = vcpu->pc;

	lock_acquire(&pc->apic_pages);
	leave(pc, vcpu->apic_at);
	enter(vcpu);
	lock_release(&pc->apic_pages);
	/* In its own callback: the vCPU is loaded. */
	(void)tell_mode(vcpu);
}

/* It moves to where it is, which takes its translations away. Whoever makes way for an APIC meanwhile has done the
 * same, and the lock is not held over a wait: APICs move in callbacks. */
void pc_flush_page(void *context, uint64_t gpa)
{
	struct pc *pc = context;
	struct pc_piece piece;
	struct tl_edit *edit;

	lock_acquire(&pc->apic_pages);
	piece = pc_memory_piece(&pc->mapped_memory, gpa);
	lock_release(&pc->apic_pages);
	edit = piece.size ? tl_map_edit(pc->vm) : NULL;
	if (!edit)
		return;
	if (tl_map_move(edit, piece.id, piece.start) == TL_OK)
		(void)tl_map_commit(edit);
	else
		tl_map_discard(edit);
}

/* A vCPU whose own APIC is elsewhere: memory lies there, or nothing. */
void pc_apic_beneath(struct tl_mmio *access)
{
	const struct pc_vcpu *vcpu = tl_vcpu_context(access->vcpu);

	if (!pc_memory_access(&vcpu->pc->mapped_memory, access))
		access->data = UINT64_MAX;
}

/* ---- The CPU ----------------------------------------------------------------------------------------------------- */

static struct local_apic *apic_of(struct tl_vcpu *vcpu)
{
	return &((struct pc_vcpu *)tl_vcpu_context(vcpu))->apic;
}

static int held_back(struct tl_vcpu *vcpu)
{
	return local_apic_held_back(apic_of(vcpu));
}

static void collect(struct tl_vcpu *vcpu)
{
	local_apic_collect(apic_of(vcpu));
}

static bool external(struct tl_vcpu *vcpu)
{
	return local_apic_external(apic_of(vcpu));
}

static void written(struct tl_vcpu *vcpu, unsigned offset)
{
	local_apic_written(apic_of(vcpu), offset);
}

static void ended(struct tl_vcpu *vcpu, uint8_t vector)
{
	local_apic_ended(apic_of(vcpu), vector);
}

/* Before the vCPU runs. */
static enum tl_status offer(struct pc_vcpu *vcpu)
{
	const struct guest_services *services = vcpu->pc->services;
	uint32_t features = tl_apic_features();
	struct tl_posted *posted;

	if (!features)
		return TL_OK;
	if (features & TL_APIC_ACCESSES && vcpu->index == 0)
		vcpu->pc->apic_access_page = services->alloc_pages(1);
	vcpu->apic_page = services->alloc_pages(APIC_PAGES);
	if (!vcpu->apic_page || (features & TL_APIC_ACCESSES && !vcpu->pc->apic_access_page))
		return TL_NO_MEMORY;
	posted = features & TL_APIC_POSTED ? (void *)((char *)vcpu->apic_page + LOCAL_APIC_SIZE) : NULL;
	local_apic_virtualize(&vcpu->apic, vcpu->apic_page, features & TL_APIC_INTERRUPTS, posted);
	vcpu->virtual_apic = (struct tl_apic){.registers = vcpu->apic_page,
					      .access_page = vcpu->pc->apic_access_page,
					      .held_back = held_back,
					      .collect = collect,
					      .external = external,
					      .written = written,
					      .ended = ended,
					      .posted = posted};
	return tl_vcpu_set_apic(vcpu->vcpu, &vcpu->virtual_apic);
}

enum tl_status pc_apic_create(struct pc_vcpu *vcpu)
{
	enum tl_status status = offer(vcpu);

	if (status == TL_OK)
		status = tell_mode(vcpu);
	enter(vcpu);
	return status;
}

void pc_apics_free(struct pc *pc)
{
	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		if (pc->vcpu[i].apic_page)
			pc->services->free_pages(pc->vcpu[i].apic_page, APIC_PAGES);
	if (pc->apic_access_page)
		pc->services->free_pages(pc->apic_access_page, 1);
}
