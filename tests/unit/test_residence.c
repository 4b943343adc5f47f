/* SPDX-License-Identifier: MIT */
/* vCPUs that go from CPU to CPU: who writes them back, and when. */
#include "tests/unit/vcpu_fixture.h"
#include "vmx/cpu.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NR_CPUS = 3, SWAPS = 2000 };

static struct tl_vcpu *vcpus[2];
static struct tl_state state;
static unsigned answers_kick; /* the CPU that is kicked looks at the kick with this number; 0: at none */

/* The other CPU, at the exit that a kick makes, or where it waits. */
static void kicked(unsigned cpu)
{
	unsigned self = hosted_cpu;

	if (!answers_kick || hosted.nr_kicks < answers_kick)
		return;
	hosted_cpu = cpu;
	tl_cpu_poll();
	hosted_cpu = self;
}

static void forget_counts(void)
{
	mock_cpu.nr_vmclears = mock_cpu.nr_vmptrlds = mock_cpu.nr_invvpids = 0;
	hosted.nr_kicks = 0;
}

/* Two vCPUs, both on CPU 0, the second one loaded. */
static int start(void **context)
{
	enum tl_status status;

	vcpu_start(context);
	grace_leave(&guest_vcpu->reader, 0);
	for (unsigned i = 1; i < NR_CPUS; i++)
		vmx_cpu[i] = (struct vmx_cpu){.up = true};
	vcpus[0] = guest_vcpu;
	vcpus[1] = tl_vcpu_create(vm, &status);
	assert_non_null(vcpus[1]);
	answers_kick = 1;
	hosted.on_kick = kicked;
	hosted_cpu = 0;
	vmx_controls.vpid = true;
	forget_counts();
	return 0;
}

static int stop(void **context)
{
	hosted_cpu = 0;
	answers_kick = 1;
	assert_int_equal(tl_vcpu_destroy(vcpus[1]), TL_OK);
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
	grace_enter(&guest_vcpu->reader, 0);
	vmx_controls.vpid = false;
	return vcpu_stop(context);
}

static void assert_home(const struct tl_vcpu *vcpu, unsigned home)
{
	assert_int_equal(vcpu->home, home);
	for (unsigned i = 0; i < NR_CPUS; i++) {
		bool resident = false;

		for (struct tl_vcpu *at = vmx_cpu[i].residents; at; at = at->next_resident)
			resident |= at == vcpu;
		assert_int_equal(resident, home == i + 1);
		if (home != i + 1) {
			assert_ptr_not_equal(vmx_cpu[i].loaded, vcpu);
			assert_ptr_not_equal(vmx_cpu[i].fpu_owner, vcpu);
		}
	}
}

static void stays_where_it_ran(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(tl_vcpu_get(vcpus[i & 1], &state), TL_OK);
	assert_int_equal(mock_cpu.nr_vmclears, 0);
	assert_int_equal(mock_cpu.nr_invvpids, 0);
	assert_int_equal(mock_cpu.nr_vmptrlds, 4);
	assert_int_equal(hosted.nr_kicks, 0);
	assert_home(vcpus[0], 1);
	assert_home(vcpus[1], 1);
}

static void is_fetched(void **context)
{
	(void)context;
	vcpus[0]->launched = 1;
	vcpus[0]->host_rsp = 0x1000;
	hosted_cpu = 2;
	assert_int_equal(tl_vcpu_get(vcpus[0], &state), TL_OK);
	assert_int_equal(hosted.nr_kicks, 1);
	assert_int_equal(hosted.kicked[0], 0);
	assert_int_equal(mock_cpu.nr_vmclears, 1);
	assert_int_equal(mock_cpu.nr_invvpids, 1);
	assert_int_equal(vcpus[0]->launched, 0);
	assert_int_equal(vcpus[0]->host_rsp, 0);
	assert_false(vcpus[0]->wanted);
	assert_home(vcpus[0], 3);
	assert_home(vcpus[1], 1); /* nobody wanted it */
	/* And back again, while the second one is loaded there. */
	hosted_cpu = 0;
	assert_int_equal(tl_vcpu_get(vcpus[1], &state), TL_OK);
	assert_int_equal(tl_vcpu_get(vcpus[0], &state), TL_OK);
	assert_int_equal(hosted.kicked[1], 2);
	assert_home(vcpus[0], 1);
	assert_home(vcpus[1], 1);
}

static void is_asked_for_again(void **context)
{
	(void)context;
	answers_kick = 3;
	hosted_cpu = 1;
	assert_int_equal(tl_vcpu_get(vcpus[1], &state), TL_OK);
	assert_int_equal(hosted.nr_kicks, 3);
	assert_home(vcpus[1], 2);
}

