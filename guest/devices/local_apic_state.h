/* SPDX-License-Identifier: MIT */
/* What the files of the local APIC have among themselves. */
#ifndef GUEST_DEVICES_LOCAL_APIC_STATE_H
#define GUEST_DEVICES_LOCAL_APIC_STATE_H

#include "guest/devices/local_apic.h"

enum { SPURIOUS_ENABLE = 1 << 8, SPURIOUS_NO_BROADCAST = 1 << 12 };
enum { LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, LVT_TSC_DEADLINE = 1 << 18, LVT_TIMER_MODE = 3 << 17 };
enum { LVT_VECTOR = 0xff, LVT_DELIVERY_SHIFT = 8, LVT_DELIVERY = 7 << LVT_DELIVERY_SHIFT };

/* By their number in the page, and among the MSRs. */
enum local_apic_register {
	REGISTER_ID = 0x02,
	REGISTER_VERSION = 0x03,
	REGISTER_TASK_PRIORITY = 0x08,
	REGISTER_ARBITRATION = 0x09,
	REGISTER_PRIORITY = 0x0A,
	REGISTER_EOI = 0x0B,
	REGISTER_REMOTE_READ = 0x0C,
	REGISTER_LOGICAL = 0x0D,
	REGISTER_FORMAT = 0x0E,
	REGISTER_SPURIOUS = 0x0F,
	REGISTER_ISR = 0x10,
	REGISTER_TMR = 0x18,
	REGISTER_IRR = 0x20,
	REGISTER_ERROR = 0x28,
	REGISTER_COMMAND = 0x30,
	REGISTER_COMMAND_HIGH = 0x31,
	REGISTER_LVT = 0x32,
	REGISTER_INITIAL_COUNT = 0x38,
	REGISTER_CURRENT_COUNT = 0x39,
	REGISTER_DIVIDE = 0x3E,
	REGISTER_SELF = 0x3F,
};

/* The ESR's. SDM vol. 3, 11.5.3. */
enum { ERROR_SEND_VECTOR = 1 << 5, ERROR_RECEIVED_VECTOR = 1 << 6, ERROR_REGISTER = 1 << 7 };

/* Vectors below 16 are no interrupts'. */
enum { FIRST_VECTOR = 16 };

/* Relaxed: each word is whole by itself, and what has to be seen in order goes by way of an IRR bit. */
static inline uint32_t apic_word(const _Atomic uint32_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void apic_set_word(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline bool local_apic_is_x2(const struct local_apic *apic)
{
	return atomic_load_explicit(&apic->base, memory_order_relaxed) & APIC_BASE_X2APIC;
}

static inline _Atomic uint32_t *apic_register(const struct local_apic *apic, unsigned index)
{
	return &apic->registers[index * 4];
}

/* Takes a fixed interrupt in, on any CPU. False: the APIC is off, or the vector is none. */
bool local_apic_accept(struct local_apic *apic, uint8_t vector, bool level);

/* Notes an error, on any CPU, and raises LVT_ERROR for a new one. */
void local_apic_error(struct local_apic *apic, uint32_t error);

/* EOI. Context: a callback of its vCPU. */
void local_apic_end_of_interrupt(struct local_apic *apic);

/*
 * Where the CPU delivers interrupts (local_apic_virtual.c): all requests of 32 vectors, collected or not; whether one
 * may be posted, which tells nobody of its trigger mode (docs/rules.md, rule 18); the highest that is requested,
 * collected by then, or in service; -1: none.
 */
uint32_t local_apic_page_requests(const struct local_apic *apic, unsigned part);
bool local_apic_can_post(const struct local_apic *apic, uint8_t vector, bool level, bool was_level);
int local_apic_page_requested(const struct local_apic *apic);
int local_apic_page_collected(struct local_apic *apic);
int local_apic_page_in_service(const struct local_apic *apic);
void local_apic_page_acknowledge(struct local_apic *apic, uint8_t vector);
void local_apic_page_end(struct local_apic *apic, uint8_t vector);
void local_apic_page_reset(struct local_apic *apic);

/* Puts the registers that the guest reads without an exit into the page, if there is one; but for the ICR. */
void local_apic_show(struct local_apic *apic);
/* The ICR: the CPU may have taken in another one, in its page. */
uint64_t local_apic_command(const struct local_apic *apic);
void local_apic_set_command(struct local_apic *apic, uint64_t command);

/* The PPR. */
uint32_t local_apic_priority(const struct local_apic *apic);

/* Tells the machine if there is an interrupt to take, after what may have made one deliverable. */
void local_apic_announce(struct local_apic *apic);

void local_apic_timer_init(struct local_apic *apic, const struct clock *clock);
void local_apic_timer_reset(struct local_apic *apic);
void local_apic_set_initial_count(struct local_apic *apic, uint32_t count);
uint32_t local_apic_current_count(const struct local_apic *apic);
void local_apic_set_divide(struct local_apic *apic, uint32_t divide);
void local_apic_set_deadline(struct local_apic *apic, uint64_t deadline);
/* The mode in LVT_TIMER was `old`. */
void local_apic_timer_mode(struct local_apic *apic, uint32_t old);

/* Registers by their number: the offset in the page / 16, the MSR - 800h. */
uint32_t local_apic_read(struct local_apic *apic, unsigned index);
void local_apic_write(struct local_apic *apic, unsigned index, uint32_t value);
void local_apic_write_command(struct local_apic *apic, uint64_t command);

/* Sets where the registers are, from IA32_APIC_BASE. */
void local_apic_place(struct local_apic *apic, uint64_t base);

#endif
