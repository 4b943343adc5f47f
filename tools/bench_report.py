# SPDX-License-Identifier: MIT
"""What `make bench` prints: the table beside KVM's figures and the bars, the counts, and where the instructions go."""

import re
import statistics
import subprocess

import machine
import linux_bench
import nested_bench
from bench_bars import BARS

PRODUCER = re.compile(r"DW_AT_producer .*?: (GNU C\S* [\d.]+|[^:]*clang version [\d.]+)")

# What the guest has to measure, in the order of the table.
MEASURED = (
    "vmcall_ticks", "cpuid_ticks", "mmio_read32_ticks", "mmio_write32_ticks", "mmio_read8_ticks", "mmio_test32_ticks",
    "mmio_read32_1000_ranges_ticks",
    "mmio_alternating_pages_ticks", "mmio_evicted_ticks", "mmio_cold_rip_ticks", "mmio_second_rip_ticks",
    "mmio_page_end_ticks", "mmio_straddling_code_ticks", "mmio_after_other_commit_ticks",
    "clustered_store_ticks", "clustered_made_store_ticks",
    "read_loop_per_iteration_ticks", "poll_loop_per_iteration_ticks", "poll_memory_per_iteration_ticks",
    "rep_movsd_per_element_ticks", "rep_movsd_64_per_element_ticks",
    "rep_movsd_receive_per_element_ticks", "rep_movsd_receive_64_per_element_ticks",
    "mmio_read32_verified_ticks", "stale_total_ticks",
    "doorbell_ticks", "doorbell_alternating_ticks", "doorbell_evicted_ticks", "doorbell_decoded_ticks",
    "sized_read32_ticks", "coalesced_write_ticks",
    "embedder_read_ticks", "embedder_write_ticks", "invalidate_all_ticks_1", "invalidate_all_ticks_1000",
    "invalidate_all_ticks_50000", "commit_add_ticks", "commit_add_0_live_ticks", "commit_move_ticks",
    "commit_remove_mmio_ticks", "commit_remove_mmio_0_live_ticks", "commit_per_range_ticks",
    "commit_remove_ram_ticks_50000", "ram_fault_ticks", "trace_record_ticks",
    "commit_add_4kib_ticks", "commit_add_1gib_ticks", "commit_remove_4kib_ticks", "commit_remove_1gib_ticks",
    "dirty_enable_2mib_ticks", "dirty_enable_1gib_ticks", "dirty_first_write_2mib_ticks", "dirty_first_write_1gib_ticks",
    "dirty_fetch_2mib_ticks", "dirty_fetch_1gib_ticks", "mmio_store64_avx512_ticks",
)  # fmt: skip
# What a commit does about MMIO entries, and what a machine whose BARs move shows of each.
POLICIES = ("range", "all", "zap")
POLICY_ROWS = ("move_ticks", "read_all_ticks", "stale", "stall_ticks")
POLICY_FIGURES = tuple(f"policy_{policy}_{row}" for policy in POLICIES for row in POLICY_ROWS)
# By threads in a process, beside a writer.
HOSTED = ("hosted_scaling_2",)
DEVICES = ("virtio_blk_4k_read_ticks",)
# Once, on a machine of 4 GiB.
BOOTED = ("boot_ticks",)
# By the kind of access; of the paths of each kind the largest.
COUNTED = (
    "vmcs_reads_doorbell", "vmcs_writes_doorbell", "locked_ops_doorbell",
    "vmcs_reads_mmio", "vmcs_writes_mmio", "locked_ops_mmio",
)  # fmt: skip

NUMBER_COLUMNS = (1, 4, 5)  # of the table

# How many times fewer ticks than KVM: in every row that both have, and in the median one.
LEAST_RATIO, MEDIAN_RATIO = 10, 13

# The kinds of costly instructions, as the report calls them.
LABELS = {
    "vmcs_reads": "VMREAD",
    "vmcs_writes": "VMWRITE",
    "locked_ops": "locked",
    "fences": "fences",
    "msr_accesses": "MSR",
    "flushes": "flushes",
    "memory_accesses": "memory",
}


