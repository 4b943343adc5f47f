/* SPDX-License-Identifier: MIT */
/*
 * A page of text that shows what a guest does: its vCPUs' exits by reason, how many accesses are fresh, the map's
 * generation, the busiest devices. Drawn from two moments; pure C but for the taking of one.
 */
#ifndef GUEST_DASHBOARD_H
#define GUEST_DASHBOARD_H

#include <trapline.h>

#include "guest/view.h"

enum { DASHBOARD_COLUMNS = 80, DASHBOARD_ROWS = 25, DASHBOARD_VCPUS = 8, DASHBOARD_DEVICES = 64 };

struct dashboard_device {
	const char *name;
	uint64_t reads, writes;
};

/* What is counted at a moment. */
struct dashboard {
	const char *guest;
	unsigned number, of;         /* of the guests of this run, from 1 */
	uint64_t tsc, began, tsc_hz; /* tsc_hz: 0 where that is unknown */
	struct tl_stats stats;
	unsigned nr_vcpus; /* all; as many are listed as fit */
	struct tl_vcpu_exits exits[DASHBOARD_VCPUS];
	bool held[DASHBOARD_VCPUS];
	unsigned nr_devices;
	struct dashboard_device device[DASHBOARD_DEVICES];
};

/* Fills in what the guest says of itself: all but number, of, tsc, tsc_hz. Context: host, inside services.attend. */
void dashboard_take(const struct guest_view *view, struct dashboard *at);

struct dashboard_page {
	char cell[DASHBOARD_ROWS][DASHBOARD_COLUMNS];
};

/* Draws what is between two moments of the same guest; the earlier one may be all zeros, its beginning. Context: any.
 */
void dashboard_draw(const struct dashboard *now, const struct dashboard *before, struct dashboard_page *page);

#endif
