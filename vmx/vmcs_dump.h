/* SPDX-License-Identifier: MIT */
/* The VMCS shown to a person. */
#ifndef VMX_VMCS_DUMP_H
#define VMX_VMCS_DUMP_H

#include <stdint.h>

/*
 * Logs the VM-instruction error and the exit reason in words, then the whole current VMCS in groups, as errors. Fields
 * that this CPU does not have are left out. Reads only, and cannot fail. Context: any, a CPU up.
 */
void vmcs_dump(void);

/* The VM-instruction error in words (SDM vol. 3, table 31-1). Never NULL. */
const char *vmcs_instruction_error_name(uint64_t number);

#endif
