/* SPDX-License-Identifier: MIT */
/* The hypervisor's command line: what each word stores, and what is refused with which words. */
#include "tests/unit/cmdline_line.h"
#include <trapline.h>

static void reads_nothing(void **context)
{
	static const struct boot_options none;

	(void)context;
	assert_true(parse(""));
	assert_memory_equal(&options, &none, sizeof(none));
	assert_true(parse("  \t "));
	assert_memory_equal(&options, &none, sizeof(none));
}

static void reads_every_word(void **context)
{
	(void)context;
	assert_true(parse("help"));
	assert_true(options.help);
	assert_true(parse("quiet trace together  mmio-level=2\ttag-bits=0x6 generation=0xffffffffffffffff guest=wrap "
			  "crash=text"));
	assert_true(options.quiet);
	assert_int_equal(options.trace, 1 << TL_TRACE_MARK_MMIO_SPTE | 1 << TL_TRACE_CHECK_MMIO_SPTE |
						1 << TL_TRACE_HANDLE_MMIO_PAGE_FAULT);
	assert_true(options.together);
	assert_int_equal(options.mmio_level, 2);
	assert_int_equal(options.tag_bits, 6);
	assert_true(options.generation == UINT64_MAX);
	assert_int_equal(options.nr_guests, 1);
	assert_string_equal(options.guests[0], "wrap");
	assert_int_equal(options.crash, BOOT_CRASH_TEXT);
}

static void reads_events_to_trace(void **context)
{
	(void)context;
	assert_true(parse("trace=exit,kick quiet"));
	assert_int_equal(options.trace, 1 << TL_TRACE_EXIT | 1 << TL_TRACE_KICK);
	assert_refused("trace=", "trace[=NAME[,NAME]]: exit, entry, mark_mmio_spte");
	assert_refused("trace=exit,", "trace[=NAME");
	assert_refused("trace=exits", "\"trace=exits\"");
}

static void reads_the_ends_of_ranges(void **context)
{
	(void)context;
	assert_true(parse("mmio-level=1 tag-bits=19 generation=1"));
	assert_true(parse("mmio-level=3 tag-bits=1 generation=18446744073709551615"));
	assert_true(options.generation == UINT64_MAX);
}

static void reads_sizes(void **context)
{
	static const struct {
		const char *line;
		uint64_t memory;
	} rows[] = {{"memory=4096", 4096},          {"memory=4K", 4096},
		    {"memory=64M", 64 << 20},       {"memory=2G", 2ull << 30},
		    {"memory=0x800K", 0x800 << 10}, {"memory=2048M", 2ull << 30}};
	static const char *const wrong[] = {
		"memory=0",    "memory=1",   "memory=5000",  "memory=3G",  "memory=64T",
		"memory=64MB", "memory=M",   "memory=64 M",  "memory=64m", "memory=18014398509481984K",
		"memory=-4K",  "memory=4KK", "memory=0x4Kx", "memory",     "memory="};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(rows[i].line));
		assert_true(options.memory == rows[i].memory);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_refused(wrong[i], "write memory=4K..2048M");
	assert_refused("memory=4M memory=4M", "\"memory\" twice");
}

static void reads_ranges_by_hand(void **context)
{
	static const char *const wrong[] = {
		"mmio",
		"mmio=",
		"mmio=1",
		"mmio=1,2",
		"mmio=1,2,",
		"mmio=,2,ram",
		"mmio=1,,ram",
		"mmio=1,2,ram,",
		"mmio=1,2,ram,rom",
		"mmio=x,2,ram",
		"mmio=1,2X,ram",
		"mmio=1,2,nosuch",
		"mmio=1,-2,ram",
		"mmio=1,20000000000G,ram",
	};

	(void)context;
	assert_true(parse("mmio=0xd0000000,4K,ram quiet mmio=4G,2M,direct mmio=7,9,doorbell"));
	assert_int_equal(options.nr_ranges, 3);
	assert_true(options.ranges[0].start == 0xd0000000 && options.ranges[0].size == 4096);
	assert_int_equal(options.ranges[0].kind, ABI_HAND_RAM);
	assert_true(options.ranges[1].start == 4ull << 30 && options.ranges[1].size == 2 << 20);
	assert_int_equal(options.ranges[1].kind, ABI_HAND_DIRECT);
	assert_true(options.ranges[2].start == 7 && options.ranges[2].size == 9);
	assert_int_equal(options.ranges[2].kind, ABI_HAND_DOORBELL);
	assert_true(parse("mmio=0,1,ring mmio=0,0,rom"));
	assert_int_equal(options.ranges[0].kind, ABI_HAND_RING);
	assert_int_equal(options.ranges[1].kind, ABI_HAND_ROM);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_refused(wrong[i], "write mmio=ADDRESS,SIZE,KIND: ram, ring, doorbell, rom, direct.");
	assert_refused("mmio=1,2,rma", "the nearest to \"rma\" is ram;");
	assert_true(parse("mmio=1,1,ram mmio=2,1,ram mmio=3,1,ram mmio=4,1,ram mmio=5,1,ram mmio=6,1,ram mmio=7,1,ram "
			  "mmio=8,1,ram"));
	assert_refused("mmio=1,1,ram mmio=2,1,ram mmio=3,1,ram mmio=4,1,ram mmio=5,1,ram mmio=6,1,ram mmio=7,1,ram "
		       "mmio=8,1,ram mmio=9,1,ram",
		       "more than 8 ranges by hand");
}

