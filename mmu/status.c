/* SPDX-License-Identifier: MIT */
#include <trapline.h>

const char *tl_status_text(enum tl_status status)
{
	switch (status) {
	case TL_OK:
		return "Done.";
	case TL_PENDING:
		return "The map is published, and the commit is completed after the instruction whose callback made "
		       "it: wait "
		       "for the range's release hook before freeing what the range used.";
	case TL_INVALID_ARGUMENT:
		return "An argument is missing or out of range: see the function's preconditions in trapline.h.";
	case TL_NO_MEMORY:
		return "The alloc_pages hook has no pages left: give the embedder more memory, or the guest less.";
	case TL_UNALIGNED:
		return "A RAM or ROM range does not start and end on a 4 KiB boundary, in the guest or in the host: "
		       "align it.";
	case TL_OVERLAP:
		return "The range overlaps another one: remove or move that one first, in the same transaction if need "
		       "be.";
	case TL_WRAPS:
		return "The range's start plus its size passes 2^64: make it smaller or start it lower.";
	case TL_TOO_HIGH:
		return "The range passes the CPU's MAXPHYADDR or the 2^48 bytes of a 4-level EPT walk: place it lower.";
	case TL_NO_RANGE:
		return "The map has no range of that id: it was removed, or the id is of another VM.";
	case TL_CONFLICT:
		return "Another writer changed the map and the edits no longer fit it: build the transaction again.";
	case TL_AGAIN:
		return "Too much is pending already: let the vCPU run on, then try again.";
	case TL_WOULD_WAIT:
		return "The call has to wait, which it may not inside a device callback: make it from outside.";
	case TL_NO_VMX:
		return "The CPU has no VMX: use an Intel CPU with VT-x, and under a hypervisor turn nested "
		       "virtualization on.";
	case TL_VMX_LOCKED:
		return "Firmware locked VMX off (IA32_FEATURE_CONTROL): turn \"Intel Virtualization Technology\" "
		       "(VT-x, "
		       "VMX) on in the firmware's setup, and switch the machine off and on.";
	case TL_VMX_ONLY_IN_SMX:
		return "Firmware locked VMX so that it works after a measured launch only (IA32_FEATURE_CONTROL, bit 1 "
		       "without "
		       "bit 2): turn VT-x on, or Trusted Execution (TXT) off, in the firmware's setup.";
	case TL_NO_EPT:
		return "The CPU's VMX has no EPT: use a Nehalem or later, and under a hypervisor let it expose EPT.";
	case TL_NO_EPT_4_LEVEL:
		return "The CPU's EPT has no 4-level page walk: under a hypervisor let it expose one, else use another "
		       "CPU.";
	case TL_NO_EPT_WRITE_BACK:
		return "The CPU's EPT tables cannot be write-back: under a hypervisor let it expose that, else use "
		       "another CPU.";
	case TL_NO_INVEPT:
		return "The CPU has no INVEPT, neither single-context nor all-context: under a hypervisor let it "
		       "expose one, else "
		       "use another CPU.";
	case TL_VMXON_FAILED:
		return "VMXON failed: another hypervisor may be using VMX on this CPU, so stop it first; the log has "
		       "the details.";
	case TL_UNSUPPORTED:
		return "The CPU lacks what was asked for: the log names it; use another CPU or do without.";
	case TL_CPU_DOWN:
		return "VMX is not on for this CPU: call tl_cpu_up() on it first.";
	case TL_CPU_SILENT:
		return "The CPU that holds the vCPU's state does not let go of it: have it call tl_cpu_poll() after "
		       "each kick, or tl_vcpu_unload() when it has run the vCPU.";
	case TL_DEVICE_ERROR:
		return "A device could not complete an access: its callback knows why.";
	case TL_RAM_AT_L1TF_TARGET:
		return "The memory behind a range lies where MMIO entries point a speculating CPU (L1TF): use memory "
		       "below the "
		       "top 4 GiB of the physical address space.";
	}
	return "An unknown status: the library and trapline.h are of different versions.";
}
