/* SPDX-License-Identifier: MIT */
/* Exceptions while another event is on its way to its handler. SDM vol. 3, 7.15, interrupt 8. */
#include "vmx/exit.h"

/* Tables 7-4 and 7-5. */
#define CONTRIBUTORY (BIT(0) | BITS(13, 10))

static bool makes_double_fault(unsigned first, unsigned second)
{
	if (first == VECTOR_PF)
		return second == VECTOR_PF || CONTRIBUTORY >> second & 1;
	return CONTRIBUTORY >> first & 1 && CONTRIBUTORY >> second & 1;
}

enum nesting nesting_of(uint64_t first, unsigned second)
{
	unsigned vector = first & 0xff;

	if (!(first & EVENT_INFO_VALID) || (first & EVENT_INFO_TYPE) >> 8 != TL_EVENT_EXCEPTION)
		return NESTING_SERIAL;
	if (vector == VECTOR_DF)
		return NESTING_SHUTDOWN;
	return makes_double_fault(vector, second) ? NESTING_DOUBLE_FAULT : NESTING_SERIAL;
}

/*
 * The exception takes the event's place, as it does in a processor: a fault or a software interrupt comes again with
 * its instruction; an interrupt has been acknowledged and is lost, as is an NMI, whose delivery has blocked the next
 * ones.
 */
enum nesting exit_nesting(unsigned vector)
{
	uint64_t delivered = vmcs_read(VMCS_IDT_VECTORING_INFORMATION);

	if (delivered & EVENT_INFO_VALID && (delivered & EVENT_INFO_TYPE) >> 8 == TL_EVENT_NMI)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
	return nesting_of(delivered, vector);
}

enum vcpu_action exit_raise_fault(struct tl_vcpu *vcpu, const struct mmio_fault *fault)
{
	if (fault->vector == VECTOR_PF)
		return exit_page_fault(vcpu, fault->linear, fault->error_code);
	if (fault->has_error_code)
		return exit_raise_error(vcpu, fault->vector, fault->error_code);
	return exit_raise(vcpu, fault->vector);
}

enum vcpu_action exit_raise_nested(struct tl_vcpu *vcpu, const struct mmio_fault *fault)
{
	switch (exit_nesting(fault->vector)) {
	case NESTING_SHUTDOWN:
		return exit_leave(vcpu, TL_EXIT_SHUTDOWN);
	case NESTING_DOUBLE_FAULT:
		if (fault->vector == VECTOR_PF)
			write_cr2(fault->linear);
		return exit_raise_error(vcpu, VECTOR_DF, 0);
	default:
		return exit_raise_fault(vcpu, fault);
	}
}
