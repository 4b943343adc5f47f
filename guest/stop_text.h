/* SPDX-License-Identifier: MIT */
/* Why the library stopped a guest, in words. Pure C. */
#ifndef GUEST_STOP_TEXT_H
#define GUEST_STOP_TEXT_H

#include <stddef.h>
#include <trapline.h>

void stop_text(const struct tl_exit_stop *stop, char *how, size_t size);

#endif
