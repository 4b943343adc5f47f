/* SPDX-License-Identifier: MIT */
#include "vmx/exit_reason.h"
#include <trapline.h>

#define NAME_IN(table, index) ((index) < sizeof(table) / sizeof((table)[0]) && (table)[index] ? (table)[index] : NULL)

const char *tl_exit_reason_name(unsigned basic_reason)
{
	static const char *const names[] = {
#define X(constant, number, name) [number] = (name),
		EXIT_REASONS(X)
#undef X
	};
	const char *name = NAME_IN(names, basic_reason);

	return name ? name : "an exit reason that the SDM does not define";
}

const char *tl_exit_name(enum tl_exit_reason reason)
{
	static const char *const names[] = {
		[TL_EXIT_MMIO] = "MMIO for the embedder",
		[TL_EXIT_DRAIN] = "a ring for the embedder to drain",
		[TL_EXIT_IO] = "port I/O",
		[TL_EXIT_VMCALL] = "VMCALL",
		[TL_EXIT_HLT] = "HLT with nothing to wake the guest",
		[TL_EXIT_SHUTDOWN] = "triple fault",
		[TL_EXIT_BUDGET] = "time budget spent",
		[TL_EXIT_DEADLINE] = "deadline reached",
		[TL_EXIT_KICKED] = "kicked",
		[TL_EXIT_NO_MEMORY] = "out of EPT table pages",
		[TL_EXIT_STEP] = "one instruction executed",
		[TL_EXIT_STOPPED] = "guest stopped",
	};
	const char *name = NAME_IN(names, (unsigned)reason);

	return name ? name : "an unknown exit";
}

const char *tl_stop_name(enum tl_stop why)
{
	static const char *const names[] = {
		[TL_STOP_UNDECODABLE] = "an instruction on MMIO that is not emulated",
		[TL_STOP_FETCH] = "an instruction fetch from MMIO or a hole",
		[TL_STOP_PAGE_TABLE] = "page tables in MMIO or a hole",
		[TL_STOP_EVENT] = "an event whose delivery touched MMIO",
		[TL_STOP_OPERAND] = "an instruction whose operand is not the address that exited",
		[TL_STOP_BUG] = "an EPT entry that is misconfigured and not ours",
		[TL_STOP_SPURIOUS] = "the same exit again with nothing changed",
		[TL_STOP_DEVICE] = "an error of a device",
		[TL_STOP_EXIT] = "an exit that is not served",
		[TL_STOP_ENTRY] = "guest state that VM entry refused",
		[TL_STOP_UNSUPPORTED] = "real mode, for which this CPU lacks \"unrestricted guest\"",
	};
	const char *name = NAME_IN(names, (unsigned)why);

	return name ? name : "an unknown reason";
}
