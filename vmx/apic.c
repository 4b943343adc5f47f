/* SPDX-License-Identifier: MIT */
#include "vmx/apic.h"
#include "mmu/hooks.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"

/* In the virtual-APIC page. */
enum { REGISTER_ISR = 0x100, REGISTER_TMR = 0x180, REGISTER_IRR = 0x200, STRIDE = 16, SET_WORDS = 8 };

uint32_t tl_apic_features(void)
{
	const struct vmx_controls *c = &vmx_controls;

	probe_virtual_interrupts();
	return (c->tpr_shadow ? TL_APIC_TPR : 0u) | (c->apic_accesses ? TL_APIC_ACCESSES : 0u) |
	       (c->x2apic_mode ? TL_APIC_MSRS : 0u) | (c->virtual_interrupts ? TL_APIC_INTERRUPTS : 0u) |
	       (c->apic_registers ? TL_APIC_REGISTERS : 0u) | (c->posted_interrupts ? TL_APIC_POSTED : 0u);
}

/* ---- Controls ---------------------------------------------------------------------------------------------------- */

static uint64_t proc2_of(const struct tl_vcpu *vcpu)
{
	const struct vmx_controls *c = &vmx_controls;
	uint64_t set = 0;

	if (vcpu->apic_mode == TL_APIC_OFF)
		return 0;
	/* Never both (SDM vol. 3, 27.2.1.1). */
	if (vcpu->apic_mode == TL_APIC_XAPIC && c->apic_accesses && vcpu->apic->access_page)
		set |= PROC2_VIRTUALIZE_APIC_ACCESSES;
	if (vcpu->apic_mode == TL_APIC_X2APIC && c->x2apic_mode)
		set |= PROC2_VIRTUALIZE_X2APIC_MODE;
	set |= c->virtual_interrupts ? PROC2_VIRTUAL_INTERRUPT_DELIVERY : 0;
	return set | (c->apic_registers ? PROC2_APIC_REGISTER_VIRTUALIZATION : 0);
}

static void set_bits(vmcs_field_t field, uint64_t mask, uint64_t bits)
{
	vmcs_write(field, (vmcs_read(field) & ~mask) | bits);
}

static void set_threshold(struct tl_vcpu *vcpu, uint8_t threshold)
{
	if (vcpu->apic_threshold == threshold)
		return;
	vcpu->apic_threshold = threshold;
	vmcs_write(VMCS_TPR_THRESHOLD, threshold);
}

/* Only where the CPU delivers, and an exit has acknowledged the interrupt that made it (SDM vol. 3, 27.2.1.1). */
static void apply_posting(struct tl_vcpu *vcpu)
{
	bool posts = vcpu->apic_delivers && vmx_controls.posted_interrupts && vcpu->apic->posted;

	if (vcpu->apic_posts == posts)
		return;
	vcpu->apic_posts = posts;
	set_bits(VMCS_PIN_CONTROLS, PIN_POSTED_INTERRUPTS, posts ? PIN_POSTED_INTERRUPTS : 0);
	set_bits(VMCS_EXIT_CONTROLS, VM_EXIT_ACKNOWLEDGE_INTERRUPT, posts ? VM_EXIT_ACKNOWLEDGE_INTERRUPT : 0);
}

/* What the CPU has cached of the page depends on the controls (SDM vol. 3, 30.4.5; rule 19). */
static void apply_mode(struct tl_vcpu *vcpu)
{
	uint64_t set = proc2_of(vcpu);

	set_bits(VMCS_PROC2_CONTROLS, PROC2_APIC, set);
	vmcs_set_msr_bitmap(set & PROC2_VIRTUALIZE_X2APIC_MODE);
	vcpu->apic_delivers = set & PROC2_VIRTUAL_INTERRUPT_DELIVERY;
	apply_posting(vcpu);
	vcpu_flush_ept(vcpu->vm);
	vcpu_flush_guest_tlb(vcpu);
	/* The threshold may stand above a TPR only where accesses are virtualized, or the CPU has no use for it. */
	set_threshold(vcpu, 0);
	vcpu->reader.entry_round = GRACE_ATTENTION;
}

static void set_eoi_exits(struct tl_vcpu *vcpu, unsigned i, uint64_t bits)
{
	const vmcs_field_t field[] = {VMCS_EOI_EXIT_BITMAP_0, VMCS_EOI_EXIT_BITMAP_1, VMCS_EOI_EXIT_BITMAP_2,
				      VMCS_EOI_EXIT_BITMAP_3};

	vcpu->apic_eoi_exits[i] = bits;
	vmcs_write(field[i], bits);
}

enum tl_status tl_vcpu_set_apic(struct tl_vcpu *vcpu, const struct tl_apic *apic)
{
	uint64_t exits = PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING;
	enum tl_status status;

	if (!tl_apic_features())
		return TL_UNSUPPORTED;
	if (apic && !(vcpu->events & EVENT_ASKED))
		return TL_INVALID_ARGUMENT;
	status = vcpu_load(vcpu);
	if (status != TL_OK)
		return status;
	vcpu->apic = apic;
	vcpu->apic_mode = TL_APIC_OFF;
	set_bits(VMCS_PROC_CONTROLS, exits | PROC_USE_TPR_SHADOW, apic ? PROC_USE_TPR_SHADOW : exits);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	if (vmx_controls.virtual_interrupts)
		for (unsigned i = 0; i < 4; i++)
			set_eoi_exits(vcpu, i, 0);
	if (apic)
		vmcs_write(VMCS_VIRTUAL_APIC_ADDRESS, host_to_phys(apic->registers));
	if (apic && apic->access_page && vmx_controls.apic_accesses)
		vmcs_write(VMCS_APIC_ACCESS_ADDRESS, host_to_phys(apic->access_page));
	if (apic && apic->posted && vmx_controls.posted_interrupts) {
		vmcs_write(VMCS_POSTED_INTERRUPT_VECTOR, hooks->notification_vector);
		vmcs_write(VMCS_POSTED_INTERRUPT_DESCRIPTOR, host_to_phys(apic->posted));
	}
	apply_mode(vcpu);
	return TL_OK;
}

