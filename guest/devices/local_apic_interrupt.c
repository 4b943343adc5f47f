/* SPDX-License-Identifier: MIT */
/* IRR, ISR and TMR: what waits, what is served, and what comes next. SDM vol. 3, 11.8. */
#include "guest/devices/local_apic_state.h"

enum { WORD_BITS = 64, EXTINT = APIC_EXTINT << LVT_DELIVERY_SHIFT };

static inline uint64_t bit_of(uint8_t vector)
{
	return 1ull << (vector % WORD_BITS);
}

/* The highest vector of a set; -1: it is empty. */
static inline int highest_in(uint64_t word3, uint64_t word2, uint64_t word1, uint64_t word0)
{
	if (word3)
		return 255 - __builtin_clzll(word3);
	if (word2)
		return 191 - __builtin_clzll(word2);
	if (word1)
		return 127 - __builtin_clzll(word1);
	return word0 ? 63 - __builtin_clzll(word0) : -1;
}

/* relaxed: who sets a bit calls tl_vcpu_interrupt() afterwards, and then it is looked for again. */
static inline uint64_t requests(const struct local_apic *apic, unsigned word)
{
	return atomic_load_explicit(&apic->irr[word], memory_order_relaxed);
}

static inline int local_apic_requested(const struct local_apic *apic)
{
	if (apic->registers)
		return local_apic_page_requested(apic);
	return highest_in(requests(apic, 3), requests(apic, 2), requests(apic, 1), requests(apic, 0));
}

static inline int local_apic_in_service(const struct local_apic *apic)
{
	if (apic->registers)
		return local_apic_page_in_service(apic);
	return highest_in(apic->isr[3], apic->isr[2], apic->isr[1], apic->isr[0]);
}

uint32_t local_apic_priority(const struct local_apic *apic)
{
	uint32_t task = apic_word(apic->task_priority);
	int service = local_apic_in_service(apic);

	return service >= 0 && (uint32_t)service >> 4 > task >> 4 ? (uint32_t)service & 0xf0 : task;
}

/* The vector, if the processor would get it; -1: it would not. */
static inline int deliverable(const struct local_apic *apic, int vector)
{
	return vector >= 0 && (uint32_t)vector >> 4 > local_apic_priority(apic) >> 4 && local_apic_enabled(apic)
		       ? vector
		       : -1;
}

/* With the APIC off, LINT0 is the processor's INTR pin. SDM vol. 3, 11.4.3. */
bool local_apic_external(const struct local_apic *apic)
{
	uint32_t lint0 = apic_word(&apic->lvt[LVT_LINT0]);

	/* acquire: pairs with the release of who raised the pin, whose PIC state acknowledge() looks at. */
	return atomic_load_explicit(&apic->pin[0], memory_order_acquire) &&
	       (!local_apic_enabled(apic) || (lint0 & (LVT_MASKED | LVT_DELIVERY)) == EXTINT);
}

bool local_apic_pending(const struct local_apic *apic)
{
	return deliverable(apic, local_apic_requested(apic)) >= 0 || local_apic_external(apic);
}

int local_apic_acknowledge(struct local_apic *apic)
{
	/* What is posted is requested when it is looked for, and taken when it has been collected (rule 15). */
	int vector = deliverable(apic, apic->registers ? local_apic_page_collected(apic) : local_apic_requested(apic));

	if (vector < 0)
		return local_apic_external(apic) ? apic->bus->acknowledge(apic->bus->context) : -1;
	if (apic->registers) {
		local_apic_page_acknowledge(apic, (uint8_t)vector);
		return vector;
	}
	/* acquire: what was stored before the request is there for who handles it. */
	atomic_fetch_and_explicit(&apic->irr[vector / WORD_BITS], ~bit_of((uint8_t)vector), memory_order_acquire);
	apic->isr[vector / WORD_BITS] |= bit_of((uint8_t)vector);
	return vector;
}

/* Whether there may be anything to take: what most ends of interrupts find that there is not. */
static inline bool local_apic_waits(const struct local_apic *apic)
{
	return requests(apic, 3) | requests(apic, 2) | requests(apic, 1) | requests(apic, 0) ||
	       /* relaxed: local_apic_external() looks again. */
	       atomic_load_explicit(&apic->pin[0], memory_order_relaxed);
}

int local_apic_held_back(const struct local_apic *apic)
{
	int vector = local_apic_requested(apic), service = local_apic_in_service(apic);

	if (vector < 0 || !local_apic_enabled(apic) || (service >= 0 && service >> 4 >= vector >> 4))
		return -1;
	return apic_word(apic->task_priority) >> 4 >= (uint32_t)vector >> 4 ? vector : -1;
}

/* A CPU that has the TPR is to know as well what has begun to be held back, or is not any more. */
void local_apic_announce(struct local_apic *apic)
{
	if (apic->shadowed || local_apic_pending(apic))
		apic->bus->interrupt(apic);
}

