/* SPDX-License-Identifier: MIT */
/* Where the library's trace goes: lines on the console. */
#ifndef BOOT_TRACE_OUT_H
#define BOOT_TRACE_OUT_H

#include <trapline.h>

/* One line for each record. Context: any. */
void trace_out_text(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost);

#endif
