/* SPDX-License-Identifier: MIT */
/*
 * Puts the handler of bare_entry.asm in the place of Trapline's own, and back: what an exit costs whatever is done
 * about it. Linked into the image of the nested figures only; the ordinary image has no way to do this.
 */
#include "vmx/asm.h"
#include "vmx/vcpu.h"
#include "vmx/vmcs_field.h"

bool test_bare_exits(bool bare);
void test_bare_entry(void);

/* The VMCS of the vCPU that has just left tl_vcpu_run() on this CPU is still the current one. */
bool test_bare_exits(bool bare)
{
	vmcs_write(VMCS_HOST_RIP, (uintptr_t)(bare ? test_bare_entry : vmx_exit_entry));
	return true;
}
