/* SPDX-License-Identifier: MIT */
#include "tests/unit/apic_vcpu.h"

#include "vmx/probe.h"

uint32_t *registers;
void *access_page;
int requested, held, sent, from_pic;
unsigned collected, wrote, wrote_at, end_count, ended_vector, acknowledged;

static int acknowledge(struct tl_vcpu *vcpu)
{
	int vector = from_pic != NONE ? from_pic : requested;

	(void)vcpu;
	acknowledged++;
	requested = from_pic = NONE;
	return vector;
}

static bool pending(struct tl_vcpu *vcpu)
{
	bool is_posted = false;

	(void)vcpu;
	for (unsigned part = 0; part < 8 && apic_offer.posted; part++)
		is_posted |= tl_posted_requests(apic_offer.posted, part);
	return is_posted || requested != NONE || from_pic != NONE;
}

static const struct tl_processor processor = {.acknowledge = acknowledge, .pending = pending};

static int held_back(struct tl_vcpu *vcpu)
{
	assert_ptr_equal(vcpu, guest_vcpu);
	return held;
}

void set_bit(unsigned set, unsigned vector)
{
	registers[(set + vector / 32 * 16) / 4] |= 1u << vector % 32;
}

static void collect(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	collected++;
	if (sent != NONE)
		set_bit(IRR, (unsigned)sent);
	sent = NONE;
	if (apic_offer.posted)
		tl_posted_collect(apic_offer.posted, registers);
}

static bool external(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return from_pic != NONE;
}

static void written(struct tl_vcpu *vcpu, unsigned offset)
{
	(void)vcpu;
	wrote++;
	wrote_at = offset;
}

static void ended(struct tl_vcpu *vcpu, uint8_t vector)
{
	(void)vcpu;
	end_count++;
	ended_vector = vector;
}

struct tl_apic apic_offer = {
	.held_back = held_back, .collect = collect, .external = external, .written = written, .ended = ended};

void apic_offer_to(const struct vmx_controls *has)
{
	vmx_controls.tpr_shadow = true;
	vmx_controls.msr_bitmaps = true;
	vmx_controls.apic_accesses = mmu_cpu.apic_accesses = has->apic_accesses;
	vmx_controls.x2apic_mode = has->x2apic_mode;
	vmx_controls.virtual_interrupts = has->virtual_interrupts;
	vmx_controls.apic_registers = has->apic_registers;
	vmx_controls.posted_interrupts = has->posted_interrupts;
	assert_int_equal(tl_vcpu_set_apic(guest_vcpu, &apic_offer), TL_OK);
}

int apic_start(void **state)
{
	vcpu_start(state);
	probe_set_delivery(PROBE_DELIVERY_RIGHT);
	vmx_controls.proc = CR8_EXITS;
	set_field(VMCS_PROC_CONTROLS, CR8_EXITS | PROC_HLT_EXITING);
	registers = page_alloc(1);
	access_page = page_alloc(1);
	apic_offer.registers = registers;
	apic_offer.access_page = access_page;
	apic_offer.posted = NULL;
	requested = held = sent = from_pic = NONE;
	collected = wrote = end_count = acknowledged = 0;
	tl_vcpu_set_processor(guest_vcpu, &processor);
	return 0;
}

int apic_stop(void **state)
{
	page_free(registers, 1);
	page_free(access_page, 1);
	vmx_controls = (struct vmx_controls){0};
	mmu_cpu.apic_accesses = false;
	return vcpu_stop(state);
}

void apic_go(enum tl_apic_mode mode)
{
	assert_int_equal(tl_vcpu_set_apic_mode(guest_vcpu, mode, APIC_AT), TL_OK);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
}

void apic_deliver(void)
{
	apic_offer_to(&(struct vmx_controls){.apic_accesses = true, .x2apic_mode = true, .virtual_interrupts = true});
	apic_go(TL_APIC_XAPIC);
}
