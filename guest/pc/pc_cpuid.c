/* SPDX-License-Identifier: MIT */
#include "guest/pc/pc_cpuid.h"

/* SDM vol. 2, CPUID. */
enum {
	LEAF_BASIC = 0,
	LEAF_FEATURES = 1,
	LEAF_CACHES = 4,
	LEAF_TOPOLOGY = 0xb,
	LEAF_TSC = 0x15,
	ECX_X2APIC = 1 << 21,
	ECX_TSC_DEADLINE = 1 << 24,
	EDX_APIC = 1 << 9,
	EDX_HTT = 1 << 28,
	LEVEL_THREADS = 1,
	LEVEL_CORES = 2,
};

/* How many bits number so many processors. */
static unsigned id_bits(unsigned nr_cpus)
{
	unsigned bits = 0;

	while (1u << bits < nr_cpus)
		bits++;
	return bits;
}

static void say_features(unsigned apic_id, unsigned nr_cpus, bool apic_enabled, struct tl_cpuid *out)
{
	out->ebx = (out->ebx & 0xffff) | (1u << id_bits(nr_cpus) & 0xff) << 16 | (apic_id & 0xff) << 24;
	out->ecx |= ECX_X2APIC | ECX_TSC_DEADLINE;
	if (apic_enabled)
		out->edx |= EDX_APIC;
	if (nr_cpus > 1)
		out->edx |= EDX_HTT;
}

/* One thread in each core. */
static void say_topology(unsigned apic_id, unsigned nr_cpus, uint32_t subleaf, struct tl_cpuid *out)
{
	*out = (struct tl_cpuid){.ecx = subleaf & 0xff, .edx = apic_id};
	if (subleaf == 0) {
		out->ebx = 1;
		out->ecx |= LEVEL_THREADS << 8;
	} else if (subleaf == 1) {
		out->eax = id_bits(nr_cpus);
		out->ebx = nr_cpus;
		out->ecx |= LEVEL_CORES << 8;
	}
}

void pc_cpuid(unsigned apic_id, unsigned nr_cpus, bool apic_enabled, uint64_t tsc_hz, uint32_t leaf, uint32_t subleaf,
	      struct tl_cpuid *out)
{
	bool says_rate = tsc_hz && tsc_hz <= UINT32_MAX;

	switch (leaf) {
	case LEAF_BASIC:
		if (says_rate && out->eax < LEAF_TSC)
			out->eax = LEAF_TSC;
		break;
	case LEAF_FEATURES:
		say_features(apic_id, nr_cpus, apic_enabled, out);
		break;
	case LEAF_CACHES:
		if (out->eax & 0x1f)
			out->eax |= ((1u << id_bits(nr_cpus)) - 1) << 26;
		break;
	case LEAF_TOPOLOGY:
		say_topology(apic_id, nr_cpus, subleaf, out);
		break;
	case LEAF_TSC:
		*out = says_rate ? (struct tl_cpuid){1, 1, (uint32_t)tsc_hz, 0} : (struct tl_cpuid){0};
		break;
	default:
		break;
	}
}
