/* SPDX-License-Identifier: MIT */
/* A guest's access to a range as a device gives it, without a map. */
#ifndef UNIT_RANGE_ACCESS_H
#define UNIT_RANGE_ACCESS_H

#include <trapline.h>

/* Of a doorbell what matches rings, as the library has it; all else is the callback's. */
enum tl_status range_access(const struct tl_range *range, struct tl_mmio *access);

#endif