enum tl_status tl_vcpu_set_apic_mode(struct tl_vcpu *vcpu, enum tl_apic_mode mode, uint64_t at)
{
	enum tl_status status = cpu_this()->loaded == vcpu ? TL_OK : vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	vcpu->apic_at = at;
	if (vcpu->apic && vcpu->apic_mode != mode) {
		vcpu->apic_mode = mode;
		apply_mode(vcpu);
	}
	return TL_OK;
}

/* ---- What is pending --------------------------------------------------------------------------------------------- */

static uint32_t apic_word(const struct tl_vcpu *vcpu, unsigned offset)
{
	return *(const volatile uint32_t *)((const uint8_t *)vcpu->apic->registers + offset);
}

/* The highest vector of a set, 0: it is empty. No interrupt has the vector 0. */
static uint8_t apic_highest(const struct tl_vcpu *vcpu, unsigned set)
{
	for (unsigned i = SET_WORDS; i-- > 0;) {
		uint32_t word = apic_word(vcpu, set + i * STRIDE);

		if (word)
			return (uint8_t)(32 * i + 31 - (unsigned)__builtin_clz(word));
	}
	return 0;
}

/* Each level-triggered interrupt's EOI is told of. */
static void set_eoi_bitmaps(struct tl_vcpu *vcpu)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t bits = apic_word(vcpu, REGISTER_TMR + 2 * i * STRIDE) |
				(uint64_t)apic_word(vcpu, REGISTER_TMR + (2 * i + 1) * STRIDE) << 32;

		if (vcpu->apic_eoi_exits[i] != bits)
			set_eoi_exits(vcpu, i, bits);
	}
}

void apic_settle(struct tl_vcpu *vcpu)
{
	int vector;

	if (vcpu->apic_delivers) {
		/* Rule 16. */
		vcpu->apic->collect(vcpu);
		set_eoi_bitmaps(vcpu);
		/* RVI and SVI. */
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS,
			   apic_highest(vcpu, REGISTER_IRR) | (uint64_t)apic_highest(vcpu, REGISTER_ISR) << 8);
		return;
	}
	vector = vcpu->apic->held_back(vcpu);
	set_threshold(vcpu, vector < 0 ? 0 : (uint8_t)vector >> 4);
}

/* ---- Exits ------------------------------------------------------------------------------------------------------- */

/*
 * The range is where it was, as a rule: one compare, and counted as fresh. What else has come there since is searched
 * for as if several ranges met (rule 19).
 */
ALWAYS_INLINE const struct map_range *apic_range(struct tl_vcpu *vcpu, const struct map *map)
{
	const struct map_range *range = &map->ranges[vcpu->apic_range_id];

	if (likely(vcpu->apic_range_id < map->nr_slots) && likely(range->kind == MAP_APIC) &&
	    likely(range->start == vcpu->apic_at)) {
		counter_add(&vcpu->reader.stats.fresh, 1);
		return range;
	}
	counter_add(&vcpu->reader.stats.stale, 1);
	range = map_find(map, vcpu->apic_at);
	vcpu->apic_range_id = range->id;
	return range->kind == MAP_APIC ? range : &map->ranges[MAP_SHARED_ID];
}

/* The CPU says where in the page it was; which page that is the mode says. */
enum vcpu_action exit_apic_access(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	/* acquire: rule 2. Rule 1: the only load of this exit. */
	const struct map *map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);
	gpa_t gpa = vcpu->apic_at | (qualification & APIC_ACCESS_OFFSET);

	if (unlikely(APIC_ACCESS_TYPE(qualification) > APIC_ACCESS_WRITE) || unlikely(!vcpu->apic))
		return VCPU_FULL;
	counter_add(&vcpu->exits_by_reason[EXIT_REASON_APIC_ACCESS], 1);
	vcpu->exit_gpa = gpa;
	vcpu->exit_map = map;
	vcpu->exit_range = apic_range(vcpu, map);
	return VCPU_MMIO;
}

/* What is neither: fetches, page walks, an event on its way. */
static enum vcpu_action stop_by_access(struct tl_vcpu *vcpu, uint64_t qualification)
{
	switch (APIC_ACCESS_TYPE(qualification)) {
	case APIC_ACCESS_FETCH:
		return exit_stop(vcpu, TL_STOP_FETCH, 0);
	case APIC_ACCESS_EVENT:
		return exit_stop(vcpu, TL_STOP_EVENT, 0);
	default:
		return exit_stop(vcpu, TL_STOP_PAGE_TABLE, 0);
	}
}

/* After a write and an EOI the instruction is over, its store in the page (SDM vol. 3, 30.4.3.3). */
enum vcpu_action exit_apic(struct tl_vcpu *vcpu, uint32_t reason)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

	if (reason == EXIT_REASON_APIC_ACCESS)
		return stop_by_access(vcpu, qualification);
	if (reason == EXIT_REASON_APIC_WRITE)
		vcpu->apic->written(vcpu, qualification & APIC_ACCESS_OFFSET);
	else
		vcpu->apic->ended(vcpu, (uint8_t)qualification);
	return vcpu_before_entry(vcpu);
}
