/* SPDX-License-Identifier: MIT */
/* Descriptors and segment registers, in software. SDM vol. 3, 3.4.5 and 5.8. */
#ifndef MMIO_SEGMENT_H
#define MMIO_SEGMENT_H

#include "mmio/unit.h"

enum { SEGMENT_VECTOR_NP = 11, SEGMENT_VECTOR_SS = 12, SEGMENT_VECTOR_GP = 13, SEGMENT_VECTOR_PF = 14 };
enum { SELECTOR_TABLE = 4 /* the LDT */ };

#define SEGMENT_EFER_LMA BIT(10)

/* Access rights, as in a VMCS. SDM vol. 3, 25.4.1. */
#define RIGHTS_ACCESSED   BIT(0)
#define RIGHTS_WRITABLE   BIT(1) /* of code: readable; of a task-state segment: busy */
#define RIGHTS_CONFORMING BIT(2)
#define RIGHTS_CODE       BIT(3)
#define RIGHTS_NO_SYSTEM  BIT(4)
#define RIGHTS_PRESENT    BIT(7)
#define RIGHTS_LONG       BIT(13)
#define RIGHTS_BIG        BIT(14)
#define RIGHTS_GRANULAR   BIT(15)
#define RIGHTS_UNUSABLE   BIT(16)
#define RIGHTS_DPL(r)     ((unsigned)((r) >> 5 & 3))
#define RIGHTS_BUSY       RIGHTS_WRITABLE

/* One as it was read, and where it stands. */
struct descriptor {
	uint64_t low, high;
	gva_t linear;
	uint16_t selector;
};

/* Real and virtual-8086 mode: a segment begins at its selector times 16, and there are no descriptors. */
bool segment_is_flat_mode(const struct mmio_cpu *cpu);

/* A fault whose error code is a selector. Always MMIO_FAULT. */
enum mmio_progress segment_fault(struct mmio_operation *op, unsigned vector, uint16_t selector);

/*
 * Reads the descriptor of `size` bytes, 8 or 16, by a supervisor access whatever the CPL. MMIO_DONE; MMIO_FAULT (#GP
 * beyond the table, #PF); MMIO_TABLE_NOT_RAM; MMIO_RACED; MMIO_REFUSED where it straddles two pages.
 */
enum mmio_progress segment_descriptor(struct mmio_operation *op, const struct mmio_cpu *cpu,
				      const struct mmio_environment *env, uint16_t selector, unsigned size,
				      struct descriptor *descriptor);

/* The same of 8 bytes, for one whose selector is to blame by `vector`, #GP or a task switch's #TS. */
enum mmio_progress segment_find(struct mmio_operation *op, const struct mmio_cpu *cpu,
				const struct mmio_environment *env, uint16_t selector, unsigned vector,
				struct descriptor *descriptor);

/*
 * Where the byte at `offset` of a descriptor, or of anything that the CPU finds through one, is in guest memory, and
 * op->gpa: by a supervisor access. NULL, with *progress as of segment_descriptor(), if the access ends otherwise.
 */
uint8_t *descriptor_byte(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct mmio_environment *env,
			 const struct descriptor *descriptor, unsigned offset, unsigned access,
			 enum mmio_progress *progress);

/* The access rights, as a VMCS has them; and all of a segment. */
uint32_t descriptor_rights(const struct descriptor *descriptor);
void descriptor_unpack(const struct descriptor *descriptor, uint16_t selector, struct tl_segment *segment);

/*
 * Sets bits of the type where the descriptor stands, by a supervisor write as the CPU makes it: none if they are set.
 * MMIO_DONE, or what segment_descriptor() ends in. SDM vol. 3, 3.4.5.1 and 5.8.
 */
enum mmio_progress descriptor_mark(struct mmio_operation *op, const struct mmio_cpu *cpu,
				   const struct mmio_environment *env, struct descriptor *descriptor, uint8_t bits);

/*
 * Loads ES, SS, DS, FS or GS as MOV and POP do. MMIO_DONE; MMIO_FAULT (#GP, #NP, #SS with the selector); or what
 * segment_descriptor() ended in. SDM vol. 2, MOV.
 */
enum mmio_progress segment_load(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				enum tl_segment_name name, uint16_t selector);

/*
 * The same of a selector that is not null, in protected mode: as those do by #GP, or with #TS as a task switch does,
 * which loads CS, too, at the RPL of its selector.
 */
enum mmio_progress segment_load_described(struct mmio_operation *op, struct mmio_cpu *cpu,
					  const struct mmio_environment *env, enum tl_segment_name name,
					  uint16_t selector, unsigned vector);

/* A code segment that a far JMP or CALL goes to. */
struct segment_code {
	struct descriptor descriptor; /* in real and virtual-8086 mode there is none */
	struct tl_segment segment;
};

/*
 * What a far JMP or CALL does, in its order: finds the segment, with the faults that its selector and descriptor have;
 * then (a CALL has looked at its stack by now) whether it holds the target; then loads CS, RIP not yet.
 * MMIO_DONE; MMIO_FAULT; MMIO_REFUSED: through a gate, or to another task; or what segment_descriptor() ended in.
 */
enum mmio_progress segment_find_code(struct mmio_operation *op, const struct mmio_cpu *cpu,
				     const struct mmio_environment *env, uint16_t selector, struct segment_code *code);
enum mmio_progress segment_holds(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct segment_code *code,
				 uint64_t target);
enum mmio_progress segment_load_code(struct mmio_operation *op, struct mmio_cpu *cpu,
				     const struct mmio_environment *env, struct segment_code *code);

#endif
