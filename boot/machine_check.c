/* SPDX-License-Identifier: MIT */
#include "boot/machine_check.h"

#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/host_cpu.h"

enum { MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17A, MSR_MC0_STATUS = 0x401, MSRS_OF_BANK = 4, CPUID_MCA = 14 };

/* Processors with machine-check exceptions and no architecture to go with them have no banks. */
static unsigned nr_banks(void)
{
	return cpu_id(1).edx >> CPUID_MCA & 1 ? (uint8_t)msr_read(MSR_MCG_CAP) : 0;
}

static uint32_t status_of(unsigned bank)
{
	return MSR_MC0_STATUS + MSRS_OF_BANK * bank;
}

static void say_and_clear(unsigned banks)
{
	unsigned cpu = host_cpu_index(), said = 0;

	for (unsigned bank = 0; bank < banks; bank++) {
		uint64_t status = msr_read(status_of(bank));

		if (!(status & MCI_STATUS_VALID))
			continue;
		host_print("CPU %u: machine check survived: bank %u says 0x%llx\n", cpu, bank,
			   (unsigned long long)status);
		msr_write(status_of(bank), 0);
		said++;
	}
	if (!said)
		host_print("CPU %u: machine check survived: no bank says what it was\n", cpu);
	/* Until MCIP is 0 another one shuts the processor down. */
	if (banks)
		msr_write(MSR_MCG_STATUS, 0);
}

bool machine_check_survived(void)
{
	unsigned banks = nr_banks();

	if (!machine_check_may_return(banks ? msr_read(MSR_MCG_STATUS) : 0))
		return false;
	for (unsigned bank = 0; bank < banks; bank++)
		if (!machine_check_bank_is_harmless(msr_read(status_of(bank))))
			return false;
	say_and_clear(banks);
	return true;
}
