/* SPDX-License-Identifier: MIT */
#include "guest/view.h"

enum { LOOKS = 10000000, LOOKS_PER_KICK = 100000 };

struct tl_vcpu *view_take_by(struct tl_vcpu *vcpu, enum view_look (*look)(void *context), void *context)
{
	for (unsigned looks = 0; looks < LOOKS; looks++) {
		enum view_look found = look(context);

		if (found != VIEW_BUSY)
			return found == VIEW_TAKEN ? vcpu : NULL;
		if (looks % LOOKS_PER_KICK == 0)
			tl_vcpu_kick(vcpu);
		/* Its CPU may be waiting for what this one holds of another vCPU. */
		tl_cpu_poll();
		__builtin_ia32_pause();
	}
	return NULL;
}
