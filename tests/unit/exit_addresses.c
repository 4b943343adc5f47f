/* SPDX-License-Identifier: MIT */
/* What a VMCS has for HOST_RIP: addresses of entry.asm, to which nothing goes where the CPU is an array. */
#include "vmx/vcpu.h"
#include <stdlib.h>

void vmx_exit_entry(void)
{
	abort();
}

void vmx_exit_traced(void)
{
	abort();
}

void vmx_exit_once(void)
{
	abort();
}

void vmx_exit_guarded(void)
{
	abort();
}

void vmx_exit_traced_guarded(void)
{
	abort();
}
