/* SPDX-License-Identifier: MIT */
/*
 * What mmu/ and the exits do to a map, an EPT entry and a TLB, for spin: every interleaving of two vCPUs and two writers.
 *
 * A step that others can see is one statement, or one `atomic`; steps are joined only where nothing that is shared lies
 * between (published maps do not change, so that reading one joins with anything). The inlines have the names of the
 * functions they stand for, and cite the rules of docs/rules.md. Names in capitals are switches of tests/model/cases:
 * EDIT_... what commits do, RULE_... breaks a rule.
 *
 * One page is watched. It has one slot of the EPT, the TLB of each CPU may hold it, and it is answered by the hole, by
 * the device in slot 1 of the map, or by memory. The device may also stand elsewhere.
 */
#include "map.pml"
#include "grace.pml"
#include "commit.pml"
#include "complete.pml"
#include "vcpu.pml"

init {
	atomic {
		holds[0] = NONE;
		holds[1] = NONE;
		map[0].stamping = true;
		map[0].tag_of[HOLE] = TAG(generation);
		map[0].made_at[HOLE] = generation;
#ifdef BEGINS_WITH_DEVICE
		nr_made = 1;
		put_device(0);
#endif
#ifdef BEGINS_WITH_MEMORY
		nr_made = 1;
		map[0].page = MEMORY;
		map[0].memory = 1;
#endif
		page_is = map[0].page;
		run vcpu(0);
		run vcpu(1);
#if WRITERS > 0
		run writer();
#endif
#if WRITERS > 1
		run writer();
#endif
#ifdef STORE_BUFFERS
		run store_buffer(0);
		run store_buffer(1);
#endif
	};
#ifndef STORE_BUFFERS
	atomic {
		_nr_pr == 1 ->
		NEVER(wrap_lost, !map[vm_map].stamping && !wrap_owed)
	}
#endif
}
