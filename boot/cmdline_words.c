/* SPDX-License-Identifier: MIT */
/* The words of the command line: a new one is a new row. */
#include "boot/cmdline_words.h"

#include <stdarg.h>
#include <trapline.h>

#include "boot/cmdline.h"
#include "boot/libc.h"
#include "boot/print.h"
#include "guest/nearest.h"

static const char *const crash_choices[] = {"ud", "null", "text", "data", "stack", "other", "check", NULL};

static const char *const console_choices[] = {"none", "com1", "com2", "com3", "com4", "pci", NULL};

static const char *const screen_choices[] = {"off", "log", "dashboard", NULL};
static const char *const invalidate_choices[] = {
	[TL_INVALIDATE_RANGE] = "range",
	[TL_INVALIDATE_ALL] = "all",
	[TL_INVALIDATE_ZAP] = "zap",
	[TL_INVALIDATE_ZAP + 1] = NULL,
};

static const char *const range_choices[] = {
	[ABI_HAND_RAM] = "ram", [ABI_HAND_RING] = "ring",     [ABI_HAND_DOORBELL] = "doorbell",
	[ABI_HAND_ROM] = "rom", [ABI_HAND_DIRECT] = "direct", [ABI_HAND_DIRECT + 1] = NULL,
};

static const char *const feature_choices[] = {
	[TL_FEATURE_VPID] = "vpid",
	[TL_FEATURE_UNRESTRICTED_GUEST] = "unrestricted-guest",
	[TL_FEATURE_EPT_2M] = "ept-2m",
	[TL_FEATURE_EPT_1G] = "ept-1g",
	[TL_FEATURE_EPT_ACCESSED_DIRTY] = "ept-ad",
	[TL_FEATURE_EPT_EXECUTE_ONLY] = "ept-execute-only",
	[TL_FEATURE_INVEPT_SINGLE] = "invept-single",
	[TL_FEATURE_PREEMPTION_TIMER] = "preemption-timer",
	[TL_FEATURE_PML] = "pml",
	[TL_FEATURE_VIRTUAL_NMIS] = "virtual-nmis",
	[TL_FEATURE_MONITOR_TRAP_FLAG] = "monitor-trap-flag",
	[TL_FEATURE_IO_BITMAPS] = "io-bitmaps",
	[TL_FEATURE_MSR_BITMAPS] = "msr-bitmaps",
	[TL_FEATURE_XSAVE] = "xsave",
	[TL_FEATURE_TPR_SHADOW] = "tpr-shadow",
	[TL_FEATURE_APIC_ACCESSES] = "apic-accesses",
	[TL_FEATURE_X2APIC_MODE] = "x2apic-mode",
	[TL_FEATURE_VIRTUAL_INTERRUPTS] = "virtual-interrupts",
	[TL_FEATURE_APIC_REGISTERS] = "apic-registers",
	[TL_FEATURE_POSTED_INTERRUPTS] = "posted-interrupts",
	[TL_FEATURE_XSAVES] = "xsaves",
	[BOOT_FEATURE_X2APIC] = "x2apic",
	[BOOT_FEATURE_X2APIC + 1] = NULL,
};

/* Those that are probed. */
static const char *const trust_choices[] = {
	[BOOT_TRUST_VIRTUAL_INTERRUPTS] = "virtual-interrupts",
	[BOOT_TRUST_POSTED_INTERRUPTS] = "posted-interrupts",
	[BOOT_TRUST_XSAVES] = "xsaves",
	[BOOT_TRUST_XSAVES + 1] = NULL,
};

static const char *const trace_to_choices[] = {"console", "debugcon", NULL};

/* What `trace` alone means: the events of 2013. */
#define TRACE_SPTES \
	(1 << TL_TRACE_MARK_MMIO_SPTE | 1 << TL_TRACE_CHECK_MMIO_SPTE | 1 << TL_TRACE_HANDLE_MMIO_PAGE_FAULT)

static const char *const mitigation_choices[] = {
	[TL_MITIGATION_L1D_FLUSH] = "l1d-flush", [TL_MITIGATION_VERW] = "verw", [TL_MITIGATION_RSB] = "rsb",
	[TL_MITIGATION_SPEC_CTRL] = "spec-ctrl", [TL_MITIGATION_BHI] = "bhi",   [TL_NR_MITIGATIONS] = "none",
	[TL_NR_MITIGATIONS + 1] = NULL,
};

#define FIELD(name) offsetof(struct boot_options, name)

