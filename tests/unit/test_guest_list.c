/* SPDX-License-Identifier: MIT */
/* The loader's modules: which are guests, which belong to one, which are asked for. */
#include "boot/guest_list.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct boot_info *info;
static struct guest_list *list;
static struct boot_options options;
static char reason[200];

static int setup(void **context)
{
	(void)context;
	info = calloc(1, sizeof(*info));
	list = calloc(1, sizeof(*list));
	options = (struct boot_options){.help = false};
	memset(reason, 0, sizeof(reason));
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	free(info);
	free(list);
	return 0;
}

static void add(const char *line)
{
	struct boot_module *module = &info->modules[info->nr_modules++];

	module->start = info->nr_modules * 0x1000;
	module->end = module->start + info->nr_modules;
	snprintf(module->line, sizeof(module->line), "%s", line);
}

static void a_module_is_its_guest_s(void **context)
{
	(void)context;
	add("/guests/hammer.elf exact -- accesses=3");
	add(" linux pc -- console=ttyS0");
	add("+initrd");
	add("  /media/+disk.img rw");
	add("last");
	assert_true(guest_list_read(list, info, reason, sizeof(reason)));
	assert_int_equal(list->nr_guests, 3);
	assert_string_equal(list->guest[0].name, "hammer");
	assert_string_equal(list->guest[0].arguments, "exact -- accesses=3");
	assert_int_equal(list->guest[0].nr_modules, 0);
	assert_string_equal(list->guest[1].name, "linux");
	assert_int_equal(list->guest[1].nr_modules, 2);
	assert_string_equal(list->guest[1].modules[0].line, "initrd");
	assert_string_equal(list->guest[1].modules[1].line, "disk.img rw");
	assert_ptr_equal(list->guest[1].modules[1].image.data, (void *)0x4000);
	assert_int_equal(list->guest[1].modules[1].image.size, 4);
	assert_int_equal(list->guest[2].nr_modules, 0);
	assert_string_equal(list->guest[2].arguments, "");
}

static void assert_refused(const char *words)
{
	assert_false(guest_list_read(list, info, reason, sizeof(reason)));
	assert_non_null(strstr(reason, words));
}

static void one_of_nobody_is_refused(void **context)
{
	(void)context;
	add("+initrd");
	assert_refused("module 1 (\"+initrd\") belongs to the guest before it");
}

static void one_without_a_name_is_refused(void **context)
{
	(void)context;
	add("good");
	add("+its");
	add("/path/.elf words");
	assert_refused("module 3 (\"/path/.elf words\") has no name");
}

static void too_many_are_refused(void **context)
{
	(void)context;
	add("kernel");
	for (unsigned i = 0; i < LOAD_MOST_MODULES; i++)
		add("+module");
	assert_true(guest_list_read(list, info, reason, sizeof(reason)));
	teardown(NULL);
	setup(NULL);
	add("kernel");
	for (unsigned i = 0; i <= LOAD_MOST_MODULES; i++)
		add("+module");
	assert_refused("guest kernel has more than 16 modules");
}

static void who_runs_is_named_or_not_manual(void **context)
{
	(void)context;
	add("first");
	add("second x manual");
	add("third manually");
	assert_true(guest_list_read(list, info, reason, sizeof(reason)));
	assert_true(guest_selected(&list->guest[0], &options));
	assert_false(guest_selected(&list->guest[1], &options));
	assert_true(guest_selected(&list->guest[2], &options));
	snprintf(options.guests[0], sizeof(options.guests[0]), "%s", "second");
	options.nr_guests = 1;
	assert_true(guest_list_check_named(list, &options, reason, sizeof(reason)));
	assert_false(guest_selected(&list->guest[0], &options));
	assert_true(guest_selected(&list->guest[1], &options));
	snprintf(options.guests[0], sizeof(options.guests[0]), "%s", "secnd");
	assert_false(guest_list_check_named(list, &options, reason, sizeof(reason)));
	assert_string_equal(reason, "no module is named \"secnd\", as guest= asks; there are first, second, third.");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_module_is_its_guest_s),         TEST(one_of_nobody_is_refused),
		TEST(one_without_a_name_is_refused),   TEST(too_many_are_refused),
		TEST(who_runs_is_named_or_not_manual),
	};

	return cmocka_run_group_tests_name("guest list", tests, NULL, NULL);
}
