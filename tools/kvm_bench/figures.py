# SPDX-License-Identifier: MIT
"""KVM's figures, measured on the spot: this folder's program and guest run on the Linux that Bochs boots (tools/nested)."""

import bisect
import re

import bochs_trace
from nested import linux

# KVM as Trapline's figures want it: neither APICv nor FlexPriority serves the local APIC without an exit.
KVM_OPTIONS = "flexpriority=0 enable_apicv=0"
MEMORY = 256  # MiB

SYMBOL = re.compile(r"^([0-9a-f]{16}) [tTwW] (\S+)", re.MULTILINE)
KERNEL_BIT = 47  # of a linear address
PROGRAM_AT = 0x400000  # where an ordinary program is linked; the guest ends below
RELEASE = re.compile(r"^release (\S+)$", re.MULTILINE)

# Where KVM has two cases for one figure of Trapline's.
SECOND_CASES = {
    "mmio_read32_ticks": "kvm_mmio_read32_ioapic_ticks",
    "mmio_read32_1000_ranges_ticks": "kvm_mmio_read32_1000_ranges_ioapic_ticks",
    "stale_total_ticks": "kvm_zapped_total_ticks",
    "commit_remove_mmio_ticks": "kvm_commit_remove_ram_ticks_50000",
}
# What there is no figure of Trapline's beside.
BEFORE_OURS = ("lapic_eoi_ticks",)
# The figure that must be as many ticks as the path has instructions.
TRACED = {
    "kvm_vmcall": "kvm_vmcall_ticks",
    "kvm_cpuid": "kvm_cpuid_ticks",
    "kvm_mmio_read32": "kvm_mmio_read32_ticks",
    "kvm_mmio_read32_ioapic": "kvm_mmio_read32_ioapic_ticks",
    "kvm_mmio_write32": "kvm_mmio_write32_ticks",
    "kvm_mmio_read8": "kvm_mmio_read8_ticks",
    "kvm_mmio_test32": "kvm_mmio_test32_ticks",
    "kvm_lapic_eoi": "kvm_lapic_eoi_ticks",
    "kvm_stores_16": ("kvm_clustered_store_ticks", 16),
    "kvm_doorbell": "kvm_doorbell_ticks",
    "kvm_coalesced_write32": "kvm_coalesced_write_ticks",
    "kvm_embedder_read32": "kvm_embedder_read_ticks",
    "kvm_embedder_write32": "kvm_embedder_write_ticks",
}
COUNTS = ("vmcs_reads", "vmcs_writes", "locked_ops")
PATHS = {
    "mmio": ("kvm_mmio_read32", "kvm_mmio_read32_ioapic", "kvm_mmio_write32"),
    "doorbell": ("kvm_doorbell",),
}


class KernelSymbols:
    """The functions of the kernel and its modules, as /proc/kallsyms names them."""

    def __init__(self, text):
        symbols = sorted((int(address, 16), name) for address, name in SYMBOL.findall(text))
        if not symbols:
            raise bochs_trace.TraceError("the kernel's symbols are missing.")
        self.addresses = [address for address, _ in symbols]
        self.names = [name.split(".")[0] for _, name in symbols]

    def function(self, _, linear):
        if linear >> KERNEL_BIT:
            return self.names[bisect.bisect_right(self.addresses, linear) - 1]
        return "(guest)" if linear < PROGRAM_AT else "(userspace)"


def run(build, name, folder, model, timeout):
    """(console, what Bochs printed) of a run."""
    traced = name == "trace"
    program = build + "/kvm_bench"
    script = f"echo release $(uname -r) > serial.txt\n./measure guest.bin {name} >> serial.txt\n"
    files = {"measure": program + "/measure", "guest.bin": program + "/guest.bin"}
    job = linux.Job(script, files, MEMORY, KVM_OPTIONS, bochs_trace.COMMANDS if traced else "")
    return linux.run(build + "/nested", job, folder, model, timeout)


def path_figures(paths):
    figures = {}
    for name, path in paths.items():
        figures[name + "_instructions"] = path.instructions
        for kind, number in path.kinds.items():
            figures[f"{name}_{kind}"] = number
    for kind, names in PATHS.items():
        for count in COUNTS:
            figures[f"kvm_{count}_{kind}"] = max(paths[name].kinds[count] for name in names)
    return figures


def measure(build, folder, model, timeout, read_figures):
    """(figures, paths, Linux' release). read_figures() takes a console apart."""
    console, _ = run(build, "ticks", folder + "/kvm", model, timeout)
    traced, trace = run(build, "trace", folder + "/kvm-trace", model, timeout)
    # The stack lies elsewhere now and then, which costs KVM some instructions.
    paths = bochs_trace.read_paths(trace, traced, KernelSymbols(trace), steady=False)
    for name in TRACED:
        if name not in paths:
            raise bochs_trace.TraceError(f"the path {name} was not traced.")
    return read_figures(console) | path_figures(paths), paths, RELEASE.search(console)[1]


def beside(figures, names):
    """KVM's figures by the names of Trapline's, in the form of kvm_figures.json: the lower one first where there are two."""
    table = {}
    for name in names:
        cases = [figures[case] for case in ("kvm_" + name, SECOND_CASES.get(name)) if case in figures]
        if cases:
            table[name] = {"low": min(cases)} | ({"high": max(cases)} if len(cases) > 1 else {})
    return table
