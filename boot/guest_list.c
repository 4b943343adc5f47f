/* SPDX-License-Identifier: MIT */
#include "boot/guest_list.h"

#include "boot/libc.h"
#include "boot/print.h"

/*
 * The first word of a module's command line, without folders and without what follows a dot: QEMU passes a file's path
 * there. Returns what stands behind the word; *length is 0 where there is no name.
 */
static const char *module_name(const char *line, const char **name, size_t *length)
{
	const char *at;

	while (*line == ' ')
		line++;
	*name = line;
	for (at = line; *at && *at != ' '; at++)
		if (*at == '/')
			*name = at + 1;
	for (*length = 0; *name + *length < at && (*name)[*length] != '.'; (*length)++)
		;
	while (*at == ' ')
		at++;
	return at;
}

static bool take_guest(struct guest_list *list, const struct boot_module *from, char *reason, size_t size)
{
	const char *name;
	size_t length;
	const char *arguments = module_name(from->line, &name, &length);

	if (!length || length >= CMDLINE_NAME_MAX) {
		print_to_buffer(reason, size,
				"module %zu (\"%s\") has no name of 1 to %d characters; put one first on its line.",
				list->nr_guests + list->nr_modules + 1, from->line, CMDLINE_NAME_MAX - 1);
		return false;
	}
	memcpy(list->name[list->nr_guests], name, length);
	list->guest[list->nr_guests] = (struct guest_module){
		.name = list->name[list->nr_guests],
		.arguments = arguments,
		.image = (const void *)from->start,
		.size = from->end - from->start,
	};
	list->nr_guests++;
	return true;
}

/* `line` is behind the +. */
static bool take_module_of_guest(struct guest_list *list, const struct boot_module *from, const char *line,
				 char *reason, size_t size)
{
	struct guest_module *guest;

	if (!list->nr_guests) {
		print_to_buffer(
			reason, size,
			"module 1 (\"%s\") belongs to the guest before it, and there is none; put its kernel first.",
			from->line);
		return false;
	}
	guest = &list->guest[list->nr_guests - 1];
	if (guest->nr_modules == LOAD_MOST_MODULES) {
		print_to_buffer(reason, size, "guest %s has more than %d modules; leave some out.", guest->name,
				LOAD_MOST_MODULES);
		return false;
	}
	list->module[list->nr_modules] = (struct load_module){
		.image = {(const void *)from->start, from->end - from->start},
		.line = line,
	};
	if (!guest->nr_modules++)
		guest->modules = &list->module[list->nr_modules];
	list->nr_modules++;
	return true;
}

bool guest_list_read(struct guest_list *list, const struct boot_info *info, char *reason, size_t size)
{
	for (size_t i = 0; i < info->nr_modules; i++) {
		const struct boot_module *module = &info->modules[i];
		const char *name;
		size_t length;

		module_name(module->line, &name, &length);
		if (!(*name == '+' ? take_module_of_guest(list, module, name + 1, reason, size)
				   : take_guest(list, module, reason, size)))
			return false;
	}
	return true;
}

static bool has_word(const char *line, const char *word)
{
	size_t length = strlen(word);

	while (*line) {
		const char *end = strchr(line, ' ');
		size_t here = end ? (size_t)(end - line) : strlen(line);

		if (here == length && memcmp(line, word, length) == 0)
			return true;
		line += here + (end != NULL);
	}
	return false;
}

static bool guest_named(const struct boot_options *options, const char *name)
{
	for (size_t i = 0; i < options->nr_guests; i++)
		if (strcmp(options->guests[i], name) == 0)
			return true;
	return false;
}

bool guest_selected(const struct guest_module *module, const struct boot_options *options)
{
	if (options->nr_guests)
		return guest_named(options, module->name);
	return !has_word(module->arguments, "manual");
}

static bool guest_exists(const struct guest_list *list, const char *name)
{
	for (size_t i = 0; i < list->nr_guests; i++)
		if (strcmp(list->guest[i].name, name) == 0)
			return true;
	return false;
}

bool guest_list_check_named(const struct guest_list *list, const struct boot_options *options, char *reason,
			    size_t size)
{
	size_t at;

	for (size_t i = 0; i < options->nr_guests; i++) {
		if (guest_exists(list, options->guests[i]))
			continue;
		at = print_to_buffer(reason, size, "no module is named \"%s\", as guest= asks; there are",
				     options->guests[i]);
		for (size_t k = 0; k < list->nr_guests && at < size; k++)
			at += print_to_buffer(reason + at, size - at, "%s %s", k ? "," : "", list->guest[k].name);
		if (at < size)
			print_to_buffer(reason + at, size - at, ".");
		return false;
	}
	return true;
}