static inline void broadcast(struct local_apic *apic, int vector)
{
	/* relaxed: it was set before the request that was acknowledged. */
	uint64_t level =
		atomic_load_explicit(&apic->tmr[vector / WORD_BITS], memory_order_relaxed) & bit_of((uint8_t)vector);

	if (level && !(apic_word(&apic->spurious) & SPURIOUS_NO_BROADCAST))
		apic->bus->end_of_interrupt(apic->bus->context, (uint8_t)vector);
}

void local_apic_ended(struct local_apic *apic, uint8_t vector)
{
	broadcast(apic, vector);
}

/* The CPU is to know what is in service now. */
static __attribute__((noinline)) void end_in_page(struct local_apic *apic)
{
	int vector = local_apic_page_in_service(apic);

	if (vector < 0)
		return;
	local_apic_page_end(apic, (uint8_t)vector);
	broadcast(apic, vector);
	local_apic_announce(apic);
}

void local_apic_end_of_interrupt(struct local_apic *apic)
{
	int vector;

	if (apic->registers) {
		end_in_page(apic);
		return;
	}
	vector = highest_in(apic->isr[3], apic->isr[2], apic->isr[1], apic->isr[0]);
	/* Without one in service it does nothing. */
	if (vector < 0)
		return;
	apic->isr[vector / WORD_BITS] &= ~bit_of((uint8_t)vector);
	broadcast(apic, vector);
	if (local_apic_waits(apic))
		local_apic_announce(apic);
}

bool local_apic_accept(struct local_apic *apic, uint8_t vector, bool level)
{
	_Atomic uint64_t *trigger = &apic->tmr[vector / WORD_BITS];
	uint64_t was;

	if (!local_apic_enabled(apic) || !(apic_word(&apic->spurious) & SPURIOUS_ENABLE))
		return false;
	if (vector < FIRST_VECTOR) {
		local_apic_error(apic, ERROR_RECEIVED_VECTOR);
		return false;
	}
	/* relaxed: the request below orders it. */
	if (level)
		was = atomic_fetch_or_explicit(trigger, bit_of(vector), memory_order_relaxed);
	else
		was = atomic_fetch_and_explicit(trigger, ~bit_of(vector), memory_order_relaxed);
	/* Rule 18. */
	if (local_apic_can_post(apic, vector, level, was & bit_of(vector))) {
		apic->bus->post(apic, vector);
		return true;
	}
	/* release: who sees the request sees its trigger mode. */
	atomic_fetch_or_explicit(&apic->irr[vector / WORD_BITS], bit_of(vector), memory_order_release);
	apic->bus->interrupt(apic);
	return true;
}

bool local_apic_pin_is_unmaskable(const struct local_apic *apic, unsigned pin)
{
	uint32_t entry = apic_word(&apic->lvt[LVT_LINT0 + pin]),
		 delivery = (entry & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT;

	return local_apic_enabled(apic) && !(entry & LVT_MASKED) && (delivery == APIC_NMI || delivery == APIC_INIT);
}

/* ---- Local interrupts ---------------------------------------------------------------------------------------------
 */

/* What an LVT entry does with an edge. ExtINT is no edge: it is asked for by its level. */
void local_apic_raise(struct local_apic *apic, enum local_apic_lvt which)
{
	uint32_t entry = apic_word(&apic->lvt[which]);

	if (entry & LVT_MASKED)
		return;
	switch ((entry & LVT_DELIVERY) >> LVT_DELIVERY_SHIFT) {
	case APIC_FIXED:
		local_apic_accept(apic, entry & LVT_VECTOR, false);
		break;
	case APIC_NMI:
		apic->bus->nmi(apic);
		break;
	case APIC_SMI:
		if (apic->bus->smi)
			apic->bus->smi(apic);
		break;
	case APIC_INIT:
		apic->bus->init(apic);
		break;
	case APIC_EXTINT:
		if (which == LVT_LINT0)
			apic->bus->interrupt(apic);
		break;
	default:
		break;
	}
}

void local_apic_pin(void *context, unsigned pin, bool level)
{
	struct local_apic *apic = context;
	/* release: what made the interrupt is there for who sees the pin. */
	bool was = atomic_exchange_explicit(&apic->pin[pin], level, memory_order_release);

	if (!level)
		return;
	/* The PICs' wire stays up while there is something for them; each time they say so it is asked for again. */
	if (local_apic_external(apic))
		apic->bus->interrupt(apic);
	else if (!was)
		local_apic_raise(apic, pin ? LVT_LINT1 : LVT_LINT0);
}

void local_apic_error(struct local_apic *apic, uint32_t error)
{
	/* relaxed: bits that are added up. */
	uint32_t before = atomic_fetch_or_explicit(&apic->errors, error, memory_order_relaxed);
	uint32_t entry = apic_word(&apic->lvt[LVT_ERROR]);

	/* A vector that is none would be the next error, and so on. */
	if (!(before & error) && (entry & LVT_VECTOR) >= FIRST_VECTOR)
		local_apic_raise(apic, LVT_ERROR);
}