static void reads_what_a_commit_makes_stale(void **context)
{
	(void)context;
	assert_true(parse("quiet"));
	assert_int_equal(options.invalidate, 0);
	assert_true(parse("invalidate=range"));
	assert_int_equal(options.invalidate, 1 + TL_INVALIDATE_RANGE);
	assert_true(parse("invalidate=all vcpus=64"));
	assert_int_equal(options.invalidate, 1 + TL_INVALIDATE_ALL);
	assert_int_equal(options.vcpus, 64);
	assert_true(parse("invalidate=zap"));
	assert_int_equal(options.invalidate, 1 + TL_INVALIDATE_ZAP);
	assert_refused("invalidate=rang", "the nearest to \"rang\" is range; write invalidate=range|all|zap.");
	assert_refused("vcpus=65", "write vcpus=1..64.");
	assert_refused("vcpus=0", "write vcpus=1..64.");
}

static void reads_sets(void **context)
{
	(void)context;
	assert_true(parse("off=vpid"));
	assert_int_equal(options.features_off, 1 << TL_FEATURE_VPID);
	assert_true(parse("off=xsave,vpid,xsave quiet"));
	assert_int_equal(options.features_off, 1 << TL_FEATURE_VPID | 1 << TL_FEATURE_XSAVE);
	assert_true(options.quiet);
}

static void reads_choices_in_order(void **context)
{
	static const struct {
		const char *line;
		enum boot_crash crash;
	} rows[] = {{"crash=ud", BOOT_CRASH_UD},       {"crash=null", BOOT_CRASH_NULL},
		    {"crash=text", BOOT_CRASH_TEXT},   {"crash=data", BOOT_CRASH_DATA},
		    {"crash=stack", BOOT_CRASH_STACK}, {"crash=other", BOOT_CRASH_OTHER},
		    {"crash=check", BOOT_CRASH_CHECK}};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(rows[i].line));
		assert_int_equal(options.crash, rows[i].crash);
	}
}

static void reads_consoles(void **context)
{
	static const struct {
		const char *line;
		uint64_t console;
	} rows[] = {
		{"", BOOT_CONSOLE_ANY},
		{"console=none", BOOT_CONSOLE_NONE},
		{"console=com1", BOOT_CONSOLE_COM1},
		{"console=com4", BOOT_CONSOLE_COM4},
		{"console=pci", BOOT_CONSOLE_PCI},
		{"console=0x3e8", 0x3E8},
		{"console=1000", 1000},
		{"console=0x100", BOOT_CONSOLE_PORT},
		{"console=0xfff8", 0xFFF8},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(rows[i].line));
		assert_int_equal(options.console, rows[i].console);
		assert_int_equal(options.screen, BOOT_SCREEN_USE_ANY);
	}
	assert_true(parse("screen=off"));
	assert_int_equal(options.screen, BOOT_SCREEN_USE_OFF);
	assert_refused("console=com5", "console=none|com1|com2|com3|com4|pci|0x100..0xfff8.");
}

