# SPDX-License-Identifier: MIT
"""What Linux takes under KVM, on the Linux that Bochs boots (tools/nested): this folder's program runs it on the board that
Trapline's guest has, with KVM's own interrupt controllers."""

import re

from kvm_bench.figures import KVM_OPTIONS
from linux_guest import native, system
from nested import linux
from nested.packages import NestedError

# Time passes as fast beside the instructions as in the other runs: both have as many timer interrupts in as many ticks.
IPS = 20_000_000
SPARE = 128  # MiB, beside the guest's own memory: its files are there twice
ENDED = re.compile(
    r"kvm-linux: entered after (\d+) ticks, (\d+) exits of KVM's, of them served here (\d+) of ports, (\d+) of MMIO"
)
# By the end of our figure's name: KVM's own count (Documentation/virt/kvm/api.rst, 4.133).
STATISTICS = {
    "external_interrupt": "irq_exits",
    "interrupt_window": "irq_window_exits",
    "port": "io_exits",
    "hlt": "halt_exits",
    "ept_violation": "pf_taken",
}
BY_REASON = re.compile(r"^kvm-linux: exits: (\d+) (\w+)\r?$", re.MULTILINE)


def figures(console):
    """The figures that a run's console has. Raises ValueError: one is missing, or they contradict each other."""
    reached, read, ended = native.USERSPACE.search(console), native.READ.search(console), ENDED.search(console)
    counts = {name: int(number) for number, name in BY_REASON.findall(console)}
    if not reached or not read or not ended or "linux: passed" not in console or not counts.keys() >= {*STATISTICS.values()}:
        raise ValueError("Linux did not pass under KVM, or its console lacks a figure")
    exits, ports, mmio = (int(ended[i]) for i in (2, 3, 4))
    by_reason = {f"kvm_linux_exits_{end}": counts[name] for end, name in STATISTICS.items()}
    # What is left are MSRs, CPUID, and what else KVM does not count.
    other = exits - sum(by_reason.values())
    ticks = int(reached[1]) - int(ended[1])
    if ticks <= 0 or other < 0 or ports > counts["io_exits"] or ports + mmio > exits:
        raise ValueError("the figures of Linux under KVM contradict each other")
    return {
        "kvm_linux_guest_ticks": ticks,
        "kvm_linux_exits": exits,
        "kvm_linux_user_exits": ports + mmio,
        "kvm_linux_disk_4k_read_ticks": int(read[2]) // int(read[1]),
        "kvm_linux_exits_other": other,
    } | by_reason


def run(build, folder, memory, model, timeout):
    """The console of a run. Raises NestedError."""
    words = " ".join([*system.KERNEL_WORDS.split(), "job=disk"])
    script = f"exec ./kvm-linux {memory} vmlinuz initrd disk.img '{words}' > serial.txt\n"
    files = {name: f"{build}/linux/{name}" for name in ("vmlinuz", "initrd", "disk.img")}
    files["kvm-linux"] = build + "/kvm_linux/kvm-linux"
    job = linux.Job(script, files, memory + SPARE, KVM_OPTIONS, ips=IPS)
    return linux.run(build + "/nested", job, folder, model, timeout)[0]


def measure(build, folder, memory, model, timeout):
    """The figures. Raises NestedError."""
    console = run(build, folder, memory, model, timeout)
    try:
        return figures(console)
    except ValueError as error:
        raise NestedError(f"{error} (logs in {folder}).") from error
