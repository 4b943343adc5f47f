# SPDX-License-Identifier: MIT
"""The bars of `make bench`: how far each figure must reach."""

import linux_bench
import nested_bench


def at_most(limit):
    return f"<= {limit}", lambda value, figures: value <= limit


def at_least(limit):
    return f">= {limit}", lambda value, figures: value >= limit


def near(other):
    return f"{other} within 2%", lambda value, figures: abs(value - figures[other]) <= 0.02 * figures[other]


def times_less_than(number, other):
    return f"{other} at least {number} times", lambda value, figures: number * value <= figures[other]


def no_more_than(other):
    return f"<= {other} + 2%", lambda value, figures: value <= 1.02 * figures[other]


# How far it must reach.
BARS = {
    "vmcall_ticks": [at_most(75)],
    "cpuid_ticks": [at_most(96)],
    "mmio_second_rip_ticks": [at_most(530)],
    "doorbell_ticks": [at_most(105)],
    "doorbell_alternating_ticks": [at_most(110)],
    "doorbell_evicted_ticks": [at_most(200)],
    "mmio_read32_ticks": [at_most(265)],
    "mmio_write32_ticks": [at_most(265)],
    "mmio_alternating_pages_ticks": [at_most(280)],
    "mmio_evicted_ticks": [at_most(340)],
    "mmio_cold_rip_ticks": [at_most(350)],
    "mmio_page_end_ticks": [at_most(265)],
    "mmio_straddling_code_ticks": [at_most(450)],
    "mmio_after_other_commit_ticks": [at_most(300)],
    "doorbell_decoded_ticks": [at_most(300)],
    "coalesced_write_ticks": [at_most(270)],
    "clustered_store_ticks": [at_most(120)],
    "clustered_made_store_ticks": [at_most(225)],
    "read_loop_per_iteration_ticks": [at_most(225)],
    "poll_loop_per_iteration_ticks": [at_most(267)],
    "poll_memory_per_iteration_ticks": [at_most(340)],
    "mmio_read8_ticks": [at_most(345)],
    "mmio_test32_ticks": [at_most(295)],
    "rep_movsd_per_element_ticks": [at_most(60)],
    "rep_movsd_receive_per_element_ticks": [at_most(60)],
    "embedder_read_ticks": [at_most(390)],
    "mmio_read32_1000_ranges_ticks": [near("mmio_read32_ticks")],
    "stale_total_ticks": [at_most(470)],
    "invalidate_all_ticks_1": [at_most(600)],
    "invalidate_all_ticks_1000": [at_most(600), near("invalidate_all_ticks_1")],
    "invalidate_all_ticks_50000": [at_most(600), near("invalidate_all_ticks_1")],
    "commit_add_ticks": [at_most(900), near("commit_add_0_live_ticks")],
    "commit_move_ticks": [at_most(900)],
    "commit_remove_mmio_ticks": [at_most(900), near("commit_remove_mmio_0_live_ticks")],
    "commit_per_range_ticks": [at_most(12)],
    "commit_remove_ram_ticks_50000": [at_most(20000)],
    "ram_fault_ticks": [at_most(190)],
    "commit_add_1gib_ticks": [near("commit_add_4kib_ticks")],
    "commit_remove_1gib_ticks": [near("commit_remove_4kib_ticks")],
    "dirty_enable_2mib_ticks": [at_most(3700)],
    "dirty_first_write_2mib_ticks": [at_most(2)],
    "dirty_fetch_2mib_ticks": [at_most(2050)],
    "dirty_enable_1gib_ticks": [no_more_than("dirty_enable_2mib_ticks")],
    "trace_record_ticks": [at_most(60)],
    "vmcs_reads_doorbell": [at_most(7)],
    "vmcs_writes_doorbell": [at_most(1)],
    "vmcs_reads_mmio": [at_most(8)],
    "vmcs_writes_mmio": [at_most(1)],
    "locked_ops_doorbell": [at_most(0)],
    "locked_ops_mmio": [at_most(0)],
    "boot_ticks": [at_most(40000000)],
    "hosted_scaling_2": [at_least(1.9)],
    # One stale access for each move, and not one for each device; and no commit that walks.
    "policy_range_stale": [times_less_than(1000, "policy_all_stale"), times_less_than(1000, "policy_zap_stale")],
    "policy_range_move_ticks": [times_less_than(10, "policy_zap_move_ticks")],
    "policy_range_read_all_ticks": [times_less_than(1, "policy_all_read_all_ticks")],
    "policy_all_move_ticks": [times_less_than(5, "policy_zap_move_ticks")],
    "policy_range_stall_ticks": [times_less_than(4, "policy_zap_stall_ticks")],
} | nested_bench.bars() | linux_bench.bars()
