/* SPDX-License-Identifier: MIT */
/* What the monitor's commands do, by subject. Each returns NULL, or why it could not be done. */
#ifndef GUEST_MONITOR_PARTS_H
#define GUEST_MONITOR_PARTS_H

#include "guest/monitor/monitor.h"

/* map.c */
const char *monitor_ranges(struct monitor *monitor, const struct guest_view *view);
const char *monitor_walk(struct monitor *monitor, const struct guest_view *view, uint64_t gpa);
const char *monitor_bump(const struct guest_view *view);
const char *monitor_add(struct monitor *monitor, const struct guest_view *view, uint64_t start, uint64_t size);
const char *monitor_remove(const struct guest_view *view, uint64_t id);
const char *monitor_move(const struct guest_view *view, uint64_t id, uint64_t start);

/* vcpu.c */
const char *monitor_stats(struct monitor *monitor, const struct guest_view *view);
const char *monitor_exits(struct monitor *monitor, const struct guest_view *view, unsigned vcpu);
const char *monitor_state(struct monitor *monitor, const struct guest_view *view, unsigned vcpu);
const char *monitor_vmcs(const struct guest_view *view, unsigned vcpu);
const char *monitor_step(struct monitor *monitor, const struct guest_view *view, unsigned vcpu, uint64_t count);
/* All of them, or one. */
void monitor_hold(struct monitor *monitor, const struct guest_view *view, const struct order *order, bool held);

#endif
