/* SPDX-License-Identifier: MIT */
/* The search for a serial port on PCI, in configuration spaces that are tables. */
#include "boot/pci.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { FUNCTIONS_MAX = 8, WORDS = 6 };

static struct function {
	unsigned bus, device, function;
	uint32_t words[WORDS]; /* of the header */
} functions[FUNCTIONS_MAX];
static unsigned nr_functions, nr_reads;

static struct function *find(uint32_t address)
{
	assert_int_equal(address >> 24, 0x80);
	assert_int_equal(address & 3, 0);
	for (unsigned i = 0; i < nr_functions; i++)
		if (functions[i].bus == (address >> 16 & 0xFF) && functions[i].device == (address >> 11 & 0x1F) &&
		    functions[i].function == (address >> 8 & 7))
			return &functions[i];
	return NULL;
}

static uint32_t *word(uint32_t address)
{
	struct function *at = find(address);

	assert_true(!at || (address & 0xFF) / 4 < WORDS);
	return at ? &at->words[(address & 0xFF) / 4] : NULL;
}

static uint32_t read_word(uint32_t address)
{
	nr_reads++;
	return word(address) ? *word(address) : UINT32_MAX;
}

static void write_word(uint32_t address, uint32_t value)
{
	assert_int_equal(address & 0xFC, 4); /* the command alone */
	assert_non_null(word(address));
	*word(address) = value;
}

static const struct pci_access fake = {.read = read_word, .write = write_word};

static int empty(void **context)
{
	(void)context;
	memset(functions, 0, sizeof(functions));
	nr_functions = nr_reads = 0;
	return 0;
}

static struct function *add(unsigned bus, unsigned device, unsigned function, uint32_t class, uint32_t header,
			    uint32_t bar0, uint32_t bar1)
{
	functions[nr_functions] = (struct function){
		bus, device, function, {0x00021B36, 0xFFFF0000, class << 8, header << 16, bar0, bar1}};
	return &functions[nr_functions++];
}

enum { SERIAL_16550 = 0x070002, BRIDGE = 0x060400, DISK = 0x010601 };

static void finds_ports(void **context)
{
	struct pci_serial found;
	struct function *at;

	(void)context;
	add(0, 0, 0, 0x060000, 0, 0, 0);
	add(0, 31, 0, DISK, 0x80, 0xC001, 0);
	at = add(0, 31, 3, SERIAL_16550, 0, 0xF0E1, 0);
	assert_true(pci_find_serial(&fake, &found));
	assert_int_equal(found.device, 31);
	assert_int_equal(found.function, 3);
	assert_false(found.in_memory);
	assert_int_equal(found.base, 0xF0E0);
	assert_int_equal(at->words[1], 1); /* on, and no bit of the status cleared */
}

static void finds_memory_behind_a_bridge(void **context)
{
	struct pci_serial found;
	struct function *at;

	(void)context;
	add(0, 1, 0, BRIDGE, 1, 0, 0);
	at = add(200, 4, 0, SERIAL_16550, 0, 0xFE00100C, 0x12);
	at->words[1] = 1;
	assert_true(pci_find_serial(&fake, &found));
	assert_int_equal(found.bus, 200);
	assert_true(found.in_memory);
	assert_true(found.base == 0x12FE001000);
	assert_int_equal(at->words[1], 3);
	at->words[4] = 0xFE001000; /* 32 bits: the next register is none of its address */
	assert_true(pci_find_serial(&fake, &found));
	assert_true(found.base == 0xFE001000);
}

/* The first function that will do, past those that will not. */
static void passes_over_others(void **context)
{
	struct pci_serial found;

	(void)context;
	add(0, 2, 0, SERIAL_16550, 0, 1, 0);          /* ports without an address */
	add(0, 3, 0, SERIAL_16550, 0, 0, 0);          /* memory without one */
	add(0, 4, 0, 0x070080, 0, 0xC001, 0);         /* an interface of its own */
	add(0, 5, 0, 0x070102, 0, 0xC001, 0);         /* a parallel port */
	add(0, 6, 0, SERIAL_16550, 1, 0xC001, 0);     /* the header of a bridge */
	add(0, 7, 1, SERIAL_16550, 0, 0xC001, 0);     /* a function of no device */
	add(0, 8, 0, SERIAL_16550, 0, 0xFFFFFFFD, 0); /* no eight ports */
	assert_false(pci_find_serial(&fake, &found));
	for (unsigned i = 0; i < nr_functions; i++)
		assert_int_equal(functions[i].words[1], 0xFFFF0000);
	add(255, 31, 0, SERIAL_16550, 0, 0xC001, 0);
	assert_true(pci_find_serial(&fake, &found));
	assert_int_equal(found.bus, 255);
}

/* A device of one function may answer at all eight: it is asked once. */
static void asks_little(void **context)
{
	struct pci_serial found;

	(void)context;
	assert_false(pci_find_serial(&fake, &found));
	assert_int_equal(nr_reads, 256 * 32);
	nr_reads = 0;
	add(0, 0, 0, DISK, 0, 0, 0);
	add(0, 0, 1, SERIAL_16550, 0, 0xC001, 0);
	assert_false(pci_find_serial(&fake, &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(finds_ports, empty),
		cmocka_unit_test_setup(finds_memory_behind_a_bridge, empty),
		cmocka_unit_test_setup(passes_over_others, empty),
		cmocka_unit_test_setup(asks_little, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