static const struct word words[] = {
	{"help", WORD_FLAG, FIELD(help), 0, 0, NULL, "print these words and what they do, and run nothing"},
	{"guest", WORD_NAMES, 0, 0, 0, NULL, "run only these guests"},
	{"selftest", WORD_FLAG, FIELD(selftest), 0, 0, NULL, "run no guest; check what is relied on in this CPU"},
	{"memory", WORD_SIZE, FIELD(memory), 4096, 2ull << 30, NULL, "memory of each guest, whatever its module says"},
	{"vcpus", WORD_NUMBER, FIELD(vcpus), 1, ABI_VCPUS, NULL, "vCPUs of each guest, whatever its module says"},
	{"mmio", WORD_RANGE, 0, 0, 0, range_choices, "a range in the map of each guest, in place of what is there"},
	{"quiet", WORD_FLAG, FIELD(quiet), 0, 0, NULL, "print only the table and what went wrong"},
	{"together", WORD_FLAG, FIELD(together), 0, 0, NULL, "run the guests at once, one on each CPU"},
	{"trace", WORD_SET, FIELD(trace), 0, TRACE_SPTES, tl_trace_event_names, "print these events of each guest"},
	{"trace-to", WORD_CHOICE, FIELD(trace_to), 0, 0, trace_to_choices,
	 "where to: lines on the console, or records for tools/trace"},
	{"profile", WORD_FLAG, FIELD(profile), 0, 0, NULL, "print what each guest did to its devices"},
	{"monitor", WORD_FLAG, FIELD(monitor), 0, 0, NULL,
	 "have guests leave their CPUs often enough to hear what is typed: Ctrl-A h says what for"},
	{"invalidate", WORD_CHOICE, FIELD(invalidate), 0, 0, invalidate_choices, "what a commit makes stale"},
	{"mmio-level", WORD_NUMBER, FIELD(mmio_level), 1, 3, NULL,
	 "largest MMIO entry, 4 KiB, 2 MiB or 1 GiB, where a guest's module does not say"},
	{"tag-bits", WORD_NUMBER, FIELD(tag_bits), 1, 19, NULL,
	 "width of the tag in an MMIO entry, where a guest's module does not say"},
	{"generation", WORD_NUMBER, FIELD(generation), 1, UINT64_MAX, NULL,
	 "first generation of a guest's map, where its module does not say"},
	{"console", WORD_EITHER, FIELD(console), BOOT_CONSOLE_PORT, 0xFFF8, console_choices,
	 "the serial line; by default the first of COM1 to COM4 that answers, else one on PCI"},
	{"screen", WORD_CHOICE, FIELD(screen), 0, 0, screen_choices,
	 "leave the screen alone, or show the text alone, or what a guest does while it runs, at any price"},
	{"off", WORD_SET, FIELD(features_off), 0, 0, feature_choices, "do without these features of the CPU"},
	{"trust", WORD_SET, FIELD(features_trusted), 0, 0, trust_choices,
	 "use these features though a probe finds that they do not work"},
	{"mitigations", WORD_SET, FIELD(mitigations), 0, 0, mitigation_choices,
	 "against speculation, these and no others"},
	{"crash", WORD_CHOICE, FIELD(crash), 0, 0, crash_choices, "check the host's own protection by a fault"},
};

enum { NR_WORDS = sizeof(words) / sizeof(words[0]) };
_Static_assert(NR_WORDS <= 64, "cmdline.c keeps a bit for each");

const struct word *word_at(size_t index)
{
	return index < NR_WORDS ? &words[index] : NULL;
}

/* ---- What is said of them --------------------------------------------------------------------------------- */

size_t word_append(char *text, size_t size, size_t at, const char *format, ...)
{
	va_list arguments;

	if (at >= size)
		return at;
	va_start(arguments, format);
	at += print_to_buffer_v(text + at, size - at, format, arguments);
	va_end(arguments);
	return at;
}

size_t word_append_usage(char *text, size_t size, size_t at, const struct word *word)
{
	at = word_append(text, size, at, "%s", word->name);
	switch (word->kind) {
	case WORD_FLAG:
		break;
	case WORD_NUMBER:
		if (word->high == UINT64_MAX)
			at = word_append(text, size, at, "=N");
		else
			at = word_append(text, size, at, "=%llu..%llu", (unsigned long long)word->low,
					 (unsigned long long)word->high);
		break;
	case WORD_SIZE:
		at = word_append(text, size, at, "=%lluK..%lluM", (unsigned long long)word->low >> 10,
				 (unsigned long long)word->high >> 20);
		break;
	case WORD_RANGE:
		at = word_append(text, size, at, "=ADDRESS,SIZE,KIND");
		break;
	case WORD_CHOICE:
	case WORD_EITHER:
		for (size_t i = 0; word->choices[i]; i++)
			at = word_append(text, size, at, "%c%s", i ? '|' : '=', word->choices[i]);
		if (word->kind == WORD_EITHER)
			at = word_append(text, size, at, "|0x%llx..0x%llx", (unsigned long long)word->low,
					 (unsigned long long)word->high);
		break;
	case WORD_SET:
		at = word_append(text, size, at, word->high ? "[=NAME[,NAME]]" : "=NAME[,NAME]");
		break;
	case WORD_NAMES:
		at = word_append(text, size, at, "=NAME[,NAME]");
		break;
	}
	return at;
}

size_t word_append_choices(char *text, size_t size, size_t at, const struct word *word)
{
	bool apart = word->kind == WORD_SET || word->kind == WORD_RANGE;

	for (size_t i = 0; apart && word->choices[i]; i++)
		at = word_append(text, size, at, "%s %s", i ? "," : ":", word->choices[i]);
	return at;
}

bool cmdline_describe(size_t index, char *usage, size_t usage_size, char *help, size_t help_size)
{
	size_t at;

	if (index >= NR_WORDS)
		return false;
	word_append_usage(usage, usage_size, 0, &words[index]);
	at = word_append(help, help_size, 0, "%s", words[index].help);
	word_append_choices(help, help_size, at, &words[index]);
	return true;
}

/* ---- Which one was meant ---------------------------------------------------------------------------------- */

const struct word *word_nearest(struct span name)
{
	const struct word *nearest = NULL;
	unsigned best = nearest_limit(name.length);

	for (size_t i = 0; i < NR_WORDS; i++) {
		unsigned changes = nearest_distance(name.text, name.length, words[i].name);

		if (changes >= best)
			continue;
		best = changes;
		nearest = &words[i];
	}
	return nearest;
}

const char *word_nearest_choice(const struct word *word, struct span name)
{
	const char *nearest = NULL;
	unsigned best = nearest_limit(name.length);

	for (size_t i = 0; word->choices[i]; i++) {
		unsigned changes = nearest_distance(name.text, name.length, word->choices[i]);

		if (changes >= best)
			continue;
		best = changes;
		nearest = word->choices[i];
	}
	return nearest;
}
