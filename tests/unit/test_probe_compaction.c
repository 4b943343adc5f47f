/* SPDX-License-Identifier: MIT */
/* The probe of compacted areas, on a CPU that has them behind their header, and on one that has not. SDM vol.
 * 1, 13.4.3. */
#include "tests/unit/mock/vmx/asm.h"

#include "tests/unit/hosted.h"
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/feature.h"
#include "vmx/probe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LEGACY = 512, HEADER = 64, AVX_BYTES = 256, IN_LEGACY = 416, PATTERN = 0x5a };

static unsigned asked;

static void write_from(uint8_t *area, unsigned at)
{
	memset(area + at, PATTERN, AVX_BYTES);
	area[LEGACY] = 4;
	area[LEGACY + 8] = 4;
	area[LEGACY + 15] = 0x80;
	asked++;
}

static void right(void *area, uint64_t components)
{
	assert_int_equal(components, 4);
	write_from(area, LEGACY + HEADER);
}

/* Bochs 2.7. */
static void over_the_header(void *area, uint64_t components)
{
	(void)components;
	write_from(area, IN_LEGACY);
}

/* The header as it should be, and no AVX state behind it. */
static void elsewhere(void *area, uint64_t components)
{
	(void)components;
	write_from(area, LEGACY + HEADER + 64);
}

static int start(void **context)
{
	hosted_start();
	(void)context;
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	vmx_capability = (struct vmx_capability){.xcr0 = 7};
	vmx_controls = (struct vmx_controls){.xsavec = true, .xsaves = true, .proc2 = PROC2_ENABLE_XSAVES};
	asked = 0;
	return 0;
}

static int stop(void **context)
{
	(void)context;
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	vmx_controls = (struct vmx_controls){0};
	vmx_capability = (struct vmx_capability){0};
	return 0;
}

static void expect(bool has)
{
	assert_int_equal(probe_compaction(), TL_OK);
	assert_int_equal(vmx_controls.xsavec, has);
	assert_int_equal(vmx_controls.xsaves, has);
	assert_int_equal(vmx_controls.proc2, has ? PROC2_ENABLE_XSAVES : 0);
	assert_int_equal(hosted.pages_out, 0);
}

static void areas_that_are_right(void **context)
{
	(void)context;
	mock_cpu.on_xsavec = right;
	expect(true);
	assert_int_equal(asked, 1);
}

static void areas_that_are_not(void **context)
{
	(void)context;
	mock_cpu.on_xsavec = over_the_header;
	expect(false);
	vmx_controls = (struct vmx_controls){.xsavec = true, .xsaves = true, .proc2 = PROC2_ENABLE_XSAVES};
	mock_cpu.on_xsavec = elsewhere;
	expect(false);
	assert_int_equal(asked, 2);
}

/* Without AVX nothing lies behind the header; and who trusts the CPU has it so. */
static void where_nothing_is_probed(void **context)
{
	(void)context;
	mock_cpu.on_xsavec = over_the_header;
	vmx_capability.xcr0 = 3;
	expect(true);
	vmx_capability.xcr0 = 7;
	assert_int_equal(tl_features_trusted(1u << TL_FEATURE_XSAVES), TL_OK);
	expect(true);
	assert_int_equal(tl_features_trusted(0), TL_OK);
	vmx_controls = (struct vmx_controls){0};
	expect(false);
	assert_int_equal(asked, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(areas_that_are_right),
		TEST(areas_that_are_not),
		TEST(where_nothing_is_probed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
