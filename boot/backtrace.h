/* SPDX-License-Identifier: MIT */
#ifndef BOOT_BACKTRACE_H
#define BOOT_BACKTRACE_H

#include <stdint.h>

/*
 * Prints the function that `rip` lies in (0: none to print) and then every word from `rsp` to the end of its stack that
 * is an address after a call instruction. Code built without frame pointers is seen too; the price is that a return
 * address left over from an earlier call may be among them. Context: any.
 */
void backtrace_print(uint64_t rip, uint64_t rsp);

#endif
