# SPDX-License-Identifier: MIT
"""What Debian's Linux takes as a guest, beside what it takes without a hypervisor, in the same emulator.

Both boots are of the same kernel and initramfs, with the same words, and are measured by the TSC from the kernel's first
instruction to the first line of its first program; a guest's TSC counts the host's work, too. The guest tests its disk after
that. A PC has a local APIC, an I/O APIC, and a virtio disk: all that is MMIO, and all ranges of the map.
"""

import json
import os
import re
import shutil

import iso
import machine
from kvm_linux import figures as kvm_linux
from linux_guest import native, system

FIGURES = (
    "lapic_eoi_ticks", "lapic_eoi_virtual_ticks", "io_apic_read_ticks", "linux_native_ticks", "linux_guest_ticks", "linux_overhead_ratio",
    "linux_mmio_exits", "linux_fresh_ratio", "linux_disk_4k_read_ticks", "linux_exits", "linux_exits_external_interrupt",
    "linux_exits_interrupt_window", "linux_exits_port", "linux_exits_hlt", "linux_exits_ept_violation", "linux_exits_other",
)  # fmt: skip
KVM_FIGURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kvm_figures.json")
MEMORY = 128  # MiB, the guest's; natively the BIOS takes some of as much
# The guest is told the rate of the TSC by CPUID. Natively Linux would measure it for 180 million ticks.
NATIVE_WORDS = "tsc=reliable tsc_early_khz=20000"
APIC = re.compile(r"apic: an end of interrupt takes (\d+) ticks, a read of the I/O APIC (\d+)")
APIC_MODULES = (("apic.elf", "apic pc mem=64M expect=power-off".split()),)
# By the end of the figure's name: what the word `exits` calls it. What is left are MSRs, CPUID, and accesses to devices.
REASONS = {
    "external_interrupt": "external interrupt",
    "interrupt_window": "interrupt window",
    "port": "I/O instruction",
    "hlt": "HLT",
    "ept_violation": "EPT violation",
}
BY_REASON = re.compile(r"^exits: (\d+) (.+?)\r?$", re.MULTILINE)
ROW = re.compile(r"^linux +\d+ +(\d+) +(\d+) .* pass$", re.MULTILINE)


class LinuxBenchError(Exception):
    """There are no figures; the text says why."""


def run_guest(build, folder, timeout, modules, command_line=""):
    """The console of a run of the one guest in `modules`."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    iso.make_iso(folder + "/trapline.iso", build, command_line, modules)
    result = machine.run(folder + "/trapline.iso", machine.Settings(timeout=timeout), folder)
    if result.status != machine.PASSED:
        name = modules[0][1][0]
        raise LinuxBenchError(f"the guest {name} did not pass (logs in {folder}): {result.reason}; LINUX=0 leaves it out.")
    return result.console


def apic_figures(build, folder, timeout):
    """By MMIO, and where the CPU ends interrupts by itself."""
    # No "=" in the folders' names: xorriso takes what is before one in a path for where the rest is to be put.
    ways = [
        APIC.search(run_guest(build, f"{folder}/apic-{way}", timeout, APIC_MODULES, words))
        for way, words in (("mmio", "off=tpr-shadow"), ("virtual", "trust=virtual-interrupts"))
    ]
    if not all(ways):
        raise LinuxBenchError("the guest apic passed, but says nothing of ticks.")
    return {
        "lapic_eoi_ticks": int(ways[0][1]),
        "lapic_eoi_virtual_ticks": int(ways[1][1]),
        "io_apic_read_ticks": int(ways[0][2]),
    }


def exit_figures(console):
    """How often the guest was left, until it turned itself off, in all and by reason; a reason without a line had none."""
    counts = {name: int(number) for number, name in BY_REASON.findall(console)}
    by_reason = {f"linux_exits_{end}": counts.get(name, 0) for end, name in REASONS.items()}
    other = counts.get("all", 0) - sum(by_reason.values())
    if other <= 0:
        raise LinuxBenchError("Linux passed as a guest, but its console has no exits by reason that make sense.")
    return {"linux_exits": counts["all"], "linux_exits_other": other} | by_reason


def guest_figures(console):
    reached, read, row = native.USERSPACE.search(console), native.READ.search(console), ROW.search(console)
    if not reached or not read or not row:
        raise LinuxBenchError("Linux passed as a guest, but its console lacks a figure.")
    fresh, stale = int(row[1]), int(row[2])
    return {
        "linux_guest_ticks": int(reached[1]),
        "linux_mmio_exits": fresh + stale,
        "linux_fresh_ratio": round(fresh / (fresh + stale), 4),
        "linux_disk_4k_read_ticks": int(read[2]) // int(read[1]),
    } | exit_figures(console)


def measure(build, folder, timeout):
    """The figures. Raises LinuxBenchError, machine.CannotRun, packages.NestedError."""
    system.prepare(build)
    words = " ".join(system.KERNEL_WORDS.split()) + " job=boot " + NATIVE_WORDS
    ticks, _ = native.run(build + "/linux", folder + "/native", words, MEMORY, machine.DEFAULT_MODEL, timeout)
    linux = system.modules(build + "/linux", "disk", 1, MEMORY, "exits")
    figures = guest_figures(run_guest(build, folder + "/guest", timeout, linux))
    figures |= apic_figures(build, folder, timeout)
    ratio = round(figures["linux_guest_ticks"] / ticks, 3)
    return {"linux_native_ticks": ticks, "linux_overhead_ratio": ratio} | figures


def measure_kvm(build, folder, timeout, native_ticks):
    """(figures, the twins of ours in the form of kvm_figures.json) of KVM in the same emulator. Comes after measure()."""
    figures = kvm_linux.measure(build, folder, MEMORY, machine.DEFAULT_MODEL, timeout)
    figures["kvm_linux_overhead_ratio"] = round(figures["kvm_linux_guest_ticks"] / native_ticks, 3)
    twins = {name: {"low": figures["kvm_" + name]} for name in FIGURES if "kvm_" + name in figures}
    return figures, twins


def beats_kvm(value, figures):
    """Of the run beside, or of the one that the table shows."""
    if "kvm_linux_guest_ticks" in figures:
        return value < figures["kvm_linux_guest_ticks"]
    with open(KVM_FIGURES, encoding="utf-8") as file:
        return value < json.load(file)["figures"]["linux_guest_ticks"]["low"]


def bars():
    """By figure: how far it must reach."""
    bounds = {"linux_overhead_ratio": 1.5, "lapic_eoi_ticks": 400, "lapic_eoi_virtual_ticks": 10, "io_apic_read_ticks": 450}
    reached = {name: [(f"<= {bound}", lambda value, figures, bound=bound: value <= bound)] for name, bound in bounds.items()}
    return reached | {"linux_guest_ticks": [("< KVM's", beats_kvm)]}
