/* SPDX-License-Identifier: MIT */
#include "tests/unit/mock/vmx/asm.h"

#include "tests/fuzz/embedder.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/probe.h"

enum { PAGE = 4096 };

struct fuzz_embedder fuzz_embedder;

static uint8_t take(void)
{
	return fuzz_take8(fuzz_embedder.input);
}

static void move(uint64_t to)
{
	struct tl_edit *edit = tl_map_edit(fuzz_embedder.vm);

	fuzz_require(edit);
	if (tl_map_move(edit, fuzz_embedder.moved, to) == TL_OK)
		tl_map_commit(edit);
	else
		tl_map_discard(edit);
}

enum tl_status embedder_callback(const struct tl_vcpu *asked)
{
	struct tl_vcpu *vcpu = fuzz_embedder.vcpu;
	uint8_t how = fuzz_embedder.nr_callbacks < 16 ? take() : 0;

	fuzz_require(asked == vcpu && fuzz_embedder.nr_callbacks++ < EMBEDDER_MOST_CALLBACKS);
	switch (how & 15) {
	case 1:
		move(EMBEDDER_MOVED_AT + (how >> 4) * 2ull * PAGE);
		break;
	case 2:
		tl_vm_invalidate_mmio(fuzz_embedder.vm);
		break;
	case 3:
		tl_vcpu_kick(vcpu);
		break;
	case 4:
		tl_vcpu_inject(vcpu, &(struct tl_event){.type = TL_EVENT_INTERRUPT, .vector = (uint8_t)(how | 32)});
		break;
	case 5:
		return TL_DEVICE_ERROR;
	case 6:
		tl_vcpu_interrupt(vcpu);
		break;
	case 7:
		tl_vcpu_set_deadline(vcpu, how >> 4);
		break;
	case 8:
		if (vcpu->apic_posts)
			tl_vcpu_post(vcpu, how);
		break;
	default:
		break;
	}
	return TL_OK;
}

static bool pending(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return take() & 1;
}

/* An entry that injects an interrupt into a guest that cannot take it is refused (SDM vol. 3, 27.3.1.4, 27.3.1.5). */
static int acknowledge(struct tl_vcpu *vcpu)
{
	uint8_t how = take();

	(void)vcpu;
	fuzz_require(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF);
	fuzz_require(!(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_SHADOW));
	fuzz_require(!(vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID));
	if (how < 16)
		return -1;
	fuzz_embedder.vector = how;
	return how;
}

static bool read_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	uint8_t how = take();

	*value = fuzz_hash(msr + how);
	embedder_callback(vcpu);
	return how & 1;
}

static bool write_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)msr;
	(void)value;
	embedder_callback(vcpu);
	return take() & 1;
}

static void change_cpuid(struct tl_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct tl_cpuid *out)
{
	(void)leaf;
	(void)subleaf;
	out->edx = take();
	embedder_callback(vcpu);
}

static uint8_t get_cr8(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return take();
}

static void put_cr8(struct tl_vcpu *vcpu, uint8_t value)
{
	fuzz_require(value < 16);
	embedder_callback(vcpu);
}

const struct tl_processor embedder_processor = {.acknowledge = acknowledge,
						.pending = pending,
						.read_msr = read_msr,
						.write_msr = write_msr,
						.cpuid = change_cpuid,
						.read_cr8 = get_cr8,
						.write_cr8 = put_cr8};

/* ---- A local APIC ------------------------------------------------------------------------------------------------ */

enum { TPR = 0x80, ISR = 0x100, TMR = 0x180, IRR = 0x200 };

static uint32_t registers[1024] __attribute__((aligned(4096)));
struct tl_posted embedder_posted;

/* A TPR holds back nothing that is above it. */
static int held_back(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	registers[TPR / 4] = take();
	return registers[TPR / 4] & 8 ? -1 : (int)(registers[TPR / 4] & 0xf0);
}

static void collect(struct tl_vcpu *vcpu)
{
	uint8_t vector = take();

	(void)vcpu;
	registers[(IRR + vector / 32 * 16) / 4] ^= 1u << vector % 32;
	registers[(ISR + vector % 8 * 16) / 4] = vector;
	registers[(TMR + vector % 8 * 16) / 4] = ~(uint32_t)vector;
	tl_posted_collect(&embedder_posted, registers);
}

static bool external(struct tl_vcpu *vcpu)
{
	return pending(vcpu);
}

static void written(struct tl_vcpu *vcpu, unsigned offset)
{
	fuzz_require(offset < sizeof(registers));
	embedder_callback(vcpu);
}

static void ended(struct tl_vcpu *vcpu, uint8_t vector)
{
	(void)vector;
	embedder_callback(vcpu);
}

static const struct tl_apic embedder_apic = {.registers = registers,
					     .access_page = registers,
					     .held_back = held_back,
					     .collect = collect,
					     .external = external,
					     .written = written,
					     .ended = ended,
					     .posted = &embedder_posted};

void embedder_offer_apic(void)
{
	struct tl_vcpu *vcpu = fuzz_embedder.vcpu;
	uint8_t how = take();

	vmx_controls.tpr_shadow = true;
	vmx_controls.apic_accesses = how & 1;
	vmx_controls.x2apic_mode = how & 2;
	vmx_controls.virtual_interrupts = how & 4;
	vmx_controls.apic_registers = how & 4 && how & 8;
	vmx_controls.posted_interrupts = how & 4 && how & 64;
	embedder_posted = (struct tl_posted){.control = 0};
	probe_set_delivery(PROBE_DELIVERY_RIGHT);
	fuzz_require(tl_vcpu_set_apic(vcpu, &embedder_apic) == TL_OK);
	fuzz_require(tl_vcpu_set_apic_mode(vcpu, how >> 4 & 3 ? TL_APIC_XAPIC : TL_APIC_X2APIC, EMBEDDER_MOVED_AT) ==
		     TL_OK);
}