static void reads_lists_of_guests(void **context)
{
	(void)context;
	assert_true(parse("guest=a,bc guest=d"));
	assert_int_equal(options.nr_guests, 3);
	assert_string_equal(options.guests[0], "a");
	assert_string_equal(options.guests[1], "bc");
	assert_string_equal(options.guests[2], "d");
	assert_true(parse("guest=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"));
	assert_refused("guest=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 guests");
	assert_true(parse("guest=abcdefghijklmnopqrstuvwxyz01234"));
	assert_refused("guest=abcdefghijklmnopqrstuvwxyz012345", "longer than 31 characters");
	assert_refused("guest=a,b guest=c,a", "guest \"a\" twice");
	assert_refused("guest=a,", "guest=NAME");
	assert_refused("guest=,a", "guest=NAME");
	assert_refused("guest=a,,b", "guest=NAME");
	assert_refused("guest=", "guest=NAME");
	assert_refused("guest", "guest=NAME");
}

static void refuses_unknown_words(void **context)
{
	(void)context;
	assert_refused("quiet gest=hammer", "unknown word \"gest=hammer\"");
	assert_refused("gest=hammer", "known are help, guest=NAME[,NAME], selftest, memory=4K..2048M, vcpus=1..64, "
				      "mmio=ADDRESS,SIZE,KIND, quiet, together, trace[=NAME[,NAME]]");
	assert_refused("Quiet", "\"Quiet\"");
	assert_refused("quie", "\"quie\"");
	assert_refused("quiett", "\"quiett\"");
	assert_refused("=3", "\"=3\"");
	assert_refused("mmio_level=3", "\"mmio_level=3\"");
	/* A control character is no part of a word: the sentence would not be one line. */
	assert_refused("quiet\ngest\x1b[2J", "\"gest\"");
}

static void refuses_malformed_words(void **context)
{
	static const char *const lines[] = {
		"mmio-level",
		"mmio-level=",
		"mmio-level=0",
		"mmio-level=4",
		"mmio-level=x",
		"mmio-level=1x",
		"mmio-level=-1",
		"mmio-level= 1",
		"mmio-level=0x",
		"mmio-level=4294967297",
		"tag-bits=20",
		"tag-bits=+1",
		"tag-bits=1,2",
		"generation=0",
		"generation=18446744073709551616",
		"quiet=",
		"quiet=1",
		"crash",
		"crash=",
		"crash=u",
		"crash=udx",
		"crash=ud,text",
		"off",
		"off=",
		"off=vpi",
		"off=vpid,",
		"off=,vpid",
		"off=vpid,,pml",
		"off=vpid,nosuch",
		"trace=no",
		"console",
		"console=",
		"console=com0",
		"console=0xff",
		"console=6",
		"console=0xfff9",
		"console=com1,com2",
		"screen",
		"screen=on",
		"generation=0x10000000000000000",
	};

	(void)context;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_refused(lines[i], "malformed or out of range");
	assert_refused("tag-bits=99", "\"tag-bits=99\" is malformed or out of range; write tag-bits=1..19.");
}

static void refuses_words_given_twice(void **context)
{
	(void)context;
	assert_refused("quiet trace quiet", "\"quiet\" twice");
	assert_refused("tag-bits=6 tag-bits=6", "\"tag-bits\" twice");
}

/* A word as long as a command line can be: the sentence is cut, and nothing is written behind it. */
static void cuts_long_sentences(void **context)
{
	static char line[1024], small[40 + 1];

	(void)context;
	memset(line, 'w', sizeof(line) - 1);
	assert_false(parse(line));
	assert_int_equal(strlen(reason), sizeof(reason) - 1);
	small[40] = 'e';
	assert_false(cmdline_parse(line, &options, small, 40));
	assert_int_equal(strlen(small), 39);
	assert_int_equal(small[40], 'e');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_nothing),           cmocka_unit_test(reads_every_word),
		cmocka_unit_test(reads_events_to_trace),   cmocka_unit_test(reads_the_ends_of_ranges),
		cmocka_unit_test(reads_choices_in_order),  cmocka_unit_test(reads_sets),
		cmocka_unit_test(reads_consoles),          cmocka_unit_test(reads_sizes),
		cmocka_unit_test(reads_ranges_by_hand),    cmocka_unit_test(reads_what_a_commit_makes_stale),
		cmocka_unit_test(reads_lists_of_guests),   cmocka_unit_test(refuses_unknown_words),
		cmocka_unit_test(refuses_malformed_words), cmocka_unit_test(refuses_words_given_twice),
		cmocka_unit_test(cuts_long_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
