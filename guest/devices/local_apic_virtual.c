/* SPDX-License-Identifier: MIT */
/*
 * A local APIC of which the CPU serves a part: its virtual-APIC page (trapline_apic.h), which belongs to the vCPU's CPU
 * as all of the APIC does; others post what they send to `irr`, and have it collected. SDM vol. 3, 30.1 and 30.2.
 */
#include "guest/devices/local_apic_state.h"

enum { SET_WORDS = 8, WORD_BITS = 32 };

void local_apic_virtualize(struct local_apic *apic, void *page, bool delivers, struct tl_posted *posted)
{
	_Atomic uint32_t *registers = page;

	apic_set_word(&registers[REGISTER_TASK_PRIORITY * 4], apic_word(apic->task_priority));
	apic->task_priority = &registers[REGISTER_TASK_PRIORITY * 4];
	apic->shadowed = true;
	if (delivers) {
		apic->registers = registers;
		apic->posted = posted;
		local_apic_show(apic);
	}
}

uint32_t local_apic_page_requests(const struct local_apic *apic, unsigned part)
{
	/* relaxed: who sets a bit calls tl_vcpu_interrupt() afterwards, and then it is looked for again. */
	uint64_t sent = atomic_load_explicit(&apic->irr[part / 2], memory_order_relaxed);

	return apic_word(apic_register(apic, REGISTER_IRR + part)) | (uint32_t)(sent >> WORD_BITS * (part % 2)) |
	       (apic->posted ? tl_posted_requests(apic->posted, part) : 0);
}

bool local_apic_can_post(const struct local_apic *apic, uint8_t vector, bool level, bool was_level)
{
	return apic->posted && !level && !was_level &&
	       !(apic_word(apic_register(apic, REGISTER_TMR + vector / WORD_BITS)) >> vector % WORD_BITS & 1);
}

int local_apic_page_requested(const struct local_apic *apic)
{
	for (int i = SET_WORDS - 1; i >= 0; i--) {
		uint32_t word = local_apic_page_requests(apic, (unsigned)i);

		if (word)
			return i * WORD_BITS + 31 - __builtin_clz(word);
	}
	return -1;
}

static int highest_of(const struct local_apic *apic, enum local_apic_register set)
{
	for (int i = SET_WORDS - 1; i >= 0; i--) {
		uint32_t word = apic_word(apic_register(apic, set + (unsigned)i));

		if (word)
			return i * WORD_BITS + 31 - __builtin_clz(word);
	}
	return -1;
}

int local_apic_page_collected(struct local_apic *apic)
{
	local_apic_collect(apic);
	return highest_of(apic, REGISTER_IRR);
}

int local_apic_page_in_service(const struct local_apic *apic)
{
	return highest_of(apic, REGISTER_ISR);
}

static _Atomic uint32_t *word_of(const struct local_apic *apic, enum local_apic_register set, uint8_t vector)
{
	return apic_register(apic, set + (unsigned)vector / WORD_BITS);
}

static uint32_t bit_of(uint8_t vector)
{
	return 1u << vector % WORD_BITS;
}

void local_apic_page_acknowledge(struct local_apic *apic, uint8_t vector)
{
	_Atomic uint32_t *requests = word_of(apic, REGISTER_IRR, vector),
			 *service = word_of(apic, REGISTER_ISR, vector);

	apic_set_word(requests, apic_word(requests) & ~bit_of(vector));
	apic_set_word(service, apic_word(service) | bit_of(vector));
}

void local_apic_page_end(struct local_apic *apic, uint8_t vector)
{
	_Atomic uint32_t *service = word_of(apic, REGISTER_ISR, vector);

	apic_set_word(service, apic_word(service) & ~bit_of(vector));
}

void local_apic_page_reset(struct local_apic *apic)
{
	/* What was posted goes with the rest. */
	if (apic->posted)
		tl_posted_collect(apic->posted, apic->registers);
	for (unsigned index = REGISTER_ISR; index < REGISTER_IRR + SET_WORDS; index++)
		apic_set_word(apic_register(apic, index), 0);
}

/* The trigger modes after the requests that they are of. */
void local_apic_collect(struct local_apic *apic)
{
	if (apic->posted)
		tl_posted_collect(apic->posted, apic->registers);
	for (unsigned i = 0; i < LOCAL_APIC_WORDS; i++) {
		_Atomic uint32_t *requests = apic_register(apic, REGISTER_IRR + 2 * i);
		_Atomic uint32_t *trigger = apic_register(apic, REGISTER_TMR + 2 * i);
		uint64_t sent, level;

		/* relaxed: as in posted(). */
		if (atomic_load_explicit(&apic->irr[i], memory_order_relaxed)) {
			/* acquire: what was stored before the request is there for who handles it, its trigger mode
			 * first. */
			sent = atomic_exchange_explicit(&apic->irr[i], 0, memory_order_acquire);
			apic_set_word(requests, apic_word(requests) | (uint32_t)sent);
			apic_set_word(requests + 4, apic_word(requests + 4) | (uint32_t)(sent >> WORD_BITS));
		}
		/* relaxed: the exchange has ordered it. */
		level = atomic_load_explicit(&apic->tmr[i], memory_order_relaxed);
		apic_set_word(trigger, (uint32_t)level);
		apic_set_word(trigger + 4, (uint32_t)(level >> WORD_BITS));
	}
}

/* ---- What the guest reads, and writes, without an exit
 * ---------------------------------------------------------------
 */

void local_apic_show(struct local_apic *apic)
{
	static const uint8_t shown[] = {
		REGISTER_ID,       REGISTER_VERSION, REGISTER_LOGICAL,       REGISTER_FORMAT,
		REGISTER_SPURIOUS, REGISTER_ERROR,   REGISTER_INITIAL_COUNT, REGISTER_DIVIDE,
	};

	if (!apic->registers)
		return;
	for (unsigned i = 0; i < sizeof(shown); i++)
		apic_set_word(apic_register(apic, shown[i]), local_apic_read(apic, shown[i]));
	for (unsigned i = 0; i < NR_LVTS; i++)
		apic_set_word(apic_register(apic, REGISTER_LVT + i), apic_word(&apic->lvt[i]));
}

uint64_t local_apic_command(const struct local_apic *apic)
{
	if (!apic->registers || local_apic_is_x2(apic))
		return apic->command;
	return apic_word(apic_register(apic, REGISTER_COMMAND)) |
	       (uint64_t)apic_word(apic_register(apic, REGISTER_COMMAND_HIGH)) << 32;
}

void local_apic_set_command(struct local_apic *apic, uint64_t command)
{
	apic->command = command;
	if (!apic->registers)
		return;
	apic_set_word(apic_register(apic, REGISTER_COMMAND), (uint32_t)command);
	apic_set_word(apic_register(apic, REGISTER_COMMAND_HIGH), (uint32_t)(command >> 32));
}

void local_apic_written(struct local_apic *apic, unsigned offset)
{
	unsigned index = offset / 16;
	uint32_t value = apic_word(apic_register(apic, index));

	if (index == REGISTER_SELF) {
		local_apic_error(apic, ERROR_SEND_VECTOR);
		return;
	}
	local_apic_write(apic, index, value);
}
