/* SPDX-License-Identifier: MIT */
#include "tests/unit/range_access.h"

#include "mmio/doorbell.h"

enum tl_status range_access(const struct tl_range *range, struct tl_mmio *access)
{
	const struct map_range in_map = {.start = range->start, .doorbell = range->doorbell, .context = range->context};

	if (range->kind == TL_RANGE_DOORBELL && access->write &&
	    doorbell_write(&in_map, access->offset, access->data, access->size, access->vcpu, 0))
		return TL_OK;
	return range->access(access);
}
