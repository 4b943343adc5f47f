/* SPDX-License-Identifier: MIT */
#include "vmx/controls.h"
#include "mmu/hooks.h"

/* Indexed by bit; the controls without a name are reserved ones. */
#define X(constant, bit, name) [bit] = (name),
static const char *const control_names[VMX_NR_CONTROL_WORDS][64] = {
	[VMX_PIN] = {PIN_CONTROLS(X)},     [VMX_PROC] = {PROC_CONTROLS(X)},    [VMX_PROC2] = {PROC2_CONTROLS(X)},
	[VMX_PROC3] = {PROC3_CONTROLS(X)}, [VMX_EXIT] = {VM_EXIT_CONTROLS(X)}, [VMX_ENTRY] = {VM_ENTRY_CONTROLS(X)},
};
#undef X

const char *control_name(enum vmx_control_word word, unsigned bit)
{
	const char *name = control_names[word][bit];

	return name ? name : "a reserved bit";
}

const char *control_word_name(enum vmx_control_word word)
{
	static const char *const names[VMX_NR_CONTROL_WORDS] = {
		[VMX_PIN] = "pin-based controls",
		[VMX_PROC] = "primary processor-based controls",
		[VMX_PROC2] = "secondary processor-based controls",
		[VMX_PROC3] = "tertiary processor-based controls",
		[VMX_EXIT] = "VM-exit controls",
		[VMX_ENTRY] = "VM-entry controls",
	};

	return names[word];
}

static bool allows(const struct vmx_capability *c, enum vmx_control_word word, uint64_t controls)
{
	return (c->control[word].allowed1 & controls) == controls;
}

/* Whether the CPU lets it be 0 and 1, so that each vCPU has it as it is used. */
static bool switches(const struct vmx_capability *c, enum vmx_control_word word, uint64_t controls)
{
	return allows(c, word, controls) && !(c->control[word].allowed0 & controls);
}

static void request_pin(const struct vmx_capability *c, struct control_request *request)
{
	request->required = PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING;
	request->optional = PIN_VIRTUAL_NMIS;
	request->forbidden = PIN_POSTED_INTERRUPTS;

	/* A timer that starts afresh at each entry could be held off for ever by exits. */
	if (allows(c, VMX_EXIT, VM_EXIT_SAVE_PREEMPTION_TIMER))
		request->optional |= PIN_PREEMPTION_TIMER;
}

static void request_proc(const struct vmx_capability *c, struct control_request *request)
{
	/*
	 * MOV DR exits, so that it is known whether a breakpoint is armed. MOV CR8 exits, because without it a guest
	 * sets the host's task priority, and could hold back the interrupts that kick it. RDTSC does not exit: it adds
	 * the offset that a guest's own writes have made.
	 */
	request->required = PROC_HLT_EXITING | PROC_MWAIT_EXITING | PROC_MONITOR_EXITING | PROC_MOV_DR_EXITING |
			    PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING | PROC_USE_TSC_OFFSETTING |
			    PROC_SECONDARY_CONTROLS;
	request->optional = PROC_USE_MSR_BITMAPS;
	request->forbidden = PROC_INTERRUPT_WINDOW_EXITING | PROC_NMI_WINDOW_EXITING | PROC_INVLPG_EXITING |
			     PROC_RDTSC_EXITING | PROC_USE_TPR_SHADOW | PROC_MONITOR_TRAP_FLAG | PROC_PAUSE_EXITING |
			     PROC_TERTIARY_CONTROLS;

	/* The bitmaps win where both are 1 (SDM vol. 3, 26.1.3). */
	if (allows(c, VMX_PROC, PROC_USE_IO_BITMAPS))
		request->required |= PROC_USE_IO_BITMAPS;
	else
		request->required |= PROC_UNCONDITIONAL_IO_EXITING;
}

static void request_proc2(const struct vmx_capability *c, struct control_request *request)
{
	request->required = PROC2_ENABLE_EPT;
	request->optional = PROC2_UNRESTRICTED_GUEST | PROC2_ENABLE_RDTSCP | PROC2_ENABLE_INVPCID;
	request->forbidden = PROC2_WBINVD_EXITING | PROC2_DESCRIPTOR_TABLE_EXITING | PROC2_APIC |
			     PROC2_PAUSE_LOOP_EXITING | PROC2_VMCS_SHADOWING | PROC2_ENABLE_VM_FUNCTIONS |
			     PROC2_EPT_VIOLATION_VE | PROC2_MODE_BASED_EXECUTE;

	/* Without the control they are #UD. */
	if (c->xsaves)
		request->optional |= PROC2_ENABLE_XSAVES;
	else
		request->forbidden |= PROC2_ENABLE_XSAVES;

	/* A VPID is of use only if what is cached under it can be dropped. */
	if (c->invvpid_single || c->invvpid_all)
		request->optional |= PROC2_ENABLE_VPID;
}

static void request_exit_and_entry(const struct vmx_capability *c, struct control_request *exit,
				   struct control_request *entry)
{
	exit->required =
		VM_EXIT_HOST_ADDRESS_SPACE_SIZE | VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_SAVE_EFER | VM_EXIT_LOAD_EFER;
	/* The host's own handler takes the interrupt, once interrupts are on again; but see tl_apic.posted. */
	exit->forbidden = VM_EXIT_ACKNOWLEDGE_INTERRUPT;
	entry->required = VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_EFER;
	/* The guest's mode decides about the first; it must not be fixed. */
	entry->forbidden = VM_ENTRY_IA32E_MODE_GUEST | VM_ENTRY_ENTRY_TO_SMM | VM_ENTRY_DEACTIVATE_DUAL_MONITOR;

