/* SPDX-License-Identifier: MIT */
/* Code under the trap flag: SIGTRAP after each instruction, where a test plays what another CPU does meanwhile. */
#ifndef UNIT_STEPPING_H
#define UNIT_STEPPING_H

/* clang-format off */
/* Not through a function: its return would be stepped, too. The stack below RSP belongs to the caller. */
#define STEPPING_FLAGS(how) \
	asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\t" how "\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::: "memory", "cc")
/* clang-format on */

#define STEPPING_BEGIN() STEPPING_FLAGS("orq $0x100, (%%rsp)")
#define STEPPING_END()   STEPPING_FLAGS("andq $~0x100, (%%rsp)")

#endif
