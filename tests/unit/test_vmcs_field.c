/* SPDX-License-Identifier: MIT */
/* The table of VMCS fields: each encoding once, in the form that the SDM gives (vol. 3, 25.11.2). */
#include "vmx/vmcs_field.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

static const struct {
	const char *name;
	vmcs_field_t field;
} fields[] = {
#define X(constant, name, encoding, ...) {name, {encoding}},
	VMCS_FIELDS(X)
#undef X
};

enum { NR_FIELDS = sizeof(fields) / sizeof(fields[0]) };

static void encodings_and_names_are_unique(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_FIELDS; i++) {
		for (unsigned k = 0; k < i; k++) {
			assert_int_not_equal(fields[i].field.encoding, fields[k].field.encoding);
			assert_string_not_equal(fields[i].name, fields[k].name);
		}
	}
}

/* Full access only (bit 0), no reserved bit, and the type that the name speaks of. */
static void encodings_are_well_formed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_FIELDS; i++) {
		enum vmcs_field_type type = vmcs_field_type(fields[i].field);

		assert_int_equal(fields[i].field.encoding & ~0x6ffeu, 0);
		assert_int_equal(strncmp(fields[i].name, "Host ", 5) == 0, type == VMCS_HOST_STATE);
		if (type == VMCS_GUEST_STATE)
			assert_true(strncmp(fields[i].name, "Guest ", 6) == 0 ||
				    strncmp(fields[i].name, "PML ", 4) == 0 ||
				    strncmp(fields[i].name, "VMCS link", 9) == 0 ||
				    strncmp(fields[i].name, "VMX-preemption", 14) == 0);
	}
}

/* The indexed forms follow the order of enum tl_segment_name. */
static void segment_forms_agree_with_the_table(void **state)
{
	(void)state;
#define SEGMENT(name)                                                                                     \
	assert_int_equal(VMCS_GUEST_SELECTOR(TL_##name).encoding, VMCS_GUEST_##name##_SELECTOR.encoding); \
	assert_int_equal(VMCS_GUEST_BASE(TL_##name).encoding, VMCS_GUEST_##name##_BASE.encoding);         \
	assert_int_equal(VMCS_GUEST_LIMIT(TL_##name).encoding, VMCS_GUEST_##name##_LIMIT.encoding);       \
	assert_int_equal(VMCS_GUEST_ACCESS_RIGHTS(TL_##name).encoding, VMCS_GUEST_##name##_ACCESS_RIGHTS.encoding)
	SEGMENT(ES);
	SEGMENT(CS);
	SEGMENT(SS);
	SEGMENT(DS);
	SEGMENT(FS);
	SEGMENT(GS);
	SEGMENT(LDTR);
	SEGMENT(TR);
#undef SEGMENT
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_and_names_are_unique),
		cmocka_unit_test(encodings_are_well_formed),
		cmocka_unit_test(segment_forms_agree_with_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
