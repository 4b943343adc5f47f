/* SPDX-License-Identifier: MIT */
/* Where the library's trace goes: lines on the console, or records for tools/trace. */
#ifndef BOOT_TRACE_OUT_H
#define BOOT_TRACE_OUT_H

#include <trapline.h>

/* One line for each record. Context: any. */
void trace_out_text(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost);

/*
 * The records as they are, to the debug console that emulators have at port E9h (boot/trace_out.c has the frames).
 * First the name of the guest that they are of. Context: any.
 */
void trace_out_guest(const char *name);
void trace_out_debugcon(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost);

#endif