/* Whoever asks is told, and the CPU keeps what it did not give away, also when it looks at last. */
static void is_not_waited_for_without_end(void **context)
{
	(void)context;
	answers_kick = 0;
	hosted_cpu = 1;
	assert_int_equal(tl_vcpu_get(vcpus[1], &state), TL_CPU_SILENT);
	assert_true(hosted.nr_kicks >= 10000);
	assert_int_equal(mock_cpu.nr_vmclears, 0);
	assert_home(vcpus[1], 1);
	assert_false(vcpus[1]->wanted);
	hosted_cpu = 0;
	tl_cpu_poll();
	assert_int_equal(mock_cpu.nr_vmclears, 0);
	assert_home(vcpus[1], 1);
	assert_int_equal(tl_vcpu_get(vcpus[1], &state), TL_OK);
	assert_int_equal(mock_cpu.nr_vmclears, 0);
	/* The next time it looks. */
	answers_kick = 1;
	hosted.nr_kicks = 0;
	hosted_cpu = 1;
	assert_int_equal(tl_vcpu_get(vcpus[1], &state), TL_OK);
	assert_home(vcpus[1], 2);
}

static void is_unloaded_beforehand(void **context)
{
	(void)context;
	answers_kick = 0;
	hosted_cpu = 1;
	tl_vcpu_unload(vcpus[0]); /* not its CPU: nothing happens */
	assert_home(vcpus[0], 1);
	hosted_cpu = 0;
	tl_vcpu_unload(vcpus[0]);
	tl_vcpu_unload(vcpus[0]);
	assert_home(vcpus[0], VCPU_NOWHERE);
	assert_int_equal(mock_cpu.nr_vmclears, 1);
	hosted_cpu = 1;
	assert_int_equal(tl_vcpu_get(vcpus[0], &state), TL_OK);
	assert_int_equal(hosted.nr_kicks, 0);
	assert_home(vcpus[0], 2);
}

static void leaves_with_the_cpu(void **context)
{
	(void)context;
	answers_kick = 0;
	tl_cpu_down();
	assert_home(vcpus[0], VCPU_NOWHERE);
	assert_home(vcpus[1], VCPU_NOWHERE);
	assert_int_equal(mock_cpu.nr_vmclears, 2);
	assert_int_equal(tl_vcpu_get(vcpus[0], &state), TL_CPU_DOWN);
	hosted_cpu = 2;
	assert_int_equal(tl_vcpu_get(vcpus[0], &state), TL_OK);
	assert_home(vcpus[0], 3);
	tl_vcpu_unload(vcpus[0]);
	vmx_cpu[0].up = true;
}

static void is_destroyed_anywhere(void **context)
{
	enum tl_status status;

	(void)context;
	hosted_cpu = 1;
	assert_int_equal(tl_vcpu_destroy(vcpus[1]), TL_OK);
	assert_int_equal(hosted.nr_kicks, 1);
	assert_null(vmx_cpu[1].residents);
	vcpus[1] = tl_vcpu_create(vm, &status);
	assert_non_null(vcpus[1]);
	assert_home(vcpus[1], 2);
}

static atomic_uint arrived;

/* Until both CPUs have been here so often; looking, as who waits has to. */
static void meet(unsigned times)
{
	atomic_fetch_add(&arrived, 1);
	while (arrived < 2 * times)
		tl_cpu_poll();
}

/* One of two CPUs. Each round both want what the other one has, at once, and no kick helps them. */
static void *swap(void *cpu)
{

	hosted_cpu = *(unsigned *)cpu;
	for (unsigned i = 0; i < SWAPS; i++) {
		struct tl_vcpu *vcpu = vcpus[(hosted_cpu + i) & 1];

		meet(i + 1);
		if (vcpu_load(vcpu) != TL_OK || vcpu->home != hosted_cpu + 1)
			return cpu;
	}
	meet(SWAPS + 1);
	return NULL;
}

static void two_swap_without_end(void **context)
{
	static unsigned numbers[] = {0, 1};
	pthread_t threads[2];
	void *failed;

	(void)context;
	hosted.on_kick = NULL;
	arrived = 0;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, swap, &numbers[i]), 0);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	hosted.on_kick = kicked;
	for (unsigned i = 0; i < 2; i++)
		assert_home(vcpus[(i + SWAPS - 1) & 1], i + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stays_where_it_ran, start, stop),
		cmocka_unit_test_setup_teardown(is_fetched, start, stop),
		cmocka_unit_test_setup_teardown(is_asked_for_again, start, stop),
		cmocka_unit_test_setup_teardown(is_not_waited_for_without_end, start, stop),
		cmocka_unit_test_setup_teardown(is_unloaded_beforehand, start, stop),
		cmocka_unit_test_setup_teardown(leaves_with_the_cpu, start, stop),
		cmocka_unit_test_setup_teardown(is_destroyed_anywhere, start, stop),
		cmocka_unit_test_setup_teardown(two_swap_without_end, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