	if (allows(c, VMX_EXIT, VM_EXIT_SAVE_PAT | VM_EXIT_LOAD_PAT) && allows(c, VMX_ENTRY, VM_ENTRY_LOAD_PAT)) {
		exit->required |= VM_EXIT_SAVE_PAT | VM_EXIT_LOAD_PAT;
		entry->required |= VM_ENTRY_LOAD_PAT;
	}
	/* May be 1 only together with the timer itself (SDM vol. 3, 27.2.1.2). */
	if (allows(c, VMX_PIN, PIN_PREEMPTION_TIMER))
		exit->optional |= VM_EXIT_SAVE_PREEMPTION_TIMER;
}

static void log_conflict(enum vmx_control_word word, uint64_t conflict, uint64_t required)
{
	unsigned bit = (unsigned)__builtin_ctzll(conflict);

	tl_log(TL_LOG_ERROR,
	       "this CPU fixes the VMX control \"%s\" (bit %u of the %s) to %u and Trapline needs the opposite: use a "
	       "CPU, "
	       "or an outer hypervisor, that leaves it free.",
	       control_name(word, bit), bit, control_word_name(word), (required >> bit & 1) ? 0u : 1u);
}

static enum tl_status adjust(const struct vmx_capability *c, const struct control_request *request,
			     enum vmx_control_word word, uint32_t *value)
{
	uint64_t adjusted, conflict;

	if (!control_adjust(c->control[word], request[word], &adjusted, &conflict)) {
		log_conflict(word, conflict, request[word].required);
		return TL_UNSUPPORTED;
	}
	*value = (uint32_t)adjusted;
	return TL_OK;
}

static void name_features(struct vmx_controls *controls)
{
	controls->virtual_nmis = controls->pin & PIN_VIRTUAL_NMIS;
	controls->preemption_timer = controls->pin & PIN_PREEMPTION_TIMER;
	controls->io_bitmaps = controls->proc & PROC_USE_IO_BITMAPS;
	controls->msr_bitmaps = controls->proc & PROC_USE_MSR_BITMAPS;
	controls->cr3_exiting = controls->proc & (PROC_CR3_LOAD_EXITING | PROC_CR3_STORE_EXITING);
	controls->vpid = controls->proc2 & PROC2_ENABLE_VPID;
	controls->unrestricted_guest = controls->proc2 & PROC2_UNRESTRICTED_GUEST;
	controls->rdtscp = controls->proc2 & PROC2_ENABLE_RDTSCP;
	controls->invpcid = controls->proc2 & PROC2_ENABLE_INVPCID;
	controls->xsaves = controls->proc2 & PROC2_ENABLE_XSAVES;
	controls->pat = controls->exit & VM_EXIT_LOAD_PAT;
}

/*
 * All of it needs the TPR shadow (SDM vol. 3, 27.2.1.1), with which CR8 is left to the CPU. The MSRs of x2APIC need a
 * bitmap of their own. Registers are read without an exit only where the CPU keeps IRR and ISR itself: software keeps
 * them elsewhere.
 */
static void name_apic_features(const struct vmx_capability *c, struct vmx_controls *controls)
{
	controls->tpr_shadow = switches(c, VMX_PROC, PROC_USE_TPR_SHADOW) &&
			       switches(c, VMX_PROC, PROC_CR8_LOAD_EXITING | PROC_CR8_STORE_EXITING);
	if (!controls->tpr_shadow)
		return;
	controls->apic_accesses = switches(c, VMX_PROC2, PROC2_VIRTUALIZE_APIC_ACCESSES);
	controls->x2apic_mode = switches(c, VMX_PROC2, PROC2_VIRTUALIZE_X2APIC_MODE) && controls->msr_bitmaps;
	controls->virtual_interrupts = switches(c, VMX_PROC2, PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	controls->apic_registers =
		controls->virtual_interrupts && switches(c, VMX_PROC2, PROC2_APIC_REGISTER_VIRTUALIZATION);
	/* SDM vol. 3, 27.2.1.1; and an embedder who can notify. */
	controls->posted_interrupts = controls->virtual_interrupts && switches(c, VMX_PIN, PIN_POSTED_INTERRUPTS) &&
				      switches(c, VMX_EXIT, VM_EXIT_ACKNOWLEDGE_INTERRUPT) && hooks->notify;
}

enum tl_status controls_compute(const struct vmx_capability *c, struct vmx_controls *controls)
{
	struct control_request request[VMX_NR_CONTROL_WORDS] = {0};
	struct {
		enum vmx_control_word word;
		uint32_t *value;
	} fields[] = {
		{VMX_PIN, &controls->pin},   {VMX_PROC, &controls->proc},   {VMX_PROC2, &controls->proc2},
		{VMX_EXIT, &controls->exit}, {VMX_ENTRY, &controls->entry},
	};

	request_pin(c, &request[VMX_PIN]);
	request_proc(c, &request[VMX_PROC]);
	request_proc2(c, &request[VMX_PROC2]);
	request_exit_and_entry(c, &request[VMX_EXIT], &request[VMX_ENTRY]);

	*controls = (struct vmx_controls){0};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		enum tl_status status = adjust(c, request, fields[i].word, fields[i].value);

		if (status)
			return status;
	}
	name_features(controls);
	controls->xsavec = c->xsavec;
	name_apic_features(c, controls);
	/* On while a log of the VM wants it, so the CPU must leave it free. */
	controls->pml = c->ept_accessed_dirty && allows(c, VMX_PROC2, PROC2_ENABLE_PML) &&
			!(c->control[VMX_PROC2].allowed0 & PROC2_ENABLE_PML);
	return TL_OK;
}
