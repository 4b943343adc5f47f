/* SPDX-License-Identifier: MIT */
#include "guest/stop_text.h"
#include "guest/text.h"

void stop_text(const struct tl_exit_stop *stop, char *how, size_t size)
{
	char bytes[3 * sizeof(stop->bytes) + 8] = "", *at = bytes;

	for (unsigned i = 0; i < stop->nr_bytes && i < sizeof(stop->bytes); i++, at += 3)
		text_format(at, 4, "%02x ", stop->bytes[i]);
	if (at != bytes)
		at[-1] = '\0';
	text_format(how, size, "stopped: %s at rip 0x%lx, address 0x%lx%s%s%s%s", tl_stop_name(stop->why), stop->rip,
		    stop->gpa, at != bytes ? ", bytes " : "", bytes, stop->why == TL_STOP_EXIT ? ", exit " : "",
		    stop->why == TL_STOP_EXIT ? tl_exit_reason_name((unsigned)stop->code) : "");
}
