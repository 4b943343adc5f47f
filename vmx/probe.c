/* SPDX-License-Identifier: MIT */
#include "vmx/probe.h"
#include "mmu/hooks.h"
#include "vmx/asm.h"
#include "vmx/exit_reason.h"
#include "vmx/vmcs_field.h"

/* The guest's memory: its code, then a PML4, a page-directory-pointer table and a page directory, one to one. */
enum { CODE_AT = 0, PML4_AT = 0x1000, PDPT_AT = 0x2000, DIRECTORY_AT = 0x3000, MEMORY_SIZE = 0x4000 };

bool probe_length_is_right;

struct access_insn {
	uint8_t length;
	uint8_t bytes[12];
};

/* Accesses to [RDI], each of another length than the one before it. */
static const struct access_insn insns[] = {
	{2, {0x89, 0x07}},                                                              /* mov [rdi], eax */
	{3, {0x48, 0x8b, 0x07}},                                                        /* mov rax, [rdi] */
	{7, {0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00}},                                /* mov [0x100000], eax */
	{2, {0x8a, 0x07}},                                                              /* mov al, [rdi] */
	{6, {0xc7, 0x07, 0x01, 0x02, 0x03, 0x04}},                                      /* mov dword [rdi], imm */
	{10, {0xc7, 0x87, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04}},             /* the same with disp32 */
	{4, {0x66, 0x89, 0x47, 0x00}},                                                  /* mov [rdi + 0], ax */
	{12, {0x2e, 0x48, 0xc7, 0x87, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04}}, /* mov qword cs:[rdi], imm */
	{5, {0x66, 0x0f, 0xb6, 0x47, 0x00}},                                            /* movzx ax, [rdi + 0] */
	{3, {0x48, 0x89, 0x07}},                                                        /* mov [rdi], rax */
	{9, {0x2e, 0x67, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00}},                    /* mov eax, cs:[0x100000] */
	{2, {0x8b, 0x07}},                                                              /* mov eax, [rdi] */
};

enum { NR_INSNS = sizeof(insns) / sizeof(insns[0]), HLT = 0xf4 };

_Static_assert(sizeof(insns) / sizeof(insns[0]) <= PROBE_INSNS_MOST, "who writes them has room for their lengths");

struct probe {
	unsigned served;
	unsigned right; /* of those that were misconfigurations; the first access finds no entry yet */
	unsigned misconfigurations;
};

/* In the callback the exit's VMCS is still the current one. */
static enum tl_status compare_length(struct tl_mmio *access)
{
	struct probe *probe = access->context;
	const struct access_insn *insn = &insns[probe->served++ % NR_INSNS];

	if (vmcs_read(VMCS_EXIT_REASON) != EXIT_REASON_EPT_MISCONFIGURATION)
		return TL_OK;
	probe->misconfigurations++;
	probe->right += vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH) == insn->length;
	return TL_OK;
}

unsigned probe_write_insns(uint8_t *code, uint8_t length[PROBE_INSNS_MOST])
{
	for (unsigned i = 0; i < NR_INSNS; i++) {
		__builtin_memcpy(code, insns[i].bytes, insns[i].length);
		code += insns[i].length;
		length[i] = insns[i].length;
	}
	*code = HLT;
	return NR_INSNS;
}

static void fill_memory(uint8_t *memory)
{
	uint8_t length[PROBE_INSNS_MOST];

	probe_write_insns(memory + CODE_AT, length);
	/* Present, writable; the directory's entry is a page of 2 MiB. */
	*(uint64_t *)(void *)(memory + PML4_AT) = PDPT_AT | 3;
	*(uint64_t *)(void *)(memory + PDPT_AT) = DIRECTORY_AT | 3;
	*(uint64_t *)(void *)(memory + DIRECTORY_AT) = 0x83;
}

static enum tl_status build_map(struct tl_vm *vm, uint8_t *memory, struct probe *probe)
{
	const struct tl_range ram = {.kind = TL_RANGE_RAM, .start = 0, .size = MEMORY_SIZE, .host = memory};
	const struct tl_range device = {.kind = TL_RANGE_MMIO,
					.start = PROBE_OPERAND,
					.size = PAGE_SIZE,
					.access = compare_length,
					.context = probe};
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status;

	if (!edit)
		return TL_NO_MEMORY;
	status = tl_map_add(edit, &ram, NULL);
	if (status == TL_OK)
		status = tl_map_add(edit, &device, NULL);
	if (status == TL_OK)
		return tl_map_commit(edit);
	tl_map_discard(edit);
	return status;
}

enum tl_status probe_set_state(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cr3)
{
	struct tl_state state;
	enum tl_status status = tl_vcpu_get(vcpu, &state);

	if (status != TL_OK)
		return status;
	for (unsigned i = 0; i <= TL_GS; i++)
		state.segment[i] = (struct tl_segment){.selector = 8, .limit = UINT32_MAX, .access = 0xc093};
	state.segment[TL_CS] = (struct tl_segment){.selector = 16, .limit = UINT32_MAX, .access = 0xa09b};
	state.rip = rip;
	state.gpr[TL_RDI] = PROBE_OPERAND;
	state.cr0 = 0x80000031; /* PG, NE, ET, PE */
	state.cr3 = cr3;
	state.cr4 = 0x20;   /* PAE */
	state.efer = 0x500; /* LMA, LME */
	return tl_vcpu_set(vcpu, &state);
}

static enum tl_status run_guest(struct tl_vm *vm, const struct probe *probe)
{
	enum tl_status status;
	struct tl_vcpu *vcpu = tl_vcpu_create(vm, &status);
	struct tl_exit exit = {.reason = TL_EXIT_KICKED};

	if (!vcpu)
		return status;
	status = probe_set_state(vcpu, CODE_AT, PML4_AT);
	if (status == TL_OK)
		status = tl_vcpu_run(vcpu, &exit);
	if (status == TL_OK && exit.reason == TL_EXIT_NO_MEMORY)
		status = TL_NO_MEMORY;
	if (status == TL_OK)
		probe_length_is_right = exit.reason == TL_EXIT_HLT && probe->served == NR_INSNS &&
					probe->misconfigurations >= NR_INSNS - 1 &&
					probe->right == probe->misconfigurations;
	tl_vcpu_destroy(vcpu);
	return status;
}

enum tl_status probe_instruction_length(void)
{
	uint8_t *memory = hooks->alloc_pages(MEMORY_SIZE / PAGE_SIZE);
	struct probe probe = {0};
	enum tl_status status;
	struct tl_vm *vm;

	if (!memory)
		return TL_NO_MEMORY;
	fill_memory(memory);
	vm = tl_vm_create(NULL, &status);
	if (vm) {
		status = build_map(vm, memory, &probe);
		if (status == TL_OK)
			status = run_guest(vm, &probe);
		tl_vm_destroy(vm);
	}
	hooks->free_pages(memory, MEMORY_SIZE / PAGE_SIZE);
	return status;
}
