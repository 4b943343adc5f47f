/* SPDX-License-Identifier: MIT */
#include "tests/unit/local_apic_served.h"

struct served served[ALL];
struct tl_posted served_descriptor;

static uint32_t pages[ALL][1024] __attribute__((aligned(4096)));

/* ---- The CPU ----------------------------------------------------------------------------------------------------- */

/* Before an entry, where software wants one, or the host's interrupts were on. */
void served_settle(unsigned number)
{
	struct served *at = &served[number];

	if (told[number].interrupts == at->asked)
		return;
	at->asked = told[number].interrupts;
	local_apic_collect(&apics[number]);
	at->cpu.rvi = virtual_cpu_highest(&at->cpu, IRR);
	at->cpu.svi = virtual_cpu_highest(&at->cpu, ISR);
	for (unsigned i = 0; i < 8; i++)
		at->cpu.eoi_exits[i] = at->cpu.page[(TMR + 16 * i) / 4];
}

void served_settle_all(void)
{
	served_settle(VIRTUAL);
	served_settle(POSTED);
}

/* The first notification of several; in the guest the CPU takes it at once. */
static void post(struct local_apic *apic, uint8_t vector)
{
	struct served *at = &served[apic - apics];

	assert_ptr_equal(apic, &apics[POSTED]);
	served_descriptor.requests[vector / 64] |= 1ull << vector % 64;
	at->notified |= !(served_descriptor.control & 1);
	served_descriptor.control |= 1;
	if (!at->in_guest || !at->notified)
		return;
	at->notified = false;
	at->processed++;
	virtual_cpu_notified(&at->cpu);
}

/* An exit with the host's interrupts on, so that a notification is the host's, and the entry behind it. */
void served_leave_guest(void)
{
	served[POSTED].in_guest = false;
}

void served_enter_guest(void)
{
	struct served *at = &served[POSTED];

	at->taken_by_host += at->notified;
	at->notified = false;
	at->asked--;
	served_settle(POSTED);
	at->in_guest = true;
}

static void end_virtual(unsigned number)
{
	int vector = virtual_cpu_end(&served[number].cpu);

	if (vector != VIRTUAL_NO_VECTOR)
		local_apic_ended(&apics[number], (uint8_t)vector);
}

static bool sends_itself(uint32_t command)
{
	return (command & 0xfff00 & ~(1u << 14)) == SELF && (command & 0xff) >= 16;
}

static void write_virtual(unsigned number, unsigned offset, uint32_t value)
{
	uint32_t *page = served[number].cpu.page;

	page[offset / 4] = offset == ICR_HIGH ? value & 0xff000000 : offset == TPR ? value & 0xff : value;
	if (offset == TPR || offset == ICR_HIGH)
		return;
	if (offset == EOI) {
		page[EOI / 4] = 0;
		end_virtual(number);
	} else if (offset == ICR && sends_itself(value)) {
		virtual_cpu_request(&served[number].cpu, (uint8_t)value);
	} else {
		local_apic_written(&apics[number], offset);
	}
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

void served_put(unsigned offset, uint32_t value)
{
	apic_put(SOFT, offset, value);
	for (unsigned i = VIRTUAL; i < ALL; i++)
		write_virtual(i, offset, value);
	served_settle_all();
}

static void check(unsigned number, unsigned offset)
{
	uint32_t wanted = apic_get(SOFT, offset), emulated = apic_get(number, offset);

	if (offset == ID)
		wanted |= number << 24;
	/* The priority and the count exit. */
	assert_int_equal(offset == PPR || offset == 0x390 ? emulated : served[number].cpu.page[offset / 4], wanted);
	/* A load that is emulated reads the same. */
	assert_int_equal(emulated, wanted);
}

void served_check(void)
{
	static const uint16_t others[] = {ID,       VERSION,  TPR,      PPR,      LDR,   DFR,
					  SVR,      ESR,      ICR,      ICR_HIGH, LVT,   LVT + 16,
					  LVT + 32, LVT + 48, LVT + 64, LVT + 80, COUNT, DIVIDE};

	for (unsigned number = VIRTUAL; number < ALL; number++) {
		for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			check(number, others[i]);
		for (unsigned offset = ISR; offset < ESR; offset += 16)
			check(number, offset);
		assert_int_equal(local_apic_pending(&apics[number]), local_apic_pending(&apics[SOFT]));
	}
}

int served_start(void **context)
{
	apics_start(context);
	apic_bus.post = post;
	memset(pages, 0, sizeof(pages));
	memset(served, 0, sizeof(served));
	served_descriptor = (struct tl_posted){.control = 0};
	for (unsigned i = VIRTUAL; i < ALL; i++) {
		served[i] =
			(struct served){.cpu = {.page = pages[i], .posted = i == POSTED ? &served_descriptor : NULL},
					.asked = UINT32_MAX,
					.in_guest = true};
		local_apic_virtualize(&apics[i], pages[i], true, served[i].cpu.posted);
	}
	served_settle_all();
	served_put(SVR, 0x1ff);
	return 0;
}
