/* SPDX-License-Identifier: MIT */
/* The word `shake`: a guest's devices lose and get their ranges all the time, and the guest does not notice. */
#ifndef GUEST_PC_PC_SHAKE_H
#define GUEST_PC_PC_SHAKE_H

#include "guest/pc/pc.h"

enum { SHAKES_A_SECOND = 2000 };

/* One change of the map, another one each time. Context: host, the first CPU. */
void pc_shake(struct pc *pc);

#endif
