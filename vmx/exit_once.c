/* SPDX-License-Identifier: MIT */
/*
 * An access by an instruction that was not met before. Most are made once and never again, when a device is set up: so
 * the first time nothing is kept of it, but where it was, and nothing makes way for it in the cache. Only what most
 * accesses to devices are is served so: MOV of 4 or 8 bytes between memory and a register in 64-bit code, with a base
 * and a displacement. Its page and its operand's are checked as for an instruction that is known.
 */
#include "vmx/decode_cache.h"
#include "vmx/exit.h"

enum { OPCODE_MOV = 0x89, OPCODE_TO_REGISTER = 2, REX = 0x40, REX_W = 8, REX_R = 4, REX_B = 1 };

/* Such a MOV, taken apart. */
struct mov {
	unsigned length, reg, base;
	unsigned size; /* bytes */
	bool store;
	int64_t disp;
};

/* `code`: its first 8 bytes, more than it has. False: it is something else. */
ALWAYS_INLINE bool take_mov(uint64_t code, struct mov *mov)
{
	unsigned rex = 0, modrm;

	mov->length = 2;
	if ((code & 0xf0) == REX) {
		rex = (unsigned)code;
		code >>= 8;
		mov->length = 3;
	}
	modrm = (unsigned)(code >> 8);
	if ((code & 0xfd) != OPCODE_MOV || (modrm & 0xc0) == 0xc0 || (modrm & 7) == 4 || (modrm & 0xc7) == 5)
		return false;
	mov->reg = (modrm >> 3 & 7) | (rex & REX_R) << 1;
	mov->base = (modrm & 7) | (rex & REX_B) << 3;
	mov->size = 4 + (rex & REX_W) / 2;
	mov->store = !(code & OPCODE_TO_REGISTER);
	mov->disp = 0;
	if (modrm & 0x40) {
		mov->disp = (int64_t)((code >> 16 & 0xff) ^ 0x80) - 0x80;
		mov->length += 1;
	} else if (modrm & 0x80) {
		mov->disp = (int32_t)(code >> 16);
		mov->length += 4;
	}
	return true;
}

/* As operand_holds(), of an operand that lies in one page. */
ALWAYS_INLINE bool is_where_the_exit_was(struct tl_vcpu *vcpu, const struct mov *mov, uint64_t cr3, uint64_t cs_access)
{
	gva_t linear = vcpu->gpr[mov->base] + (uint64_t)mov->disp;
	const struct translated *t = data_cache_find(vcpu, linear);
	const struct map_range *range = vcpu->exit_range;
	uint64_t in_page = linear - t->linear;

	return likely(in_page <= PAGE_SIZE - mov->size) && likely(t->cr3 == cr3) && likely(t->cs_access == cs_access) &&
	       likely(walk_holds(&t->walk)) && likely(t->gpa + in_page == vcpu->exit_gpa) &&
	       likely(!mov->store || t->allows == PLAIN_STORE_IMM) &&
	       likely(vcpu->exit_gpa - range->start <= range->last - range->start);
}

HOT enum vcpu_action exit_mmio_once(struct tl_vcpu *vcpu, struct decoded *d, uint64_t rip, uint64_t cr3,
				    uint64_t cs_access, uint64_t code)
{
	const struct map_range *range = vcpu->exit_range;
	struct tl_mmio *access = &vcpu->access;
	struct mov mov;

	if (unlikely(!take_mov(code, &mov)) || unlikely(range->kind != MAP_MMIO) ||
	    unlikely((PRESERVED_BY_C | BIT(TL_RSP)) >> mov.reg & 1) ||
	    unlikely(!is_where_the_exit_was(vcpu, &mov, cr3, cs_access)))
		return exit_mmio_keep(vcpu, d, rip, cr3, cs_access);
	access->gpa = vcpu->exit_gpa;
	access->offset = vcpu->exit_gpa - range->start;
	access->size = mov.size;
	access->write = mov.store;
	access->data = mov.store ? vcpu->gpr[mov.reg] & insn_mask[mov.size] : 0;
	access->context = range->context;
	if (unlikely(range->access(access) != TL_OK))
		return exit_stop(vcpu, TL_STOP_DEVICE, 0);
	if (!mov.store)
		vcpu->gpr[mov.reg] = access->data & insn_mask[mov.size];
	return exit_skip(vcpu, rip, mov.length);
}
