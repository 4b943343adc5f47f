/* SPDX-License-Identifier: MIT */
#include "tests/unit/virtual_cpu.h"

#include <stdatomic.h>

enum { STRIDE = 16, PIR_WORDS = 4 };

uint32_t *virtual_cpu_word(const struct virtual_cpu *cpu, unsigned set, unsigned vector)
{
	return &cpu->page[(set + vector / 32 * STRIDE) / 4];
}

static uint32_t bit_of(unsigned vector)
{
	return 1u << vector % 32;
}

uint8_t virtual_cpu_highest(const struct virtual_cpu *cpu, unsigned set)
{
	for (unsigned vector = 255; vector; vector--)
		if (*virtual_cpu_word(cpu, set, vector) & bit_of(vector))
			return (uint8_t)vector;
	return 0;
}

static uint32_t priority(const struct virtual_cpu *cpu)
{
	uint32_t task = cpu->page[VIRTUAL_TPR / 4];

	return cpu->svi >> 4 > task >> 4 ? cpu->svi & 0xf0u : task;
}

int virtual_cpu_deliver(struct virtual_cpu *cpu)
{
	uint8_t vector = cpu->rvi;

	if (vector >> 4 <= priority(cpu) >> 4)
		return VIRTUAL_NO_VECTOR;
	*virtual_cpu_word(cpu, VIRTUAL_IRR, vector) &= ~bit_of(vector);
	*virtual_cpu_word(cpu, VIRTUAL_ISR, vector) |= bit_of(vector);
	cpu->rvi = virtual_cpu_highest(cpu, VIRTUAL_IRR);
	cpu->svi = vector;
	return vector;
}

int virtual_cpu_end(struct virtual_cpu *cpu)
{
	uint8_t vector = cpu->svi;

	*virtual_cpu_word(cpu, VIRTUAL_ISR, vector) &= ~bit_of(vector);
	cpu->svi = virtual_cpu_highest(cpu, VIRTUAL_ISR);
	return cpu->eoi_exits[vector / 32] & bit_of(vector) ? vector : VIRTUAL_NO_VECTOR;
}

void virtual_cpu_request(struct virtual_cpu *cpu, uint8_t vector)
{
	*virtual_cpu_word(cpu, VIRTUAL_IRR, vector) |= bit_of(vector);
	if (vector > cpu->rvi)
		cpu->rvi = vector;
}

/* Locked, each of them, as the CPU has it. */
void virtual_cpu_notified(struct virtual_cpu *cpu)
{
	_Atomic uint64_t *requests = (_Atomic uint64_t *)cpu->posted->requests;

	atomic_fetch_and((_Atomic uint64_t *)&cpu->posted->control, ~1ull);
	for (unsigned i = 0; i < PIR_WORDS; i++)
		for (uint64_t taken = atomic_exchange(&requests[i], 0); taken; taken &= taken - 1)
			virtual_cpu_request(cpu, (uint8_t)(64 * i + (unsigned)__builtin_ctzll(taken)));
}
