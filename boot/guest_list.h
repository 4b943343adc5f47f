/* SPDX-License-Identifier: MIT */
/*
 * The loader's modules as guests. The first word of a module's line is its name; one that begins with + is not a guest,
 * but belongs to the guest before it: its initramfs, its disk, whatever its kernel calls a module. Pure C.
 */
#ifndef BOOT_GUEST_LIST_H
#define BOOT_GUEST_LIST_H

#include "boot/cmdline.h"
#include "boot/multiboot.h"
#include "guest/guest.h"

struct guest_list {
	struct guest_module guest[BOOT_MODULES_MAX];
	char name[BOOT_MODULES_MAX][CMDLINE_NAME_MAX];
	size_t nr_guests;
	struct load_module module[BOOT_MODULES_MAX]; /* of all guests */
	size_t nr_modules;
};

/*
 * *list is zeroed; it points into *info. false, and a sentence in `reason`: a module has no name, belongs to no guest,
 * or is one too many.
 */
bool guest_list_read(struct guest_list *list, const struct boot_info *info, char *reason, size_t size);

/* Each guest= must name a guest: a typo must not look like a pass. false, and a sentence in `reason`: one does not. */
bool guest_list_check_named(const struct guest_list *list, const struct boot_options *options, char *reason,
			    size_t size);

/* Whether the guest is to run: one with the word `manual` only if it is named. */
bool guest_selected(const struct guest_module *module, const struct boot_options *options);

#endif
