/* SPDX-License-Identifier: MIT */
/* Decode against Zydis on random byte strings. */
#include "tests/unit/decode_zydis.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STRINGS = 17000000 /* in each of three modes */ };

static void agrees_with_zydis(void **context)
{
	const unsigned long strings = decode_nr_strings(STRINGS);
	uint8_t bytes[DECODE_STRING_BYTES];

	(void)context;
	decode_zydis_start();
	for (unsigned mode = 0; mode < DECODE_ZYDIS_MODES; mode++) {
		for (unsigned long i = 0; i < strings; i++) {
			decode_next_string(bytes);
			decode_zydis_check(mode, bytes);
		}
	}
	print_message("%lu decoded alike, %lu refused by both, %lu not emulated\n", decode_zydis.same,
		      decode_zydis.refused, decode_zydis.other);
	for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
		if (!!decode_zydis.seen[m] != decode_zydis_emulated[m])
			fail_msg("%s is %s", ZydisMnemonicGetString((ZydisMnemonic)m),
				 decode_zydis_emulated[m] ? "never decoded" : "decoded, but not listed");
	/* A generator that no longer makes instructions must not pass. */
	assert_true(decode_zydis.same > strings / 4);
	assert_true(decode_zydis.refused > strings / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_zydis)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
