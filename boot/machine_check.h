/* SPDX-License-Identifier: MIT */
/* Machine checks: which of them the host survives. SDM vol. 3, 16.3 and 16.6. */
#ifndef BOOT_MACHINE_CHECK_H
#define BOOT_MACHINE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#define MCG_STATUS_RIPV (1ull << 0) /* the interrupted program can go on */
#define MCG_STATUS_MCIP (1ull << 2) /* there is one; INT 18 alone does not set it */

#define MCI_STATUS_ACTION (1ull << 55) /* AR: the program must not go on as if nothing had been */
#define MCI_STATUS_PCC    (1ull << 57) /* the processor's state may be corrupt */
#define MCI_STATUS_UC     (1ull << 61) /* not corrected */
#define MCI_STATUS_OVER   (1ull << 62) /* another one was lost */
#define MCI_STATUS_VALID  (1ull << 63)

/* Whether what a bank says leaves the data of who was interrupted alone. */
static inline bool machine_check_bank_is_harmless(uint64_t status)
{
	if (!(status & MCI_STATUS_VALID))
		return true;
	if (!(status & MCI_STATUS_UC))
		return !(status & MCI_STATUS_PCC);
	return !(status & (MCI_STATUS_PCC | MCI_STATUS_ACTION | MCI_STATUS_OVER));
}

/* Whether who was interrupted may go on, by IA32_MCG_STATUS: what the banks say comes after that. */
static inline bool machine_check_may_return(uint64_t global_status)
{
	return !(global_status & MCG_STATUS_MCIP) || global_status & MCG_STATUS_RIPV;
}

/*
 * A machine check has come: says so in a line and clears its banks if it can be survived, and leaves everything as it
 * is if not. Context: its handler, on its own stack.
 */
bool machine_check_survived(void);

#endif
