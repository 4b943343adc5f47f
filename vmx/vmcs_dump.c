/* SPDX-License-Identifier: MIT */
#include "vmx/vmcs_dump.h"
#include "mmu/hooks.h"
#include "vmx/controls.h"
#include "vmx/exit_reason.h"
#include "vmx/msr.h"
#include "vmx/vmcs_field.h"

/* When a field exists: always, or if the CPU allows any of these controls to be 1, or the special case named. */
enum condition { IF_ALWAYS, IF_ALLOWED, IF_EPTP_SWITCH, IF_CR3_TARGET };

struct field_row {
	const char *name;
	uint16_t encoding;
	uint8_t condition;
	uint8_t word; /* IF_ALLOWED */
	uint32_t controls;
	uint32_t entry_controls; /* IF_ALLOWED: either of the two masks will do */
	uint8_t count;           /* IF_CR3_TARGET: as many targets are needed */
};

#define ALLOWED(w, mask)              .condition = IF_ALLOWED, .word = (w), .controls = (mask)
#define ALWAYS                        .condition = IF_ALWAYS
#define IF_PIN(control)               ALLOWED(VMX_PIN, PIN_##control)
#define IF_PROC(control)              ALLOWED(VMX_PROC, PROC_##control)
#define IF_PROC2(control)             ALLOWED(VMX_PROC2, PROC2_##control)
#define IF_PROC3(control)             ALLOWED(VMX_PROC3, PROC3_##control)
#define IF_EXIT(control)              ALLOWED(VMX_EXIT, VM_EXIT_##control)
#define IF_ENTRY(control)             ALLOWED(VMX_ENTRY, VM_ENTRY_##control)
#define IF_EXIT_OR_ENTRY(exit, entry) IF_EXIT(exit), .entry_controls = VM_ENTRY_##entry
#define IF_EPTP_SWITCHING             .condition = IF_EPTP_SWITCH
#define IF_CR3_TARGETS(n)             .condition = IF_CR3_TARGET, .count = (n)

static const struct field_row fields[] = {
#define X(constant, text, code, ...) {.name = (text), .encoding = (code), __VA_ARGS__},
	VMCS_FIELDS(X)
#undef X
};

#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool field_exists(const struct field_row *row)
{
	const struct vmx_capability *c = &vmx_capability;

	switch ((enum condition)row->condition) {
	case IF_ALLOWED:
		return (c->control[row->word].allowed1 & row->controls) ||
		       (c->control[VMX_ENTRY].allowed1 & row->entry_controls);
	case IF_EPTP_SWITCH:
		return c->msr.vmfunc & 1;
	case IF_CR3_TARGET:
		return (c->msr.misc >> VMX_MISC_CR3_TARGETS_SHIFT & VMX_MISC_CR3_TARGETS_MASK) >= row->count;
	case IF_ALWAYS:
		break;
	}
	return true;
}

/* The segment registers are shown as a table, the rest as a list. */
static bool is_segment_part(vmcs_field_t field)
{
	return vmcs_field_type(field) == VMCS_GUEST_STATE &&
	       ((field.encoding >= VMCS_GUEST_SELECTOR(TL_ES).encoding &&
		 field.encoding <= VMCS_GUEST_SELECTOR(TL_TR).encoding) ||
		(field.encoding >= VMCS_GUEST_LIMIT(TL_ES).encoding &&
		 field.encoding <= VMCS_GUEST_LIMIT(TL_TR).encoding) ||
		(field.encoding >= VMCS_GUEST_ACCESS_RIGHTS(TL_ES).encoding &&
		 field.encoding <= VMCS_GUEST_ACCESS_RIGHTS(TL_TR).encoding) ||
		(field.encoding >= VMCS_GUEST_BASE(TL_ES).encoding &&
		 field.encoding <= VMCS_GUEST_BASE(TL_TR).encoding));
}

static void dump_field(const struct field_row *row)
{
	uint64_t value;

	if (vmcs_try_read((vmcs_field_t){row->encoding}, &value))
		tl_log(TL_LOG_ERROR, "  %16lx  %s", value, row->name);
	else
		tl_log(TL_LOG_ERROR, "  %16s  %s", "unreadable", row->name);
}

static void dump_group(enum vmcs_field_type type)
{
	for (size_t i = 0; i < NR_FIELDS; i++) {
		vmcs_field_t field = {fields[i].encoding};

		if (vmcs_field_type(field) == type && !is_segment_part(field) && field_exists(&fields[i]))
			dump_field(&fields[i]);
	}
}

/* All ones stands for what cannot be read; the list of groups says so for a field that matters. */
static uint64_t read_or_ones(vmcs_field_t field)
{
	uint64_t value = ~UINT64_C(0);

	(void)vmcs_try_read(field, &value);
	return value;
}

