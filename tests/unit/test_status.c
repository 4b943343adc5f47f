/* SPDX-License-Identifier: MIT */
/* Each status has a sentence of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { FIRST = TL_CPU_SILENT, LAST = TL_PENDING };

static const char *text_of(int status)
{
	return tl_status_text((enum tl_status)status);
}

static void every_status_has_its_own_sentence(void **state)
{
	(void)state;
	for (int status = FIRST; status <= LAST; status++) {
		const char *text = text_of(status);

		assert_non_null(text);
		assert_int_equal(text[strlen(text) - 1], '.');
		assert_string_not_equal(text, text_of(FIRST - 1));
		for (int other = FIRST; other < status; other++)
			assert_string_not_equal(text, text_of(other));
	}
}

static void unknown_status_is_said_to_be_unknown(void **state)
{
	(void)state;
	assert_string_equal(text_of(FIRST - 1), text_of(LAST + 1));
	assert_non_null(strstr(text_of(1000), "unknown status"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_its_own_sentence),
		cmocka_unit_test(unknown_status_is_said_to_be_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