def producer(elf):
    """The compiler, as it noted itself in the image's debugging information."""
    command = ["readelf", "--debug-dump=info", "--dwarf-depth=1", elf]
    match = PRODUCER.search(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return match[1].strip() if match else "an unknown compiler"


def kvm_cells(entry, value):
    """KVM's figure and how many times ours it is; of a range, the end that flatters us least."""
    if entry is None:
        return "", ""
    low, high = entry["low"], entry.get("high")
    return f"{low:,}" + (f" to {high:,}" if high else ""), f"{low / value:.1f}" if value else ""


def aligned(rows, numbers=NUMBER_COLUMNS):
    """A Markdown table that is one to the eye, too; the first row is the head, `numbers` stand at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = [column in numbers for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(row, widths, right)]
        lines.append("| " + " | ".join(cells) + " |")
    rule = ["-" * (width - r) + ":" * r for width, r in zip(widths, right)]
    return [lines[0], "| " + " | ".join(rule) + " |", *lines[1:]]


def table(figures, kvm):
    rows = [["figure", "Trapline", "bar", "", "KVM 6.1", "ratio"]]
    for name in (*MEASURED, *COUNTED, *BOOTED, *HOSTED, *DEVICES, *POLICY_FIGURES, *(name for name in (*nested_bench.FIGURES, *linux_bench.FIGURES) if name in figures)):
        bars = BARS.get(name, [])
        met = "" if not bars else "met" if all(test(figures[name], figures) for _, test in bars) else "MISSED"
        bar = ", ".join(text for text, _ in bars)
        rows.append([f"`{name}`", f"{figures[name]:,}", bar, met, *kvm_cells(kvm.get(name), figures[name])])
    return aligned(rows)


def counts_table(paths):
    """What each path has of what is expensive on silicon; KVM's, where they were traced, below ours."""
    twins = [name for path in paths for name in (path, "kvm_" + path) if not path.startswith("kvm_") and name in paths]
    rows = [["path", "instructions", *LABELS.values()]]
    for name in [*twins, *(name for name in paths if name not in twins)]:
        counts = (paths[name].instructions, *(paths[name].kinds[kind] for kind in LABELS))
        rows.append([f"`{name}`", *(f"{count:,}" for count in counts)])
    return aligned(rows, range(1, len(rows[0])))


def policy_table(figures):
    heads = ("median of a move", "longest", "1,000 reads after it", "stale accesses", "longest wait of a vCPU")
    rows = [["policy", *heads]]
    for policy in POLICIES:
        of = {row: figures[f"policy_{policy}_{row}"] for row in POLICY_ROWS}
        longest = figures[f"policy_{policy}_move_ticks_p99"]
        cells = (of["move_ticks"], longest, of["read_all_ticks"], of["stale"], of["stall_ticks"])
        rows.append([f"`invalidate={policy}`", *(f"{cell:,}" for cell in cells)])
    return aligned(rows, range(1, len(rows[0])))


def path_line(name, path):
    functions = ", ".join(f"`{function}` {number}" for function, number in path.functions.items())
    return f"* `{name}`: {path.instructions:,} instructions: {functions}"


def ratios(figures, kvm):
    """{figure: how many times KVM's is ours} of the rows of ticks that both have."""
    rows = [name for name in MEASURED if name in kvm and name in figures]
    return {name: kvm[name]["low"] / figures[name] for name in rows}


def ratio_lines(figures, kvm):
    """The two bars over all rows, and by name the rows that are below the first."""
    rows = ratios(figures, kvm)
    below = sorted((name for name in rows if rows[name] < LEAST_RATIO), key=rows.get)
    median = statistics.median(rows.values())
    return [
        f"In the {len(rows)} rows of ticks that both have KVM takes {min(rows.values()):.1f} times as many at least, "
        f"{median:.1f} times in the median. Bars: {LEAST_RATIO} in each row, {'MISSED' if below else 'met'}"
        + (" by " + ", ".join(f"`{name}` ({rows[name]:.1f})" for name in below) if below else "")
        + f"; {MEDIAN_RATIO} in the median, {'met' if median >= MEDIAN_RATIO else 'MISSED'}.",
    ]


def silicon_report(figures):
    """On silicon the time-stamp counter counts cycles, and the spread says something."""
    rows = [["figure", "minimum", "median", "99th percentile"]]
    for name in (name for name in MEASURED if name in figures):
        cells = (figures.get(name + "_min", figures[name]), figures[name], figures.get(name + "_p99", figures[name]))
        rows.append([f"`{name.replace('_ticks', '_cycles')}`", *(f"{cell:,}" for cell in cells)])
    head = "Cycles of the time-stamp counter on silicon, not instructions: no bar applies, and KVM was not measured there."
    return "\n".join(["", head, "", *aligned(rows, range(1, 4))]) + "\n"


def report(figures, paths, kvm, elf):
    bars = {name: tests for name, tests in BARS.items() if name in figures}
    missed = [n for n, tests in bars.items() if not all(test(figures[n], figures) for _, test in tests)]
    lines = [
        "",
        f"{machine.DEFAULT_MODEL} in Bochs, 1 CPU, {figures['map_ranges']} ranges in the map; built by {producer(elf)}.",
        "Ticks are medians; two runs gave the same.",
        "",
        *table(figures, kvm["figures"]),
        "",
        "The ratio is KVM's figure, of two the smaller one, to ours. KVM: " + kvm["source"] + ".",
        *ratio_lines(figures, kvm["figures"]),
        "",
        "A machine of 1,000 devices, of which 5 move their BARs 100 times, while another vCPU reads all the time (`bench-bars`):",
        "",
        *policy_table(figures),
        "",
        "What one exit, or one change of the map, has of what is expensive on silicon:",
        "",
        *counts_table(paths),
        "",
        "Where the instructions go, by function in the order of execution:",
        "",
        *(path_line(name, path) for name, path in paths.items()),
    ]
    summary = "all bars met" if not missed else "missed: " + ", ".join(missed)
    return "\n".join([*lines, "", f"{len(bars)} bars; {summary}"]) + "\n"