static void dump_segments(void)
{
	static const char *const names[TL_NR_SEGMENTS] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

	tl_log(TL_LOG_ERROR, "  %4s  %8s  %16s  %8s  %8s", "", "selector", "base", "limit", "rights");
	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++)
		tl_log(TL_LOG_ERROR, "  %4s  %8lx  %16lx  %8lx  %8lx", names[i], read_or_ones(VMCS_GUEST_SELECTOR(i)),
		       read_or_ones(VMCS_GUEST_BASE(i)), read_or_ones(VMCS_GUEST_LIMIT(i)),
		       read_or_ones(VMCS_GUEST_ACCESS_RIGHTS(i)));
}

const char *vmcs_instruction_error_name(uint64_t number)
{
	static const char *const names[] = {
		[0] = "no error since the VMCS was cleared",
		[1] = "VMCALL executed in VMX root operation",
		[2] = "VMCLEAR with invalid physical address",
		[3] = "VMCLEAR with VMXON pointer",
		[4] = "VMLAUNCH with non-clear VMCS",
		[5] = "VMRESUME with non-launched VMCS",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control field(s)",
		[8] = "VM entry with invalid host-state field(s)",
		[9] = "VMPTRLD with invalid physical address",
		[10] = "VMPTRLD with VMXON pointer",
		[11] = "VMPTRLD with incorrect VMCS revision identifier",
		[12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
		[13] = "VMWRITE to read-only VMCS component",
		[15] = "VMXON executed in VMX root operation",
		[16] = "VM entry with invalid executive-VMCS pointer",
		[17] = "VM entry with non-launched executive VMCS",
		[18] = "VM entry with executive-VMCS pointer not VMXON pointer",
		[19] = "VMCALL with non-clear VMCS",
		[20] = "VMCALL with invalid VM-exit control fields",
		[22] = "VMCALL with incorrect MSEG revision identifier",
		[23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
		[24] = "VMCALL with invalid SMM-monitor features",
		[25] = "VM entry with invalid VM-execution control fields in executive VMCS",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand to INVEPT/INVVPID",
	};
	const char *name = number < sizeof(names) / sizeof(names[0]) ? names[number] : NULL;

	return name ? name : "an error number that the SDM does not define";
}

void vmcs_dump(void)
{
	static const char *const titles[VMCS_NR_TYPES] = {
		[VMCS_CONTROL] = "control fields",
		[VMCS_READ_ONLY] = "read-only data fields",
		[VMCS_GUEST_STATE] = "guest state",
		[VMCS_HOST_STATE] = "host state",
	};
	static const enum vmcs_field_type order[] = {VMCS_READ_ONLY, VMCS_GUEST_STATE, VMCS_CONTROL, VMCS_HOST_STATE};
	uint64_t error, reason;

	if (!vmcs_try_read(VMCS_INSTRUCTION_ERROR, &error) || !vmcs_try_read(VMCS_EXIT_REASON, &reason)) {
		tl_log(TL_LOG_ERROR, "VMCS: this CPU has no current one (VMfailInvalid).");
		return;
	}
	tl_log(TL_LOG_ERROR, "VMCS: VM-instruction error %lu: %s", error, vmcs_instruction_error_name(error));
	tl_log(TL_LOG_ERROR, "VMCS: exit reason %lu%s: %s", reason & EXIT_REASON_BASIC_MASK,
	       reason & EXIT_REASON_ENTRY_FAILURE ? " (entry failure)" : "",
	       tl_exit_reason_name((unsigned)(reason & EXIT_REASON_BASIC_MASK)));
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		tl_log(TL_LOG_ERROR, "VMCS: %s", titles[order[i]]);
		if (order[i] == VMCS_GUEST_STATE)
			dump_segments();
		dump_group(order[i]);
	}
}

static const char *field_name(vmcs_field_t field)
{
	for (size_t i = 0; i < NR_FIELDS; i++)
		if (fields[i].encoding == field.encoding)
			return fields[i].name;
	return "a field unknown to Trapline";
}

void vmcs_access_failed(vmcs_field_t field, bool write)
{
	uint64_t error;
	const char *why = "there is no current VMCS";

	/* Before the dump: it tries to read fields, and a read that fails replaces the number. */
	if (vmcs_try_read(VMCS_INSTRUCTION_ERROR, &error))
		why = vmcs_instruction_error_name(error);
	vmcs_dump();
	tl_panic("rule 10: %s of VMCS field 0x%x (%s) failed: %s.", write ? "VMWRITE" : "VMREAD", field.encoding,
		 field_name(field), why);
}
